//! What a record changes in the state. The live path makes a change beside the
//! record, a replay reads the same change back out of it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::journal::{Pruned, Seq};
use crate::{
    domain::{AgentName, CallId, Fingerprint, RunId, ServerName, Stop, StopScope},
    wire::{self, Raw},
};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// None: the record tells something, and nothing follows from it.
    Nothing,
    /// A call may leave.
    Opened(CallId, OpenCall),
    /// A call has ended.
    Closed(CallId),
    /// A call was refused.
    Refused(CallId, RunId),
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
}

/// A call that may have left and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenCall {
    pub(super) run: RunId,
    pub(super) agent: AgentName,
    pub(super) server: ServerName,
    /// What is called, as the record says it.
    pub(super) name: Arc<str>,
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
            Change::Refused(call, run) => (Some(call), Some(run)),
            Change::Closed(call) => (Some(call), None),
            Change::Stopped(Stop { scope, .. }) | Change::Resumed(scope) => match scope {
                StopScope::Run(run) => (None, Some(run)),
                StopScope::Everything | StopScope::Agent(_) | StopScope::Server(_) => (None, None),
            },
            Change::Nothing
            | Change::Pinned(..)
            | Change::Offered(..)
            | Change::Restored(_)
            | Change::Accepted(..)
            | Change::Pruned(..) => (None, None),
        };
        let call = call.map(CallId::as_str).into_iter();
        call.chain(run.map(RunId::as_str))
    }

    /// Reads the change out of a record: its kind and its whole line.
    pub(super) fn read(kind: &str, line: &str) -> Result<Self, String> {
        match kind {
            "start" | "checkpoint" | "tail_cut" => Ok(Change::Nothing),
            "call.outcome" => Ok(Change::Closed(OfCall::read(line, Until::Call).call()?)),
            "call.refused" => {
                let said = OfCall::read(line, Until::Run);
                Ok(Change::Refused(said.call()?, run(said.run.as_deref())?))
            }
            "call.intent" => {
                let said = OfCall::read(line, Until::Name);
                let open = OpenCall {
                    run: run(said.run.as_deref())?,
                    agent: agent(said.agent.as_deref())?,
                    server: server(said.server.as_deref())?,
                    name: need("tool", said.name.as_deref())?.into(),
                };
                Ok(Change::Opened(said.call()?, open))
            }
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

/// What a call's record says of it, as far as it matters. A start reads these by
/// the million: it stops at the last key that is wanted, before the arguments.
#[derive(Default)]
struct OfCall<'a> {
    call: Option<Cow<'a, str>>,
    run: Option<Cow<'a, str>>,
    agent: Option<Cow<'a, str>>,
    server: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
}

/// The last key that is wanted, in the order in which they are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Call,
    Run,
    Name,
}

impl<'a> OfCall<'a> {
    fn read(line: &'a str, until: Until) -> Self {
        let mut said = Self::default();
        for (key, value) in wire::members(line) {
            let (place, last) = match key {
                r#""call""# => (&mut said.call, Until::Call),
                r#""run""# => (&mut said.run, Until::Run),
                r#""agent""# => (&mut said.agent, Until::Name),
                r#""server""# => (&mut said.server, Until::Name),
                r#""tool""# | r#""name""# => {
                    said.name = wire::unquote(value);
                    break;
                }
                _ => continue,
            };
            *place = wire::unquote(value);
            if last == until && until != Until::Name {
                break;
            }
        }
        said
    }

    fn call(&self) -> Result<CallId, String> {
        need("call", self.call.as_deref().and_then(CallId::parse))
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

fn fields<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

fn need<T>(key: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("`{key}` is missing or not what it should be"))
}

fn run(text: Option<&str>) -> Result<RunId, String> {
    need("run", text.and_then(RunId::parse))
}

fn agent(text: Option<&str>) -> Result<AgentName, String> {
    need("agent", text.and_then(|text| AgentName::parse(text).ok()))
}

fn server(text: Option<&str>) -> Result<ServerName, String> {
    need("server", text.and_then(|text| ServerName::parse(text).ok()))
}
