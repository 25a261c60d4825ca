//! Whoever serves an agent leaves its run, however that ends.

use std::io::pipe;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tollgate::agent::{self, Ending, Seal};
use tollgate::broker::Broker;
use tollgate::domain::AgentName;
use tollgate::store::MemoryStore;

use super::world::{Double, NoShelf, Servers, broker_of, clock};

/// What tool servers are told of who has gone.
#[derive(Default)]
struct Told(Mutex<Vec<&'static str>>);

impl Double for Told {
    fn end_run(&self) {
        self.0.lock().unwrap().push("the run");
    }

    fn left(&self) {
        self.0.lock().unwrap().push("the connection");
    }
}

fn broker() -> Arc<Broker> {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    broker_of(&[], clock, store, Arc::new(NoShelf))
}

/// Serves an agent for one look at it, or until it cannot be served; what was told.
async fn served(input: OwnedFd, output: OwnedFd) -> Vec<&'static str> {
    let (broker, told) = (broker(), Arc::new(Told::default()));
    broker.connect(Arc::new(Servers(told.clone())));
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
