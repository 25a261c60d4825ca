//! May this agent use this server?

use super::{Facts, Gate, Tell, Verdict};
use crate::domain::{Call, Code, Place, Reach, Refusal};

pub(super) const GATE: Gate = Gate {
    name: "agent",
    check,
};

fn check(call: &Call, _: &Facts<'_>, tell: Tell) -> Verdict {
    match &call.by.reach {
        Reach::Only { servers, place } if !servers.contains(&call.server) => {
            return refuse(call, place);
        }
        Reach::Only { .. } | Reach::Everything => {}
    }
    match &call.admits {
        Some((agents, place)) if !agents.contains(&call.by.agent) => refuse(call, place),
        Some(_) | None => tell.pass(|| {
            format!(
                "`{}`, owned by {}, may use `{}`",
                call.by.agent, call.by.owner, call.server
            )
        }),
    }
}

fn refuse(call: &Call, place: &Place) -> Verdict {
    let says = format!(
        "agent `{}` may not use server `{}`",
        call.by.agent, call.server
    );
    let refusal = Refusal::new(Code::AgentDenied, GATE.name, says);
    Verdict::Refuse(refusal.rule(Some(place.clone())))
}
