//! What is asked of the broker, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use super::{Asked, Session};
use crate::{
    domain::{Call, Fault, Left, Refusal, RunId, ServerName, ToolFault},
    ports::{Caller, Reply},
    wire::{Body, Raw},
};

/// One request of an agent for something of a tool server.
pub struct Request {
    /// Who asks, in which run.
    pub session: Arc<Session>,
    /// What for.
    pub asked: Asked,
    /// As sent.
    pub params: Option<Raw>,
    /// Whose question it answers, if it brings what that server keeps with its agent.
    pub goes_on: Option<ServerName>,
    /// Who waits.
    pub caller: Arc<dyn Caller>,
}

/// What a call cost in money and time, and what is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paid {
    /// In millionths.
    pub cost: u64,
    /// Of the budgets that it met.
    pub left: Left,
    /// How long it waited, before it left and for answers of its agent.
    pub waited: Duration,
}

/// The answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// The request itself is wrong: an error of the protocol, nothing to judge.
    Wrong {
        /// The code of JSON-RPC.
        code: i32,
        /// What is wrong.
        says: String,
    },
    /// Judged, and not run.
    Refused {
        /// Which call it would have been.
        call: Box<Call>,
        /// Why not.
        refusal: Box<Refusal>,
        /// Whether the tool declares what its results look like.
        has_output_schema: bool,
    },
    /// An operator pulled the stop switch while it ran.
    CutShort {
        /// The call.
        call: Box<Call>,
        /// What the stop says.
        refusal: Box<Refusal>,
        /// Whether the tool declares what its results look like.
        has_output_schema: bool,
    },
    /// tollgate itself could not do its part: not run.
    Fault(Fault),
    /// It ran, but how it ended could not be recorded.
    Unrecorded {
        /// The call.
        call: Box<Call>,
        /// What went wrong.
        fault: Fault,
    },
    /// The server did not answer properly.
    Failed {
        /// The call.
        call: Box<Call>,
        /// What went wrong.
        fault: ToolFault,
        /// What it cost all the same; none if it never left.
        paid: Option<Box<Paid>>,
    },
    /// The server answered.
    Done {
        /// The call.
        call: Box<Call>,
        /// What it cost.
        paid: Box<Paid>,
        /// With a result or an error of its own.
        body: Body,
    },
    /// Of one of tollgate's own tools: its result.
    Own(Raw),
    /// One of tollgate's own tools is kept back by a stop.
    OwnRefused {
        /// Its name.
        name: String,
        /// In which run it was asked.
        run: RunId,
        /// What the stop says.
        refusal: Box<Refusal>,
    },
    /// The server wants something from the user first.
    Asks {
        /// The call.
        call: Box<Call>,
        /// Its `input_required` result.
        result: Raw,
    },
    /// It wants what the agent did not declare: the error that says so.
    Lacks(Raw),
}

impl Answer {
    /// The answer to a call that ran. A stop that cut it short says so.
    pub(super) fn of(
        call: Call,
        paid: Box<Paid>,
        reply: Result<Reply, ToolFault>,
        stopped: Option<Refusal>,
        has_output_schema: bool,
    ) -> Self {
        let call = Box::new(call);
        match (reply, stopped) {
            (Ok(Reply::Result(result)), _) => Answer::Done {
                call,
                paid,
                body: Body::Result(result),
            },
            (Ok(Reply::Error(error)), _) => Answer::Done {
                call,
                paid,
                body: Body::Error(error),
            },
            (Ok(Reply::Asks(result)), _) => Answer::Asks { call, result },
            (Ok(Reply::Lacks(error)), _) => Answer::Lacks(error),
            (Err(_), Some(refusal)) => Answer::CutShort {
                call,
                refusal: Box::new(refusal),
                has_output_schema,
            },
            (Err(fault), None) => Answer::Failed {
                call,
                fault,
                paid: Some(paid),
            },
        }
    }
}

/// Why a call does not leave.
pub(super) enum No {
    /// A gate or a stop says so.
    Refused(Refusal),
    /// Its server was not ready for it.
    Failed(ToolFault),
    /// It cannot be recorded.
    Fault(Fault),
}

impl No {
    /// Whether the refusal stands in the record.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            No::Refused(_) => true,
            No::Failed(_) | No::Fault(_) => false,
        }
    }

    pub(super) fn answer(self, call: Call, has_output_schema: bool) -> Answer {
        let call = Box::new(call);
        match self {
            No::Refused(refusal) => Answer::Refused {
                call,
                refusal: Box::new(refusal),
                has_output_schema,
            },
            No::Failed(fault) => Answer::Failed {
                call,
                fault,
                paid: None,
            },
            No::Fault(fault) => Answer::Fault(fault),
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}
