//! Runs: which stretch of work a connection belongs to.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::Broker;
use crate::{
    clock::Clock,
    domain::{AgentName, Principal, RunId, ServerName, Terms},
};

/// One connection of an agent, in its run.
#[derive(Debug)]
pub struct Session {
    pub(super) principal: Arc<Principal>,
    pub(super) visible: Vec<ServerName>,
    /// The run that the connection began with: its instances serve all of it.
    pub(super) home: RunId,
    /// The agent's terms, and those that hold for everybody.
    pub(super) terms: Arc<Terms>,
    now: Mutex<Now>,
    /// Servers that were started anew when it came: its first lists wait for them.
    due: Mutex<BTreeSet<ServerName>>,
}

/// Which run the connection is in.
#[derive(Debug)]
struct Now {
    run: RunId,
    /// It was named by the client: silence does not end it.
    named: bool,
    busy: usize,
    /// Calls since it connected.
    calls: u64,
    last: Duration,
}

/// After so long without a call the next one begins another run.
const IDLE: Duration = Duration::from_secs(600);

/// A call of a session, between the door and its answer.
pub(super) struct Busy<'a> {
    session: &'a Session,
    clock: &'a dyn Clock,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut now = self.session.now();
        now.busy = now.busy.saturating_sub(1);
        // It was not idle until now.
        now.last = now.last.max(self.clock.elapsed());
    }
}

/// A call in the run of another connection.
pub(super) struct Visit<'a> {
    broker: &'a Broker,
    home: &'a RunId,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.broker.leave_run(self.home);
    }
}

impl Session {
    /// Who it is.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The servers that it may see, in order.
    #[must_use]
    pub fn visible(&self) -> &[ServerName] {
        &self.visible
    }

    /// The servers that are started anew for it.
    pub(super) fn due(&self) -> MutexGuard<'_, BTreeSet<ServerName>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that it began with.
    #[must_use]
    pub fn home(&self) -> &RunId {
        &self.home
    }

    /// The run that it is in now.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.now().run.clone()
    }

    /// How many calls it has made, those that were refused among them.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.now().calls
    }

    /// How many of them have no answer yet.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.now().busy
    }

    /// A call is under way until this is dropped: the run is not idle.
    pub(super) fn busy<'a>(&'a self, clock: &'a dyn Clock) -> Busy<'a> {
        let mut now = self.now();
        now.busy += 1;
        now.calls += 1;
        drop(now);
        Busy {
            session: self,
            clock,
        }
    }

    /// The run that a call which comes now belongs to.
    pub(super) fn run_at(&self, elapsed: Duration, new: impl FnOnce() -> RunId) -> RunId {
        let mut now = self.now();
        let idle = now.busy == 0 && elapsed.saturating_sub(now.last) >= IDLE;
        if idle && !now.named {
            now.run = new();
        }
        now.last = elapsed;
        now.run.clone()
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an agent cannot join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinError {
    /// The configuration lists agents, and not this one.
    UnknownAgent(AgentName),
    /// The run belongs to another agent.
    ForeignRun,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::UnknownAgent(agent) => {
                write!(f, "the configuration does not list an agent `{agent}`")
            }
            JoinError::ForeignRun => f.write_str("the run belongs to another agent"),
        }
    }
}

impl Broker {
    /// Whether this very run is open and this agent's: then its id may be used
    /// to join it.
    #[must_use]
    pub fn is_own_run(&self, agent: &AgentName, run: &RunId) -> bool {
        let runs = self.runs.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.get(run).is_some_and(|open| open.agent == *agent)
    }
}

/// The runs that have a connection.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<HashMap<RunId, Open>>);

#[derive(Debug)]
struct Open {
    agent: AgentName,
    /// Those that began with it, and the calls of others that are made in it.
    connections: usize,
}

impl Broker {
    /// Lets an agent in, in a run of its own or one that is already its own.
    ///
    /// # Errors
    /// When the agent is not known or the run is another's.
    pub fn join(&self, agent: &AgentName, run: Option<RunId>) -> Result<Arc<Session>, JoinError> {
        let principal = self
            .policy
            .principal(agent)
            .ok_or_else(|| JoinError::UnknownAgent(agent.clone()))?;
        let named = run.is_some();
        let run = run.unwrap_or_else(|| self.new_run_id());
        let mut runs = self.runs.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = runs.entry(run.clone()).or_insert_with(|| Open {
            agent: agent.clone(),
            connections: 0,
        });
        if open.agent != *agent {
            return Err(JoinError::ForeignRun);
        }
        open.connections += 1;
        drop(runs);
        Ok(Arc::new(self.session(principal, run, named)))
    }

    pub(super) fn session(&self, principal: Principal, run: RunId, named: bool) -> Session {
        Session {
            visible: self.policy.visible(&principal),
            terms: self.policy.terms(&principal.agent),
            principal: Arc::new(principal),
            home: run.clone(),
            now: Mutex::new(Now {
                run,
                named,
                busy: 0,
                calls: 0,
                last: self.clock.elapsed(),
            }),
            due: Mutex::default(),
        }
    }

    /// A connection is over; with the last one its run is, and so are the
    /// instances that served it.
    pub fn leave(&self, session: &Session) {
        self.present.leaves(session);
        self.leave_run(&session.home);
    }

    fn leave_run(&self, home: &RunId) {
        let mut runs = self.runs.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = match runs.get_mut(home) {
            Some(open) => {
                open.connections = open.connections.saturating_sub(1);
                open.connections == 0
            }
            None => false,
        };
        if over {
            runs.remove(home);
            drop(runs);
            if let Some(tools) = self.tools.get() {
                tools.end_run(home);
            }
        }
    }

    /// Keeps the run whose instances serve a call from ending under it, if that is not the
    /// connection's own: none if it is, or has ended already.
    pub(super) fn visit<'a>(&'a self, session: &Session, home: &'a RunId) -> Option<Visit<'a>> {
        if *home == session.home {
            return None;
        }
        let mut runs = self.runs.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.get_mut(home)?.connections += 1;
        Some(Visit { broker: self, home })
    }

    /// The connection itself is over, and hears of no resource any more.
    pub fn left(&self, connection: u64) {
        if let Some(tools) = self.tools.get() {
            tools.left(connection);
        }
    }

    /// A connection hears of these resources no longer. That is no call, like the end of
    /// a connection.
    pub fn unwatch(&self, connection: u64, uris: BTreeSet<String>) {
        if let Some(tools) = self.tools.get() {
            tools.unwatch(connection, uris);
        }
    }

    /// The resources that tool servers tell a connection of.
    #[must_use]
    pub fn watched(&self, connection: u64) -> BTreeSet<String> {
        let tools = self.tools.get();
        tools.map_or_else(BTreeSet::new, |tools| tools.watched(connection))
    }

    pub(super) fn new_run_id(&self) -> RunId {
        RunId::from_tail(&self.ids.tail())
    }

    /// The folders that an agent works in have changed.
    ///
    /// Nothing leaves while a stop holds, this notice neither: it makes servers
    /// ask.
    pub fn roots_changed(&self, session: &Session) {
        let (agent, run) = (&session.principal.agent, session.run());
        let leaves = self.store.stop_of(agent, &run).is_none();
        if let Some(tools) = self.tools.get() {
            tools.roots_changed(&session.home, leaves);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SetClock;
    use crate::domain::{Owner, Reach};

    fn session(named: bool) -> Session {
        Session {
            principal: Arc::new(Principal {
                agent: AgentName::parse("bot").unwrap(),
                owner: Owner::parse("ana").unwrap(),
                reach: Reach::Everything,
            }),
            visible: Vec::new(),
            home: RunId::from_tail("1"),
            terms: Arc::default(),
            now: Mutex::new(Now {
                run: RunId::from_tail("1"),
                named,
                busy: 0,
                calls: 0,
                last: Duration::ZERO,
            }),
            due: Mutex::default(),
        }
    }

    fn at(session: &Session, seconds: u64) -> String {
        let new = || RunId::from_tail(&format!("at{seconds}"));
        let run = session.run_at(Duration::from_secs(seconds), new);
        run.to_string()
    }

    #[test]
    fn ten_idle_minutes_end_a_run_and_a_call_under_way_does_not_let_it_idle() {
        let session = session(false);
        assert_eq!(at(&session, 599), "r-1");
        assert_eq!(at(&session, 1198), "r-1");
        assert_eq!(at(&session, 1798), "r-AT1798");
        let clock = SetClock::at(jiff::Timestamp::UNIX_EPOCH);
        let busy = session.busy(&clock);
        assert_eq!(at(&session, 3000), "r-AT1798");
        clock.advance(Duration::from_secs(9000));
        drop(busy);
        assert_eq!(at(&session, 9599), "r-AT1798");
        assert_eq!(at(&session, 10_199), "r-AT10199");
        assert_eq!(session.home().to_string(), "r-1", "its instances stay");
    }

    #[test]
    fn a_run_that_the_client_named_does_not_idle() {
        assert_eq!(at(&session(true), 100_000), "r-1");
    }
}
