//! Subscriptions to resources, for all who use an instance.
//!
//! A server of the handshake era is sent the agents' own requests, but for the
//! end of a subscription that others hold as well. One of the stateless era has
//! one open `subscriptions/listen` request per instance, opened anew when what is
//! watched changes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::MutexGuard;

use super::{
    deadline::Deadline,
    instance::{Instance, lock},
    outgoing, seat,
    watched::Leaves,
};
use crate::{
    domain::{Capabilities, Era, ToolFault},
    ports::{Job, Reply},
    wire::{self, Raw},
};

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
        Era::Modern if first => {
            job.caller.leaves();
            listen(instance).map(|()| done())
        }
        Era::Modern => Ok(done()),
    };
    if new && !matches!(reply, Ok(Reply::Result(_))) {
        let last = lock(&instance.watched).remove(uri, connection);
        // One that has it and was told to cancel may begin it all the same.
        let may_begin = reply.as_ref().is_err_and(ToolFault::may_have_run);
        match instance.era() {
            Era::Legacy if last && may_begin => farewell(instance, uri),
            Era::Legacy | Era::Modern => {}
        }
    }
    reply
}

/// Tells a server of the handshake era that nobody hears of a resource any more.
fn farewell(instance: &Arc<Instance>, uri: &str) {
    let params = format!("{{\"uri\":{}}}", wire::quote(uri));
    let _ = say(instance, "resources/unsubscribe", params, FAREWELL);
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
            job.caller.leaves();
            listen(instance).map(|()| done())
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
                    farewell(&instance, uri);
                }
            }
            Era::Modern => {
                let _ = listen(&instance);
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

/// Opens the stream for what is watched now, and then closes the one before.
pub(super) fn listen(instance: &Arc<Instance>) -> Result<(), ToolFault> {
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
    let id = say(instance, "subscriptions/listen", params, Deadline::FOREVER)?;
    if let Some(before) = lock(&instance.listening).replace(id) {
        // What is cancelled is not answered.
        instance.forget(before);
        let params = format!("{{\"requestId\":{before},\"reason\":\"replaced\"}}");
        instance.notify("notifications/cancelled", &[params.into()]);
    }
    Ok(())
}

/// Sends a request on whose answer nothing depends; its id.
fn say(
    instance: &Arc<Instance>,
    method: &str,
    params: String,
    deadline: Deadline,
) -> Result<u64, ToolFault> {
    let ticket = instance.open(None, deadline)?;
    let id = ticket.id;
    let line = wire::request_line(&id.to_string(), method, &[params.into()]);
    instance.out.send(line);
    tokio::spawn(async move {
        let _ = ticket.wait(None).await;
    });
    Ok(id)
}
