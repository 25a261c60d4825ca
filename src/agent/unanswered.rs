//! A bound on the bytes of the requests that one connection of an agent has open.
//!
//! How many it may have open is bounded, and how long each may be; both together
//! would still be sixteen gibibytes. While too much is open the agent is not read
//! there. How many connections an agent has is bounded by nobody.
//!
//! Nor is then what it sends behind that: a cancel, its end. So the wait must have
//! an end of its own, and has: deadlines end calls whether or not we read. What
//! has no deadline must not be waited for. A call that waits for its agent has
//! none for that long, and what it waits for may be the very line that is not
//! read: then the request is refused instead. A stream, which is open for ever,
//! is not counted here: its addresses are, for as long as they are kept (`listen.rs`).
//! Nor is what cancels a request, of which little is kept (`dispatch.rs`).

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of requests that one connection may have open.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Requests below this are not counted: their number is bounded.
const SMALL: usize = 16 * 1024;

/// How often who waits looks whether anything is waited for in turn.
const LOOK: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug)]
pub(super) struct Unanswered(Arc<Semaphore>);

/// The bytes of one request, until its call has ended. Not until its answer is
/// written: an agent may send all it has before it reads anything, and would then
/// wait for us as we for it. A small one has none.
#[derive(Debug, Default)]
pub(super) struct Share {
    bytes: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Whether the request is large enough to be counted.
    pub(super) fn counts(&self) -> bool {
        self.bytes.is_some()
    }
}

impl Default for Unanswered {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BYTES)))
    }
}

impl Unanswered {
    /// Waits until so many bytes more may be open. `None` if they may not, because
    /// something waits for the agent.
    pub(super) async fn share(&self, bytes: usize, waits: impl Fn() -> bool) -> Option<Share> {
        if bytes < SMALL {
            return Some(Share::default());
        }
        let count = u32::try_from(bytes.min(MAX_BYTES)).ok()?;
        loop {
            let share = self.0.clone().acquire_many_owned(count);
            match tokio::time::timeout(LOOK, share).await {
                Ok(share) => {
                    return Some(Share {
                        bytes: Some(share.ok()?),
                    });
                }
                Err(_) if waits() => return None,
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_until_those_before_it_are_answered_and_small_ones_do_not() {
        let open = Unanswered::default();
        let idle = || false;
        let half = MAX_BYTES / 2;
        let (first, second) = (open.share(half, idle).await, open.share(half, idle).await);
        let mut third = std::pin::pin!(open.share(SMALL, idle));
        let waited = tokio::time::timeout(Duration::from_secs(3600), &mut third).await;
        assert!(waited.is_err());
        assert!(open.share(SMALL - 1, idle).await.is_some());
        drop(second);
        assert!(third.await.is_some());
        drop(first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_refused_as_soon_as_something_waits_for_the_agent() {
        let open = Unanswered::default();
        let asked = AtomicBool::new(false);
        let _all = open.share(MAX_BYTES, || false).await;
        let mut next = std::pin::pin!(open.share(SMALL, || asked.load(Ordering::Relaxed)));
        let waited = tokio::time::timeout(Duration::from_secs(3600), &mut next).await;
        assert!(waited.is_err());
        asked.store(true, Ordering::Relaxed);
        let refused = tokio::time::timeout(Duration::from_secs(1), next).await;
        assert!(refused.unwrap().is_none());
    }
}
