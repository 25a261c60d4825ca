//! What follows from a judgement or from the end of a call beside its own record:
//! breakers that open and close, runs that end, people who are told.
//!
//! Each of these becomes a record of its own, put in the same critical section: a
//! replay reads them back and needs no rules.

use jiff::Timestamp;

use super::{
    calendar::Calendar,
    circuits::Opened,
    record::Draft,
    record_limits,
    series::Width,
    state::{State, tool_hash},
    usage::Usage,
};
use crate::{
    domain::{
        Amounts, BreakerRule, Call, Circuit, Dimension, Ends, Halt, HaltKind, Level, Limit, Notice,
        NoticeKind, Outcome, Over, Period, Refusal, Scope, Subject, Then,
    },
    ports::Settlement,
};

/// A halt without an end of its own holds for a day.
const DAY: i64 = 24 * 3_600_000_000;
/// What is told of again after an hour.
const HOUR: i64 = 3_600_000_000;
/// For at most so long a server can ask to be left alone: what it passes on may be the
/// word of a stranger, and it can ask again when it is tried.
const ALONE: i64 = HOUR;
/// So many quarters of an hour with spending make a habit.
const HABIT: usize = 8;

/// What follows, in order.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// What must be recorded.
    pub(super) acts: Vec<Draft>,
    /// What people are told.
    pub(super) notices: Vec<Notice>,
    /// The agent is halted.
    pub(super) halt: Option<Halt>,
}

impl Aftermath {
    fn halts(&mut self, halt: Halt) {
        let (kind, word) = match halt.kind {
            HaltKind::Killed => (NoticeKind::Killed, "ended"),
            HaltKind::Paused => (NoticeKind::Paused, "paused"),
        };
        self.notices.push(Notice {
            kind,
            about: format!("{} {}", halt.agent, halt.run),
            says: format!(
                "run {} of agent `{}` was {word}: {}",
                halt.run, halt.agent, halt.says
            ),
        });
        self.acts.push(record_limits::halt(halt.clone()));
        self.halt = Some(halt);
    }
}

/// What can be looked at while it is worked out.
pub(super) struct Around<'a> {
    pub(super) state: &'a mut State,
    pub(super) calendar: &'a mut Calendar,
    pub(super) call: &'a Call,
    pub(super) now: Timestamp,
}

impl Around<'_> {
    fn at(&self) -> i64 {
        self.now.as_microsecond()
    }

    /// After a call was let through; before that it had been so.
    pub(super) fn of_intent(
        &mut self,
        levels: &[Level],
        charge: &Amounts,
        first_use: bool,
    ) -> Aftermath {
        let mut after = Aftermath::default();
        let call = self.call;
        if first_use {
            after.notices.push(Notice {
                kind: NoticeKind::FirstUse,
                about: format!("{} {}", call.by.agent, call.title()),
                says: format!(
                    "agent `{}` calls {} for the first time",
                    call.by.agent,
                    call.title()
                ),
            });
        }
        self.thresholds(levels, &Amounts::ZERO, charge, None, &mut after);
        after
    }

    /// After a call was refused.
    pub(super) fn of_refusal(&mut self, refusal: &Refusal) -> Aftermath {
        let mut after = Aftermath::default();
        if let Some(notice) = &refusal.notice {
            let limit = self.call.claim.limits().find(|limit| {
                notice.kind == NoticeKind::BudgetStop && limit.about(self.call) == notice.about
            });
            let since = match limit.cloned() {
                Some(limit) => Usage::begins(&limit, self.now, self.calendar),
                None => self.at() - HOUR,
            };
            self.tell((**notice).clone(), since, &mut after);
        }
        if let Some(halt) = refusal.ends.as_ref().and_then(|ends| self.halt(ends)) {
            after.halts(halt);
        }
        after
    }

    /// After a call has ended and what it used is charged. `levels` are from before.
    pub(super) fn of_end(
        &mut self,
        levels: &[Level],
        (reserved, charged): (&Amounts, &Amounts),
        settlement: &Settlement,
        probed: &[bool],
    ) -> Aftermath {
        let mut after = Aftermath::default();
        self.breakers(settlement, probed, &mut after);
        if let Some(why) = &settlement.unpriced {
            let cost = charged.get(Dimension::Cost);
            let notice = Notice {
                kind: NoticeKind::PriceUnknown,
                about: self.call.title().to_string(),
                says: format!(
                    "in the answer of {}, {why}; {} was charged",
                    self.call.title(),
                    Dimension::Cost.show(cost, self.call.claim.currency)
                ),
            };
            self.tell(notice, self.at() - HOUR, &mut after);
        }
        self.thresholds(levels, reserved, charged, Some(charged), &mut after);
        let ends = self.used_up(levels, charged).or_else(|| self.spends());
        if let Some(halt) = ends.and_then(|ends| self.halt(&ends)) {
            after.halts(halt);
        }
        after
    }

    /// Limits that somebody wants to hear of before they stop anything.
    fn thresholds(
        &mut self,
        levels: &[Level],
        less: &Amounts,
        more: &Amounts,
        charged: Option<&Amounts>,
        after: &mut Aftermath,
    ) {
        let call = self.call;
        for (limit, level) in call.claim.limits().zip(levels) {
            if limit.period == Period::Action {
                continue;
            }
            let of = limit.dimension;
            let total = level
                .total()
                .saturating_sub(less.get(of))
                .saturating_add(more.get(of));
            let used = charged.map(|charged| level.used.saturating_add(charged.get(of)));
            let over = used.filter(|used| is_overrun(*used, level.allowed(limit)));
            let ways = [
                (limit.warn, total, NoticeKind::BudgetWarn),
                (limit.notify, total, NoticeKind::BudgetNotify),
                (over, total, NoticeKind::BudgetOverrun),
            ];
            for (from, total, kind) in ways {
                if from.is_none_or(|from| total < from) {
                    continue;
                }
                let since = Usage::begins(limit, self.now, self.calendar);
                let show = |quantity| of.show(quantity, call.claim.currency);
                let about = limit.about(call);
                let notice = Notice {
                    kind,
                    says: format!(
                        "{}: {} of {} used ({})",
                        subject(limit, call),
                        show(total),
                        show(level.allowed(limit)),
                        limit.name()
                    ),
                    about,
                };
                self.tell(notice, since, after);
            }
        }
    }

    /// Tells people once since a moment.
    fn tell(&self, notice: Notice, since: i64, after: &mut Aftermath) {
        let told = self.state.noticed(&record_limits::notice_key(&notice));
        if told.is_none_or(|told| told < since) {
            after.notices.push(notice);
        }
    }

    /// The halt that comes of it, and of the one that holds already; none if that is all that
    /// there is to it.
    fn halt(&self, ends: &Ends) -> Option<Halt> {
        let halt = Halt {
            kind: ends.kind,
            agent: self.call.by.agent.clone(),
            run: self.call.run.clone(),
            at: self.at(),
            until: match ends.kind {
                HaltKind::Killed => Some(ends.until.unwrap_or(self.at() + DAY)),
                HaltKind::Paused => ends.until,
            },
            says: ends.says.clone(),
        };
        let conduct = &self.state.conduct;
        match conduct.halt(&self.call.by.agent, self.at()) {
            Some(held) => halt.on_top_of(held),
            None => Some(halt),
        }
    }

    /// A limit that ends the run, and is used up by what was charged.
    fn used_up(&mut self, levels: &[Level], charged: &Amounts) -> Option<Ends> {
        let call = self.call;
        let kills = |limit: &&Limit| match limit.then {
            Then::Kill => limit.period != Period::Action,
            Then::Refuse | Then::Ask => false,
        };
        let limits = call.claim.limits().zip(levels);
        for (limit, level) in limits.filter(|(limit, _)| kills(limit)) {
            let used = level.used.saturating_add(charged.get(limit.dimension));
            let allowed = level.allowed(limit);
            if charged.get(limit.dimension) == 0 || used < allowed {
                continue;
            }
            let show = |quantity| limit.dimension.show(quantity, call.claim.currency);
            let says = format!(
                "{} of {} used ({})",
                show(used),
                show(allowed),
                limit.name()
            );
            return Some(Ends {
                kind: HaltKind::Killed,
                says,
                until: self.free_again(limit),
            });
        }
        None
    }

    /// When a limit leaves room for one more, after what was charged.
    fn free_again(&mut self, limit: &Limit) -> Option<i64> {
        let (usage, call) = (&mut self.state.usage, self.call);
        let scope = Scope::of(limit.over, call)?;
        let level = usage.level_of(&scope, Some(&call.run), limit, 1, self.now, self.calendar);
        level.free_again()
    }

    /// An agent that spends much faster than it used to.
    fn spends(&self) -> Option<Ends> {
        let call = self.call;
        let times = call.claim.spend()?;
        let agent = self.state.conduct.get(&call.by.agent, self.at());
        let this = Width::Quarter.slot(self.at());
        // A person has looked at it in this very quarter.
        if agent.is_some_and(|agent| Width::Quarter.slot(agent.cleared) == this) {
            return None;
        }
        let series = self
            .state
            .usage
            .series(&Scope::Agent(call.by.agent.clone()))?;
        let quarters = series.slots(Width::Quarter);
        let now = quarters.get(this)?.get(Dimension::Cost);
        let week = Width::Quarter.slot(self.at() - 7 * DAY);
        let before = quarters
            .iter()
            .filter(|(slot, _)| (week..this).contains(slot));
        let spent: Vec<u64> = before
            .map(|(_, used)| used.get(Dimension::Cost))
            .filter(|cost| *cost > 0)
            .collect();
        if spent.len() < HABIT {
            return None;
        }
        let usual = mean(&spent);
        if now <= usual.saturating_mul(u64::from(times)) {
            return None;
        }
        let show = |quantity| Dimension::Cost.show(quantity, call.claim.currency);
        let says = format!(
            "it spent {} in a quarter of an hour, where {} is usual",
            show(now),
            show(usual)
        );
        Some(Ends {
            kind: HaltKind::Paused,
            says,
            until: None,
        })
    }

    fn breakers(&self, settlement: &Settlement, probed: &[bool], after: &mut Aftermath) {
        let answered = match &settlement.outcome {
            Outcome::Done { .. } => true,
            Outcome::Asked | Outcome::Failed(_) | Outcome::Unknown(_) => false,
        };
        for (rule, probed) in self.call.claim.breakers().zip(probed) {
            let Some(scope) = Scope::of(rule.over, self.call) else {
                continue;
            };
            let trouble = match &scope {
                Scope::Server(_) => settlement.trouble.0,
                Scope::Tool(..) => settlement.trouble.1,
                Scope::Everything | Scope::Agent(_) => false,
            };
            let asked = settlement
                .leave_alone
                .filter(|_| matches!(scope, Scope::Server(_)));
            if let Some(asked) = asked {
                let asked = i64::try_from(asked.as_micros()).unwrap_or(i64::MAX);
                let until = self.at().saturating_add(asked.min(ALONE));
                // What it has earned by its failures it does not ask away.
                if !self.rests_until(&scope, until) {
                    let why = "the server asked to be left alone".to_owned();
                    self.open(&scope, Opened { until, why }, after);
                }
            } else if trouble {
                self.failed(rule, &scope, *probed, after);
            } else if *probed && answered {
                after.notices.push(Notice {
                    kind: NoticeKind::BreakerClosed,
                    about: scope.to_string(),
                    says: format!("{scope} works again"),
                });
                after
                    .acts
                    .extend(record_limits::breaker_closed(&scope, None));
            }
        }
    }

    /// Whether something is left alone until then anyway.
    fn rests_until(&self, scope: &Scope, until: i64) -> bool {
        match self.state.circuits.circuit(scope, self.at()) {
            Circuit::Open(known, _) => known >= until,
            Circuit::Closed | Circuit::Probing | Circuit::HalfOpen => false,
        }
    }

    fn failed(&self, rule: &BreakerRule, scope: &Scope, probed: bool, after: &mut Aftermath) {
        let circuits = &self.state.circuits;
        let count = circuits.failures(scope, rule.within, self.at());
        let cooldown = i64::try_from(rule.cooldown.as_micros()).unwrap_or(i64::MAX);
        let until = self.at().saturating_add(cooldown);
        let why = if probed {
            "it was tried again and failed".to_owned()
        } else if count >= rule.failures as usize
            && circuits.circuit(scope, self.at()) == Circuit::Closed
        {
            let within = rule.within.as_secs();
            match count {
                1 => format!("it failed once within {within} s"),
                _ => format!("it failed {count} times within {within} s"),
            }
        } else {
            return;
        };
        self.open(scope, Opened { until, why }, after);
    }

    fn open(&self, scope: &Scope, opened: Opened, after: &mut Aftermath) {
        after.notices.push(Notice {
            kind: NoticeKind::BreakerOpen,
            about: scope.to_string(),
            says: format!("{scope} is left alone: {}", opened.why),
        });
        after
            .acts
            .extend(record_limits::breaker_opened(scope, opened));
    }
}

/// Whose use a limit counts, for people.
fn subject(limit: &Limit, call: &Call) -> String {
    let scope = Scope::of(limit.over, call);
    let scope = scope.map(|scope| scope.to_string()).unwrap_or_default();
    match (limit.period, limit.over) {
        (Period::Run, Over::Everything | Over::Agent) => format!("run {}", call.run),
        (Period::Run, Over::Server | Over::Tool) => format!("run {}, {scope}", call.run),
        (Period::Action | Period::Hour | Period::Day | Period::Month, _) => scope,
    }
}

/// Of some, however large.
fn mean(of: &[u64]) -> u64 {
    let sum: u128 = of.iter().copied().map(u128::from).sum();
    let mean = sum.checked_div(of.len() as u128);
    mean.and_then(|mean| u64::try_from(mean).ok()).unwrap_or(0)
}

/// More than the limit and a tenth of it.
fn is_overrun(used: u64, allowed: u64) -> bool {
    u128::from(used) * 10 > u128::from(allowed) * 11
}

/// Whether an agent calls a tool for the first time.
pub(super) fn is_first_use(state: &State, call: &Call) -> bool {
    match &call.subject {
        Subject::Tool(name) => {
            let tool = tool_hash(&call.server, name);
            !state.conduct.knows(&call.by.agent, tool)
        }
        Subject::Prompt(_)
        | Subject::Resource(_)
        | Subject::Completion(_)
        | Subject::Subscribe(_)
        | Subject::Unsubscribe(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_can_be_told_however_much_it_is() {
        assert_eq!(mean(&[]), 0);
        assert_eq!(mean(&[1, 2, 4]), 2);
        assert_eq!(mean(&[u64::MAX; 8]), u64::MAX);
    }
}
