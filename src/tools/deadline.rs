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

    /// Answers when a limit is reached.
    pub(super) async fn missed(&self, clock: &Clock) -> ToolFault {
        loop {
            let now = Instant::now();
            let next = {
                let times = lock(&clock.0);
                if times.asking > 0 {
                    now + self.idle
                } else {
                    let idle = times.last_sign + self.idle;
                    let total = times.start + self.total;
                    if now >= total {
                        return ToolFault::Overdue(self.total);
                    }
                    if now >= idle {
                        return ToolFault::Idle(self.idle);
                    }
                    idle.min(total)
                }
            };
            tokio::time::sleep_until(next).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_and_length_have_limits_of_their_own() {
        let deadline = Deadline::new(SECOND, 3 * SECOND);
        let start = Instant::now();
        assert_eq!(
            deadline.missed(&Clock::new(start)).await,
            ToolFault::Idle(SECOND)
        );
        assert_eq!(start.elapsed(), SECOND);

        let start = Instant::now();
        let clock = Clock::new(start);
        let lively = async {
            loop {
                tokio::time::sleep(SECOND / 2).await;
                clock.touch(Instant::now());
            }
        };
        tokio::select! {
            fault = deadline.missed(&clock) => assert_eq!(fault, ToolFault::Overdue(3 * SECOND)),
            () = lively => {}
        }
        assert_eq!(start.elapsed(), 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_persons_time_is_not_the_tools() {
        let deadline = Deadline::new(SECOND, 3 * SECOND);
        let start = Instant::now();
        let clock = Clock::new(start);
        let asked = async {
            clock.pause(Instant::now());
            tokio::time::sleep(60 * SECOND).await;
            clock.resume(Instant::now());
            std::future::pending::<()>().await;
        };
        tokio::select! {
            fault = deadline.missed(&clock) => assert_eq!(fault, ToolFault::Idle(SECOND)),
            () = asked => {}
        }
        assert!(start.elapsed() >= 61 * SECOND);
    }
}
