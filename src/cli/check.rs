//! `tollgate check`: is this configuration sound? No daemon is needed.

use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use super::Trouble;
use super::out::Out;
use crate::config::{self, Agents, ConfigErrors, Generation};
use crate::daemon::{FailureKind, Place};
use crate::domain::AgentName;

/// Check the configuration; no daemon is needed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every error in every file is shown, with its place. Exit code 3 if there is one.
`tollgate explain CODE` tells more of each.")]
pub(super) struct Args {
    /// The directory that holds tollgate.toml and tools.d/
    dir: Option<PathBuf>,

    /// One JSON object per error
    #[arg(long)]
    json: bool,
}

pub(super) fn run(named: Option<&Path>, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let dir = match (&args.dir, named) {
        (Some(dir), _) => dir.clone(),
        (None, Some(dir)) => dir.to_owned(),
        (None, None) => Place::find(None)?.config,
    };
    match config::load_dir(&dir) {
        // No error, no line.
        Ok(_) if args.json => Ok(()),
        Ok(generation) => Ok(out.line(summary(&generation))?),
        Err(errors) => {
            show(&errors, args.json, out)?;
            Err(Trouble::Answer(FailureKind::Config.exit_code()))
        }
    }
}

fn show(errors: &ConfigErrors, json: bool, out: &mut Out) -> std::io::Result<()> {
    if json {
        return errors
            .as_slice()
            .iter()
            .try_for_each(|error| out.json(error));
    }
    let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Rendered with what is in the files made visible already, and with colours.
    let mut text = errors.render(colour);
    text.push('\n');
    out.raw(text.as_bytes())
}

fn summary(generation: &Generation) -> String {
    let servers = generation.servers.len();
    let tools: usize = generation
        .servers
        .iter()
        .map(|server| server.tools.len())
        .sum();
    let agents = match &generation.agents {
        Agents::Anyone => "anyone".to_owned(),
        Agents::Listed(listed) if listed.is_empty() => "nobody".to_owned(),
        Agents::Listed(listed) => {
            let names: Vec<&str> = listed.keys().map(AgentName::as_str).collect();
            names.join(", ")
        }
    };
    format!(
        "ok  {}, {} classified, agents: {agents}",
        counted(servers, "server"),
        counted(tools, "tool")
    )
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
