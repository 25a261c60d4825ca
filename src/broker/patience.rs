//! How often an agent is refused before it has to wait.
//!
//! Each refusal is a record. An agent that is refused and goes on calling as fast as it
//! can would fill the disk with them: so after the first thousand one a second is judged
//! and recorded, however many connections it has. The others wait for their turn, and
//! what is cancelled meanwhile was never judged.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{Answer, Broker, under_way::Open};
use crate::{
    domain::{AgentName, Call, ToolFault},
    wire::rpc,
};

/// So many at once.
const AT_ONCE: u32 = 1_000;
/// And then one in this time.
const EACH: Duration = Duration::from_secs(1);
/// So many may wait for their turn.
const WAITING: u32 = 20;
/// With so many agents, those that have been quiet are forgotten.
const MANY: usize = 1_000;

/// For each agent the moment up to which it has used what it may be refused.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<HashMap<AgentName, Duration>>);

/// When a refusal may be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Now,
    In(Duration),
    /// Too many wait already.
    Never,
}

impl Patience {
    /// Whether the next refusal has to wait.
    fn is_used_up(&self, agent: &AgentName, now: Duration) -> bool {
        let agents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        agents.get(agent).is_some_and(|used| *used > free(now))
    }

    /// One more will be recorded.
    fn turn(&self, agent: &AgentName, now: Duration) -> Turn {
        let mut agents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if agents.len() >= MANY {
            agents.retain(|_, used| *used > now);
        }
        let used = agents.entry(agent.clone()).or_default();
        let wait = used.saturating_sub(free(now));
        if wait > EACH * WAITING {
            return Turn::Never;
        }
        *used = (*used).max(now) + EACH;
        match wait {
            Duration::ZERO => Turn::Now,
            wait => Turn::In(wait),
        }
    }
}

/// Up to where it may be used without waiting.
fn free(now: Duration) -> Duration {
    now + EACH * (AT_ONCE - 1)
}

/// Whether the turn of a refusal was taken before the call was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    Yes,
    No,
}

impl Broker {
    /// Has an agent wait that was refused very often, if this call would be refused too.
    ///
    /// # Errors
    /// When it is not judged at all: it was cancelled meanwhile, or too many wait.
    pub(super) async fn be_patient(
        &self,
        call: &Call,
        open: &Open<'_>,
    ) -> Result<Waited, TurnedAway> {
        if !self.is_refused(call) {
            return Ok(Waited::No);
        }
        match self.patience.turn(&call.by.agent, self.clock.elapsed()) {
            Turn::Now => Ok(Waited::Yes),
            Turn::In(wait) => tokio::select! {
                biased;
                reason = open.caller().cancelled() => match open.stopped() {
                    // It hears of that stop.
                    Some(_) => Ok(Waited::Yes),
                    None => Err(TurnedAway::Cancelled(reason)),
                },
                () = tokio::time::sleep(wait) => Ok(Waited::Yes),
            },
            Turn::Never => Err(TurnedAway::TooOften),
        }
    }

    /// Whether an agent has to wait for the next refusal.
    pub(super) fn is_patience_used_up(&self, call: &Call) -> bool {
        self.patience
            .is_used_up(&call.by.agent, self.clock.elapsed())
    }

    /// A refusal was recorded.
    pub(super) fn refused(&self, call: &Call, waited: Waited) {
        match waited {
            Waited::Yes => {}
            Waited::No => {
                self.patience.turn(&call.by.agent, self.clock.elapsed());
            }
        }
    }
}

/// Why a call of an agent that is refused all the time is not judged.
#[derive(Debug)]
pub(super) enum TurnedAway {
    Cancelled(String),
    TooOften,
}

impl TurnedAway {
    pub(super) fn answer(self, call: Call) -> Answer {
        match self {
            TurnedAway::Cancelled(reason) => Answer::Failed {
                call: Box::new(call),
                fault: ToolFault::Cancelled(reason),
                paid: None,
            },
            TurnedAway::TooOften => Answer::Wrong {
                code: rpc::INTERNAL,
                says: format!(
                    "refused more than {AT_ONCE} times, and {WAITING} more calls wait for theirs: wait for an answer"
                ),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> AgentName {
        AgentName::parse(name).unwrap()
    }

    fn used_up(at: Duration) -> Patience {
        let patience = Patience::default();
        for _ in 0..AT_ONCE {
            assert!(!patience.is_used_up(&agent("bot"), at));
            assert_eq!(patience.turn(&agent("bot"), at), Turn::Now);
        }
        assert!(patience.is_used_up(&agent("bot"), at));
        patience
    }

    #[test]
    fn a_thousand_are_refused_at_once_and_then_one_a_second() {
        let mut now = Duration::from_secs(10_000);
        let patience = used_up(now);
        // One that waits for each answer.
        for _ in 0..5 {
            assert_eq!(patience.turn(&agent("bot"), now), Turn::In(EACH));
            now += EACH;
        }
        assert_eq!(patience.turn(&agent("other"), now), Turn::Now);
        // Who was quiet may be refused as many again.
        now += EACH * AT_ONCE;
        for _ in 0..AT_ONCE {
            assert_eq!(patience.turn(&agent("bot"), now), Turn::Now);
        }
        assert_eq!(patience.turn(&agent("bot"), now), Turn::In(EACH));
    }

    #[test]
    fn many_at_the_same_time_wait_one_behind_the_other_and_the_rest_is_turned_away() {
        let now = Duration::from_secs(10_000);
        let patience = used_up(now);
        for nth in 1..=WAITING {
            assert_eq!(patience.turn(&agent("bot"), now), Turn::In(EACH * nth));
        }
        for _ in 0..5_000 {
            assert_eq!(patience.turn(&agent("bot"), now), Turn::Never);
        }
        // Which is not held against it.
        assert_eq!(
            patience.turn(&agent("bot"), now + EACH),
            Turn::In(EACH * WAITING)
        );
    }

    #[test]
    fn agents_that_have_been_quiet_are_forgotten() {
        let patience = Patience::default();
        for n in 0..3 * MANY as u64 {
            patience.turn(&agent(&format!("a{n}")), Duration::from_secs(n));
        }
        assert!(patience.0.lock().unwrap().len() <= MANY);
    }
}
