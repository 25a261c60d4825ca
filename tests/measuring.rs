//! Calls that are measured beside the runtime: which of them are worth it, and what is
//! recorded of one that nobody waits for any more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tollgate::broker::{Asked, Broker, Parts, Policy, Request, Session};
use tollgate::clock::SetClock;
use tollgate::config;
use tollgate::domain::{
    AgentName, Capabilities, Era, Fault, Fingerprint, Owner, RunId, ServerName, Stop, StopScope,
    ToolFault,
};
use tollgate::ids::Ids;
use tollgate::ports::{Answer, Boxed, Caller, Listing, Query, Question, Seat, Shelf, Store, Tools};
use tollgate::store::MemoryStore;
use tollgate::wire::Raw;

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

/// Tool servers that cannot be had.
struct NoTools;

impl Tools for NoTools {
    fn seat<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RunId,
        _: &'a Arc<dyn Caller>,
    ) -> Boxed<'a, Result<Arc<dyn Seat>, ToolFault>> {
        Box::pin(async { Err(ToolFault::NotStarted("it is none".to_owned())) })
    }

    fn seated(&self, _: &ServerName, _: &RunId, _: &Arc<dyn Caller>) -> Option<Arc<dyn Seat>> {
        None
    }

    fn definitions(&self, _: &ServerName, _: &str) -> Vec<Fingerprint> {
        Vec::new()
    }

    fn roots_changed(&self, _: &RunId) {}

    fn end_run(&self, _: &RunId) {}

    fn left(&self, _: u64) {}

    fn unwatch(&self, _: u64, _: BTreeSet<String>) {}

    fn watched(&self, _: u64) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

/// An agent that waits for its call, or cancelled it.
struct Agent {
    cancels: bool,
}

impl Caller for Agent {
    fn connection(&self) -> u64 {
        1
    }

    fn era(&self) -> Era {
        Era::Legacy
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn log_level(&self) -> Option<String> {
        None
    }

    fn wants_progress(&self) -> bool {
        false
    }

    fn progress(&self, _: &Raw) {}

    fn log(&self, _: &Raw) {}

    fn ask<'a>(&'a self, _: Question) -> Boxed<'a, Answer> {
        Box::pin(std::future::pending())
    }

    fn is_cancelled(&self) -> Option<String> {
        self.cancels.then(|| "the user pressed escape".to_owned())
    }

    fn cancelled<'a>(&'a self) -> Boxed<'a, String> {
        match self.is_cancelled() {
            Some(reason) => Box::pin(std::future::ready(reason)),
            None => Box::pin(std::future::pending()),
        }
    }
}

/// One agent, and one server with one tool.
struct World {
    broker: Arc<Broker>,
    store: Arc<MemoryStore>,
    session: Arc<Session>,
}

/// A world whose server's file goes on so, and whose tool takes this.
fn world(settings: &str, schema: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("tools.d")).unwrap();
    let file = format!("command = \"true\"\nowner = \"me\"\nunlisted = \"read\"\n{settings}\n");
    fs::write(dir.path().join("tools.d/alpha.toml"), file).unwrap();
    let generation = config::read(dir.path())
        .and_then(|sources| config::load(&sources))
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    let clock = Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH));
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let broker = Broker::new(Parts {
        store: store.clone(),
        shelf: Arc::new(NoShelf),
        clock,
        ids: Ids::seeded(1),
        policy: Policy::new(&generation, Owner::parse("me").unwrap()),
        digest_key: [7; 32],
    });
    broker.connect(Arc::new(NoTools));
    let raw = |text: String| Raw::parse(text.into()).unwrap();
    broker.listed(Listing {
        server: ServerName::parse("alpha").unwrap(),
        era: Era::Legacy,
        capabilities: raw(r#"{"tools":{}}"#.to_owned()),
        info: None,
        instructions: None,
        tools: vec![raw(format!(r#"{{"name":"w","inputSchema":{schema}}}"#))],
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
    });
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
