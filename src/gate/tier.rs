//! What the tier demands before a call may run.
//!
//! Until a person can be asked, what needs a person is refused.

use super::{Facts, Gate, Tell, Verdict};
use crate::domain::{Call, Code, Offer, Refusal, Tier};

pub(super) const GATE: Gate = Gate {
    name: "approval",
    check,
};

fn check(call: &Call, _: &Facts<'_>, tell: Tell) -> Verdict {
    let says = match call.offer {
        Offer::Off => "the tool is not offered".to_owned(),
        Offer::Unclassified => {
            "nobody has classified this tool, so it counts as irreversible and needs a person's yes"
                .to_owned()
        }
        // A server's hints raise what the operator said; nothing lowers it.
        Offer::At(said) => match said.max(call.tier) {
            tier @ (Tier::Read | Tier::Reversible) => {
                return tell.pass(|| format!("tier {tier} needs nobody"));
            }
            tier @ (Tier::Consequential | Tier::Irreversible) if tier > said => {
                format!(
                    "its server's hints raise it from tier {said} to {tier}, which needs a person's yes"
                )
            }
            tier @ (Tier::Consequential | Tier::Irreversible) => {
                format!("tier {tier} needs a person's yes")
            }
        },
    };
    let says = format!("{says}, and this version of tollgate cannot ask for one");
    Verdict::Refuse(
        Refusal::new(Code::ApprovalUnavailable, GATE.name, says)
            .remedy("Do not retry; tell your user.")
            .rule(call.tier_place().cloned()),
    )
}
