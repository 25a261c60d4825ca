//! The subscriptions that make up one stream, as calls of its agent.

use std::sync::{Arc, Mutex};

use super::{
    caller::{ModernCaller, Round},
    connection::{Cancel, Connection},
    stream::Listen,
};
use crate::{
    broker::{Answer, Asked, Request},
    domain::{Capabilities, Code, Refusal},
    wire::{self, Body, Edit, Raw},
};

/// How many subscriptions of one stream may come to nothing in a row before no other
/// is tried: each is a call that failed, and that an agent listens is no row of errors.
const IN_VAIN: usize = 8;

/// What a stream's request may say for each of its subscriptions, beside its tokens.
const KEPT: [&str; 7] = [
    STEP,
    "step",
    TOKENS[0],
    TOKENS[1],
    "dev.tollgate/run",
    "traceparent",
    "tracestate",
];
const STEP: &str = "dev.tollgate/step";
const TOKENS: [&str; 2] = ["dev.tollgate/tokens", "tokens"];

/// The longest value that is: it is written down with each of them.
const LONGEST: usize = 512;

/// What begins the subscriptions of one stream.
pub(super) struct Watching {
    /// The `_meta` of the first of them.
    pub(super) says: Raw,
    pub(super) capabilities: Capabilities,
    pub(super) cancel: Arc<Cancel>,
}

/// What became of one subscription.
enum Begun {
    Yes,
    /// A call that came to nothing.
    No,
    /// Nothing that could be called.
    Unknown,
    /// And so it would be with every other.
    NoMore,
}

/// What the request of a stream says of its subscriptions: the turn that it reports, or
/// else one of its own. It is one request, and so one step, however much it watches.
pub(super) fn says(connection: &Connection, id: &Raw, params: Option<&Raw>) -> Raw {
    let meta = params.and_then(|params| params.get("_meta"));
    let mut kept = Vec::new();
    let mut has_step = false;
    for (key, value) in meta.iter().flat_map(|meta| wire::members(meta.text())) {
        let name = wire::unquote(key).unwrap_or_default();
        if value.len() <= LONGEST && KEPT.contains(&name.as_ref()) {
            has_step |= [STEP, "step"].contains(&name.as_ref());
            kept.push(format!("{key}:{value}"));
        }
        // One of these stands twice, and each subscription is refused for that. What comes
        // after it would only be kept, for as long as the stream is open.
        if kept.len() > KEPT.len() {
            break;
        }
    }
    if !has_step {
        let step = format!("listen {}.{}", connection.number, id.text());
        kept.push(format!("{}:{}", wire::quote(STEP), wire::quote(&step)));
    }
    Raw::trusted(format!("{{{}}}", kept.join(",")).into())
}

impl Watching {
    /// Begins the subscriptions of a stream, one after the other.
    pub(super) async fn begin(&self, connection: &Arc<Connection>, listen: &Listen) {
        let mut in_vain = 0;
        let mut says = self.says.clone();
        for uri in &listen.uris {
            // An agent that has gone leaves everything at once.
            let over = self.cancel.reason().is_some() || connection.out.is_closed();
            if in_vain == IN_VAIN || over {
                break;
            }
            match self.one(connection, uri, &says).await {
                Begun::Yes => {
                    listen.granted(uri);
                    in_vain = 0;
                }
                Begun::No => in_vain += 1,
                Begun::Unknown => {
                    // Nothing was waited for: others have their turn.
                    tokio::task::yield_now().await;
                    continue;
                }
                Begun::NoMore => break,
            }
            // It took them once to come to this request.
            let mut edit = Edit::new(&says);
            for tokens in TOKENS {
                edit.remove(tokens);
            }
            says = edit.raw();
        }
    }

    /// A subscription is a call like any other: judged and recorded.
    async fn one(&self, connection: &Arc<Connection>, uri: &str, says: &Raw) -> Begun {
        let (questions, _) = tokio::sync::mpsc::unbounded_channel();
        let caller = ModernCaller {
            connection: connection.clone(),
            questions,
            cancel: self.cancel.clone(),
            round: Mutex::new(Round {
                capabilities: self.capabilities,
                ..Default::default()
            }),
        };
        let params = format!("{{\"uri\":{},\"_meta\":{}}}", wire::quote(uri), says.text());
        let answer = connection
            .broker
            .call(Request {
                session: connection.session.clone(),
                asked: Asked::Subscribe,
                params: Some(Raw::trusted(params.into())),
                goes_on: None,
                caller: Arc::new(caller),
            })
            .await;
        tracing::debug!("subscription to a resource: {answer:?}");
        match answer {
            Answer::Done { body, .. } => match body {
                Body::Result(_) => Begun::Yes,
                Body::Error(_) => Begun::No,
            },
            Answer::Own(_) => Begun::Yes,
            Answer::Wrong { .. } => Begun::Unknown,
            Answer::Refused { refusal, .. }
            | Answer::CutShort { refusal, .. }
            | Answer::OwnRefused { refusal, .. } => refused(&refusal),
            Answer::Fault(_) | Answer::Unrecorded { .. } => Begun::NoMore,
            Answer::Failed { .. } | Answer::Asks { .. } | Answer::Lacks(_) => Begun::No,
        }
    }
}

/// Whether the next would be refused as well, whatever it is.
fn refused(refusal: &Refusal) -> Begun {
    match refusal.code {
        Code::Stopped
        | Code::RunKilled
        | Code::RunPaused
        | Code::Budget(..)
        | Code::Loop
        | Code::RateLimited
        | Code::ReauthRequired
        | Code::Busy
        | Code::StateUnavailable => Begun::NoMore,
        Code::AgentDenied
        | Code::ToolChanged
        | Code::ToolOff
        | Code::ArgsInvalid
        | Code::ArgsOutOfBounds
        | Code::ApprovalUnavailable
        | Code::ServerUnavailable
        | Code::OutsideWindow
        | Code::CircuitOpen => Begun::No,
    }
}
