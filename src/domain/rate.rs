//! Rates: so many calls in a time, a burst allowed.

use std::time::Duration;

use super::{Over, Place};

/// One rate. It is kept for each agent by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Of all the agent's calls, those to the server, or those of the tool.
    pub over: Over,
    /// So many calls …
    pub calls: u32,
    /// … in this time.
    pub per: Duration,
    /// So many at once.
    pub burst: u32,
    /// Where it is written; none for what holds without a line.
    pub place: Option<Place>,
}

impl Rate {
    /// The most new runs that are remembered of one agent.
    pub const RUNS: usize = 48;

    /// The time that one call takes up, in microseconds.
    #[must_use]
    pub fn spacing(&self) -> i64 {
        let per = i64::try_from(self.per.as_micros()).unwrap_or(i64::MAX);
        per / i64::from(self.calls.max(1))
    }
}
