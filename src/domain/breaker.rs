//! Circuit breakers: a tool or a server that fails is left alone for a while.

use std::time::Duration;

use super::{Over, Place};

/// When a breaker opens and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerRule {
    /// Of the server or of the tool.
    pub over: Over,
    /// So many failures …
    pub failures: u32,
    /// … within this time open it.
    pub within: Duration,
    /// After this time one call may try.
    pub cooldown: Duration,
    /// Whether a tool that says it failed counts as a failure.
    pub errors: bool,
    /// Where it is written; none for what holds without a line.
    pub place: Option<Place>,
}

impl BreakerRule {
    /// The most failures that are remembered of one tool or server …
    pub const REMEMBERED: usize = 64;

    /// … and for how long.
    pub const KEPT: Duration = Duration::from_secs(24 * 3600);

    /// What holds without a line.
    #[must_use]
    pub const fn usual(over: Over) -> Self {
        Self {
            over,
            failures: 3,
            within: Duration::from_secs(60),
            cooldown: Duration::from_secs(60),
            errors: false,
            place: None,
        }
    }
}

/// How a breaker stands for a call that comes now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Circuit {
    /// Calls pass.
    #[default]
    Closed,
    /// Nothing passes until then: microseconds since 1970, and why.
    Open(i64, String),
    /// One call is trying; others wait for what becomes of it.
    Probing,
    /// The next call may try.
    HalfOpen,
}
