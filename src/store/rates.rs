//! How fast each agent calls.
//!
//! In memory only: a start forgives what a minute would have forgiven anyway. Each
//! call takes up a stretch of time; calls may run ahead of the clock by a burst.

use super::map::Map;
use crate::domain::{AgentName, Call, Rate, Scope};

/// From how many on those that are over are forgotten.
const MANY: usize = 4096;

/// Up to when the calls so far have taken up the time of an agent, for each scope and
/// each of the rates that a call meets.
#[derive(Debug, Default)]
pub(super) struct Rates(Map<Key, i64>);

type Key = (AgentName, Scope, usize);

impl Rates {
    /// For each rate of a call when it would fit, if it does not now.
    pub(super) fn of(&mut self, call: &Call, now: i64) -> Vec<Option<i64>> {
        let wait = |(nth, rate): (usize, &Rate)| {
            let taken = self.taken(&key(call, nth, rate)?, rate, now)?;
            let burst = i64::from(rate.burst.max(1)) - 1;
            let free = taken.saturating_sub(burst.saturating_mul(rate.spacing()));
            (now < free).then_some(free)
        };
        call.claim.rates().enumerate().map(wait).collect()
    }

    /// A call was made.
    pub(super) fn take(&mut self, call: &Call, now: i64) {
        for (nth, rate) in call.claim.rates().enumerate() {
            if let Some(key) = key(call, nth, rate) {
                let taken = self.taken(&key, rate, now).unwrap_or(now).max(now);
                self.0.insert(key, taken.saturating_add(rate.spacing()));
            }
        }
        if self.0.len() > MANY {
            self.0.retain(|_, taken| *taken > now);
        }
    }

    /// What is further ahead than a burst can be was taken before the clock went back. It
    /// would keep the agent out until it is there again; it is a whole burst, taken now.
    fn taken(&mut self, key: &Key, rate: &Rate, now: i64) -> Option<i64> {
        let furthest = i64::from(rate.burst.max(1)).saturating_mul(rate.spacing());
        let taken = self.0.get_mut(key)?;
        *taken = (*taken).min(now.saturating_add(furthest));
        Some(*taken)
    }
}

/// Each rate counts for itself, also where two are of one scope: that of the tool and
/// that of its tier. Which is which follows from the order of the terms.
fn key(call: &Call, nth: usize, rate: &Rate) -> Option<Key> {
    Some((call.by.agent.clone(), Scope::of(rate.over, call)?, nth))
}
