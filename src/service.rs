//! The broker as the daemon carries it: configuration, store, tool servers and
//! agent side put together, and the answers to the command line.

mod answers;
mod follow;
mod limits;
mod named;
mod rows;
mod secrets;
mod start;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    agent::{self, Seal},
    broker::{Broker, JoinError, Parts, Policy, Session},
    clock::{Clock, SystemClock},
    config::{self, Agents, Generation, SecretRef},
    control::{AgentRow, Question, Refused, RefusedCode, Reply},
    daemon::{Cause, Ending, Failure, FailureKind, Ground, Guest, Hello, Place, Service, Stop},
    domain::{AgentName, Fault, Notice, NoticeKind, Owner, RunId, ServerName},
    ids::Ids,
    store::{FileShelf, LocalStore, Setup, journal::Loss},
    tools::{Known, Listed, Listener, Pool, sweep::sweep},
};
pub use start::doubts;
use start::register;

/// How long tool servers may take to leave when the daemon stops.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// See the module.
pub struct Tollgate {
    broker: Arc<Broker>,
    pool: Arc<Pool>,
    seal: Arc<Seal>,
    clock: Arc<dyn Clock>,
    generation: Generation,
    place: Place,
    up_since: jiff::Timestamp,
    guests: Mutex<HashMap<u64, Connected>>,
    next_guest: AtomicU64,
}

/// One connected agent.
struct Connected {
    session: Arc<Session>,
    /// The process of its shim.
    pid: u32,
    since: jiff::Timestamp,
}

/// A connected agent on the screen: it goes with this, however its session ends.
struct Row<'a> {
    tollgate: &'a Tollgate,
    number: u64,
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        self.tollgate.guests().remove(&self.number);
    }
}

impl Connected {
    fn row(&self) -> AgentRow {
        AgentRow {
            name: self.session.principal().agent.clone(),
            owner: self.session.principal().owner.clone(),
            run: self.session.run().to_string(),
            pid: self.pid,
            since: self.since,
            calls: self.session.calls(),
            under_way: self.session.under_way(),
        }
    }
}

impl Tollgate {
    /// Builds the broker of a place whose lock is held.
    ///
    /// # Errors
    /// When the configuration is wrong or the state cannot be used.
    pub fn build(ground: &Ground) -> Result<Arc<Self>, Failure> {
        let place = ground.place.clone();
        let generation = configured(&place.config)?;
        sweep_up(&place.id);
        let secret = secret(&place.state.join("secret.key"))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let ids = Ids::system().map_err(|cause| {
            Failure::fault(format!("the system gives no random bytes: {cause}"))
        })?;
        let origins = generation
            .servers
            .iter()
            .map(|server| (server.name.clone(), format!("{:?}", server.launch)))
            .map(|(name, launch)| (name, blake3::hash(launch.as_bytes()).to_hex().to_string()))
            .collect();
        secrets::keep_out(&generation);
        let store = open_store(ground, &generation, clock.clone())?;
        let broker = Broker::new(Parts {
            store: Arc::new(store),
            shelf: Arc::new(FileShelf::new(&place.state.join("catalogue"), origins)),
            clock: clock.clone(),
            ids,
            policy: Policy::new(&generation, user()),
            digest_key: blake3::derive_key("tollgate 2026 call digest", &secret),
        });
        let known: BTreeMap<ServerName, Known> = broker
            .catalog()
            .listings()
            .iter()
            .map(|(server, listing)| {
                let known = Known {
                    told: listing.told,
                    met: listing.met,
                };
                (server.clone(), known)
            })
            .collect();
        let registered = generation
            .servers
            .iter()
            .map(|server| register(server, ground, known.get(&server.name).copied()))
            .collect();
        let pool = Pool::start(
            registered,
            Path::new("/proc/self/exe"),
            broker.events(),
            &listener(&broker),
            &broker.watch_stops(),
        );
        broker.connect(pool.clone());
        Ok(Arc::new(Self {
            up_since: clock.now(),
            broker,
            pool,
            seal: Arc::new(Seal::new(blake3::derive_key(
                "tollgate 2026 request state",
                &secret,
            ))),
            clock,
            generation,
            place,
            guests: Mutex::default(),
            next_guest: AtomicU64::new(1),
        }))
    }

    fn guests(&self) -> MutexGuard<'_, HashMap<u64, Connected>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows an agent until the guard is dropped.
    fn shown(&self, agent: Connected) -> Row<'_> {
        let number = self.next_guest.fetch_add(1, Ordering::Relaxed);
        self.guests().insert(number, agent);
        Row {
            tollgate: self,
            number,
        }
    }

    fn join(&self, hello: &Hello) -> Result<Arc<Session>, JoinError> {
        let run = hello.run.as_ref().map(|name| named_run(&hello.agent, name));
        self.broker.join(&hello.agent, run)
    }
}

impl Service for Tollgate {
    fn admit(&self, hello: &Hello) -> Result<(), Refused> {
        let Agents::Listed(listed) = &self.generation.agents else {
            return Ok(());
        };
        let Some(agent) = listed.get(&hello.agent) else {
            let known: Vec<&str> = listed.keys().map(AgentName::as_str).collect();
            return Err(Refused::new(
                RefusedCode::AgentUnknown,
                format!("the configuration does not list an agent `{}`", hello.agent),
            )
            .hint(format!("it lists: {}", known.join(", "))));
        };
        let Some(token) = &agent.token else {
            return Ok(());
        };
        let expected = secrets::fetch(token).map_err(|why| {
            let refused = Refused::new(RefusedCode::TokenWrong, why);
            match token {
                SecretRef::Env(_) => refused.hint(
                    "set it, then `tollgate stop-daemon`: a daemon keeps the environment in which it was started",
                ),
                SecretRef::File(_) => refused,
            }
        })?;
        let given = hello.token.as_deref().unwrap_or_default();
        // Compared as hashes: how long the comparison takes tells nothing.
        if blake3::hash(expected.as_bytes()) == blake3::hash(given.as_bytes()) {
            Ok(())
        } else {
            Err(Refused::new(
                RefusedCode::TokenWrong,
                format!("the token of agent `{}` is missing or wrong", hello.agent),
            )
            .hint("the client passes it in the environment as TOLLGATE_TOKEN"))
        }
    }

    async fn agent(self: Arc<Self>, guest: Guest, mut stop: Stop) {
        let session = match self.join(&guest.hello) {
            Ok(session) => session,
            Err(error) => {
                tracing::warn!("an agent that was let in cannot join: {error}");
                return;
            }
        };
        let _row = self.shown(Connected {
            session: session.clone(),
            pid: guest.peer_pid,
            since: self.clock.now(),
        });
        let (told, ending) = watch::channel(agent::Ending::Not);
        let forward = async {
            let ending = match stop.wait().await {
                Ending::DaemonStops => agent::Ending::Ordered,
                Ending::ShimLeft => agent::Ending::Cut,
            };
            let _ = told.send(ending);
            std::future::pending::<()>().await;
        };
        let serve = agent::serve(
            self.broker.clone(),
            session,
            self.seal.clone(),
            guest.input,
            guest.output,
            ending,
        );
        tokio::select! {
            served = serve => {
                if let Err(error) = served {
                    tracing::warn!("an agent cannot be served: {error}");
                }
            }
            () = forward => {}
        }
    }

    async fn control(&self, question: Question) -> Result<Reply, Refused> {
        self.answer(question).await
    }

    async fn tripped(&self, what: String, says: String) {
        let notice = Notice {
            kind: NoticeKind::Tripwire,
            about: what,
            says,
        };
        let told = self.read(move |store| store.tell(&notice)).await;
        if let Err(refused) = told {
            tracing::warn!("that somebody tried this could not be recorded: {refused}");
        }
    }

    fn idle_exit(&self) -> Option<Duration> {
        self.generation.idle_exit
    }

    async fn drain(&self) {
        self.pool.close(LAST_WAIT).await;
        // It waits for the disk, and who waits for us may give up on that.
        let store = self.broker.store().clone();
        if tokio::task::spawn_blocking(move || store.close())
            .await
            .is_err()
        {
            tracing::error!("closing the store ended in a panic");
        }
    }
}

impl std::fmt::Debug for Tollgate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tollgate")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// A fault of the store, for whoever started the daemon.
fn failure(fault: &Fault) -> Failure {
    Failure {
        kind: FailureKind::Fault,
        message: fault.says.clone(),
        hint: fault.hint.clone(),
    }
}

/// Reads and validates the configuration.
fn configured(dir: &Path) -> Result<Generation, Failure> {
    config::load_dir(dir).map_err(|errors| Failure::new(FailureKind::Config, errors.render(false)))
}

/// What a daemon before us left behind, after a kill -9, must not run beside what we start.
fn sweep_up(state: &str) {
    let swept = sweep(state);
    if swept.ended > 0 || !swept.left.is_empty() {
        tracing::warn!(
            ended = swept.ended,
            left = swept.left.len(),
            "swept processes that an earlier daemon left"
        );
    }
}

fn open_store(
    ground: &Ground,
    generation: &Generation,
    clock: Arc<dyn Clock>,
) -> Result<LocalStore, Failure> {
    let place = &ground.place;
    let stopper = ground.stopper.clone();
    let accepts_loss = place.accept_loss_file().exists();
    let store = LocalStore::open(Setup {
        stop_file: place.stop_file(),
        version: crate::control::proto::VERSION.to_owned(),
        config: generation.digest.to_string(),
        zone: generation.zone.clone(),
        on_fault: Box::new(move |fault| stopper.stop(Cause::Fault(failure(fault)))),
        loss: if accepts_loss {
            Loss::Accept
        } else {
            Loss::Refuse
        },
        keep: generation.keep,
        totals: generation.totals(),
        ..Setup::new(&place.state, clock)
    })
    .map_err(|fault| failure(&fault))?;
    if accepts_loss {
        // Once: the next damage is a new question.
        fs::remove_file(place.accept_loss_file())
            .map_err(|cause| Failure::io("can't remove the file that accepts a loss", &cause))?;
    }
    Ok(store)
}

/// Passes on to the broker what tool servers list, for as long as it is there.
fn listener(broker: &Arc<Broker>) -> Listener {
    let broker = Arc::downgrade(broker);
    Arc::new(move |listed: Listed| {
        let Some(broker) = broker.upgrade() else {
            return;
        };
        match listed {
            Listed::Lists(listing) => broker.listed(*listing),
            Listed::Beside(server, tools) => broker.listed_beside(&server, &tools),
            Listed::Not(server) => broker.meet(&server),
        }
    })
}

/// The secret of a state directory: made once, readable by its owner only.
fn secret(path: &Path) -> Result<[u8; 32], Failure> {
    let failed = |cause| Failure::io("can't keep a secret in the state directory", &cause);
    let known = match fs::read(path) {
        Ok(known) => known,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return new_secret(path).map_err(failed);
        }
        Err(error) => return Err(failed(error)),
    };
    <[u8; 32]>::try_from(known).map_err(|known| {
        Failure::fault(format!(
            "`{}` is damaged: it has {} bytes, not 32",
            path.display(),
            known.len()
        ))
        .hint(
            "restore it from a backup; or remove it: the next start makes another, and the \
             digests of calls in older records fit no new call",
        )
    })
}

fn new_secret(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(std::io::Error::other)?;
    let draft = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(key)
}

/// A run that was given a name belongs to its agent: the same name of another
/// agent is another run.
fn named_run(agent: &AgentName, name: &str) -> RunId {
    let hash = blake3::hash(format!("{agent}\0{name}").as_bytes()).to_hex();
    RunId::from_tail(hash.get(..10).unwrap_or_default())
}

/// Who runs tollgate, for agents that no file gives an owner.
fn user() -> Owner {
    ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find_map(|name| Owner::parse(&name).ok())
        .unwrap_or_else(|| owner_of_uid(rustix::process::geteuid().as_raw()))
}

fn owner_of_uid(uid: u32) -> Owner {
    // Digits and a dash are always a name.
    Owner::parse(&format!("uid-{uid}")).unwrap_or_else(|_| owner_of_uid(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_secret_is_named_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.key");
        let made = secret(&path).unwrap();
        assert_eq!(secret(&path).unwrap(), made);
        fs::write(&path, [1; 20]).unwrap();
        let failure = secret(&path).unwrap_err();
        assert!(failure.to_string().contains("it has 20 bytes, not 32"));
        assert!(failure.hint.unwrap().contains("or remove it"));
    }
}
