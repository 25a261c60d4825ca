//! Time, as a value that is handed in.
//!
//! `SystemClock` is the only place in tollgate that reads the machine's
//! clocks. Everything that judges by time takes a `Clock`, so a test can set
//! it and a replayed record meets the time it was made at.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// What time it is.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The date and time. People can set it, so it can jump either way.
    fn now(&self) -> Timestamp;

    /// Time since this clock was made. It never goes back, and nobody can set it.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where time is read; everybody else is given a Clock"
    )]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that moves only when it is told to; for tests and for replay.
#[derive(Debug)]
pub struct SetClock {
    reading: Mutex<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    now: Timestamp,
    elapsed: Duration,
}

impl SetClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            reading: Mutex::new(Reading {
                now,
                elapsed: Duration::ZERO,
            }),
        }
    }

    /// Time passes: both readings move on.
    pub fn advance(&self, by: Duration) {
        let mut reading = self.lock();
        reading.elapsed = reading.elapsed.saturating_add(by);
        // Past the end of the calendar the date stays where it is.
        if let Ok(now) = reading.now.checked_add(by) {
            reading.now = now;
        }
    }

    /// Somebody sets the date: no time passes.
    pub fn jump_to(&self, now: Timestamp) {
        self.lock().now = now;
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        // The reading is plain data: a panic elsewhere cannot leave it half made.
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_clock_moves_only_when_it_is_told_to() {
        let start = Timestamp::UNIX_EPOCH;
        let clock = SetClock::at(start);
        assert_eq!((clock.now(), clock.elapsed()), (start, Duration::ZERO));
        clock.advance(Duration::from_secs(90));
        assert_eq!(clock.now().as_second(), 90);
        assert_eq!(clock.elapsed(), Duration::from_secs(90));
    }

    #[test]
    fn setting_the_date_back_does_not_turn_back_elapsed_time() {
        let clock = SetClock::at(Timestamp::UNIX_EPOCH);
        clock.advance(Duration::from_secs(90));
        clock.jump_to(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        assert_eq!(clock.elapsed(), Duration::from_secs(90));
    }
}
