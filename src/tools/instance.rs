//! One running instance of a tool server: its pipes, and what it says.
//!
//! What waits for its answers is in `ticket`. An answer is handed over as the
//! slice of the buffer that it was read into.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Notify, broadcast, watch};

use super::{
    acknowledged,
    child::{Child, Started},
    host::Host,
    lane::Lane,
    logged, overdue,
    questions::{self, Open},
    streams::Streams,
    subscribe,
    switch::Switch,
    ticket::Requests,
    turns::Turns,
    unread::Unread,
    watched::Watched,
};
use crate::{
    domain::{Era, Fingerprint, Guise, RunId, ServerName, ToolFault},
    lines::{Line, LineIn, LineOut, Sink, Source},
    ports::Event,
    wire::{self, Malformed, Meant, Message, Oversize, Raw, rpc},
};

/// The longest line a tool server may send.
pub(super) const MAX_LINE: usize = 64 * 1024 * 1024;

/// So many lines in a row that nobody can read are no tool server's.
const UNREADABLE: u32 = 10_000;

/// After its end was reported, what a server still had to say.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// After the end of its input, how long it may take to leave by itself.
const LEAVES: Duration = Duration::from_millis(100);

/// After its output ended, how long its exit status may take.
const LAST_STATUS: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Instance {
    pub(super) server: ServerName,
    /// The run it belongs to; set when a run takes it.
    pub(super) run: Mutex<Option<RunId>>,
    pub(super) out: LineOut,
    pub(super) child: Child,
    pub(super) lane: Lane,
    /// Of its agent, what it was told. One of the stateless era is told anew with each call,
    /// and what it lists is what it lists for this.
    pub(super) told: Mutex<Guise>,
    /// Whether all runs use it: then it was told that nobody can be asked.
    pub(super) shared: bool,
    pub(super) greeting: OnceLock<Greeting>,
    pub(super) definitions: RwLock<HashMap<Arc<str>, Fingerprint>>,
    pub(super) host: Host,
    /// The log level that a server of the handshake era was last told.
    pub(super) log_level: Mutex<Option<String>>,
    /// Resources that somebody watches.
    pub(super) watched: Mutex<Watched>,
    /// Whose turn it is to begin or end one.
    pub(super) turns: Turns,
    pub(super) streams: Mutex<Streams>,
    pub(super) requests: Requests,
    events: broadcast::Sender<Event>,
    /// Of its server.
    pub(super) switch: Switch,
    /// Counts list changes; the pool debounces them.
    changes: watch::Sender<u64>,
    /// Why it ended, once it has.
    ended: watch::Sender<Option<String>>,
    pub(super) questions: Open,
    /// Ended by us, not by itself.
    told_to_end: AtomicBool,
    unread: Unread,
}

/// What a server said when we met.
#[derive(Debug, Clone)]
pub(super) struct Greeting {
    pub(super) era: Era,
    pub(super) capabilities: Raw,
    pub(super) info: Option<Raw>,
    pub(super) instructions: Option<String>,
}

impl Greeting {
    /// Whether the server declared this capability.
    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.get(capability).is_some()
    }
}

impl Instance {
    /// Takes a started child over and begins to read it.
    pub(super) fn start(
        server: ServerName,
        started: Started,
        told: Guise,
        shared: bool,
        events: broadcast::Sender<Event>,
        switch: Switch,
    ) -> Result<Arc<Self>, ToolFault> {
        let failed = |error: std::io::Error| ToolFault::NotStarted(error.to_string());
        let Started {
            stdin,
            stdout,
            child,
        } = started;
        let out = LineOut::new(Sink::from_fd(stdin).map_err(failed)?);
        let lines = LineIn::new(Source::from_fd(stdout).map_err(failed)?, MAX_LINE);
        let busy = Arc::new(Notify::new());
        let instance = Arc::new(Self {
            server,
            run: Mutex::default(),
            out,
            child,
            lane: Lane::default(),
            told: Mutex::new(told),
            shared,
            greeting: OnceLock::new(),
            definitions: RwLock::default(),
            host: Host::default(),
            log_level: Mutex::default(),
            watched: Mutex::default(),
            turns: Turns::default(),
            streams: Mutex::default(),
            requests: Requests::new(busy.clone()),
            events,
            switch,
            changes: watch::Sender::new(0),
            ended: watch::Sender::new(None),
            questions: Open::default(),
            told_to_end: AtomicBool::new(false),
            unread: Unread::default(),
        });
        tokio::spawn(read(instance.clone(), lines));
        tokio::spawn(overdue::watch(Arc::downgrade(&instance), busy));
        Ok(instance)
    }

    /// How it speaks; legacy until the handshake says otherwise.
    pub(super) fn era(&self) -> Era {
        self.greeting
            .get()
            .map_or(Era::Legacy, |greeting| greeting.era)
    }

    /// Why it ended, once it has.
    pub(super) fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Fires when it ends.
    pub(super) fn watch_end(&self) -> watch::Receiver<Option<String>> {
        self.ended.subscribe()
    }

    /// Fires when it says that a list changed.
    pub(super) fn watch_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What it offers may have changed.
    pub(super) fn lists_changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Ends it: no more input, then the keeper ends what does not leave.
    pub(super) fn end(self: &Arc<Self>, why: &str) {
        self.told_to_end.store(true, Ordering::Relaxed);
        self.close(why);
        // It may still read what was cancelled, and leave by itself.
        let instance = self.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LEAVES, exited(&instance)).await;
            instance.child.end();
        });
    }

    /// Whether it was ended by us.
    pub(super) fn was_ended(&self) -> bool {
        self.told_to_end.load(Ordering::Relaxed)
    }

    /// Sends a notification.
    pub(super) fn notify(&self, method: &str, params: &[Bytes]) {
        self.out.send(wire::notification_line(method, params));
    }

    /// The folders that its agent works in have changed. Who was not told of folders is not
    /// told of their change.
    pub(super) fn roots_changed(&self) {
        match self.era() {
            Era::Legacy if lock(&self.told).can.roots => {
                self.notify("notifications/roots/list_changed", &[]);
            }
            Era::Legacy | Era::Modern => {}
        }
    }

    /// Why it is not there any more, with its exit status if that comes soon.
    pub(super) async fn gone(&self) -> ToolFault {
        let mut ended = self.watch_end();
        let waited = tokio::time::timeout(LAST_WORDS, ended.wait_for(Option::is_some)).await;
        match waited {
            Ok(Ok(why)) => ToolFault::Exited(why.clone().unwrap_or_default()),
            _ => ToolFault::Exited("its input is closed".to_owned()),
        }
    }

    /// Tells everybody of something outside a call.
    pub(super) fn tell(&self, event: Event) {
        // Nobody listening is no error.
        let _ = self.events.send(event);
    }

    fn close(&self, why: &str) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(why.to_owned());
            }
            first
        });
        self.out.close();
        self.requests.fail_all(why);
        subscribe::lose(self);
        self.questions.end_all();
        self.lane.changed();
        self.requests.wake();
    }

    /// Notes misbehaviour where the operator looks: beside the server's own
    /// last words.
    pub(super) fn remark(&self, text: &str) {
        self.child.stderr().remark(text);
    }
}

/// Reads what the server says until it ends.
async fn read(instance: Arc<Instance>, mut lines: LineIn) {
    let status = exited(&instance);
    tokio::pin!(status);
    let mut nonsense = 0;
    let why = loop {
        tokio::select! {
            biased;
            line = async {
                instance.out.not_flooded().await;
                lines.next().await
            } => match line {
                Ok(Some(line)) => {
                    let line = counted(&instance, line).await;
                    let took = take(&instance, line);
                    nonsense = match took {
                        Took::Nonsense => nonsense + 1,
                        Took::Question | Took::Other => 0,
                    };
                    if nonsense >= UNREADABLE {
                        break format!("it sent {UNREADABLE} lines in a row that are no messages");
                    }
                    // Put before its withdrawal is read: so it counts, however quickly a
                    // server asks, and leaves the thread to others.
                    if took == Took::Question {
                        tokio::task::yield_now().await;
                    }
                }
                // A server without a voice is of no use, even if it lives. It is not
                // ended before its own status had time to come, which ours would hide.
                Ok(None) => {
                    break tokio::time::timeout(LAST_STATUS, &mut status)
                        .await
                        .unwrap_or_else(|_| "it closed its output".to_owned());
                }
                Err(error) => break format!("its output cannot be read: {error}"),
            },
            status = &mut status => {
                // A forgotten child may hold the pipe open: what the server
                // said before it ended still counts, but not for long.
                let rest = async {
                    while let Ok(Some(line)) = lines.next().await {
                        take(&instance, line);
                    }
                };
                let _ = tokio::time::timeout(LAST_WORDS, rest).await;
                break status;
            }
        }
    };
    instance.close(&why);
    instance.child.end();
}

/// A line that is counted as unread, as soon as that many bytes may be.
async fn counted(instance: &Instance, line: Line) -> Line {
    let Line::Whole(line) = line else {
        return line;
    };
    let shared = lock(&instance.run).is_none();
    let mut ended = instance.watch_end();
    tokio::select! {
        biased;
        line = instance.unread.count(line.clone(), shared) => Line::Whole(line),
        // Ended by us: there is nobody left to hold up.
        _ = ended.wait_for(Option::is_some) => Line::Whole(line),
    }
}

/// How its process ended, in words.
async fn exited(instance: &Instance) -> String {
    let mut exit = instance.child.exit();
    match exit.wait_for(Option::is_some).await {
        Ok(status) => status.as_ref().map(ToString::to_string).unwrap_or_default(),
        Err(_) => "its keeper has gone".to_owned(),
    }
}

/// What a line was, as far as who reads acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Took {
    Question,
    Other,
    /// No message.
    Nonsense,
}

fn take(instance: &Arc<Instance>, line: Line) -> Took {
    let line = match line {
        Line::Whole(line) => line,
        Line::TooLong { id, meant, bytes } => {
            let fault = ToolFault::Oversized {
                bytes,
                limit: MAX_LINE,
            };
            failed(instance, id, meant, fault, "a line that is too long");
            return Took::Nonsense;
        }
    };
    match wire::parse(&line) {
        Ok(Message::Response { id, body }) => instance.answer(&id, Ok(body)),
        Ok(Message::Notification { method, params }) => notified(instance, &method, params),
        Ok(Message::Request { id, method, params }) => {
            questions::receive(instance, id, method, params);
            return Took::Question;
        }
        Err(malformed) => {
            unreadable(instance, malformed, &line);
            return Took::Nonsense;
        }
    }
    Took::Other
}

fn unreadable(instance: &Instance, malformed: Malformed, line: &[u8]) {
    match malformed {
        Malformed::NotRpc { id, meant, why } => {
            let fault = ToolFault::Malformed(why.to_owned());
            failed(instance, id, meant, fault, why);
        }
        // Some writers write `NaN`, which is not JSON: that a call was answered is seen.
        Malformed::NotJson => {
            let mut watch = Oversize::default();
            if line.starts_with(b"{") {
                watch.watch(line);
            }
            let fault = ToolFault::Malformed("it answered with what is not JSON".to_owned());
            let meant = watch.meant();
            failed(
                instance,
                watch.id(),
                meant,
                fault,
                "a line that is not JSON",
            );
        }
    }
}

/// What cannot be read fails the call that it may have been meant to answer. What asks
/// answers nothing: the ids of a server's own requests begin where ours do. It is refused,
/// as JSON-RPC has it, but only while little waits for the server: a logger on the wrong
/// stream writes lines with a method and an id as well, without end and without reading,
/// and what is kept for it would hold up its own calls.
fn failed(instance: &Instance, id: Option<Raw>, meant: Meant, fault: ToolFault, what: &str) {
    match (meant, id) {
        (Meant::ToAnswer | Meant::Nothing, Some(id)) => instance.answer(&id, Err(fault)),
        (Meant::ToAsk, Some(id)) => {
            instance.remark(&format!("asked with what cannot be read: {what}"));
            questions::refuse_if_room(instance, &id, rpc::INVALID_REQUEST, what);
        }
        (Meant::ToAsk | Meant::ToAnswer | Meant::Nothing, None) => {
            instance.remark(&format!("sent what cannot be read: {what}"));
        }
    }
}

fn notified(instance: &Arc<Instance>, method: &str, params: Option<Raw>) {
    match (method, params) {
        ("notifications/progress", Some(params)) => {
            let waiting = params.get("progressToken");
            let waiting = waiting.as_ref().and_then(wire::our_id);
            let caller = waiting.and_then(|id| instance.requests.touch(id));
            if let Some(caller) = caller {
                caller.progress(&params);
            }
        }
        (
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed",
            _,
        ) => instance.lists_changed(),
        ("notifications/resources/updated", Some(params)) => {
            let uri = params.get("uri");
            let uri = uri.as_ref().and_then(Raw::as_str).unwrap_or_default();
            let to = lock(&instance.watched).by(&uri);
            instance.tell(Event::ResourceUpdated {
                server: instance.server.clone(),
                run: lock(&instance.run).clone(),
                to,
                params: params.clone(),
            });
        }
        ("notifications/message", Some(params)) => {
            let params = logged::by(&instance.server, &params);
            let callers = instance.lane.callers();
            if callers.is_empty() {
                instance.tell(Event::Log {
                    server: instance.server.clone(),
                    run: lock(&instance.run).clone(),
                    params,
                });
            } else {
                for caller in callers {
                    caller.log(&params);
                }
            }
        }
        ("notifications/elicitation/complete", Some(params)) => {
            instance.tell(Event::ElicitationComplete {
                server: instance.server.clone(),
                run: lock(&instance.run).clone(),
                params,
            });
        }
        ("notifications/cancelled", Some(params)) => {
            if let Some(id) = params.get("requestId") {
                instance.questions.withdraw(id.text());
            }
        }
        ("notifications/subscriptions/acknowledged", Some(params)) => {
            acknowledged::acknowledged(instance, &params);
        }
        // What a later version of the protocol may add: nothing that a call depends on.
        _ => {}
    }
}

/// A poisoned lock means that a task panicked between two steps that cannot
/// leave the value half-changed.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
