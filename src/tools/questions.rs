//! Questions of a tool server in the middle of a call, and their way to the
//! agent's user and back.
//!
//! A question is shown with the name of the server that asks: a server must not
//! be able to pose as tollgate or as another server.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    deadline::Clock,
    instance::{Instance, lock},
};
use crate::{
    domain::{Capabilities, Era, ServerName},
    ports::{Answer, Question},
    wire::{self, Edit, Raw},
};

/// Questions that one instance may have open at a time.
const MAX_OPEN: usize = 64;

/// How long an answer waits for a server that does not read its input: it must not fill
/// our memory. Its call has a deadline of its own, which runs on meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes a request of the server.
pub(super) fn receive(instance: &Arc<Instance>, id: Raw, method: Box<str>, params: Option<Raw>) {
    // It is read until it has left, and nobody would withdraw what it asks now.
    if instance.ended().is_some() {
        return;
    }
    match &*method {
        "ping" => {
            instance.out.send(wire::result_line(&id, &["{}".into()]));
        }
        // Whose it is cannot be known, and it must neither reach the wrong user nor
        // hold anybody up. The server was told so.
        "elicitation/create" | "sampling/createMessage" | "roots/list" if instance.shared => {
            let says = "several agents share this server: it was told that nobody can be asked";
            refuse(instance, &id, -32601, says);
        }
        "elicitation/create" | "sampling/createMessage" | "roots/list" => {
            if instance.questions_open() >= MAX_OPEN {
                refuse(instance, &id, -32603, "too many questions are open");
                return;
            }
            let key = id.text().to_owned();
            if instance.is_open_question(&key) {
                refuse(
                    instance,
                    &id,
                    -32600,
                    "a request with this id is still open",
                );
                return;
            }
            let Ok(params) = labelled(&instance.server, &method, params) else {
                refuse(instance, &id, -32602, UNLABELLED);
                return;
            };
            let task = tokio::spawn(ask(instance.clone(), id, method, params));
            instance.question_started(key, task.abort_handle());
        }
        _ => refuse(instance, &id, -32601, "method not found"),
    }
}

async fn ask(instance: Arc<Instance>, id: Raw, method: Box<str>, params: Option<Raw>) {
    let owner = instance.lane.question().await;
    let caller = match &owner {
        Some(asking) => Some(asking.open.caller.clone()),
        None => lock(&instance.host).clone(),
    };
    let answer = match caller {
        None => Answer::Gone,
        // An agent of the stateless era is told what it would have to declare.
        Some(caller)
            if caller.era() == Era::Legacy
                && !can_answer(caller.capabilities(), &method, params.as_ref()) =>
        {
            Answer::Error(error(-32601, "the agent's client does not offer this"))
        }
        Some(caller) => {
            // Given back on every way out: a server that cancels its question must
            // not stop its own clock for good.
            let _paused = owner
                .as_ref()
                .map(|asking| Paused::new(asking.clocks.clone()));
            let answer = caller
                .ask(Question {
                    server: instance.server.clone(),
                    params,
                    method: method.clone(),
                })
                .await;
            if let Some(asking) = owner {
                asking.turn().await;
            }
            answer
        }
    };
    let line = match answer {
        Answer::Result(result) => wire::result_line(&id, &[result.bytes().clone()]),
        Answer::Error(error) => wire::error_line(&id, &error),
        Answer::Refused(why) => wire::error_line(&id, &error(-32603, &why)),
        Answer::Gone if &*method == "elicitation/create" => {
            wire::result_line(&id, &["{\"action\":\"cancel\"}".into()])
        }
        Answer::Gone => wire::error_line(&id, &error(-32603, "nobody is there to answer")),
    };
    let bytes = line.iter().map(Bytes::len).sum();
    let room = match instance.out.room_now(bytes) {
        Some(room) => Some(room),
        None => {
            let room = tokio::time::timeout(PATIENCE, instance.out.room(bytes)).await;
            room.ok().flatten()
        }
    };
    match room {
        Some(room) => drop(instance.out.send_with(line, Some(room))),
        None => instance.remark("did not read what it was to be answered"),
    }
    instance.question_ended(id.text());
}

/// Clocks that stand still until this is dropped.
struct Paused(Vec<Arc<Clock>>);

impl Paused {
    fn new(clocks: Vec<Arc<Clock>>) -> Self {
        for clock in &clocks {
            clock.pause(Instant::now());
        }
        Self(clocks)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        for clock in &self.0 {
            clock.resume(Instant::now());
        }
    }
}

pub(super) fn refuse(instance: &Instance, id: &Raw, code: i32, says: &str) {
    instance.out.send(wire::error_line(id, &error(code, says)));
}

/// The same for what may be no request at all: left out while much waits to be read.
pub(super) fn refuse_if_room(instance: &Instance, id: &Raw, code: i32, says: &str) {
    let line = wire::error_line(id, &error(code, says));
    instance.out.send_if_room(line);
}

fn error(code: i32, says: &str) -> Raw {
    Raw::of(&serde_json::json!({ "code": code, "message": says }))
}

/// Whether the agent declared that it can be asked this.
pub(super) fn can_answer(can: Capabilities, method: &str, params: Option<&Raw>) -> bool {
    match method {
        "elicitation/create" => {
            let url = params
                .and_then(|params| params.get("mode"))
                .is_some_and(|mode| mode.as_str().is_some_and(|mode| mode == "url"));
            if url { can.url } else { can.form }
        }
        "sampling/createMessage" => can.sampling,
        "roots/list" => can.roots,
        _ => false,
    }
}

/// A question whose text cannot be labelled: it is not put to anybody.
#[derive(Debug)]
pub(super) struct Unlabelled;

/// What its server hears.
pub(super) const UNLABELLED: &str =
    "`message` is not a string, or a key is spelt like it or like `mode`";

/// What says how a question is put: a client that does not look at case would show what
/// nobody has labelled, or open what nobody asked whether it may.
const SHOWN: [&str; 2] = ["message", "mode"];

/// Puts the server's name before the text that the user will read, and leaves
/// the text as it is written, whatever a reader may make of it.
pub(super) fn labelled(
    server: &ServerName,
    method: &str,
    params: Option<Raw>,
) -> Result<Option<Raw>, Unlabelled> {
    if method != "elicitation/create" {
        // What a model is to be asked has content as a result has.
        let clean = |params: Raw| wire::content_without_ours(&params).into_owned();
        return Ok(params.map(clean));
    }
    let params = params.ok_or(Unlabelled)?;
    if wire::misspelt(&params, &SHOWN).is_some() {
        return Err(Unlabelled);
    }
    let message = params.get("message").ok_or(Unlabelled)?;
    let text = message.text().strip_prefix('"').ok_or(Unlabelled)?;
    let mut edit = Edit::new(&params);
    edit.set("message", format!("\"[{server}] {text}"));
    Ok(Some(wire::without_ours(&edit.raw()).into_owned()))
}
