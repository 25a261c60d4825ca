//! Calls that are measured beside the runtime: which of them are worth it, and what is
//! recorded of one that nobody waits for any more.

use std::fmt::Write as _;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tollgate::broker::{Asked, Broker, Request, Session};
use tollgate::domain::{AgentName, Stop, StopScope};
use tollgate::ports::{Query, Store};
use tollgate::store::MemoryStore;
use tollgate::wire::Raw;

use super::world::{Agent, NoServers, NoShelf, Servers, broker_of, clock, listing, raw};

/// One agent, and one server with one tool.
struct World {
    broker: Arc<Broker>,
    store: Arc<MemoryStore>,
    session: Arc<Session>,
}

/// A world whose server's file goes on so, and whose tool takes this.
fn world(settings: &str, schema: &str) -> World {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let files = [("alpha", settings)];
    let broker = broker_of(&files, clock, store.clone(), Arc::new(NoShelf));
    broker.connect(Arc::new(Servers(Arc::new(NoServers))));
    let tool = raw(&format!(r#"{{"name":"w","inputSchema":{schema}}}"#));
    broker.listed(listing("alpha", vec![tool]));
    let session = broker.join(&AgentName::parse("bot").unwrap(), None);
    World {
        session: session.unwrap(),
        broker,
        store,
    }
}

impl World {
    async fn call(&self, arguments: &str, cancels: bool) {
        let params = format!(r#"{{"name":"alpha__w","arguments":{arguments}}}"#);
        let request = Request {
            session: self.session.clone(),
            asked: Asked::Tool,
            params: Raw::parse(params.into()),
            goes_on: None,
            caller: Arc::new(Agent { cancels }),
        };
        drop(self.broker.call(request).await);
    }

    /// The records of calls so far.
    fn calls(&self) -> Vec<serde_json::Value> {
        let page = self.store.page(&Query::default()).unwrap();
        let records = page.lines.iter().map(|line| serde_json::from_str(line));
        let mut records: Vec<serde_json::Value> = records.map(Result::unwrap).collect();
        records.retain(|record| record["kind"].as_str().unwrap().starts_with("call."));
        records
    }
}

/// A rule that is judged once it is known where a path leads.
const UNDER: &str = "[tools.w]\ntier = \"read\"\nargs.path = { under = \"/srv\" }";

#[tokio::test]
async fn a_call_that_is_cancelled_while_it_is_measured_is_recorded_and_never_sent() {
    let world = world(UNDER, r#"{"type":"object"}"#);
    world.call(r#"{"path":"/srv/a"}"#, true).await;
    let calls = world.calls();
    let [record] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(record["kind"], "call.refused");
    assert_eq!(record["gate"], "measured");
    assert_eq!(record["cancelled"], true);
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains("cancelled"), "{reason}");
}

#[tokio::test]
async fn what_is_cancelled_while_it_is_measured_counts_as_asked_for_and_not_as_failed() {
    let world = world(UNDER, r#"{"type":"object"}"#);
    // More than an agent may make of failing ones in a row.
    for n in 0..25 {
        world.call(&format!(r#"{{"path":"/srv/{n}"}}"#), true).await;
    }
    for record in world.calls() {
        assert_eq!(record["gate"], "measured", "{record}");
    }
    // And as often as it may ask for the same thing.
    for _ in 0..10 {
        world.call(r#"{"path":"/srv/a"}"#, true).await;
    }
    assert_eq!(world.calls().last().unwrap()["code"], "LOOP");
}

/// A schema that takes long to judge.
fn bomb() -> String {
    let mut parts = String::new();
    for level in 0..40 {
        let next = format!("{{\"$ref\":\"#/$defs/a{}\"}}", level + 1);
        write!(parts, "\"a{level}\":{{\"allOf\":[{next},{next}]}},").unwrap();
    }
    format!("{{\"type\":\"object\",\"$ref\":\"#/$defs/a0\",\"$defs\":{{{parts}\"a40\":{{}}}}}}")
}

#[test]
fn a_call_that_is_refused_whatever_is_measured_is_not_measured() {
    // One thread beside the runtime, which is taken: what is measured there waits for it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (done, wait) = mpsc::channel::<()>();
        let taken = tokio::task::spawn_blocking(move || wait.recv_timeout(Duration::from_secs(5)));
        let world = world("", &bomb());
        // One that would pass is measured.
        let measured = world.call("{}", false);
        let measured = tokio::time::timeout(Duration::ZERO, measured).await;
        assert!(measured.is_err() && world.calls().is_empty());
        let stop = Stop {
            scope: StopScope::Everything,
            by: "ana".into(),
            text: None,
            at: String::new(),
        };
        world.store.stop(stop).unwrap();
        world.call("{}", false).await;
        assert!(!taken.is_finished(), "it waited until it could be measured");
        assert_eq!(world.calls().last().unwrap()["code"], "STOPPED");
        drop(done);
        taken.await.unwrap().unwrap_err();
    });
}
