//! Is the tool known, offered, and still what was accepted?

use super::{Facts, Gate, Tell, Verdict};
use crate::domain::{Call, Code, Offer, Refusal, Standing, Subject, as_argument};

pub(super) const GATE: Gate = Gate {
    name: "tool",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    match call.offer {
        Offer::Off => {
            let says = "the operator does not offer this tool";
            let refusal = Refusal::new(Code::ToolOff, GATE.name, says)
                .remedy("Use another tool.")
                .rule(call.offer_place.clone());
            return Verdict::Refuse(refusal);
        }
        Offer::At(_) | Offer::Unclassified => {}
    }
    match &call.standing {
        Standing::Plain => match &call.subject {
            // Nobody looked at what the server offers.
            Subject::Tool(_) => refuse(
                Code::ToolOff,
                format!("what server `{}` offers is not known", call.server),
                "Ask for the list of tools again.",
            ),
            Subject::Prompt(_)
            | Subject::Resource(_)
            | Subject::Completion(_)
            | Subject::Subscribe(_)
            | Subject::Unsubscribe(_) => tell.pass(|| "not a tool: nothing to pin".into()),
        },
        Standing::Unreachable(why) => refuse(
            Code::ServerUnavailable,
            format!("server `{}` cannot be reached: {why}", call.server),
            "Go on without it, or tell your user.",
        ),
        Standing::Missing => refuse(
            Code::ToolOff,
            format!("server `{}` no longer offers this tool", call.server),
            "Ask for the list of tools again.",
        ),
        Standing::Renewed(now) if facts.pinned == Some(*now) => refuse(
            Code::ToolChanged,
            "its definition was accepted anew a moment ago".into(),
            "Ask for the list of tools again, then call again.",
        ),
        Standing::Defined(now) | Standing::Renewed(now) => match facts.pinned {
            Some(pinned) if pinned == *now => {
                tell.pass(|| format!("pinned {}, unchanged", now.short()))
            }
            Some(pinned) => refuse(
                Code::ToolChanged,
                format!(
                    "its definition changed since it was accepted ({} then, {} now)",
                    pinned.short(),
                    now.short()
                ),
                &match as_argument(&call.title().to_string()) {
                    Some(title) => format!(
                        "Do not retry; a person has to look at the change and accept it: \
                         `tollgate pins diff {title}`, `tollgate pins accept {title}`."
                    ),
                    None => "Do not retry; a person has to look at the change and accept it: \
                             see `tollgate pins`."
                        .to_owned(),
                },
            ),
            // A definition nobody has accepted is not a known tool.
            None => refuse(
                Code::ToolChanged,
                format!("its definition {} was never accepted", now.short()),
                &match as_argument(&call.title().to_string()) {
                    Some(title) => format!(
                        "Do not retry; a person has to accept it: `tollgate pins accept {title}`."
                    ),
                    None => {
                        "Do not retry; a person has to accept it: see `tollgate pins`.".to_owned()
                    }
                },
            ),
        },
    }
}

/// What no line of the file decided.
fn refuse(code: Code, says: String, remedy: &str) -> Verdict {
    Verdict::Refuse(Refusal::new(code, GATE.name, says).remedy(remedy))
}
