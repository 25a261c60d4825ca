//! Instances that are being started.
//!
//! A start takes seconds, and whoever asked for it may give up waiting: it goes on, for
//! the next who asks. And nobody but who starts an instance knows of it until it is in
//! its place: on every other way out its process is ended.

use std::{ops::Deref, sync::Arc};

use super::instance::Instance;
use crate::domain::ToolFault;

/// An instance that is in no place yet, and ends with this.
pub(super) struct Unplaced {
    instance: Arc<Instance>,
    is_placed: bool,
}

impl Unplaced {
    pub(super) fn new(instance: Arc<Instance>) -> Self {
        Self {
            instance,
            is_placed: false,
        }
    }

    /// It is found by others now, who end it.
    pub(super) fn placed(mut self) -> Arc<Instance> {
        self.is_placed = true;
        self.instance.clone()
    }
}

impl Deref for Unplaced {
    type Target = Arc<Instance>;

    fn deref(&self) -> &Self::Target {
        &self.instance
    }
}

impl Drop for Unplaced {
    fn drop(&mut self) {
        if !self.is_placed && self.instance.ended().is_none() {
            self.instance.end("nobody waits for it any more");
        }
    }
}

/// Starts an instance in a task of its own: who waits for it here may be gone before.
pub(super) async fn begin(
    start: impl Future<Output = Result<Arc<Instance>, ToolFault>> + Send + 'static,
) -> Result<Arc<Instance>, ToolFault> {
    tokio::spawn(start).await.unwrap_or_else(|panic| {
        tracing::error!("the start of a tool server was abandoned: {panic}");
        Err(ToolFault::NotStarted("its start was abandoned".to_owned()))
    })
}
