//! What is kept back for calls that are under way, and how long tools have worked on them.

use super::change::OpenCall;
use crate::domain::{Amounts, Dimension};

/// How long a tool has worked on a call, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Since then.
    Since(i64),
    /// So long, until it asked the call's agent something: it waits for the answer.
    For(i64),
}

impl Work {
    /// By now.
    pub(super) fn by(self, now: i64) -> i64 {
        match self {
            Work::Since(then) => now.saturating_sub(then),
            Work::For(so_long) => so_long,
        }
    }

    /// It began by now.
    pub(super) fn from(self, now: i64) -> Self {
        match self {
            Work::Since(then) => Work::Since(then.min(now)),
            Work::For(so_long) => Work::For(so_long.max(0)),
        }
    }

    /// From now on it waits for an answer, or works.
    pub(super) fn turns(self, waits: bool, now: i64) -> Self {
        let so_long = self.by(now);
        match waits {
            true => Work::For(so_long),
            false => Work::Since(now.saturating_sub(so_long)),
        }
    }
}

/// See the module. Follows from the open calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pending {
    reserved: Amounts,
    pub(super) open: u32,
    /// How many are worked on, and the sum of the moments since which they are.
    working: u32,
    since: i128,
    /// How long the others were, together.
    worked: i128,
}

impl Pending {
    pub(super) fn open(&mut self, open: &OpenCall) {
        self.reserved.add(&open.charge);
        self.open += 1;
        self.add(Work::Since(open.at));
    }

    /// More is kept back for one of them.
    pub(super) fn more(&mut self, more: &Amounts) {
        self.reserved.add(more);
    }

    pub(super) fn close(&mut self, open: &OpenCall, work: Work) {
        self.reserved.subtract(&open.charge);
        self.open = self.open.saturating_sub(1);
        self.subtract(work);
    }

    /// What is known of the work on one of them is something else now.
    pub(super) fn turn(&mut self, before: Work, now: Work) {
        self.subtract(before);
        self.add(now);
    }

    /// Of one dimension. Time is not kept back: it is what they have worked by now.
    pub(super) fn of(&self, dimension: Dimension, now: i64) -> u64 {
        match dimension {
            Dimension::Time => {
                let working = i128::from(now) * i128::from(self.working) - self.since;
                u64::try_from(working + self.worked).unwrap_or(0)
            }
            Dimension::Elapsed => 0,
            Dimension::Steps
            | Dimension::Calls
            | Dimension::Cost
            | Dimension::Amount
            | Dimension::Count
            | Dimension::Bytes
            | Dimension::Tokens => self.reserved.get(dimension),
        }
    }

    fn add(&mut self, work: Work) {
        match work {
            Work::Since(then) => {
                self.working += 1;
                self.since += i128::from(then);
            }
            Work::For(so_long) => self.worked += i128::from(so_long),
        }
    }

    fn subtract(&mut self, work: Work) {
        match work {
            Work::Since(then) => {
                self.working = self.working.saturating_sub(1);
                self.since -= i128::from(then);
            }
            Work::For(so_long) => self.worked -= i128::from(so_long),
        }
    }
}
