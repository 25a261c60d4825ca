//! The words of the control protocol. Plain data.
//!
//! `PROTOCOL` counts changes that an older peer can't read. Fields may be
//! added without counting; a reader skips those it doesn't know.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{AgentName, Owner, ServerName, Tier};

/// The version of the protocol on both sockets.
pub const PROTOCOL: u32 = 1;

/// The version of this program, with the build's mark where one was given.
pub const VERSION: &str = match option_env!("TOLLGATE_BUILD") {
    Some(build) => build,
    None => env!("CARGO_PKG_VERSION"),
};

/// A line to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The protocol that the asker speaks.
    pub control: u32,
    /// The asker's version.
    pub version: String,
    /// The asker's configuration directory.
    pub config: String,
    /// What is asked.
    pub request: Request,
}

/// What can be asked of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Leave in order. Served whatever the asker's version and configuration.
    StopDaemon,
    /// A question to the service.
    Ask(Question),
}

/// What can be asked of the service inside a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// The one screen.
    Status,
    /// Every tool.
    Tools,
    /// Every tool server.
    Servers,
    /// One tool server, with its last words.
    Server {
        /// Its name.
        name: ServerName,
    },
}

/// A line from the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// As asked.
    Reply(Reply),
    /// Not done, and why.
    Refused(Refused),
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Question::Status`].
    Status(Status),
    /// To [`Question::Tools`].
    Tools(Vec<ToolRow>),
    /// To [`Question::Servers`].
    Servers(Vec<ServerRow>),
    /// To [`Question::Server`].
    Server(ServerRow),
    /// To [`Request::StopDaemon`]; the connection closes when the process ends.
    Stopping {
        /// The process that is leaving.
        pid: u32,
    },
}

/// The one screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub up_since: Timestamp,
    /// Its configuration directory.
    pub config: String,
    /// The number of the configuration in force.
    pub generation: u64,
    /// Who is connected.
    pub agents: Vec<AgentRow>,
    /// The tool servers.
    pub servers: Vec<ServerRow>,
    /// What happened last, newest first.
    pub latest: Vec<Happening>,
}

/// One connected agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentRow {
    /// Its name.
    pub name: AgentName,
    /// Who answers for it.
    pub owner: Owner,
    /// Its run.
    pub run: String,
    /// The process of its shim.
    pub pid: u32,
    /// When it connected.
    pub since: Timestamp,
    /// Calls so far.
    pub calls: u64,
}

/// One tool server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerRow {
    /// Its name.
    pub name: ServerName,
    /// Who answers for it.
    pub owner: Owner,
    /// One word: how it is.
    pub state: String,
    /// The protocol version it speaks, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<String>,
    /// How many tools it offers.
    pub tools: usize,
    /// How many processes of it run.
    pub instances: usize,
    /// The last lines it wrote to its stderr, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr_tail: Vec<String>,
    /// How it ended the last time it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolRow {
    /// The name that agents see.
    pub name: String,
    /// The server that has it.
    pub server: ServerName,
    /// The name that the server gave it.
    pub tool: String,
    /// Its tier.
    pub tier: Tier,
    /// Whether agents see it at all.
    pub offered: bool,
    /// What is worth knowing: unclassified, changed, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// What, in one line.
    pub what: String,
}

/// Why a connection or a request was turned away; on either socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For programs.
    pub code: RefusedCode,
    /// For people: what is wrong.
    pub message: String,
    /// For people: what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Refused {
    /// A refusal without a next step.
    #[must_use]
    pub fn new(code: RefusedCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

/// Why, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefusedCode {
    /// The peer belongs to another user.
    OtherUser,
    /// The peer is another version of tollgate, or speaks another protocol.
    OtherVersion,
    /// The peer means another configuration directory.
    OtherConfig,
    /// The line could not be read.
    Malformed,
    /// The agent's descriptors did not arrive.
    Descriptors,
    /// The configuration doesn't list this agent, or the name is not one.
    AgentUnknown,
    /// The agent's token is missing or wrong.
    TokenWrong,
    /// The run belongs to somebody else or may not be started now.
    RunDenied,
    /// Asked about something that doesn't exist.
    NotFound,
    /// The service can't do it now.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_looks_the_same_in_every_release() {
        let line = serde_json::to_string(&Envelope {
            control: 1,
            version: "0.1.0".into(),
            config: "/c".into(),
            request: Request::Ask(Question::Server {
                name: ServerName::parse("mail").unwrap(),
            }),
        })
        .unwrap();
        assert_eq!(
            line,
            r#"{"control":1,"version":"0.1.0","config":"/c","request":{"ask":{"server":{"name":"mail"}}}}"#
        );
        assert_eq!(
            serde_json::to_string(&Request::StopDaemon).unwrap(),
            r#""stop_daemon""#
        );
    }

    #[test]
    fn a_refusal_names_its_code_in_capitals() {
        let refused = Refused::new(RefusedCode::OtherVersion, "no").hint("do");
        assert_eq!(
            serde_json::to_string(&Answer::Refused(refused)).unwrap(),
            r#"{"refused":{"code":"OTHER_VERSION","message":"no","hint":"do"}}"#
        );
    }
}
