//! Requests of ours that an instance has not answered yet: their ids, their
//! deadlines, their cancellation, their progress.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    deadline::{Clock, Deadline},
    instance::{Instance, lock},
};
use crate::{
    domain::ToolFault,
    lines::Room,
    ports::Caller,
    wire::{self, Body, Raw},
};

/// Letters of the reason that a server is given for a cancellation.
const MAX_REASON: usize = 1_000;

/// The open requests of an instance.
pub(super) struct Requests {
    pending: Mutex<HashMap<u64, Pending>>,
    next_id: AtomicU64,
    /// Wakes who watches the deadlines; set while somebody does.
    busy: Arc<Notify>,
    watched_over: AtomicBool,
    /// The operator was told that the server writes ids as texts.
    quotes: AtomicBool,
}

struct Pending {
    answer: oneshot::Sender<Result<Body, ToolFault>>,
    caller: Option<Arc<dyn Caller>>,
    clock: Arc<Clock>,
    deadline: Deadline,
}

impl Requests {
    pub(super) fn new(busy: Arc<Notify>) -> Self {
        Self {
            pending: Mutex::default(),
            next_id: AtomicU64::new(1),
            busy,
            watched_over: AtomicBool::new(false),
            quotes: AtomicBool::new(false),
        }
    }

    /// A sign of life: its deadline starts anew. Returns who waits for it.
    pub(super) fn touch(&self, id: u64) -> Option<Arc<dyn Caller>> {
        let pending = self.pending();
        let waiting = pending.get(&id)?;
        waiting.clock.touch(Instant::now());
        waiting.caller.clone()
    }

    /// Fails them all: the instance has ended.
    pub(super) fn fail_all(&self, why: &str) {
        for (_, waiting) in self.pending().drain() {
            let _ = waiting.answer.send(Err(ToolFault::Exited(why.to_owned())));
        }
    }

    /// Wakes who watches the deadlines.
    pub(super) fn wake(&self) {
        self.busy.notify_one();
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<u64, Pending>> {
        lock(&self.pending)
    }
}

impl Instance {
    /// Sends a request of our own and waits for its answer.
    pub(super) async fn request(
        self: &Arc<Self>,
        method: &str,
        params: &[Bytes],
        limit: Duration,
    ) -> Result<Body, ToolFault> {
        self.request_with(method, params, limit, None).await
    }

    /// The same, for what room was taken for.
    pub(super) async fn request_with(
        self: &Arc<Self>,
        method: &str,
        params: &[Bytes],
        limit: Duration,
        room: Option<Room>,
    ) -> Result<Body, ToolFault> {
        let ticket = self.open(None, Deadline::new(limit, limit))?;
        let sent = wire::request_line(&ticket.id.to_string(), method, params);
        if !self.out.send_with(sent, room) {
            return Err(Box::pin(self.gone()).await);
        }
        ticket.wait(None).await
    }

    /// Opens a request: from here on an answer with its id finds it.
    pub(super) fn open(
        self: &Arc<Self>,
        caller: Option<Arc<dyn Caller>>,
        deadline: Deadline,
    ) -> Result<Ticket, ToolFault> {
        // Held across the look: who ends the instance fails what is here after it has
        // said so.
        let mut pending = self.requests.pending();
        if let Some(why) = self.ended() {
            return Err(ToolFault::Exited(why));
        }
        let id = self.requests.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, waiting) = oneshot::channel();
        let clock = Arc::new(Clock::new(Instant::now()));
        if !deadline.is_forever() && !self.requests.watched_over.swap(true, Ordering::Relaxed) {
            self.requests.wake();
        }
        pending.insert(
            id,
            Pending {
                answer,
                caller,
                clock: clock.clone(),
                deadline,
            },
        );
        drop(pending);
        Ok(Ticket {
            id,
            instance: self.clone(),
            waiting,
            clock,
            done: false,
        })
    }

    /// Fails the requests that missed their deadline; says whether any is left
    /// that could.
    pub(super) fn fail_overdue(&self, now: Instant) -> bool {
        let mut pending = self.requests.pending();
        let missed: Vec<(u64, ToolFault)> = pending
            .iter()
            .filter_map(|(id, open)| Some((*id, open.deadline.missed(&open.clock, now)?)))
            .collect();
        for (id, fault) in missed {
            self.withdraw(id, &fault.to_string());
            if let Some(open) = pending.remove(&id) {
                let _ = open.answer.send(Err(fault));
            }
        }
        let more = pending.values().any(|open| !open.deadline.is_forever());
        self.requests.watched_over.store(more, Ordering::Relaxed);
        more
    }

    /// Whether a request is still waited for.
    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.requests.pending().contains_key(&id)
    }

    /// Forgets a request whose answer nobody needs.
    pub(super) fn forget(&self, id: u64) {
        self.requests.pending().remove(&id);
    }

    /// Tells the server that nobody waits for a request any more. Queued without room for
    /// it, so an agent's own words for it are cut.
    fn withdraw(&self, id: u64, reason: &str) {
        let end = reason.char_indices().nth(MAX_REASON);
        let reason = end.and_then(|(end, _)| reason.get(..end)).unwrap_or(reason);
        let params = format!("{{\"requestId\":{id},\"reason\":{}}}", wire::quote(reason));
        self.notify("notifications/cancelled", &[params.into()]);
    }

    /// Hands an answer to who waits for it.
    pub(super) fn answer(&self, id: &Raw, body: Result<Body, ToolFault>) {
        let known = wire::our_id(id).and_then(|id| self.requests.pending().remove(&id));
        let Some(pending) = known else {
            if let Some(late) = wire::our_id(id) {
                self.lane.answered(late);
            }
            self.remark(&format!("answered a request that is not open: id {id:?}"));
            return;
        };
        if id.text().starts_with('"') && !self.requests.quotes.swap(true, Ordering::Relaxed) {
            self.remark(&format!("answers to ids as texts: {id:?}"));
        }
        let _ = pending.answer.send(body);
    }
}

/// One open request.
pub(super) struct Ticket {
    pub(super) id: u64,
    instance: Arc<Instance>,
    waiting: oneshot::Receiver<Result<Body, ToolFault>>,
    clock: Arc<Clock>,
    done: bool,
}

impl Ticket {
    /// The request's own clock, which stands still while a person is asked.
    pub(super) fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Gives a request up that the server has not heard of.
    pub(super) fn never_sent(mut self) {
        self.done = true;
        self.instance.requests.pending().remove(&self.id);
    }

    /// Waits for the answer, the deadline, or the caller's cancel.
    pub(super) async fn wait(
        mut self,
        caller: Option<&Arc<dyn Caller>>,
    ) -> Result<Body, ToolFault> {
        let cancelled = async {
            match caller {
                Some(caller) => caller.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = &mut self.waiting => {
                self.done = true;
                match answer {
                    // Both came together, as when an agent leaves: then its server was
                    // ended, and has not failed.
                    Ok(Err(ToolFault::Exited(_))) if let Some(reason) =
                        caller.and_then(|caller| caller.is_cancelled()) =>
                    {
                        Err(ToolFault::Cancelled(reason))
                    }
                    Ok(answer) => answer,
                    Err(_) => Err(Box::pin(self.instance.gone()).await),
                }
            }
            reason = cancelled => {
                self.cancel(&reason);
                Err(ToolFault::Cancelled(reason))
            }
        }
    }

    fn cancel(&mut self, reason: &str) {
        self.done = true;
        if self.instance.requests.pending().remove(&self.id).is_some() {
            self.instance.withdraw(self.id, reason);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.done {
            self.cancel("the caller has gone");
        }
    }
}
