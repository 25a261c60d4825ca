//! Does the agent call, or begin runs, faster than it may?

use super::{Facts, Gate, Tell, Verdict, moment::from_now, standing, unknown};
use crate::domain::{Call, Code, Rate, Refusal};

pub(super) const GATE: Gate = Gate {
    name: "rate",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    if let Some(at) = facts.new_run_at {
        let rule = call.claim.runs();
        let says = match rule {
            Some(rule) => format!("the agent has begun {} runs in a short time", rule.calls),
            None => "the agent has begun many runs in a short time".to_owned(),
        };
        let remedy = "Go on in a run that exists, or begin one";
        let place = rule.and_then(|rate| rate.place.clone());
        return refuse(facts, says, remedy, at, place);
    }
    for (rate, wait) in standing(call.claim.rates(), facts.rates) {
        let Some(wait) = wait else {
            return unknown(GATE, "how fast the agent has called is not known");
        };
        if let Some(at) = wait {
            let says = format!("more than {}", shown(rate));
            return refuse(
                facts,
                says,
                "Wait, then call again",
                *at,
                rate.place.clone(),
            );
        }
    }
    tell.pass(|| match call.claim.rates().count() {
        0 => "no rate is set".into(),
        _ => "slow enough".into(),
    })
}

fn refuse(
    facts: &Facts<'_>,
    says: String,
    remedy: &str,
    at: i64,
    place: Option<crate::domain::Place>,
) -> Verdict {
    let at = jiff::Timestamp::from_microsecond(at).ok();
    let from = at.map(|at| format!(", from {} on", from_now(at, facts.now)));
    let mut refusal = Refusal::new(Code::RateLimited, GATE.name, says)
        .remedy(format!("{remedy}{}.", from.unwrap_or_default()))
        .rule(place);
    refusal.retry_at = at;
    Verdict::Refuse(refusal)
}

fn shown(rate: &Rate) -> String {
    let per = match rate.per.as_secs() {
        1 => "a second".to_owned(),
        60 => "a minute".to_owned(),
        3600 => "an hour".to_owned(),
        seconds => format!("in {seconds} s"),
    };
    format!("{} calls {per}", rate.calls)
}
