//! Is it paid for?
//!
//! One gate for every limit: what is counted, for whom and over which time is data.

use super::{Effect, Facts, Gate, Tell, Verdict, moment::from_now, standing, unknown};
use crate::domain::{
    Amounts, Bound, Call, Code, Dimension, Ends, HaltKind, Level, Limit, Notice, NoticeKind, Over,
    Period, Refusal, Then, extend_command,
};

pub(super) const GATE: Gate = Gate {
    name: "budget",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    let ask = asked(call, facts);
    let mut limits = 0;
    let mut refused: Option<Refusal> = None;
    for (limit, level) in standing(call.claim.limits(), facts.levels) {
        let Some(level) = level else {
            return unknown(GATE, "how much of the budget is used is not known");
        };
        limits += 1;
        let asked = ask.get(limit.dimension);
        let allowed = level.allowed(limit);
        if limit.dimension.exceeds(level.total(), asked, allowed) {
            match &mut refused {
                None => refused = Some(refuse(call, facts, limit, level, asked)),
                // The first says why; the call fits once it fits into all of them.
                Some(refused) => {
                    let both = refused.retry_at.zip(moment(level.resets));
                    refused.retry_at = both.map(|(one, other)| one.max(other));
                }
            }
        }
    }
    if let Some(refused) = refused {
        return Verdict::Refuse(advised(refused, facts));
    }
    Verdict::With(
        Effect::Reserve(ask),
        tell.words(|| match limits {
            0 => "no limit is set".into(),
            _ => format!("within {limits} limits"),
        }),
    )
}

/// What the call asks for, with the step that it may begin.
fn asked(call: &Call, facts: &Facts<'_>) -> Amounts {
    let steps = u64::from(facts.begins_step);
    call.claim.ask.with(Dimension::Steps, steps)
}

fn moment(at: Option<i64>) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(at?).ok()
}

/// When it is free again is known only when all limits have been looked at.
fn advised(mut refusal: Refusal, facts: &Facts<'_>) -> Refusal {
    if let Some((at, remedy)) = refusal.retry_at.zip(refusal.remedy.as_mut()) {
        remedy.push_str(&format!(" Free again at {}.", from_now(at, facts.now)));
    }
    refusal
}

fn refuse(call: &Call, facts: &Facts<'_>, limit: &Limit, level: &Level, asked: u64) -> Refusal {
    let show = |quantity| limit.dimension.show(quantity, call.claim.currency);
    let allowed = level.allowed(limit);
    let whose = match limit.over {
        Over::Everything => String::new(),
        Over::Agent => format!(" of agent `{}`", call.by.agent),
        Over::Server => format!(" of server `{}`", call.server),
        Over::Tool => format!(" of `{}`", call.title()),
    };
    let name = limit.name();
    let says = match limit.period {
        Period::Action => format!(
            "the call asks for {}, more than the {} a call may have{whose}",
            show(asked),
            show(allowed)
        ),
        Period::Run | Period::Hour | Period::Day | Period::Month => format!(
            "{} of {} used{whose} in this {}{}",
            show(level.total()),
            show(allowed),
            limit.period.name(),
            match asked {
                0 => String::new(),
                asked => format!(", {} asked for", show(asked)),
            }
        ),
    };
    let kills = match limit.then {
        // The person who lifted the halt has seen it; ending a run again would help
        // nobody until the agent has gone on.
        Then::Kill => limit.period == Period::Action || !facts.resumed,
        Then::Refuse | Then::Ask => false,
    };
    let why = kills.then(|| says.clone());
    let (code, says) = if kills {
        (Code::RunKilled, format!("the run is ended: {says}"))
    } else {
        (Code::Budget(limit.period, limit.dimension), says)
    };
    let mut refusal = Refusal::new(code, GATE.name, says)
        .remedy(remedy(call, limit, level, asked, kills))
        .rule(limit.place.clone());
    refusal.bound = Some(Box::new(Bound {
        name: name.clone(),
        limit: show(allowed),
        used: show(level.total()),
        requested: show(asked),
    }));
    refusal.retry_at = moment(level.resets);
    refusal.ends = why.map(|says| Ends {
        kind: HaltKind::Killed,
        says,
        until: level.free_again(),
    });
    // A call that is too large by itself says nothing about the budget.
    if limit.period != Period::Action && !kills {
        refusal.notice = Some(Box::new(Notice {
            kind: NoticeKind::BudgetStop,
            about: limit.about(call),
            says: format!(
                "limit {name}{whose} stops calls: {} of {} used",
                show(level.total()),
                show(allowed)
            ),
        }));
    }
    refusal
}

fn remedy(call: &Call, limit: &Limit, level: &Level, asked: u64, kills: bool) -> String {
    if kills {
        return "Do not retry; tell your user.".into();
    }
    match limit.period {
        Period::Action => "Ask for less in one call.".into(),
        Period::Run => {
            let needed = level.total().saturating_add(asked.max(1));
            let missing = needed.saturating_sub(level.allowed(limit));
            let currency = call.claim.currency;
            let command = extend_command(&call.run, limit.dimension, limit.at, missing, currency);
            format!("Do not retry; your user can add to it: `{command}`.")
        }
        Period::Hour | Period::Day | Period::Month => {
            "Do not retry before it is free again; tell your user.".into()
        }
    }
}
