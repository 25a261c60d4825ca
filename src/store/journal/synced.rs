//! Waiting until a record survives a power cut.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::error::Poisoned;

/// Resolves once a record and all before it are on disk, or can't be any more.
#[must_use = "a record is durable only once this has resolved"]
pub struct Synced(State);

enum State {
    Known(Option<Result<(), Poisoned>>),
    Waiting(oneshot::Receiver<Result<(), Poisoned>>),
}

impl Synced {
    pub(super) fn known(result: Result<(), Poisoned>) -> Self {
        Self(State::Known(Some(result)))
    }

    pub(super) fn waiting(receiver: oneshot::Receiver<Result<(), Poisoned>>) -> Self {
        Self(State::Waiting(receiver))
    }

    /// Waits on a thread of its own; not for use within the runtime.
    ///
    /// # Errors
    /// When the journal is poisoned or closed before.
    pub fn wait(self) -> Result<(), Poisoned> {
        match self.0 {
            State::Known(result) => result.unwrap_or_else(|| Err(closed())),
            State::Waiting(receiver) => receiver.blocking_recv().unwrap_or_else(|_| Err(closed())),
        }
    }
}

impl Future for Synced {
    type Output = Result<(), Poisoned>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Known(result) => Poll::Ready(result.take().unwrap_or_else(|| Err(closed()))),
            State::Waiting(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|answer| answer.unwrap_or_else(|_| Err(closed()))),
        }
    }
}

fn closed() -> Poisoned {
    Poisoned("it was closed".into())
}

impl fmt::Debug for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Known(_) => "Synced(known)",
            State::Waiting(_) => "Synced(waiting)",
        })
    }
}
