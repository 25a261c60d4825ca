//! The stop switch, pulled: what is under way hears of it at once.
//!
//! A stop is in force in the store first, so that nothing new passes; then each
//! call under way that it covers is cancelled and says what became of it.

use std::time::Duration;

use tokio::sync::watch;

use super::Broker;
use crate::domain::{
    AgentName, Became, CallId, Fault, RunId, ServerName, Stop, StopScope, Stops, Subject,
};
use crate::ports::Store;

/// How long the record of a stop may take before its answer goes without.
const RECORD: Duration = Duration::from_millis(300);

/// How long cancelled calls may take to say what became of them.
const LAST_WORD: Duration = Duration::from_millis(300);

/// What a stop did.
#[derive(Debug)]
pub struct Stopped {
    /// Whether it stands in the journal. It is in force either way.
    pub recorded: Result<(), Fault>,
    /// The calls that it found under way.
    pub calls: Vec<Struck>,
}

/// A call that a stop found under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Struck {
    /// Which.
    pub call: CallId,
    /// Of whom.
    pub agent: AgentName,
    /// In which run.
    pub run: RunId,
    /// To which server.
    pub server: ServerName,
    /// What was asked of it, with nothing taken out.
    pub subject: Subject,
    /// What became of it; none when it has not ended yet.
    pub became: Option<Became>,
}

impl Broker {
    /// Pulls the switch.
    ///
    /// # Errors
    /// When it cannot be said that it is in force.
    pub async fn stop(&self, stop: Stop) -> Result<Stopped, Fault> {
        // What no agent asks for does not leave either.
        self.stops
            .send_modify(|stops| *stops = stops.and(stop.clone()));
        let store = self.store.clone();
        let (order, stops) = (stop.clone(), self.stops.clone());
        // The disk may hang; the switch may not.
        let put = tokio::task::spawn_blocking(move || {
            let recorded = store.stop(order);
            follow(&stops, store.as_ref());
            recorded
        });
        let recorded = match tokio::time::timeout(RECORD, put).await {
            Ok(Ok(recorded)) => recorded,
            Ok(Err(_)) => Err(Fault::new("the store gave way while recording it")),
            Err(_) => Err(Fault::new("the disk does not answer")),
        };
        // Told even if the store has failed: what is under way can be cancelled
        // without it.
        let told = self.under_way.tell(&stop);
        if recorded.is_err() && self.store.stops().get(&stop.scope).is_none() {
            return Err(Fault::new("the stop could not be put in force"));
        }
        let ended = async {
            for call in &told {
                call.ended().await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORD, ended).await;
        let calls = told.iter().map(|call| call.struck()).collect();
        Ok(Stopped { recorded, calls })
    }

    /// Lifts a stop; says whether there was one. Another than the one that was `shown` stays.
    ///
    /// # Errors
    /// When it cannot be recorded: the stop then stays.
    pub async fn resume(
        &self,
        scope: StopScope,
        shown: Option<Stop>,
        by: String,
    ) -> Result<bool, Fault> {
        let (store, stops) = (self.store.clone(), self.stops.clone());
        let lifted = tokio::task::spawn_blocking(move || {
            let lifted = store.resume_shown(&scope, shown.as_ref(), &by);
            follow(&stops, store.as_ref());
            lifted
        })
        .await
        .map_err(|_| Fault::new("the store gave way while recording it"))?;
        self.unmeet();
        lifted
    }

    /// The stops that are in force, as they change.
    #[must_use]
    pub fn watch_stops(&self) -> watch::Receiver<Stops> {
        self.stops.subscribe()
    }
}

/// Tells which stops are in force now. They are asked for while nobody else tells, so that
/// the last who does knows of all.
fn follow(stops: &watch::Sender<Stops>, store: &dyn Store) {
    stops.send_modify(|stops| *stops = store.stops());
}
