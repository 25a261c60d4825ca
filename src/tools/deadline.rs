//! How long a tool server may take.
//!
//! Two limits: without any sign of life, and in all. While a person is being
//! asked the clock stands still: their time is not the tool's.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::instance::lock;
use crate::domain::ToolFault;

/// The limits of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    idle: Duration,
    total: Duration,
}

/// One request's time.
#[derive(Debug)]
pub(super) struct Clock(Mutex<Times>);

#[derive(Debug)]
struct Times {
    /// Moved forward by the time that people take.
    start: Instant,
    last_sign: Instant,
    asking: usize,
    asked_since: Instant,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Times {
            start: now,
            last_sign: now,
            asking: 0,
            asked_since: now,
        }))
    }

    /// The server showed a sign of life.
    pub(super) fn touch(&self, now: Instant) {
        lock(&self.0).last_sign = now;
    }

    /// A person is being asked: the clock stands.
    pub(super) fn pause(&self, now: Instant) {
        let mut times = lock(&self.0);
        if times.asking == 0 {
            times.asked_since = now;
        }
        times.asking += 1;
    }

    /// The person has answered: the clock goes on.
    pub(super) fn resume(&self, now: Instant) {
        let mut times = lock(&self.0);
        times.asking = times.asking.saturating_sub(1);
        if times.asking == 0 {
            let asked = now.saturating_duration_since(times.asked_since);
            times.start += asked;
            times.last_sign = now;
        }
    }
}

impl Deadline {
    pub(super) const fn new(idle: Duration, total: Duration) -> Self {
        Self { idle, total }
    }

    /// For a request that stays open as long as its instance.
    pub(super) const FOREVER: Self = Self::new(Duration::MAX, Duration::MAX);

    /// Whether it can never be missed.
    pub(super) fn is_forever(&self) -> bool {
        self.total == Duration::MAX
    }

    /// What was missed, if a limit is reached.
    pub(super) fn missed(&self, clock: &Clock, now: Instant) -> Option<ToolFault> {
        let times = lock(&clock.0);
        if times.asking > 0 || self.is_forever() {
            return None;
        }
        if now >= times.start + self.total {
            return Some(ToolFault::Overdue(self.total));
        }
        (now >= times.last_sign + self.idle).then_some(ToolFault::Idle(self.idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_and_length_have_limits_of_their_own() {
        let deadline = Deadline::new(SECOND, 3 * SECOND);
        let start = Instant::now();
        let clock = Clock::new(start);
        assert_eq!(deadline.missed(&clock, start + SECOND / 2), None);
        assert_eq!(
            deadline.missed(&clock, start + SECOND),
            Some(ToolFault::Idle(SECOND))
        );
        clock.touch(start + SECOND);
        clock.touch(start + 5 * SECOND / 2);
        assert_eq!(deadline.missed(&clock, start + 5 * SECOND / 2), None);
        assert_eq!(
            deadline.missed(&clock, start + 3 * SECOND),
            Some(ToolFault::Overdue(3 * SECOND))
        );
    }

    #[test]
    fn a_persons_time_is_not_the_tools() {
        let deadline = Deadline::new(SECOND, 3 * SECOND);
        let start = Instant::now();
        let clock = Clock::new(start);
        clock.pause(start);
        assert_eq!(deadline.missed(&clock, start + 60 * SECOND), None);
        clock.resume(start + 60 * SECOND);
        assert_eq!(
            deadline.missed(&clock, start + 60 * SECOND + SECOND / 2),
            None
        );
        assert_eq!(
            deadline.missed(&clock, start + 61 * SECOND),
            Some(ToolFault::Idle(SECOND))
        );
    }
}
