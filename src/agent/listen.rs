//! What tool servers tell outside a call, and who hears it: agents of the
//! handshake era on their connection, agents of the stateless era on the streams
//! they opened.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::broadcast::error::RecvError, time::Instant};

use super::{
    connection::{Cancel, Connection, Responder, lock},
    dispatch,
    meta::Meta,
    modern,
    shape::Shaped,
    stream::{Listen, UPDATED, own_meta},
    subscribed::{self, EACH},
    unanswered::Share,
    watching::{self, Watching},
};
use crate::{
    broker::Changed,
    domain::{RunId, ServerName},
    ports::Event,
    wire::{self, Edit, Raw, keys, rpc},
};

/// After something was missed, how long until it is looked what: a storm goes on, and
/// there may be much to look at.
const STORM: Duration = Duration::from_secs(1);

/// How long an agent waits to hear what it will hear of.
const PATIENCE: Duration = Duration::from_secs(10);

/// `subscriptions/listen`: acknowledged as far as it is granted, then told what it
/// asked for.
pub(super) fn open(connection: &Arc<Connection>, id: &Raw, params: Option<&Raw>, meta: &Meta) {
    let wants = params.and_then(|params| params.get("notifications"));
    let Some(wants) = wants.filter(|wants| wants.text().starts_with('{')) else {
        connection.fail(id, rpc::INVALID_PARAMS, "`notifications` is missing");
        return;
    };
    let mut uris: Vec<String> = wants
        .get("resourceSubscriptions")
        .map(|uris| {
            wire::elements(uris.text())
                .filter_map(|uri| wire::unquote(uri).map(Cow::into_owned))
                .take(1_000)
                .collect()
        })
        .unwrap_or_default();
    let mut seen = BTreeSet::new();
    uris.retain(|uri| seen.insert(uri.clone()));
    let named: usize = uris.iter().map(|uri| uri.len() + EACH).sum();
    let named = u32::try_from(named).unwrap_or(u32::MAX);
    let Ok(room) = connection.watchable.clone().try_acquire_many_owned(named) else {
        connection.fail(id, rpc::INVALID_PARAMS, &subscribed::too_much());
        return;
    };
    // The stream outlives its line, so nothing of it may be a slice of that.
    let (id, capabilities) = (&id.detached(), dispatch::declared(meta));
    let says = watching::says(connection, id, params);
    let Some(responder) = connection.open(id.clone(), Share::default()) else {
        return;
    };
    let listen = Arc::new(Listen::new(id.clone(), &wants, uris, room));
    lock(&connection.listens).insert(id.text().to_owned(), listen.clone());
    tokio::spawn(hold(
        connection.clone(),
        responder,
        listen,
        Watching {
            says,
            capabilities,
            cancel: Cancel::new(),
        },
    ));
}

/// Watches the resources for as long as the stream is open.
async fn hold(
    connection: Arc<Connection>,
    responder: Responder,
    listen: Arc<Listen>,
    watching: Watching,
) {
    let cancelled = responder.cancel.clone();
    let over = async {
        tokio::select! {
            () = listen.over() => {}
            _ = cancelled.pulled() => {}
        }
    };
    tokio::pin!(over);
    let is_open = {
        let begun = watching.begin(&connection, &listen);
        tokio::pin!(begun);
        tokio::select! {
            biased;
            () = &mut begun => true,
            () = &mut over => {
                watching.cancel.pull("the stream is over");
                begun.await;
                false
            }
            () = tokio::time::sleep(PATIENCE) => {
                watching.cancel.pull("the stream waited long enough for it");
                begun.await;
                true
            }
        }
    };
    if is_open {
        listen.acknowledge(&connection);
        // Another stream may have left to this one what it was not granted.
        leave(&connection, &listen.uris);
        over.await;
    }
    lock(&connection.listens).remove(listen.id.text());
    leave(&connection, &listen.uris);
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

/// A connection watches these no longer, but for what a stream of it does. Told and not
/// waited for, as when an agent leaves: a server that never answers must not keep it.
pub(super) fn leave(connection: &Connection, uris: &[String]) {
    let mut leaving: BTreeSet<String> = uris.iter().cloned().collect();
    // Each stream is looked at once, and not once for each of them: there may be many of
    // both, and all others wait meanwhile.
    for listen in lock(&connection.listens).values() {
        listen.keeps(&mut leaving);
    }
    let legacy = lock(&connection.legacy);
    leaving.retain(|uri| !legacy.subscribed.has(uri));
    drop(legacy);
    connection.broker.unwatch(connection.number, leaving);
}

/// Passes on what happens, until the connection ends.
pub(super) async fn tell(connection: Arc<Connection>) {
    let mut events = connection.broker.events().subscribe();
    let mut lists = connection.broker.watch_lists();
    // When it is looked what became of what was missed.
    let mut missed: Option<Instant> = None;
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
                // A storm, of whichever servers.
                Err(RecvError::Lagged(_)) => {
                    missed.get_or_insert_with(|| Instant::now() + STORM);
                }
                Err(RecvError::Closed) => return,
            },
            () = sleep_until(missed) => {
                missed = None;
                catch_up(&connection);
            }
        }
    }
}

/// For ever, without a time.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Some of what happened was missed: what is watched may have changed, and what is not
/// watched any more was lost meanwhile.
fn catch_up(connection: &Connection) {
    let watched = connection.broker.watched(connection.number);
    let listens: Vec<Arc<Listen>> = lock(&connection.listens).values().cloned().collect();
    let mut known = lock(&connection.legacy).subscribed.granted();
    known.extend(listens.iter().flat_map(|listen| listen.watched()));
    unwatched(connection, &known.difference(&watched).collect());
    may_have_changed(connection, &watched);
}

/// Tells the agent, and each of its streams, what it watches of these. Each is asked what
/// that is, and not each for each resource: there may be many of both.
fn may_have_changed(connection: &Connection, uris: &BTreeSet<String>) {
    let granted = lock(&connection.legacy).subscribed.granted();
    for uri in granted.intersection(uris) {
        tell_changed(connection, uri);
    }
    let listens: Vec<Arc<Listen>> = lock(&connection.listens).values().cloned().collect();
    for listen in listens {
        for uri in listen.watched().intersection(uris) {
            let params = Raw::of(&serde_json::json!({ "uri": uri }));
            listen.updated(connection, uri, &params);
        }
    }
}

/// Tells an agent of the handshake era that a resource has changed, or may have.
fn tell_changed(connection: &Connection, uri: &str) {
    if lock(&connection.legacy).initialized {
        let line = wire::notification_line(UPDATED, &[of_uri(uri).bytes().clone()]);
        connection.out.send_if_room(line);
    }
}

/// What is said of a resource that may have changed, when nothing else is.
fn of_uri(uri: &str) -> Raw {
    Raw::of(&BTreeMap::from([("uri", uri)]))
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
            listen.list_changed(connection, method);
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
            updated(connection, (server, run.as_ref()), to, params);
        }
        Event::MayHaveChanged {
            server,
            run,
            watched,
        } => {
            if for_us(connection, server, run.as_ref()) {
                may_have_changed(connection, &ours(connection, watched));
            }
        }
        Event::Unwatched { lost } => {
            unwatched(connection, &ours(connection, lost).iter().collect());
        }
        Event::ElicitationComplete {
            server,
            run,
            params,
        } => {
            if says_so(connection, server, run.as_ref()) && lock(&connection.legacy).initialized {
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
            if says_so(connection, server, run.as_ref()) {
                connection.log(params);
            }
        }
    }
}

/// The resources to which this connection subscribed.
fn ours(connection: &Connection, by: &BTreeMap<String, Vec<u64>>) -> BTreeSet<String> {
    let ours = by.iter();
    let ours = ours.filter(|(_, by)| by.contains(&connection.number));
    ours.map(|(uri, _)| uri.clone()).collect()
}

/// An instance tells those who subscribed to a resource that it has changed.
fn updated(
    connection: &Connection,
    (server, run): (&ServerName, Option<&RunId>),
    to: &[u64],
    params: &Raw,
) {
    // An instance of our own may tell of a part of what it was asked for, and nobody
    // subscribed to that by name. A shared one tells who subscribed.
    let ours = to.contains(&connection.number) || (run.is_some() && to.is_empty());
    if !ours || !for_us(connection, server, run) {
        return;
    }
    let mut params = wire::without_ours(params);
    let uri = params.get("uri");
    let uri = uri.as_ref().and_then(Raw::as_str).unwrap_or_default();
    if !to.contains(&connection.number) && is_anothers(connection, server, &uri) {
        return;
    }
    // That it has changed is told under a stop as well, or nobody would look again: not in
    // the server's words, and of nothing that the agent has not named itself.
    let speaks = says_so(connection, server, run);
    if !speaks {
        params = Cow::Owned(of_uri(&uri));
    }
    let params = &params;
    let legacy = lock(&connection.legacy);
    let is_named = legacy.subscribed.has(&uri);
    let told = legacy.initialized && (is_named || (speaks && run.is_some()));
    drop(legacy);
    if told {
        connection
            .out
            .send_if_room(wire::notification_line(UPDATED, &untagged(params)));
    }
    let listens: Vec<Arc<Listen>> = lock(&connection.listens).values().cloned().collect();
    for listen in listens {
        listen.updated(connection, &uri, params);
    }
}

/// Whether a resource belongs to another server than the one that tells of it.
fn is_anothers(connection: &Connection, server: &ServerName, uri: &str) -> bool {
    let broker = &connection.broker;
    let owner = broker
        .catalog()
        .resource(uri, &broker.view(&connection.session));
    owner.is_some_and(|owner| owner != *server)
}

/// The server tells of these no more. A stream that said it would is over: its agent can
/// open another. One of the handshake era cannot be told as much, but that they may have
/// changed.
fn unwatched(connection: &Connection, lost: &BTreeSet<&String>) {
    for uri in lost {
        let was_watched = lock(&connection.legacy).subscribed.end(uri);
        if was_watched {
            tell_changed(connection, uri);
        }
    }
    let listens: Vec<Arc<Listen>> = lock(&connection.listens).values().cloned().collect();
    for listen in listens {
        listen.lost(lost);
    }
}

/// Whether an instance belongs to this connection's run, or to everybody who may
/// see its server.
fn for_us(connection: &Connection, server: &ServerName, run: Option<&RunId>) -> bool {
    let session = &connection.session;
    session.visible().contains(server) && run.is_none_or(|run| run == session.home())
}

/// Whether it is for us, in the words of a server that may say something: under a stop none
/// may.
fn says_so(connection: &Connection, server: &ServerName, run: Option<&RunId>) -> bool {
    let session = &connection.session;
    let agent = &session.principal().agent;
    let is_silenced = || {
        let broker = &connection.broker;
        broker.is_silenced(agent, server, &session.run())
    };
    for_us(connection, server, run) && !is_silenced()
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
