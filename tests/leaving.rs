//! Whoever serves an agent leaves its run, however that ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::pipe;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tollgate::agent::{self, Ending, Seal};
use tollgate::broker::{Broker, Parts, Policy};
use tollgate::clock::SetClock;
use tollgate::config;
use tollgate::domain::{AgentName, Fault, Fingerprint, Owner, RunId, ServerName, ToolFault};
use tollgate::ids::Ids;
use tollgate::ports::{Boxed, Caller, Listing, Seat, Shelf, Tools};
use tollgate::store::MemoryStore;

/// Keeps nothing.
struct NoShelf;

impl Shelf for NoShelf {
    fn listings(&self) -> BTreeMap<ServerName, Arc<Listing>> {
        BTreeMap::new()
    }

    fn keep(&self, _: &Listing) -> Result<(), Fault> {
        Ok(())
    }
}

/// What tool servers are told of who has gone.
#[derive(Default)]
struct Told(Mutex<Vec<&'static str>>);

impl Tools for Told {
    fn seat<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RunId,
        _: &'a Arc<dyn Caller>,
    ) -> Boxed<'a, Result<Arc<dyn Seat>, ToolFault>> {
        Box::pin(std::future::pending())
    }

    fn seated(&self, _: &ServerName, _: &RunId, _: &Arc<dyn Caller>) -> Option<Arc<dyn Seat>> {
        None
    }

    fn definitions(&self, _: &ServerName, _: &str) -> Vec<Fingerprint> {
        Vec::new()
    }

    fn roots_changed(&self, _: &RunId) {}

    fn end_run(&self, _: &RunId) {
        self.0.lock().unwrap().push("the run");
    }

    fn left(&self, _: u64) {
        self.0.lock().unwrap().push("the connection");
    }

    fn unwatch(&self, _: u64, _: BTreeSet<String>) {}

    fn watched(&self, _: u64) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

fn broker() -> Arc<Broker> {
    let dir = tempfile::tempdir().unwrap();
    let generation = config::read(dir.path())
        .and_then(|sources| config::load(&sources))
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    let clock = Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH));
    Broker::new(Parts {
        store: Arc::new(MemoryStore::new(clock.clone())),
        shelf: Arc::new(NoShelf),
        clock,
        ids: Ids::seeded(1),
        policy: Policy::new(&generation, Owner::parse("me").unwrap()),
        digest_key: [7; 32],
    })
}

/// Serves an agent for one look at it, or until it cannot be served; what was told.
async fn served(input: OwnedFd, output: OwnedFd) -> Vec<&'static str> {
    let (broker, told) = (broker(), Arc::new(Told::default()));
    broker.connect(told.clone());
    let session = broker
        .join(&AgentName::parse("bot").unwrap(), None)
        .unwrap();
    let home = session.home().clone();
    let (_stop, stop) = watch::channel(Ending::Not);
    {
        let seal = Arc::new(Seal::new([7; 32]));
        let serve = agent::serve(broker.clone(), session, seal, input, output, stop);
        tokio::select! {
            biased;
            served = pin!(serve) => assert!(served.is_err()),
            () = std::future::ready(()) => {}
        }
    }
    assert!(!broker.is_own_run(&AgentName::parse("bot").unwrap(), &home));
    let told = told.0.lock().unwrap();
    told.clone()
}

#[tokio::test]
async fn an_agent_whose_service_is_dropped_has_left() {
    let (input, _writes) = pipe().unwrap();
    let (_reads, output) = pipe().unwrap();
    let told = served(input.into(), output.into()).await;
    assert_eq!(told, ["the run", "the connection"]);
}

#[tokio::test]
async fn an_agent_whose_descriptors_cannot_be_used_has_left() {
    let no_pipe = || OwnedFd::from(tempfile::tempfile().unwrap());
    let (input, _writes) = pipe().unwrap();
    assert_eq!(served(input.into(), no_pipe()).await, ["the run"]);
    let (_reads, output) = pipe().unwrap();
    assert_eq!(served(no_pipe(), output.into()).await, ["the run"]);
}
