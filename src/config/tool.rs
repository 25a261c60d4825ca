//! What a file says of a single tool.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use super::args::{self, ArgRule};
use super::decode::{Field, Table, Vocabulary};
use super::error::{Code, quoted, suggest};
use super::limits::{self, Everything, OfServer};
use super::{Place, server};
use crate::domain::{Offer, Prices, Terms, Tier};

pub(super) const TOOL: Vocabulary = Vocabulary {
    keys: &[
        "amount", "args", "breaker", "budget", "cost", "count", "durable", "limit", "rate", "tier",
        "timeout", "window",
    ],
    later: &[
        "approval", "canary", "framing", "reason", "snapshot", "undo", "when",
    ],
    elsewhere: &[(
        server::ROOT.keys,
        "belongs to the server: put it above the first [table]",
    )],
};

/// What the operator says of one tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolRule {
    /// Whether it is offered, and at which tier.
    pub offer: Offer,
    /// What its arguments must be, beyond the server's own schema.
    pub args: Vec<ArgRule>,
    /// Whether a call leaves only when its record is on disk, also below tier 2.
    pub durable: bool,
    /// Its own wait for a sign of life.
    pub timeout: Option<Duration>,
    /// What limits its calls, and its breaker.
    pub terms: Terms,
    /// What a call of it costs, touches and moves.
    pub prices: Prices,
    /// Where it is named.
    pub place: Place,
}

/// Reads `[tools]`; `total` is how long any call of this server may take.
pub(super) fn decode_all(
    root: &Table<'_>,
    total: Duration,
    server: &OfServer,
    everything: &Everything,
) -> BTreeMap<String, ToolRule> {
    let Some(field) = root.get("tools") else {
        return BTreeMap::new();
    };
    field
        .entries("a table of tools, for example { read_file = \"read\" }")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, field)| {
            let rule = decode(name, &field, total, server, everything)?;
            Some((name.to_owned(), rule))
        })
        .collect()
}

fn decode(
    name: &str,
    field: &Field<'_>,
    total: Duration,
    server: &OfServer,
    everything: &Everything,
) -> Option<ToolRule> {
    let limits = |table| limits::tool(table, server, everything);
    if !matches!(field.value(), DeValue::Table(_)) {
        let (terms, prices) = limits(None);
        return Some(ToolRule {
            offer: short_offer(name, field)?,
            args: Vec::new(),
            durable: false,
            timeout: None,
            terms,
            prices,
            place: field.place(),
        });
    }
    let table = field.table(&TOOL, "a tier or a table")?;
    let offer = match table.get("tier") {
        Some(tier) => offer(&tier),
        None => {
            let message = format!("tool {} has no tier", quoted(name));
            field.file.report(
                field
                    .key_problem(Code::MissingKey, message)
                    .hint("add `tier`; with `tier = \"ask\"` it counts as irreversible"),
            );
            None
        }
    };
    let timeout = table.get("timeout").and_then(|field| {
        let timeout = field.duration()?;
        server::check_reachable(&field, timeout, total);
        Some(timeout)
    });
    let durable = table.get("durable").and_then(|field| {
        let durable = field.boolean()?;
        check_durable(&field, durable, offer);
        Some(durable)
    });
    let args = table.get("args").map(|field| args::decode_all(&field));
    let (terms, prices) = limits(Some(&table));
    Some(ToolRule {
        offer: offer?,
        args: args.unwrap_or_default(),
        durable: durable.unwrap_or(false),
        timeout,
        terms,
        prices,
        place: field.place(),
    })
}

/// What the tier demands cannot be written away.
fn check_durable(field: &Field<'_>, durable: bool, offer: Option<Offer>) {
    let demanded = match offer {
        Some(Offer::At(tier)) => tier.is_durable(),
        // It counts as irreversible.
        Some(Offer::Unclassified) => true,
        Some(Offer::Off) | None => false,
    };
    if demanded && !durable {
        field.file.report(
            field
                .problem(Code::NeverMatches, "calls of this tier are always durable")
                .label("this cannot be switched off")
                .hint("leave it out; below `consequential`, `durable = true` asks for it"),
        );
    }
}

/// The short form; below `[tools]` every key is a tool, which is easily forgotten.
fn short_offer(name: &str, field: &Field<'_>) -> Option<Offer> {
    let is_tier = parse(field.value()).is_some();
    if !is_tier && server::ROOT.keys.contains(&name) {
        let message = format!("below [tools], {} is the name of a tool", quoted(name));
        field.file.report(
            field
                .key_problem(Code::UnknownKey, message)
                .label("put the server's own settings above the first [table]"),
        );
        return None;
    }
    offer(field)
}

/// Reads a tier, `off` or `ask`.
pub(super) fn offer(field: &Field<'_>) -> Option<Offer> {
    let found = parse(field.value());
    if found.is_none() {
        field.file.report(match field.value() {
            DeValue::String(text) => {
                let words = Tier::ALL.map(Tier::name).into_iter().chain(["ask", "off"]);
                let problem = field
                    .problem(Code::UnknownWord, format!("{} is not a tier", quoted(text)))
                    .hint(
                        "tiers are read, reversible, consequential, irreversible (0 to 3); \
                         `ask` counts as irreversible, `off` hides the tool",
                    );
                match suggest(text, words) {
                    Some(meant) => problem.label(format!("did you mean `{meant}`?")),
                    None if matches!(&**text, "run" | "allow" | "auto") => {
                        problem.label("a tool that nobody has classified never just runs")
                    }
                    None => problem,
                }
            }
            DeValue::Integer(number) => {
                let message = format!("{} is not a tier", quoted(number.as_str()));
                field
                    .problem(Code::UnknownWord, message)
                    .label("tiers are 0 to 3")
            }
            DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => field.wrong_type("a tier, for example \"read\""),
        });
    }
    found
}

fn parse(value: &DeValue<'_>) -> Option<Offer> {
    match value {
        DeValue::String(text) => match &**text {
            "off" => Some(Offer::Off),
            "ask" => Some(Offer::Unclassified),
            word => Tier::ALL
                .into_iter()
                .find(|tier| tier.name() == word)
                .map(Offer::At),
        },
        DeValue::Integer(number) => Tier::ALL
            .into_iter()
            .find(|tier| tier.level().to_string() == number.as_str())
            .map(Offer::At),
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}
