//! Whom a server is got ready for before anybody calls it.
//!
//! Servers may speak, offer and ask otherwise before another agent. The lists are of the
//! instance that no run has yet: when an agent comes for whom that would be another, it is
//! started anew, and what the agent is shown is what it will call.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    instance::{Instance, lock},
    server::{Server, ready},
    unplaced::begin,
};
use crate::domain::{Era, Guise};

/// How long a server of which nothing is known is not started, for somebody to come: an
/// agent that starts the daemon says at once what it is.
const WHO_COMES: Duration = Duration::from_millis(100);

/// What became of the catalogue's instance.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Suited {
    /// It is for whoever is expected, or a run has it.
    AsItIs,
    /// It has ended, and another is there or will be.
    Another,
}

impl Server {
    /// An agent has come. Says whether what is listed may be something else in a moment.
    pub(super) fn expect(&self, guise: Guise) -> bool {
        if self.registered.shared || self.switch.is_stopped() {
            return false;
        }
        let is_due = match self.catalogue.try_lock() {
            Ok(place) => match place.clone().and_then(ready) {
                Some(instance) if self.suits(guise, &instance) => {
                    self.expect_next(guise);
                    return false;
                }
                Some(_) => true,
                // Of one that cannot be started nothing else will be listed soon.
                None => false,
            },
            // It is being started, and maybe for another.
            Err(_) => *self.expected.borrow() != guise,
        };
        self.expected.send_replace(guise);
        is_due
    }

    /// Returns when it is known for whom it is started, or might be for anybody.
    pub(super) async fn somebody_comes(&self, expected: &mut watch::Receiver<Guise>) {
        if self.registered.known.is_none() && !self.registered.shared {
            let _ = tokio::time::timeout(WHO_COMES, expected.changed()).await;
        }
    }

    /// The next one that is started ahead is to be for such an agent.
    pub(super) fn expect_next(&self, guise: Guise) {
        self.expected.send_if_modified(|expected| {
            *expected = guise;
            false
        });
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

    /// Makes the catalogue's instance one for whoever is expected, if no run has it.
    /// Whoever wants it waits until it is.
    pub(super) async fn suit(self: &Arc<Self>, instance: &Arc<Instance>) -> Suited {
        if self.registered.shared || self.switch.is_stopped() {
            return Suited::AsItIs;
        }
        let mut place = self.catalogue.clone().lock_owned().await;
        let guise = *self.expected.borrow();
        let is_there = place.as_ref().is_some_and(|now| Arc::ptr_eq(now, instance));
        if !is_there || instance.ended().is_some() {
            return Suited::Another;
        }
        if self.suits(guise, instance) {
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
        // A failed start is told where those of servers are, and tried again by who keeps
        // the catalogue.
        let _ = begin(async move {
            // Nobody has two of them where one is enough: some can run only once.
            instance.end("another takes its place");
            let mut gone = instance.child.gone();
            let _ = gone.wait_for(Option::is_some).await;
            *place = None;
            let (unplaced, _) = server.listed(guise, None).await?;
            let instance = unplaced.placed();
            *place = Some(instance.clone());
            Ok(instance)
        })
        .await;
        Suited::Another
    }
}
