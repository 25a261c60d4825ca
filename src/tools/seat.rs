//! Running one call in one instance, in the terms of its era.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    deadline::Deadline,
    instance::{Instance, lock},
    lane::Open,
    outgoing, questions, subscribe,
};
use crate::{
    domain::{Era, Fingerprint, Subject, ToolFault},
    ports::{Answer, Boxed, Caller, Job, Permit, QUESTIONS, Question, Reply, Seat, Spent},
    wire::{self, Body, Edit, Parts, Raw, keys},
};

/// Rounds of questions after which a server does not mean to finish.
const MAX_ROUNDS: usize = 10;

/// What stands around the parameters of a request, at most.
const AROUND: usize = 128;

impl Seat for Arc<Instance> {
    fn era(&self) -> Era {
        Instance::era(self)
    }

    fn definition(&self, tool: &str) -> Option<Fingerprint> {
        self.definitions
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(tool)
            .copied()
    }

    fn run<'a>(&'a self, permit: Permit, job: Job) -> Boxed<'a, (Spent, Result<Reply, ToolFault>)> {
        Box::pin(async move {
            let spent = permit.spend();
            let reply = run(self, &job).await;
            (spent, reply)
        })
    }
}

async fn run(instance: &Arc<Instance>, job: &Job) -> Result<Reply, ToolFault> {
    instance.host.is(Some(job.caller.clone()));
    // Kept back while it was stopped; it may be so again.
    if job.caller.is_cancelled().is_none() && instance.host.takes_news_of_roots() {
        instance.roots_changed();
    }
    match &job.subject {
        Subject::Subscribe(uri) => Box::pin(subscribe::add(instance, job, uri)).await,
        Subject::Unsubscribe(uri) => Box::pin(subscribe::remove(instance, job, uri)).await,
        Subject::Tool(_) | Subject::Prompt(_) | Subject::Resource(_) | Subject::Completion(_) => {
            ask(instance, job).await
        }
    }
}

/// Puts the agent's request to the server.
pub(super) async fn ask(instance: &Arc<Instance>, job: &Job) -> Result<Reply, ToolFault> {
    match instance.era() {
        Era::Legacy => {
            if let Some(level) = job.caller.log_level() {
                Box::pin(set_log_level(instance, job.caller.as_ref(), level)).await;
            }
            let body = round(instance, job, Vec::new()).await?;
            Ok(plain(body))
        }
        Era::Modern => Box::pin(rounds(instance, job)).await,
    }
}

fn plain(body: Body) -> Reply {
    match body {
        Body::Result(result) => Reply::Result(result),
        Body::Error(error) => Reply::Error(error),
    }
}

/// One request and its answer.
async fn round(
    instance: &Arc<Instance>,
    job: &Job,
    extra: Vec<(&'static str, Bytes)>,
) -> Result<Body, ToolFault> {
    let ticket = instance.open(Some(job.caller.clone()), Deadline::new(job.idle, job.total))?;
    let open = Open {
        caller: job.caller.clone(),
        clock: ticket.clock().clone(),
    };
    let running = match instance.lane.enter_now(ticket.id, open) {
        Ok(running) => running,
        Err(open) => {
            // The time before its turn is not the server's, but it has an end
            // as well.
            ticket.clock().pause(Instant::now());
            let id = ticket.id;
            let entered = Box::pin(async move {
                tokio::select! {
                    biased;
                    running = instance.lane.enter(id, open) => Ok(running),
                    reason = job.caller.cancelled() => Err(ToolFault::Cancelled(reason)),
                    () = tokio::time::sleep(job.total) => Err(ToolFault::Busy(job.total)),
                }
            })
            .await;
            match entered {
                Ok(running) => {
                    ticket.clock().resume(Instant::now());
                    running
                }
                Err(fault) => {
                    ticket.never_sent();
                    return Err(fault);
                }
            }
        }
    };
    let params = outgoing::params(
        &job.subject,
        job.params.as_ref(),
        instance.era(),
        job.caller.as_ref(),
        job.caller.wants_progress().then_some(ticket.id),
        &extra,
    );
    let line = wire::request_line(&ticket.id.to_string(), job.subject.method(), &params);
    // What was answered counts until its server has taken it, not until that has worked.
    drop((params, extra));
    // A server that does not read its input must not fill our memory.
    let bytes = line.iter().map(Bytes::len).sum();
    let room = match instance.out.room_now(bytes) {
        Some(room) => Some(room),
        None => {
            Box::pin(async {
                tokio::select! {
                    biased;
                    _ = job.caller.cancelled() => None,
                    room = instance.out.room(bytes) => room,
                    () = tokio::time::sleep(job.idle.min(job.total)) => None,
                }
            })
            .await
        }
    };
    // Nothing is awaited between this look and the sending: what is cancelled
    // does not leave any more.
    if let Some(reason) = job.caller.is_cancelled() {
        ticket.never_sent();
        return Err(ToolFault::Cancelled(reason));
    }
    if !instance.is_pending(ticket.id) {
        // Its deadline passed while the server did not read its input: it must
        // not leave after it was given up.
        ticket.never_sent();
        return Err(ToolFault::Busy(job.idle));
    }
    let Some(room) = room else {
        ticket.never_sent();
        return Err(match instance.out.is_closed() {
            true => Box::pin(instance.gone()).await,
            false => ToolFault::Busy(job.idle),
        });
    };
    job.caller.leaves();
    if !instance.out.send_with(line, Some(room)) {
        return Err(Box::pin(instance.gone()).await);
    }
    let answer = ticket.wait(Some(&job.caller)).await;
    if answer.as_ref().is_err_and(goes_on) {
        running.given_up();
    }
    answer.and_then(|body| well_formed(body, &job.subject))
}

/// What is asked for comes in an object, and what comes otherwise says nothing to anybody.
/// That something was begun or ended is said by any answer.
fn well_formed(body: Body, subject: &Subject) -> Result<Body, ToolFault> {
    let is_object = match &body {
        Body::Result(result) => result.text().starts_with('{'),
        Body::Error(_) => true,
    };
    match subject {
        Subject::Tool(_) | Subject::Prompt(_) | Subject::Resource(_) | Subject::Completion(_)
            if !is_object =>
        {
            let why = "its result is not an object";
            Err(ToolFault::Malformed(why.to_owned()))
        }
        Subject::Tool(_)
        | Subject::Prompt(_)
        | Subject::Resource(_)
        | Subject::Completion(_)
        | Subject::Subscribe(_)
        | Subject::Unsubscribe(_) => Ok(body),
    }
}

/// Whether a server may work on a call that has failed like this, and ask for it.
fn goes_on(fault: &ToolFault) -> bool {
    match fault {
        ToolFault::Idle(_) | ToolFault::Overdue(_) | ToolFault::Cancelled(_) => true,
        ToolFault::NotStarted(_)
        | ToolFault::Busy(_)
        | ToolFault::Exited(_)
        | ToolFault::Oversized { .. }
        | ToolFault::Malformed(_)
        | ToolFault::Unsent(_)
        | ToolFault::Protocol(_) => false,
    }
}

/// A call to a server of the stateless era, through its questions if the agent
/// cannot carry them itself.
async fn rounds(instance: &Arc<Instance>, job: &Job) -> Result<Reply, ToolFault> {
    let mut extra: Vec<(&'static str, Bytes)> = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let result = match round(instance, job, std::mem::take(&mut extra)).await? {
            Body::Result(result) => result,
            Body::Error(error) => return Ok(Reply::Error(error)),
        };
        let kind = result.get("resultType");
        match kind.as_ref().and_then(Raw::as_str) {
            None | Some(Cow::Borrowed("complete")) => return Ok(Reply::Result(result)),
            Some(kind) if kind == "input_required" => {}
            Some(kind) => {
                return Err(ToolFault::Protocol(format!(
                    "its answer is of the type `{kind}`, which nobody asked for"
                )));
            }
        }
        if let Some(meant) = wire::misspelt(&result, &keys::ASKS) {
            return Err(misspelt(meant));
        }
        match job.caller.era() {
            Era::Modern => return label_all(instance, &result).map(Reply::Asks),
            Era::Legacy => extra = answers(instance, job.caller.as_ref(), &result).await?,
        }
    }
    Err(ToolFault::Protocol(format!(
        "it still asks after {MAX_ROUNDS} rounds"
    )))
}

/// Puts each question of a server to an agent of the handshake era.
async fn answers(
    instance: &Arc<Instance>,
    caller: &dyn Caller,
    result: &Raw,
) -> Result<Vec<(&'static str, Bytes)>, ToolFault> {
    let mut extra = Vec::new();
    if let Some(state) = result.get("requestState") {
        extra.push(("requestState", state.bytes().clone()));
    }
    let Some(asked) = result.get("inputRequests") else {
        // Nothing to ask: the server wants the call again, a little later.
        tokio::time::sleep(Duration::from_millis(250)).await;
        return Ok(extra);
    };
    let mut responses = Responses::default();
    for (key, request) in wire::members(asked.text()) {
        let request = asked.part(request);
        well_spelt(&request)?;
        let method: Box<str> = request
            .get("method")
            .and_then(|method| method.as_str().map(|m| m.as_ref().into()))
            .unwrap_or_default();
        let params = request.get("params");
        let question = Question {
            server: instance.server.clone(),
            params: questions::labelled(&instance.server, &method, params).map_err(unlabelled)?,
            method,
        };
        let mut ended = instance.watch_end();
        let answer = tokio::select! {
            biased;
            heard = caller.ask(question) => heard.leaves(),
            // Who asked is not there any more.
            () = async { drop(ended.wait_for(Option::is_some).await) } => {
                return Err(Box::pin(instance.gone()).await);
            }
        };
        match answer {
            Answer::Result(answer) => responses.add(key, answer),
            // No answer to a question is not an error: the server asks again or
            // goes on without.
            Answer::Error(_) => {}
            // Else it would ask again, and hear nothing.
            Answer::Refused(not) => return Err(not.into()),
            Answer::Gone => {
                let why = caller.is_cancelled();
                let why = why.unwrap_or_else(|| "nobody answered what it asked".to_owned());
                return Err(ToolFault::Cancelled(why));
            }
        }
    }
    extra.push(("inputResponses", responses.text()));
    Ok(extra)
}

/// What was answered to what a server has asked together: an object.
#[derive(Default)]
struct Responses {
    text: Vec<u8>,
    /// What stands in it: it counts until all of them have left.
    answers: Vec<Raw>,
}

impl Responses {
    fn add(&mut self, key: &str, answer: Raw) {
        let before = match self.answers.is_empty() {
            true => b'{',
            false => b',',
        };
        self.text.push(before);
        for part in [key.as_bytes(), b":", answer.bytes()] {
            self.text.extend_from_slice(part);
        }
        self.answers.push(answer);
    }

    fn text(mut self) -> Bytes {
        if self.answers.is_empty() {
            return Bytes::from_static(b"{}");
        }
        self.text.push(b'}');
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Responses {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// Names the server in every question that passes on its own.
fn label_all(instance: &Instance, result: &Raw) -> Result<Raw, ToolFault> {
    let Some(asked) = result.get("inputRequests") else {
        return Ok(result.clone());
    };
    let mut members: Vec<String> = Vec::new();
    for (key, request) in wire::members(asked.text()) {
        // Before they are taken apart: a line has room for a million.
        if members.len() >= QUESTIONS {
            let says = format!("it asks more than {QUESTIONS} questions in one call");
            return Err(ToolFault::Protocol(says));
        }
        let request = asked.part(request);
        well_spelt(&request)?;
        let method = request.get("method");
        let method = method.as_ref().and_then(Raw::as_str).unwrap_or_default();
        let params = questions::labelled(&instance.server, &method, request.get("params"))
            .map_err(unlabelled)?;
        let mut edit = Edit::new(&request);
        // Written anew, once: what stands twice reads one way here and another
        // way there.
        edit.set("method", wire::quote(&method));
        if let Some(params) = params {
            edit.set("params", params.bytes().clone());
        }
        let request: Parts = edit.parts();
        members.push(format!(
            "{key}:{}",
            String::from_utf8_lossy(&request.concat())
        ));
    }
    let mut edit = Edit::new(result);
    edit.set("resultType", "\"input_required\"");
    edit.set("inputRequests", format!("{{{}}}", members.join(",")));
    Ok(edit.raw())
}

fn unlabelled(_: questions::Unlabelled) -> ToolFault {
    ToolFault::Protocol(format!(
        "what it asks cannot be shown: {}",
        questions::UNLABELLED
    ))
}

/// A question in which nobody reads another method or other parameters than we.
fn well_spelt(request: &Raw) -> Result<(), ToolFault> {
    match wire::misspelt(request, &["method", "params"]) {
        Some(meant) => Err(misspelt(meant)),
        None => Ok(()),
    }
}

/// Clients that do not look at the case of a key would read what we have not.
fn misspelt(meant: &str) -> ToolFault {
    ToolFault::Protocol(format!("it asks with a `{meant}` that is spelt otherwise"))
}

/// A server of the handshake era is told the level that its caller wants.
async fn set_log_level(instance: &Arc<Instance>, caller: &dyn Caller, level: String) {
    let logs = instance
        .greeting
        .get()
        .is_some_and(|greeting| greeting.has("logging"));
    let told = {
        let mut told = lock(&instance.log_level);
        let same = told.as_deref() == Some(level.as_str());
        *told = Some(level.clone());
        same
    };
    if logs && !told {
        let params = format!("{{\"level\":{}}}", wire::quote(&level));
        // One that does not read what it is sent hears of it with a later call: each may
        // name another level, as long as it likes, and be cancelled at once.
        let Some(room) = instance.out.room_now(params.len() + AROUND) else {
            lock(&instance.log_level).take();
            return;
        };
        let params = [params.into()];
        let limit = Duration::from_secs(3);
        tokio::select! {
            biased;
            // Whether it has heard of the level is not known then.
            _ = caller.cancelled() => {
                lock(&instance.log_level).take();
            }
            // A server that refuses the level still serves the call.
            _ = instance.request_with("logging/setLevel", &params, limit, Some(room)) => {}
        }
    }
}
