//! Who stands behind an instance while it has no call: whom it may ask then, and what it
//! could not be told or could not ask.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::instance::lock;
use crate::ports::Caller;

/// See the module.
#[derive(Default)]
pub(super) struct Host {
    caller: Mutex<Option<Arc<dyn Caller>>>,
    /// It has asked while there was nobody.
    asked_in_vain: AtomicBool,
    /// The folders of its agent have changed while it was stopped.
    roots_due: AtomicBool,
}

impl Host {
    pub(super) fn is(&self, caller: Option<Arc<dyn Caller>>) {
        *lock(&self.caller) = caller;
    }

    pub(super) fn caller(&self) -> Option<Arc<dyn Caller>> {
        lock(&self.caller).clone()
    }

    /// It asks, and nobody is there to answer: what it was to learn at its start, it will not
    /// ask again.
    pub(super) fn is_missing(&self) {
        self.asked_in_vain.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_missing(&self) -> bool {
        self.asked_in_vain.load(Ordering::Relaxed)
    }

    pub(super) fn owes_news_of_roots(&self) {
        self.roots_due.store(true, Ordering::Relaxed);
    }

    /// Whether there is news for it that was kept back; it is not any more.
    pub(super) fn takes_news_of_roots(&self) -> bool {
        self.roots_due.swap(false, Ordering::Relaxed)
    }
}
