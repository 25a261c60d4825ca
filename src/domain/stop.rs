//! The stop switch.

use super::{AgentName, Call, RunId, ServerName};

/// What a stop covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// What it covers.
    pub scope: StopScope,
    /// Who pulled it.
    pub by: String,
    /// What they wrote.
    pub text: Option<String>,
    /// When, as RFC 3339.
    pub at: String,
}

impl Stop {
    /// Whether `call` may not leave because of it.
    #[must_use]
    pub fn covers(&self, call: &Call) -> bool {
        match &self.scope {
            StopScope::Everything => true,
            StopScope::Agent(agent) => *agent == call.by.agent,
            StopScope::Server(server) => *server == call.server,
            StopScope::Run(run) => *run == call.run,
        }
    }
}
