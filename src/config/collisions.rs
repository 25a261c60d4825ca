//! The names that agents see, judged over all files: every tool that a file names
//! must be able to have its own.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::error::{Code, quoted};
use super::file::Problem;
use super::names::{self, Beginnings};
use super::server::{Draft, Server};
use crate::domain::Offer;

pub(super) fn check(drafts: &[Draft<'_>]) {
    let servers = drafts.iter().filter_map(|draft| draft.server.as_ref());
    let prefixes = servers.map(|server| (&server.name, server.prefix.as_str()));
    let beginnings = Beginnings::of(prefixes);
    let mut named = BTreeMap::new();
    for draft in drafts {
        let Some(server) = &draft.server else {
            continue;
        };
        for (tool, rule) in &server.tools {
            // Agents do not see it, so it is in nobody's way.
            if rule.offer == Offer::Off {
                continue;
            }
            let exposed = names::exposed(server.prefix.as_str(), &server.name, tool);
            let problem = match stranger(server, &exposed, &beginnings) {
                Some(problem) => problem,
                None => match named.get(&exposed) {
                    Some(other) => {
                        let message =
                            format!("{} is the name of another tool already", quoted(&exposed));
                        Problem::new(Code::NameTaken, message)
                            .label(format!("the other is in {other}"))
                            .hint("give one of the servers another `prefix`, or switch one of the tools off")
                    }
                    None => {
                        named.insert(exposed, &rule.place);
                        continue;
                    }
                },
            };
            draft.file.report(match place(draft, tool) {
                Some(span) => problem.at(span),
                None => problem,
            });
        }
    }
}

/// What is wrong with a name that can only be somebody else's.
fn stranger(server: &Server, exposed: &str, beginnings: &Beginnings) -> Option<Problem> {
    let message = format!("{} cannot be the name of this tool", quoted(exposed));
    let problem = |label| Problem::new(Code::NameTaken, message).label(label);
    if names::is_own(exposed) {
        let own = names::OWN;
        let label = format!("names that begin with `{own}` are tollgate's own");
        return Some(problem(label).hint("give the server a `prefix`"));
    }
    match beginnings.owners(exposed) {
        Some((start, owners)) if !owners.contains(&server.name) => {
            let owner = owners.first()?;
            let label = format!("names that begin with `{start}` belong to server `{owner}`");
            Some(problem(label).hint("give one of the two another `prefix`"))
        }
        Some(_) | None => None,
    }
}

fn place(draft: &Draft<'_>, tool: &str) -> Option<std::ops::Range<usize>> {
    let DeValue::Table(tools) = draft.file.entries().get("tools")?.get_ref() else {
        return None;
    };
    tools.get_key_value(tool).map(|(key, _)| key.span())
}
