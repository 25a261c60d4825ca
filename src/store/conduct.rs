//! How each agent behaves: what it did lately, since when it works alone, and
//! whether it was halted.
//!
//! All of this is the agent's, not the run's: another run or another connection
//! does not make it new. A day without a call, or a person, does.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::map::{Map, Set};
use crate::domain::{AgentName, Call, Fingerprint, Halt, Loops, Rate, Streaks};

/// A day: after so long without a call nothing is held against an agent.
const DAY: i64 = 24 * 3_600_000_000;

/// The most runs whose beginnings are remembered of one agent.
const RUNS: usize = Rate::RUNS;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Conduct {
    agents: Map<AgentName, Agent>,
    /// Which tools each agent has used, by a hash of their names.
    met: Set<(AgentName, u64)>,
    touched: Touched,
}

/// One agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Agent {
    /// What it asked for last: a hash of the call and when, oldest first.
    pub(super) attempts: VecDeque<(u64, i64)>,
    /// How often in a row the last of them.
    pub(super) same: u32,
    /// How many in a row were the one before the last.
    pub(super) turns: u32,
    /// How many failed or were refused since one succeeded, and when the last did.
    pub(super) errors: u32,
    pub(super) last_error: i64,
    /// When it began its runs.
    pub(super) runs: VecDeque<i64>,
    /// Since when it works without a person.
    pub(super) alone_since: Option<i64>,
    /// Until when a person said that it may.
    pub(super) alone_until: Option<i64>,
    pub(super) halt: Option<Halt>,
    /// When a person last cleared what was held against it.
    pub(super) cleared: i64,
    /// Whether a call of it was let through since.
    pub(super) gone_on: bool,
    pub(super) last: i64,
}

/// What changed since it was last asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    pub(super) agents: BTreeSet<AgentName>,
    pub(super) met: BTreeSet<(AgentName, u64)>,
}

/// What a call is, for the search for loops.
pub(super) fn attempt(digest: &Fingerprint) -> u64 {
    let head = digest.0.first_chunk::<8>();
    head.map_or(0, |head| u64::from_be_bytes(*head))
}

impl Conduct {
    /// What an agent has done lately, with a call that comes now.
    pub(super) fn streaks(&self, call: &Call, rule: Option<&Loops>, now: i64) -> Streaks {
        let first = Streaks {
            same: 1,
            repeated: 1,
            ..Streaks::default()
        };
        let Some(agent) = self.lately(&call.by.agent, now) else {
            return first;
        };
        let this = attempt(&call.digest);
        let mut back = agent.attempts.iter().rev().map(|(attempt, _)| *attempt);
        let (last, before) = (back.next(), back.next());
        let turns = match before == Some(this) && last != Some(this) {
            true => agent.turns + 1,
            false => 0,
        };
        Streaks {
            same: match last == Some(this) {
                true => agent.same.saturating_add(1),
                false => 1,
            },
            repeated: 1 + agent.repeated(this, rule, now),
            // A, B, A is one pair and a half; with the next B it is two.
            pairs: if turns == 0 { 0 } else { turns / 2 + 1 },
            errors: agent.errors,
            last_error: agent.last_error,
        }
    }

    /// When the agent may begin another run, if not now.
    pub(super) fn new_run_at(
        &self,
        agent: &AgentName,
        most: u32,
        per: Duration,
        now: i64,
    ) -> Option<i64> {
        let per = i64::try_from(per.as_micros()).unwrap_or(i64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(RUNS);
        let nth = most.checked_sub(1)?;
        let oldest = self.lately(agent, now)?.runs_by(now).nth(nth)?;
        let free = oldest.saturating_add(per);
        (now < free).then_some(free)
    }

    /// How many more runs the agent may begin now.
    pub(super) fn runs_left(&self, agent: &AgentName, most: u32, per: Duration, now: i64) -> usize {
        let per = i64::try_from(per.as_micros()).unwrap_or(i64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(RUNS);
        let lately = self.lately(agent, now).into_iter();
        let runs = lately.flat_map(|agent| agent.runs_by(now));
        let counted = runs.take_while(|begun| now < begun.saturating_add(per));
        most.saturating_sub(counted.count())
    }

    pub(super) fn get(&self, agent: &AgentName) -> Option<&Agent> {
        self.agents.get(agent)
    }

    /// The halt of an agent, if one holds.
    pub(super) fn halt(&self, agent: &AgentName, now: i64) -> Option<&Halt> {
        let halt = self.agents.get(agent)?.halt.as_ref()?;
        halt.holds(now).then_some(halt)
    }

    /// Whether a person lifted a halt of the agent within a day, and no call of it was let
    /// through since, in whichever run: another run does not make the agent new, and what
    /// ends late had begun before.
    pub(super) fn resumed(&self, agent: &AgentName, now: i64) -> bool {
        self.lately(agent, now)
            .is_some_and(|agent| agent.cleared > 0 && now - agent.cleared < DAY && !agent.gone_on)
    }

    pub(super) fn halts(&self) -> impl Iterator<Item = &Halt> {
        self.agents.values().filter_map(|agent| agent.halt.as_ref())
    }

    /// Since and until when an agent may work alone.
    pub(super) fn alone(&self, agent: &AgentName, now: i64) -> (Option<i64>, Option<i64>) {
        let Some(agent) = self.agents.get(agent) else {
            return (None, None);
        };
        match agent.alone_since {
            Some(since) if !agent.begins_anew(now) => (Some(since), agent.alone_until),
            Some(_) | None => (None, None),
        }
    }

    /// An agent asked for something.
    pub(super) fn attempted(&mut self, name: &AgentName, this: u64, at: i64) {
        let agent = self.agent_mut(name, at);
        let mut back = agent.attempts.iter().rev().map(|(attempt, _)| *attempt);
        let (last, before) = (back.next(), back.next());
        agent.turns = match before == Some(this) && last != Some(this) {
            true => agent.turns.saturating_add(1),
            false => 0,
        };
        agent.same = match last == Some(this) {
            true => agent.same.saturating_add(1),
            false => 1,
        };
        if agent.attempts.len() == Loops::REMEMBERED {
            agent.attempts.pop_front();
        }
        agent.attempts.push_back((this, at));
    }

    /// What it asked for was let through.
    pub(super) fn began(&mut self, name: &AgentName, new_run: bool, at: i64) {
        let agent = self.agent_mut(name, at);
        agent.gone_on = true;
        if agent.begins_anew(at) {
            agent.alone_since = Some(at);
            agent.alone_until = None;
        }
        // A clock that went back has not given it all the time until it is there again.
        agent.alone_since = agent.alone_since.map(|since| since.min(at));
        if new_run {
            agent.begins_run(at);
        }
    }

    /// A run was begun with a call that was refused.
    pub(super) fn began_in_vain(&mut self, name: &AgentName, at: i64) {
        self.agent_mut(name, at).begins_run(at);
    }

    /// What it asked for was answered with a question: the same call with the answer
    /// goes on where this one ended, and is no repetition.
    pub(super) fn was_asked(&mut self, name: &AgentName, this: u64, at: i64) {
        let agent = self.agent_mut(name, at);
        if agent.attempts.back().is_some_and(|(last, _)| *last == this) {
            agent.attempts.pop_back();
            agent.same = agent
                .same
                .saturating_sub(1)
                .max(u32::from(!agent.attempts.is_empty()));
        }
    }

    /// What it asked for failed, or did not.
    pub(super) fn ended(&mut self, name: &AgentName, failed: bool, at: i64) {
        let agent = self.agent_mut(name, at);
        if failed {
            agent.errors = agent.errors.saturating_add(1);
            agent.last_error = at;
        } else {
            agent.errors = 0;
        }
    }

    pub(super) fn halted(&mut self, halt: Halt) {
        let agent = self.agent_mut(&halt.agent.clone(), halt.at);
        agent.halt = Some(halt);
    }

    /// A person clears what is held against an agent.
    pub(super) fn cleared(&mut self, name: &AgentName, at: i64) {
        let agent = self.agent_mut(name, at);
        agent.halt = None;
        agent.cleared = at;
        agent.gone_on = false;
        agent.attempts.clear();
        (agent.same, agent.turns, agent.errors) = (0, 0, 0);
        agent.alone_since = Some(at);
        agent.alone_until = None;
    }

    /// A person lets an agent go on alone.
    pub(super) fn extended(&mut self, name: &AgentName, until: Option<i64>, at: i64) {
        let agent = self.agent_mut(name, at);
        agent.alone_since = Some(at);
        agent.alone_until = until;
    }

    /// Whether an agent has used a tool before.
    pub(super) fn knows(&self, agent: &AgentName, tool: u64) -> bool {
        self.met.contains(&(agent.clone(), tool))
    }

    pub(super) fn meets(&mut self, agent: AgentName, tool: u64) {
        self.touched.met.insert((agent.clone(), tool));
        self.met.insert((agent, tool));
    }

    pub(super) fn agents(&self) -> impl Iterator<Item = (&AgentName, &Agent)> {
        self.agents.iter()
    }

    pub(super) fn met(&self) -> impl Iterator<Item = &(AgentName, u64)> {
        self.met.iter()
    }

    /// For what is read back.
    pub(super) fn put(&mut self, name: AgentName, agent: Agent) {
        self.agents.insert(name, agent);
    }

    /// For what is read back; the agent is there already.
    pub(super) fn put_halt(&mut self, halt: Halt) -> Option<()> {
        let agent = self.agents.get_mut(&halt.agent)?;
        agent.halt = Some(halt);
        Some(())
    }

    /// For what is read back.
    pub(super) fn put_met(&mut self, agent: AgentName, tool: u64) {
        self.met.insert((agent, tool));
    }

    pub(super) fn sweep(&mut self, now: i64) {
        let touched = &mut self.touched;
        self.agents.retain(|name, agent| {
            // A halt without an end is a person's to lift.
            let halted = agent.halt.as_ref().is_some_and(|halt| halt.holds(now));
            let kept = halted || now - agent.last < DAY;
            if !kept {
                touched.agents.insert(name.clone());
            }
            kept
        });
    }

    pub(super) fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// An agent that has called within the last day.
    fn lately(&self, name: &AgentName, now: i64) -> Option<&Agent> {
        self.agents.get(name).filter(|agent| now - agent.last < DAY)
    }

    fn agent_mut(&mut self, name: &AgentName, at: i64) -> &mut Agent {
        self.touched.agents.insert(name.clone());
        let agent = self.agents.entry(name.clone()).or_default();
        if at - agent.last >= DAY {
            *agent = Agent {
                // Whether it is over is asked of the time of each call: a clock that was
                // ahead for a while has not ended it.
                halt: agent.halt.take(),
                ..Agent::default()
            };
        }
        agent.last = agent.last.max(at);
        agent
    }
}

impl Agent {
    /// Whether a day has passed since it began to work alone, or since the end of what
    /// a person allowed.
    fn begins_anew(&self, now: i64) -> bool {
        let from = self.alone_until.or(self.alone_since);
        from.is_none_or(|from| now - from >= DAY)
    }

    /// When it began its runs, the last first. Those of a time to come were begun before the
    /// clock went back, and would keep it out until the clock is there again.
    fn runs_by(&self, now: i64) -> impl Iterator<Item = i64> {
        let begun = self.runs.iter().rev().copied();
        begun.filter(move |begun| *begun <= now)
    }

    fn begins_run(&mut self, at: i64) {
        if self.runs.len() == RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(at);
    }

    fn repeated(&self, this: u64, rule: Option<&Loops>, now: i64) -> u32 {
        let Some(rule) = rule else { return 0 };
        let window = i64::try_from(rule.window.as_micros()).unwrap_or(i64::MAX);
        let since = now.saturating_sub(window);
        let recent = self.attempts.iter().rev().take_while(|(_, at)| *at > since);
        let count = recent.filter(|(attempt, _)| *attempt == this).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}
