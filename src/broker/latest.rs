//! What happened last, for the one screen.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::domain::{Call, CallId, Principal, ServerName, Subject};

/// Calls that are kept.
const KEPT: usize = 20;

/// The last calls. Kept as they are; made into words only when somebody looks.
#[derive(Default)]
pub(super) struct Latest(Mutex<VecDeque<Happened>>);

struct Happened {
    at: Timestamp,
    call: CallId,
    by: Arc<Principal>,
    server: ServerName,
    subject: Subject,
    what: &'static str,
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

    /// One line each, newest first.
    pub(super) fn lines(&self) -> Vec<(Timestamp, String)> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.iter().rev().map(Happened::line).collect()
    }
}

impl Happened {
    fn line(&self) -> (Timestamp, String) {
        let line = format!(
            "{}  {}  {}.{}  {}",
            self.call,
            self.by.agent,
            self.server,
            self.subject.name(),
            self.what
        );
        (self.at, line)
    }
}
