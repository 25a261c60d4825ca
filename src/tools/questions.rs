//! Questions of a tool server in the middle of a call, and their way to the
//! agent's user and back.
//!
//! A question is shown with the name of the server that asks: a server must not
//! be able to pose as tollgate or as another server.

use std::sync::Arc;

use tokio::time::Instant;

use super::instance::{Instance, lock};
use crate::{
    domain::{Capabilities, Era, ServerName},
    ports::{Answer, Question},
    wire::{self, Edit, Raw},
};

/// Questions that one instance may have open at a time.
const MAX_OPEN: usize = 64;

/// Takes a request of the server.
pub(super) fn receive(instance: &Arc<Instance>, id: Raw, method: Box<str>, params: Option<Raw>) {
    match &*method {
        "ping" => {
            instance.out.send(wire::result_line(&id, &["{}".into()]));
        }
        "elicitation/create" | "sampling/createMessage" | "roots/list" => {
            if instance.questions_open() >= MAX_OPEN {
                refuse(instance, &id, -32603, "too many questions are open");
                return;
            }
            let key = id.text().to_owned();
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
            let clock = owner.as_ref().map(|asking| asking.open.clock.clone());
            if let Some(clock) = &clock {
                clock.pause(Instant::now());
            }
            let answer = caller
                .ask(Question {
                    server: instance.server.clone(),
                    params: labelled(&instance.server, &method, params),
                    method: method.clone(),
                })
                .await;
            if let Some(asking) = owner {
                asking.turn().await;
            }
            if let Some(clock) = &clock {
                clock.resume(Instant::now());
            }
            answer
        }
    };
    let line = match answer {
        Answer::Result(result) => wire::result_line(&id, &[result.bytes().clone()]),
        Answer::Error(error) => wire::error_line(&id, &error),
        Answer::Gone if &*method == "elicitation/create" => {
            wire::result_line(&id, &["{\"action\":\"cancel\"}".into()])
        }
        Answer::Gone => wire::error_line(&id, &error(-32603, "nobody is there to answer")),
    };
    instance.out.send(line);
    instance.question_ended(id.text());
}

fn refuse(instance: &Instance, id: &Raw, code: i32, says: &str) {
    instance.out.send(wire::error_line(id, &error(code, says)));
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

/// Puts the server's name before the text that the user will read.
pub(super) fn labelled(server: &ServerName, method: &str, params: Option<Raw>) -> Option<Raw> {
    let params = params?;
    if method != "elicitation/create" {
        return Some(params);
    }
    let Some(message) = params.get("message") else {
        return Some(params);
    };
    let Some(text) = message.as_str() else {
        return Some(params);
    };
    let mut edit = Edit::new(&params);
    edit.set("message", wire::quote(&format!("[{server}] {text}")));
    Some(edit.raw())
}
