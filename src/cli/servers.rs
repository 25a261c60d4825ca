//! `tollgate servers`: the tool servers, and the last words of one.

use std::io;

use super::out::Out;
use super::{Trouble, ask, beside_the_point};
use crate::control::ServerRow;
use crate::control::{Question, Reply};
use crate::daemon::Place;
use crate::domain::ServerName;

/// List the tool servers; with a name, what one of them said last
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One server, with the end of its stderr and how it last ended
    #[arg(value_parser = ServerName::parse, allow_hyphen_values = true)]
    name: Option<ServerName>,

    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    if let Some(name) = &args.name {
        let Reply::Server(server) = ask(place, Question::Server { name: name.clone() })? else {
            return Err(beside_the_point().into());
        };
        match args.json {
            true => out.json(&server)?,
            false => portrait(&server, out)?,
        }
        return Ok(());
    }
    let Reply::Servers(servers) = ask(place, Question::Servers)? else {
        return Err(beside_the_point().into());
    };
    if args.json {
        for server in &servers {
            out.json(server)?;
        }
        return Ok(());
    }
    if servers.is_empty() {
        out.line("no servers: register one in tools.d/")?;
    }
    Ok(server_table(&servers, out)?)
}

pub(super) fn server_table(servers: &[ServerRow], out: &mut Out) -> io::Result<()> {
    let rows: Vec<_> = servers
        .iter()
        .map(|server| {
            vec![
                server.name.to_string(),
                server.state.clone(),
                match server.tools {
                    1 => "1 tool".to_owned(),
                    many => format!("{many} tools"),
                },
                format!("{} running", server.instances),
                format!("owner {}", server.owner),
                server.era.clone().unwrap_or_default(),
                match (why_not_there(server), server.hidden.is_empty()) {
                    (Some(why), _) => brief(why),
                    (None, true) => String::new(),
                    (None, false) => "something to look at".to_owned(),
                },
            ]
        })
        .collect();
    out.table(&rows)
}

/// Letters of a reason that stand beside the others of a server.
const BRIEF: usize = 80;

/// The reason without what to do about it: that is told of one server at a time.
fn brief(why: &str) -> String {
    let (what, _) = why.split_once(" (").unwrap_or((why, ""));
    match what
        .char_indices()
        .nth(BRIEF)
        .and_then(|(end, _)| what.get(..end))
    {
        Some(beginning) => format!("{beginning}…"),
        None => what.to_owned(),
    }
}

/// Why a server that should run does not.
pub(super) fn why_not_there(server: &ServerRow) -> Option<&str> {
    match server.instances {
        0 => server.last_exit.as_deref(),
        _ => None,
    }
}

fn portrait(server: &ServerRow, out: &mut Out) -> io::Result<()> {
    out.line(&server.name)?;
    let unknown = || "unknown".to_owned();
    out.table(&[
        vec!["state".into(), server.state.clone()],
        vec!["owner".into(), server.owner.to_string()],
        vec![
            "protocol".into(),
            server.era.clone().unwrap_or_else(unknown),
        ],
        vec!["tools".into(), server.tools.to_string()],
        vec!["running".into(), server.instances.to_string()],
        vec![
            "last end".into(),
            server
                .last_exit
                .clone()
                .unwrap_or_else(|| "not since it was last started".into()),
        ],
    ])?;
    if !server.hidden.is_empty() {
        out.line("to look at:")?;
        for why in &server.hidden {
            out.line(format_args!("  | {why}"))?;
        }
    }
    if !server.last_words.is_empty() {
        out.line("the last words of the one that ended:")?;
        for line in &server.last_words {
            out.line(format_args!("  | {line}"))?;
        }
    }
    if server.stderr_tail.is_empty() {
        return out.line("nothing on its stderr");
    }
    out.line("the end of its stderr:")?;
    for line in &server.stderr_tail {
        out.line(format_args!("  | {line}"))?;
    }
    Ok(())
}
