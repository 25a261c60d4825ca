//! `breaker`: when a server or a tool that fails is left alone.

use super::Said;
use super::quantity::count;
use crate::config::decode::{Field, Vocabulary};
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
    let failures = table.get("failures").and_then(|field| count(&field, 1));
    let errors = table.get("errors").and_then(|field| field.boolean());
    Said::This(BreakerRule {
        failures: failures.unwrap_or(usual.failures),
        within: duration("within").unwrap_or(usual.within),
        cooldown: duration("cooldown").unwrap_or(usual.cooldown),
        errors: errors.unwrap_or(usual.errors),
        place: Some(field.at()),
        over: usual.over,
    })
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
