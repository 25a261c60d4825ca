//! Are the tool and its server well enough to be called?

use super::{Effect, Facts, Gate, Tell, Verdict, moment::shown, standing, unknown};
use crate::domain::{BreakerRule, Call, Circuit, Code, Over, Refusal};

pub(super) const GATE: Gate = Gate {
    name: "breaker",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    let mut probes = Vec::new();
    for (rule, circuit) in standing(call.claim.breakers(), facts.circuits) {
        let Some(circuit) = circuit else {
            return unknown(GATE, "whether it has failed lately is not known");
        };
        match circuit {
            Circuit::Closed => {}
            Circuit::HalfOpen => probes.push(rule.over),
            Circuit::Probing => {
                let says = format!("{} is being tried again by one call", what(call, rule));
                let refusal = Refusal::new(Code::CircuitOpen, GATE.name, says)
                    .remedy("Wait a moment, then call again.")
                    .rule(rule.place.clone());
                return Verdict::Refuse(refusal);
            }
            Circuit::Open(until, why) => return Verdict::Refuse(open(call, rule, *until, why)),
        }
    }
    if probes.is_empty() {
        tell.pass(|| "closed".into())
    } else {
        Verdict::With(
            Effect::Probe(probes),
            tell.words(|| "this call tries whether it works again".into()),
        )
    }
}

fn what(call: &Call, rule: &BreakerRule) -> String {
    match rule.over {
        Over::Tool => format!("tool `{}`", call.subject.name()),
        Over::Server => format!("server `{}`", call.server),
        Over::Agent => format!("agent `{}`", call.by.agent),
        Over::Everything => "everything".to_owned(),
    }
}

fn open(call: &Call, rule: &BreakerRule, until: i64, why: &str) -> Refusal {
    let at = jiff::Timestamp::from_microsecond(until).ok();
    let when = at
        .map(|at| format!(" until {}", shown(at)))
        .unwrap_or_default();
    let says = format!("{} is left alone{when}: {why}", what(call, rule));
    let mut refusal = Refusal::new(Code::CircuitOpen, GATE.name, says)
        .remedy("Do not retry before that; use another tool or tell your user.")
        .rule(rule.place.clone());
    refusal.retry_at = at;
    refusal
}
