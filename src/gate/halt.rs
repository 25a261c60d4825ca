//! Was the run ended or paused?
//!
//! A halt is the agent's: another run, another connection or ten minutes of
//! silence do not shake it off.

use super::{Facts, Gate, Tell, Verdict, moment::shown, stop};
use crate::domain::{Call, Code, Halt, HaltKind, Refusal, Stop};

pub(super) const GATE: Gate = Gate {
    name: "halt",
    check,
};

fn check(_: &Call, facts: &Facts<'_>, tell: Tell) -> Verdict {
    let now = facts.now.as_microsecond();
    match facts.halt.filter(|halt| halt.holds(now)) {
        None => tell.pass(|| "the run goes on".into()),
        Some(halt) => Verdict::Refuse(refusal(halt)),
    }
}

/// Why an agent is asked and told nothing any more: it is stopped, or was ended. A paused one
/// finishes what it has under way.
#[must_use]
pub fn silenced(stop: Option<&Stop>, halt: Option<&Halt>) -> Option<Refusal> {
    stop.map(stop::refusal).or_else(|| {
        let halt = halt?;
        match halt.kind {
            HaltKind::Killed => Some(refusal(halt)),
            HaltKind::Paused => None,
        }
    })
}

/// What a call of a halted agent hears.
#[must_use]
pub fn refusal(halt: &Halt) -> Refusal {
    let whose = format!("run `{}` of this agent", halt.run);
    let (code, says) = match halt.kind {
        HaltKind::Killed => (Code::RunKilled, format!("{whose} was ended: {}", halt.says)),
        HaltKind::Paused => (
            Code::RunPaused,
            format!("{whose} is paused until a person resumes it: {}", halt.says),
        ),
    };
    let until = halt.until;
    let until = until.and_then(|until| jiff::Timestamp::from_microsecond(until).ok());
    let ends = until.map(|until| format!(", and it ends by itself at {}", shown(until)));
    let mut refusal = Refusal::new(code, GATE.name, says).remedy(format!(
        "Do not retry; tell your user: `tollgate resume --agent {}` lifts it{}.",
        halt.agent,
        ends.unwrap_or_default()
    ));
    refusal.retry_at = until;
    refusal
}
