//! What every store of this machine does, whatever it writes its records to.
//!
//! One critical section decides, puts the record in its place and applies what
//! follows from it; it is never held across a write or a sync. Who wants to act
//! on a record has it written first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{
    aftermath::{Aftermath, is_first_use},
    change::Change,
    check,
    index::Blocks,
    journal::Placed,
    log::Log,
    news::News,
    record::{self, Draft, Noted},
    record_limits, search,
    section::Section,
};
use crate::{
    clock::Clock,
    domain::{
        AgentName, Call, CallId, Code, Fault, Fingerprint, Halt, Level, Limit, Notice, RunId,
        Scope, ServerName, Stop, StopScope, Stops,
    },
    gate::{self, Decision, Verdict},
    ports::{
        Admission, Context, Helping, InFlight, Intent, Page, Permit, Pin, Query, RunKnown, Settled,
        Settlement, Spent, Store, Verified,
    },
    wire::Raw,
};

/// See the module.
pub struct Ledger<L> {
    pub(super) section: Arc<Mutex<Section>>,
    pub(super) log: L,
    pub(super) clock: Arc<dyn Clock>,
    news: News,
}

#[allow(
    private_bounds,
    reason = "what a log is stays inside: there are two of them, and both are here"
)]
impl<L: Log> Ledger<L> {
    pub(super) fn over(
        log: L,
        clock: Arc<dyn Clock>,
        section: Arc<Mutex<Section>>,
        news: News,
    ) -> Self {
        Self {
            section,
            log,
            clock,
            news,
        }
    }

    pub(super) fn section(&self) -> MutexGuard<'_, Section> {
        lock(&self.section)
    }

    /// Commits within a section that the caller holds.
    pub(super) fn commit(
        &self,
        section: &mut Section,
        draft: Draft,
        durable: bool,
    ) -> Result<Placed, Fault> {
        let keep = match draft.change {
            // What ends or frees something finds the room that others left.
            Change::Closed(..)
            | Change::Stopped(_)
            | Change::Resumed(_)
            | Change::Halted(_)
            | Change::Pruned(..) => 0,
            Change::Nothing
            | Change::Opened(..)
            | Change::Refused(..)
            | Change::Asked(..)
            | Change::Answered(..)
            | Change::Pinned(..)
            | Change::Offered(..)
            | Change::Restored(_)
            | Change::Accepted(..)
            | Change::BreakerOpened(..)
            | Change::BreakerClosed(_)
            | Change::Cleared(_)
            | Change::Extended(_)
            | Change::Noticed(_) => section.keep(),
        };
        section.commit(
            |entry| self.log.put(entry),
            &*self.clock,
            draft,
            durable,
            keep,
        )
    }

    /// Commits what follows from a call's record, in the same section. Returns the
    /// last record. A notice that finds no room stands in the log alone; a halt that
    /// finds none fails the call.
    pub(super) fn follow_up(
        &self,
        section: &mut Section,
        call: &Call,
        after: Aftermath,
        last: Placed,
    ) -> Result<(Placed, Vec<Notice>), Fault> {
        let mut last = last;
        for draft in after.acts {
            let halts = matches!(draft.change, Change::Halted(_));
            match self.commit(section, draft, halts) {
                Ok(placed) => last = placed,
                Err(fault) if halts => return Err(fault),
                // A breaker that finds no room must not keep a halt from being put,
                // nor a call that is settled from being answered.
                Err(fault) => tracing::warn!("a breaker could not be recorded: {fault}"),
            }
        }
        for notice in &after.notices {
            let draft = record_limits::notice(notice, Some(call));
            if let Ok(placed) = self.commit(section, draft, false) {
                last = placed;
            }
        }
        Ok((last, after.notices))
    }

    /// Has a record written that was committed, and tells those who follow.
    pub(super) fn write(&self, placed: Placed) -> Result<(), Fault> {
        self.log.write(placed.seq)?;
        self.news.tell(placed.seq);
        Ok(())
    }

    /// One record that nothing is decided by, written before this returns.
    pub(super) fn note(&self, draft: Draft, durable: bool) -> Result<(), Fault> {
        let placed = {
            let mut section = self.section();
            self.commit(&mut section, draft, durable)?
        };
        self.write(placed)
    }

    /// Where records are now: looked through outside of the section.
    pub(super) fn blocks(&self) -> Blocks {
        Blocks(self.section().state.blocks().cloned().collect())
    }
}

impl<L: Log> Store for Ledger<L> {
    fn admit(&self, call: &Call, context: &Context) -> Result<Admission, Fault> {
        // Redaction takes its time: only this caller's.
        let noted = Noted::new(call, context);
        let durable = call.durable;
        let (placed, decision, notices) = {
            let mut section = self.section();
            if section.closed {
                return Err(closed());
            }
            let now = self.clock.now();
            let sight = section.sight(call, now);
            let decision = gate::decide(call, &sight.facts(&section.in_force));
            if !matches!(&decision, Decision::Refuse(refusal) if refusal.code == Code::RateLimited)
            {
                section.rates.take(call, now.as_microsecond());
            }
            let (placed, after) = match &decision {
                Decision::Clear(cleared) => {
                    let first_use = is_first_use(&section.state, call);
                    let draft = noted.intent(call, &sight, cleared.effects());
                    let charge = draft.reserves();
                    let placed = self.commit(&mut section, draft, durable)?;
                    let mut around = section.around(call, now);
                    (placed, around.of_intent(&sight.levels, &charge, first_use))
                }
                Decision::Refuse(refusal) => {
                    let draft = noted.refused(call, &sight, refusal);
                    let placed = self.commit(&mut section, draft, false)?;
                    (placed, section.around(call, now).of_refusal(refusal))
                }
            };
            let (placed, notices) = self.follow_up(&mut section, call, after, placed)?;
            (placed, decision, notices)
        };
        self.write(placed)?;
        tell(&notices);
        Ok(match decision {
            Decision::Refuse(refusal) => Admission::Refused(refusal),
            Decision::Clear(cleared) => {
                let permit = Permit::recorded(&cleared);
                let waiting = durable.then(|| self.log.synced(placed.seq)).flatten();
                Admission::Cleared(match waiting {
                    Some(waiting) => Intent::once(permit, waiting),
                    None => Intent::recorded(permit),
                })
            }
        })
    }

    fn judge(&self, call: &Call) -> Vec<(&'static str, Verdict)> {
        let mut section = self.section();
        let sight = section.sight(call, self.clock.now());
        gate::explain(call, &sight.facts(&section.in_force))
    }

    fn ready(&self) -> Result<(), Fault> {
        let section = self.section();
        match section.closed {
            true => Err(closed()),
            false => self.log.ready(section.keep()),
        }
    }

    fn unkept(&self) -> Option<String> {
        self.log.unkept()
    }

    fn settle(&self, spent: Spent, call: &Call, settlement: &Settlement) -> Result<Settled, Fault> {
        self.ended(&spent, call, settlement)
    }

    fn levels(&self, asked: &[(Scope, Option<RunId>, Limit)]) -> Vec<Level> {
        self.levels_of(asked)
    }

    fn runs(&self) -> Vec<RunKnown> {
        self.runs_known()
    }

    fn run_of(&self, run: &RunId) -> Option<AgentName> {
        let now = self.clock.now().as_microsecond();
        let section = self.section();
        let run = section.state.usage.run(run, now)?;
        Some(run.agent.clone())
    }

    fn runs_left(&self, call: &Call) -> Option<usize> {
        let now = self.clock.now().as_microsecond();
        let rule = call.claim.runs()?;
        let section = self.section();
        if section.state.usage.run(&call.run, now).is_some() {
            return None;
        }
        let conduct = &section.state.conduct;
        Some(conduct.runs_left(&call.by.agent, rule.calls, rule.per, now))
    }

    fn circuits(&self) -> Vec<(Scope, i64, String)> {
        let section = self.section();
        let open = section.state.circuits.open();
        open.map(|(scope, open)| (scope.clone(), open.until, open.why.clone()))
            .collect()
    }

    fn close_breaker(&self, scope: &Scope, by: &str) -> Result<bool, Fault> {
        self.breaker_closed(scope, by)
    }

    fn halts(&self) -> Vec<Halt> {
        self.halts_now()
    }

    fn halt_of(&self, agent: &AgentName) -> Option<Halt> {
        let now = self.clock.now().as_microsecond();
        self.section().state.conduct.halt(agent, now).cloned()
    }

    fn clear_shown(&self, agent: &AgentName, shown: Option<i64>, by: &str) -> Result<bool, Fault> {
        self.cleared(agent, shown, by)
    }

    fn extend(&self, run: &RunId, helping: &Helping, by: &str) -> Result<Option<AgentName>, Fault> {
        self.extended(run, helping, by)
    }

    fn tell(&self, notice: &Notice) -> Result<(), Fault> {
        tell(std::slice::from_ref(notice));
        self.note(record_limits::notice(notice, None), false)
    }

    fn pin(
        &self,
        server: &ServerName,
        tool: &str,
        definition: &Raw,
        fingerprint: Fingerprint,
    ) -> Result<Fingerprint, Fault> {
        self.offered(server, tool, definition, fingerprint)
    }

    fn pinned(&self, server: &ServerName, tool: &str) -> Option<Raw> {
        self.pin_text(server, tool)
    }

    fn pins(&self) -> Vec<Pin> {
        self.pins_known()
    }

    fn accept(
        &self,
        server: &ServerName,
        tool: &str,
        seen: Fingerprint,
        by: &str,
    ) -> Result<bool, Fault> {
        self.accepted(server, tool, seen, by)
    }

    fn stops(&self) -> Stops {
        self.section().in_force.clone()
    }

    fn stop_of(&self, agent: &AgentName, run: &RunId) -> Option<Stop> {
        let now = self.clock.now();
        self.section().stop_of(agent, run, now).cloned()
    }

    fn stop(&self, stop: Stop) -> Result<(), Fault> {
        let draft = record::stop(&stop);
        let scope = stop.scope.clone();
        let committed = {
            let mut section = self.section();
            // In force first: nothing passes from here on, whatever the disk says.
            section.unrecorded.retain(|known| known.scope != scope);
            section.unrecorded.push(stop);
            section.count_stops();
            self.commit(&mut section, draft, true)
        };
        let recorded = committed
            .and_then(|placed| self.write(placed))
            .and_then(|()| self.log.sync());
        match recorded {
            Ok(()) => {
                let mut section = self.section();
                section.unrecorded.retain(|known| known.scope != scope);
                section.count_stops();
                Ok(())
            }
            Err(fault) => Err(Fault::new(format!(
                "the stop is in force, but it could not be recorded: {fault}"
            ))
            .hint("it ends with this process; keep the STOP file until it is recorded")),
        }
    }

    fn resume_shown(
        &self,
        scope: &StopScope,
        shown: Option<&Stop>,
        by: &str,
    ) -> Result<bool, Fault> {
        let (placed, lifted) = {
            let mut section = self.section();
            let lifted = section.in_force.get(scope);
            let lifted = lifted.filter(|stop| shown.is_none_or(|shown| shown == *stop));
            let Some(lifted) = lifted.cloned() else {
                return Ok(false);
            };
            // Applied with the record: what comes next is written behind it.
            let placed = self.commit(&mut section, record::resume(scope, by), true)?;
            section.unrecorded.retain(|stop| stop.scope != *scope);
            section.count_stops();
            (placed, lifted)
        };
        let recorded = self.write(placed).and_then(|()| self.log.sync());
        if let Err(fault) = recorded {
            let mut section = self.section();
            section.unrecorded.push(lifted);
            section.count_stops();
            return Err(fault);
        }
        Ok(true)
    }

    fn page(&self, query: &Query) -> Result<Page, Fault> {
        search::page(&self.log, query, &self.blocks(), search::LOOKED_AT)
    }

    fn records_of(&self, call: &CallId) -> Result<Vec<String>, Fault> {
        let blocks = self.blocks().naming(call.as_str());
        search::of_call(&self.log, call.as_str(), &blocks)
    }

    fn verify(&self) -> Result<Verified, Fault> {
        self.log.verify()
    }

    fn in_flight(&self) -> Vec<InFlight> {
        let section = self.section();
        let open = section.state.open().iter();
        let mut flying: Vec<InFlight> = open
            .map(|(call, open)| InFlight {
                call: call.clone(),
                agent: open.agent.to_string(),
                run: open.run.clone(),
                title: format!("{}.{}", open.server, open.name),
            })
            .collect();
        flying.sort_by(|a, b| a.call.cmp(&b.call));
        flying
    }

    fn follow(&self) -> tokio::sync::watch::Receiver<u64> {
        self.news.follow()
    }

    fn kept_since(&self) -> Option<Timestamp> {
        self.log.base().stand.map(|stand| stand.since)
    }

    fn check(&self) -> Result<String, Fault> {
        check::check(&self.log, &self.section)
    }

    fn close(&self) {
        self.section().closed = true;
        self.log.close();
    }
}

impl<L> std::fmt::Debug for Ledger<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

/// The operator's log hears of everything that people are told.
pub(super) fn tell(notices: &[Notice]) {
    for notice in notices {
        let (kind, severity) = (notice.kind.word(), notice.kind.severity());
        match severity {
            "info" => tracing::info!(notice = kind, "{}", notice.says),
            _ => tracing::warn!(notice = kind, severity, "{}", notice.says),
        }
    }
}

pub(super) fn closed() -> Fault {
    Fault::new("tollgate is ending")
}

/// The state is whole between any two statements, and nothing in the section
/// panics.
pub(super) fn lock(section: &Mutex<Section>) -> MutexGuard<'_, Section> {
    section.lock().unwrap_or_else(PoisonError::into_inner)
}
