//! Who may use what, judged over all files: names that do not exist, rights
//! that cannot be held, settings that cancel each other out.

use std::collections::BTreeSet;

use super::error::{Code, quoted, suggest};
use super::file::{File, Problem};
use super::server::Draft;
use super::tollgate_toml::{AgentDraft, AgentsDraft};

pub(super) fn check(main: Option<&File<'_>>, agents: &AgentsDraft<'_>, servers: &[Draft<'_>]) {
    match (main, agents) {
        (Some(main), AgentsDraft::Listed(agents)) => {
            check_server_names(main, agents, servers);
            check_agent_names(agents, servers);
            check_contradictions(main, agents, servers);
            check_tokens(main, agents, servers);
        }
        (None | Some(_), _) => check_nobody_is_singled_out(servers),
    }
}

fn check_server_names(main: &File<'_>, agents: &[AgentDraft<'_>], servers: &[Draft<'_>]) {
    let known = || servers.iter().map(|server| server.name.as_str());
    for named in agents.iter().filter_map(servers_of).flatten() {
        let name = named.name.as_str();
        if !known().any(|server| server == name) {
            let message = format!("there is no tool server {}", quoted(name));
            main.report(with_suggestion(
                Problem::new(Code::UnknownServer, message).at(named.span.clone()),
                suggest(name, known()),
                format!("a file tools.d/{name}.toml would register it"),
            ));
        }
    }
}

fn check_agent_names(agents: &[AgentDraft<'_>], servers: &[Draft<'_>]) {
    let known = || agents.iter().filter_map(name_of);
    for server in servers {
        for named in server.agents.iter().flatten().flatten() {
            let name = named.name.as_str();
            if !known().any(|agent| agent == name) {
                let message = format!("there is no agent {}", quoted(name));
                server.file.report(with_suggestion(
                    Problem::new(Code::UnknownAgent, message).at(named.span.clone()),
                    suggest(name, known()),
                    format!("a table [agents.{name}] in tollgate.toml would let it connect"),
                ));
            }
        }
    }
}

/// The agent names the server, the server leaves the agent out: the first can
/// never have an effect.
fn check_contradictions(main: &File<'_>, agents: &[AgentDraft<'_>], servers: &[Draft<'_>]) {
    for agent in agents {
        let Some(agent_name) = name_of(agent) else {
            continue;
        };
        for named in servers_of(agent).into_iter().flatten() {
            let server = servers.iter().find(|server| server.name == named.name);
            if server.is_some_and(|server| !admits(server, agent_name)) {
                let server = named.name.as_str();
                main.report(
                    Problem::new(
                        Code::NeverMatches,
                        format!("{} can never use {}", quoted(agent_name), quoted(server)),
                    )
                    .at(named.span.clone())
                    .label("the server's own `agents` leaves this agent out")
                    .hint(format!(
                        "name it in tools.d/{server}.toml too, or take it out here"
                    )),
                );
            }
        }
    }
}

/// Names are free to claim. If one name opens more than another, each needs a proof.
fn check_tokens(main: &File<'_>, agents: &[AgentDraft<'_>], servers: &[Draft<'_>]) {
    let is_readable = agents
        .iter()
        .all(|agent| agent.name.is_some() && agent.servers.is_some())
        && servers.iter().all(|server| server.agents.is_some());
    let rights: BTreeSet<Vec<&str>> = agents
        .iter()
        .map(|agent| rights_of(agent, servers))
        .collect();
    if !is_readable || rights.len() < 2 {
        return;
    }
    for agent in agents.iter().filter(|agent| !agent.has_token) {
        let message = format!(
            "agent {} needs a token, because the agents have different rights",
            agent.field.subject()
        );
        main.report(
            agent
                .field
                .key_problem(Code::OpenClaim, message)
                .label("any program can claim this name")
                .hint("add `token = \"env:NAME\"` to each agent, or give all the same servers"),
        );
    }
}

/// Without an `[agents]` table nobody proves anything.
fn check_nobody_is_singled_out(servers: &[Draft<'_>]) {
    for server in servers {
        if let (Some(Some(_)), Some(field)) = (&server.agents, &server.agents_field) {
            server.file.report(
                field
                    .key_problem(Code::OpenClaim, "`agents` protects nothing here")
                    .label("any program can claim these names")
                    .hint("list the agents in tollgate.toml, each with an owner and a token"),
            );
        }
    }
}

fn rights_of<'s>(agent: &AgentDraft<'_>, servers: &'s [Draft<'_>]) -> Vec<&'s str> {
    servers
        .iter()
        .filter(|server| {
            let wanted = servers_of(agent)
                .is_none_or(|names| names.iter().any(|named| named.name == server.name));
            wanted && name_of(agent).is_some_and(|name| admits(server, name))
        })
        .map(|server| server.name.as_str())
        .collect()
}

fn admits(server: &Draft<'_>, agent: &str) -> bool {
    server
        .agents
        .iter()
        .flatten()
        .all(|names| names.iter().any(|named| named.name.as_str() == agent))
}

fn name_of<'a>(agent: &'a AgentDraft<'_>) -> Option<&'a str> {
    agent.name.as_ref().map(|named| named.name.as_str())
}

fn servers_of<'a>(
    agent: &'a AgentDraft<'_>,
) -> Option<&'a Vec<super::decode::Named<crate::domain::ServerName>>> {
    agent.servers.as_ref()?.as_ref()
}

fn with_suggestion(problem: Problem, meant: Option<&str>, otherwise: String) -> Problem {
    match meant {
        Some(meant) => problem.label(format!("did you mean `{meant}`?")),
        None => problem.hint(otherwise),
    }
}
