//! A tool's definition as agents see it: the server's own, with the name and the
//! tier that it has here.

use serde_json::{Map, Value};

use crate::{
    domain::{Currency, Offer, Prices, Terms, Tier, money::show_money},
    wire::{self, Edit, Raw, keys},
};

/// The tier that counts: what the operator says, or more if the server itself
/// says more. Its hints may raise a tier, never lower it; what it does not say
/// is no hint.
pub(super) fn tier(offer: Offer, definition: &Raw) -> Tier {
    let said = said(offer);
    let hints = definition.get("annotations");
    let hint = |name: &str| {
        let value = hints.as_ref()?.get(name)?;
        match value.text() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    };
    let raised = match (hint("readOnlyHint"), hint("destructiveHint")) {
        (Some(true), _) => Tier::Read,
        (_, Some(true)) => Tier::Consequential,
        (Some(false), _) => Tier::Reversible,
        (None, _) => Tier::Read,
    };
    said.max(raised)
}

/// The tier that the operator's file gives a tool, whatever its server says.
pub(super) fn said(offer: Offer) -> Tier {
    match offer {
        Offer::At(tier) => tier,
        Offer::Unclassified | Offer::Off => Tier::Irreversible,
    }
}

/// The members of a definition that we write.
const OURS: [&str; 4] = ["name", "description", "annotations", "_meta"];

/// Those of its annotations.
const HINTS: [&str; 3] = ["readOnlyHint", "destructiveHint", "idempotentHint"];

/// What can be said of the risk of a tool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Risk<'a> {
    pub(super) offer: Offer,
    pub(super) tier: Tier,
    pub(super) prices: &'a Prices,
    pub(super) terms: &'a Terms,
}

/// The definition with its exposed name, annotations of its tier, a word for the
/// model and the risk for programs. Every other byte is the server's, but for what some
/// clients would take for one of these.
pub(super) fn present(definition: &Raw, exposed: &str, risk: Risk<'_>) -> Raw {
    let definition = &*wire::without_misspelt(definition, &OURS);
    let mut edit = Edit::new(definition);
    let same_name = definition
        .get("name")
        .is_some_and(|name| name.as_str().is_some_and(|name| name == exposed));
    if !same_name {
        edit.set("name", wire::quote(exposed));
    }
    let own = definition.get("description");
    let own = own.as_ref().and_then(Raw::as_str).unwrap_or_default();
    let gap = if own.is_empty() { "" } else { " " };
    edit.set(
        "description",
        wire::quote(&format!("{own}{gap}{}", suffix(risk.offer, risk.tier))),
    );
    edit.set("annotations", annotations(definition, risk.tier));
    edit.set("_meta", meta(definition, risk));
    edit.raw()
}

fn suffix(offer: Offer, tier: Tier) -> String {
    match (offer, tier) {
        (Offer::Unclassified | Offer::Off, _) => {
            "[tollgate: not classified, needs a person's yes]".to_owned()
        }
        (Offer::At(_), Tier::Read | Tier::Reversible) => format!("[tollgate: {tier}]"),
        (Offer::At(_), Tier::Consequential | Tier::Irreversible) => {
            format!("[tollgate: {tier}, needs a person's yes]")
        }
    }
}

/// The hints that follow from the tier, the server's others kept.
fn annotations(definition: &Raw, tier: Tier) -> String {
    let empty = Raw::of(&serde_json::json!({}));
    let own = definition
        .get("annotations")
        .filter(|own| own.text().starts_with('{'))
        .unwrap_or(empty);
    let own = wire::without_misspelt(&own, &HINTS);
    let mut edit = Edit::new(&own);
    let (read_only, destructive, idempotent) = match tier {
        Tier::Read => ("true", "false", Some("true")),
        Tier::Reversible => ("false", "false", None),
        Tier::Consequential => ("false", "true", None),
        Tier::Irreversible => ("false", "true", Some("false")),
    };
    edit.set("readOnlyHint", read_only);
    edit.set("destructiveHint", destructive);
    if let Some(idempotent) = idempotent {
        edit.set("idempotentHint", idempotent);
    }
    edit.raw().text().to_owned()
}

fn meta(definition: &Raw, risk: Risk<'_>) -> String {
    let Risk {
        offer,
        tier,
        prices,
        terms,
    } = risk;
    let mut risk = serde_json::json!({
        "tier": tier.level(),
        "name": tier.name(),
        "approval": match (offer, tier) {
            (Offer::At(_), Tier::Read | Tier::Reversible) => "none",
            (Offer::At(_), Tier::Consequential | Tier::Irreversible)
            | (Offer::Unclassified | Offer::Off, _) => "person",
        },
        "source": match offer {
            Offer::At(said) if said == tier => "operator",
            Offer::At(_) => "server",
            Offer::Unclassified | Offer::Off => "default",
        },
    });
    if let Some(risk) = risk.as_object_mut() {
        let (cost, budgets) = (cost(prices), budgets(terms, prices.currency));
        risk.extend(cost.map(|cost| ("cost".to_owned(), cost.into())));
        risk.extend(budgets.map(|budgets| ("budgets".to_owned(), budgets.into())));
    }
    let mut members = without_ours(definition.get("_meta").as_ref());
    members.push(format!("\"{}risk\":{risk}", keys::OUR_PREFIX));
    format!("{{{}}}", members.join(","))
}

/// What a call costs, as far as it is known before its arguments are; none if it is free.
fn cost(prices: &Prices) -> Option<Map<String, Value>> {
    let parts = [
        ("call", prices.call),
        ("each", prices.each),
        ("kib", prices.kib),
    ];
    let said = parts.into_iter().filter(|(_, micros)| *micros > 0);
    let said = said.map(|(part, micros)| {
        let money = show_money(micros, prices.currency);
        (part.to_owned(), money.into())
    });
    let said: Map<String, Value> = said.collect();
    (!said.is_empty()).then_some(said)
}

/// The limits of the server and of the tool alone that its calls count for.
fn budgets(terms: &Terms, currency: Currency) -> Option<Vec<Value>> {
    let budgets = terms.limits.iter().map(|limit| {
        serde_json::json!({
            "over": limit.over.name(),
            "limit": limit.name(),
            "at": limit.dimension.show(limit.at, currency),
        })
    });
    let budgets: Vec<Value> = budgets.collect();
    (!budgets.is_empty()).then_some(budgets)
}

/// The members of a server's `_meta` that may pass: what it sends under our
/// prefix is a forgery.
pub(super) fn without_ours(meta: Option<&Raw>) -> Vec<String> {
    meta.iter()
        .flat_map(|meta| wire::members(meta.text()))
        .filter(|(key, _)| !wire::is_ours(key))
        .map(|(key, value)| format!("{key}:{value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Dimension, Limit, Over, Period, Then};

    fn raw(text: &str) -> Raw {
        Raw::parse(text.to_owned().into()).unwrap()
    }

    #[test]
    fn a_servers_hint_raises_a_tier_and_never_lowers_it() {
        let at = Offer::At;
        let hinted = |hints: &str| raw(&format!(r#"{{"annotations":{hints}}}"#));
        assert_eq!(tier(at(Tier::Read), &raw("{}")), Tier::Read);
        assert_eq!(
            tier(at(Tier::Read), &hinted(r#"{"destructiveHint":true}"#)),
            Tier::Consequential
        );
        assert_eq!(
            tier(at(Tier::Irreversible), &hinted(r#"{"readOnlyHint":true}"#)),
            Tier::Irreversible
        );
        assert_eq!(
            tier(Offer::Unclassified, &hinted(r#"{"readOnlyHint":true}"#)),
            Tier::Irreversible
        );
    }

    #[test]
    fn a_definition_keeps_every_byte_that_is_not_ours() {
        let definition = raw(
            r#"{"name":"x","vendor":{"n":1e400},"description":"Does x.","inputSchema":{"type":"object","z":1,"a":2},"execution":{"taskSupport":"optional"},"annotations":{"title":"X","vendorHint":7},"_meta":{"dev.tollgate/risk":{"tier":0},"v/k":1}}"#,
        );
        let risk = Risk {
            offer: Offer::At(Tier::Reversible),
            tier: Tier::Reversible,
            prices: &Prices::free(Currency::USD),
            terms: &Terms::default(),
        };
        assert_eq!(
            present(&definition, "s__x", risk).text(),
            r#"{"name":"s__x","vendor":{"n":1e400},"description":"Does x. [tollgate: reversible]","inputSchema":{"type":"object","z":1,"a":2},"execution":{"taskSupport":"optional"},"annotations":{"title":"X","vendorHint":7,"readOnlyHint":false,"destructiveHint":false},"_meta":{"v/k":1,"dev.tollgate/risk":{"approval":"none","name":"reversible","source":"operator","tier":1}}}"#
        );
    }

    #[test]
    fn the_risk_says_what_a_call_costs_and_which_limits_it_counts_for() {
        let limit = Limit {
            over: Over::Tool,
            period: Period::Day,
            dimension: Dimension::Cost,
            at: 5_000_000,
            warn: None,
            notify: None,
            then: Then::Refuse,
            rolling: false,
            place: None,
        };
        let risk = Risk {
            offer: Offer::At(Tier::Read),
            tier: Tier::Read,
            prices: &Prices {
                call: 250_000,
                kib: 1_000,
                ..Prices::free(Currency::USD)
            },
            terms: &Terms {
                limits: vec![limit],
                ..Terms::default()
            },
        };
        let listed = present(&raw(r#"{"name":"x","inputSchema":{}}"#), "s__x", risk);
        let said = listed
            .get("_meta")
            .and_then(|meta| meta.get("dev.tollgate/risk"));
        assert_eq!(
            said.unwrap().text(),
            r#"{"approval":"none","budgets":[{"at":"5.00 USD","limit":"day.cost","over":"tool"}],"cost":{"call":"0.25 USD","kib":"0.001 USD"},"name":"read","source":"operator","tier":0}"#
        );
    }
}
