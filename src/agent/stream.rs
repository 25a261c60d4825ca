//! One stream that an agent of the stateless era opened: what it asked to hear of, and
//! what it is told.

use std::{collections::BTreeSet, sync::Mutex};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::connection::{Connection, lock};
use crate::wire::{self, Edit, Raw, keys};

pub(super) const UPDATED: &str = "notifications/resources/updated";

/// The lists: how a stream asks for news of each, and how they are told.
const LISTS: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    (
        "resourcesListChanged",
        "notifications/resources/list_changed",
    ),
];

/// One open `subscriptions/listen` request.
#[derive(Debug)]
pub(super) struct Listen {
    pub(super) id: Raw,
    /// Of which lists it wants news: how they are told.
    lists: Vec<&'static str>,
    /// What it would watch, each once.
    pub(super) uris: Vec<String>,
    stage: Mutex<Stage>,
    over: Notify,
    /// The room for its addresses: taken for as long as they are there.
    _room: OwnedSemaphorePermit,
}

/// How far a stream is.
#[derive(Debug)]
enum Stage {
    /// Not acknowledged yet, and told nothing before it is: what there is to tell.
    Opening {
        lists: BTreeSet<&'static str>,
        updated: BTreeSet<String>,
        /// What was granted so far.
        watched: BTreeSet<String>,
    },
    /// It watches these.
    Open(BTreeSet<String>),
}

impl Listen {
    /// A stream that wants what this filter says, and these resources.
    pub(super) fn new(id: Raw, wants: &Raw, uris: Vec<String>, room: OwnedSemaphorePermit) -> Self {
        let on = |kind: &str| wants.get(kind).is_some_and(|on| on.text() == "true");
        let lists = LISTS.into_iter().filter(|(kind, _)| on(kind));
        Self {
            id,
            lists: lists.map(|(_, method)| method).collect(),
            uris,
            stage: Mutex::new(Stage::Opening {
                lists: BTreeSet::new(),
                updated: BTreeSet::new(),
                watched: BTreeSet::new(),
            }),
            over: Notify::new(),
            _room: room,
        }
    }

    /// Takes out what it watches, or is about to.
    pub(super) fn keeps(&self, leaving: &mut BTreeSet<String>) {
        match &*lock(&self.stage) {
            Stage::Opening { .. } => self.uris.iter().for_each(|uri| drop(leaving.take(uri))),
            Stage::Open(watched) => watched.iter().for_each(|uri| drop(leaving.take(uri))),
        }
    }

    /// What it was granted and has not lost.
    pub(super) fn watched(&self) -> BTreeSet<String> {
        match &*lock(&self.stage) {
            Stage::Opening { watched, .. } | Stage::Open(watched) => watched.clone(),
        }
    }

    /// One of its subscriptions was granted.
    pub(super) fn granted(&self, uri: &str) {
        match &mut *lock(&self.stage) {
            Stage::Opening { watched, .. } | Stage::Open(watched) => {
                watched.insert(uri.to_owned());
            }
        }
    }

    /// Tells it that a list changed, or has it told later, if it asked for that.
    pub(super) fn list_changed(&self, connection: &Connection, method: &'static str) {
        if !self.lists.contains(&method) {
            return;
        }
        match &mut *lock(&self.stage) {
            Stage::Opening { lists, .. } => {
                lists.insert(method);
            }
            Stage::Open(_) => {
                let params = tagged(&Raw::of(&serde_json::json!({})), &self.id);
                let line = wire::notification_line(method, &params);
                connection.out.send_if_room(line);
            }
        }
    }

    /// Tells it that a resource changed, or has it told later, if it watches that.
    pub(super) fn updated(&self, connection: &Connection, uri: &str, params: &Raw) {
        match &mut *lock(&self.stage) {
            Stage::Opening { updated, .. } => {
                if self.uris.iter().any(|known| known == uri) {
                    updated.insert(uri.to_owned());
                }
            }
            Stage::Open(watched) => {
                if watched.contains(uri) {
                    let params = tagged(params, &self.id);
                    let line = wire::notification_line(UPDATED, &params);
                    connection.out.send_if_room(line);
                }
            }
        }
    }

    /// The server tells of these no more. What was acknowledged cannot be taken back but by
    /// the end of the stream.
    pub(super) fn lost(&self, these: &BTreeSet<&String>) {
        match &mut *lock(&self.stage) {
            Stage::Opening { watched, .. } => watched.retain(|uri| !these.contains(uri)),
            Stage::Open(watched) => {
                if watched.iter().any(|uri| these.contains(uri)) {
                    self.end();
                }
            }
        }
    }

    /// Tells what it will hear of, then what happened meanwhile.
    pub(super) fn acknowledge(&self, connection: &Connection) {
        let watched = self.watched();
        let mut accepted = serde_json::Map::new();
        for (kind, _) in LISTS
            .iter()
            .filter(|(_, method)| self.lists.contains(method))
        {
            accepted.insert((*kind).to_owned(), true.into());
        }
        if !watched.is_empty() {
            let uris = self.uris.iter().filter(|uri| watched.contains(*uri));
            accepted.insert("resourceSubscriptions".to_owned(), uris.cloned().collect());
        }
        let params = format!(
            "{{\"notifications\":{},\"_meta\":{{{}:{}}}}}",
            serde_json::Value::Object(accepted),
            wire::quote(keys::SUBSCRIPTION_ID),
            self.id.text()
        );
        connection.out.send(wire::notification_line(
            "notifications/subscriptions/acknowledged",
            &[params.into()],
        ));
        let before = std::mem::replace(&mut *lock(&self.stage), Stage::Open(watched));
        if let Stage::Opening { lists, updated, .. } = before {
            for method in lists {
                self.list_changed(connection, method);
            }
            for uri in updated {
                let params = Raw::of(&serde_json::json!({ "uri": uri }));
                self.updated(connection, &uri, &params);
            }
        }
    }

    /// Ends the stream.
    pub(super) fn end(&self) {
        self.over.notify_one();
    }

    /// Waits until it is ended.
    pub(super) async fn over(&self) {
        self.over.notified().await;
    }
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

/// What a notification carries in its `_meta`, but for the id of a stream.
pub(super) fn own_meta(params: &Raw) -> Vec<String> {
    let own = params.get("_meta");
    own.iter()
        .flat_map(|own| wire::members(own.text()))
        .filter(|(key, _)| wire::unquote(key).is_none_or(|key| key != keys::SUBSCRIPTION_ID))
        .map(|(key, value)| format!("{key}:{value}"))
        .collect()
}
