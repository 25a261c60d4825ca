//! Why a daemon or a shim could not do its work, for the person who started
//! it. It also crosses a process border: a daemon that can't start tells the
//! shim that waits for it, and the shim tells the agent's client.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::{ClientError, Refused, RefusedCode};

/// What went wrong and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose business it is.
    pub kind: FailureKind,
    /// What is wrong: a lower-case fragment, or several lines for the errors of
    /// a configuration.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Whose business a failure is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The operator's: something is broken or in the way.
    Fault,
    /// The operator's: another process owns the state.
    Held,
    /// The person's at the prompt.
    Usage,
    /// The author's of a configuration file.
    Config,
    /// Whoever has to prove who they are.
    Proof,
}

impl FailureKind {
    /// The exit code of a program that ends like this.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            FailureKind::Fault | FailureKind::Held => 1,
            FailureKind::Usage => 2,
            FailureKind::Config => 3,
            FailureKind::Proof => 4,
        }
    }
}

impl Failure {
    /// A failure without a next step.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// The operator's business.
    #[must_use]
    pub fn fault(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Fault, message)
    }

    /// An operation on something failed, and why.
    #[must_use]
    pub fn io(what: impl fmt::Display, cause: &io::Error) -> Self {
        Self::fault(format!("{what}: {cause}"))
    }

    /// The same for something that was waited for: at the end of the wait the system
    /// speaks of a resource, which says nothing to people.
    #[must_use]
    pub fn waited(what: impl fmt::Display, cause: &io::Error, limit: Duration) -> Self {
        match cause.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Self::fault(format!("{what}: no answer within {} s", limit.as_secs()))
            }
            _ => Self::io(what, cause),
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let kind = match refused.code {
            RefusedCode::OtherUser
            | RefusedCode::OtherVersion
            | RefusedCode::Malformed
            | RefusedCode::Descriptors
            | RefusedCode::NotFound
            | RefusedCode::Unavailable
            | RefusedCode::Ending => FailureKind::Fault,
            RefusedCode::OtherConfig | RefusedCode::AgentUnknown => FailureKind::Config,
            RefusedCode::TokenWrong | RefusedCode::NotAPerson => FailureKind::Proof,
        };
        Self {
            kind,
            message: refused.message,
            hint: refused.hint,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refused) => refused.into(),
            ClientError::Lost(_) | ClientError::Garbled(_) => Self {
                hint: error.hint().map(str::to_owned),
                ..Self::fault(error.to_string())
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_wait_that_ends_is_told_as_one() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        let limit = Duration::from_secs(20);
        let waited = here.read(&mut [0]).unwrap_err();
        let failure = Failure::waited("the daemon does not answer", &waited, limit);
        let says = "the daemon does not answer: no answer within 20 s";
        assert_eq!(failure.message, says);
        drop(there);
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        let failure = Failure::waited("it", &broken, limit);
        assert!(!failure.message.contains("20 s"), "{failure}");
    }
}
