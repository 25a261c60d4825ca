//! What broke, and for whom to mend.

use std::{fmt, time::Duration};

/// Something broke in tollgate itself: the operator's business. The agent hears
/// only that its call was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What happened, as a fragment.
    pub says: String,
    /// The next step.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault with nothing to suggest.
    #[must_use]
    pub fn new(says: impl Into<String>) -> Self {
        Self {
            says: says.into(),
            hint: None,
        }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl std::error::Error for Fault {}

/// A tool server did not answer a call properly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolFault {
    /// It could not be started, or did not finish its handshake.
    NotStarted(String),
    /// Calls that came before kept it busy this long.
    Busy(Duration),
    /// It ended while the call was open.
    Exited(String),
    /// Nothing came for this long.
    Idle(Duration),
    /// It was still busy after this long, progress or not.
    Overdue(Duration),
    /// One line of it was longer than allowed.
    Oversized {
        /// Bytes seen.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// It answered with something that is no answer.
    Malformed(String),
    /// The agent or an operator cancelled the call.
    Cancelled(String),
    /// The same, before the call had left for it.
    Unsent(String),
    /// Its answer could not be understood in the protocol's terms.
    Protocol(String),
}

impl ToolFault {
    /// Whether the server may have acted on the call all the same.
    #[must_use]
    pub const fn may_have_run(&self) -> bool {
        match self {
            ToolFault::NotStarted(_) | ToolFault::Busy(_) | ToolFault::Unsent(_) => false,
            ToolFault::Exited(_)
            | ToolFault::Idle(_)
            | ToolFault::Overdue(_)
            | ToolFault::Oversized { .. }
            | ToolFault::Malformed(_)
            | ToolFault::Cancelled(_)
            | ToolFault::Protocol(_) => true,
        }
    }
}

impl fmt::Display for ToolFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToolFault::NotStarted(why) => write!(f, "could not be started: {why}"),
            ToolFault::Busy(limit) => write!(
                f,
                "was busy with earlier calls for {} s",
                limit.as_secs_f32()
            ),
            ToolFault::Exited(how) => write!(f, "ended during the call: {how}"),
            ToolFault::Idle(limit) => {
                write!(f, "gave no sign of life for {} s", limit.as_secs_f32())
            }
            ToolFault::Overdue(limit) => {
                write!(f, "did not finish within {} s", limit.as_secs_f32())
            }
            ToolFault::Oversized { bytes, limit } => write!(
                f,
                "answered with a line of {bytes} bytes, more than the {limit} allowed"
            ),
            ToolFault::Malformed(why) => write!(f, "sent no valid answer: {why}"),
            ToolFault::Cancelled(why) => write!(f, "was told to cancel: {why}"),
            ToolFault::Unsent(why) => write!(f, "was never sent the call: {why}"),
            ToolFault::Protocol(why) => write!(f, "broke the protocol: {why}"),
        }
    }
}

impl std::error::Error for ToolFault {}
