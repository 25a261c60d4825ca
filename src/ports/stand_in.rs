//! An agent for unit tests: one of the handshake era that waits for ever and answers
//! nothing.

use super::{Answer, Boxed, Caller, Question};
use crate::{
    domain::{Capabilities, Era},
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
