//! Whom a server is got ready for before anybody calls it.
//!
//! Servers may speak, offer and ask otherwise before another agent. The lists are of the
//! catalogue's instance: when an agent arrives for which that would be another, and no run
//! has it, it is started anew, and what the agent is shown is what it will call.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{
    instance::{Instance, lock},
    server::{Server, ready},
    unplaced::begin,
};
use crate::domain::{Era, Guise};

/// How long a server of which nothing is known is not started, for somebody to arrive: an
/// agent that starts the daemon says at once what it is.
const WHO_ARRIVES: Duration = Duration::from_millis(100);

/// So often in a row a server is started anew for who arrives, and then once each so often:
/// agents of two kinds that come and go must not keep it from its work.
const FREE: u32 = 8;
const EVERY: Duration = Duration::from_secs(10);

/// What became of the catalogue's instance.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Suited {
    /// It is for who has arrived, or a run has it, or it was started too often lately.
    AsItIs,
    /// It has ended, and another is there or will be.
    Another,
    /// It has ended, and another could not be started.
    None,
}

/// How often it may be started anew.
#[derive(Debug)]
pub(super) struct Ration {
    left: u32,
    since: Instant,
}

impl Default for Ration {
    fn default() -> Self {
        Self {
            left: FREE,
            since: Instant::now(),
        }
    }
}

impl Ration {
    fn is_left(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        let earned = passed.as_secs() / EVERY.as_secs();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(FREE);
            self.since = now;
        }
        self.left > 0
    }

    /// Takes one if one is left.
    fn take(&mut self, now: Instant) -> bool {
        let is_left = self.is_left(now);
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

impl Server {
    /// An agent has arrived. Says whether what is listed is about to be something else.
    pub(super) fn arrives(&self, guise: Guise) -> bool {
        if self.registered.shared {
            return false;
        }
        let is_due = match self.catalogue.try_lock() {
            Ok(place) => match place.clone().and_then(ready) {
                Some(instance) => !self.suits(guise, &instance),
                // The next one is for it; when that is, nobody knows.
                None => false,
            },
            Err(_) => {
                let record = lock(&self.record);
                // One that did not come up the last time is not waited for.
                record.starting != Some(guise) && record.failures == 0
            }
        };
        lock(&self.record).next = guise;
        if is_due && !lock(&self.ration).is_left(Instant::now()) {
            return false;
        }
        // Also where nothing is due: it may not have been started yet, for somebody to arrive.
        self.arrived.send_replace(guise);
        is_due && !self.switch.is_stopped()
    }

    /// Returns when it is known for whom it is started, or might be for anybody.
    pub(super) async fn somebody_arrives(&self, arrived: &mut watch::Receiver<Guise>) {
        if self.registered.known.is_none() && !self.registered.shared {
            let _ = tokio::time::timeout(WHO_ARRIVES, arrived.changed()).await;
        }
    }

    /// Whether it is what it would be if it was started for such an agent.
    pub(super) fn is_for(&self, guise: Guise, instance: &Instance) -> bool {
        self.speaks_to(guise.era, instance) && lock(&instance.told).can == guise.can
    }

    /// Whether it speaks as it would to an agent of this era.
    pub(super) fn speaks_to(&self, era: Era, instance: &Instance) -> bool {
        lock(&self.record).met.of(era) == Some(instance.era())
    }

    fn suits(&self, guise: Guise, instance: &Instance) -> bool {
        lock(&instance.run).is_some() || self.is_for(guise, instance)
    }

    /// Has the catalogue's instance be one for such an agent, if no run has it. Whoever
    /// wants that instance waits until it is.
    pub(super) async fn suit(self: &Arc<Self>, guise: Guise, instance: &Arc<Instance>) -> Suited {
        let mut place = self.catalogue.clone().lock_owned().await;
        let is_there = place.as_ref().is_some_and(|now| Arc::ptr_eq(now, instance));
        if !is_there || instance.ended().is_some() {
            return Suited::Another;
        }
        // Taken here, where whoever has arrived by whichever way has it started.
        if self.suits(guise, instance) || !lock(&self.ration).take(Instant::now()) {
            return Suited::AsItIs;
        }
        match instance.era() {
            // It is told with each request.
            Era::Modern if self.speaks_to(guise.era, instance) => {
                *lock(&instance.told) = guise;
                return Suited::AsItIs;
            }
            Era::Legacy | Era::Modern => {}
        }
        let (server, instance) = (self.clone(), instance.clone());
        let started = begin(async move {
            lock(&server.record).starting = Some(guise);
            // Nobody has two of them where one is enough: some can run only once.
            instance.end("another takes its place");
            let mut gone = instance.child.gone();
            let _ = gone.wait_for(Option::is_some).await;
            *place = None;
            let (unplaced, _) = server.listed(guise, None).await?;
            let instance = unplaced.placed();
            *place = Some(instance.clone());
            Ok(instance)
        });
        match started.await {
            Ok(_) => Suited::Another,
            Err(_) => Suited::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_started_anew_a_few_times_in_a_row_and_then_now_and_then() {
        let start = Instant::now();
        let mut ration = Ration::default();
        let mut taken = |after: u64, times: usize| {
            let now = start + Duration::from_secs(after);
            (0..times).filter(|_| ration.take(now)).count()
        };
        assert_eq!(taken(0, 20), 8);
        assert_eq!(taken(9, 20), 0);
        assert_eq!(taken(11, 20), 1);
        assert_eq!(taken(1_000, 20), 8);
    }
}
