//! What the daemon asks of the broker it carries. The daemon knows processes,
//! sockets and descriptors; what is said on them is the service's business.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::failure::Failure;
use super::hello::Hello;
use super::place::Place;
use crate::control::{Question, Refused, Reply};

/// The broker, as the daemon sees it. Made under the lock, by the function that
/// is given to [`run`](super::run).
pub trait Service: Send + Sync + 'static {
    /// Whether this agent may connect. Judged before its descriptors are taken.
    ///
    /// # Errors
    /// The refusal reaches the person who looks at the client's log.
    fn admit(&self, hello: &Hello) -> Result<(), Refused>;

    /// Serves one agent until its input ends or `stop` fires. The descriptors
    /// must be closed when this returns or is dropped: the agent is told the end
    /// by nothing else.
    fn agent(self: Arc<Self>, guest: Guest, stop: Stop) -> impl Future<Output = ()> + Send;

    /// Answers a question of the command line.
    fn control(&self, question: Question) -> impl Future<Output = Result<Reply, Refused>> + Send;

    /// Records that somebody who is not taken for a person tried to loosen something:
    /// what, as a fragment, and all that is known of it, as a sentence.
    fn tripped(&self, what: String, says: String) -> impl Future<Output = ()> + Send;

    /// How long a daemon that was started on demand stays without an agent; none
    /// when it stays for good.
    fn idle_exit(&self) -> Option<Duration>;

    /// Settles and closes everything. Called once, after the last agent has left.
    fn drain(&self) -> impl Future<Output = ()> + Send;
}

/// What a service is built on.
#[derive(Debug)]
pub struct Ground {
    /// The directories. The lock on the state is held.
    pub place: Place,
    /// Ends the daemon, for a service that can't go on.
    pub stopper: Stopper,
    /// How many files it could have open before it raised that for itself; none if any
    /// number.
    pub open_files: Option<u64>,
}

/// An agent that has been let in.
#[derive(Debug)]
pub struct Guest {
    /// What it said of itself.
    pub hello: Hello,
    /// The agent's own stdin: a pipe or a stream socket of the unix kind.
    pub input: OwnedFd,
    /// The agent's own stdout, likewise; it may be the same socket as `input`.
    pub output: OwnedFd,
    /// The process of its shim, as the kernel tells it.
    pub peer_pid: u32,
}

/// Why a session is asked to end before its input does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The daemon stops in order: answer what is open, end the last line, leave
    /// within [`STOP_GRACE`](super::STOP_GRACE).
    DaemonStops,
    /// The shim is gone, so the client's child is dead: close the descriptors at once.
    ShimLeft,
}

/// Tells a session to end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<Ending>>);

impl Stop {
    /// A stop and what fires it.
    #[must_use]
    pub fn channel() -> (watch::Sender<Option<Ending>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// Waits until it fires.
    pub async fn wait(&mut self) -> Ending {
        match self.0.wait_for(Option::is_some).await {
            Ok(ending) => (*ending).unwrap_or(Ending::DaemonStops),
            // Whoever could fire it is gone.
            Err(_) => Ending::DaemonStops,
        }
    }
}

/// Why the daemon stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// `tollgate stop-daemon`.
    Asked,
    /// A signal: the name of it.
    Signal(&'static str),
    /// Nobody was connected for a while.
    Idle,
    /// The one agent of an embedded daemon left.
    AgentLeft,
    /// The service can't go on; the process ends with this.
    Fault(Failure),
}

/// Asks the daemon to stop. The first cause counts.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<watch::Sender<Option<Cause>>>);

impl Stopper {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Stops the daemon in order.
    pub fn stop(&self, cause: Cause) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(cause);
            }
            is_first
        });
    }

    pub(crate) async fn asked(&self) -> Cause {
        let mut asked = self.0.subscribe();
        match asked.wait_for(Option::is_some).await {
            Ok(cause) => cause.clone().unwrap_or(Cause::Asked),
            // `self` keeps the sender, so this can't be; stopping is the safe reading.
            Err(_) => Cause::Asked,
        }
    }
}
