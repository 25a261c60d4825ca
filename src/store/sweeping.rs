//! Which times are believed: clocks are set, by people and by mistake.

use serde::{Deserialize, Serialize};

/// Up to when what is old is forgotten.
///
/// Not up to the last record: a clock that jumps ahead has dated that one too. Up to a
/// time that records have left behind by a day without going back before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sweeping {
    /// The time up to which it was last done.
    done: i64,
    /// The time that comes next, if it proves right.
    next: i64,
}

/// So long a time must have proved right.
pub(super) const PROVEN: i64 = 24 * 3_600_000_000;

impl Sweeping {
    /// A record of this time; answers when there is something to forget, as of when.
    pub(super) fn moves_on(&mut self, at: i64) -> Option<i64> {
        if at < self.next || self.next == 0 {
            self.next = at;
            return None;
        }
        if at - self.next < PROVEN {
            return None;
        }
        self.done = self.next;
        self.next = at;
        Some(self.done)
    }
}
