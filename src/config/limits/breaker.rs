//! `breaker`: when a server or a tool that fails is left alone.

use std::time::Duration;

use super::Said;
use super::quantity::count;
use crate::config::decode::{Field, Vocabulary};
use crate::config::error::Code;
use crate::domain::{BreakerRule, Over};

pub(in crate::config) const BREAKER: Vocabulary = Vocabulary {
    keys: &["cooldown", "errors", "failures", "within"],
    later: &[],
    elsewhere: &[],
};

/// What a file says of breakers, before it is known whose they are.
pub(in crate::config) type Breaker = Said<BreakerRule>;

pub(super) fn decode(field: &Field<'_>) -> Breaker {
    if field.is_none() {
        return Said::None;
    }
    let wanted = "a table, for example { failures = 3 }, or \"none\"";
    let Some(table) = field.table(&BREAKER, wanted) else {
        return Said::Nothing;
    };
    // Whose it is is filled in where it is put to use.
    let usual = BreakerRule::usual(Over::Server);
    let duration = |key: &str| table.get(key).and_then(|field| field.duration());
    let failures = table.get("failures").and_then(|field| failures(&field));
    let within = table.get("within").and_then(|field| within(&field));
    let errors = table.get("errors").and_then(|field| field.boolean());
    Said::This(BreakerRule {
        failures: failures.unwrap_or(usual.failures),
        within: within.unwrap_or(usual.within),
        cooldown: duration("cooldown").unwrap_or(usual.cooldown),
        errors: errors.unwrap_or(usual.errors),
        place: Some(field.at()),
        over: usual.over,
    })
}

/// No more than are remembered, or it would never open.
fn failures(field: &Field<'_>) -> Option<u32> {
    let number = count(field, 1)?;
    let most = BreakerRule::REMEMBERED;
    if usize::try_from(number).is_ok_and(|number| number > most) {
        let message = format!("{} of {number} can never be reached", field.subject());
        field.file.report(
            field
                .problem(Code::NeverMatches, message)
                .label(format!("the last {most} failures are remembered"))
                .hint("take fewer, or write `breaker = \"none\"`"),
        );
        return None;
    }
    Some(number)
}

/// No longer than they are remembered.
fn within(field: &Field<'_>) -> Option<Duration> {
    let within = field.duration()?;
    let most = BreakerRule::KEPT;
    if within > most {
        let message = format!("{} cannot be so long", field.subject());
        field.file.report(
            field
                .problem(Code::NeverMatches, message)
                .label(format!(
                    "failures are remembered for {} hours",
                    most.as_secs() / 3600
                ))
                .hint("take a shorter time"),
        );
        return None;
    }
    Some(within)
}

impl Breaker {
    /// The breaker of a server or a tool: this, else the usual.
    pub(super) fn rule(&self, over: Over) -> Option<BreakerRule> {
        match self {
            Said::Nothing => Some(BreakerRule::usual(over)),
            Said::None => None,
            Said::This(rule) => Some(BreakerRule {
                over,
                ..rule.clone()
            }),
        }
    }
}
