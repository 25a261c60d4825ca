//! A store that forgets: everything in memory, nothing on disk.
//!
//! For tests and as the model that other stores are held against.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    domain::{Call, CallId, Fault, Fingerprint, ServerName, Stop, StopScope, Subject},
    gate::{self, Decision, Facts, Verdict},
    ports::{
        Admission, Context, InFlight, Intent, Permit, Pin, Query, Settlement, Spent, Store,
        Verified,
    },
    wire::Raw,
};

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>, tokio::sync::watch::Sender<u64>);

#[derive(Debug, Default)]
struct State {
    stops: Vec<Stop>,
    pins: HashMap<(ServerName, String), (Fingerprint, Raw)>,
    offered: HashMap<(ServerName, String), Raw>,
    open: HashMap<CallId, InFlight>,
}

impl State {
    fn facts(&self, call: &Call) -> Facts<'_> {
        let pinned = match &call.subject {
            Subject::Tool(name) => self
                .pins
                .get(&(call.server.clone(), name.to_string()))
                .map(|(print, _)| *print),
            Subject::Prompt(_)
            | Subject::Resource(_)
            | Subject::Completion(_)
            | Subject::Subscribe(_)
            | Subject::Unsubscribe(_) => None,
        };
        Facts {
            stops: &self.stops,
            pinned,
        }
    }
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn admit(&self, call: &Call, _: &Context) -> Result<Admission, Fault> {
        let state = self.state();
        Ok(match gate::decide(call, &state.facts(call)) {
            Decision::Clear(cleared) => {
                Admission::Cleared(Intent::recorded(Permit::recorded(&cleared)))
            }
            Decision::Refuse(refusal) => Admission::Refused(refusal),
        })
    }

    fn judge(&self, call: &Call) -> Vec<(&'static str, Verdict)> {
        let state = self.state();
        gate::explain(call, &state.facts(call))
    }

    fn settle(&self, _: Spent, _: &Settlement) -> Result<(), Fault> {
        Ok(())
    }

    fn pin(
        &self,
        server: &ServerName,
        tool: &str,
        definition: &Raw,
        fingerprint: Fingerprint,
    ) -> Result<Fingerprint, Fault> {
        let mut state = self.state();
        let pin = state
            .pins
            .entry((server.clone(), tool.to_owned()))
            .or_insert_with(|| (fingerprint, definition.detached()));
        Ok(pin.0)
    }

    fn pinned(&self, server: &ServerName, tool: &str) -> Option<Raw> {
        let key = (server.clone(), tool.to_owned());
        self.state().pins.get(&key).map(|(_, raw)| raw.clone())
    }

    fn pins(&self) -> Vec<Pin> {
        let state = self.state();
        let mut pins: Vec<Pin> = state
            .pins
            .iter()
            .map(|((server, tool), (accepted, definition))| Pin {
                server: server.clone(),
                tool: tool.clone(),
                accepted: *accepted,
                definition: definition.clone(),
                since: String::new(),
                by: None,
                offered: state.offered.get(&(server.clone(), tool.clone())).cloned(),
            })
            .collect();
        pins.sort_by(|a, b| (&a.server, &a.tool).cmp(&(&b.server, &b.tool)));
        pins
    }

    fn accept(&self, server: &ServerName, tool: &str, _: &str) -> Result<bool, Fault> {
        let key = (server.clone(), tool.to_owned());
        let mut state = self.state();
        let Some(offered) = state.offered.remove(&key) else {
            return Ok(false);
        };
        let print = Fingerprint(*blake3::hash(offered.bytes()).as_bytes());
        state.pins.insert(key, (print, offered));
        Ok(true)
    }

    fn query(&self, _: &Query) -> Result<Vec<String>, Fault> {
        Ok(Vec::new())
    }

    fn records_of(&self, _: &CallId) -> Result<Vec<String>, Fault> {
        Ok(Vec::new())
    }

    fn verify(&self) -> Result<Verified, Fault> {
        Ok(Verified {
            records: 0,
            first: 0,
            last: 0,
            broken: None,
        })
    }

    fn in_flight(&self) -> Vec<InFlight> {
        self.state().open.values().cloned().collect()
    }

    fn follow(&self) -> tokio::sync::watch::Receiver<u64> {
        self.1.subscribe()
    }

    fn check(&self) -> Result<String, Fault> {
        Ok("nothing is kept".to_owned())
    }

    fn close(&self) {}

    fn stops(&self) -> Vec<Stop> {
        self.state().stops.clone()
    }

    fn stop(&self, stop: Stop) -> Result<(), Fault> {
        let mut state = self.state();
        state.stops.retain(|known| known.scope != stop.scope);
        state.stops.push(stop);
        Ok(())
    }

    fn resume(&self, scope: &StopScope, _: &str) -> Result<bool, Fault> {
        let mut state = self.state();
        let before = state.stops.len();
        state.stops.retain(|known| known.scope != *scope);
        Ok(state.stops.len() < before)
    }
}
