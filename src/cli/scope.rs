//! What a stop covers, as flags.

use crate::domain::{AgentName, RunId, ServerName, StopScope};

/// At most one of them; none means everything.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
pub(super) struct Scope {
    /// Of this agent alone
    #[arg(long, value_name = "AGENT", value_parser = AgentName::parse, allow_hyphen_values = true)]
    agent: Option<AgentName>,

    /// Of this server alone
    #[arg(long, value_name = "SERVER", value_parser = ServerName::parse, allow_hyphen_values = true)]
    server: Option<ServerName>,

    /// Of this run alone
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    run: Option<RunId>,
}

impl Scope {
    pub(super) fn get(&self) -> StopScope {
        match (&self.agent, &self.server, &self.run) {
            (Some(agent), _, _) => StopScope::Agent(agent.clone()),
            (None, Some(server), _) => StopScope::Server(server.clone()),
            (None, None, Some(run)) => StopScope::Run(run.clone()),
            (None, None, None) => StopScope::Everything,
        }
    }
}

/// The flags that name a scope, for the next step in a message.
pub(super) fn flags(scope: &StopScope) -> String {
    match scope {
        StopScope::Everything => String::new(),
        StopScope::Agent(agent) => format!(" --agent {agent}"),
        StopScope::Server(server) => format!(" --server {server}"),
        StopScope::Run(run) => format!(" --run {run}"),
    }
}

pub(super) fn run_id(text: &str) -> Result<RunId, String> {
    RunId::parse(text).ok_or_else(|| "a run is named like r-5KQ2".to_owned())
}
