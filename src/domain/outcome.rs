//! How a call that left ended.

use super::ToolFault;

/// What is written down when a call is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered; `error` when it said that the tool failed.
    Done {
        /// `isError`, or a JSON-RPC error.
        error: bool,
        /// Size of the answer.
        bytes: usize,
    },
    /// The server asked the user something; the repeated call goes on from there.
    Asked,
    /// It did not answer, and cannot have acted or acting would not matter.
    Failed(ToolFault),
    /// It did not answer and may have acted: for a person to look at.
    Unknown(ToolFault),
}

impl Outcome {
    /// The word in records and lists.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Outcome::Done { error: false, .. } => "done",
            Outcome::Done { error: true, .. } | Outcome::Failed(_) => "failed",
            Outcome::Asked => "asked",
            Outcome::Unknown(_) => "unknown",
        }
    }

    /// Whether it was cancelled: nobody waited for how it would end.
    #[must_use]
    pub const fn was_cancelled(&self) -> bool {
        match self {
            Outcome::Done { .. } | Outcome::Asked => false,
            Outcome::Failed(fault) | Outcome::Unknown(fault) => match fault {
                ToolFault::Cancelled(_) | ToolFault::Unsent(_) => true,
                ToolFault::NotStarted(_)
                | ToolFault::Busy(_)
                | ToolFault::Exited(_)
                | ToolFault::Idle(_)
                | ToolFault::Overdue(_)
                | ToolFault::Oversized { .. }
                | ToolFault::Malformed(_)
                | ToolFault::Protocol(_) => false,
            },
        }
    }
}
