//! The stop switch.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AgentName, RunId, ServerName};

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

/// The stops in force, each scope once, found by what they cover: every call asks. Handed
/// on as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stops(Arc<[Stop]>);

impl Stops {
    /// These; of two of one scope the first counts.
    #[must_use]
    pub fn of(stops: impl IntoIterator<Item = Stop>) -> Self {
        let mut stops: Vec<Stop> = stops.into_iter().collect();
        stops.sort_by(|a, b| a.scope.cmp(&b.scope));
        stops.dedup_by(|later, first| later.scope == first.scope);
        Self(stops.into())
    }

    /// These and one more.
    #[must_use]
    pub fn and(&self, stop: Stop) -> Self {
        Self::of(self.0.iter().cloned().chain([stop]))
    }

    /// The widest that covers what this agent asks of this server in this run.
    #[must_use]
    pub fn covering(&self, agent: &AgentName, server: &ServerName, run: &RunId) -> Option<&Stop> {
        self.all_of(agent, run)
            .or_else(|| self.get(&StopScope::Server(server.clone())))
    }

    /// The widest that covers all that this agent asks in this run, of whatever server.
    #[must_use]
    pub fn all_of(&self, agent: &AgentName, run: &RunId) -> Option<&Stop> {
        if self.0.is_empty() {
            return None;
        }
        self.get(&StopScope::Everything)
            .or_else(|| self.get(&StopScope::Agent(agent.clone())))
            .or_else(|| self.get(&StopScope::Run(run.clone())))
    }

    /// The widest that covers whatever anybody asks of this server.
    #[must_use]
    pub fn of_server(&self, server: &ServerName) -> Option<&Stop> {
        self.get(&StopScope::Everything)
            .or_else(|| self.get(&StopScope::Server(server.clone())))
    }

    /// The one of this scope.
    #[must_use]
    pub fn get(&self, scope: &StopScope) -> Option<&Stop> {
        let found = self.0.binary_search_by(|stop| stop.scope.cmp(scope));
        self.0.get(found.ok()?)
    }

    /// All of them, the widest first.
    #[must_use]
    pub fn all(&self) -> &[Stop] {
        &self.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_what_covers_the_call_and_the_widest_of_those() {
        let (ann, bot) = (
            AgentName::parse("ann").unwrap(),
            AgentName::parse("bot").unwrap(),
        );
        let (mail, files) = (
            ServerName::parse("mail").unwrap(),
            ServerName::parse("files").unwrap(),
        );
        let (one, two) = (RunId::from_tail("1"), RunId::from_tail("2"));
        let scopes = [
            StopScope::Everything,
            StopScope::Agent(ann.clone()),
            StopScope::Agent(bot),
            StopScope::Server(mail.clone()),
            StopScope::Server(files),
            StopScope::Run(one.clone()),
            StopScope::Run(two),
        ];
        // Each set of them there is.
        for set in 0..1_u32 << scopes.len() {
            let chosen = scopes.iter().enumerate();
            let chosen = chosen.filter(|(nth, _)| set & (1 << nth) != 0);
            let chosen: Vec<StopScope> = chosen.map(|(_, scope)| scope.clone()).rev().collect();
            let stops = Stops::of(chosen.iter().cloned().map(stop));
            let found = stops.covering(&ann, &mail, &one).map(|stop| &stop.scope);
            let covers = |scope: &&StopScope| scope.covers(&ann, &mail, &one);
            assert_eq!(found.is_some(), chosen.iter().any(|scope| covers(&scope)));
            assert!(found.is_none_or(|found| covers(&found)), "{found:?}");
            let all = stops.all_of(&ann, &one).map(|stop| &stop.scope);
            let of_all =
                |scope: &StopScope| covers(&scope) && !matches!(scope, StopScope::Server(_));
            assert_eq!(all.is_some(), chosen.iter().any(of_all));
            assert_eq!(all.or(found), found);
            let of_mail = |scope: &StopScope| match scope {
                StopScope::Everything => true,
                StopScope::Server(server) => *server == mail,
                StopScope::Agent(_) | StopScope::Run(_) => false,
            };
            let held = stops.of_server(&mail).is_some();
            assert_eq!(held, chosen.iter().any(of_mail));
        }
    }

    #[test]
    fn of_two_stops_of_one_scope_the_first_counts() {
        let first = Stop {
            text: Some("first".to_owned()),
            ..stop(StopScope::Everything)
        };
        let stops = Stops::of([first.clone(), stop(StopScope::Everything)]);
        assert_eq!(stops.all(), std::slice::from_ref(&first));
        assert_eq!(stops.and(stop(StopScope::Everything)).all(), [first]);
    }

    fn stop(scope: StopScope) -> Stop {
        Stop {
            scope,
            by: "ops".to_owned(),
            text: None,
            at: "2026-11-20T00:00:00Z".to_owned(),
        }
    }
}
