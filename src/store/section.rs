//! The state, and what is done to it at one moment: what the critical section guards.

use jiff::Timestamp;

use super::{
    aftermath::Around,
    calendar::Calendar,
    change::Change,
    journal::{Entry, Placed},
    rates::Rates,
    record::Draft,
    sight::Sight,
    state::State,
};
use crate::{
    clock::Clock,
    domain::{AgentName, Call, Fault, RunId, Stop, Stops},
};

/// What the end of one open call may take on disk, and what a stop may.
const KEPT: u64 = 4096;

/// A record as it is read back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) placed: Placed,
    pub(super) at: &'a str,
    pub(super) kind: &'a str,
    pub(super) line: &'a str,
}

impl Seen<'_> {
    /// Applies the record to a state that has seen everything before it.
    pub(super) fn replay(&self, state: &mut State) -> Result<(), String> {
        let at = self.at.parse().map_err(|e| format!("its time: {e}"))?;
        let change = Change::read(self.kind, self.line)?;
        state.apply(self.placed, at, change);
        Ok(())
    }
}

/// The state and what is done to it at one moment.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) state: State,
    pub(super) calendar: Calendar,
    pub(super) rates: Rates,
    /// Stops that are in force although no record says so: the disk refused.
    pub(super) unrecorded: Vec<Stop>,
    /// Those and the recorded ones.
    pub(super) in_force: Stops,
    pub(super) closed: bool,
}

impl Section {
    pub(super) fn new(state: State, calendar: Calendar) -> Self {
        let mut section = Self {
            state,
            calendar,
            ..Self::default()
        };
        section.count_stops();
        section
    }

    /// Has a record put and applies what follows from it, as one.
    pub(super) fn commit(
        &mut self,
        put: impl FnOnce(&Entry<'_>) -> Result<Placed, Fault>,
        clock: &dyn Clock,
        draft: Draft,
        durable: bool,
        keep: u64,
    ) -> Result<Placed, Fault> {
        let at = clock.now();
        let Draft {
            kind,
            members,
            change,
        } = draft;
        debug_assert_eq!(
            Change::read(kind, &format!("{{{members}}}")).as_ref(),
            Ok(&change),
            "a replay reads the change that was made"
        );
        let placed = put(&Entry {
            at,
            kind,
            members: &members,
            durable,
            keep,
        })?;
        let stops = matches!(change, Change::Stopped(_) | Change::Resumed(_));
        self.state.apply(placed, at, change);
        if stops {
            self.count_stops();
        }
        Ok(placed)
    }

    /// What matters to a call now.
    pub(super) fn sight(&mut self, call: &Call, now: Timestamp) -> Sight {
        let Self {
            state,
            rates,
            calendar,
            in_force,
            ..
        } = self;
        Sight::of(state, rates, calendar, in_force, call, now)
    }

    /// The stop of all that an agent does in a run, or of the run that it follows.
    pub(super) fn stop_of(&self, agent: &AgentName, run: &RunId, now: Timestamp) -> Option<&Stop> {
        let now = now.as_microsecond();
        let follows = || self.state.usage.follows(&self.in_force, agent, run, now);
        self.in_force.all_of(agent, run).or_else(follows)
    }

    pub(super) fn around<'a>(&'a mut self, call: &'a Call, now: Timestamp) -> Around<'a> {
        Around {
            state: &mut self.state,
            calendar: &mut self.calendar,
            call,
            now,
        }
    }

    /// The room that must remain once a record is put that is not the end of
    /// something.
    pub(super) fn keep(&self) -> u64 {
        (self.state.open().len() as u64 + 2) * KEPT
    }

    pub(super) fn count_stops(&mut self) {
        let recorded = self.state.stops().iter();
        self.in_force = Stops::of(recorded.chain(&self.unrecorded).cloned());
    }
}
