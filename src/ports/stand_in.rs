//! For unit tests: an agent of the handshake era that waits for ever and answers nothing,
//! and who hears of questions.

use std::{sync::Mutex, time::Duration};

use super::{Answer, Boxed, Caller, Posed, Question, Questions};
use crate::{
    domain::{CallId, Capabilities, Era, Fault},
    wire::Raw,
};

#[derive(Debug, Default)]
pub(crate) struct StandIn {
    pub(crate) connection: u64,
    pub(crate) capabilities: Capabilities,
}

impl Caller for StandIn {
    fn connection(&self) -> u64 {
        self.connection
    }

    fn era(&self) -> Era {
        Era::Legacy
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn log_level(&self) -> Option<String> {
        None
    }

    fn wants_progress(&self) -> bool {
        false
    }

    fn progress(&self, _: &Raw) {}

    fn log(&self, _: &Raw) {}

    fn ask<'a>(&'a self, _: Question) -> Boxed<'a, Answer> {
        Box::pin(std::future::pending())
    }

    fn is_cancelled(&self) -> Option<String> {
        None
    }

    fn cancelled<'a>(&'a self) -> Boxed<'a, String> {
        Box::pin(std::future::pending())
    }
}

/// Keeps what it hears of questions, and has nothing against them.
#[derive(Debug, Default)]
pub(crate) struct Hears(pub(crate) Mutex<Vec<String>>);

impl Questions for Hears {
    fn asks(&self, _: &CallId, _: bool) {}

    fn posed(&self, posed: &Posed<'_>) -> Result<Option<String>, Fault> {
        let said = format!("{} {}", posed.call, posed.question.method);
        self.0.lock().unwrap().push(said);
        Ok(None)
    }

    fn answered(&self, posed: &Posed<'_>, _: &Answer, after: Duration) -> Result<(), Fault> {
        let said = format!("{} after {} s", posed.call, after.as_secs());
        self.0.lock().unwrap().push(said);
        Ok(())
    }
}
