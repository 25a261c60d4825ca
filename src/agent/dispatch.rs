//! Which message goes where.

use std::sync::Arc;

use super::{
    connection::{Connection, lock},
    legacy, listen,
    meta::{self, Meta},
    modern,
    shape::Shaped,
    unanswered::Share,
};
use crate::{
    broker::Asked,
    domain::Era,
    ports::Answer,
    wire::{Body, Message, Raw, keys, rpc},
};

/// Letters of the reason for a cancel that are kept. It stays with its call until that has
/// ended, and nothing but the length of a line bounds what an agent writes there.
const MAX_REASON: usize = 1_000;

/// Takes one message.
pub(super) fn take(connection: &Arc<Connection>, message: Message, share: Share) {
    match message {
        Message::Request { id, method, params } => {
            request(connection, id, &method, params, share);
        }
        Message::Notification { method, params } => notification(connection, &method, params),
        Message::Response { id, body } => {
            let answer = match body {
                Body::Result(result) => Answer::Result(result),
                Body::Error(error) => Answer::Error(error),
            };
            connection.questions.answered(&id, answer);
        }
    }
}

fn request(connection: &Arc<Connection>, id: Raw, method: &str, params: Option<Raw>, share: Share) {
    let meta = Meta::of(params.as_ref());
    if meta.modern {
        if let Err(error) = stands_alone(&meta) {
            connection.out.send(crate::wire::error_line(&id, &error));
            return;
        }
        connection.introduced(Era::Modern, || declared(&meta));
        return serve(connection, Era::Modern, id, method, params, meta, share);
    }
    let initialized = lock(&connection.legacy).initialized;
    match method {
        "initialize" => legacy::initialize(connection, &id, params.as_ref()),
        "ping" => {
            connection
                .out
                .send(crate::wire::result_line(&id, &["{}".into()]));
        }
        _ if initialized => {
            connection.introduced(Era::Legacy, || lock(&connection.legacy).capabilities);
            serve(connection, Era::Legacy, id, method, params, meta, share);
        }
        _ => connection.fail(
            &id,
            rpc::INVALID_PARAMS,
            "neither initialized nor a request that stands alone: `_meta` lacks io.modelcontextprotocol/protocolVersion",
        ),
    }
}

/// Whether a request of the stateless era carries what it must.
fn stands_alone(meta: &Meta) -> Result<(), Raw> {
    let Some(version) = &meta.version else {
        return Err(rpc::error(
            rpc::INVALID_PARAMS,
            "`_meta` lacks io.modelcontextprotocol/protocolVersion",
        ));
    };
    if version != keys::MODERN_VERSION {
        return Err(Raw::of(&serde_json::json!({
            "code": rpc::UNSUPPORTED_VERSION,
            "message": format!("protocol version `{version}` is not supported in this form"),
            "data": { "supported": [keys::MODERN_VERSION], "requested": version },
        })));
    }
    match &meta.capabilities {
        Some(declared) if declared.text().starts_with('{') => Ok(()),
        Some(_) | None => Err(rpc::error(
            rpc::INVALID_PARAMS,
            "`_meta` lacks io.modelcontextprotocol/clientCapabilities",
        )),
    }
}

/// A request in an era that is settled.
fn serve(
    connection: &Arc<Connection>,
    era: Era,
    id: Raw,
    method: &str,
    params: Option<Raw>,
    meta: Meta,
    share: Share,
) {
    // What is kept until the answer is written must not keep the request's line.
    let (id, meta) = if share.counts() {
        (id.detached(), meta.detached())
    } else {
        (id, meta)
    };
    let gone_in_modern = matches!(
        method,
        "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel"
    );
    if era == Era::Modern && gone_in_modern {
        connection.fail(&id, rpc::METHOD_NOT_FOUND, "method not found");
        return;
    }
    if let Some(asked) = Asked::by(method) {
        let Some(responder) = connection.open(id, share) else {
            return;
        };
        match era {
            // Boxed: the future of a call is some kilobytes, and spawning moves it about.
            Era::Legacy => {
                let call = legacy::call(connection.clone(), responder, asked, params, meta);
                tokio::spawn(Box::pin(call));
            }
            Era::Modern => {
                let call = modern::call(connection.clone(), responder, asked, params, meta);
                tokio::spawn(Box::pin(call));
            }
        }
        return;
    }
    match (method, era) {
        ("tools/list" | "prompts/list" | "resources/list" | "resources/templates/list", _) => {
            list(connection, era, id, method, params, share);
        }
        ("logging/setLevel", Era::Legacy) => legacy::set_level(connection, &id, params.as_ref()),
        ("server/discover", Era::Modern) => modern::discover(connection, id, share),
        ("subscriptions/listen", Era::Modern) => {
            listen::open(connection, &id, params.as_ref(), &meta);
        }
        _ => connection.fail(&id, rpc::METHOD_NOT_FOUND, "method not found"),
    }
}

fn list(
    connection: &Arc<Connection>,
    era: Era,
    id: Raw,
    method: &str,
    params: Option<Raw>,
    share: Share,
) {
    // A list is one page: no cursor of ours exists. The empty string is the
    // first page.
    let cursor = params.and_then(|params| params.get("cursor"));
    let first = cursor
        .as_ref()
        .is_none_or(|cursor| matches!(cursor.text(), "null" | "\"\""));
    if !first {
        connection.fail(&id, rpc::INVALID_PARAMS, "unknown cursor");
        return;
    }
    let key = match method {
        "tools/list" => "tools",
        "prompts/list" => "prompts",
        "resources/list" => "resources",
        _ => "resourceTemplates",
    };
    let Some(responder) = connection.open(id, share) else {
        return;
    };
    let connection = connection.clone();
    tokio::spawn(async move {
        connection.broker.ready(&connection.session).await;
        let view = connection.broker.view(&connection.session);
        let entries = match key {
            "tools" => view.tools.clone(),
            "prompts" => view.prompts.clone(),
            "resources" => view.resources(),
            _ => view.templates(),
        };
        let (hints, end) = match era {
            Era::Legacy => ("", "}".to_owned()),
            Era::Modern => (
                r#""resultType":"complete","ttlMs":0,"cacheScope":"private","#,
                format!(",\"_meta\":{}}}", modern::own_meta()),
            ),
        };
        responder
            .answer(Shaped::Result(vec![
                format!("{{{hints}\"{key}\":").into(),
                entries,
                end.into(),
            ]))
            .await;
    });
}

fn notification(connection: &Arc<Connection>, method: &str, params: Option<Raw>) {
    match method {
        "notifications/cancelled" => {
            let Some(params) = params else { return };
            let Some(id) = params.get("requestId") else {
                return;
            };
            let reason = params.get("reason");
            let reason = reason.as_ref().and_then(Raw::as_str);
            let reason = reason.as_deref().unwrap_or("the agent cancelled it");
            let end = reason.char_indices().nth(MAX_REASON);
            let kept = end.and_then(|(end, _)| reason.get(..end));
            connection.cancel(&id, kept.unwrap_or(reason));
        }
        "notifications/roots/list_changed" => {
            connection.broker.roots_changed(&connection.session);
        }
        // `initialized` changes nothing here, and progress on our questions
        // tells us nothing we need.
        _ => {}
    }
}

/// The capabilities that every agent is told: servers come and go.
pub(super) const CAPABILITIES: &str = r#"{"completions":{},"logging":{},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}}"#;

/// Reads declared capabilities of a request that stands alone.
pub(super) fn declared(meta: &Meta) -> crate::domain::Capabilities {
    meta::capabilities(meta.capabilities.as_ref())
}
