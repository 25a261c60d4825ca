//! What the agent has spent and what it has left, as the results of its calls say.

use serde_json::Value;

use super::client::Reply;
use crate::domain::money::{parse_money, show_micros, show_money};

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Purse {
    /// In millionths.
    spent: u64,
    /// What the last result said is left.
    left: Value,
}

impl Purse {
    /// Hears what a call cost, if it was made.
    pub(super) fn hear(&mut self, reply: &Reply) {
        let Reply::Result(result) = reply else {
            return;
        };
        let meta = result.get("_meta");
        let Some(call) = meta.and_then(|meta| meta.get("dev.tollgate/call")) else {
            return;
        };
        let cost = call.get("cost").and_then(Value::as_str);
        let cost = cost.and_then(|cost| parse_money(cost).ok());
        self.spent = self.spent.saturating_add(cost.map_or(0, |(cost, _)| cost));
        if let Some(left) = call.get("budget_left") {
            self.left = left.clone();
        }
    }

    /// What was spent of what there was; nothing if no result said so.
    pub(super) fn spent(&self) -> Option<String> {
        let (left, currency) = parse_money(self.left.get("cost")?.as_str()?).ok()?;
        let all = show_money(self.spent.saturating_add(left), currency);
        Some(format!("{} of {all}", show_micros(self.spent)))
    }

    /// What is left beside money.
    pub(super) fn left(&self) -> String {
        let counts = ["steps", "calls"].into_iter().filter_map(|name| {
            let left = self.left.get(name)?.as_u64()?;
            Some(format!("{left} {name}"))
        });
        counts.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn costs_are_added_up_and_the_last_word_on_what_is_left_counts() {
        let mut purse = Purse::default();
        assert_eq!((purse.spent(), purse.left()), (None, String::new()));
        for call in [
            json!({ "cost": "0.30 USD", "budget_left": { "cost": "0.70 USD", "steps": 24 } }),
            json!({ "cost": "0.05 USD", "budget_left": { "cost": "0.65 USD", "steps": 23 } }),
            json!({ "budget_left": { "cost": "0.65 USD", "steps": 22, "calls": 47 } }),
        ] {
            let result = json!({ "_meta": { "dev.tollgate/call": call } });
            purse.hear(&Reply::Result(result));
        }
        purse.hear(&Reply::Result(json!({ "isError": true })));
        assert_eq!(purse.spent().as_deref(), Some("0.35 of 1.00 USD"));
        assert_eq!(purse.left(), "22 steps, 47 calls");
    }
}
