//! The stop switch: while it is on, the answer is no and nothing but no.

use super::{Facts, Gate, Tell, Verdict};
use crate::domain::{Call, Code, Refusal, Stop};

pub(super) const GATE: Gate = Gate {
    name: "stop switch",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    match facts.stops.iter().find(|stop| stop.covers(call)) {
        None => tell.pass(|| "off".into()),
        Some(stop) => Verdict::Refuse(refusal(stop)),
    }
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
