//! The stop switch: while it is on, the answer is no and nothing but no.

use super::{Facts, Gate, Tell, Verdict};
use crate::domain::{Call, Code, Refusal, Stop};

pub(super) const GATE: Gate = Gate {
    name: "stop switch",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    let stop = facts
        .stops
        .covering(&call.by.agent, &call.server, &call.run);
    match (stop, facts.follows) {
        (Some(stop), _) => Verdict::Refuse(refusal(stop)),
        (None, Some(stop)) => Verdict::Refuse(follows(stop)),
        (None, None) => tell.pass(|| "off".into()),
    }
}

/// What an agent hears that would begin another run in place of the one that was
/// stopped.
fn follows(stop: &Stop) -> Refusal {
    let refusal = refusal(stop);
    let says = format!("{}; its agent begins no other meanwhile", refusal.says);
    Refusal { says, ..refusal }
}

/// What a call hears that a stop keeps back or cuts short.
#[must_use]
pub fn refusal(stop: &Stop) -> Refusal {
    let says = match &stop.text {
        Some(text) => format!("an operator stopped {}: {text}", stop.scope),
        None => format!("an operator stopped {}", stop.scope),
    };
    Refusal::new(Code::Stopped, GATE.name, says).remedy("Do not retry; tell your user.")
}
