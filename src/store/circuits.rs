//! Breakers: which tools and servers have failed lately, and which are left alone.
//!
//! Failures are remembered whatever the rules say; that a breaker opens is a record
//! of its own, so a replay needs no rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{BreakerRule, CallId, Circuit, Scope};

/// How long failures are remembered.
const KEPT: i64 = BreakerRule::KEPT.as_secs().cast_signed() * 1_000_000;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Circuits {
    all: BTreeMap<Scope, Breaker>,
    touched: BTreeSet<Scope>,
}

/// One breaker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Breaker {
    /// When, in microseconds since 1970.
    failures: VecDeque<i64>,
    /// If it is open, and since when.
    open: Option<(Opened, i64)>,
    /// The call that tries whether it works again. Follows from the open calls.
    #[serde(skip)]
    probe: Option<CallId>,
}

/// An open breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) until: i64,
    pub(super) why: String,
}

impl Circuits {
    /// How it stands for a call that comes now.
    pub(super) fn circuit(&self, scope: &Scope, now: i64) -> Circuit {
        let Some(breaker) = self.all.get(scope) else {
            return Circuit::Closed;
        };
        match (&breaker.open, &breaker.probe) {
            (None, _) => Circuit::Closed,
            (Some((open, _)), _) if now < open.until => Circuit::Open(open.until, open.why.clone()),
            (Some(_), Some(_)) => Circuit::Probing,
            (Some(_), None) => Circuit::HalfOpen,
        }
    }

    /// Whether it is open and this call tries it.
    pub(super) fn is_probe(&self, scope: &Scope, call: &CallId) -> bool {
        let breaker = self.all.get(scope);
        breaker.is_some_and(|breaker| breaker.probe.as_ref() == Some(call))
    }

    /// How many failures there were within a time.
    pub(super) fn failures(&self, scope: &Scope, within: Duration, now: i64) -> usize {
        let within = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
        self.all.get(scope).map_or(0, |breaker| {
            let recent = |at: &&i64| **at > now.saturating_sub(within);
            breaker.failures.iter().filter(recent).count()
        })
    }

    pub(super) fn probes(&mut self, scope: Scope, call: CallId) {
        self.all.entry(scope).or_default().probe = Some(call);
    }

    pub(super) fn failed(&mut self, scope: Scope, at: i64) {
        self.touched.insert(scope.clone());
        let breaker = self.all.entry(scope).or_default();
        if breaker.failures.len() == BreakerRule::REMEMBERED {
            breaker.failures.pop_front();
        }
        breaker.failures.push_back(at);
    }

    /// A call is over, and no longer tries anything.
    pub(super) fn ended(&mut self, scope: &Scope, call: &CallId) {
        if let Some(breaker) = self.all.get_mut(scope) {
            breaker.probe.take_if(|probe| probe == call);
        }
    }

    pub(super) fn opened(&mut self, scope: Scope, open: Opened, at: i64) {
        self.touched.insert(scope.clone());
        let breaker = self.all.entry(scope).or_default();
        breaker.open = Some((open, at));
    }

    pub(super) fn closed(&mut self, scope: &Scope) {
        if let Some(breaker) = self.all.get_mut(scope) {
            breaker.open = None;
            breaker.failures.clear();
            self.touched.insert(scope.clone());
        }
    }

    /// What is open, and until when.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Scope, &Opened)> {
        let open = |(scope, breaker)| -> Option<(&Scope, &Opened)> {
            let breaker: &Breaker = breaker;
            let (open, _) = breaker.open.as_ref()?;
            Some((scope, open))
        };
        self.all.iter().filter_map(open)
    }

    pub(super) fn get(&self, scope: &Scope) -> Option<&Breaker> {
        self.all.get(scope)
    }

    /// Those of which something is kept.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Scope, &Breaker)> {
        self.all.iter().filter(|(_, breaker)| breaker.matters())
    }

    /// For what is read back.
    pub(super) fn put(&mut self, scope: Scope, breaker: Breaker) {
        self.all.insert(scope, breaker);
    }

    /// See `State::sweep` for what lies ahead.
    pub(super) fn sweep(&mut self, now: i64, at: i64) {
        let touched = &mut self.touched;
        self.all.retain(|scope, breaker| {
            let settled = breaker.settle(now, at);
            let before = breaker.failures.len();
            breaker.failures.retain(|at| now - at < KEPT);
            // An open one stays open until a call has tried it, but not for ever.
            let stale = |(open, _): &mut (Opened, i64)| now - open.until > KEPT;
            let closed = breaker.open.take_if(stale).is_some();
            if settled || closed || before != breaker.failures.len() {
                touched.insert(scope.clone());
            }
            breaker.matters() || breaker.probe.is_some()
        });
    }

    pub(super) fn take_touched(&mut self) -> BTreeSet<Scope> {
        std::mem::take(&mut self.touched)
    }
}

impl Breaker {
    fn settle(&mut self, now: i64, at: i64) -> bool {
        let mut ahead = false;
        for failure in self.failures.iter_mut().filter(|failure| **failure > at) {
            *failure = now;
            ahead = true;
        }
        if let Some((open, since)) = self.open.as_mut().filter(|(_, since)| *since > at) {
            open.until -= *since - now;
            *since = now;
            ahead = true;
        }
        ahead
    }

    pub(super) fn matters(&self) -> bool {
        !self.failures.is_empty() || self.open.is_some()
    }
}
