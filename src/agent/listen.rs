//! What tool servers tell outside a call, and who hears it: agents of the
//! handshake era on their connection, agents of the stateless era on the streams
//! they opened.

use std::sync::Arc;

use tokio::sync::{Notify, broadcast::error::RecvError};

use super::{
    caller::ModernCaller,
    connection::{Cancel, Connection, Responder, lock},
    dispatch,
    meta::Meta,
    modern,
    shape::Shaped,
    unanswered::Share,
};
use crate::{
    broker::{Asked, Changed, Request},
    domain::{RunId, ServerName},
    ports::Event,
    wire::{self, Edit, Raw, keys},
};

/// Bytes of addresses that the streams of one connection may name together: a
/// stream is open for ever, and so are they.
const MAX_WATCHED: usize = 1024 * 1024;

/// One open `subscriptions/listen` request.
#[derive(Debug)]
pub(super) struct Listen {
    id: Raw,
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: Vec<String>,
    over: Notify,
}

impl Listen {
    /// Bytes of the addresses that it names.
    fn named(&self) -> usize {
        self.uris.iter().map(String::len).sum()
    }

    /// Ends the stream.
    pub(super) fn end(&self) {
        self.over.notify_one();
    }
}

/// `subscriptions/listen`: acknowledged first, then told what it asked for.
pub(super) fn open(connection: &Arc<Connection>, id: &Raw, params: Option<&Raw>, meta: Meta) {
    let wants = params.and_then(|params| params.get("notifications"));
    let Some(wants) = wants.filter(|wants| wants.text().starts_with('{')) else {
        connection.fail(id, -32602, "`notifications` is missing");
        return;
    };
    let on = |key: &str| wants.get(key).is_some_and(|on| on.text() == "true");
    let uris: Vec<String> = wants
        .get("resourceSubscriptions")
        .map(|uris| {
            wire::elements(uris.text())
                .filter_map(|uri| wire::unquote(uri).map(std::borrow::Cow::into_owned))
                .take(1_000)
                .collect()
        })
        .unwrap_or_default();
    let named: usize = uris.iter().map(String::len).sum();
    let watched: usize = lock(&connection.listens).values().map(|l| l.named()).sum();
    if named + watched > MAX_WATCHED {
        let says = format!("more than {MAX_WATCHED} bytes of addresses are watched");
        connection.fail(id, -32602, &says);
        return;
    }
    // The stream outlives its line, so nothing of it may be a slice of that.
    let (id, meta) = (&id.detached(), meta.detached());
    let Some(responder) = connection.open(id.clone(), Share::default()) else {
        return;
    };
    let listen = Arc::new(Listen {
        id: id.clone(),
        tools: on("toolsListChanged"),
        prompts: on("promptsListChanged"),
        resources: on("resourcesListChanged"),
        uris,
        over: Notify::new(),
    });
    let accepted = serde_json::json!({
        "toolsListChanged": listen.tools,
        "promptsListChanged": listen.prompts,
        "resourcesListChanged": listen.resources,
        "resourceSubscriptions": listen.uris,
    });
    let accepted: serde_json::Map<String, serde_json::Value> = match accepted {
        serde_json::Value::Object(all) => all
            .into_iter()
            .filter(|(_, value)| *value != serde_json::Value::Bool(false))
            .filter(|(_, value)| value.as_array().is_none_or(|uris| !uris.is_empty()))
            .collect(),
        _ => serde_json::Map::new(),
    };
    let params = format!(
        "{{\"notifications\":{},\"_meta\":{{{}:{}}}}}",
        serde_json::Value::Object(accepted),
        wire::quote(keys::SUBSCRIPTION_ID),
        id.text()
    );
    connection.out.send(wire::notification_line(
        "notifications/subscriptions/acknowledged",
        &[params.into()],
    ));
    lock(&connection.listens).insert(id.text().to_owned(), listen.clone());
    tokio::spawn(hold(connection.clone(), responder, listen, meta));
}

/// Watches the resources for as long as the stream is open.
async fn hold(connection: Arc<Connection>, responder: Responder, listen: Arc<Listen>, meta: Meta) {
    for uri in &listen.uris {
        subscribe(&connection, Asked::Subscribe, uri, &meta, &responder.cancel).await;
    }
    tokio::select! {
        () = listen.over.notified() => {}
        _ = responder.cancel.pulled() => {}
    }
    lock(&connection.listens).remove(listen.id.text());
    for uri in &listen.uris {
        let others = lock(&connection.listens)
            .values()
            .any(|other| other.uris.contains(uri))
            || lock(&connection.legacy).subscribed.contains(uri);
        // An agent that has gone leaves everything at once.
        if !others && !connection.out.is_closed() {
            let cancel = Cancel::new();
            subscribe(&connection, Asked::Unsubscribe, uri, &meta, &cancel).await;
        }
    }
    let result = format!(
        "{{\"resultType\":\"complete\",\"_meta\":{{{}:{},{}}}}}",
        wire::quote(keys::SUBSCRIPTION_ID),
        listen.id.text(),
        modern::own_meta()
            .trim_start_matches('{')
            .trim_end_matches('}')
            .to_owned()
            + "}"
    );
    responder.answer(Shaped::Result(vec![result.into()])).await;
}

/// A subscription is a call like any other: judged and recorded.
async fn subscribe(
    connection: &Arc<Connection>,
    asked: Asked,
    uri: &str,
    meta: &Meta,
    cancel: &Arc<Cancel>,
) {
    let (questions, _) = tokio::sync::mpsc::unbounded_channel();
    let caller = ModernCaller {
        connection: connection.clone(),
        questions,
        asked: super::questions::Asked::default(),
        cancel: cancel.clone(),
        round: std::sync::Mutex::new(super::caller::Round {
            capabilities: dispatch::declared(meta),
            ..Default::default()
        }),
    };
    let params = Raw::of(&serde_json::json!({ "uri": uri }));
    let answer = connection
        .broker
        .call(Request {
            session: connection.session.clone(),
            asked,
            params: Some(params),
            caller: Arc::new(caller),
        })
        .await;
    tracing::debug!("subscription to a resource: {answer:?}");
}

/// Passes on what happens, until the connection ends.
pub(super) async fn tell(connection: Arc<Connection>) {
    let mut events = connection.broker.events().subscribe();
    let mut lists = connection.broker.watch_lists();
    loop {
        tokio::select! {
            changed = lists.recv() => match changed {
                Ok(changed) => lists_changed(&connection, changed),
                // Some changes were missed: all lists may have changed.
                Err(RecvError::Lagged(_)) => lists_changed(&connection, Changed {
                    tools: true,
                    prompts: true,
                    resources: true,
                }),
                Err(RecvError::Closed) => return,
            },
            event = events.recv() => match event {
                Ok(event) => happened(&connection, &event),
                // A storm: what was missed is gone, the connection lives on.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

fn lists_changed(connection: &Connection, changed: Changed) {
    let kinds = [
        (changed.tools, "notifications/tools/list_changed"),
        (changed.prompts, "notifications/prompts/list_changed"),
        (changed.resources, "notifications/resources/list_changed"),
    ];
    let legacy = lock(&connection.legacy).initialized;
    let listens: Vec<Arc<Listen>> = lock(&connection.listens).values().cloned().collect();
    for (changed, method) in kinds {
        if !changed {
            continue;
        }
        if legacy {
            connection
                .out
                .send_if_room(wire::notification_line(method, &[]));
        }
        for listen in &listens {
            let wanted = match method {
                "notifications/tools/list_changed" => listen.tools,
                "notifications/prompts/list_changed" => listen.prompts,
                _ => listen.resources,
            };
            if wanted {
                let params = tagged(&Raw::of(&serde_json::json!({})), &listen.id);
                connection
                    .out
                    .send_if_room(wire::notification_line(method, &params));
            }
        }
    }
}

fn happened(connection: &Connection, event: &Event) {
    match event {
        Event::ResourceUpdated {
            server,
            run,
            to,
            params,
        } => {
            // An instance of our own may tell of a part of what it was asked for, and
            // nobody subscribed to that by name. A shared one tells who subscribed.
            let ours = to.contains(&connection.number) || (run.is_some() && to.is_empty());
            if !ours || !for_us(connection, server, run.as_ref()) {
                return;
            }
            let params = &wire::without_ours(params);
            let method = "notifications/resources/updated";
            let uri = params.get("uri");
            let uri = uri.as_ref().and_then(Raw::as_str).unwrap_or_default();
            let legacy = lock(&connection.legacy);
            let told = legacy.initialized && (run.is_some() || legacy.subscribed.contains(&*uri));
            drop(legacy);
            if told {
                connection
                    .out
                    .send_if_room(wire::notification_line(method, &untagged(params)));
            }
            let listens: Vec<Arc<Listen>> = lock(&connection.listens).values().cloned().collect();
            for listen in listens {
                if listen.uris.iter().any(|known| *known == *uri) {
                    connection
                        .out
                        .send_if_room(wire::notification_line(method, &tagged(params, &listen.id)));
                }
            }
        }
        Event::ElicitationComplete {
            server,
            run,
            params,
        } => {
            if for_us(connection, server, run.as_ref()) && lock(&connection.legacy).initialized {
                connection.out.send_if_room(wire::notification_line(
                    "notifications/elicitation/complete",
                    &[wire::without_ours(params).bytes().clone()],
                ));
            }
        }
        Event::Log {
            server,
            run,
            params,
        } => {
            if for_us(connection, server, run.as_ref()) {
                connection.log(params);
            }
        }
    }
}

/// Whether an instance belongs to this connection's run, or to everybody who may
/// see its server.
fn for_us(connection: &Connection, server: &ServerName, run: Option<&RunId>) -> bool {
    let session = &connection.session;
    session.visible().contains(server) && run.is_none_or(|run| run == session.home())
}

/// Parameters with the id of the stream they are for.
fn tagged(params: &Raw, id: &Raw) -> wire::Parts {
    let mut members = own_meta(params);
    members.push(format!(
        "{}:{}",
        wire::quote(keys::SUBSCRIPTION_ID),
        id.text()
    ));
    let mut edit = Edit::new(params);
    edit.set("_meta", format!("{{{}}}", members.join(",")));
    edit.parts()
}

/// Parameters without the id of the stream between the server and us.
fn untagged(params: &Raw) -> wire::Parts {
    let tag = params
        .get("_meta")
        .and_then(|meta| meta.get(keys::SUBSCRIPTION_ID));
    if tag.is_none() {
        return vec![params.bytes().clone()];
    }
    let members = own_meta(params);
    let mut edit = Edit::new(params);
    if members.is_empty() {
        edit.remove("_meta");
    } else {
        edit.set("_meta", format!("{{{}}}", members.join(",")));
    }
    edit.parts()
}

/// What a notification carries in its `_meta`, but for the id of a stream.
fn own_meta(params: &Raw) -> Vec<String> {
    let own = params.get("_meta");
    own.iter()
        .flat_map(|own| wire::members(own.text()))
        .filter(|(key, _)| wire::unquote(key).is_none_or(|key| key != keys::SUBSCRIPTION_ID))
        .map(|(key, value)| format!("{key}:{value}"))
        .collect()
}
