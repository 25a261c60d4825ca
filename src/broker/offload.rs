//! Work that is done beside the runtime, which has one thread: what takes longer than
//! others can wait for.
//!
//! A few threads at most, and each is given work that has an end.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

/// So much is done at a time: it keeps a core busy, and what it looks at in memory.
const SEATS: usize = 2;

/// How long a call may wait for its turn and its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Offload {
    seats: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Offload {
    fn default() -> Self {
        Self {
            seats: Arc::new(Semaphore::new(SEATS)),
            patience: PATIENCE,
        }
    }
}

impl Offload {
    /// What comes of some work; nothing when it takes too long.
    pub(super) async fn done<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let done = async {
            let seat = self.seats.clone().acquire_owned().await.ok()?;
            let work = tokio::task::spawn_blocking(move || {
                let _seat = seat;
                work()
            });
            work.await.ok()
        };
        tokio::time::timeout(self.patience, done).await.ok()?
    }
}

impl std::fmt::Debug for Offload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} seats", self.seats.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn one_seat(patience: Duration) -> Offload {
        Offload {
            seats: Arc::new(Semaphore::new(1)),
            patience,
        }
    }

    /// No thread outlives its test.
    const END: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn others_go_on_while_something_is_measured() {
        let offload = one_seat(END);
        let (told, tell) = mpsc::channel();
        // On one thread: were it the one that works, nobody would tell.
        let (done, ()) = tokio::join!(offload.done(move || tell.recv_timeout(END)), async {
            tokio::task::yield_now().await;
            told.send(7).unwrap();
        });
        assert_eq!(done, Some(Ok(7)));
    }

    #[tokio::test]
    async fn what_takes_too_long_is_not_waited_for_and_takes_no_second_thread() {
        let offload = one_seat(Duration::from_millis(20));
        let (told, tell) = mpsc::channel::<()>();
        assert_eq!(offload.done(move || tell.recv_timeout(END)).await, None);
        assert_eq!(offload.done(|| ()).await, None);
        drop(told);
        let _free = offload.seats.acquire().await.unwrap();
    }
}
