//! Subscriptions to a server of the stateless era: one open
//! `subscriptions/listen` request per instance, opened anew when what is
//! watched changes.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    deadline::Deadline,
    instance::{Instance, lock},
    outgoing,
};
use crate::{
    domain::{Capabilities, ToolFault},
    ports::Reply,
    wire::{self, Raw},
};

/// Watches one more resource.
pub(super) async fn add(instance: &Arc<Instance>, uri: &str) -> Result<Reply, ToolFault> {
    {
        let mut watched = lock(&instance.watched);
        if !watched.iter().any(|known| known == uri) {
            watched.push(uri.to_owned());
        }
    }
    listen(instance)?;
    Ok(done())
}

/// Watches one resource less.
pub(super) async fn remove(instance: &Arc<Instance>, uri: &str) -> Result<Reply, ToolFault> {
    lock(&instance.watched).retain(|known| known != uri);
    listen(instance)?;
    Ok(done())
}

fn done() -> Reply {
    Reply::Result(Raw::trusted(Bytes::from_static(b"{}")))
}

/// Opens the stream for what is watched now, and then closes the one before.
pub(super) fn listen(instance: &Arc<Instance>) -> Result<(), ToolFault> {
    let watched = lock(&instance.watched).clone();
    let params = serde_json::json!({
        "notifications": {
            "toolsListChanged": true,
            "promptsListChanged": true,
            "resourcesListChanged": true,
            "resourceSubscriptions": watched,
        }
    });
    let mut params = params.to_string();
    params.pop();
    params.push_str(&format!(
        ",\"_meta\":{}}}",
        outgoing::own_meta(Capabilities::default())
    ));
    let ticket = instance.open(None, Deadline::FOREVER)?;
    let before = lock(&instance.listening).replace(ticket.id);
    instance.out.send(wire::request_line(
        &ticket.id.to_string(),
        "subscriptions/listen",
        &[params.into()],
    ));
    if let Some(before) = before {
        // What is cancelled is not answered.
        instance.forget(before);
        let params = format!("{{\"requestId\":{before},\"reason\":\"replaced\"}}");
        instance.notify("notifications/cancelled", &[params.into()]);
    }
    // The answer comes when the stream ends; nothing depends on it.
    tokio::spawn(async move {
        let _ = ticket.wait(None).await;
    });
    Ok(())
}
