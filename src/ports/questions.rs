//! What tool servers ask the users of agents, as the store hears of it.

use std::time::Duration;

use super::{Answer, Question};
use crate::domain::{AgentName, CallId, Dimension, Fault, Limit, Period, Place, RunId, Scope};

/// A question, and the call that it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Posed<'a> {
    /// The call; over, perhaps, if its server asks between calls.
    pub call: &'a CallId,
    /// Its run.
    pub run: &'a RunId,
    /// Whose user is asked.
    pub agent: &'a AgentName,
    /// What is asked.
    pub question: &'a Question,
    /// Where it says that the client's model must not be asked.
    pub no_sampling: Option<&'a Place>,
    /// The limits of the call, each with what it counts.
    pub limits: &'a [(Scope, &'a Limit)],
}

impl<'a> Posed<'a> {
    /// The limits that one more call counts for.
    pub fn limits_of_calls(&self) -> impl Iterator<Item = &'a (Scope, &'a Limit)> + use<'a> {
        self.limits.iter().filter(|(_, limit)| {
            limit.dimension == Dimension::Calls && limit.period != Period::Action
        })
    }
}

/// The part of the store that hears of questions.
pub trait Questions: Send + Sync {
    /// The tool server of a call that is under way waits for an answer of the call's agent
    /// from now on, or works again: what it waits is no time of its tool.
    fn asks(&self, call: &CallId, waits: bool);

    /// A question is about to be put, and is recorded. One for the client's model counts as
    /// one more call of the call that it belongs to: why it is not put, if that does not fit.
    ///
    /// # Errors
    /// When it cannot be recorded: it must not be put.
    fn posed(&self, posed: &Posed<'_>) -> Result<Option<String>, Fault>;

    /// What came of it, so long after it was put: recorded before the server hears it.
    ///
    /// # Errors
    /// When it cannot be recorded: the answer must not leave.
    fn answered(&self, posed: &Posed<'_>, answer: &Answer, after: Duration) -> Result<(), Fault>;
}
