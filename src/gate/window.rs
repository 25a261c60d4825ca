//! Is it a time at which this may be called, and may the agent still work alone?

use super::{Facts, Gate, Tell, Verdict, moment::from_now};
use crate::domain::{Call, Code, Refusal, Tier};

pub(super) const GATE: Gate = Gate {
    name: "window",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    let windows = call.claim.terms.iter().flat_map(|terms| &terms.windows);
    let mut open = 0;
    for (window, place) in windows {
        if window.is_open(facts.now) {
            open += 1;
            continue;
        }
        let next = window.next_opening(facts.now);
        let says = match next {
            Some(next) => {
                let opens = from_now(next, facts.now);
                format!("it may be called {window}; it opens {opens}")
            }
            None => format!("it may be called {window}, which never opens again"),
        };
        let mut refusal = Refusal::new(Code::OutsideWindow, GATE.name, says)
            .remedy("Do not retry before that.")
            .rule(Some(place.clone()));
        refusal.retry_at = next;
        return Verdict::Refuse(refusal);
    }
    match alone_too_long(call, facts) {
        Some(refusal) => Verdict::Refuse(refusal),
        None => tell.pass(|| match open {
            0 => "no hours are set".into(),
            _ => "within its hours".into(),
        }),
    }
}

/// The agent's lease: how long it may go on without a person. Reading needs none.
fn alone_too_long(call: &Call, facts: &Facts<'_>) -> Option<Refusal> {
    match call.tier {
        Tier::Read => return None,
        Tier::Reversible | Tier::Consequential | Tier::Irreversible => {}
    }
    let (lease, place) = call.claim.autonomy()?;
    let since = facts.alone_since?;
    let length = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
    let ends = facts.alone_until.unwrap_or(since.saturating_add(length));
    if facts.now.as_microsecond() < ends {
        return None;
    }
    let minutes = (facts.now.as_microsecond() - since) / 60_000_000;
    let says = match minutes {
        1 => "the agent has worked for a minute without a person".to_owned(),
        _ => format!("the agent has worked for {minutes} minutes without a person"),
    };
    Some(
        Refusal::new(Code::ReauthRequired, GATE.name, says)
            .remedy(format!(
                "Ask your user to extend it: `tollgate runs extend {}`. Reading is still allowed.",
                call.run
            ))
            .rule(place.clone()),
    )
}
