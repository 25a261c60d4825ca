//! What one run has used, and what is kept back for its calls.

use std::collections::BTreeMap;

use super::{
    change::OpenCall,
    pending::{Pending, Work},
};
use crate::domain::{AgentName, Amounts, Dimension, Level, Limit, Over, Scope};

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

/// A run is forgotten after so long without a call.
const KEPT: i64 = 24 * 3_600_000_000;

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

    /// A call of it was let through.
    pub(super) fn opened(&mut self, open: &OpenCall) {
        // Before the clock went back, perhaps: from then on it would last no time at all.
        self.began = self.began.min(open.at);
        self.last = self.last.max(open.at);
        self.step = open.step;
        self.turn = open.turn;
    }

    /// Keeps back what a call may use.
    pub(super) fn reserve(&mut self, open: &OpenCall) {
        self.pending.open(open);
        for scope in parts(open) {
            self.pending_by.entry(scope).or_default().open(open);
        }
    }

    /// Keeps back more for a call that is open.
    pub(super) fn reserve_more(&mut self, open: &OpenCall, more: &Amounts) {
        self.pending.more(more);
        for scope in parts(open) {
            self.pending_by.entry(scope).or_default().more(more);
        }
    }

    /// Charges what a call has used.
    pub(super) fn closed(&mut self, open: &OpenCall, work: Work, charged: &Amounts, at: i64) {
        self.pending.close(open, work);
        self.used.add(charged);
        self.last = self.last.max(at);
        for scope in parts(open) {
            if let Some(pending) = self.pending_by.get_mut(&scope) {
                pending.close(open, work);
                if pending.open == 0 {
                    self.pending_by.remove(&scope);
                }
            }
            self.by.entry(scope).or_default().add(charged);
        }
    }

    /// What is known of the work on a call is something else now.
    pub(super) fn works(&mut self, open: &OpenCall, before: Work, now: Work) {
        self.pending.turn(before, now);
        for scope in parts(open) {
            self.pending_by.entry(scope).or_default().turn(before, now);
        }
    }

    /// See `State::sweep` for what lies ahead.
    pub(super) fn settle(&mut self, now: i64, at: i64) -> bool {
        let ahead = self.last > at;
        if ahead {
            self.last = at;
            self.began = self.began.min(now);
        }
        ahead
    }

    /// Whether nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.open == 0
    }

    /// Whether it still goes on: after a day without a call it is another run.
    pub(super) fn is_live(&self, now: i64) -> bool {
        self.pending.open > 0 || now - self.last < KEPT
    }

    pub(super) fn level(&self, scope: &Scope, limit: &Limit, now: i64) -> Level {
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
            forgotten: None,
        }
    }
}

/// The same within a run, beside the run itself.
pub(super) fn parts(open: &OpenCall) -> impl Iterator<Item = Scope> + use<> {
    let server = Scope::Server(open.server.clone());
    let tool = open
        .tool
        .then(|| Scope::Tool(open.server.clone(), open.name.clone()));
    std::iter::once(server).chain(tool)
}
