//! Loops: an agent that does the same again and again.

use std::time::Duration;

use super::Place;

/// From which repetition on a call is refused, and from which on the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// The call of this number is refused, and those after it.
    pub refuse: Option<u32>,
    /// The call of this number ends the run.
    pub kill: Option<u32>,
}

impl Threshold {
    /// Never.
    pub const NONE: Threshold = Threshold {
        refuse: None,
        kill: None,
    };

    const fn at(refuse: u32, kill: u32) -> Self {
        Self {
            refuse: Some(refuse),
            kill: Some(kill),
        }
    }
}

/// What counts as a loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loops {
    /// The same tool with the same arguments, in a row.
    pub same: Threshold,
    /// The same tool with the same arguments within `window`, whatever else
    /// happens in between.
    pub repeated: Threshold,
    /// See `repeated`.
    pub window: Duration,
    /// Two calls in turn: this many pairs.
    pub pairs: Threshold,
    /// Calls that failed or were refused, with none in between that succeeded.
    pub errors: Threshold,
    /// How long an agent has to pause after so many errors.
    pub pause: Duration,
    /// Where it is written; none for what holds without a line.
    pub place: Option<Place>,
}

impl Loops {
    /// What holds without a line.
    pub const USUAL: Loops = Loops {
        same: Threshold::at(10, 50),
        repeated: Threshold::at(30, 90),
        window: Duration::from_secs(600),
        pairs: Threshold::at(10, 30),
        errors: Threshold::at(20, 60),
        pause: Duration::from_secs(60),
        place: None,
    };

    /// No limits at all.
    pub const NONE: Loops = Loops {
        same: Threshold::NONE,
        repeated: Threshold::NONE,
        window: Duration::from_secs(600),
        pairs: Threshold::NONE,
        errors: Threshold::NONE,
        pause: Duration::from_secs(60),
        place: None,
    };

    /// The most repetitions within the window that are remembered.
    pub const REMEMBERED: usize = 96;
}

/// What an agent has done lately, with the call that comes now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streaks {
    /// The same call in a row.
    pub same: u32,
    /// The same call within the window of the rule.
    pub repeated: u32,
    /// Pairs of calls in turn.
    pub pairs: u32,
    /// Errors before this call.
    pub errors: u32,
    /// When the last of them was: microseconds since 1970.
    pub last_error: i64,
}
