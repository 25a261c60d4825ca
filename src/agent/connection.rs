//! One agent on the line: what is open, what it declared, how to answer it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, Semaphore};

use super::{
    answers::Answers,
    parked::Parked,
    questions::Questions,
    shape::Shaped,
    state::Seal,
    stream::Listen,
    subscribed::{MAX_WATCHED, Subscribed},
    unanswered::{Share, Unanswered},
};
use crate::{
    broker::{Broker, Session},
    domain::{Capabilities, Era, Guise},
    lines::{LineOut, Room},
    wire::{self, Parts, Raw, rpc},
};

/// Requests that one agent may have open.
const MAX_OPEN: usize = 1024;

/// Bytes of the answers of calls that may wait for room. A server that only one run has is
/// not read while so many wait, but one that others use as well is.
const MAX_WAITING: usize = 128 * 1024 * 1024;

/// After our end of the pipe is closed, how long the last answers may take.
const LAST_LINES: Duration = Duration::from_secs(2);

/// After everything is cancelled, how long its end may take. Clearly shorter than what
/// the daemon gives an agent that is gone: what does not end by then is left behind.
const LAST_CALLS: Duration = Duration::from_millis(400);

/// How often is looked whether anybody reads the answers that are waited for.
const LOOK: Duration = Duration::from_millis(200);

/// Makes connections tell-apart.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) broker: Arc<Broker>,
    pub(super) session: Arc<Session>,
    pub(super) seal: Arc<Seal>,
    pub(super) out: LineOut,
    pub(super) legacy: Mutex<Legacy>,
    introduced: Introduced,
    pub(super) parked: Mutex<HashMap<String, Parked>>,
    pub(super) listens: Mutex<HashMap<String, Arc<Listen>>>,
    /// Bytes of addresses that further streams may name.
    pub(super) watchable: Arc<Semaphore>,
    pub(super) unanswered: Unanswered,
    pub(super) answers: Answers,
    pub(super) questions: Questions,
    open: Mutex<HashMap<String, Arc<Cancel>>>,
    /// Bytes of answers that may still come to wait for room.
    waiting: Semaphore,
    /// Fires when nothing is open any more.
    idle: Notify,
}

/// What the handshake settled, for agents that made one.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    pub(super) initialized: bool,
    pub(super) capabilities: Capabilities,
    pub(super) log_level: Option<String>,
    pub(super) subscribed: Subscribed,
}

/// In which eras it has said what it is.
#[derive(Debug, Default)]
struct Introduced {
    legacy: AtomicBool,
    modern: AtomicBool,
}

/// A switch to cancel one request, with a reason.
#[derive(Debug)]
pub(super) struct Cancel {
    reason: Mutex<Option<String>>,
    pulled: Notify,
    /// Cancelled by the agent, who then wants no answer.
    silent: AtomicBool,
}

impl Cancel {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            reason: Mutex::new(None),
            pulled: Notify::new(),
            silent: false.into(),
        })
    }

    pub(super) fn pull(&self, reason: &str) {
        lock(&self.reason).get_or_insert_with(|| reason.to_owned());
        self.pulled.notify_waiters();
    }

    pub(super) fn reason(&self) -> Option<String> {
        lock(&self.reason).clone()
    }

    pub(super) async fn pulled(&self) -> String {
        loop {
            let pulled = self.pulled.notified();
            if let Some(reason) = lock(&self.reason).clone() {
                return reason;
            }
            pulled.await;
        }
    }
}

impl Connection {
    pub(super) fn new(
        broker: Arc<Broker>,
        session: Arc<Session>,
        seal: Arc<Seal>,
        out: LineOut,
    ) -> Arc<Self> {
        Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            broker,
            session,
            seal,
            questions: Questions::new(out.clone()),
            out,
            legacy: Mutex::default(),
            introduced: Introduced::default(),
            parked: Mutex::default(),
            listens: Mutex::default(),
            watchable: Arc::new(Semaphore::new(MAX_WATCHED)),
            unanswered: Unanswered::default(),
            answers: Answers::default(),
            open: Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
            idle: Notify::new(),
        })
    }

    /// It says what it is: what it says first is what servers are got ready for.
    pub(super) fn introduced(&self, era: Era, can: impl FnOnce() -> Capabilities) {
        let was = match era {
            Era::Legacy => &self.introduced.legacy,
            Era::Modern => &self.introduced.modern,
        };
        if !was.load(Ordering::Relaxed) && !was.swap(true, Ordering::Relaxed) {
            let can = can();
            let is_done = self.broker.arrives(&self.session, Guise { era, can });
            was.store(is_done, Ordering::Relaxed);
        }
    }

    /// Opens a request; from here on it is answered, whatever happens.
    pub(super) fn open(self: &Arc<Self>, id: Raw, share: Share) -> Option<Responder> {
        let mut open = lock(&self.open);
        if open.contains_key(id.text()) {
            drop(open);
            self.fail(
                &id,
                rpc::INVALID_REQUEST,
                "a request with this id is still open",
            );
            return None;
        }
        if open.len() >= MAX_OPEN {
            drop(open);
            let says = format!("more than {MAX_OPEN} requests are open: wait for an answer");
            self.fail(&id, rpc::INTERNAL, &says);
            return None;
        }
        let cancel = Cancel::new();
        open.insert(id.text().to_owned(), cancel.clone());
        Some(Responder {
            connection: self.clone(),
            id,
            cancel,
            share,
            answered: false,
        })
    }

    /// Whether a call waits for the agent: for an answer, or to be taken up again.
    pub(super) fn waits_for_agent(&self) -> bool {
        self.questions.are_open() || !lock(&self.parked).is_empty()
    }

    /// Cancels one open request, as the agent wishes.
    pub(super) fn cancel(&self, id: &Raw, reason: &str) {
        if let Some(cancel) = lock(&self.open).get(id.text()) {
            cancel.silent.store(true, Ordering::Relaxed);
            cancel.pull(reason);
        }
        if let Some(listen) = lock(&self.listens).remove(id.text()) {
            listen.end();
        }
    }

    /// Cancels everything that is open; all of it is answered.
    pub(super) fn stop(&self, reason: &str) {
        for cancel in lock(&self.open).values() {
            cancel.pull(reason);
        }
        self.abandon_parked();
    }

    /// Waits until every open request is answered and the answers are written, or
    /// until nobody is there to read them.
    pub(super) async fn drained(&self) {
        self.abandon_parked();
        for (_, listen) in lock(&self.listens).drain() {
            listen.end();
        }
        self.questions.deafen();
        while tokio::time::timeout(LOOK, self.idle()).await.is_err() {
            // An agent that was killed has closed both; one that has only said all it
            // had to say reads on.
            if self.out.has_no_reader() {
                return;
            }
        }
        let _ = tokio::time::timeout(LAST_LINES, self.out.flushed()).await;
    }

    /// The agent has gone: nothing is written any more.
    pub(super) fn close(&self) {
        for cancel in lock(&self.open).values() {
            cancel.pull("the agent has gone");
        }
        self.abandon_parked();
        self.out.close();
    }

    /// Waits until what was cancelled has ended, which is at once where it is in a
    /// server's hands. A server that is ended before has failed.
    pub(super) async fn ended(&self) {
        let _ = tokio::time::timeout(LAST_CALLS, self.idle()).await;
    }

    /// Waits until nothing is open.
    async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if lock(&self.open).is_empty() {
                return;
            }
            idle.await;
        }
    }

    fn abandon_parked(&self) {
        for (_, parked) in lock(&self.parked).drain() {
            parked.abandon("the agent has gone");
        }
    }

    /// Answers with an error without having opened the request.
    pub(super) fn fail(&self, id: &Raw, code: i32, says: &str) {
        self.out.send(wire::error_line(id, &rpc::error(code, says)));
    }
}

/// The duty to answer one request. A task that ends without doing it, by a
/// panic for one, has it done by the drop.
#[derive(Debug)]
pub(super) struct Responder {
    connection: Arc<Connection>,
    pub(super) id: Raw,
    pub(super) cancel: Arc<Cancel>,
    /// Of the bytes that may be open, what the request takes.
    pub(super) share: Share,
    answered: bool,
}

impl Responder {
    /// Answers a call once there is room for it. What it ended with is kept until then, for
    /// this agent alone: of one that does not read, only so much.
    pub(super) async fn deliver(self, shaped: Shaped) {
        self.deliver_unless(shaped, || None).await;
    }

    /// The same for what may not leave any more when there is room: then `instead` does.
    pub(super) async fn deliver_unless(
        self,
        shaped: Shaped,
        instead: impl FnOnce() -> Option<Shaped>,
    ) {
        let bytes = match &shaped {
            Shaped::Result(result) => result.iter().map(bytes::Bytes::len).sum(),
            Shaped::Error(error) => error.bytes().len(),
        };
        let connection = self.connection.clone();
        if connection.out.room_now(bytes).is_some() {
            return self.write(None, shaped, instead).await;
        }
        // What is larger than all of it waits alone.
        let share = u32::try_from(bytes.min(MAX_WAITING)).unwrap_or(u32::MAX);
        match connection.waiting.try_acquire_many(share) {
            Ok(_share) => self.write(None, shaped, instead).await,
            Err(_) => {
                drop(shaped);
                let says = format!(
                    "the call has ended, and its answer of {bytes} bytes is dropped: more than {MAX_WAITING} bytes of answers were not read; read those before you call again"
                );
                self.answer(Shaped::Error(rpc::error(rpc::INTERNAL, &says)))
                    .await;
            }
        }
    }

    /// Answers once there is room for it.
    pub(super) async fn answer(self, shaped: Shaped) {
        self.write(None, shaped, || None).await;
    }

    /// Answers with what has its room already.
    pub(super) async fn answer_in(self, room: Option<Room>, shaped: Shaped) {
        self.write(room, shaped, || None).await;
    }

    async fn write(
        mut self,
        room: Option<Room>,
        shaped: Shaped,
        instead: impl FnOnce() -> Option<Shaped>,
    ) {
        self.answered = true;
        self.share = Share::default();
        let silent = self.cancel.silent.load(Ordering::Relaxed);
        if !silent {
            let line = self.line(&shaped);
            let bytes = line.iter().map(bytes::Bytes::len).sum();
            // An agent that does not read stops here, with a bounded number of
            // bytes waiting; its next answer then waits for room.
            let room = match room.or_else(|| self.connection.out.room_now(bytes)) {
                Some(room) => Some(room),
                None => Box::pin(self.connection.out.room(bytes)).await,
            };
            if room.is_some() {
                let line = instead().map_or(line, |shaped| self.line(&shaped));
                self.connection.out.send_with(line, room);
            }
        }
        self.close();
    }

    fn line(&self, shaped: &Shaped) -> Parts {
        match shaped {
            Shaped::Result(result) => wire::result_line(&self.id, result),
            Shaped::Error(error) => wire::error_line(&self.id, error),
        }
    }

    /// Answers at once, with something small.
    pub(super) fn answer_now(mut self, shaped: &Shaped) {
        self.answered = true;
        self.connection.out.send(self.line(shaped));
        self.close();
    }

    fn close(&self) {
        let mut open = lock(&self.connection.open);
        open.remove(self.id.text());
        if open.is_empty() {
            self.connection.idle.notify_waiters();
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.fail(
                &self.id,
                rpc::INTERNAL,
                "tollgate failed to answer; its log says why",
            );
            self.close();
        }
    }
}

/// A poisoned lock means that a task panicked between two steps that cannot
/// leave the value half-changed.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
