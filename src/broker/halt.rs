//! A run that was ended: what is under way is cancelled, and its processes go if they
//! do not stop by themselves.

use std::{sync::Arc, time::Duration};

use super::{Broker, under_way::Silenced};
use crate::{
    domain::{AgentName, Call, Halt, HaltKind, Refusal, RunId, ServerName},
    gate,
    ports::Store,
};

/// How long tool servers may take to stop what they were told to cancel.
const GRACE: Duration = Duration::from_secs(2);

/// Whether somebody is stopped, or has been ended: it is not asked anything, either.
pub(super) fn silenced(store: Arc<dyn Store>) -> Silenced {
    Arc::new(move |agent, server, run| why(&*store, agent, server, run).is_some())
}

fn why(store: &dyn Store, agent: &AgentName, server: &ServerName, run: &RunId) -> Option<Refusal> {
    let stops = store.stops();
    let stop = stops.covering(agent, server, run);
    gate::silenced(stop, store.halt_of(agent).as_ref())
}

impl Broker {
    /// Whether a tool server tells an agent nothing any more.
    #[must_use]
    pub fn is_silenced(&self, agent: &AgentName, server: &ServerName, run: &RunId) -> bool {
        self.under_way.is_silenced(agent, server, run)
    }

    /// Why a call that has ended says no more to its agent: it is stopped, or was ended.
    #[must_use]
    pub fn silences(&self, call: &Call) -> Option<Refusal> {
        why(&*self.store, &call.by.agent, &call.server, &call.run)
    }

    /// A call was refused in a way that ends its run.
    pub(super) fn halted_by(&self, call: &Call) {
        if let Some(halt) = self.store.halt_of(&call.by.agent) {
            self.halted(&halt);
        }
    }

    /// Cancels what the agent has under way. A paused agent finishes it.
    pub(super) fn halted(&self, halt: &Halt) {
        match halt.kind {
            HaltKind::Killed => {}
            HaltKind::Paused => return,
        }
        let homes = self.under_way.halt(halt);
        let Some(tools) = self.tools.get().cloned() else {
            return;
        };
        if homes.is_empty() {
            return;
        }
        let (store, agent) = (self.store.clone(), halt.agent.clone());
        // A server that was told to cancel may work on; its process does not.
        let end = async move {
            tokio::time::sleep(GRACE).await;
            // A person may have lifted it meanwhile.
            if store.halt_of(&agent).is_some() {
                for home in &homes {
                    tools.end_run(home);
                }
            }
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(end);
        }
    }
}
