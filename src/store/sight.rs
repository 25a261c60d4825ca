//! What the state knows that matters to one call, at one moment: the facts of the
//! gates, put together.

use jiff::Timestamp;

use super::{calendar::Calendar, rates::Rates, state::State};
use crate::{
    domain::{
        Amounts, Call, Circuit, Dimension, Fingerprint, Halt, Left, Level, Period, Scope, Stop,
        Stops, Streaks, Subject,
    },
    gate::Facts,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) now: Timestamp,
    follows: Option<Stop>,
    pinned: Option<Fingerprint>,
    halt: Option<Halt>,
    resumed: bool,
    alone: (Option<i64>, Option<i64>),
    pub(super) streaks: Streaks,
    new_run_at: Option<i64>,
    rates: Vec<Option<i64>>,
    circuits: Vec<Circuit>,
    pub(super) levels: Vec<Level>,
    begins_step: bool,
    /// The number of the step that the call belongs to.
    pub(super) step: u64,
}

impl Sight {
    /// Looks at everything for one call.
    pub(super) fn of(
        state: &mut State,
        rates: &mut Rates,
        calendar: &mut Calendar,
        in_force: &Stops,
        call: &Call,
        now: Timestamp,
    ) -> Self {
        let at = now.as_microsecond();
        state.clock_is(at);
        let agent = &call.by.agent;
        let pinned = match &call.subject {
            Subject::Tool(name) => state.pinned(&call.server, name),
            Subject::Prompt(_)
            | Subject::Resource(_)
            | Subject::Completion(_)
            | Subject::Subscribe(_)
            | Subject::Unsubscribe(_) => None,
        };
        let pinned = pinned.map(|pinned| pinned.accepted.print);
        let begins_step = state.usage.begins_step(call, at);
        let conduct = &state.conduct;
        let new_run_at = match (state.usage.run(&call.run, at), call.claim.runs()) {
            (None, Some(rule)) => conduct.new_run_at(agent, rule.calls, rule.per, at),
            (Some(_), _) | (None, None) => None,
        };
        let circuit = |rule: &crate::domain::BreakerRule| {
            let scope = Scope::of(rule.over, call);
            scope.map_or(Circuit::Closed, |scope| state.circuits.circuit(&scope, at))
        };
        let circuits = call.claim.breakers().map(circuit).collect();
        let rule = call.claim.loops(call.tier);
        let streaks = conduct.streaks(call, rule, at);
        let resumed = conduct.resumed(agent, at);
        let (alone, halt) = (conduct.alone(agent, at), conduct.halt(agent, at).cloned());
        Self {
            now,
            follows: state.usage.follows(in_force, agent, &call.run, at).cloned(),
            pinned,
            halt,
            resumed,
            alone,
            streaks,
            new_run_at,
            rates: rates.of(call, at),
            circuits,
            levels: levels(state, calendar, call, begins_step, now),
            begins_step,
            step: state.usage.step(&call.run, begins_step, at),
        }
    }

    /// As the gates want it.
    pub(super) fn facts<'a>(&'a self, stops: &'a Stops) -> Facts<'a> {
        Facts {
            now: self.now,
            stops,
            follows: self.follows.as_ref(),
            pinned: self.pinned,
            halt: self.halt.as_ref(),
            resumed: self.resumed,
            alone_since: self.alone.0,
            alone_until: self.alone.1,
            streaks: self.streaks,
            new_run_at: self.new_run_at,
            rates: &self.rates,
            circuits: &self.circuits,
            levels: &self.levels,
            begins_step: self.begins_step,
        }
    }

    /// What is left once so much more is kept back.
    pub(super) fn left(&self, call: &Call, more: &Amounts) -> Left {
        left(call, &self.levels, &Amounts::ZERO, more)
    }
}

/// How every limit of a call stands.
pub(super) fn levels(
    state: &mut State,
    calendar: &mut Calendar,
    call: &Call,
    begins_step: bool,
    now: Timestamp,
) -> Vec<Level> {
    let ask = call.claim.ask;
    let ask = ask.with(Dimension::Steps, u64::from(begins_step));
    let limits = call.claim.limits();
    limits
        .map(|limit| {
            let asked = ask.get(limit.dimension);
            state.usage.level(call, limit, asked, now, calendar)
        })
        .collect()
}

/// What is left when `less` is no longer kept back and `more` is.
pub(super) fn left(call: &Call, levels: &[Level], less: &Amounts, more: &Amounts) -> Left {
    let mut left = Left::default();
    for (limit, level) in call.claim.limits().zip(levels) {
        if limit.period == Period::Action {
            continue;
        }
        let gone = level.total().saturating_sub(less.get(limit.dimension));
        let gone = gone.saturating_add(more.get(limit.dimension));
        let quantity = level.allowed(limit).saturating_sub(gone);
        left.note(limit.dimension, quantity);
    }
    left
}
