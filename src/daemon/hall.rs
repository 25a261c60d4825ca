//! The daemon between "ready" and its end: accepts, counts who is there, and
//! sees everybody out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::crowd::{Crowd, Room};
use super::door;
use super::failure::Failure;
use super::hello::Hello;
use super::listen::{self, Listener};
use super::place::Place;
use super::service::{Cause, Ending, Ground, Guest, Service, Stop, Stopper};
use super::signals::{self, Signals};
use super::tripwire::Tripwire;
use crate::control::serve::Conversation;
use crate::control::{Question, Refused, RefusedCode, Reply, Request};
use crate::domain::AgentName;

/// A service and what is needed to let people in and out.
pub(crate) struct Hall<S> {
    service: Arc<S>,
    config: Arc<str>,
    stopper: Stopper,
    signals: Signals,
    tripwire: Tripwire,
    bounds: Arc<Bounds>,
}

/// The sockets.
#[derive(Debug)]
pub(crate) struct Doors {
    /// An embedded daemon has no other agents.
    pub(crate) agent: Option<Listener>,
    pub(crate) control: Listener,
}

impl Doors {
    /// Whoever took a socket away, or put another in its place, took this daemon out of the
    /// reach of people: who pulls the switch would be told that it is pulled.
    fn are_ours(&self) -> Result<(), Failure> {
        let doors = self.agent.iter().chain([&self.control]);
        match doors.into_iter().find(|door| !door.is_ours()) {
            None => Ok(()),
            Some(door) => Err(Failure::fault(format!(
                "the socket `{}` was removed or replaced: nobody could stop this daemon any more",
                door.path().display()
            ))
            .hint("the next `tollgate stdio` starts another")),
        }
    }
}

/// How often is looked whether the sockets are still ours.
const LOOK: Duration = Duration::from_secs(1);

/// How much may be at the doors at a time.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Shims that have not said who they are.
    pub(crate) shims: Crowd,
    /// Askers of whom nothing is worked on.
    askers: Crowd,
    /// Agents that are served.
    pub(crate) agents: Semaphore,
    /// Questions that are worked on; a stop waits for none.
    questions: Semaphore,
    /// Requests that are long.
    long: Semaphore,
}

impl Bounds {
    fn of(room: Room) -> Self {
        Self {
            shims: Crowd::of(room.waiting),
            askers: Crowd::of(room.waiting),
            agents: Semaphore::new(room.agents),
            questions: Semaphore::new(room.questions),
            long: Semaphore::new(LONG_REQUESTS),
        }
    }
}

/// So many requests are read at a time that need much memory.
const LONG_REQUESTS: usize = 2;

/// When a daemon leaves of itself.
pub(crate) enum Leave {
    WhenTold,
    WhenIdle(Duration),
    WithAgent(Guest),
}

/// What remains of a daemon. Whoever asked it to stop waits for the end of
/// their connection, which must not come before the lock is released.
pub(crate) struct Ended {
    pub(crate) cause: Cause,
    _waiting: JoinSet<()>,
}

impl<S: Service> Hall<S> {
    pub(crate) async fn build<B>(
        place: &Place,
        open_files: Option<u64>,
        build: B,
    ) -> Result<Self, Failure>
    where
        B: AsyncFnOnce(Ground) -> Result<Arc<S>, Failure>,
    {
        let signals = |cause| Failure::io("can't listen for signals", &cause);
        signals::let_writes_fail().map_err(signals)?;
        let stopper = Stopper::new();
        let ground = Ground {
            place: place.clone(),
            stopper: stopper.clone(),
            open_files,
        };
        Ok(Self {
            service: build(ground).await?,
            config: place.config_text().into(),
            stopper,
            signals: Signals::listen().map_err(signals)?,
            tripwire: Tripwire::default(),
            bounds: Arc::new(Bounds::of(Room::here())),
        })
    }

    pub(crate) fn idle_exit(&self) -> Option<Duration> {
        self.service.idle_exit()
    }

    pub(crate) fn admit(&self, hello: &Hello) -> Result<(), Refused> {
        self.service.admit(hello)
    }

    /// An agent speaks through this process.
    pub(crate) fn note(&self, shim: u32, agent: &AgentName) {
        self.tripwire.note(shim, agent);
    }

    /// Serves until something ends it, then sees everybody out.
    pub(crate) async fn serve(mut self, doors: Doors, leave: Leave) -> Ended {
        tracing::info!(pid = std::process::id(), "tollgate is up");
        let (tell, stop) = Stop::channel();
        let mut sessions = JoinSet::new();
        let mut questions = JoinSet::new();
        let farewell = Farewell::new();
        let leave = match leave {
            Leave::WhenTold => Patience::Endless,
            Leave::WhenIdle(idle) => Patience::Idle(idle),
            Leave::WithAgent(guest) => {
                sessions.spawn(Arc::clone(&self.service).agent(guest, stop.clone()));
                Patience::OneAgent
            }
        };
        let cause = self
            .accept(
                &doors,
                (&stop, &farewell.0),
                leave,
                &mut sessions,
                &mut questions,
            )
            .await;
        tracing::info!(?cause, agents = sessions.len(), "tollgate stops");
        // Nobody new: the names go before the first agent is told.
        drop(doors);
        self.see_out(tell, sessions).await;
        // Only now is there nothing more to tell those who follow the record.
        farewell.say().await;
        Ended {
            cause,
            _waiting: questions,
        }
    }

    async fn accept(
        &mut self,
        doors: &Doors,
        (stop, over): (&Stop, &Over),
        leave: Patience,
        sessions: &mut JoinSet<()>,
        questions: &mut JoinSet<()>,
    ) -> Cause {
        // Whoever started this daemon is still on the way.
        let mut leaves_at = leave.deadline(FIRST_AGENT);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                cause = self.stopper.asked() => return cause,
                name = self.signals.next() => return Cause::Signal(name),
                stream = agent(doors) => if let Some(stream) = usable(stream).await {
                    leaves_at = None;
                    let entrance = self.entrance();
                    sessions.spawn(door::serve(entrance, stream, stop.clone()));
                    // It says at once who it is, and is heard before the next comes.
                    yield_now().await;
                },
                stream = doors.control.accept() => if let Some(stream) = usable(stream).await {
                    let entrance = self.entrance();
                    questions.spawn(ask(entrance, stream, self.stopper.clone(), over.clone()));
                    yield_now().await;
                },
                Some(ended) = sessions.join_next() => {
                    let panicked = report(ended);
                    match leave {
                        Patience::OneAgent if panicked => return Cause::Fault(panic()),
                        Patience::OneAgent => return Cause::AgentLeft,
                        Patience::Idle(_) | Patience::Endless if sessions.is_empty() => {
                            leaves_at = leave.deadline(Duration::ZERO);
                        }
                        Patience::Idle(_) | Patience::Endless => {}
                    }
                }
                Some(ended) = questions.join_next() => { report(ended); }
                _ = look.tick() => if let Err(failure) = doors.are_ours() {
                    return Cause::Fault(failure);
                },
                () = reached(leaves_at) => return Cause::Idle,
            }
        }
    }

    fn entrance(&self) -> Entrance<S> {
        Entrance {
            service: Arc::clone(&self.service),
            config: Arc::clone(&self.config),
            tripwire: self.tripwire.clone(),
            bounds: Arc::clone(&self.bounds),
        }
    }

    async fn see_out(&self, tell: watch::Sender<Option<Ending>>, mut sessions: JoinSet<()>) {
        tell.send_replace(Some(Ending::DaemonStops));
        let everybody = async {
            while let Some(ended) = sessions.join_next().await {
                report(ended);
            }
        };
        if timeout(LONGEST_FAREWELL, everybody).await.is_err() {
            tracing::warn!("some agents did not leave in time");
            sessions.shutdown().await;
        }
        if timeout(LONGEST_DRAIN, self.service.drain()).await.is_err() {
            tracing::warn!("the service did not finish in time");
        }
    }
}

/// Tells that all is over, and waits until who waited for more has heard it.
struct Farewell(Over, watch::Sender<bool>, mpsc::Receiver<()>);

/// How a connection hears of it.
#[derive(Clone)]
struct Over {
    is_over: watch::Receiver<bool>,
    /// Held while somebody has yet to be told.
    untold: mpsc::Sender<()>,
}

impl Farewell {
    fn new() -> Self {
        let (tell, is_over) = watch::channel(false);
        let (untold, told) = mpsc::channel(1);
        Self(Over { is_over, untold }, tell, told)
    }

    async fn say(self) {
        let Self(over, tell, mut told) = self;
        drop(over);
        tell.send_replace(true);
        // Nothing is ever sent: it ends when the last of them has let go.
        if timeout(LAST_WORD, told.recv()).await.is_err() {
            tracing::debug!("somebody who follows the record does not read");
        }
    }
}

/// A session has its own grace; this one is for a shim that doesn't read.
const LONGEST_FAREWELL: Duration = Duration::from_secs(12);
const LONGEST_DRAIN: Duration = Duration::from_secs(6);
const LAST_WORD: Duration = Duration::from_secs(1);

/// The shim that started the daemon is still on its way.
const FIRST_AGENT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
enum Patience {
    Endless,
    Idle(Duration),
    OneAgent,
}

impl Patience {
    fn deadline(self, at_least: Duration) -> Option<Instant> {
        match self {
            Patience::Endless | Patience::OneAgent => None,
            // Too far for the clock is for ever.
            Patience::Idle(idle) => Instant::now().checked_add(idle.max(at_least)),
        }
    }
}

async fn reached(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn agent(doors: &Doors) -> io::Result<UnixStream> {
    match &doors.agent {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn usable(stream: io::Result<UnixStream>) -> Option<UnixStream> {
    match stream {
        Ok(stream) => Some(stream),
        Err(cause) => {
            // Out of descriptors: the connection waits in its queue, and asking again at once
            // would only burn the processor.
            tracing::warn!("can't accept a connection: {cause}");
            sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// What a connection at either door needs.
pub(crate) struct Entrance<S> {
    pub(crate) service: Arc<S>,
    pub(crate) config: Arc<str>,
    pub(crate) tripwire: Tripwire,
    pub(crate) bounds: Arc<Bounds>,
}

/// One connection of the command line.
async fn ask<S: Service>(entrance: Entrance<S>, stream: UnixStream, stopper: Stopper, over: Over) {
    if let Err(cause) = answer(entrance, stream, stopper, over).await {
        tracing::debug!("a control connection broke: {cause}");
    }
}

async fn answer<S: Service>(
    entrance: Entrance<S>,
    stream: UnixStream,
    stopper: Stopper,
    over: Over,
) -> io::Result<()> {
    // One that asks nothing at the end waits for nothing.
    let (mut is_over, untold) = (over.is_over, over.untold.downgrade());
    drop(over.untold);
    let mut held = None;
    let peer = listen::peer(&stream);
    let mut asker = Conversation::new(stream);
    let peer_pid = match peer {
        Ok(pid) => pid,
        Err(refused) => return asker.reply(Err(refused)).await,
    };
    let bounds = &entrance.bounds;
    loop {
        let waiting = bounds.askers.join();
        let asked = async {
            let request = asker.next(&entrance.config, &bounds.long).await?;
            let turn = match request.as_ref().is_some_and(takes_a_turn) {
                true => Some(bounds.questions.acquire().await.map_err(io::Error::other)?),
                false => None,
            };
            Ok::<_, io::Error>((request, turn))
        };
        let (request, _turn) = tokio::select! {
            biased;
            asked = asked => asked?,
            () = waiting.pushed_out() => return turn_away(&mut asker).await,
        };
        let Some(request) = request else {
            return Ok(());
        };
        let result = match request {
            Ok(Request::StopDaemon) => {
                let pid = std::process::id();
                asker.reply(Ok(Reply::Stopping { pid })).await?;
                // The asker stays on the line until the process is gone.
                stopper.stop(Cause::Asked);
                continue;
            }
            // It waits for news, as long as there is room for who does.
            Ok(Request::Ask(question)) if question.waits() => {
                // Also between its questions it has yet to be told.
                held = held.or_else(|| untold.upgrade());
                let told = tokio::select! {
                    biased;
                    told = entrance.question(peer_pid, question) => Some((told, false)),
                    _ = is_over.wait_for(|over| *over) => Some((Err(ending()), true)),
                    () = waiting.pushed_out() => None,
                };
                let Some((told, is_last)) = told else {
                    return turn_away(&mut asker).await;
                };
                asker.reply(told).await?;
                if is_last {
                    return Ok(());
                }
                continue;
            }
            Ok(Request::Ask(question)) => {
                // Begun, and so not ended half way.
                drop(waiting);
                entrance.question(peer_pid, question).await
            }
            Err(refused) => Err(refused),
        };
        asker.reply(result).await?;
    }
}

/// Whether it is work of which only so much is done at a time.
fn takes_a_turn(request: &Result<Request, Refused>) -> bool {
    match request {
        Ok(Request::Ask(Question::Stop(_) | Question::Follow(_)) | Request::StopDaemon)
        | Err(_) => false,
        Ok(Request::Ask(_)) => true,
    }
}

/// What is said goes out at once or not at all: many are turned away then.
async fn turn_away(asker: &mut Conversation) -> io::Result<()> {
    let says = "more are connected to the daemon than it has room for";
    let full = Refused::new(RefusedCode::Unavailable, says);
    timeout(Duration::ZERO, asker.reply(Err(full))).await?
}

fn ending() -> Refused {
    Refused::new(RefusedCode::Ending, "the daemon has ended")
}

impl<S: Service> Entrance<S> {
    async fn question(&self, asker: u32, question: Question) -> Result<Reply, Refused> {
        if let Some(what) = question.loosens()
            && let Err(refused) = self.tripwire.check(asker, &what).await
        {
            let says = format!("{}; process {asker} tried it", refused.message);
            self.service.tripped(what, says).await;
            return Err(refused);
        }
        self.service.control(question).await
    }
}

/// Whether a connection ended in a panic, which the log is told.
fn report(ended: Result<(), JoinError>) -> bool {
    match ended {
        Err(cause) if cause.is_panic() => {
            tracing::error!("a connection ended in a panic: {cause}");
            true
        }
        Ok(()) | Err(_) => false,
    }
}

fn panic() -> Failure {
    Failure::fault("the session ended in a panic: this is a defect of tollgate")
}
