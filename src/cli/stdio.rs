//! `tollgate stdio`: what an agent's client starts.

use std::sync::Arc;

use crate::daemon::{self, Failure, FailureKind, Ground, Hello, Place, Service};
use crate::domain::AgentName;
use crate::shim;

/// Connect an agent: the one MCP server in its client's configuration
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who connects
    #[arg(long, value_name = "NAME", value_parser = AgentName::parse)]
    agent: AgentName,

    /// Carry the broker in this process instead of finding or starting a daemon
    #[arg(long)]
    embedded: bool,
}

pub(super) fn run<S, B>(place: Place, args: &Args, build: B) -> Result<(), Failure>
where
    S: Service,
    B: AsyncFnOnce(Ground) -> Result<Arc<S>, Failure>,
{
    let hello = Hello::of(&place, args.agent.clone(), token()?);
    if args.embedded {
        super::log::log_to_stderr("warn");
        daemon::carry(daemon::embedded(place, hello, build))
    } else {
        shim::run(&place, &hello)
    }
}

fn token() -> Result<Option<String>, Failure> {
    match std::env::var(shim::TOKEN) {
        Ok(token) => Ok(Some(token)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::new(
            FailureKind::Usage,
            format!("{} is not UTF-8", shim::TOKEN),
        )),
    }
}
