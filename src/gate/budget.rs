//! Is it paid for?
//!
//! One gate for every limit: what is counted, for whom and over which time is data.

use super::{Effect, Facts, Gate, Tell, Verdict};
use crate::domain::{
    Amounts, Bound, Call, Code, Dimension, Ends, HaltKind, Level, Limit, Notice, NoticeKind, Over,
    Period, Refusal, Then,
};

pub(super) const GATE: Gate = Gate {
    name: "budget",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    let ask = asked(call, facts);
    let mut levels = facts.levels.iter();
    let mut limits = 0;
    for limit in call.claim.limits() {
        // A limit whose level nobody knows lets nothing pass.
        let Some(level) = levels.next() else {
            let says = "how much of the budget is used is not known";
            return Verdict::Refuse(Refusal::new(Code::StateUnavailable, GATE.name, says));
        };
        limits += 1;
        let asked = ask.get(limit.dimension);
        let allowed = level.allowed(limit);
        if limit.dimension.exceeds(level.total(), asked, allowed) {
            return Verdict::Refuse(refuse(call, limit, level, asked));
        }
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

fn refuse(call: &Call, limit: &Limit, level: &Level, asked: u64) -> Refusal {
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
        Then::Kill => true,
        Then::Refuse | Then::Ask => false,
    };
    let why = kills.then(|| says.clone());
    let (code, says) = if kills {
        (Code::RunKilled, format!("the run is ended: {says}"))
    } else {
        (Code::Budget(limit.period, limit.dimension), says)
    };
    let mut refusal = Refusal::new(code, GATE.name, says)
        .remedy(remedy(call, limit))
        .rule(limit.place.clone());
    refusal.bound = Some(Box::new(Bound {
        name: name.clone(),
        limit: show(allowed),
        used: show(level.total()),
        requested: show(asked),
    }));
    refusal.retry_at = level
        .resets
        .and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
    refusal.ends = why.map(|says| Ends {
        kind: HaltKind::Killed,
        says,
        until: level.resets,
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

fn remedy(call: &Call, limit: &Limit) -> String {
    match (limit.period, limit.then) {
        (_, Then::Kill) => "Do not retry; tell your user.".into(),
        (Period::Action, Then::Refuse | Then::Ask) => "Ask for less in one call.".into(),
        (Period::Run, Then::Refuse | Then::Ask) => format!(
            "Do not retry; your user can add to it: `tollgate runs extend {}`.",
            call.run
        ),
        (Period::Hour | Period::Day | Period::Month, Then::Refuse | Then::Ask) => {
            "Do not retry before it is free again; tell your user.".into()
        }
    }
}
