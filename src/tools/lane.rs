//! Which call a server's question belongs to.
//!
//! On stdio the wire does not say. While a server asks nothing, its calls run
//! side by side; from its first question on they run one after another, so that
//! every later question has one call it can belong to. The first one waits
//! until the calls beside it have ended, unless they all come from one
//! connection and so from one user.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::Instant,
};

use super::{deadline::Clock, instance::lock};
use crate::ports::Caller;

/// How long a question waits for the calls of the same user beside its own.
const GRACE: Duration = Duration::from_millis(500);

/// The calls that one instance is running.
pub(super) struct Lane {
    single: AtomicBool,
    gate: Semaphore,
    open: Mutex<BTreeMap<u64, Open>>,
    changed: Notify,
}

/// One running call.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) caller: Arc<dyn Caller>,
    pub(super) clock: Arc<Clock>,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            single: AtomicBool::new(false),
            gate: Semaphore::new(1),
            open: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl Lane {
    /// Whether calls run one after another.
    pub(super) fn is_single(&self) -> bool {
        self.single.load(Ordering::Relaxed)
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.gate.acquire().await.ok()
    }

    /// Marks a call as running until the guard is dropped.
    pub(super) fn enter(&self, id: u64, open: Open) -> Running<'_> {
        lock(&self.open).insert(id, open);
        Running { lane: self, id }
    }

    /// Everybody who has a call open, each connection once.
    pub(super) fn callers(&self) -> Vec<Arc<dyn Caller>> {
        let mut found: Vec<Arc<dyn Caller>> = Vec::new();
        for open in lock(&self.open).values() {
            let known = found
                .iter()
                .any(|caller| caller.connection() == open.caller.connection());
            if !known {
                found.push(open.caller.clone());
            }
        }
        found
    }

    /// Wakes who waits: a call ended, or the instance did.
    pub(super) fn changed(&self) {
        self.changed.notify_waiters();
    }

    /// The call that a question belongs to. `None` when no call is open;
    /// waits while it could be the call of more than one user.
    pub(super) async fn owner(&self) -> Option<Open> {
        self.single.store(true, Ordering::Relaxed);
        let since = Instant::now();
        loop {
            let changed = self.changed.notified();
            {
                let open = lock(&self.open);
                let mut calls = open.values();
                let first = calls.next()?;
                let one_call = open.len() == 1;
                let one_user =
                    calls.all(|other| other.caller.connection() == first.caller.connection());
                if one_call || (one_user && since.elapsed() >= GRACE) {
                    return Some(first.clone());
                }
            }
            let _ = tokio::time::timeout(GRACE, changed).await;
        }
    }
}

/// See [`Lane::enter`].
pub(super) struct Running<'a> {
    lane: &'a Lane,
    id: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.lane.open).remove(&self.id);
        self.lane.changed();
    }
}
