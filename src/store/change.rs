//! What a record changes in the state. The live path makes a change beside the
//! record, a replay reads the same change back out of it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::journal::{Pruned, Seq};
use super::{circuits::Opened, of_call, of_limits};
use crate::{
    domain::{
        AgentName, Amounts, CallId, Fingerprint, Halt, RunId, Scope, ServerName, Stop, StopScope,
    },
    wire::Raw,
};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// None: the record tells something, and nothing follows from it.
    Nothing,
    /// A call may leave.
    Opened(CallId, OpenCall),
    /// A call has ended.
    Closed(CallId, Closing),
    /// A call was refused.
    Refused(CallId, Attempt),
    /// The server of a call asks the user of its agent, and so much more is kept back for
    /// the call.
    Asked(CallId, RunId, Amounts),
    /// It got an answer, or none.
    Answered(CallId, RunId),
    /// The switch was pulled.
    Stopped(Stop),
    /// It was lifted.
    Resumed(StopScope),
    /// A definition was accepted at first sight.
    Pinned(PinKey, Definition),
    /// A server offers something else than what was accepted.
    Offered(PinKey, Definition),
    /// It offers what was accepted again.
    Restored(PinKey),
    /// A person accepted what is offered, which is this.
    Accepted(PinKey, Fingerprint, String),
    /// The records before this one, which begins a segment, are not kept.
    Pruned(Seq, u32),
    /// A breaker has opened.
    BreakerOpened(Scope, Opened),
    /// It has closed again.
    BreakerClosed(Scope),
    /// A run was ended or paused.
    Halted(Halt),
    /// A person cleared what was held against an agent.
    Cleared(AgentName),
    /// A person added to a run's limits, or to the time for which its agent may
    /// work alone.
    Extended(Extension),
    /// People were told of something.
    Noticed(String),
}

/// A call that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) run: RunId,
    pub(super) agent: AgentName,
    /// What was asked for; none if it was not the agent's doing that it was refused.
    pub(super) attempt: Option<u64>,
    /// Whether it was cancelled: then it says nothing of how the agent's calls end.
    pub(super) cancelled: bool,
}

/// How a call ended, as far as something follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Closing {
    /// What it used; none: what was kept back for it.
    pub(super) charged: Option<Amounts>,
    /// Whether it failed; none when that is not known yet.
    pub(super) failed: Option<bool>,
    /// Whether it was cancelled: then it says nothing of how the agent's calls end.
    pub(super) cancelled: bool,
    /// Whether the breakers of its server, and of its tool, count it as a failure.
    pub(super) trouble: (bool, bool),
}

/// What a person adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) run: RunId,
    pub(super) agent: AgentName,
    pub(super) added: Amounts,
    /// Whether its agent may go on alone, and until when; none: as long as usual.
    pub(super) alone: Option<Option<i64>>,
}

/// A call that may have left and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenCall {
    pub(super) run: RunId,
    pub(super) agent: AgentName,
    pub(super) server: ServerName,
    /// What is called, as the record says it.
    pub(super) name: Arc<str>,
    /// Whether it is a tool.
    pub(super) tool: bool,
    /// When it was let through, in microseconds since 1970; of the record.
    pub(super) at: i64,
    /// What is kept back for it.
    pub(super) charge: Amounts,
    /// The number of the step that it belongs to.
    pub(super) step: u64,
    /// The turn that the agent reported.
    pub(super) turn: Option<u64>,
    /// What was asked for.
    pub(super) attempt: u64,
    /// Whether it tries if its server, and if its tool, work again.
    pub(super) probes: (bool, bool),
}

/// Which tool of which server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PinKey {
    pub(super) server: ServerName,
    pub(super) tool: String,
}

/// What a server says a tool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) print: Fingerprint,
    pub(super) text: Raw,
}

impl Change {
    /// The ids that the record is found by.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        let (call, run) = match self {
            Change::Opened(call, open) => (Some(call), Some(&open.run)),
            Change::Refused(call, refused) => (Some(call), Some(&refused.run)),
            Change::Halted(Halt { run, .. }) | Change::Extended(Extension { run, .. }) => {
                (None, Some(run))
            }
            Change::Closed(call, _) => (Some(call), None),
            Change::Asked(call, run, _) | Change::Answered(call, run) => (Some(call), Some(run)),
            Change::Stopped(Stop { scope, .. }) | Change::Resumed(scope) => match scope {
                StopScope::Run(run) => (None, Some(run)),
                StopScope::Everything | StopScope::Agent(_) | StopScope::Server(_) => (None, None),
            },
            Change::Nothing
            | Change::Pinned(..)
            | Change::Offered(..)
            | Change::Restored(_)
            | Change::Accepted(..)
            | Change::BreakerOpened(..)
            | Change::BreakerClosed(_)
            | Change::Cleared(_)
            | Change::Noticed(_)
            | Change::Pruned(..) => (None, None),
        };
        let call = call.map(CallId::as_str).into_iter();
        call.chain(run.map(RunId::as_str))
    }

    /// Reads the change out of a record: its kind and its whole line.
    pub(super) fn read(kind: &str, line: &str) -> Result<Self, String> {
        match kind {
            "start" | "checkpoint" | "tail_cut" => Ok(Change::Nothing),
            "call.outcome" => of_call::closed(line),
            "call.refused" => of_call::refused(line),
            "call.intent" => of_call::opened(line),
            "question" => of_call::asked(line),
            "answer" => of_call::answered(line),
            "breaker" => of_limits::breaker(line),
            "halt" => of_limits::halt(line),
            "clear" => of_limits::cleared(line),
            "extend" => of_limits::extended(line),
            "notice" => of_limits::noticed(line),
            "stop" => {
                let fields: OfStop<'_> = fields(line)?;
                Ok(Change::Stopped(Stop {
                    scope: fields.scope()?,
                    by: fields.by.into_owned(),
                    text: fields.text,
                    at: need("since", fields.since)?,
                }))
            }
            "resume" => Ok(Change::Resumed(fields::<OfStop<'_>>(line)?.scope()?)),
            "pin" => of_definition(line).map(|(key, offered)| Change::Pinned(key, offered)),
            "pin.changed" => {
                of_definition(line).map(|(key, offered)| Change::Offered(key, offered))
            }
            "pin.restored" => Ok(Change::Restored(fields::<OfPin<'_>>(line)?.key()?)),
            "pin.accept" => {
                let fields: OfPin<'_> = fields(line)?;
                let by = need("by", fields.by.clone())?;
                Ok(Change::Accepted(fields.key()?, fields.print()?, by))
            }
            Pruned::KIND => {
                Pruned::read(line).map(|pruned| Change::Pruned(pruned.first, pruned.segment))
            }
            // What is not understood may be a stop: nothing is left out.
            other => Err(format!("records of kind `{other}` are not known")),
        }
    }
}

#[derive(Deserialize)]
struct OfStop<'a> {
    #[serde(borrow)]
    scope: Cow<'a, str>,
    agent: Option<String>,
    server: Option<String>,
    run: Option<String>,
    #[serde(borrow)]
    by: Cow<'a, str>,
    text: Option<String>,
    since: Option<String>,
}

impl OfStop<'_> {
    fn scope(&self) -> Result<StopScope, String> {
        match self.scope.as_ref() {
            "everything" => Ok(StopScope::Everything),
            "agent" => agent(self.agent.as_deref()).map(StopScope::Agent),
            "server" => server(self.server.as_deref()).map(StopScope::Server),
            "run" => run(self.run.as_deref()).map(StopScope::Run),
            other => Err(format!("a stop of `{other}` is not known")),
        }
    }
}

#[derive(Deserialize)]
struct OfPin<'a> {
    server: String,
    tool: String,
    fingerprint: Option<String>,
    #[serde(borrow)]
    definition: Option<&'a RawValue>,
    by: Option<String>,
}

impl OfPin<'_> {
    fn key(&self) -> Result<PinKey, String> {
        Ok(PinKey {
            server: server(Some(&self.server))?,
            tool: self.tool.clone(),
        })
    }

    fn print(&self) -> Result<Fingerprint, String> {
        need(
            "fingerprint",
            self.fingerprint.as_deref().and_then(Fingerprint::parse),
        )
    }
}

fn of_definition(line: &str) -> Result<(PinKey, Definition), String> {
    let fields: OfPin<'_> = fields(line)?;
    let text = need("definition", fields.definition)?.get();
    let definition = Definition {
        print: fields.print()?,
        text: Raw::trusted(bytes::Bytes::copy_from_slice(text.as_bytes())),
    };
    Ok((fields.key()?, definition))
}

pub(super) fn fields<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

pub(super) fn need<T>(key: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("`{key}` is missing or not what it should be"))
}

pub(super) fn run(text: Option<&str>) -> Result<RunId, String> {
    need("run", text.and_then(RunId::parse))
}

pub(super) fn agent(text: Option<&str>) -> Result<AgentName, String> {
    need("agent", text.and_then(|text| AgentName::parse(text).ok()))
}

pub(super) fn server(text: Option<&str>) -> Result<ServerName, String> {
    need("server", text.and_then(|text| ServerName::parse(text).ok()))
}
