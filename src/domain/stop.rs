//! The stop switch.

use serde::{Deserialize, Serialize};

use super::{AgentName, Call, RunId, ServerName};

/// What a stop covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopScope {
    /// Every call of everyone.
    Everything,
    /// The calls of one agent.
    Agent(AgentName),
    /// The calls to one server.
    Server(ServerName),
    /// The calls of one run.
    Run(RunId),
}

impl StopScope {
    /// Whether it covers what this agent asks of this server in this run.
    #[must_use]
    pub fn covers(&self, agent: &AgentName, server: &ServerName, run: &RunId) -> bool {
        match self {
            StopScope::Everything => true,
            StopScope::Agent(stopped) => stopped == agent,
            StopScope::Server(stopped) => stopped == server,
            StopScope::Run(stopped) => stopped == run,
        }
    }

    /// Whether it covers whatever anybody asks of this server.
    #[must_use]
    pub fn covers_server(&self, server: &ServerName) -> bool {
        match self {
            StopScope::Everything => true,
            StopScope::Server(stopped) => stopped == server,
            StopScope::Agent(_) | StopScope::Run(_) => false,
        }
    }

    /// Whether it covers all that this agent asks in this run, of whatever server.
    #[must_use]
    pub fn covers_all(&self, agent: &AgentName, run: &RunId) -> bool {
        match self {
            StopScope::Everything => true,
            StopScope::Agent(stopped) => stopped == agent,
            StopScope::Run(stopped) => stopped == run,
            StopScope::Server(_) => false,
        }
    }
}

impl std::fmt::Display for StopScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StopScope::Everything => f.write_str("everything"),
            StopScope::Agent(agent) => write!(f, "agent `{agent}`"),
            StopScope::Server(server) => write!(f, "server `{server}`"),
            StopScope::Run(run) => write!(f, "run `{run}`"),
        }
    }
}

/// A stop in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// What it covers.
    pub scope: StopScope,
    /// Who pulled it.
    pub by: String,
    /// What they wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When, as RFC 3339.
    pub at: String,
}

impl Stop {
    /// Whether `call` may not leave because of it.
    #[must_use]
    pub fn covers(&self, call: &Call) -> bool {
        self.scope.covers(&call.by.agent, &call.server, &call.run)
    }
}

/// What became of a call that a stop found under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// It never left for its server.
    NotSent,
    /// It was sent, and its server told to cancel it: it may have acted, and nobody has
    /// to look.
    Cancelled,
    /// Its server has it and may have acted: somebody has to look.
    Unknown,
    /// Its answer was there before the stop.
    Answered,
}
