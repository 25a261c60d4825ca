//! Does the agent do the same again and again?

use super::{Facts, Gate, Tell, Verdict};
use crate::domain::{
    Call, Code, Ends, HaltKind, Loops, Notice, NoticeKind, Refusal, Streaks, Threshold,
};

pub(super) const GATE: Gate = Gate {
    name: "loop",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    let Some(rule) = call.claim.loops(call.tier) else {
        return tell.pass(|| "nothing counts as a loop".into());
    };
    let streaks = &facts.streaks;
    let ways = [
        (rule.same, streaks.same, "the same call in a row"),
        (
            rule.repeated,
            streaks.repeated,
            "the same call within a short time",
        ),
        (rule.pairs, streaks.pairs, "the same two calls in turn"),
        // With this call, if it fails as well.
        (rule.errors, streaks.errors, "calls in a row that failed"),
    ];
    // A kill counts more than a refusal, whichever comes first in the list.
    for (threshold, count, what) in ways {
        if threshold.kill.is_some_and(|kill| count >= kill) {
            return Verdict::Refuse(killed(rule, count, what));
        }
    }
    for (threshold, count, what) in ways {
        if refuses(threshold, count) && !(what.ends_with("failed") && paused(rule, streaks, facts))
        {
            return Verdict::Refuse(refused(call, rule, streaks, count, what));
        }
    }
    tell.pass(|| format!("{} of this call in a row", streaks.same))
}

fn refuses(threshold: Threshold, count: u32) -> bool {
    threshold.refuse.is_some_and(|refuse| count >= refuse)
}

/// After errors the agent may try again once it has paused.
fn paused(rule: &Loops, streaks: &Streaks, facts: &Facts<'_>) -> bool {
    facts.now.as_microsecond() >= pause_ends(rule, streaks)
}

fn pause_ends(rule: &Loops, streaks: &Streaks) -> i64 {
    let pause = i64::try_from(rule.pause.as_micros()).unwrap_or(i64::MAX);
    streaks.last_error.saturating_add(pause)
}

fn refused(call: &Call, rule: &Loops, streaks: &Streaks, count: u32, what: &str) -> Refusal {
    let failing = what.ends_with("failed");
    let mut refusal = Refusal::new(Code::Loop, GATE.name, format!("{count} times {what}"))
        .remedy(if failing {
            "Pause, then try something else; going on like this ends the run."
        } else {
            "Do something else; going on like this ends the run."
        })
        .rule(rule.place.clone());
    if failing {
        refusal.retry_at = jiff::Timestamp::from_microsecond(pause_ends(rule, streaks)).ok();
    }
    refusal.notice = Some(Box::new(Notice {
        kind: NoticeKind::Loop,
        about: format!("loop {} {}", call.by.agent, call.run),
        says: format!(
            "agent `{}` is in a loop: {count} times {what}",
            call.by.agent
        ),
    }));
    refusal
}

fn killed(rule: &Loops, count: u32, what: &str) -> Refusal {
    let mut refusal = Refusal::new(
        Code::RunKilled,
        GATE.name,
        format!("the run is ended as a loop: {count} times {what}"),
    )
    .remedy("Do not retry; tell your user.")
    .rule(rule.place.clone());
    refusal.ends = Some(Ends {
        kind: HaltKind::Killed,
        says: format!("a loop, {count} times {what}"),
        until: None,
    });
    refusal
}
