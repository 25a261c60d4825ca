//! Runs: which stretch of work a connection belongs to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::Broker;
use crate::{
    domain::{AgentName, Principal, RunId, ServerName},
    ids::IdKind,
};

/// One connection of an agent, in its run.
#[derive(Debug)]
pub struct Session {
    pub(super) principal: Arc<Principal>,
    pub(super) visible: Vec<ServerName>,
    pub(super) run: RunId,
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

    /// Its run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }
}

/// Why an agent cannot join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinError {
    /// The configuration lists agents, and not this one.
    UnknownAgent,
    /// The run belongs to another agent.
    ForeignRun,
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
            .ok_or(JoinError::UnknownAgent)?;
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
        Ok(Arc::new(Session {
            visible: self.policy.visible(&principal),
            principal: Arc::new(principal),
            run,
        }))
    }

    /// A connection is over; with the last one its run is, and so are the
    /// instances that served it.
    pub fn leave(&self, session: &Session) {
        let mut runs = self.runs.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = match runs.get_mut(&session.run) {
            Some(open) => {
                open.connections = open.connections.saturating_sub(1);
                open.connections == 0
            }
            None => false,
        };
        if over {
            runs.remove(&session.run);
            drop(runs);
            if let Some(tools) = self.tools.get() {
                tools.end_run(&session.run);
            }
        }
    }

    pub(super) fn new_run_id(&self) -> RunId {
        RunId::parse(&self.ids.next(IdKind::Run)).unwrap_or_else(|| RunId::from_tail("0"))
    }

    /// The folders that an agent works in have changed.
    ///
    /// Nothing leaves while a stop holds, this notice neither: it makes servers
    /// ask.
    pub fn roots_changed(&self, session: &Session) {
        let stopped = self.store.stops().iter().any(|stop| {
            session.visible().iter().any(|server| {
                stop.scope
                    .covers(&session.principal.agent, server, &session.run)
            })
        });
        if stopped {
            return;
        }
        if let Some(tools) = self.tools.get() {
            tools.roots_changed(&session.run);
        }
    }
}
