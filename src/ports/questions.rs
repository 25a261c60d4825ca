//! What tool servers ask the users of agents, as the store hears of it.

use std::{fmt, time::Duration};

use super::{Answer, Question};
use crate::domain::{
    AgentName, CallId, Dimension, Fault, Limit, Period, Place, RunId, Scope, ToolFault,
};

/// So often a server may ask in one call, and between it and the next: each is a record, and
/// while one is open the call's clock stands.
pub const QUESTIONS: usize = 100;

/// A question, and the call that it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Posed<'a> {
    /// The call; over, perhaps, if its server asks between calls.
    pub call: &'a CallId,
    /// Its run.
    pub run: &'a RunId,
    /// Whose user is asked.
    pub agent: &'a AgentName,
    /// Which question of the call it is, from one: its answer says the same.
    pub number: usize,
    /// What is asked.
    pub question: &'a Question,
    /// Whether the agent's client declared that it can be asked this.
    pub is_declared: bool,
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

/// What came of a question, on its way to the server that asked. That may take a while:
/// whether it may leave is looked at, and what does is recorded, when it leaves.
pub struct Heard<'a> {
    answer: Answer,
    leaves: Option<Leaves<'a>>,
}

type Leaves<'a> = Box<dyn FnOnce(Answer) -> Answer + Send + 'a>;

impl<'a> Heard<'a> {
    /// With what has the last word on it.
    pub fn until(answer: Answer, leaves: impl FnOnce(Answer) -> Answer + Send + 'a) -> Self {
        Self {
            answer,
            leaves: Some(Box::new(leaves)),
        }
    }

    /// What was heard.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// What leaves, now.
    #[must_use]
    pub fn leaves(self) -> Answer {
        match self.leaves {
            Some(leaves) => leaves(self.answer),
            None => self.answer,
        }
    }
}

impl fmt::Debug for Heard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answer.fmt(f)
    }
}

impl From<Answer> for Heard<'_> {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            leaves: None,
        }
    }
}

/// A question is not put to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPut {
    /// Whose doing that is.
    pub why: WhyNot,
    /// Why, in words: what its server does.
    pub says: String,
}

/// Why a question is not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// The agent's client did not declare that it can be asked this.
    NotDeclared,
    /// The operator turned it off.
    TurnedOff,
    /// Its server asks without end.
    TooMany,
    /// There is no room for it now, which is nothing that its server has done wrong.
    NoRoom,
    /// A stop is in force.
    Stopped,
}

/// What becomes of a call that cannot go on without its answer.
impl From<NotPut> for ToolFault {
    fn from(NotPut { why, says }: NotPut) -> Self {
        match why {
            WhyNot::NotDeclared | WhyNot::TurnedOff | WhyNot::TooMany => ToolFault::Protocol(says),
            WhyNot::NoRoom | WhyNot::Stopped => ToolFault::Cancelled(says),
        }
    }
}

/// The part of the store that hears of questions.
pub trait Questions: Send + Sync {
    /// The tool server of a call that is under way waits for an answer of the call's agent
    /// from now on, or works again: what it waits is no time of its tool.
    fn asks(&self, call: &CallId, waits: bool);

    /// Questions of one call are about to be put together, and are recorded. Each for the
    /// client's model counts as one more call of the call that they belong to. Why none of
    /// them is put, if one must not be or they do not fit.
    ///
    /// # Errors
    /// When they cannot be recorded: none must be put.
    fn posed(&self, posed: &[Posed<'_>]) -> Result<Option<NotPut>, Fault>;

    /// What came of it, so long after it was put: recorded before the server hears it.
    ///
    /// # Errors
    /// When it cannot be recorded: the answer must not leave.
    fn answered(&self, posed: &Posed<'_>, answer: &Answer, after: Duration) -> Result<(), Fault>;
}
