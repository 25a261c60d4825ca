//! What was used and how agents behaved, as keys and values.
//!
//! `q` use of a scope in a slot, `r` a run and its parts, `c` a breaker, `a` an
//! agent, `f` that it has used a tool, `n` that people were told of something, `w` how
//! far old things are forgotten. `R` and `A` what a run and an agent would be if they
//! were not new.
//! What is kept back for open calls follows from those. How they are read is in `read`.

mod read;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    circuits::Breaker,
    conduct::Agent,
    entry::{Entries, Key, value},
    lives::Before,
    run_use::RunUse,
    series::Width,
    state::{Delta, State},
    sweeping::Sweeping,
};
use crate::domain::{AgentName, Amounts, Halt, HaltKind, RunId, Scope, ServerName};

pub(super) use read::put;

#[derive(Serialize, Deserialize)]
struct KeptScope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<AgentName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<ServerName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
}

impl KeptScope {
    fn of(scope: &Scope) -> Self {
        let mut kept = Self {
            agent: None,
            server: None,
            tool: None,
        };
        match scope {
            Scope::Everything => {}
            Scope::Agent(agent) => kept.agent = Some(agent.clone()),
            Scope::Server(server) => kept.server = Some(server.clone()),
            Scope::Tool(server, tool) => {
                kept.server = Some(server.clone());
                kept.tool = Some(tool.to_string());
            }
        }
        kept
    }
}

#[derive(Serialize, Deserialize)]
struct KeptUse {
    of: KeptScope,
    used: Amounts,
}

#[derive(Serialize, Deserialize)]
struct KeptRun {
    agent: AgentName,
    began: i64,
    last: i64,
    step: u64,
    turn: Option<u64>,
    added: Amounts,
    used: Amounts,
    /// Of one that is kept beside what is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct KeptBreaker {
    of: KeptScope,
    breaker: Breaker,
}

#[derive(Serialize, Deserialize)]
struct KeptAgent {
    /// Digests in base 16 and times, one after another: shorter than numbers.
    attempts: String,
    same: u32,
    turns: u32,
    errors: u32,
    last_error: i64,
    runs: String,
    alone: (Option<i64>, Option<i64>),
    cleared: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gone_on: bool,
    last: i64,
    /// Of one that is kept beside what is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct KeptHalt {
    killed: bool,
    run: RunId,
    at: i64,
    until: Option<i64>,
    says: String,
}

#[derive(Serialize, Deserialize)]
struct KeptNotice {
    what: String,
    at: i64,
}

/// The key under which it is kept how far old things are forgotten.
pub(super) const SWEEPING: &[u8] = b"w";

pub(super) fn sweeping(state: &State) -> (Key, Vec<u8>) {
    (SWEEPING.to_vec(), value(&state.sweeping()))
}

/// Everything.
pub(super) fn all(state: &State) -> Entries {
    let mut entries = Entries::new();
    for (scope, series) in state.usage.scopes() {
        let uses = Uses::of(scope);
        for width in Width::ALL {
            for (slot, used) in series.slots(width).iter() {
                entries.extend(uses.entry(width, *slot, *used));
            }
        }
    }
    for (id, run) in state.usage.runs() {
        entries.extend(run_entries(id, run, None));
    }
    for (id, before) in state.usage.runs_before() {
        entries.extend(run_entries(id, &before.was, Some(before.until)));
    }
    for (scope, breaker) in state.circuits.iter() {
        entries.insert(scoped(b'c', scope), breaker_value(scope, breaker));
    }
    for (name, agent) in state.conduct.agents() {
        entries.extend(agent_entries(name, agent, None));
    }
    for (name, before) in state.conduct.agents_before() {
        entries.extend(agent_entries(name, &before.was, Some(before.until)));
    }
    for (name, tool) in state.conduct.met() {
        entries.insert(met_key(name, *tool), value(name));
    }
    for (what, at) in state.notices() {
        entries.insert(notice_key(what), notice_value(what, *at));
    }
    if state.sweeping() != Sweeping::default() {
        entries.extend([sweeping(state)]);
    }
    entries
}

/// What changed since this was last asked.
pub(super) fn delta(state: &mut State, noticed: BTreeSet<String>) -> Delta {
    let mut delta = Delta::new();
    let used = state.usage.take_touched();
    for (scope, width, slot) in used.slots {
        let series = state.usage.series(&scope);
        let used = series.and_then(|series| series.slots(width).get(slot));
        let uses = Uses::of(&scope);
        let now = used.and_then(|used| uses.entry(width, slot, *used));
        delta.push((uses.key(width, slot), now.into_iter().collect()));
    }
    for id in used.runs {
        let (run, before) = state.usage.remembered(&id);
        let entries = |run: &RunUse, until| run_entries(&id, run, until);
        delta.extend(both(run, before, entries, |kind| run_key(kind, &id)));
    }
    for scope in state.circuits.take_touched() {
        let key = scoped(b'c', &scope);
        let breaker = state
            .circuits
            .get(&scope)
            .filter(|breaker| breaker.matters());
        let now = breaker.map(|breaker| (key.clone(), breaker_value(&scope, breaker)));
        delta.push((key, now.into_iter().collect()));
    }
    let conduct = state.conduct.take_touched();
    for name in conduct.agents {
        let (agent, before) = state.conduct.remembered(&name);
        let entries = |agent: &Agent, until| agent_entries(&name, agent, until);
        delta.extend(both(agent, before, entries, |kind| agent_key(kind, &name)));
    }
    for (name, tool) in conduct.met {
        let key = met_key(&name, tool);
        let known = state.conduct.knows(&name, tool);
        let now = known.then(|| (key.clone(), value(&name)));
        delta.push((key, now.into_iter().collect()));
    }
    for what in noticed {
        let key = notice_key(&what);
        let at = state.noticed(&what);
        let now = at.map(|at| (key.clone(), notice_value(&what, at)));
        delta.push((key, now.into_iter().collect()));
    }
    delta
}

/// What is, and what would be if it were not new: each by itself.
fn both<V>(
    known: Option<&V>,
    before: Option<&Before<V>>,
    entries: impl Fn(&V, Option<i64>) -> Entries,
    key: impl Fn(Kind) -> Key,
) -> [(Key, Entries); 2] {
    let known = known.map(|known| entries(known, None));
    let before = before.map(|before| entries(&before.was, Some(before.until)));
    [
        (key(Kind::Known), known.unwrap_or_default()),
        (key(Kind::Before), before.unwrap_or_default()),
    ]
}

/// What is, or what would be if it were not new.
#[derive(Clone, Copy)]
enum Kind {
    Known,
    Before,
}

impl Kind {
    fn of(until: Option<i64>) -> Self {
        match until {
            None => Kind::Known,
            Some(_) => Kind::Before,
        }
    }
}

/// A key of a kind that belongs to a scope. Names may be long: they are hashed.
fn scoped(kind: u8, scope: &Scope) -> Key {
    let mut hasher = blake3::Hasher::new();
    let kept = KeptScope::of(scope);
    for part in [
        kept.agent.as_ref().map(AgentName::as_str),
        kept.server.as_ref().map(ServerName::as_str),
        kept.tool.as_deref(),
    ] {
        hasher.update(&[u8::from(part.is_some())]);
        hasher.update(part.unwrap_or_default().as_bytes());
        hasher.update(b"\0");
    }
    let hash = hasher.finalize();
    let short = hash.as_bytes().iter().take(16);
    std::iter::once(&kind).chain(short).copied().collect()
}

/// Where it is kept what a scope has used, slot by slot: the scope is hashed once.
struct Uses<'a> {
    scope: &'a Scope,
    prefix: Key,
}

impl<'a> Uses<'a> {
    fn of(scope: &'a Scope) -> Self {
        Self {
            scope,
            prefix: scoped(b'q', scope),
        }
    }

    fn key(&self, width: Width, slot: i64) -> Key {
        let width = match width {
            Width::Minute => b'm',
            Width::Quarter => b'q',
        };
        // Minutes since 1970 fit for eight thousand years.
        let slot = u32::try_from(slot).unwrap_or(0).to_be_bytes();
        [self.prefix.as_slice(), &[width], &slot].concat()
    }

    fn entry(&self, width: Width, slot: i64, used: Amounts) -> Option<(Key, Vec<u8>)> {
        u32::try_from(slot).ok()?;
        let kept = KeptUse {
            of: KeptScope::of(self.scope),
            used,
        };
        Some((self.key(width, slot), value(&kept)))
    }
}

fn run_key(kind: Kind, id: &RunId) -> Key {
    let kind = match kind {
        Kind::Known => b"r",
        Kind::Before => b"R",
    };
    [kind, id.as_str().as_bytes(), b"\0"].concat()
}

fn run_entries(id: &RunId, run: &RunUse, until: Option<i64>) -> Entries {
    let base = run_key(Kind::of(until), id);
    let kept = KeptRun {
        agent: run.agent.clone(),
        began: run.began,
        last: run.last,
        step: run.step,
        turn: run.turn,
        added: run.added,
        used: run.used,
        until,
    };
    let mut entries = Entries::from([(base.clone(), value(&kept))]);
    for (scope, used) in &run.by {
        let part = scoped(b'p', scope);
        let kept = KeptUse {
            of: KeptScope::of(scope),
            used: *used,
        };
        entries.insert([base.as_slice(), &part].concat(), value(&kept));
    }
    entries
}

fn breaker_value(scope: &Scope, breaker: &Breaker) -> Vec<u8> {
    value(&KeptBreaker {
        of: KeptScope::of(scope),
        breaker: breaker.clone(),
    })
}

/// It ends with a zero: what is below the key of `bot` must not be that of `bot2`.
fn agent_key(kind: Kind, name: &AgentName) -> Key {
    let kind = match kind {
        Kind::Known => b"a",
        Kind::Before => b"A",
    };
    [kind, name.as_str().as_bytes(), b"\0"].concat()
}

/// An agent and, by itself because of its size, its halt.
fn agent_entries(name: &AgentName, agent: &Agent, until: Option<i64>) -> Entries {
    let base = agent_key(Kind::of(until), name);
    let halt = agent.halt.as_ref();
    let halt = halt.map(|halt| ([base.as_slice(), b"h"].concat(), halt_value(halt)));
    let mut entries = Entries::from([(base, agent_value(agent, until))]);
    entries.extend(halt);
    entries
}

fn halt_value(halt: &Halt) -> Vec<u8> {
    value(&KeptHalt {
        killed: halt.kind == HaltKind::Killed,
        run: halt.run.clone(),
        at: halt.at,
        until: halt.until,
        says: halt.says.clone(),
    })
}

fn agent_value(agent: &Agent, until: Option<i64>) -> Vec<u8> {
    // Times as the difference to the last call: a few digits instead of sixteen.
    let ago = |at: &i64| agent.last - at;
    let attempts = agent.attempts.iter();
    let attempts = attempts.map(|(this, at)| format!("{this:x}.{:x}", ago(at)));
    let runs = agent.runs.iter().map(|at| format!("{:x}", ago(at)));
    value(&KeptAgent {
        attempts: attempts.collect::<Vec<_>>().join(","),
        same: agent.same,
        turns: agent.turns,
        errors: agent.errors,
        last_error: agent.last_error,
        runs: runs.collect::<Vec<_>>().join(","),
        alone: (agent.alone_since, agent.alone_until),
        cleared: agent.cleared,
        gone_on: agent.gone_on,
        last: agent.last,
        until,
    })
}

fn met_key(name: &AgentName, tool: u64) -> Key {
    [b"f", name.as_str().as_bytes(), b"\0", &tool.to_be_bytes()].concat()
}

fn notice_key(what: &str) -> Key {
    let hash = blake3::hash(what.as_bytes());
    let short = hash.as_bytes().iter().take(16);
    b"n".iter().chain(short).copied().collect()
}

fn notice_value(what: &str, at: i64) -> Vec<u8> {
    value(&KeptNotice {
        what: what.to_owned(),
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Loops, Rate};
    use crate::store::circuits::{Circuits, Opened};

    /// Values in sled stay below this.
    const MOST: usize = 4096;

    #[test]
    fn the_largest_agent_halt_and_breaker_fit_a_value() {
        let day = 24 * 3_600_000_000_i64;
        let last = 1_800_000_000_000_000;
        let name = AgentName::parse(&"a".repeat(64)).unwrap();
        let says = "\"\\".repeat(256);
        let nth = |n: usize| last - day * 400 + i64::try_from(n).unwrap();
        let agent = Agent {
            attempts: (0..Loops::REMEMBERED).map(|n| (u64::MAX, nth(n))).collect(),
            same: u32::MAX,
            turns: u32::MAX,
            errors: u32::MAX,
            last_error: last,
            runs: (0..Rate::RUNS).map(nth).collect(),
            alone_since: Some(last),
            alone_until: Some(last),
            halt: Some(Halt {
                kind: HaltKind::Killed,
                agent: name.clone(),
                run: RunId::from_tail("0123456789"),
                at: last,
                until: Some(last),
                says: says.clone(),
            }),
            cleared: last,
            gone_on: true,
            last,
        };
        let mut state = State::default();
        for until in [None, Some(last)] {
            let entries = agent_entries(&name, &agent, until);
            assert_eq!(entries.len(), 2);
            for (key, kept) in &entries {
                assert!(kept.len() < MOST, "{} bytes", kept.len());
                put(&mut state, key, kept).unwrap();
            }
        }
        let before = Before {
            until: last,
            was: agent.clone(),
        };
        let both = (Some(&agent), Some(&before));
        assert_eq!(state.conduct.remembered(&name), both);

        let tool = "\"".repeat(512);
        let scope = Scope::Tool(ServerName::parse("shop").unwrap(), tool.into());
        let mut circuits = Circuits::default();
        for _ in 0..100 {
            circuits.failed(scope.clone(), last);
        }
        let opened = Opened {
            until: last,
            why: says,
        };
        circuits.opened(scope.clone(), opened, last);
        let kept = breaker_value(&scope, circuits.get(&scope).unwrap());
        assert!(kept.len() < MOST, "a breaker takes {} bytes", kept.len());
    }
}
