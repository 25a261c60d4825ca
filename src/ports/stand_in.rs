//! For unit tests: an agent that waits for ever, and who hears of questions.

use std::{sync::Mutex, time::Duration};

use super::{Answer, Boxed, Caller, Heard, NotPut, Posed, Question, Questions, WhyNot};
use crate::{
    domain::{CallId, Capabilities, Era, Fault},
    wire::Raw,
};

#[derive(Debug, Default)]
pub(crate) struct StandIn {
    pub(crate) connection: u64,
    pub(crate) capabilities: Capabilities,
    /// It speaks as the stateless era does, and answers this whatever it is asked.
    pub(crate) answers: Option<Raw>,
}

impl Caller for StandIn {
    fn connection(&self) -> u64 {
        self.connection
    }

    fn era(&self) -> Era {
        match self.answers {
            Some(_) => Era::Modern,
            None => Era::Legacy,
        }
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

    fn ask<'a>(&'a self, _: Question) -> Boxed<'a, Heard<'a>> {
        match &self.answers {
            Some(answer) => Box::pin(std::future::ready(Answer::Result(answer.clone()).into())),
            None => Box::pin(std::future::pending()),
        }
    }

    fn is_cancelled(&self) -> Option<String> {
        None
    }

    fn cancelled<'a>(&'a self) -> Boxed<'a, String> {
        Box::pin(std::future::pending())
    }
}

/// Keeps what it hears of questions, and has nothing against those that were declared.
#[derive(Debug, Default)]
pub(crate) struct Hears(pub(crate) Mutex<Vec<String>>);

impl Questions for Hears {
    fn asks(&self, _: &CallId, _: bool) {}

    fn posed(&self, posed: &[Posed<'_>]) -> Result<Option<NotPut>, Fault> {
        let said = posed
            .iter()
            .map(|posed| format!("{} {}", posed.call, posed.question.method));
        self.0.lock().unwrap().extend(said);
        let lacks = posed.iter().any(|posed| !posed.is_declared);
        Ok(lacks.then(|| NotPut {
            why: WhyNot::NotDeclared,
            says: "it was not declared".to_owned(),
        }))
    }

    fn answered(&self, posed: &Posed<'_>, _: &Answer, after: Duration) -> Result<(), Fault> {
        let said = format!("{} after {} s", posed.call, after.as_secs());
        self.0.lock().unwrap().push(said);
        Ok(())
    }
}
