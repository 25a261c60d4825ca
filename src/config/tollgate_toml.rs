//! `tollgate.toml`: who may connect, what limits everybody, and how the daemon
//! behaves.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Place;
use super::audit;
use super::decode::{Field, Named, Table, Vocabulary};
use super::error::{Code, quoted};
use super::file::{File, Problem};
use super::limits::{self, Everything, Lifted};
use super::secret::{self, Reading, SecretRef};
use super::server;
use crate::domain::{self, AgentName, Dimension, Owner, Period, Rate, ServerName, Terms};

pub(super) const ROOT: Vocabulary = Vocabulary {
    keys: &[
        "agents",
        "audit",
        "autonomy",
        "breaker",
        "budget",
        "currency",
        "idle_exit",
        "loops",
        "runs",
        "sampling",
        "spend",
        "tiers",
        "timezone",
        "window",
    ],
    later: &[
        "approval", "canary", "console", "framing", "include", "notify", "people",
    ],
    elsewhere: &[
        (
            &["rate"],
            "belongs to an agent, a tier, a server or a tool: for example [tiers.read]",
        ),
        (server::ROOT.keys, "belongs in a file in tools.d/"),
        (AGENT.keys, "belongs in a table [agents.NAME]"),
    ],
};

pub(super) const AGENT: Vocabulary = Vocabulary {
    keys: &[
        "autonomy", "budget", "loops", "owner", "rate", "runs", "sampling", "servers", "spend",
        "token", "window",
    ],
    later: &[],
    elsewhere: &[(
        &["breaker"],
        "belongs to what breaks: put it at the top, or in a file in tools.d/",
    )],
};

/// Ten minutes: long enough for the next question, short enough to be gone at night.
const IDLE_EXIT: Duration = Duration::from_secs(600);

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agents {
    /// There is no `[agents]` table: any name; its owner is who runs it.
    Anyone,
    /// Only these.
    Listed(BTreeMap<AgentName, Agent>),
}

/// One agent that may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Who answers for it.
    pub owner: Owner,
    /// The tool servers it may see; none means all that allow it.
    pub servers: Option<Vec<ServerName>>,
    /// What it must show to prove its name.
    pub token: Option<SecretRef>,
    /// What limits it, beside what limits everybody. `loops`, `autonomy`, `runs`
    /// and `spend` take the place of those of everybody where they are there.
    pub terms: Terms,
    /// What its budget says of one action and of one run, with a limit or with
    /// `"none"`: the built-in limits of these do not hold for it, those that are
    /// written for everybody do.
    pub lifts: Vec<(Period, Dimension)>,
    /// What else it is freed of.
    pub lifted: Lifted,
    /// Where it is listed.
    pub place: Place,
}

impl Agent {
    /// How long it may go on without a person; `all` is what holds for everybody.
    #[must_use]
    pub fn autonomy<'t>(&'t self, all: &'t Terms) -> Option<&'t (Duration, Option<domain::Place>)> {
        own_or(self.lifted.autonomy, &self.terms.autonomy, &all.autonomy)
    }

    /// How many new runs it may begin.
    #[must_use]
    pub fn runs<'t>(&'t self, all: &'t Terms) -> Option<&'t Rate> {
        own_or(self.lifted.runs, &self.terms.runs, &all.runs)
    }

    /// From how many times its usual speed of spending on it is paused.
    #[must_use]
    pub fn spend<'t>(&'t self, all: &'t Terms) -> Option<&'t (u32, Option<domain::Place>)> {
        own_or(self.lifted.spend, &self.terms.spend, &all.spend)
    }
}

fn own_or<'t, T>(lifted: bool, own: &'t Option<T>, all: &'t Option<T>) -> Option<&'t T> {
    if lifted {
        None
    } else {
        own.as_ref().or(all.as_ref())
    }
}

/// The decoded file, before agents and servers are compared.
#[derive(Debug)]
pub(super) struct Main<'a> {
    pub(super) agents: AgentsDraft<'a>,
    pub(super) everything: Everything,
    pub(super) idle_exit: Option<Duration>,
    pub(super) keep: Option<Duration>,
}

/// The `[agents]` table as far as it could be read.
#[derive(Debug)]
pub(super) enum AgentsDraft<'a> {
    Anyone,
    Listed(Vec<AgentDraft<'a>>),
}

impl AgentsDraft<'_> {
    /// The agents, unless one of them could not be read.
    pub(super) fn finish(self) -> Option<Agents> {
        match self {
            AgentsDraft::Anyone => Some(Agents::Anyone),
            AgentsDraft::Listed(drafts) => drafts
                .into_iter()
                .map(|draft| Some((draft.name?.name, draft.agent?)))
                .collect::<Option<_>>()
                .map(Agents::Listed),
        }
    }
}

/// One agent as far as it could be read.
#[derive(Debug)]
pub(super) struct AgentDraft<'a> {
    pub(super) field: Field<'a>,
    pub(super) name: Option<Named<AgentName>>,
    /// The inner none: the key is missing. The outer: it could not be read.
    pub(super) servers: Option<Option<Vec<Named<ServerName>>>>,
    pub(super) has_token: bool,
    agent: Option<Agent>,
}

pub(super) fn decode<'a>(file: Option<&'a File<'a>>) -> Main<'a> {
    let Some(file) = file else {
        return Main {
            agents: AgentsDraft::Anyone,
            everything: limits::everything(None),
            idle_exit: Some(IDLE_EXIT),
            keep: Some(audit::KEEP),
        };
    };
    let root = Table::root(file, &ROOT);
    let everything = limits::everything(Some(&root));
    let agents = match root.get("agents") {
        None => AgentsDraft::Anyone,
        Some(field) => AgentsDraft::Listed(
            field
                .entries("a table of agents: [agents.NAME]")
                .unwrap_or_default()
                .into_iter()
                .map(|(name, field)| decode_agent(name, field, &everything))
                .collect(),
        ),
    };
    let idle_exit = match root.get("idle_exit") {
        Some(field) if field.value().as_str() == Some("never") => None,
        Some(field) => field.duration(),
        None => Some(IDLE_EXIT),
    };
    Main {
        agents,
        everything,
        idle_exit,
        keep: audit::decode(&root),
    }
}

fn decode_agent<'a>(text: &str, field: Field<'a>, everything: &Everything) -> AgentDraft<'a> {
    let name = field.key_name(text, AgentName::parse);
    let wanted = "a table, for example { owner = \"ana\" }";
    let Some(table) = field.table(&AGENT, wanted) else {
        return AgentDraft {
            field,
            name,
            servers: None,
            has_token: false,
            agent: None,
        };
    };
    let owner = match table.get("owner") {
        Some(owner) => owner.name(Owner::parse),
        None => {
            field.file.report(
                field
                    .key_problem(
                        Code::NoOwner,
                        format!("agent {} has no owner", quoted(text)),
                    )
                    .label("who answers for it?")
                    .hint("add `owner = \"NAME\"`, the person or team who answers for it"),
            );
            None
        }
    };
    let servers = match table.get("servers") {
        Some(list) => list.list_of(|one| one.name(ServerName::parse)).map(Some),
        None => Some(None),
    };
    let token = table.get("token");
    let has_token = token.is_some();
    let token = match token {
        Some(field) => decode_token(&field).map(Some),
        None => Some(None),
    };
    let limits = limits::agent(&table, everything);
    let agent = match (owner, &servers, token) {
        (Some(owner), Some(servers), Some(token)) => Some(Agent {
            owner: owner.name,
            servers: servers
                .as_ref()
                .map(|names| names.iter().map(|named| named.name.clone()).collect()),
            token,
            terms: limits.terms,
            lifts: limits.lifts,
            lifted: limits.lifted,
            place: field.place(),
        }),
        _ => None,
    };
    AgentDraft {
        field,
        name,
        servers,
        has_token,
        agent,
    }
}

fn decode_token(field: &Field<'_>) -> Option<SecretRef> {
    let problem: Problem = match secret::read(field.text()?) {
        Reading::Reference(reference) => return Some(reference),
        Reading::Literal => {
            field.hide();
            field
                .problem(Code::LiteralSecret, "the token stands in the file itself")
                .label("name where it is kept")
                .hint("write `env:NAME` or `file:/path`; consider this token known and replace it")
        }
        Reading::Malformed(label) => field
            .problem(Code::BadReference, "this does not name a secret")
            .label(label),
    };
    field.file.report(problem);
    None
}
