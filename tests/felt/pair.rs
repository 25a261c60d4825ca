//! A broken tool server beside a healthy one.

use std::fs;

use crate::support::agent::Agent;
use crate::support::home::Home;
use crate::support::raw::{elements, member, quote};
use crate::support::server::Server;

pub(crate) const MIB: usize = 1024 * 1024;

/// Memory of the broker, in MiB, whatever is thrown at it.
pub(crate) const LIMIT: usize = 120;

/// A broken server, a healthy one, and an agent that sees both.
pub(crate) struct Pair {
    pub(crate) home: Home,
    pub(crate) broken: Server,
    _healthy: Server,
    pub(crate) agent: Agent,
}

impl Pair {
    pub(crate) fn new(script: &str) -> Pair {
        Pair::with(script, "")
    }

    pub(crate) fn with(script: &str, settings: &str) -> Pair {
        let home = Home::new();
        let broken = home.server_with("broken", script, settings);
        let healthy = home.server("healthy", "call hi: text hello");
        let agent = home.legacy();
        Pair::of(home, broken, healthy, agent)
    }

    /// With an agent of the stateless era: in that a server is asked first what it speaks.
    pub(crate) fn modern(script: &str) -> Pair {
        let home = Home::new();
        let broken = home.server("broken", script);
        let healthy = home.server("healthy", "call hi: text hello");
        let agent = home.modern();
        Pair::of(home, broken, healthy, agent)
    }

    fn of(home: Home, broken: Server, healthy: Server, mut agent: Agent) -> Pair {
        agent.until_listed(&["broken__bad", "healthy__hi"]);
        Pair {
            home,
            broken,
            _healthy: healthy,
            agent,
        }
    }

    /// Calls the broken tool, and the healthy one while that runs.
    pub(crate) fn call(&mut self) -> u64 {
        let bad = self.agent.call("broken__bad", "{}");
        self.is_well();
        bad
    }

    /// Calls the broken tool and waits for the reason of its failure.
    pub(crate) fn fails(&mut self) -> String {
        let bad = self.call();
        let why = self.agent.failure(bad);
        self.is_well();
        why
    }

    pub(crate) fn is_well(&mut self) {
        let id = self.agent.call("healthy__hi", "{}");
        assert_eq!(self.agent.text(id), "hello");
    }

    /// The last record of how a call ended.
    pub(crate) fn last_outcome(&self) -> String {
        let records = fs::read_to_string(self.home.at("state/journal/000001.jsonl")).unwrap();
        let mut records = records.lines().rev();
        let outcome = records.find(|line| line.contains(r#""kind":"call.outcome""#));
        outcome.unwrap().to_owned()
    }

    pub(crate) fn lists_the_broken_tool(&mut self) -> bool {
        lists(&mut self.agent, "broken__bad")
    }
}

pub(crate) fn lists(agent: &mut Agent, tool: &str) -> bool {
    let id = agent.request("tools/list", "{}");
    let tools = elements(&member(&agent.result(id), "tools").unwrap());
    tools
        .iter()
        .any(|found| member(found, "name").unwrap() == quote(tool))
}
