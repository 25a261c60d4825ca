//! How fast each agent calls.
//!
//! In memory only: a start forgives what a minute would have forgiven anyway. Each
//! call takes up a stretch of time; calls may run ahead of the clock by a burst.

use std::collections::HashMap;

use crate::domain::{AgentName, Call, Rate, Scope};

/// From how many on those that are over are forgotten.
const MANY: usize = 4096;

/// Up to when the calls so far have taken up the time of an agent, for each scope.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<(AgentName, Scope), i64>);

impl Rates {
    /// For each rate of a call when it would fit, if it does not now.
    pub(super) fn of(&self, call: &Call, now: i64) -> Vec<Option<i64>> {
        let wait = |rate: &Rate| {
            let taken = self.0.get(&key(call, rate)?)?;
            let burst = i64::from(rate.burst.max(1)) - 1;
            let free = taken.saturating_sub(burst.saturating_mul(rate.spacing()));
            (now < free).then_some(free)
        };
        call.claim.rates().map(wait).collect()
    }

    /// A call was made.
    pub(super) fn take(&mut self, call: &Call, now: i64) {
        for rate in call.claim.rates() {
            if let Some(key) = key(call, rate) {
                let taken = self.0.entry(key).or_insert(now);
                *taken = (*taken).max(now).saturating_add(rate.spacing());
            }
        }
        if self.0.len() > MANY {
            self.0.retain(|_, taken| *taken > now);
        }
    }
}

/// Two rates of one scope, of the server's file and of a tier, share a counter; the
/// stricter one decides.
fn key(call: &Call, rate: &Rate) -> Option<(AgentName, Scope)> {
    Some((call.by.agent.clone(), Scope::of(rate.over, call)?))
}
