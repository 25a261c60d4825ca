//! A record of the journal as the command line reads it: leniently, because a
//! record of a later version must still be shown.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{domain::money::show_micros, wire};

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    members: Map<String, Value>,
    /// The same as it was written: a [`Value`] rounds numbers and sorts keys.
    text: String,
}

impl Record {
    /// Reads a line; what is not an object is no record.
    pub(super) fn parse(line: &str) -> Option<Self> {
        match read(line, 0) {
            Value::Object(members) => Some(Self {
                members,
                text: line.to_owned(),
            }),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> &str {
        self.str("kind").unwrap_or_default()
    }

    pub(super) fn seq(&self) -> Option<u64> {
        self.members.get("seq").and_then(Value::as_u64)
    }

    /// A text.
    pub(super) fn str(&self, key: &str) -> Option<&str> {
        self.members.get(key).and_then(Value::as_str)
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.members.get(key).and_then(Value::as_f64)
    }

    /// Any value as text, as it was written; nothing for what is absent or null.
    pub(super) fn shown(&self, key: &str) -> Option<String> {
        shown(self.members.get(key)?, || member(&self.text, key))
    }

    /// The step: what the client reports, if it does.
    pub(super) fn step(&self) -> Option<String> {
        self.shown("step").or_else(|| self.reported("step"))
    }

    /// What the client reports of itself, as text.
    pub(super) fn reported(&self, key: &str) -> Option<String> {
        let value = self.members.get("reported")?.get(key)?;
        shown(value, || member(member(&self.text, "reported")?, key))
    }

    /// What a call that has ended cost: what was kept back for it where nobody saw
    /// how it ended.
    pub(super) fn cost(&self, estimate: Option<&Cost>) -> Option<Cost> {
        match self.members.contains_key("charged") {
            true => self.money("charged", "cost"),
            false => estimate.cloned(),
        }
    }

    /// What is kept back for the cost of a call.
    pub(super) fn estimate(&self) -> Option<Cost> {
        self.money("charge", "estimated_cost")
    }

    /// Exactly from the counters, with the currency of the text beside them.
    fn money(&self, counters: &str, text: &str) -> Option<Cost> {
        let micros = self.members.get(counters)?.get("cost")?.as_u64()?;
        let (_, currency) = self.str(text)?.rsplit_once(' ')?;
        Some(Cost {
            micros,
            currency: currency.to_owned(),
        })
    }

    /// The members of an object that are whole numbers.
    pub(super) fn numbers(&self, key: &str) -> Vec<(&str, u64)> {
        let members = self.members.get(key).and_then(Value::as_object);
        let members = members.into_iter().flatten();
        members
            .filter_map(|(name, number)| Some((name.as_str(), number.as_u64()?)))
            .collect()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    pub(super) fn at(&self) -> Option<Timestamp> {
        self.str("at")?.parse().ok()
    }

    /// `2026-11-20`
    pub(super) fn date(&self) -> &str {
        self.str("at").and_then(|at| at.get(..10)).unwrap_or("?")
    }

    /// `16:02:11`
    pub(super) fn time(&self) -> &str {
        self.str("at").and_then(|at| at.get(11..19)).unwrap_or("?")
    }

    /// `server.tool`, or what else was asked of the server.
    pub(super) fn title(&self) -> String {
        let name = match (self.str("tool"), self.str("method"), self.str("name")) {
            (Some(tool), _, _) => tool.to_owned(),
            (None, Some(method), Some(name)) => format!("{method} {name}"),
            (None, Some(method), None) => method.to_owned(),
            (None, None, _) => String::new(),
        };
        match self.str("server") {
            Some(server) if self.str("tool").is_some() => format!("{server}.{name}"),
            Some(server) => format!("{server} {name}").trim_end().to_owned(),
            None => name,
        }
    }

    /// What a tool server asks a person, in its words.
    pub(super) fn asked(&self) -> Option<String> {
        self.str("message").map(str::to_owned)
    }

    /// What a stop covers, or covered.
    pub(super) fn scope(&self) -> String {
        let scope = self.str("scope").unwrap_or("?");
        match self.str(scope) {
            Some(name) => format!("{scope} {name}"),
            None => scope.to_owned(),
        }
    }
}

fn shown<'a>(value: &Value, written: impl FnOnce() -> Option<&'a str>) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(written().map_or_else(|| other.to_string(), str::to_owned)),
    }
}

/// A member of an object as it was written.
fn member<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut members = wire::members(text);
    members.find_map(|(name, value)| (wire::unquote(name)? == key).then_some(value))
}

/// Reads a value. What an agent or a server wrote is in the record as it was written, and
/// not all of that has a [`Value`], such as `1e400`: it stands here as the text of itself,
/// or one of them could hide a call by it.
fn read(text: &str, depth: u32) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    // Member by member: there were versions that left in one what is no JSON.
    let mut members = wire::members(text).peekable();
    if depth >= DEEPEST || members.peek().is_none() {
        return Value::String(text.to_owned());
    }
    let mut all = Map::new();
    for (key, value) in members {
        if let Some(key) = wire::unquote(key) {
            let first = all.entry(key.into_owned());
            first.or_insert_with(|| read(value, depth + 1));
        }
    }
    Value::Object(all)
}

/// A record, what is reported, and what that holds.
const DEEPEST: u32 = 3;

/// What a call cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cost {
    /// In millionths.
    pub(super) micros: u64,
    pub(super) currency: String,
}

/// `0.30 USD`
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", show_micros(self.micros), self.currency)
    }
}

/// `12 ms`, `1.3 s`, `2m 05s`
pub(super) fn duration(ms: f64) -> String {
    if ms < 10.0 {
        return format!("{ms:.1} ms");
    }
    if ms < 1000.0 {
        return format!("{ms:.0} ms");
    }
    if ms < 60_000.0 {
        return format!("{:.1} s", ms / 1000.0);
    }
    let (minutes, seconds) = ((ms / 60_000.0).floor(), (ms / 1000.0) % 60.0);
    if minutes < 60.0 {
        return format!("{minutes:.0}m {:02.0}s", seconds.floor());
    }
    format!("{:.0}h {:02.0}m", (minutes / 60.0).floor(), minutes % 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_version_is_read_as_far_as_it_goes() {
        let record = Record::parse(r#"{"v":9,"kind":"dance","at":7,"tool":null}"#).unwrap();
        assert_eq!(record.kind(), "dance");
        assert_eq!((record.date(), record.time()), ("?", "?"));
        assert_eq!(record.title(), "");
        assert!(Record::parse("[1]").is_none() && Record::parse("").is_none());
    }

    #[test]
    fn what_no_number_can_hold_hides_no_record() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        for wild in [
            "1e400",
            "-1e999",
            "[1e400]",
            "{\"a\":[1e400]}",
            "\"\\[x]\"",
            &deep,
        ] {
            let line = format!(
                r#"{{"kind":"call.intent","agent":"bot","arguments":{wild},"reported":{{"step":{wild},"model":"m"}}}}"#
            );
            let record = Record::parse(&line).unwrap();
            assert_eq!(record.str("agent"), Some("bot"), "{wild}");
            assert!(record.shown("arguments").is_some(), "{wild}");
            assert!(record.step().is_some(), "{wild}");
        }
        let line = r#"{"cost":"0.50 USD","charged":{"cost":500000},"reported":{"step":1e400}}"#;
        let record = Record::parse(line).unwrap();
        assert_eq!(record.step().unwrap(), "1e400");
        assert_eq!(record.cost(None).unwrap().to_string(), "0.50 USD");
    }

    #[test]
    fn what_was_written_is_shown_as_it_was_written() {
        let line =
            r#"{"arguments":{"z":12345678901234567890123,"a":1.10},"reported":{"tokens":7.00}}"#;
        let record = Record::parse(line).unwrap();
        assert_eq!(
            record.shown("arguments").unwrap(),
            r#"{"z":12345678901234567890123,"a":1.10}"#
        );
        assert_eq!(record.reported("tokens").unwrap(), "7.00");
    }

    #[test]
    fn titles_name_tools_and_everything_else() {
        let title = |line| Record::parse(line).unwrap().title();
        assert_eq!(title(r#"{"server":"files","tool":"read"}"#), "files.read");
        assert_eq!(
            title(r#"{"server":"files","method":"resources/read","name":"a://b"}"#),
            "files resources/read a://b"
        );
    }

    #[test]
    fn durations_are_short() {
        let shown = [0.25, 312.4, 1300.0, 125_000.0, 7_500_000.0].map(duration);
        assert_eq!(shown, ["0.2 ms", "312 ms", "1.3 s", "2m 05s", "2h 05m"]);
    }
}
