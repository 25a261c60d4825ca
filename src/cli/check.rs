//! `tollgate check`: is this configuration sound? No daemon is needed.

use std::ffi::OsString;
use std::fs;
use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::out::Out;
use super::{Doubts, Trouble, ask_if_running};
use crate::config::{self, Agents, ConfigErrors, Generation};
use crate::control::{Question, Reply};
use crate::daemon::{Failure, FailureKind, Place};
use crate::domain::AgentName;

/// Check the configuration; no daemon is needed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every error in every file is shown, with its place. Exit code 3 if there is one. What is no
error and would keep a server from starting, as seen from here, is to be looked at.
`tollgate explain CODE` tells more of each.")]
pub(super) struct Args {
    /// The directory that holds tollgate.toml and tools.d/
    dir: Option<PathBuf>,

    /// One JSON object per error
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    named: Option<&Path>,
    args: &Args,
    doubts: Doubts,
    out: &mut Out,
) -> Result<(), Trouble> {
    let dir = match (&args.dir, named) {
        (Some(dir), Some(other)) if dir != other => {
            let failure = Failure::new(FailureKind::Usage, "two directories are named");
            return Err(failure.hint("one at a time is checked").into());
        }
        (Some(dir), _) => dir.clone(),
        (None, Some(dir)) => dir.to_owned(),
        (None, None) => Place::find(None)?.config,
    };
    match config::load_dir(&dir) {
        // No error, no line.
        Ok(_) if args.json => Ok(()),
        Ok(generation) => {
            out.line(summary(&generation))?;
            if generation.servers.is_empty() {
                out.line("no servers: register one in tools.d/")?;
            }
            for server in &generation.servers {
                for doubt in doubts(server, &dir) {
                    out.line(format_args!("to look at: {}: {doubt}", server.name))?;
                }
            }
            if let Some(pid) = runs_with_another(&dir) {
                out.step(format_args!(
                    "the daemon that runs (process {pid}) has not read this: tollgate stop-daemon, and the next client starts it anew"
                ))?;
            }
            Ok(())
        }
        Err(errors) => {
            show(&errors, args.json, out)?;
            Err(Trouble::Answer(FailureKind::Config.exit_code()))
        }
    }
}

/// The daemon of this configuration, if one runs and read it before it was changed.
fn runs_with_another(dir: &Path) -> Option<u32> {
    let place = Place::find(Some(dir)).ok()?;
    match ask_if_running(&place, Question::Status) {
        Ok(Some(Reply::Status(status))) => {
            has_changed(&place.config, status.up_since).then_some(status.pid)
        }
        // Whoever is there cannot be asked; the files are in order all the same.
        Ok(_) | Err(_) => None,
    }
}

/// Whether a file of this configuration was written, made or removed since then.
pub(super) fn has_changed(config: &Path, since: Timestamp) -> bool {
    let below = config.join("tools.d");
    let files = fs::read_dir(&below).into_iter().flatten().flatten();
    let files = files.map(|entry| entry.path());
    let changed = |path: PathBuf| {
        let written = fs::metadata(path).and_then(|file| file.modified());
        let written = written.ok().and_then(|at| Timestamp::try_from(at).ok());
        written.is_some_and(|at| at > since)
    };
    let mut paths = files.chain([below.clone(), config.join("tollgate.toml")]);
    paths.any(changed)
}

fn show(errors: &ConfigErrors, json: bool, out: &mut Out) -> std::io::Result<()> {
    if json {
        return errors
            .as_slice()
            .iter()
            .try_for_each(|error| out.json(error));
    }
    let colour = stdout().is_terminal() && !is_plain(|name| std::env::var_os(name));
    // Rendered with what is in the files made visible already, and with colours.
    let mut text = errors.render(colour);
    text.push('\n');
    out.raw(text.as_bytes())
}

/// Whether the person asks for no colours, as no-color.org has it, or the terminal has none.
fn is_plain(env: impl Fn(&str) -> Option<OsString>) -> bool {
    env("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env("TERM").is_some_and(|term| term == "dumb")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out_where_they_are_not_wanted() {
        let with = |variable: &'static str, value: &'static str| {
            is_plain(move |name| (name == variable).then(|| value.into()))
        };
        assert!(with("NO_COLOR", "1"));
        assert!(with("TERM", "dumb"));
        assert!(!with("NO_COLOR", ""));
        assert!(!with("TERM", "xterm"));
    }
}
