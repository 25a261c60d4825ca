//! `tollgate tools`: every tool, its tier, and whether agents see it.

use super::out::Out;
use super::servers::why_not_there;
use super::{Trouble, ask, beside_the_point};
use crate::control::{Question, Reply};
use crate::daemon::Place;

/// List the tools with their tiers
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let Reply::Tools(tools) = ask(place, Question::Tools)? else {
        return Err(beside_the_point().into());
    };
    if args.json {
        for tool in &tools {
            out.json(tool)?;
        }
        return Ok(());
    }
    let has_none = tools.is_empty();
    let rows: Vec<_> = tools
        .into_iter()
        .map(|tool| {
            let tier = if tool.offered {
                tool.tier.to_string()
            } else {
                "off".to_owned()
            };
            vec![
                tool.name,
                tier,
                // As the other commands take it.
                format!("{}.{}", tool.server, tool.tool),
                tool.note.unwrap_or_default(),
            ]
        })
        .collect();
    out.table(&rows)?;
    let Reply::Servers(servers) = ask(place, Question::Servers)? else {
        return Err(beside_the_point().into());
    };
    if has_none {
        out.line(match servers.is_empty() {
            true => "no tools: register a server in tools.d/",
            false => "no tools: no server has listed any",
        })?;
    }
    for server in servers {
        if let Some(why) = why_not_there(&server) {
            out.line(format_args!("{}: {why}", server.name))?;
        }
        for why in &server.hidden {
            out.line(format_args!("{}: {why}", server.name))?;
        }
    }
    Ok(())
}
