//! How soon an agent hears that it is kept back.
//!
//! Each refusal is a record. An agent that is stopped, halted or too fast, and goes on
//! calling as fast as it can, would fill the disk with them: so after the first hundred
//! it hears one a second. What it hears is the same, and nothing of it is left out of
//! the record.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::answer::No;
use crate::{
    domain::{AgentName, Call},
    ports::Caller,
};

/// So many at once.
const AT_ONCE: u32 = 100;
/// And then one in this time.
const EACH: Duration = Duration::from_secs(1);
/// However many it sends at the same time, none waits for longer.
const LONGEST: Duration = Duration::from_secs(20);
/// With so many agents, those that have been quiet are forgotten.
const MANY: usize = 1_000;

/// For each agent the moment up to which it has used what it may hear.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<HashMap<AgentName, Duration>>);

impl Patience {
    /// Keeps an agent waiting that is refused whatever it does. Not one that has gone.
    pub(super) async fn wait(&self, no: &No, call: &Call, caller: &dyn Caller, now: Duration) {
        let No::Refused(refusal) = no else { return };
        if !refusal.code.keeps_back() {
            return;
        }
        let wait = self.told(&call.by.agent, now);
        if !wait.is_zero() {
            tokio::select! {
                _ = caller.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// It will be told once more; how long that takes.
    fn told(&self, agent: &AgentName, now: Duration) -> Duration {
        let mut agents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if agents.len() >= MANY {
            agents.retain(|_, used| *used > now);
        }
        let used = agents.entry(agent.clone()).or_default();
        let free = now + EACH * (AT_ONCE - 1);
        let wait = used.saturating_sub(free).min(LONGEST);
        *used = ((*used).max(now) + EACH).min(free + LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> AgentName {
        AgentName::parse(name).unwrap()
    }

    #[test]
    fn a_hundred_are_told_at_once_and_then_one_a_second() {
        let patience = Patience::default();
        let start = Duration::from_secs(1_000);
        for _ in 0..AT_ONCE {
            assert_eq!(patience.told(&agent("bot"), start), Duration::ZERO);
        }
        // One that waits for each answer.
        let mut now = start;
        for _ in 0..5 {
            let wait = patience.told(&agent("bot"), now);
            assert_eq!(wait, EACH);
            now += wait;
        }
        assert_eq!(patience.told(&agent("other"), now), Duration::ZERO);
        // Who was quiet may be told as many again.
        now += EACH * AT_ONCE;
        for _ in 0..AT_ONCE {
            assert_eq!(patience.told(&agent("bot"), now), Duration::ZERO);
        }
        assert_eq!(patience.told(&agent("bot"), now), EACH);
    }

    #[test]
    fn many_at_the_same_time_do_not_wait_for_ever() {
        let patience = Patience::default();
        let now = Duration::from_secs(1_000);
        let waits: Vec<_> = (0..5_000)
            .map(|_| patience.told(&agent("bot"), now))
            .collect();
        assert_eq!(waits.iter().max(), Some(&LONGEST));
        // And it is not held against it for longer either.
        let later = now + LONGEST + EACH * AT_ONCE;
        assert_eq!(patience.told(&agent("bot"), later), Duration::ZERO);
    }

    #[test]
    fn agents_that_have_been_quiet_are_forgotten() {
        let patience = Patience::default();
        for n in 0..3 * MANY as u64 {
            patience.told(&agent(&format!("a{n}")), Duration::from_secs(n));
        }
        assert!(patience.0.lock().unwrap().len() <= MANY);
    }
}
