//! What was used and how agents behaved, read back. An entry that is not of these
//! forms is none: what was kept is damaged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{KeptAgent, KeptBreaker, KeptHalt, KeptNotice, KeptRun, KeptScope, KeptUse};
use crate::{
    domain::{AgentName, Halt, HaltKind, RunId, Scope},
    store::{conduct::Agent, lives::Before, run_use::RunUse, series::Width, state::State},
};

/// Puts one entry back; its version has been looked at.
pub(in crate::store) fn put(state: &mut State, key: &[u8], bytes: &[u8]) -> Option<()> {
    let (kind, rest) = key.split_first()?;
    let json = bytes.get(1..)?;
    match kind {
        b'q' => {
            let kept: KeptUse = serde_json::from_slice(json).ok()?;
            let (width, slot) = rest.get(16..)?.split_first()?;
            let slot = u32::from_be_bytes(slot.try_into().ok()?);
            let width = match width {
                b'm' => Width::Minute,
                b'q' => Width::Quarter,
                _ => return None,
            };
            let scope = kept.of.scope()?;
            state
                .usage
                .put_slot(scope, width, i64::from(slot), &kept.used);
        }
        b'r' | b'R' => {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let (id, part) = rest.split_at_checked(end)?;
            let id = RunId::parse(std::str::from_utf8(id).ok()?)?;
            if part.len() == 1 {
                let kept: KeptRun = serde_json::from_slice(json).ok()?;
                match kept.until {
                    None => state.usage.put_run(id, kept.run()),
                    Some(until) => {
                        let was = kept.run();
                        state.usage.put_run_before(id, Before { until, was });
                    }
                }
            } else {
                let kept: KeptUse = serde_json::from_slice(json).ok()?;
                // A run comes before its parts.
                let run = (&id, *kind == b'R');
                state.usage.put_part(run, kept.of.scope()?, kept.used)?;
            }
        }
        b'c' => {
            let kept: KeptBreaker = serde_json::from_slice(json).ok()?;
            state.circuits.put(kept.of.scope()?, kept.breaker);
        }
        b'a' | b'A' => {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let (name, part) = rest.split_at_checked(end)?;
            let name = AgentName::parse(std::str::from_utf8(name).ok()?).ok()?;
            if part.len() == 1 {
                let kept: KeptAgent = serde_json::from_slice(json).ok()?;
                match kept.until {
                    None => state.conduct.put(name, kept.agent()?),
                    Some(until) => {
                        let was = kept.agent()?;
                        state.conduct.put_before(name, Before { until, was });
                    }
                }
            } else {
                let kept: KeptHalt = serde_json::from_slice(json).ok()?;
                // An agent comes before its halt.
                state.conduct.put_halt(kept.halt(name), *kind == b'A')?;
            }
        }
        b'f' => {
            let name: AgentName = serde_json::from_slice(json).ok()?;
            let tool = u64::from_be_bytes(*rest.last_chunk()?);
            state.conduct.put_met(name, tool);
        }
        b'w' => state.put_sweeping(serde_json::from_slice(json).ok()?),
        b'n' => {
            let kept: KeptNotice = serde_json::from_slice(json).ok()?;
            state.put_notice(kept.what, kept.at);
        }
        _ => return None,
    }
    Some(())
}

impl KeptScope {
    fn scope(self) -> Option<Scope> {
        match (self.agent, self.server, self.tool) {
            (None, None, None) => Some(Scope::Everything),
            (Some(agent), None, None) => Some(Scope::Agent(agent)),
            (None, Some(server), None) => Some(Scope::Server(server)),
            (None, Some(server), Some(tool)) => Some(Scope::Tool(server, Arc::from(tool))),
            _ => None,
        }
    }
}

impl KeptRun {
    fn run(self) -> RunUse {
        let mut run = RunUse::new(self.agent, self.began);
        run.last = self.last;
        run.step = self.step;
        run.turn = self.turn;
        run.added = self.added;
        run.used = self.used;
        run.by = BTreeMap::new();
        run
    }
}

impl KeptHalt {
    fn halt(self, agent: AgentName) -> Halt {
        Halt {
            kind: match self.killed {
                true => HaltKind::Killed,
                false => HaltKind::Paused,
            },
            agent,
            run: self.run,
            at: self.at,
            until: self.until,
            says: self.says,
        }
    }
}

impl KeptAgent {
    fn agent(self) -> Option<Agent> {
        let last = self.last;
        let ago = |text: &str| i64::from_str_radix(text, 16).ok().map(|ago| last - ago);
        let mut attempts = VecDeque::new();
        for attempt in self.attempts.split(',').filter(|text| !text.is_empty()) {
            let (this, at) = attempt.split_once('.')?;
            attempts.push_back((u64::from_str_radix(this, 16).ok()?, ago(at)?));
        }
        let mut runs = VecDeque::new();
        for at in self.runs.split(',').filter(|text| !text.is_empty()) {
            runs.push_back(ago(at)?);
        }
        Some(Agent {
            attempts,
            same: self.same,
            turns: self.turns,
            errors: self.errors,
            last_error: self.last_error,
            runs,
            alone_since: self.alone.0,
            alone_until: self.alone.1,
            halt: None,
            cleared: self.cleared,
            gone_on: self.gone_on,
            last,
        })
    }
}
