//! The handshake era: a conversation on one connection.

use std::{borrow::Cow, sync::Arc};

use super::{
    caller::LegacyCaller,
    connection::{Connection, Responder, lock},
    dispatch::CAPABILITIES,
    listen,
    meta::{self, Meta},
    shape,
    subscribed::{self, MAX_WATCHED},
};
use crate::{
    broker::{Asked, Request},
    domain::Era,
    ports::Caller,
    wire::{self, Raw, keys, rpc},
};

/// `initialize`: the version the client names if we speak it, else our newest.
pub(super) fn initialize(connection: &Arc<Connection>, id: &Raw, params: Option<&Raw>) {
    let wanted = params.and_then(|params| params.get("protocolVersion"));
    let wanted = wanted.as_ref().and_then(Raw::as_str);
    let Some(wanted) = wanted else {
        connection.fail(id, rpc::INVALID_PARAMS, "`protocolVersion` is missing");
        return;
    };
    let version = keys::LEGACY_VERSIONS
        .into_iter()
        .find(|known| *known == wanted)
        .unwrap_or(keys::LEGACY_VERSION);
    let declared = params.and_then(|params| params.get("capabilities"));
    let can = meta::capabilities(declared.as_ref());
    {
        let mut legacy = lock(&connection.legacy);
        legacy.initialized = true;
        legacy.capabilities = can;
    }
    connection.introduced(Era::Legacy, || can);
    let instructions = connection
        .broker
        .view(&connection.session)
        .instructions
        .clone();
    let result = format!(
        "{{\"protocolVersion\":{},\"capabilities\":{CAPABILITIES},\"serverInfo\":{},\"instructions\":{}}}",
        wire::quote(version),
        shape::server_info(),
        wire::quote(&instructions)
    );
    connection.out.send(wire::result_line(id, &[result.into()]));
}

/// `logging/setLevel`: kept here, and told to servers when they are called.
pub(super) fn set_level(connection: &Arc<Connection>, id: &Raw, params: Option<&Raw>) {
    let level = params.and_then(|params| params.get("level"));
    let level = level.as_ref().and_then(Raw::as_str);
    match level.filter(|level| meta::level(level).is_some()) {
        Some(level) => {
            lock(&connection.legacy).log_level = Some(level.into_owned());
            connection.out.send(wire::result_line(id, &["{}".into()]));
        }
        None => connection.fail(id, rpc::INVALID_PARAMS, "`level` is not a log level"),
    }
}

/// One call, in its own task.
pub(super) async fn call(
    connection: Arc<Connection>,
    responder: Responder,
    asked: Asked,
    params: Option<Raw>,
    meta: Meta,
) {
    let caller: Arc<dyn Caller> = Arc::new(LegacyCaller {
        connection: connection.clone(),
        cancel: responder.cancel.clone(),
        progress: meta.progress,
    });
    let uri = match asked {
        Asked::Subscribe | Asked::Unsubscribe => {
            params.as_ref().and_then(|params| params.get("uri"))
        }
        Asked::Tool | Asked::Prompt | Asked::Resource | Asked::Completion => None,
    };
    let uri = uri.as_ref().and_then(Raw::as_str).map(Cow::into_owned);
    // Counted before its server is asked: many may be asked at the same time.
    if let (Asked::Subscribe, Some(uri)) = (asked, &uri)
        && !lock(&connection.legacy)
            .subscribed
            .reserve(uri, MAX_WATCHED)
    {
        let error = shape::Shaped::Error(rpc::error(rpc::INVALID_PARAMS, &subscribed::too_much()));
        responder.answer(error).await;
        return;
    }
    let answer = connection
        .broker
        .call(Request {
            session: connection.session.clone(),
            asked,
            params,
            goes_on: None,
            caller,
        })
        .await;
    let shaped = shape::answer(&connection.broker, answer, Era::Legacy, asked);
    if let Some(uri) = uri {
        let done = matches!(shaped, shape::Shaped::Result(_));
        match asked {
            Asked::Subscribe => {
                lock(&connection.legacy).subscribed.settle(&uri, done);
                if !done {
                    listen::leave(&connection, &[uri]);
                }
            }
            Asked::Unsubscribe if done => {
                lock(&connection.legacy).subscribed.end(&uri);
            }
            Asked::Unsubscribe
            | Asked::Tool
            | Asked::Prompt
            | Asked::Resource
            | Asked::Completion => {}
        }
    }
    responder.deliver(shaped).await;
}
