//! Which call a server's question belongs to, in an instance of one run. One that
//! all runs share asks nothing: see `questions.rs`.
//!
//! On stdio the wire does not say. While a server asks nothing, its calls run
//! side by side; from its first question on only one runs at a time, so that
//! every later question has one call it can belong to. A call whose question is
//! with a person does not run: other calls of the same user go on beside it, and
//! it takes its turn again when the answer is there. Calls of another user wait,
//! so that nobody is asked what concerns somebody else. A call that was given up may
//! be worked on all the same, and its server may ask for it: until it has answered,
//! or a while has passed, a question is put to nobody else, and with no other call open
//! to nobody at all.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{deadline::Clock, instance::lock};
use crate::ports::Caller;

/// How long a question waits for the calls of the same user beside its own, and an answer
/// for those that came after the question.
const GRACE: Duration = Duration::from_millis(500);

/// The calls that one instance is running.
pub(super) struct Lane {
    single: AtomicBool,
    calls: Mutex<Calls>,
    changed: Notify,
}

/// How long a question may be about a call that was given up, unless its server answers
/// that before.
const GIVEN_UP: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Calls {
    open: BTreeMap<u64, Entry>,
    /// Calls that were given up and that the server has not answered: whose, and when.
    given_up: BTreeMap<u64, (u64, Instant)>,
    /// Calls so far.
    entered: u64,
    /// Those that wait to enter, in the order of arrival.
    waiting: BTreeMap<u64, Waiting>,
    /// How many have waited so far.
    waited: u64,
    /// Questions so far.
    asked: u64,
}

struct Waiting {
    connection: u64,
    /// How many calls there had been when it came.
    entered: u64,
    /// Only who is next is woken: many may wait.
    wake: Arc<Notify>,
}

struct Entry {
    open: Open,
    /// Which of all calls it is.
    nth: u64,
    /// Its questions that are with a person.
    asking: usize,
    /// Its questions that are answered and wait for its turn.
    answered: usize,
    /// Which of all questions was its last.
    last: u64,
}

/// One running call.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) caller: Arc<dyn Caller>,
    pub(super) clock: Arc<Clock>,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            single: AtomicBool::new(false),
            calls: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl Lane {
    /// Marks a call as running if it need not wait for its turn.
    pub(super) fn enter_now(&self, id: u64, open: Open) -> Result<Running<'_>, Open> {
        if self.single.load(Ordering::Relaxed) {
            return Err(open);
        }
        lock(&self.calls).enter(id, open);
        Ok(Running { lane: self, id })
    }

    /// Marks a call as running until the guard is dropped; at once while the
    /// server asks nothing, else when it is its turn.
    pub(super) async fn enter(&self, id: u64, open: Open) -> Running<'_> {
        let place = self.waits(open.caller.connection());
        loop {
            {
                let mut calls = lock(&self.calls);
                if !self.single.load(Ordering::Relaxed) || calls.next() == Some(place.nth) {
                    calls.enter(id, open);
                    break;
                }
            }
            place.wake.notified().await;
        }
        drop(place);
        Running { lane: self, id }
    }

    /// The last place among those that wait.
    fn waits(&self, connection: u64) -> Place<'_> {
        let mut calls = lock(&self.calls);
        calls.waited += 1;
        let (nth, wake) = (calls.waited, Arc::new(Notify::new()));
        let waiting = Waiting {
            connection,
            entered: calls.entered,
            wake: wake.clone(),
        };
        calls.waiting.insert(nth, waiting);
        Place {
            lane: self,
            nth,
            wake,
        }
    }

    /// Who hears what the server says to nobody in particular: each connection
    /// once, through the call of it that wants to hear most.
    pub(super) fn callers(&self) -> Vec<Arc<dyn Caller>> {
        let calls = lock(&self.calls);
        let mut entries: Vec<&Entry> = calls.open.values().collect();
        entries.sort_by_key(|entry| (!entry.runs(), entry.open.caller.log_level().is_none()));
        let mut found: Vec<Arc<dyn Caller>> = Vec::new();
        for entry in entries {
            let caller = &entry.open.caller;
            let known = found
                .iter()
                .any(|other| other.connection() == caller.connection());
            if !known {
                found.push(caller.clone());
            }
        }
        found
    }

    /// Wakes who waits: a call ended, or the instance did.
    pub(super) fn changed(&self) {
        self.wake(&lock(&self.calls));
    }

    fn wake(&self, calls: &Calls) {
        self.changed.notify_waiters();
        if let Some(next) = calls.next().and_then(|next| calls.waiting.get(&next)) {
            next.wake.notify_one();
        }
    }

    /// The server has answered a call that was given up: it asks nothing for it any more.
    pub(super) fn answered(&self, id: u64) {
        lock(&self.calls).given_up.remove(&id);
    }

    /// The call that a question belongs to, which does not run until the answer
    /// is there; waits while it could be the call of more than one user.
    pub(super) async fn question(&self) -> Owner<'_> {
        self.single.store(true, Ordering::Relaxed);
        let since = Instant::now();
        loop {
            let changed = self.changed.notified();
            {
                let mut calls = lock(&self.calls);
                if calls.open.is_empty() {
                    calls.forget_given_up();
                    return match calls.given_up.is_empty() {
                        true => Owner::NoCall,
                        // Also of the one that is asked between calls: it is over.
                        false => Owner::Unknown,
                    };
                }
                if let Some(id) = calls.owner(since.elapsed() >= GRACE) {
                    if calls.may_be_anothers(id) {
                        return Owner::Unknown;
                    }
                    let clocks = calls.clocks(id);
                    calls.asked += 1;
                    let nth = calls.asked;
                    let Some(entry) = calls.open.get_mut(&id) else {
                        continue;
                    };
                    entry.asking += 1;
                    entry.last = nth;
                    let open = entry.open.clone();
                    let there = calls.entered;
                    drop(calls);
                    self.changed();
                    return Owner::Call(Asking {
                        lane: self,
                        id,
                        open,
                        clocks,
                        there,
                        state: State::Asking,
                    });
                }
            }
            let _ = tokio::time::timeout(GRACE, changed).await;
        }
    }
}

impl Calls {
    fn enter(&mut self, id: u64, open: Open) {
        self.entered += 1;
        self.open.insert(id, Entry::new(open, self.entered));
    }

    fn forget_given_up(&mut self) {
        self.given_up.retain(|_, (_, at)| at.elapsed() < GIVEN_UP);
    }

    /// Whether what is asked for this call may be about one of another connection.
    fn may_be_anothers(&mut self, id: u64) -> bool {
        self.forget_given_up();
        let asked = self.open.get(&id).map(Entry::connection);
        let mut whose = self.given_up.values().map(|(whose, _)| *whose);
        asked.is_some_and(|asked| whose.any(|other| other != asked))
    }

    /// Which of those that wait goes in: the first that may. One of another user does not
    /// keep up what the answer that it waits for may depend on, as long as a call is open
    /// that was so when it came: then it would wait for ever.
    fn next(&self) -> Option<u64> {
        let mut open = self.open.values();
        if open.any(|entry| entry.runs() || entry.answered > 0) {
            return None;
        }
        let oldest = self.open.values().map(|entry| entry.nth).min();
        for (nth, waiting) in &self.waiting {
            let mut asked = self.open.values().map(Entry::connection);
            if asked.all(|asked| asked == waiting.connection) {
                return Some(*nth);
            }
            if oldest.is_none_or(|oldest| oldest > waiting.entered) {
                return None;
            }
        }
        None
    }

    /// Those of all calls whose question it may be that is given to one.
    fn clocks(&self, given: u64) -> Vec<Arc<Clock>> {
        let open = self.open.iter();
        let may = open.filter(|(id, entry)| **id == given || entry.runs());
        may.map(|(_, entry)| entry.open.clock.clone()).collect()
    }

    fn owner(&self, waited: bool) -> Option<u64> {
        let mut connections = self.open.values().map(Entry::connection);
        let first = connections.next()?;
        if connections.any(|other| other != first) {
            return None;
        }
        let mut running = self.open.iter().filter(|(_, entry)| entry.runs());
        match (running.next(), running.next()) {
            (Some((id, _)), None) => Some(*id),
            (Some((id, _)), Some(_)) => waited.then_some(*id),
            // Who asked last asks once more.
            (None, _) => self
                .open
                .iter()
                .max_by_key(|(_, entry)| entry.last)
                .map(|(id, _)| *id),
        }
    }
}

impl Entry {
    fn new(open: Open, nth: u64) -> Self {
        Self {
            open,
            nth,
            asking: 0,
            answered: 0,
            last: 0,
        }
    }

    fn connection(&self) -> u64 {
        self.open.caller.connection()
    }

    /// Whether the server works on it, as far as can be known.
    fn runs(&self) -> bool {
        self.asking + self.answered == 0
    }
}

/// A place among those that wait to enter, until it is dropped.
struct Place<'a> {
    lane: &'a Lane,
    nth: u64,
    wake: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.lane.calls).waiting.remove(&self.nth);
        // It may have been the next.
        self.lane.changed();
    }
}

/// See [`Lane::enter`].
pub(super) struct Running<'a> {
    lane: &'a Lane,
    id: u64,
}

impl Running<'_> {
    /// Its server has it, and nobody waits for the answer any more.
    pub(super) fn given_up(self) {
        let mut calls = lock(&self.lane.calls);
        if let Some(entry) = calls.open.get(&self.id) {
            let whose = entry.connection();
            calls.forget_given_up();
            calls.given_up.insert(self.id, (whose, Instant::now()));
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.lane.calls).open.remove(&self.id);
        self.lane.changed();
    }
}

/// Whose question it is.
pub(super) enum Owner<'a> {
    /// That of this call.
    Call(Asking<'a>),
    /// No call is open.
    NoCall,
    /// Perhaps that of a call of somebody who does not wait for it any more.
    Unknown,
}

/// One question that is with a person. See [`Lane::question`].
pub(super) struct Asking<'a> {
    lane: &'a Lane,
    id: u64,
    pub(super) open: Open,
    /// Of it and of those that ran when it came, and may be whose it is.
    pub(super) clocks: Vec<Arc<Clock>>,
    /// How many calls there had been then.
    there: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Asking,
    Answered,
    Over,
}

impl Asking<'_> {
    /// The answer is there: waits until the call may run again, but not for long.
    pub(super) async fn turn(mut self) {
        self.step(&mut lock(&self.lane.calls), State::Answered);
        let moment = Instant::now() + GRACE;
        let mut is_late = false;
        loop {
            let changed = self.lane.changed.notified();
            {
                let mut calls = lock(&self.lane.calls);
                let mut later = calls.open.values().filter(|entry| entry.nth > self.there);
                if is_late || !later.any(Entry::runs) {
                    self.step(&mut calls, State::Over);
                    return;
                }
            }
            is_late = tokio::time::timeout_at(moment, changed).await.is_err();
        }
    }

    fn step(&mut self, calls: &mut Calls, to: State) {
        if let Some(entry) = calls.open.get_mut(&self.id) {
            match self.state {
                State::Asking => entry.asking = entry.asking.saturating_sub(1),
                State::Answered => entry.answered = entry.answered.saturating_sub(1),
                State::Over => {}
            }
            match to {
                State::Asking => entry.asking += 1,
                State::Answered => entry.answered += 1,
                State::Over => {}
            }
        }
        self.state = to;
        self.lane.wake(calls);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.state != State::Over {
            self.step(&mut lock(&self.lane.calls), State::Over);
        }
    }
}
