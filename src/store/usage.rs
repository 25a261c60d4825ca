//! What was used and what is kept back: by everybody, by each agent, of each
//! server and tool, and in each run.
//!
//! One table of counters, whatever limits read them. Opening a call reserves in all
//! of them, closing it charges in all of them: there is no moment in between.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    calendar::Calendar,
    change::OpenCall,
    lives::{Before, Lives},
    map::Map,
    pending::{Pending, Work},
    run_use::{RunUse, parts},
    series::{Series, Width},
};
use crate::domain::{
    AgentName, Amounts, Call, CallId, Level, Limit, Period, RunId, Scope, Stop, StopScope, Stops,
};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    counters: Map<Scope, Counter>,
    runs: Lives<RunId, RunUse>,
    /// The work on open calls that have asked their agent something, or began while the
    /// clock was ahead. In memory only.
    works: BTreeMap<CallId, Work>,
    /// When the last of the calls began that are worked on, at most. In memory only.
    latest: i64,
    /// The slots of counters that are gone, since it was last asked.
    touched: BTreeSet<(Scope, Width, i64)>,
}

#[derive(Debug, Clone, Default)]
struct Counter {
    series: Series,
    pending: Pending,
    /// The slots that changed since it was last asked: one or two, as a rule.
    touched: Vec<(Width, i64)>,
}

impl Counter {
    fn charge(&mut self, at: i64, used: &Amounts) {
        let touched = &mut self.touched;
        self.series.charge(at, used, |width, slot| {
            if !touched.contains(&(width, slot)) {
                touched.push((width, slot));
            }
        });
    }
}

/// What changed since it was last asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    pub(super) slots: BTreeSet<(Scope, Width, i64)>,
    pub(super) runs: BTreeSet<RunId>,
}

impl Usage {
    /// Keeps back what a call may use.
    pub(super) fn opened(&mut self, open: &OpenCall) {
        if self.run(&open.run, open.at).is_none() {
            self.begun(&open.run, &open.agent, open.at);
        }
        self.reserve(open);
        for run in self.runs.each(&open.run) {
            run.opened(open);
        }
        self.runs.touch(&open.run);
    }

    /// A run begins, perhaps with a call that is refused.
    pub(super) fn begun(&mut self, run: &RunId, agent: &AgentName, at: i64) {
        let new = RunUse::new(agent.clone(), at);
        self.runs.begins(run, new, at);
    }

    /// A record of this time: a run that was another one only later is what it was.
    pub(super) fn clock_is(&mut self, at: i64) {
        self.runs.clock_is(at);
    }

    /// Keeps it back in memory, also for a call that was open when the state was kept.
    pub(super) fn reserve(&mut self, open: &OpenCall) {
        self.latest = self.latest.max(open.at);
        for scope in scopes(open) {
            self.counter_mut(scope).pending.open(open);
        }
        for run in self.runs.each(&open.run) {
            run.reserve(open);
        }
    }

    /// Keeps back more for a call that is open.
    pub(super) fn reserve_more(&mut self, open: &OpenCall, more: &Amounts) {
        for scope in scopes(open) {
            self.counter_mut(scope).pending.more(more);
        }
        for run in self.runs.each(&open.run) {
            run.reserve_more(open, more);
        }
    }

    /// Charges what a call has used, at the moment at which that is known, and
    /// frees what was kept back.
    pub(super) fn closed(&mut self, call: &CallId, open: &OpenCall, charged: &Amounts, at: i64) {
        let work = self.work_on(call, open);
        self.works.remove(call);
        for scope in scopes(open) {
            let counter = self.counter_mut(scope);
            counter.pending.close(open, work);
            counter.charge(at, charged);
        }
        for run in self.runs.each(&open.run) {
            run.closed(open, work, charged, at);
        }
        self.runs.touch(&open.run);
    }

    /// The tool of an open call waits for an answer of the call's agent from now on, or
    /// works again.
    pub(super) fn asks(&mut self, call: &CallId, open: &OpenCall, waits: bool, now: i64) {
        self.turn(call, open, |work| work.turns(waits, now));
    }

    /// Whether the work on some calls may begin in a time to come.
    pub(super) fn works_ahead(&mut self, now: i64) -> bool {
        let ahead = now < self.latest;
        self.latest = self.latest.min(now);
        ahead
    }

    /// The work on an open call began by now.
    pub(super) fn works_from(&mut self, call: &CallId, open: &OpenCall, now: i64) {
        self.turn(call, open, |work| work.from(now));
    }

    fn turn(&mut self, call: &CallId, open: &OpenCall, turned: impl Fn(Work) -> Work) {
        let before = self.work_on(call, open);
        let work = turned(before);
        for scope in scopes(open) {
            self.counter_mut(scope).pending.turn(before, work);
        }
        for run in self.runs.each(&open.run) {
            run.works(open, before, work);
        }
        self.works.insert(call.clone(), work);
    }

    /// How long the tool of an open call has worked.
    pub(super) fn work_on(&self, call: &CallId, open: &OpenCall) -> Work {
        let known = self.works.get(call).copied();
        known.unwrap_or(Work::Since(open.at))
    }

    /// A person adds to a run's limits.
    pub(super) fn extended(&mut self, run: &RunId, added: &Amounts) {
        for known in self.runs.each(run) {
            known.added.add(added);
        }
        self.runs.touch(run);
    }

    /// How a limit stands for a call that asks for so much.
    pub(super) fn level(
        &mut self,
        call: &Call,
        limit: &Limit,
        asked: u64,
        now: Timestamp,
        calendar: &mut Calendar,
    ) -> Level {
        match Scope::of(limit.over, call) {
            Some(scope) => self.level_of(&scope, Some(&call.run), limit, asked, now, calendar),
            None => Level::default(),
        }
    }

    /// How a limit stands for a scope, and for a run if it is one of runs.
    pub(super) fn level_of(
        &mut self,
        scope: &Scope,
        run: Option<&RunId>,
        limit: &Limit,
        asked: u64,
        now: Timestamp,
        calendar: &mut Calendar,
    ) -> Level {
        let at = now.as_microsecond();
        let dimension = limit.dimension;
        match limit.period {
            Period::Action => Level::default(),
            Period::Run => {
                let run = run.and_then(|run| self.run(run, at));
                run.map_or_else(Level::default, |run| run.level(scope, limit, at))
            }
            Period::Hour | Period::Day | Period::Month => {
                let Some(counter) = self.counters.get_mut(scope) else {
                    return Level::default();
                };
                let (width, span) = span(limit, now, calendar);
                let mut level = Level {
                    used: counter.series.since(width, span.from).get(dimension),
                    reserved: counter.pending.of(dimension, at),
                    added: 0,
                    begins: Some(span.from),
                    resets: span.until,
                    forgotten: None,
                };
                if let Some(window) = span.window {
                    // What must be forgotten before the call fits; else the first of it.
                    let over = level.total().saturating_add(asked);
                    let much = over.saturating_sub(limit.at).max(1);
                    let frees = |much| {
                        let series = &counter.series;
                        series.frees(width, span.from, window, dimension, much)
                    };
                    level.resets = match dimension.exceeds(level.total(), asked, limit.at) {
                        true => frees(much),
                        false => frees(1),
                    };
                    level.forgotten = Some(width.end(at).saturating_add(window));
                }
                level
            }
        }
    }

    /// Since when the period of a limit counts, in microseconds since 1970.
    pub(super) fn begins(limit: &Limit, now: Timestamp, calendar: &mut Calendar) -> i64 {
        match limit.period {
            Period::Action | Period::Run => i64::MIN,
            Period::Hour | Period::Day | Period::Month => span(limit, now, calendar).1.from,
        }
    }

    /// Whether the call begins a step: the agent reports another turn, or else
    /// nothing of the run is under way.
    pub(super) fn begins_step(&self, call: &Call, now: i64) -> bool {
        self.run(&call.run, now)
            .is_none_or(|run| match call.claim.turn {
                Some(turn) => run.turn != Some(turn),
                None => run.is_idle(),
            })
    }

    /// The stop of another run of the agent, if this one has not begun: whoever is
    /// stopped does not go on in the next run. As long as the stopped one is known.
    pub(super) fn follows<'a>(
        &self,
        stops: &'a Stops,
        agent: &AgentName,
        run: &RunId,
        now: i64,
    ) -> Option<&'a Stop> {
        let stops = stops.all();
        if stops.is_empty() || self.run(run, now).is_some() {
            return None;
        }
        let of_agent = |stop: &&Stop| match &stop.scope {
            StopScope::Run(stopped) => self
                .run(stopped, now)
                .is_some_and(|stopped| stopped.agent == *agent),
            StopScope::Everything | StopScope::Agent(_) | StopScope::Server(_) => false,
        };
        stops.iter().find(of_agent)
    }

    /// The number of the step that a call belongs to.
    pub(super) fn step(&self, run: &RunId, begins: bool, now: i64) -> u64 {
        let last = self.run(run, now).map_or(0, |run| run.step);
        last + u64::from(begins)
    }

    /// A run that goes on.
    pub(super) fn run(&self, run: &RunId, now: i64) -> Option<&RunUse> {
        self.runs.get(run, now).filter(|run| run.is_live(now))
    }

    /// A run that is remembered, and what it was before it was another one.
    pub(super) fn remembered(&self, run: &RunId) -> (Option<&RunUse>, Option<&Before<RunUse>>) {
        (self.runs.known(run), self.runs.before(run))
    }

    pub(super) fn runs_before(&self) -> impl Iterator<Item = (&RunId, &Before<RunUse>)> {
        self.runs.befores()
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = (&RunId, &RunUse)> {
        self.runs.iter()
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = (&Scope, &Series)> {
        self.counters
            .iter()
            .map(|(scope, counter)| (scope, &counter.series))
    }

    pub(super) fn series(&self, scope: &Scope) -> Option<&Series> {
        self.counters.get(scope).map(|counter| &counter.series)
    }

    /// Whether an agent has used anything within a month.
    pub(super) fn knows(&self, agent: &AgentName) -> bool {
        self.counters.contains_key(&Scope::Agent(agent.clone()))
    }

    /// For what is read back.
    pub(super) fn put_slot(&mut self, scope: Scope, width: Width, slot: i64, used: &Amounts) {
        let counter = self.counters.entry(scope).or_default();
        counter.series.put(width, slot, used);
    }

    /// For what is read back.
    pub(super) fn put_run(&mut self, id: RunId, run: RunUse) {
        self.runs.put(id, run);
    }

    /// For what is read back.
    pub(super) fn put_run_before(&mut self, id: RunId, before: Before<RunUse>) {
        self.runs.put_before(id, before);
    }

    /// For what is read back; the run is there already.
    pub(super) fn put_part(
        &mut self,
        (id, before): (&RunId, bool),
        part: Scope,
        used: Amounts,
    ) -> Option<()> {
        self.runs.one(id, before)?.by.insert(part, used);
        Some(())
    }

    /// Forgets what no limit asks for any more. See `State::sweep` for what lies ahead.
    pub(super) fn sweep(&mut self, now: i64, at: i64) {
        let touched = &mut self.touched;
        self.counters.retain(|scope, counter| {
            let gone = counter.series.sweep(now, at);
            // Also those that changed: with the counter goes what it remembers of them.
            for (width, slot) in gone.into_iter().chain(counter.touched.drain(..)) {
                touched.insert((scope.clone(), width, slot));
            }
            !counter.series.is_empty() || counter.pending.open > 0
        });
        let settle = |run: &mut RunUse| run.settle(now, at);
        self.runs.sweep(now, |run| run.is_live(now), settle);
    }

    pub(super) fn take_touched(&mut self) -> Touched {
        let mut touched = Touched {
            slots: std::mem::take(&mut self.touched),
            runs: self.runs.take_touched(),
        };
        for (scope, counter) in &mut self.counters {
            let slots = counter.touched.drain(..);
            touched
                .slots
                .extend(slots.map(|(width, slot)| (scope.clone(), width, slot)));
        }
        touched
    }

    fn counter_mut(&mut self, scope: Scope) -> &mut Counter {
        self.counters.entry(scope).or_default()
    }
}

/// Which part of a series a limit asks for.
struct Span {
    from: i64,
    /// When it is over; none for the last so many hours.
    until: Option<i64>,
    /// How long the last so many hours are.
    window: Option<i64>,
}

fn span(limit: &Limit, now: Timestamp, calendar: &mut Calendar) -> (Width, Span) {
    let width = match limit.period {
        Period::Action | Period::Run | Period::Hour => Width::Minute,
        Period::Day | Period::Month => Width::Quarter,
    };
    let rolling = limit.rolling || limit.period == Period::Hour;
    let window = limit.period.rolling().filter(|_| rolling);
    let span = match window {
        Some(window) => {
            let window = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
            Span {
                from: now.as_microsecond().saturating_sub(window),
                until: None,
                window: Some(window),
            }
        }
        None => {
            let (from, until) = calendar.period(limit.period, now);
            Span {
                from,
                until: Some(until),
                window: None,
            }
        }
    };
    (width, span)
}

/// What a call is counted under.
fn scopes(open: &OpenCall) -> impl Iterator<Item = Scope> + use<> {
    let whole = [Scope::Everything, Scope::Agent(open.agent.clone())];
    whole.into_iter().chain(parts(open))
}
