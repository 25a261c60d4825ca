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
    map::Map,
    pending::{Pending, Work},
    series::{Series, Width},
};
use crate::domain::{
    AgentName, Amounts, Call, CallId, Dimension, Level, Limit, Over, Period, RunId, Scope, Stop,
    StopScope,
};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    counters: Map<Scope, Counter>,
    runs: Map<RunId, RunUse>,
    /// The work on open calls that have asked their agent something. In memory only.
    works: BTreeMap<CallId, Work>,
    touched: Touched,
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

/// One run.
#[derive(Debug, Clone)]
pub(super) struct RunUse {
    pub(super) agent: AgentName,
    /// When its first and its last call were, in microseconds since 1970.
    pub(super) began: i64,
    pub(super) last: i64,
    /// The number of its last step.
    pub(super) step: u64,
    /// The turn that the agent reported with it.
    pub(super) turn: Option<u64>,
    /// What people have added to its limits.
    pub(super) added: Amounts,
    /// What all its calls used.
    pub(super) used: Amounts,
    /// What those to one server or tool used.
    pub(super) by: BTreeMap<Scope, Amounts>,
    pending: Pending,
    pending_by: BTreeMap<Scope, Pending>,
}

impl RunUse {
    pub(super) fn new(agent: AgentName, began: i64) -> Self {
        Self {
            agent,
            began,
            last: began,
            step: 0,
            turn: None,
            added: Amounts::ZERO,
            used: Amounts::ZERO,
            by: BTreeMap::new(),
            pending: Pending::default(),
            pending_by: BTreeMap::new(),
        }
    }
}

/// What changed since it was last asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    pub(super) slots: BTreeSet<(Scope, Width, i64)>,
    pub(super) runs: BTreeSet<RunId>,
}

/// A run is forgotten after so long without a call.
const RUN_KEPT: i64 = 24 * 3_600_000_000;

impl Usage {
    /// Keeps back what a call may use.
    pub(super) fn opened(&mut self, open: &OpenCall) {
        self.reserve(open);
        let run = self.run_mut(open);
        // Before the clock went back, perhaps: from then on it would last no time at all.
        run.began = run.began.min(open.at);
        run.last = run.last.max(open.at);
        run.step = open.step;
        run.turn = open.turn;
        self.touched.runs.insert(open.run.clone());
    }

    /// A run begins with a call that is refused.
    pub(super) fn begun(&mut self, run: &RunId, agent: &AgentName, at: i64) {
        self.runs
            .insert(run.clone(), RunUse::new(agent.clone(), at));
        self.touched.runs.insert(run.clone());
    }

    /// Keeps it back in memory, also for a call that was open when the state was kept.
    pub(super) fn reserve(&mut self, open: &OpenCall) {
        for scope in scopes(open) {
            self.counter_mut(scope).pending.open(open);
        }
        let run = self.run_mut(open);
        run.pending.open(open);
        for scope in parts(open) {
            run.pending_by.entry(scope).or_default().open(open);
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
        let run = self.run_mut(open);
        run.pending.close(open, work);
        run.used.add(charged);
        run.last = run.last.max(at);
        for scope in parts(open) {
            if let Some(pending) = run.pending_by.get_mut(&scope) {
                pending.close(open, work);
                if pending.open == 0 {
                    run.pending_by.remove(&scope);
                }
            }
            run.by.entry(scope).or_default().add(charged);
        }
        self.touched.runs.insert(open.run.clone());
    }

    /// The tool of an open call waits for an answer of the call's agent from now on, or
    /// works again.
    pub(super) fn asks(&mut self, call: &CallId, open: &OpenCall, waits: bool, now: i64) {
        let before = self.work_on(call, open);
        let work = before.turns(waits, now);
        for scope in scopes(open) {
            self.counter_mut(scope).pending.turn(before, work);
        }
        let run = self.run_mut(open);
        run.pending.turn(before, work);
        for scope in parts(open) {
            run.pending_by.entry(scope).or_default().turn(before, work);
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
        if let Some(known) = self.runs.get_mut(run) {
            known.added.add(added);
            self.touched.runs.insert(run.clone());
        }
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
                None => run.pending.open == 0,
            })
    }

    /// The stop of another run of the agent, if this one has not begun: whoever is
    /// stopped does not go on in the next run. As long as the stopped one is known.
    pub(super) fn follows<'a>(
        &self,
        stops: &'a [Stop],
        agent: &AgentName,
        run: &RunId,
        now: i64,
    ) -> Option<&'a Stop> {
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
        self.runs.get(run).filter(|run| run.is_live(now))
    }

    /// A run that is remembered.
    pub(super) fn remembered(&self, run: &RunId) -> Option<&RunUse> {
        self.runs.get(run)
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

    /// For what is read back.
    pub(super) fn put_slot(&mut self, scope: Scope, width: Width, slot: i64, used: &Amounts) {
        let counter = self.counters.entry(scope).or_default();
        counter.series.put(width, slot, used);
    }

    /// For what is read back.
    pub(super) fn put_run(&mut self, id: RunId, run: RunUse) {
        self.runs.insert(id, run);
    }

    /// For what is read back; the run is there already.
    pub(super) fn put_part(&mut self, id: &RunId, part: Scope, used: Amounts) -> Option<()> {
        self.runs.get_mut(id)?.by.insert(part, used);
        Some(())
    }

    /// Forgets what no limit asks for any more.
    pub(super) fn sweep(&mut self, now: i64) {
        let touched = &mut self.touched;
        self.counters.retain(|scope, counter| {
            let gone = counter.series.sweep(now);
            // Also those that changed: with the counter goes what it remembers of them.
            for (width, slot) in gone.into_iter().chain(counter.touched.drain(..)) {
                touched.slots.insert((scope.clone(), width, slot));
            }
            !counter.series.is_empty() || counter.pending.open > 0
        });
        self.runs.retain(|id, run| {
            let kept = run.is_live(now);
            if !kept {
                touched.runs.insert(id.clone());
            }
            kept
        });
    }

    pub(super) fn take_touched(&mut self) -> Touched {
        let mut touched = std::mem::take(&mut self.touched);
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

    fn run_mut(&mut self, open: &OpenCall) -> &mut RunUse {
        let new = || RunUse::new(open.agent.clone(), open.at);
        let run = self.runs.entry(open.run.clone()).or_insert_with(new);
        if !run.is_live(open.at) {
            *run = new();
        }
        run
    }
}

impl RunUse {
    /// Whether it still goes on: after a day without a call it is another run.
    fn is_live(&self, now: i64) -> bool {
        self.pending.open > 0 || now - self.last < RUN_KEPT
    }

    fn level(&self, scope: &Scope, limit: &Limit, now: i64) -> Level {
        let dimension = limit.dimension;
        let (used, pending) = match limit.over {
            // A run is one agent's.
            Over::Everything | Over::Agent => (self.used, self.pending),
            Over::Server | Over::Tool => (
                self.by.get(scope).copied().unwrap_or_default(),
                self.pending_by.get(scope).copied().unwrap_or_default(),
            ),
        };
        let used = match dimension {
            Dimension::Elapsed => u64::try_from(now - self.began).unwrap_or(0),
            Dimension::Steps
            | Dimension::Calls
            | Dimension::Time
            | Dimension::Cost
            | Dimension::Amount
            | Dimension::Count
            | Dimension::Bytes
            | Dimension::Tokens => used.get(dimension),
        };
        Level {
            used,
            reserved: pending.of(dimension, now),
            added: self.added.get(dimension),
            begins: None,
            resets: None,
        }
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

/// The same within a run, beside the run itself.
fn parts(open: &OpenCall) -> impl Iterator<Item = Scope> + use<> {
    let server = Scope::Server(open.server.clone());
    let tool = open
        .tool
        .then(|| Scope::Tool(open.server.clone(), open.name.clone()));
    std::iter::once(server).chain(tool)
}
