//! Which records are wanted, as flags.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::daemon::{Failure, FailureKind};
use crate::domain::{AgentName, RunId, Tier};
use crate::ports::Query;

/// What is not said does not matter.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Of this run
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    run: Option<RunId>,

    /// Of this agent
    #[arg(long, value_name = "AGENT", value_parser = AgentName::parse, allow_hyphen_values = true)]
    agent: Option<AgentName>,

    /// Of this tool, SERVER.TOOL, or of a whole server
    #[arg(long, value_name = "TOOL", allow_hyphen_values = true)]
    tool: Option<String>,

    /// Of this tier: its word or its number
    #[arg(long, value_name = "TIER", value_parser = tier)]
    tier: Option<Tier>,

    /// Calls that ended so
    #[arg(long, value_name = "OUTCOME", value_parser = ["done", "failed", "asked", "unknown", "refused"])]
    outcome: Option<String>,

    /// Not before: 1h, 7d, 2026-11-20 (UTC), or a time as 2026-11-20 16:00 (here) or RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    since: Option<When>,

    /// Not after, in the same notation; a date counts as a whole
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    until: Option<When>,

    /// With this trace id
    #[arg(long, value_name = "ID")]
    trace: Option<String>,

    /// At most this many records, the newest; 0 for all
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Filter {
    /// How many are wanted, as it was said.
    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Whether it was said how far to search.
    pub(super) fn is_bounded(&self) -> bool {
        self.limit.is_some() || self.since.is_some()
    }

    /// The query, with `limit` where nothing else bounds it.
    pub(super) fn query(&self, now: Timestamp, limit: usize) -> Result<Query, Failure> {
        let moment = |when: Option<When>, end: bool| {
            when.map(|when| when.at(now, end)).transpose().map_err(|_| {
                Failure::new(FailureKind::Usage, "the time is outside of the calendar")
            })
        };
        Ok(Query {
            run: self.run.as_ref().map(ToString::to_string),
            agent: self.agent.as_ref().map(ToString::to_string),
            tool: self.tool.clone(),
            tier: self.tier.map(|tier| tier.name().to_owned()),
            outcome: self.outcome.clone(),
            since: moment(self.since, false)?,
            until: moment(self.until, true)?,
            trace: self.trace.as_ref().map(|trace| trace.to_ascii_lowercase()),
            no_checkpoints: false,
            after: None,
            sought: None,
            limit: match (self.limit, self.since) {
                (Some(0), _) | (None, Some(_)) => None,
                (Some(limit), _) => Some(limit),
                (None, None) => Some(limit),
            },
        })
    }
}

/// A moment as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// So long ago.
    Ago(SignedDuration),
    /// That very moment.
    At(Timestamp),
    /// That day.
    On(Date),
}

impl When {
    fn parse(text: &str) -> Result<Self, String> {
        let shape = "write 30m, 1h, 7d, 2026-11-20, 2026-11-20 16:00 or 2026-11-20T16:00:00Z";
        let when = match (text.get(..DATE.len()), text.get(DATE.len()..)) {
            (Some(date), Some("")) if is_date(date) => date.parse().ok().map(When::On),
            (Some(date), Some(time)) if is_date(date) => moment(date, time).map(When::At),
            _ => ago(text).map(When::Ago),
        };
        when.ok_or_else(|| shape.to_owned())
    }

    /// The moment; of a day its beginning or its `end`.
    fn at(self, now: Timestamp, end: bool) -> Result<Timestamp, jiff::Error> {
        match self {
            When::Ago(long) => now.checked_sub(long),
            When::At(at) => Ok(at),
            When::On(date) => {
                let begin = date.to_zoned(TimeZone::UTC)?.timestamp();
                match end {
                    false => Ok(begin),
                    true => begin.checked_add(SignedDuration::from_micros(DAY * 1_000_000 - 1)),
                }
            }
        }
    }
}

const DAY: i64 = 86_400;

/// The shape of a date; digits stand for digits.
const DATE: &str = "0000-00-00";

fn is_date(text: &str) -> bool {
    text.len() == DATE.len()
        && text
            .bytes()
            .zip(DATE.bytes())
            .all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            })
}

/// A time of a day, behind `T` or a space; without an offset it is that of the place.
fn moment(date: &str, time: &str) -> Option<Timestamp> {
    let time = time.strip_prefix(['T', 't', ' '])?;
    let text = format!("{date}T{}", time.to_ascii_uppercase());
    let offset = time.contains(['Z', 'z', '+', '-']);
    match offset {
        true => text.parse().ok(),
        false => {
            let local: DateTime = text.parse().ok()?;
            Some(local.to_zoned(TimeZone::system()).ok()?.timestamp())
        }
    }
}

pub(super) fn run_id(text: &str) -> Result<RunId, String> {
    RunId::parse(text).ok_or_else(|| "a run is named like r-7Q2K".to_owned())
}

fn ago(text: &str) -> Option<SignedDuration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => DAY,
        "w" => 7 * DAY,
        _ => return None,
    };
    let number: i64 = number.parse().ok()?;
    number.checked_mul(seconds).map(SignedDuration::from_secs)
}

fn tier(text: &str) -> Result<Tier, String> {
    Tier::ALL
        .into_iter()
        .find(|tier| tier.name() == text || tier.level().to_string() == text)
        .ok_or_else(|| "a tier is read, reversible, consequential, irreversible or 0 to 3".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T16:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_moment_is_a_span_a_date_or_a_time() {
        let at = |text, end| {
            When::parse(text)
                .unwrap()
                .at(now(), end)
                .unwrap()
                .to_string()
        };
        assert_eq!(at("1h", false), "2026-11-20T15:00:00Z");
        assert_eq!(at("7d", false), "2026-11-13T16:00:00Z");
        assert_eq!(at("2026-11-19", false), "2026-11-19T00:00:00Z");
        assert_eq!(at("2026-11-19", true), "2026-11-19T23:59:59.999999Z");
        assert_eq!(
            at("2026-11-19T10:00:00+02:00", false),
            "2026-11-19T08:00:00Z"
        );
        for bad in [
            "",
            "h",
            "1",
            "1y",
            "yesterday",
            "-1h",
            "2026-13-01",
            "99999999999999999h",
        ] {
            assert!(When::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_of_a_day_is_never_taken_for_the_day() {
        let at = |text| {
            let when = When::parse(text).unwrap();
            when.at(now(), true).unwrap().to_string()
        };
        for text in [
            "2026-11-22T23:59:59Z",
            "2026-11-22 23:59:59Z",
            "2026-11-22t23:59:59z",
            "2026-11-23 01:59:59+02:00",
            "2026-11-22T22:59:59-01:00",
        ] {
            assert_eq!(at(text), "2026-11-22T23:59:59Z", "{text}");
        }
        let here: DateTime = "2026-11-22T00:00:01".parse().unwrap();
        let here = here.to_zoned(TimeZone::system()).unwrap().timestamp();
        for text in [
            "2026-11-22 00:00:01",
            "2026-11-22T00:00:01",
            "2026-11-22t00:00:01",
        ] {
            assert_eq!(at(text), here.to_string(), "{text}");
        }
        for bad in [
            "2026-11-22 ",
            "2026-11-22T",
            "2026-11-22x00:00:01",
            "2026-11-22 25:00",
            "2026-11-22 00:00:01 tomorrow",
            "2026-11-2",
            "20261122",
            "+002026-11-22",
            "2026-11-22[Europe/Vienna]",
        ] {
            assert!(When::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_run_is_named_as_anywhere_else() {
        assert_eq!(run_id("r-mxpf").unwrap().as_str(), "r-MXPF");
        assert!(run_id("junk").is_err());
    }

    #[test]
    fn what_nothing_bounds_is_limited_and_a_span_is_not() {
        let limit = |filter: Filter| filter.query(now(), 200).unwrap().limit;
        assert_eq!(limit(Filter::default()), Some(200));
        let since = When::parse("1h").ok();
        assert_eq!(
            limit(Filter {
                since,
                ..Filter::default()
            }),
            None
        );
        let all = Filter {
            limit: Some(0),
            ..Filter::default()
        };
        assert_eq!(limit(all), None);
    }

    #[test]
    fn a_tier_is_its_word_or_its_number() {
        assert_eq!(tier("2"), Ok(Tier::Consequential));
        assert_eq!(tier("read"), Ok(Tier::Read));
        assert!(tier("4").is_err());
    }
}
