//! What happened last, for the one screen.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::domain::{Call, CallId, Principal, ServerName, Subject};

/// Calls that are kept.
const KEPT: usize = 20;

/// The last calls.
#[derive(Default)]
pub(super) struct Latest(Mutex<VecDeque<Happened>>);

/// What became of a call, as it is: not made into words, and nothing taken out.
#[derive(Debug, Clone)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// Which call.
    pub call: CallId,
    /// Whose.
    pub by: Arc<Principal>,
    /// To which server.
    pub server: ServerName,
    /// What was asked of it.
    pub subject: Subject,
    /// The code of a refusal, or the word of an outcome.
    pub what: &'static str,
}

impl Latest {
    pub(super) fn add(&self, at: Timestamp, call: &Call, what: &'static str) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() >= KEPT {
            latest.pop_front();
        }
        latest.push_back(Happened {
            at,
            call: call.id.clone(),
            by: call.by.clone(),
            server: call.server.clone(),
            subject: call.subject.clone(),
            what,
        });
    }

    /// Newest first.
    pub(super) fn all(&self) -> Vec<Happened> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.iter().rev().cloned().collect()
    }
}
