//! Subscriptions to resources, for all who use an instance.
//!
//! A server of the handshake era is sent the agents' own requests, but for the
//! end of a subscription that others hold as well. One of the stateless era has
//! one open `subscriptions/listen` request per instance, opened anew when what is
//! watched changes. Each time it names all that is watched, so a server that does not
//! read is waited for before it is sent another.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{MutexGuard, oneshot},
    task::JoinHandle,
};

use super::{
    deadline::Deadline,
    instance::{Instance, lock},
    outgoing, seat,
    watched::Leaves,
};
use crate::{
    domain::{Capabilities, Era, ToolFault},
    lines::Room,
    ports::{Caller, Job, Reply},
    wire::{self, Body, Raw, keys},
};

/// How long a server may take to read what it is told in nobody's name.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may take to answer that a subscription has ended: one that never
/// answers must not have us keep every agent that ever left.
const FAREWELL: Deadline = Deadline::new(Duration::from_secs(10), Duration::from_secs(10));

/// One more wants to hear of a resource.
pub(super) async fn add(
    instance: &Arc<Instance>,
    job: &Job,
    uri: &str,
) -> Result<Reply, ToolFault> {
    let _turn = turn(instance, job).await?;
    let connection = job.caller.connection();
    // Counted before the server hears of it: one that leaves meanwhile must not
    // take it for the last.
    let (first, new) = {
        let mut watched = lock(&instance.watched);
        (watched.by(uri).is_empty(), watched.add(uri, connection))
    };
    let reply = match instance.era() {
        Era::Legacy => seat::ask(instance, job).await,
        Era::Modern if first => tokio::select! {
            biased;
            reason = job.caller.cancelled() => Err(ToolFault::Cancelled(reason)),
            reply = hear_of(instance, job, uri) => reply,
        },
        Era::Modern => Ok(done()),
    };
    if new && !matches!(reply, Ok(Reply::Result(_))) {
        let last = lock(&instance.watched).remove(uri, connection);
        // One that has it and was told to cancel may begin it all the same.
        let may_begin = reply.as_ref().is_err_and(ToolFault::may_have_run);
        match instance.era() {
            Era::Legacy if last && may_begin => {
                let _ = farewell(instance, uri).await;
            }
            // The others still hear of theirs, whatever became of this stream.
            Era::Modern if first => {
                let _ = listen(instance, PATIENCE, None).await;
            }
            Era::Legacy | Era::Modern => {}
        }
    }
    reply
}

/// Opens the stream with one resource more and waits for what the server says to it.
async fn hear_of(instance: &Arc<Instance>, job: &Job, uri: &str) -> Result<Reply, ToolFault> {
    let patience = job.idle.min(job.total);
    let stream = listen(instance, patience, Some(job.caller.as_ref())).await?;
    tokio::select! {
        biased;
        Ok(said) = stream.acknowledged => Ok(match is_granted(&said, uri) {
            true => done(),
            false => Reply::Error(Raw::of(&serde_json::json!({
                "code": -32603,
                "message": "the server does not tell of changes of this resource",
            }))),
        }),
        answer = stream.answer => match answer {
            Ok(Ok(Body::Error(error))) => Ok(Reply::Error(error)),
            Ok(Ok(Body::Result(_))) => {
                Err(ToolFault::Protocol("it ended the stream at once".to_owned()))
            }
            Ok(Err(fault)) => Err(fault),
            Err(_) => Err(ToolFault::Protocol("the stream is over".to_owned())),
        },
        () = tokio::time::sleep(patience) => Err(ToolFault::Idle(patience)),
    }
}

/// Whether an acknowledgement names this resource.
fn is_granted(said: &Raw, uri: &str) -> bool {
    let granted = said.get("notifications");
    let uris = granted.and_then(|granted| granted.get("resourceSubscriptions"));
    uris.is_some_and(|uris| {
        wire::elements(uris.text()).any(|each| wire::unquote(each).is_some_and(|each| each == uri))
    })
}

/// A server acknowledges one of the streams that it was asked for.
pub(super) fn acknowledged(instance: &Instance, params: &Raw) {
    let stream = params
        .get("_meta")
        .and_then(|meta| meta.get(keys::SUBSCRIPTION_ID));
    let stream = stream.as_ref().and_then(wire::our_id);
    let mut waits = lock(&instance.opening);
    if let Some((_, tell)) = waits.take_if(|(open, _)| Some(*open) == stream) {
        let _ = tell.send(params.detached());
    }
}

/// One wants to hear of a resource no longer.
pub(super) async fn remove(
    instance: &Arc<Instance>,
    job: &Job,
    uri: &str,
) -> Result<Reply, ToolFault> {
    let _turn = turn(instance, job).await?;
    let last = lock(&instance.watched).remove(uri, job.caller.connection());
    match instance.era() {
        _ if !last => Ok(done()),
        Era::Legacy => seat::ask(instance, job).await,
        Era::Modern => {
            let patience = job.idle.min(job.total);
            let caller = job.caller.as_ref();
            listen(instance, patience, Some(caller)).await?;
            Ok(done())
        }
    }
}

/// A connection has gone, or a stream of it is over. What nobody hears of any more the
/// server is told to stop telling: like a cancellation, that is no call, and also
/// said while a stop holds.
pub(super) fn leave(instance: Arc<Instance>, connection: u64, leaves: Leaves) {
    tokio::spawn(async move {
        let _turn = instance.subscribing.lock().await;
        let alone = lock(&instance.watched).leave(connection, &leaves);
        match instance.era() {
            _ if alone.is_empty() => {}
            Era::Legacy => {
                for uri in &alone {
                    if farewell(&instance, uri).await.is_err() {
                        return;
                    }
                }
            }
            Era::Modern => {
                let _ = listen(&instance, PATIENCE, None).await;
            }
        }
    });
}

/// Subscriptions to one instance begin and end one after the other: a server must
/// not hear of them in another order than we count them. Waits no longer than the
/// call may take.
async fn turn<'a>(instance: &'a Arc<Instance>, job: &Job) -> Result<MutexGuard<'a, ()>, ToolFault> {
    let turn = tokio::select! {
        biased;
        turn = instance.subscribing.lock() => turn,
        reason = job.caller.cancelled() => return Err(ToolFault::Cancelled(reason)),
        () = tokio::time::sleep(job.total) => return Err(ToolFault::Busy(job.total)),
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

/// Opens the first stream of an instance. A server that will not tell of changes is still
/// a server.
pub(super) async fn begin(instance: &Arc<Instance>) {
    let _turn = instance.subscribing.lock().await;
    if lock(&instance.listening).is_none() {
        let _ = listen(instance, PATIENCE, None).await;
    }
}

/// A stream that was asked for.
struct Stream {
    acknowledged: oneshot::Receiver<Raw>,
    answer: JoinHandle<Result<Body, ToolFault>>,
}

/// Opens the stream for what is watched now, and then closes the one before.
async fn listen(
    instance: &Arc<Instance>,
    patience: Duration,
    caller: Option<&dyn Caller>,
) -> Result<Stream, ToolFault> {
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
    let (tell, acknowledged) = oneshot::channel();
    *lock(&instance.opening) = Some((ticket.id, tell));
    let line = request(ticket.id, "subscriptions/listen", params);
    instance.out.send_with(line, Some(room));
    if let Some(before) = lock(&instance.listening).replace(ticket.id) {
        // What is cancelled is not answered.
        instance.forget(before);
        let params = format!("{{\"requestId\":{before},\"reason\":\"replaced\"}}");
        instance.notify("notifications/cancelled", &[params.into()]);
    }
    Ok(Stream {
        acknowledged,
        answer: tokio::spawn(async move { ticket.wait(None).await }),
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
