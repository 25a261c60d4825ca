//! The process that owns a state directory: it holds the lock, listens, carries
//! a [`Service`], and leaves in order.
//!
//! It knows nothing of MCP, of the store or of tool servers. From start to end:
//! directories → lock → service → sockets → "ready" → accept … → stop →
//! sockets gone → sessions told → service drained → lock released.

mod crowd;
mod door;
mod failure;
mod find;
mod hall;
mod handover;
mod hello;
mod lineage;
mod listen;
mod lock;
pub(crate) mod own;
mod place;
mod processes;
pub(crate) mod ready;
mod service;
mod signals;
mod tripwire;

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

pub use door::STOP_GRACE;
pub use failure::{Failure, FailureKind};
pub use find::{Door, Listens, connect, elsewhere, who_listens};
pub use hello::{Bye, Goodbye, Hello, Welcome};
pub use lock::{Holder, StateLock, is_held};
pub use place::Place;
pub use ready::Ready;
pub use service::{Cause, Ending, Ground, Guest, Service, Stop, Stopper};

pub(crate) use handover::send;
pub(crate) use hello::LET_GO;
pub(crate) use lock::{open_log, spawn_turn};

use hall::{Doors, Hall, Leave};
use listen::Listener;

/// How long a daemon stays without an agent.
#[derive(Debug, Clone, Copy)]
pub enum Stays {
    /// Until it is told to leave: somebody started it as a service.
    UntilTold,
    /// Until it is idle for as long as its service says.
    WhileNeeded,
    /// Until it is idle for this long.
    ThisLong(Duration),
}

/// Runs a daemon until it is told to stop.
///
/// # Errors
/// When it can't start, which `ready` is told as well, or when the service
/// can't go on.
pub async fn run<S, B>(place: Place, stays: Stays, ready: Ready, build: B) -> Result<(), Failure>
where
    S: Service,
    B: AsyncFnOnce(Ground) -> Result<Arc<S>, Failure>,
{
    let (lock, hall, doors) = match open(&place, build).await {
        Ok(opened) => opened,
        Err(failure) => {
            ready.report(Err(&failure));
            return Err(failure);
        }
    };
    ready.report(Ok(()));
    let idle_exit = match stays {
        Stays::UntilTold => None,
        Stays::WhileNeeded => hall.idle_exit(),
        Stays::ThisLong(idle) => Some(idle),
    };
    let leave = idle_exit.map_or(Leave::WhenTold, Leave::WhenIdle);
    close(hall.serve(doors, leave).await, lock)
}

async fn open<S, B>(place: &Place, build: B) -> Result<(StateLock, Hall<S>, Doors), Failure>
where
    S: Service,
    B: AsyncFnOnce(Ground) -> Result<Arc<S>, Failure>,
{
    place.prepare()?;
    let open_files = raise_descriptor_limit();
    let lock = StateLock::take(place, false, || is_served(place))?;
    is_alone(place)?;
    let hall = Hall::build(place, open_files, build).await?;
    let doors = Doors {
        agent: Some(Listener::bind(place.agent_socket(), &lock)?),
        control: Listener::bind(place.control_socket(), &lock)?,
    };
    Ok((lock, hall, doors))
}

/// The same daemon inside the process of its one agent: same lock, same
/// control socket, but nobody else can connect.
///
/// # Errors
/// When it can't start, when the agent is refused, or when the service can't go on.
pub async fn embedded<S, B>(place: Place, hello: Hello, build: B) -> Result<(), Failure>
where
    S: Service,
    B: AsyncFnOnce(Ground) -> Result<Arc<S>, Failure>,
{
    place.prepare()?;
    let open_files = raise_descriptor_limit();
    let lock = StateLock::take(&place, true, || is_served(&place))?;
    is_alone(&place)?;
    let hall = Hall::build(&place, open_files, build).await?;
    hall.admit(&hello)?;
    let doors = Doors {
        agent: None,
        control: Listener::bind(place.control_socket(), &lock)?,
    };
    let stdio = |cause| Failure::io("can't use stdin and stdout", &cause);
    let own = own::Own::take().map_err(stdio)?;
    // While its stdin still tells who speaks to it.
    hall.note(std::process::id(), &hello.agent);
    own::let_go().map_err(stdio)?;
    let guest = Guest {
        peer_pid: std::process::id(),
        hello,
        input: own.input,
        output: own.output,
    };
    let ended = hall.serve(doors, Leave::WithAgent(guest)).await;
    let copied = own.copying.map(|copying| copying.finish(STOP_GRACE));
    close(ended, lock)?;
    copied.unwrap_or(Ok(()))
}

/// The lock goes first: whoever waits for a connection of ours to end may then
/// start the next daemon at once.
fn close(ended: hall::Ended, lock: StateLock) -> Result<(), Failure> {
    drop(lock);
    match ended.cause {
        Cause::Asked | Cause::Signal(_) | Cause::Idle | Cause::AgentLeft => Ok(()),
        Cause::Fault(failure) => Err(failure),
    }
}

/// One thread serves all agents: measured, a second one makes small calls slower.
///
/// # Errors
/// When the process has no descriptors left.
pub fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::io("can't wait for input", &cause))
}

/// Does the work of a daemon, to its end.
///
/// # Errors
/// When the work fails, or the process has no descriptors left.
pub fn carry(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let ended = runtime.block_on(work);
    // A thread that waits for a disk that hangs would keep the process for ever.
    runtime.shutdown_timeout(LAST_THREADS);
    ended
}

/// How long what is left on other threads may take when everything else has ended.
const LAST_THREADS: Duration = Duration::from_secs(1);

fn is_served(place: &Place) -> bool {
    matches!(connect(place, Door::Agent), Ok(Some(_)))
}

/// Refuses where somebody serves without the lock that was just taken: its file was
/// removed, and that daemon's tool servers are not to be swept away as left over.
fn is_alone(place: &Place) -> Result<(), Failure> {
    match connect(place, Door::Control) {
        Ok(Some(_)) => Err(Failure::new(
            FailureKind::Held,
            format!(
                "a daemon serves the state in `{}`, though its `daemon.lock` was removed",
                place.state.display()
            ),
        )
        .hint("end it first: tollgate stop-daemon")),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Every agent takes three descriptors and every tool server some more. What it was goes to
/// the servers: some programs close every descriptor that they could have, one by one.
fn raise_descriptor_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(cause) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("can't raise the limit of open files: {cause}");
    }
    current
}
