//! A run that was ended or paused by tollgate itself.

use super::{AgentName, RunId};

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HaltKind {
    /// Over: a limit that kills, or a loop.
    Killed,
    /// Waiting for a person: it spends much faster than it used to.
    Paused,
}

impl HaltKind {
    /// The word in records and lists.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            HaltKind::Killed => "killed",
            HaltKind::Paused => "paused",
        }
    }
}

/// A halt in force. It is the agent's, whatever run it names next, until a person
/// lifts it or its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// Which.
    pub kind: HaltKind,
    /// Whose.
    pub agent: AgentName,
    /// In which run it happened.
    pub run: RunId,
    /// When: microseconds since 1970.
    pub at: i64,
    /// Until when it holds by itself.
    pub until: Option<i64>,
    /// Why, as a fragment.
    pub says: String,
}

impl Halt {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What a refusal does to the run beside refusing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// Killed or paused.
    pub kind: HaltKind,
    /// Why, as a fragment.
    pub says: String,
    /// Until when by itself: microseconds since 1970; none for a day.
    pub until: Option<i64>,
}
