//! The part of the store that keeps limits: charging what has ended, and what people
//! do about runs and agents.

use super::{
    change::Extension,
    ledger::{Ledger, tell},
    log::Log,
    record, record_limits,
    section::Section,
    sight,
};
use crate::{
    domain::{AgentName, Call, Dimension, Fault, Halt, Level, Limit, RunId, Scope},
    ports::{Helping, RunKnown, Settled, Settlement, Spent},
};

#[allow(
    private_bounds,
    reason = "what a log is stays inside: there are two of them, and both are here"
)]
impl<L: Log> Ledger<L> {
    /// Charges a call that has ended, and does what follows from it.
    pub(super) fn ended(
        &self,
        spent: &Spent,
        call: &Call,
        settlement: &Settlement,
    ) -> Result<Settled, Fault> {
        // Redaction takes its time: only this caller's.
        let ended = record::Ended::new(spent.call(), settlement);
        let (placed, settled, notices) = {
            let mut section = self.section();
            let section = &mut *section;
            let now = self.clock.now();
            let Section {
                state, calendar, ..
            } = section;
            state.clock_is(now.as_microsecond());
            let open = state.open().get(spent.call());
            // Its time so far counts as that of a call under way, until it is charged.
            let worked = open.map_or(0, |open| {
                let work = state.usage.work_on(spent.call(), open);
                work.by(now.as_microsecond())
            });
            let worked = u64::try_from(worked).unwrap_or(0);
            let reserved = open.map(|open| open.charge).unwrap_or_default();
            let reserved = reserved.with(Dimension::Time, worked);
            // The step that it began is one, whatever the call came to; so is each time that
            // its server asked the client's model.
            let mut charged = settlement.charged;
            let calls = charged.get(Dimension::Calls);
            charged.set(Dimension::Calls, calls.max(reserved.get(Dimension::Calls)));
            charged.set(Dimension::Steps, reserved.get(Dimension::Steps));
            let levels = sight::levels(state, calendar, call, false, now);
            let probes = call.claim.breakers().map(|rule| {
                let scope = Scope::of(rule.over, call);
                scope.is_some_and(|scope| state.circuits.is_probe(&scope, spent.call()))
            });
            let probed: Vec<bool> = probes.collect();
            let left = sight::left(call, &levels, &reserved, &charged);
            let draft = ended.outcome(charged, call.claim.currency, left);
            let placed = self.commit(section, draft, false)?;
            let mut around = section.around(call, now);
            let after = around.of_end(&levels, (&reserved, &charged), settlement, &probed);
            let halt = after.halt.clone();
            let (placed, notices) = self.follow_up(section, call, after, placed)?;
            (placed, Settled { left, halt }, notices)
        };
        self.write(placed)?;
        tell(&notices);
        Ok(settled)
    }

    pub(super) fn levels_of(&self, asked: &[(Scope, Option<RunId>, Limit)]) -> Vec<Level> {
        let mut section = self.section();
        let Section {
            state, calendar, ..
        } = &mut *section;
        let now = self.clock.now();
        state.clock_is(now.as_microsecond());
        let level = |(scope, run, limit): &(Scope, Option<RunId>, Limit)| {
            let usage = &mut state.usage;
            usage.level_of(scope, run.as_ref(), limit, 0, now, calendar)
        };
        asked.iter().map(level).collect()
    }

    pub(super) fn runs_known(&self) -> Vec<RunKnown> {
        let section = self.section();
        let runs = section.state.usage.runs();
        let mut runs: Vec<RunKnown> = runs
            .map(|(id, run)| RunKnown {
                run: id.clone(),
                agent: run.agent.clone(),
                began: run.began,
                last: run.last,
                steps: run.step,
            })
            .collect();
        runs.sort_by(|a, b| (b.last, &a.run).cmp(&(a.last, &b.run)));
        runs
    }

    pub(super) fn halts_now(&self) -> Vec<Halt> {
        let now = self.clock.now().as_microsecond();
        let section = self.section();
        let halts = section.state.conduct.halts();
        let mut halts: Vec<Halt> = halts.filter(|halt| halt.holds(now)).cloned().collect();
        halts.sort_by(|a, b| a.agent.cmp(&b.agent));
        halts
    }

    pub(super) fn cleared(
        &self,
        agent: &AgentName,
        shown: Option<i64>,
        by: &str,
    ) -> Result<bool, Fault> {
        let placed = {
            let mut section = self.section();
            let now = self.clock.now().as_microsecond();
            let halt = section.state.conduct.halt(agent, now);
            if halt.is_none_or(|halt| shown.is_some_and(|shown| halt.at != shown)) {
                return Ok(false);
            }
            self.commit(&mut section, record_limits::cleared(agent, by), true)?
        };
        self.write(placed)?;
        self.log.sync()?;
        Ok(true)
    }

    pub(super) fn breaker_closed(&self, scope: &Scope, by: &str) -> Result<bool, Fault> {
        let placed = {
            let mut section = self.section();
            let is_open = section.state.circuits.open().any(|(open, _)| open == scope);
            let draft = record_limits::breaker_closed(scope, Some(by));
            let Some(draft) = draft.filter(|_| is_open) else {
                return Ok(false);
            };
            self.commit(&mut section, draft, true)?
        };
        self.write(placed)?;
        self.log.sync()?;
        Ok(true)
    }

    pub(super) fn extended(
        &self,
        run: &RunId,
        helping: &Helping,
        by: &str,
    ) -> Result<Option<AgentName>, Fault> {
        let (placed, agent) = {
            let mut section = self.section();
            let Some(known) = section
                .state
                .usage
                .run(run, self.clock.now().as_microsecond())
            else {
                return Ok(None);
            };
            let agent = known.agent.clone();
            let extension = Extension {
                run: run.clone(),
                agent: agent.clone(),
                added: helping.added,
                alone: helping.alone,
            };
            let draft = record_limits::extended(extension, by);
            (self.commit(&mut section, draft, true)?, agent)
        };
        self.write(placed)?;
        self.log.sync()?;
        Ok(Some(agent))
    }
}
