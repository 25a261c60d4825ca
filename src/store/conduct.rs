//! How each agent behaves: what it did lately, since when it works alone, and
//! whether it was halted.
//!
//! All of this is the agent's, not the run's: another run or another connection
//! does not make it new. A day without a call, or a person, does.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::{
    lives::{Before, Lives},
    map::Set,
};
use crate::domain::{AgentName, Call, Fingerprint, Halt, Loops, Rate, Streaks};

/// A day: after so long without a call nothing is held against an agent.
const DAY: i64 = 24 * 3_600_000_000;

/// The most runs whose beginnings are remembered of one agent.
const RUNS: usize = Rate::RUNS;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Conduct {
    agents: Lives<AgentName, Agent>,
    /// Which tools each agent has used, by a hash of their names.
    met: Set<(AgentName, u64)>,
    /// Those that changed since it was last asked.
    touched: BTreeSet<(AgentName, u64)>,
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

/// What a call is, for the search for loops: another in each of its rounds.
pub(super) fn attempt(digest: &Fingerprint, round: Option<u64>) -> u64 {
    let head = digest.0.first_chunk::<8>();
    let head = head.map_or(0, |head| u64::from_be_bytes(*head));
    head ^ round.unwrap_or_default()
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
        let this = attempt(&call.digest, call.claim.round);
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
            // A pause begins by now, whatever time it was when the last of them came.
            last_error: agent.last_error.min(now),
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
        let oldest = *self.lately(agent, now)?.runs_by(now).get(nth)?;
        let free = oldest.saturating_add(per);
        (now < free).then_some(free)
    }

    /// How many more runs the agent may begin now.
    pub(super) fn runs_left(&self, agent: &AgentName, most: u32, per: Duration, now: i64) -> usize {
        let per = i64::try_from(per.as_micros()).unwrap_or(i64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(RUNS);
        let lately = self.lately(agent, now).into_iter();
        let runs = lately.flat_map(|agent| agent.runs_by(now));
        let counted = runs.filter(|begun| now < begun.saturating_add(per));
        most.saturating_sub(counted.count())
    }

    pub(super) fn get(&self, agent: &AgentName, now: i64) -> Option<&Agent> {
        self.agents.get(agent, now)
    }

    /// An agent that is remembered, and what it was before it was new.
    pub(super) fn remembered(&self, agent: &AgentName) -> (Option<&Agent>, Option<&Before<Agent>>) {
        (self.agents.known(agent), self.agents.before(agent))
    }

    /// The halt of an agent, if one holds.
    pub(super) fn halt(&self, agent: &AgentName, now: i64) -> Option<&Halt> {
        let halt = self.agents.get(agent, now)?.halt.as_ref()?;
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
        self.agents
            .iter()
            .filter_map(|(_, agent)| agent.halt.as_ref())
    }

    /// Since and until when an agent may work alone.
    pub(super) fn alone(&self, agent: &AgentName, now: i64) -> (Option<i64>, Option<i64>) {
        let Some(agent) = self.agents.get(agent, now) else {
            return (None, None);
        };
        match agent.alone_since {
            Some(since) if !agent.begins_anew(now) => (Some(since), agent.alone_until),
            Some(_) | None => (None, None),
        }
    }

    /// A record of this time: an agent that was new only later is what it was.
    pub(super) fn clock_is(&mut self, at: i64) {
        self.agents.clock_is(at);
    }

    /// An agent asked for something.
    pub(super) fn attempted(&mut self, name: &AgentName, this: u64, at: i64) {
        self.each(name, at, |agent| agent.attempted(this, at));
    }

    /// What it asked for was let through.
    pub(super) fn began(&mut self, name: &AgentName, new_run: bool, at: i64) {
        // Whether that is so is asked of the clock as well.
        let known = self.agents.get(name, at);
        if let Some(known) = known.filter(|known| known.begins_anew(at)) {
            let new = Agent {
                alone_since: None,
                alone_until: None,
                ..known.clone()
            };
            self.agents.begins(name, new, at);
        }
        self.each(name, at, |agent| {
            agent.gone_on = true;
            agent.works_alone(at);
            if new_run {
                agent.begins_run(at);
            }
        });
    }

    /// A run was begun with a call that was refused.
    pub(super) fn began_in_vain(&mut self, name: &AgentName, at: i64) {
        self.each(name, at, |agent| agent.begins_run(at));
    }

    /// What it asked for failed, or did not.
    pub(super) fn ended(&mut self, name: &AgentName, failed: bool, at: i64) {
        self.each(name, at, |agent| {
            if failed {
                agent.errors = agent.errors.saturating_add(1);
                agent.last_error = at;
            } else {
                agent.errors = 0;
            }
        });
    }

    pub(super) fn halted(&mut self, halt: &Halt) {
        self.each(&halt.agent, halt.at, |agent| {
            agent.halt = Some(halt.clone());
        });
    }

    /// A person clears what is held against an agent.
    pub(super) fn cleared(&mut self, name: &AgentName, at: i64) {
        self.each(name, at, |agent| {
            agent.halt = None;
            agent.cleared = at;
            agent.gone_on = false;
            agent.attempts.clear();
            (agent.same, agent.turns, agent.errors) = (0, 0, 0);
            agent.alone_since = Some(at);
            agent.alone_until = None;
        });
    }

    /// A person lets an agent go on alone.
    pub(super) fn extended(&mut self, name: &AgentName, until: Option<i64>, at: i64) {
        self.each(name, at, |agent| {
            agent.alone_since = Some(at);
            agent.alone_until = until;
        });
    }

    /// Whether an agent has used a tool before.
    pub(super) fn knows(&self, agent: &AgentName, tool: u64) -> bool {
        self.met.contains(&(agent.clone(), tool))
    }

    pub(super) fn meets(&mut self, agent: AgentName, tool: u64) {
        self.touched.insert((agent.clone(), tool));
        self.met.insert((agent, tool));
    }

    pub(super) fn agents(&self) -> impl Iterator<Item = (&AgentName, &Agent)> {
        self.agents.iter()
    }

    pub(super) fn met(&self) -> impl Iterator<Item = &(AgentName, u64)> {
        self.met.iter()
    }

    pub(super) fn agents_before(&self) -> impl Iterator<Item = (&AgentName, &Before<Agent>)> {
        self.agents.befores()
    }

    /// For what is read back.
    pub(super) fn put(&mut self, name: AgentName, agent: Agent) {
        self.agents.put(name, agent);
    }

    /// For what is read back.
    pub(super) fn put_before(&mut self, name: AgentName, before: Before<Agent>) {
        self.agents.put_before(name, before);
    }

    /// For what is read back; the agent is there already.
    pub(super) fn put_halt(&mut self, halt: Halt, before: bool) -> Option<()> {
        let agent = self.agents.one(&halt.agent, before)?;
        agent.halt = Some(halt);
        Some(())
    }

    /// For what is read back.
    pub(super) fn put_met(&mut self, agent: AgentName, tool: u64) {
        self.met.insert((agent, tool));
    }

    /// See `State::sweep` for what lies ahead.
    pub(super) fn sweep(&mut self, now: i64, at: i64) {
        let kept = |agent: &Agent| {
            // A halt without an end is a person's to lift.
            let halted = agent.halt.as_ref().is_some_and(|halt| halt.holds(now));
            halted || now - agent.last < DAY
        };
        self.agents.sweep(now, kept, |agent| agent.settle(now, at));
    }

    /// Forgets which tools were used by agents that are not known any more. Names may cost
    /// nothing: whoever takes another each time would be kept for ever.
    pub(super) fn forget_met(&mut self, known: impl Fn(&AgentName) -> bool) {
        let touched = &mut self.touched;
        self.met.retain(|(agent, tool)| {
            let kept = known(agent);
            if !kept {
                touched.insert((agent.clone(), *tool));
            }
            kept
        });
    }

    pub(super) fn take_touched(&mut self) -> Touched {
        Touched {
            agents: self.agents.take_touched(),
            met: std::mem::take(&mut self.touched),
        }
    }

    /// An agent that has called within the last day.
    fn lately(&self, name: &AgentName, now: i64) -> Option<&Agent> {
        let agent = self.agents.get(name, now);
        agent.filter(|agent| now - agent.last < DAY)
    }

    /// What happens to an agent now. After a day without a call it is new.
    fn each(&mut self, name: &AgentName, at: i64, change: impl Fn(&mut Agent)) {
        let known = self.agents.get(name, at);
        if known.is_none_or(|known| at - known.last >= DAY) {
            let new = Agent {
                // Whether it is over is asked of the time of each call: a clock that was
                // ahead for a while has not ended it.
                halt: known.and_then(|known| known.halt.clone()),
                ..Agent::default()
            };
            self.agents.begins(name, new, at);
        }
        for agent in self.agents.each(name) {
            agent.last = agent.last.max(at);
            change(agent);
        }
        self.agents.touch(name);
    }
}

impl Agent {
    fn attempted(&mut self, this: u64, at: i64) {
        let mut back = self.attempts.iter().rev().map(|(attempt, _)| *attempt);
        let (last, before) = (back.next(), back.next());
        self.turns = match before == Some(this) && last != Some(this) {
            true => self.turns.saturating_add(1),
            false => 0,
        };
        self.same = match last == Some(this) {
            true => self.same.saturating_add(1),
            false => 1,
        };
        if self.attempts.len() == Loops::REMEMBERED {
            self.attempts.pop_front();
        }
        self.attempts.push_back((this, at));
    }

    /// Whether a day has passed since it began to work alone, or since the end of what
    /// a person allowed.
    fn begins_anew(&self, now: i64) -> bool {
        let from = self.alone_until.or(self.alone_since);
        from.is_some_and(|from| now - from >= DAY)
    }

    /// When it began its runs, the last first. Those of a time to come were begun before
    /// the clock went back: they count as if they were begun now, until it has proved right.
    fn runs_by(&self, now: i64) -> Vec<i64> {
        let begun = self.runs.iter().map(|begun| now.min(*begun));
        let mut begun: Vec<i64> = begun.collect();
        begun.sort_unstable_by_key(|begun| std::cmp::Reverse(*begun));
        begun
    }

    /// A clock that went back has not given it all the time until it is there again, nor
    /// has a person who allowed it so much while the clock was ahead.
    fn works_alone(&mut self, at: i64) {
        let since = self.alone_since.unwrap_or(at);
        let ahead = (since - at).max(0);
        self.alone_since = Some(since - ahead);
        self.alone_until = self.alone_until.map(|until| until - ahead);
    }

    fn settle(&mut self, now: i64, at: i64) -> bool {
        // Nothing that is known of it is later.
        if self.last <= at {
            return false;
        }
        self.last = at;
        let attempts = self.attempts.iter_mut().map(|(_, at)| at);
        let errors = [&mut self.last_error, &mut self.cleared];
        let times = attempts.chain(&mut self.runs).chain(errors);
        times
            .filter(|time| **time > at)
            .for_each(|time| *time = now);
        if self.alone_since.is_some_and(|since| since > at) {
            self.works_alone(now);
        }
        if let Some(halt) = self.halt.as_mut().filter(|halt| halt.at > at) {
            halt.until = halt.until.map(|until| until - (halt.at - now));
            halt.at = now;
        }
        true
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
