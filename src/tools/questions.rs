//! Questions of a tool server in the middle of a call, and their way to the
//! agent's user and back.
//!
//! A question is shown with the name of the server that asks: a server must not
//! be able to pose as tollgate or as another server.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::{
    deadline::Clock,
    instance::{Instance, lock},
    lane::Owner,
};
use crate::{
    domain::ServerName,
    ports::{Answer, Question, WhyNot},
    wire::{self, Edit, Parts, Raw, asks, rpc},
};

/// Questions that one instance may have open at a time.
const MAX_OPEN: usize = 64;

/// How long an answer waits for a server that does not read its input: it must not fill
/// our memory. Its call has a deadline of its own, which runs on meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a server makes of an answer, it does beside what it is asked next, and tells nobody
/// when it is done: the official server of files looks at each folder first.
const LEARNS: Duration = Duration::from_millis(100);

/// The questions of one instance that are on their way.
#[derive(Debug, Default)]
pub(super) struct Open {
    tasks: Mutex<HashMap<String, AbortHandle>>,
    /// Tells when there is one less.
    less: Notify,
    has_asked: AtomicBool,
}

impl Open {
    fn begins(&self, id: String, task: AbortHandle) {
        self.has_asked.store(true, Ordering::Relaxed);
        lock(&self.tasks).insert(id, task);
    }

    fn ends(&self, id: &str) -> Option<AbortHandle> {
        let task = lock(&self.tasks).remove(id);
        self.less.notify_waiters();
        task
    }

    /// Its server has withdrawn it.
    pub(super) fn withdraw(&self, id: &str) {
        if let Some(task) = self.ends(id) {
            task.abort();
        }
    }

    /// Nobody waits for an answer any more.
    pub(super) fn end_all(&self) {
        for (_, task) in lock(&self.tasks).drain() {
            task.abort();
        }
        self.less.notify_waiters();
    }

    fn has(&self, id: &str) -> bool {
        lock(&self.tasks).contains_key(id)
    }

    fn count(&self) -> usize {
        lock(&self.tasks).len()
    }

    /// Returns once it knows what it asks at its start: connected directly, it would long
    /// before its first call.
    pub(super) async fn learns(&self) {
        loop {
            let less = self.less.notified();
            if self.count() == 0 {
                break;
            }
            less.await;
        }
        if self.has_asked.load(Ordering::Relaxed) {
            tokio::time::sleep(LEARNS).await;
        }
    }
}

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
        asks::ELICITATION | asks::SAMPLING | asks::ROOTS if instance.shared => {
            let says = "several agents share this server: it was told that nobody can be asked";
            refuse(instance, &id, rpc::METHOD_NOT_FOUND, says);
        }
        asks::ELICITATION | asks::SAMPLING | asks::ROOTS => {
            if instance.questions.count() >= MAX_OPEN {
                refuse(instance, &id, rpc::INTERNAL, "too many questions are open");
                return;
            }
            let key = id.text().to_owned();
            if instance.questions.has(&key) {
                refuse(
                    instance,
                    &id,
                    rpc::INVALID_REQUEST,
                    "a request with this id is still open",
                );
                return;
            }
            let Ok(params) = labelled(&instance.server, &method, params) else {
                refuse(instance, &id, rpc::INVALID_PARAMS, UNLABELLED);
                return;
            };
            let task = tokio::spawn(ask(instance.clone(), id, method, params));
            instance.questions.begins(key, task.abort_handle());
        }
        _ => refuse(instance, &id, rpc::METHOD_NOT_FOUND, "method not found"),
    }
}

async fn ask(instance: Arc<Instance>, id: Raw, method: Box<str>, params: Option<Raw>) {
    let (owner, caller) = match instance.lane.question().await {
        Owner::Call(asking) => {
            let caller = asking.open.caller.clone();
            (Some(asking), Some(caller))
        }
        Owner::NoCall => {
            let host = instance.host.caller();
            if host.is_none() {
                instance.host.is_missing();
            }
            (None, host)
        }
        Owner::Unknown => {
            instance.remark("asked while a call that was given up may go on: nobody was");
            (None, None)
        }
    };
    let heard = match &caller {
        None => Answer::Gone.into(),
        Some(caller) => {
            // Given back on every way out: a server that cancels its question must
            // not stop its own clock for good.
            let _paused = owner
                .as_ref()
                .map(|asking| Paused::new(asking.clocks.clone()));
            let heard = caller
                .ask(Question {
                    server: instance.server.clone(),
                    params,
                    method: method.clone(),
                })
                .await;
            if let Some(asking) = owner {
                asking.turn().await;
            }
            heard
        }
    };
    let bytes = line(&id, &method, heard.answer())
        .iter()
        .map(Bytes::len)
        .sum();
    let room = match instance.out.room_now(bytes) {
        Some(room) => Some(room),
        None => {
            let room = tokio::time::timeout(PATIENCE, instance.out.room(bytes)).await;
            room.ok().flatten()
        }
    };
    match room {
        // Only now: what was heard may not leave any more.
        Some(room) => {
            let line = line(&id, &method, &heard.leaves());
            instance.out.send_with(line, Some(room));
        }
        None => instance.remark("did not read what it was to be answered"),
    }
    instance.questions.ends(id.text());
}

/// What the server hears.
fn line(id: &Raw, method: &str, answer: &Answer) -> Parts {
    match answer {
        Answer::Result(result) => wire::result_line(id, &[result.bytes().clone()]),
        Answer::Error(error) => wire::error_line(id, error),
        Answer::Refused(not) => wire::error_line(id, &rpc::error(code(not.why), &not.says)),
        Answer::Gone if method == asks::ELICITATION => {
            wire::result_line(id, &["{\"action\":\"cancel\"}".into()])
        }
        Answer::Gone => {
            wire::error_line(id, &rpc::error(rpc::INTERNAL, "nobody is there to answer"))
        }
    }
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
    instance
        .out
        .send(wire::error_line(id, &rpc::error(code, says)));
}

/// The same for what may be no request at all: left out while much waits to be read.
pub(super) fn refuse_if_room(instance: &Instance, id: &Raw, code: i32, says: &str) {
    let line = wire::error_line(id, &rpc::error(code, says));
    instance.out.send_if_room(line);
}

fn code(why: WhyNot) -> i32 {
    match why {
        // As if nobody offered it.
        WhyNot::NotDeclared | WhyNot::TurnedOff => rpc::METHOD_NOT_FOUND,
        WhyNot::TooMany | WhyNot::NoRoom | WhyNot::Stopped => rpc::INTERNAL,
    }
}

/// A question whose text cannot be labelled: it is not put to anybody.
#[derive(Debug)]
pub(super) struct Unlabelled;

/// What its server hears.
pub(super) const UNLABELLED: &str =
    "`message` is not a string, or a key is spelt like it, like `mode` or like `url`";

/// What says how a question is put: a client that does not look at case would show what
/// nobody has labelled, or open what nobody asked whether it may.
const SHOWN: [&str; 3] = ["message", "mode", "url"];

/// Puts the server's name before the text that the user will read, and leaves
/// the text as it is written, whatever a reader may make of it.
pub(super) fn labelled(
    server: &ServerName,
    method: &str,
    params: Option<Raw>,
) -> Result<Option<Raw>, Unlabelled> {
    if method != asks::ELICITATION {
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
    // Written anew, once: of what stands twice we read the first and others the last.
    for key in ["mode", "url"] {
        if let Some(value) = params.get(key) {
            edit.set(key, value.bytes().clone());
        }
    }
    Ok(Some(wire::without_ours(&edit.raw()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(params: &str) -> Result<String, Unlabelled> {
        let server = ServerName::parse("alpha").unwrap();
        let params = Raw::parse(params.to_owned().into());
        let labelled = labelled(&server, asks::ELICITATION, params)?;
        Ok(labelled.unwrap().text().to_owned())
    }

    #[test]
    fn what_stands_twice_is_put_once_as_it_was_judged() {
        assert_eq!(
            shown(r#"{"mode":"url","message":"Pay","url":"https://good","url":"https://evil"}"#)
                .unwrap(),
            r#"{"mode":"url","message":"[alpha] Pay","url":"https://good"}"#
        );
        assert_eq!(
            shown(r#"{"message":"Name?","message":"PIN?","mode":"form","mode":"url"}"#).unwrap(),
            r#"{"message":"[alpha] Name?","mode":"form"}"#
        );
    }

    #[test]
    fn what_somebody_could_read_for_it_is_not_put() {
        for params in [
            r#"{"mode":"url","message":"Pay","url":"https://good","URL":"https://evil"}"#,
            r#"{"message":"Name?","Message":"PIN?"}"#,
            r#"{"message":7}"#,
            "{}",
        ] {
            assert!(shown(params).is_err(), "{params}");
        }
    }
}
