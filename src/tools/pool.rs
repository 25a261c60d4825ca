//! The tool servers: which instances run, and for whom.
//!
//! One instance per server feeds the catalogue; the first run that calls the
//! server takes it over, later runs get one of their own, and when a run ends so
//! do its instances. A server of the handshake era is told once what the agent
//! can be asked, so an agent that declares something else with a later request
//! gets another instance. A server marked as shared has one for everybody. Starting
//! is single-flight and backs off from a server that does not come up; whatever
//! happens to one server stays with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::sync::{broadcast, watch};

use super::{
    child::Launch,
    feed::feed,
    health::Health,
    instance::lock,
    server::{Server, ready},
    subscribe,
    switch::{InForce, Switch},
    watched::Leaves,
};
use crate::{
    domain::{Era, Fingerprint, Guise, Met, RunId, ServerName, ToolFault},
    ports::{Boxed, Caller, Event, Listing, Seat, Tools},
    wire::Raw,
};

/// One registered server.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its name.
    pub name: ServerName,
    /// How it is started.
    pub launch: Launch,
    /// Whether runs share an instance.
    pub shared: bool,
    /// Why it cannot be started: a secret that is not there.
    pub missing: Option<String>,
    /// Its era, if the operator says.
    pub era: Option<Era>,
    /// What is known of it from the last time.
    pub known: Option<Known>,
    /// From the start of the process to the first list of tools.
    pub start: Duration,
}

/// What is known of a server that is not started yet.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// What it was told of its agent.
    pub told: Guise,
    /// In which era it is met.
    pub met: Met,
}

/// What the pool tells of one server's lists.
#[derive(Debug)]
pub enum Listed {
    /// They are this.
    Lists(Box<Listing>),
    /// An instance of a run, which does not feed the catalogue, has these tools.
    Beside(ServerName, Vec<Raw>),
    /// They cannot be had for now.
    Not(ServerName),
}

/// Gets the lists of every server, again and again.
pub type Listener = Arc<dyn Fn(Listed) + Send + Sync>;

/// See the module.
pub struct Pool {
    servers: BTreeMap<ServerName, Arc<Server>>,
    stop: watch::Sender<bool>,
}

impl Pool {
    /// Starts the catalogue instances of all servers in the background, but of those that
    /// are stopped.
    #[must_use]
    pub fn start(
        registered: Vec<Registered>,
        keeper: &Path,
        events: &broadcast::Sender<Event>,
        listener: &Listener,
        stops: &InForce,
    ) -> Arc<Self> {
        let stop = watch::Sender::new(false);
        let servers: BTreeMap<_, _> = registered
            .into_iter()
            .map(|registered| {
                let name = registered.name.clone();
                let switch = Switch::new(name.clone(), stops.clone());
                let server =
                    Server::new(registered, keeper, events.clone(), listener.clone(), switch);
                (name, Arc::new(server))
            })
            .collect();
        for server in servers.values() {
            tokio::spawn(feed(server.clone(), listener.clone(), stop.subscribe()));
        }
        Arc::new(Self { servers, stop })
    }

    /// How the servers are.
    #[must_use]
    pub fn health(&self, lines: usize) -> Vec<Health> {
        self.servers
            .values()
            .map(|server| server.health(lines))
            .collect()
    }

    /// Ends every instance and waits until they are gone, for at most `limit`.
    pub async fn close(&self, limit: Duration) {
        let _ = self.stop.send(true);
        let mut ends = Vec::new();
        for server in self.servers.values() {
            ends.extend(server.end_all("tollgate stops"));
        }
        let all = async {
            for mut gone in ends {
                let _ = gone.wait_for(Option::is_some).await;
            }
        };
        let _ = tokio::time::timeout(limit, all).await;
    }

    fn leave(&self, connection: u64, leaves: &Leaves) {
        for server in self.servers.values() {
            for instance in server.live() {
                subscribe::leave(&instance, connection, leaves);
            }
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("servers", &self.servers.keys())
            .finish_non_exhaustive()
    }
}

impl Tools for Pool {
    fn seat<'a>(
        &'a self,
        server: &'a ServerName,
        run: &'a RunId,
        caller: &'a Arc<dyn Caller>,
    ) -> Boxed<'a, Result<Arc<dyn Seat>, ToolFault>> {
        Box::pin(async move {
            let Some(server) = self.servers.get(server) else {
                return Err(ToolFault::NotStarted(format!(
                    "there is no server `{server}`"
                )));
            };
            if *self.stop.borrow() {
                return Err(ToolFault::NotStarted("tollgate is stopping".to_owned()));
            }
            let instance = server.seat(run, caller).await?;
            Ok(Arc::new(instance) as Arc<dyn Seat>)
        })
    }

    fn seated(
        &self,
        server: &ServerName,
        run: &RunId,
        caller: &Arc<dyn Caller>,
    ) -> Option<Arc<dyn Seat>> {
        let server = self.servers.get(server)?;
        let instance = if server.registered.shared {
            server.catalogue.try_lock().ok()?.clone()
        } else {
            server.for_call(run, caller.capabilities())
        };
        ready(instance?).map(|instance| Arc::new(instance) as Arc<dyn Seat>)
    }

    fn arrives(&self, server: &ServerName, guise: Guise) -> bool {
        let server = self.servers.get(server);
        server.is_some_and(|server| server.arrives(guise))
    }

    fn definitions(&self, server: &ServerName, tool: &str) -> Vec<Fingerprint> {
        let live = self.servers.get(server).map(|server| server.live());
        let live = live.unwrap_or_default();
        live.iter().filter_map(|one| one.definition(tool)).collect()
    }

    fn roots_changed(&self, run: &RunId, leaves: bool) {
        for server in self.servers.values() {
            for instance in server.of_run(run) {
                match leaves && !server.switch.is_stopped() {
                    true => instance.roots_changed(),
                    // It hears of it before its next call.
                    false => instance.host.owes_news_of_roots(),
                }
            }
        }
    }

    fn end_run(&self, run: &RunId) {
        for server in self.servers.values() {
            let instances = server.of_run(run);
            lock(&server.runs).remove(run);
            for instance in instances {
                instance.end("its run is over");
            }
        }
    }

    fn left(&self, connection: u64) {
        self.leave(connection, &Leaves::Everything);
    }

    fn unwatch(&self, connection: u64, uris: BTreeSet<String>) {
        if !uris.is_empty() {
            self.leave(connection, &Leaves::These(uris));
        }
    }

    fn watched(&self, connection: u64) -> BTreeSet<String> {
        let instances = self.servers.values().flat_map(|server| server.live());
        let watched =
            instances.map(|instance| lock(&instance.watched).of(connection, &Leaves::Everything));
        watched.flatten().collect()
    }
}
