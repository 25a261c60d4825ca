//! Does the agent do the same again and again?

use super::{Facts, Gate, Tell, Verdict, moment::from_now};
use crate::domain::{Call, Code, Ends, HaltKind, Loops, Notice, NoticeKind, Refusal, Streaks};

pub(super) const GATE: Gate = Gate {
    name: "loop",
    check,
};

fn check(call: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    let Some(rule) = call.claim.loops(call.tier) else {
        return tell.pass(|| "nothing counts as a loop".into());
    };
    let streaks = &facts.streaks;
    // After errors the agent may try again once it has paused; after repetitions it has
    // to do something else.
    let pause_ends = pause_ends(rule, streaks);
    let ways = [
        (
            rule.same,
            streaks.same,
            "times the same call in a row",
            None,
        ),
        (
            rule.repeated,
            streaks.repeated,
            "times the same call within a short time",
            None,
        ),
        (
            rule.pairs,
            streaks.pairs,
            "times the same two calls in turn",
            None,
        ),
        (
            rule.errors,
            streaks.errors,
            "calls in a row that failed or were refused",
            Some(pause_ends),
        ),
    ];
    // A kill counts more than a refusal, whichever comes first in the list.
    for (threshold, count, what, _) in ways {
        if threshold.kill.is_some_and(|kill| count >= kill) {
            return Verdict::Refuse(killed(rule, count, what));
        }
    }
    let now = facts.now.as_microsecond();
    for (threshold, count, what, until) in ways {
        let reached = threshold.refuse.is_some_and(|refuse| count >= refuse);
        if reached && until.is_none_or(|until| now < until) {
            return Verdict::Refuse(refused(call, facts, rule, count, what, until));
        }
    }
    tell.pass(|| format!("{} of this call in a row", streaks.same))
}

fn pause_ends(rule: &Loops, streaks: &Streaks) -> i64 {
    let pause = i64::try_from(rule.pause.as_micros()).unwrap_or(i64::MAX);
    streaks.last_error.saturating_add(pause)
}

/// `until` is when a pause is over, where one is asked for.
fn refused(
    call: &Call,
    facts: &Facts<'_>,
    rule: &Loops,
    count: u32,
    what: &str,
    until: Option<i64>,
) -> Refusal {
    let until = until.and_then(|until| jiff::Timestamp::from_microsecond(until).ok());
    let mut refusal = Refusal::new(Code::Loop, GATE.name, format!("{count} {what}"))
        .remedy(match until {
            Some(until) => format!(
                "Pause until {}, then try something else; going on like this ends the run.",
                from_now(until, facts.now)
            ),
            None => "Do something else; going on like this ends the run.".to_owned(),
        })
        .rule(rule.place.clone());
    refusal.retry_at = until;
    refusal.notice = Some(Box::new(Notice {
        kind: NoticeKind::Loop,
        about: format!("loop {} {}", call.by.agent, call.run),
        says: format!("agent `{}` is in a loop: {count} {what}", call.by.agent),
    }));
    refusal
}

fn killed(rule: &Loops, count: u32, what: &str) -> Refusal {
    let mut refusal = Refusal::new(
        Code::RunKilled,
        GATE.name,
        format!("the run is ended as a loop: {count} {what}"),
    )
    .remedy("Do not retry; tell your user.")
    .rule(rule.place.clone());
    refusal.ends = Some(Ends {
        kind: HaltKind::Killed,
        says: format!("a loop, {count} {what}"),
        until: None,
    });
    refusal
}
