//! Subscriptions to resources, for all who use an instance.
//!
//! A server of the handshake era is sent the agents' own requests, but for the
//! end of a subscription that others hold as well. One of the stateless era has
//! one open `subscriptions/listen` request per instance, opened anew when what is
//! watched changes. Each time it names all that is watched, so a server that does not
//! read is waited for before it is sent another. And what it says to one is waited for
//! before the next: if two were asked for at once, nobody could say for which of them it
//! was refused. A server has little time for that, and each agent one turn at a time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use super::{
    acknowledged,
    deadline::Deadline,
    instance::{Instance, lock},
    outgoing, seat,
    streams::{Heard, Over},
    ticket::Ticket,
    turns::Turn,
    watched::Leaves,
};
use crate::{
    domain::{Capabilities, Era, ToolFault},
    lines::Room,
    ports::{Boxed, Caller, Event, Job, Reply},
    wire::{self, Body, Raw, rpc},
};

/// How long a server may take to read what it is told in nobody's name.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may take to answer that a subscription has ended: one that never
/// answers must not have us keep every agent that ever left.
const FAREWELL: Deadline = Deadline::new(Duration::from_secs(10), Duration::from_secs(10));

/// How long a server may take to say whether it will tell of a resource: the others wait.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

/// How long a server that ended its stream is left alone before it is asked for another.
const AGAIN: Duration = Duration::from_secs(60);

/// What all streams of an instance wait for one another as.
const STREAM: &str = "";

/// One more wants to hear of a resource.
pub(super) async fn add(
    instance: &Arc<Instance>,
    job: &Job,
    uri: &str,
) -> Result<Reply, ToolFault> {
    let until = Instant::now() + job.total;
    let connection = job.caller.connection();
    let turn = turn(instance, job, uri, until).await?;
    // Counted before the server hears of it: one that leaves meanwhile must not
    // take it for the last.
    let (granted, new) = {
        let mut watched = lock(&instance.watched);
        (watched.is_granted(uri), watched.add(uri, connection))
    };
    let (reply, turn) = match instance.era() {
        Era::Legacy => (seat::ask(instance, &rest(job, until)).await, Some(turn)),
        Era::Modern if granted => (Ok(done()), None),
        Era::Modern => (hear_of(instance, job, uri, turn, until).await, None),
    };
    if let Ok(Reply::Result(_)) = reply {
        let is_there = lock(&instance.watched).grant(uri, connection);
        if instance.ended().is_some() || is_over(instance) {
            lose(instance);
        }
        return match is_there {
            true => reply,
            false => Ok(error("the subscription has ended meanwhile")),
        };
    }
    let is_undone = new.is_some_and(|nth| lock(&instance.watched).undo(uri, connection, nth));
    // One that has it and was told to cancel may begin it all the same.
    let may_begin = reply.as_ref().is_err_and(ToolFault::may_have_run);
    match (instance.era(), turn) {
        (Era::Legacy, Some(turn)) if is_undone && may_begin => {
            let (instance, uri) = (instance.clone(), uri.to_owned());
            tokio::spawn(async move {
                let _turn = turn;
                let _ = farewell(&instance, &uri).await;
            });
        }
        (Era::Legacy, _) => {}
        (Era::Modern, _) => tidy(instance),
    }
    reply
}

/// The same call with the time that is left of it.
fn rest(job: &Job, until: Instant) -> Job {
    Job {
        subject: job.subject.clone(),
        params: job.params.clone(),
        caller: job.caller.clone(),
        idle: job.idle,
        total: until.saturating_duration_since(Instant::now()),
    }
}

/// Whether a server that tells of changes on a stream has none to tell them on.
fn is_over(instance: &Instance) -> bool {
    match instance.era() {
        Era::Legacy => false,
        Era::Modern => lock(&instance.streams).is_over(),
    }
}

/// The others still hear of theirs, whatever became of one stream.
fn tidy(instance: &Arc<Instance>) {
    let instance = instance.clone();
    tokio::spawn(async move {
        let _turn = instance.turns.take(STREAM).await;
        if listen(&instance, PATIENCE, None).await.is_err() {
            lose(&instance);
        }
    });
}

/// Nobody hears of anything from this instance any more, and is told so.
pub(super) fn lose(instance: &Instance) {
    lose_but(instance, |_| false);
}

/// The same but for what is `kept`. Says of how many resources somebody heard.
pub(super) fn lose_but(instance: &Instance, kept: impl Fn(&str) -> bool) -> usize {
    let lost = lock(&instance.watched).lose(kept);
    let count = lost.len();
    if count > 0 {
        instance.tell(Event::Unwatched {
            lost: Arc::new(lost),
        });
    }
    count
}

/// Opens the stream with one resource more and waits for what the server says to it, which
/// is about this one: all others that it names were granted.
async fn hear_of(
    instance: &Arc<Instance>,
    job: &Job,
    uri: &str,
    turn: Mine,
    until: Instant,
) -> Result<Reply, ToolFault> {
    let _turn = turn;
    let left = |limit: Duration| limit.min(until.saturating_duration_since(Instant::now()));
    let hear = async {
        let caller = Some(job.caller.as_ref());
        let (tell, heard) = oneshot::channel();
        open(instance, left(job.idle), caller, Some(tell)).await?;
        let patience = job.idle.min(ACKNOWLEDGED);
        match tokio::time::timeout(left(patience), heard).await {
            Ok(Ok(heard)) => Ok(heard),
            Ok(Err(_)) => Err(ToolFault::Protocol("the stream is over".to_owned())),
            Err(_) if Instant::now() >= until => Err(ToolFault::Overdue(job.total)),
            Err(_) => Err(ToolFault::Idle(patience)),
        }
    };
    let heard = tokio::select! {
        biased;
        reason = job.caller.cancelled() => return Err(ToolFault::Cancelled(reason)),
        heard = hear => heard?,
    };
    match heard {
        Heard::Acknowledged(said) if acknowledged::names(&said, uri) => Ok(done()),
        Heard::Acknowledged(_) => Ok(error(
            "the server does not tell of changes of this resource",
        )),
        Heard::Over(Ok(Body::Error(error))) => Ok(Reply::Error(error)),
        Heard::Over(Ok(Body::Result(_))) => Err(ToolFault::Protocol(
            "it ended the stream at once".to_owned(),
        )),
        Heard::Over(Err(fault)) => Err(fault),
    }
}

fn error(says: &str) -> Reply {
    Reply::Error(rpc::error(rpc::INTERNAL, says))
}

/// One wants to hear of a resource no longer.
pub(super) async fn remove(
    instance: &Arc<Instance>,
    job: &Job,
    uri: &str,
) -> Result<Reply, ToolFault> {
    let until = Instant::now() + job.total;
    let _turn = turn(instance, job, uri, until).await?;
    let last = lock(&instance.watched).remove(uri, job.caller.connection());
    match instance.era() {
        _ if !last => Ok(done()),
        Era::Legacy => seat::ask(instance, &rest(job, until)).await,
        Era::Modern => {
            let job = &rest(job, until);
            let told = tokio::select! {
                biased;
                reason = job.caller.cancelled() => Err(ToolFault::Cancelled(reason)),
                told = listen(instance, job.idle.min(job.total), Some(job.caller.as_ref())) => told,
            };
            match told {
                Ok(()) => Ok(done()),
                Err(fault) => {
                    tidy(instance);
                    Err(fault)
                }
            }
        }
    }
}

/// A connection has gone, or a stream of it is over. What nobody hears of any more the
/// server is told to stop telling: like a cancellation, that is no call, and also
/// said while a stop holds.
pub(super) fn leave(instance: &Arc<Instance>, connection: u64, leaves: &Leaves) {
    // What it never subscribed to is not kept until it is its turn.
    let its = lock(&instance.watched).of(connection, leaves);
    if its.is_empty() {
        return;
    }
    let instance = instance.clone();
    match instance.era() {
        // Each in a turn of its own: what comes after waits for it and for nothing else.
        Era::Legacy => {
            for uri in its {
                let instance = instance.clone();
                tokio::spawn(async move {
                    let _turn = instance.turns.take(&uri).await;
                    let leaves = Leaves::These([uri].into());
                    let alone = lock(&instance.watched).leave(connection, &leaves);
                    for uri in alone {
                        let _ = farewell(&instance, &uri).await;
                    }
                });
            }
        }
        Era::Modern => {
            tokio::spawn(async move {
                let _turn = instance.turns.take(STREAM).await;
                let its = Leaves::These(its.into_iter().collect());
                let alone = lock(&instance.watched).leave(connection, &its);
                if !alone.is_empty() && listen(&instance, PATIENCE, None).await.is_err() {
                    lose(&instance);
                }
            });
        }
    }
}

/// The turn that somebody has, and its turn among those of its own connection.
type Mine = (Turn, Option<Turn>);

/// Subscriptions of one resource, and the streams of one instance, begin and end one after
/// the other: see `turns.rs`. Of those of one connection only the first stands in line with
/// others. Waits no longer than the call may take.
async fn turn(
    instance: &Arc<Instance>,
    job: &Job,
    uri: &str,
    until: Instant,
) -> Result<Mine, ToolFault> {
    let mine = async {
        match instance.era() {
            Era::Legacy => (instance.turns.take(uri).await, None),
            Era::Modern => {
                let connection = job.caller.connection().to_string();
                let own = instance.turns.take(&connection).await;
                (instance.turns.take(STREAM).await, Some(own))
            }
        }
    };
    let turn = tokio::select! {
        biased;
        turn = mine => turn,
        reason = job.caller.cancelled() => return Err(ToolFault::Cancelled(reason)),
        () = tokio::time::sleep_until(until) => return Err(ToolFault::Busy(job.total)),
    };
    // Whoever has gone was taken out, and must not come in again.
    match job.caller.is_cancelled() {
        Some(reason) => Err(ToolFault::Cancelled(reason)),
        None => Ok(turn),
    }
}

fn done() -> Reply {
    Reply::Result(Raw::trusted(Bytes::from_static(b"{}")))
}

/// Opens a stream of an instance that has none. A server that will not tell of changes is
/// still a server.
pub(super) async fn begin(instance: &Arc<Instance>) {
    let _turn = instance.turns.take(STREAM).await;
    if !lock(&instance.streams).is_open() {
        let _ = listen(instance, PATIENCE, None).await;
    }
}

/// Opens the stream for what is watched now; the one before it is closed once the server
/// has acknowledged this one.
async fn listen(
    instance: &Arc<Instance>,
    patience: Duration,
    caller: Option<&dyn Caller>,
) -> Result<(), ToolFault> {
    open(instance, patience, caller, None).await
}

/// The same; `call` hears what the server says to it, and sees to it that there is another
/// if there is none then.
async fn open(
    instance: &Arc<Instance>,
    patience: Duration,
    caller: Option<&dyn Caller>,
    call: Option<oneshot::Sender<Heard>>,
) -> Result<(), ToolFault> {
    let params = serde_json::json!({
        "notifications": {
            "toolsListChanged": true,
            "promptsListChanged": true,
            "resourcesListChanged": true,
            "resourceSubscriptions": lock(&instance.watched).uris(),
        }
    });
    let mut params = params.to_string();
    params.pop();
    params.push_str(&format!(
        ",\"_meta\":{}}}",
        outgoing::own_meta(Capabilities::default())
    ));
    let room = room(instance, params.len(), patience).await?;
    if let Some(caller) = caller {
        // Nothing is awaited between this look and the sending.
        if let Some(reason) = caller.is_cancelled() {
            return Err(ToolFault::Cancelled(reason));
        }
        caller.leaves();
    }
    let ticket = instance.open(None, Deadline::FOREVER)?;
    let id = ticket.id;
    let before = lock(&instance.streams).opened(id, call);
    let line = request(id, "subscriptions/listen", params);
    instance.out.send_with(line, Some(room));
    if let Some(before) = before {
        replaced(instance, before);
    }
    tokio::spawn(until_over(instance.clone(), ticket));
    Ok(())
}

/// A stream is not needed any more, since there is another.
pub(super) fn replaced(instance: &Instance, stream: u64) {
    // What is cancelled is not answered.
    instance.forget(stream);
    let params = format!("{{\"requestId\":{stream},\"reason\":\"replaced\"}}");
    instance.notify("notifications/cancelled", &[params.into()]);
}

/// Waits for the end of a stream. What was heard on it nobody hears of any more: it is
/// asked for again when somebody subscribes, and after a while for the lists.
fn until_over(instance: Arc<Instance>, ticket: Ticket) -> Boxed<'static, ()> {
    Box::pin(async move {
        let id = ticket.id;
        let answer = ticket.wait(None).await;
        let over = lock(&instance.streams).ended(id, &answer);
        match (over, answer) {
            (Over::Replaced | Over::InVain, _) => {}
            // Who answers with an error does not have it, and who has gone is not asked.
            (Over::Lost, Ok(Body::Error(_)) | Err(_)) => lose(&instance),
            (Over::Lost, Ok(Body::Result(_))) => {
                lose(&instance);
                if !lock(&instance.streams).retries() {
                    return;
                }
                let mut ended = instance.watch_end();
                let ended = ended.wait_for(Option::is_some);
                if tokio::time::timeout(AGAIN, ended).await.is_ok() {
                    return;
                }
                instance.switch.lifted().await;
                lock(&instance.streams).retried();
                begin(&instance).await;
                // What has changed meanwhile nobody has heard of.
                instance.lists_changed();
            }
        }
    })
}

/// Tells a server of the handshake era that nobody hears of a resource any more; nothing
/// depends on its answer.
async fn farewell(instance: &Arc<Instance>, uri: &str) -> Result<(), ToolFault> {
    let params = format!("{{\"uri\":{}}}", wire::quote(uri));
    let room = room(instance, params.len(), PATIENCE).await?;
    let ticket = instance.open(None, FAREWELL)?;
    let line = request(ticket.id, "resources/unsubscribe", params);
    instance.out.send_with(line, Some(room));
    tokio::spawn(async move {
        let _ = ticket.wait(None).await;
    });
    Ok(())
}

fn request(id: u64, method: &str, params: String) -> wire::Parts {
    wire::request_line(&id.to_string(), method, &[params.into()])
}

/// Room for a request with so many bytes of parameters. A server that does not read its
/// input must not fill our memory, nor be waited for without end.
async fn room(
    instance: &Arc<Instance>,
    bytes: usize,
    patience: Duration,
) -> Result<Room, ToolFault> {
    let bytes = bytes + AROUND;
    if let Some(room) = instance.out.room_now(bytes) {
        return Ok(room);
    }
    match tokio::time::timeout(patience, instance.out.room(bytes)).await {
        Ok(Some(room)) => Ok(room),
        Ok(None) => Err(Box::pin(instance.gone()).await),
        Err(_) => Err(ToolFault::Busy(patience)),
    }
}

/// What a request is besides its parameters, and what the end of another takes.
const AROUND: usize = 256;
