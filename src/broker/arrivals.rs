//! Agents that arrive, and for whom tool servers are got ready.

use std::{
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Broker, Session};
use crate::domain::{Guise, ServerName};

/// The connections that have said what they are.
#[derive(Default)]
pub(super) struct Present(Mutex<Vec<(Weak<Session>, Guise)>>);

impl Present {
    fn all(&self) -> MutexGuard<'_, Vec<(Weak<Session>, Guise)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one more, or what one says anew; those that were there beside it.
    fn arrives(&self, session: &Arc<Session>, guise: Guise) -> Vec<(Arc<Session>, Guise)> {
        let mut all = self.all();
        all.retain(|(there, _)| there.as_ptr() != Arc::as_ptr(session));
        let others = all.iter();
        let others = others.filter_map(|(there, guise)| Some((there.upgrade()?, *guise)));
        let others = others.collect();
        all.push((Arc::downgrade(session), guise));
        others
    }

    pub(super) fn leaves(&self, session: &Session) {
        let is_gone =
            |there: &Weak<Session>| there.strong_count() == 0 || ptr::eq(there.as_ptr(), session);
        self.all().retain(|(there, _)| !is_gone(there));
    }
}

impl Broker {
    /// An agent has arrived and says what it is: the servers that it may call are got ready
    /// for it, and its first lists wait for those that are started anew. Says whether that was
    /// done: for one that is stopped it is not.
    ///
    /// Nothing is taken from agents that are here: a server that one of another kind may call
    /// stays as it is.
    pub fn arrives(&self, session: &Arc<Session>, guise: Guise) -> bool {
        let Some(tools) = self.tools.get() else {
            return true;
        };
        let (agent, run) = (&session.principal().agent, session.run());
        if self.store.stop_of(agent, &run).is_some() {
            return false;
        }
        let others = self.present.arrives(session, guise);
        for server in session.visible() {
            let own = self.seen_by(server, session, guise);
            let is_of_another_kind = |(other, guise): &(Arc<Session>, Guise)| {
                other.visible().contains(server) && self.seen_by(server, other, *guise) != own
            };
            if others.iter().any(is_of_another_kind) {
                continue;
            }
            // As one: it may be listed before this goes on.
            self.due.send_if_modified(|due| {
                let is_new = tools.arrives(server, own) && due.insert(server.clone());
                if due.contains(server) {
                    session.due().insert(server.clone());
                }
                is_new
            });
        }
        true
    }

    /// What a server gets to see of an agent.
    fn seen_by(&self, server: &ServerName, session: &Session, guise: Guise) -> Guise {
        let can = match self.policy.may_sample(&session.terms, server) {
            true => guise.can,
            false => guise.can.without_sampling(),
        };
        Guise { can, ..guise }
    }
}
