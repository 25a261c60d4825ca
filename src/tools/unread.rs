//! A bound on answers that nobody has taken yet.
//!
//! An agent that sends calls and does not read would otherwise have all their
//! results wait in our memory. Every large line is counted from when it was read
//! until its last slice is dropped, which is when it was written to the agent;
//! while too many bytes are out, the server is not read, and waits in its turn.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of large lines that may be out.
const UNREAD: usize = 32 * 1024 * 1024;

/// Lines below this are not counted: the number of open calls bounds them.
const SMALL: usize = 16 * 1024;

/// How long a server of many agents waits for the one that does not read.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Unread(Arc<Semaphore>);

impl Default for Unread {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(UNREAD)))
    }
}

impl Unread {
    /// Waits until `line` may be out, and counts it for as long as it is.
    /// `shared`: other agents wait as well, so not for ever.
    pub(super) async fn count(&self, line: Bytes, shared: bool) -> Bytes {
        if line.len() < SMALL {
            return line;
        }
        let Ok(share) = u32::try_from(line.len().min(UNREAD)) else {
            return line;
        };
        let share = self.0.clone().acquire_many_owned(share);
        let share = if shared {
            match tokio::time::timeout(PATIENCE, share).await {
                Ok(share) => share,
                Err(_) => return line,
            }
        } else {
            share.await
        };
        match share {
            Ok(share) => Bytes::from_owner(Counted {
                line,
                _share: share,
            }),
            // Nobody closes it.
            Err(_) => line,
        }
    }
}

struct Counted {
    line: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_waits_until_the_lines_before_it_are_gone() {
        let unread = Unread::default();
        let line = |size: usize| Bytes::from(vec![b'x'; size]);
        let first = unread.count(line(UNREAD), false).await;
        let slice = first.slice(..1);
        drop(first);
        let mut second = std::pin::pin!(unread.count(line(SMALL), false));
        let waited = tokio::time::timeout(PATIENCE * 5, &mut second).await;
        assert!(waited.is_err());
        drop(slice);
        assert_eq!(second.await.len(), SMALL);
    }

    #[tokio::test(start_paused = true)]
    async fn small_lines_and_those_of_a_shared_server_do_not_wait_for_ever() {
        let unread = Unread::default();
        let _all = unread.count(Bytes::from(vec![b'x'; UNREAD]), false).await;
        assert_eq!(unread.count(Bytes::from_static(b"{}"), false).await, "{}");
        let line = Bytes::from(vec![b'x'; SMALL]);
        assert_eq!(unread.count(line, true).await.len(), SMALL);
    }
}
