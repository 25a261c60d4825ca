//! The words of the control protocol. Plain data.
//!
//! `PROTOCOL` counts changes that an older peer can't read. Fields may be
//! added without counting; a reader skips those it doesn't know.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    limits::{BreakerRow, Budget, BudgetQuery, CloseOrder, ExtendOrder, Extended, HaltRow},
    rows::{AgentRow, GateRow, Happening, PinRow, ServerRow, StruckRow, ToolRow},
};
use crate::domain::{AgentName, CallId, Fault, Owner, RunId, ServerName, Stop, StopScope, Tier};
use crate::ports::{Query, Sought, Verified};

/// The version of the protocol on both sockets.
pub const PROTOCOL: u32 = 2;

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
    /// Pull the stop switch. Served whatever the asker's version and configuration.
    Stop(StopOrder),
    /// The stops in force.
    Stops,
    /// Lift a stop.
    Resume {
        /// Which.
        scope: StopScope,
        /// What was shown to who lifts it: another that was pulled since is not lifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown: Option<Stop>,
        /// Who lifts it.
        by: String,
    },
    /// The judgement of a call that nobody makes.
    Try(Trial),
    /// The records of one call.
    Call {
        /// Which.
        id: CallId,
    },
    /// Records.
    Audit(Box<Query>),
    /// The next records after `after`; answered when there is one, or after a
    /// while with none.
    Follow(Box<Query>),
    /// Walk the chain.
    Verify,
    /// Every tool whose definition was accepted.
    Pins,
    /// One of them, with the definitions.
    Pin {
        /// Which tool, as a person wrote it.
        title: String,
    },
    /// Accept what a server offers now.
    Accept {
        /// Which tool, as a person wrote it.
        title: String,
        /// The fingerprint of what the person saw.
        seen: String,
        /// Who accepts it.
        by: String,
    },
    /// Compare the state with the journal.
    CheckState,
    /// How limits stand.
    Budget(BudgetQuery),
    /// Add to a run.
    Extend(ExtendOrder),
    /// Close a breaker before its time.
    CloseBreaker(CloseOrder),
    /// The halts in force.
    Halts,
    /// Lift the halt of an agent.
    Clear {
        /// Whose.
        agent: AgentName,
        /// When the one began that was shown to who lifts it: another is not lifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown: Option<Timestamp>,
        /// Who lifts it.
        by: String,
    },
}

/// Pull the stop switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    /// What it covers.
    pub scope: StopScope,
    /// Who pulls it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A call that nobody makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Who would call.
    pub agent: AgentName,
    /// `SERVER.TOOL` as a person wrote it: which of the dots is meant is known to who
    /// knows the servers.
    pub title: String,
    /// The arguments, as JSON text: numbers stay as they were written.
    pub arguments: String,
    /// The run that it would be a call of; else it begins one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl Question {
    /// Whether it waits for what is to come, and has to be told that nothing comes any more.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self, Question::Follow(_))
    }
}

impl Trial {
    /// As many bytes as the arguments may have: no call has more.
    pub const LONGEST: u64 = 16 << 20;
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
    /// To [`Question::Stop`].
    Stopped(StopReport),
    /// To [`Question::Stops`].
    Stops(Vec<Stop>),
    /// To [`Question::Resume`].
    Resumed {
        /// Whether there was such a stop.
        lifted: bool,
    },
    /// To [`Question::Try`].
    Judged(Judged),
    /// To [`Question::Call`], [`Question::Audit`] and [`Question::Follow`].
    Records(Records),
    /// To [`Question::Verify`].
    Verified(Verified),
    /// To [`Question::Pins`].
    Pins(Vec<PinRow>),
    /// To [`Question::Pin`].
    Pin(PinTexts),
    /// To [`Question::Accept`].
    Accepted {
        /// Whether there was anything to accept.
        changed: bool,
    },
    /// To [`Question::CheckState`].
    StateChecked {
        /// What was found.
        says: String,
    },
    /// To [`Question::Budget`].
    Budget(Budget),
    /// To [`Question::Extend`].
    Extended(Extended),
    /// To [`Question::CloseBreaker`].
    BreakerClosed {
        /// Whether it was open.
        closed: bool,
    },
    /// To [`Question::Halts`].
    Halts(Vec<HaltRow>),
    /// To [`Question::Clear`].
    Cleared {
        /// Whether anything was held against it.
        lifted: bool,
    },
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
    /// The stops in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Stop>,
    /// The halts in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub halts: Vec<HaltRow>,
    /// What is left alone for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<BreakerRow>,
    /// How many tools are refused because their definition has changed.
    #[serde(default)]
    pub changed: usize,
    /// What is wrong with the state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Wrong>,
}

/// Something that the operator should see to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// What.
    pub says: String,
    /// The next step.
    pub hint: Option<String>,
}

impl From<Fault> for Wrong {
    fn from(Fault { says, hint }: Fault) -> Self {
        Self { says, hint }
    }
}

/// What a stop did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopReport {
    /// Since when it is in force.
    pub at: Timestamp,
    /// Why it is not in the journal, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrecorded: Option<String>,
    /// Of a run: the agent that begins no other meanwhile, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_none: Option<AgentName>,
    /// Of a server or an agent: that none of this name is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// The calls that it found under way.
    pub calls: Vec<StruckRow>,
}

/// A name that nobody goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The name that was probably meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meant: Option<String>,
}

/// What the gates say of a call that nobody makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// `server.tool`
    pub title: String,
    /// Who would call.
    pub agent: AgentName,
    /// Who answers for it.
    pub owner: Owner,
    /// The tier that counts.
    pub tier: Tier,
    /// Whether somebody has classified the tool.
    pub classified: bool,
    /// The agent does not see the tool at all.
    pub unseen: bool,
    /// It was judged as the first call of a new run, of which nothing is used yet.
    pub new_run: bool,
    /// The run as whose next call it was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Every gate, in order.
    pub gates: Vec<GateRow>,
    /// Why no call can be recorded now; so none is made, whatever the gates say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrecordable: Option<Wrong>,
}

/// Records as they stand in the journal, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// One JSON line each.
    pub lines: Vec<String>,
    /// The number up to which the journal has been searched.
    pub upto: u64,
    /// Whether more match, after `upto`.
    #[serde(default)]
    pub more: bool,
    /// The newest are not found yet: the same question goes on with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sought: Option<Sought>,
    /// Records from before this time are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// The definitions of one tool, as JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinTexts {
    /// What was accepted.
    pub accepted: String,
    /// What the server offers now, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<String>,
    /// The fingerprint of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
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
    /// Only a person may do this, and whoever asks was started by an agent or a tool
    /// server, or cannot be examined.
    NotAPerson,
    /// Asked about something that doesn't exist.
    NotFound,
    /// The service can't do it now.
    Unavailable,
    /// The daemon ends in order, and there is nothing more to tell.
    Ending,
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
        let stop = Request::Ask(Question::Stop(StopOrder {
            scope: StopScope::Everything,
            by: "ana".into(),
            text: None,
        }));
        assert_eq!(
            serde_json::to_string(&stop).unwrap(),
            r#"{"ask":{"stop":{"scope":"everything","by":"ana"}}}"#
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
