//! What a broker stands in, in place of processes and a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use tollgate::broker::{Broker, Parts, Policy};
use tollgate::clock::SetClock;
use tollgate::config;
use tollgate::domain::{
    Capabilities, Era, Fault, Fingerprint, Guise, Met, Owner, RunId, ServerName, ToolFault,
};
use tollgate::ids::Ids;
use tollgate::ports::{Boxed, Caller, Heard, Listing, Question, Seat, Shelf, Store, Tools};
use tollgate::wire::Raw;

/// Nothing is kept.
pub(crate) struct NoShelf;

impl Shelf for NoShelf {
    fn listings(&self) -> BTreeMap<ServerName, Arc<Listing>> {
        BTreeMap::new()
    }

    fn keep(&self, _: &Listing) -> Result<(), Fault> {
        Ok(())
    }
}

/// An agent that waits for its call, or cancelled it; its user answers nothing.
#[derive(Default)]
pub(crate) struct Agent {
    pub(crate) cancels: bool,
}

impl Caller for Agent {
    fn connection(&self) -> u64 {
        1
    }

    fn era(&self) -> Era {
        Era::Legacy
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            form: true,
            ..Capabilities::default()
        }
    }

    fn log_level(&self) -> Option<String> {
        None
    }

    fn wants_progress(&self) -> bool {
        false
    }

    fn progress(&self, _: &Raw) {}

    fn log(&self, _: &Raw) {}

    fn ask<'a>(&'a self, _: Question) -> Boxed<'a, Heard<'a>> {
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

/// Tool servers as far as a test needs them; what it says nothing of is not there.
pub(crate) trait Double: Send + Sync {
    fn seat(&self) -> Option<Arc<dyn Seat>> {
        None
    }

    fn definitions(&self) -> Vec<Fingerprint> {
        Vec::new()
    }

    fn end_run(&self) {}

    fn left(&self) {}

    fn watched(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

/// Tool servers that cannot be had.
pub(crate) struct NoServers;

impl Double for NoServers {}

/// A double in the place of tool servers.
pub(crate) struct Servers<D>(pub(crate) Arc<D>);

impl<D: Double> Tools for Servers<D> {
    fn seat<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RunId,
        _: &'a Arc<dyn Caller>,
    ) -> Boxed<'a, Result<Arc<dyn Seat>, ToolFault>> {
        let none = || ToolFault::NotStarted("there is none".to_owned());
        Box::pin(async move { self.0.seat().ok_or_else(none) })
    }

    fn seated(&self, _: &ServerName, _: &RunId, _: &Arc<dyn Caller>) -> Option<Arc<dyn Seat>> {
        self.0.seat()
    }

    fn definitions(&self, _: &ServerName, _: &str) -> Vec<Fingerprint> {
        self.0.definitions()
    }

    fn arrives(&self, _: &ServerName, _: Guise) -> bool {
        false
    }

    fn roots_changed(&self, _: &RunId, _: bool) {}

    fn end_run(&self, _: &RunId) {
        self.0.end_run();
    }

    fn left(&self, _: u64) {
        self.0.left();
    }

    fn unwatch(&self, _: u64, _: BTreeSet<String>) {}

    fn watched(&self, _: u64) -> BTreeSet<String> {
        self.0.watched()
    }
}

/// The beginning of time, which goes on only when told to.
pub(crate) fn clock() -> Arc<SetClock> {
    Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH))
}

/// A broker of servers whose files go on so.
pub(crate) fn broker_of(
    files: &[(&str, &str)],
    clock: Arc<SetClock>,
    store: Arc<dyn Store>,
    shelf: Arc<dyn Shelf>,
) -> Arc<Broker> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("tools.d")).unwrap();
    for (name, settings) in files {
        let file = format!("command = \"true\"\nowner = \"me\"\nunlisted = \"read\"\n{settings}\n");
        fs::write(dir.path().join(format!("tools.d/{name}.toml")), file).unwrap();
    }
    let generation = config::read(dir.path())
        .and_then(|sources| config::load(&sources))
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    Broker::new(Parts {
        store,
        shelf,
        clock,
        ids: Ids::seeded(1),
        policy: Policy::new(&generation, Owner::parse("me").unwrap()),
        digest_key: [7; 32],
    })
}

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

pub(crate) fn raw(text: &str) -> Raw {
    Raw::parse(text.to_owned().into()).unwrap()
}

/// What a server of the handshake era lists that has tools and nothing else.
pub(crate) fn listing(name: &str, tools: Vec<Raw>) -> Listing {
    Listing {
        server: server(name),
        era: Era::Legacy,
        told: Guise::default(),
        met: Met::default(),
        capabilities: raw(r#"{"tools":{}}"#),
        info: None,
        instructions: None,
        tools,
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
    }
}
