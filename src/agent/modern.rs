//! The stateless era: every request says who asks and what it can be asked.
//!
//! A question of a server ends the request with `input_required`; the call waits
//! here, parked, until the agent repeats the request with the answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use super::{
    caller::{ModernCaller, Pending, Round},
    connection::{Cancel, Connection, Responder, lock},
    dispatch::{self, CAPABILITIES},
    meta::Meta,
    parked::{self, Parked, Waiting},
    shape::{self, Shaped},
    state::{Binding, Bound, State},
    unanswered::Share,
};
use crate::{
    broker::{Answer, Asked, READ_ALREADY, Request},
    domain::{Era, ServerName},
    lines::Room,
    wire::{self, Ask, Edit, Raw, asks, keys, rpc},
};

/// Questions that come this soon after the first are put in one result with it.
const TOGETHER: Duration = Duration::from_millis(25);

/// The most that are.
const MAX_TOGETHER: usize = 64;

/// `server/discover`
pub(super) fn discover(connection: &Arc<Connection>, id: Raw, share: Share) {
    let Some(responder) = connection.open(id, share) else {
        return;
    };
    let instructions = connection
        .broker
        .view(&connection.session)
        .instructions
        .clone();
    let result = format!(
        "{{\"resultType\":\"complete\",\"supportedVersions\":[{}],\"capabilities\":{CAPABILITIES},\"instructions\":{},\"ttlMs\":0,\"cacheScope\":\"private\",\"_meta\":{}}}",
        wire::quote(keys::MODERN_VERSION),
        wire::quote(&instructions),
        own_meta()
    );
    responder.answer_now(&Shaped::Result(vec![result.into()]));
}

/// The `_meta` of our own results.
pub(super) fn own_meta() -> String {
    format!(
        "{{{}:{}}}",
        wire::quote(keys::SERVER_INFO),
        shape::server_info()
    )
}

/// A call that runs, over all the rounds that it takes.
pub(super) struct Running {
    pub(super) task: JoinHandle<Answer>,
    /// Told once the call has ended, whether or not a request of the agent is open for it.
    pub(super) over: Arc<Notify>,
    pub(super) caller: Arc<ModernCaller>,
    pub(super) questions: mpsc::UnboundedReceiver<Pending>,
    pub(super) asked: Asked,
    pub(super) binding: Binding,
    /// What the request that began it takes: it stays while the call is parked.
    _share: Share,
}

/// One round of a call: the request that begins it, or one that goes on.
pub(super) async fn call(
    connection: Arc<Connection>,
    mut responder: Responder,
    asked: Asked,
    params: Option<Raw>,
    meta: Meta,
) {
    let mut binding = Binding::Unread {
        method: method(asked),
        params: params.clone(),
    };
    let round = Round {
        capabilities: dispatch::declared(&meta),
        log_level: meta.log_level,
        progress: meta.progress,
        on_the_line: true,
        is_told: true,
    };
    let sealed = params
        .as_ref()
        .and_then(|params| params.get("requestState"));
    let running = match sealed {
        None => {
            let share = &mut responder.share;
            begin(&connection, asked, (params, None), round, binding, share)
        }
        Some(sealed) => {
            let Some(bound) = bound(&connection, &mut binding, &responder.cancel).await else {
                let why = responder.cancel.reason();
                let why = rpc::error(rpc::INTERNAL, why.as_deref().unwrap_or(READ_ALREADY));
                return responder.answer(Shaped::Error(why)).await;
            };
            let share = &mut responder.share;
            let opened = sealed
                .as_str()
                .and_then(|sealed| connection.seal.open(&sealed, &bound));
            match opened {
                Some(State::Relay { server, state }) => {
                    let params = params.map(|params| {
                        let mut edit = Edit::new(&params);
                        edit.set("requestState", state);
                        edit.raw()
                    });
                    let goes_on = (params, Some(server));
                    begin(&connection, asked, goes_on, round, binding, share)
                }
                Some(State::Parked(handle)) => {
                    let resumed = parked::resume(&connection, &handle, params.as_ref(), round);
                    drop(params);
                    match resumed {
                        Some(running) => running,
                        None => {
                            return responder.answer_now(&Shaped::Error(rpc::error(
                                rpc::INVALID_PARAMS,
                                "the call that this `requestState` belongs to no longer waits",
                            )));
                        }
                    }
                }
                None => {
                    return responder.answer_now(&Shaped::Error(rpc::error(
                        rpc::INVALID_PARAMS,
                        "`requestState` is not valid for this request",
                    )));
                }
            }
        }
    };
    watch(connection, responder, running).await;
}

/// What the states of a call are bound to, for as long as the request is not cancelled.
async fn bound(connection: &Connection, binding: &mut Binding, cancel: &Cancel) -> Option<Bound> {
    tokio::select! {
        biased;
        bound = binding.read(connection) => bound,
        _ = cancel.pulled() => None,
    }
}

fn begin(
    connection: &Arc<Connection>,
    asked: Asked,
    (params, goes_on): (Option<Raw>, Option<ServerName>),
    round: Round,
    binding: Binding,
    share: &mut Share,
) -> Running {
    let (sender, questions) = mpsc::unbounded_channel();
    let caller = Arc::new(ModernCaller {
        connection: connection.clone(),
        questions: sender,
        cancel: Cancel::new(),
        round: Mutex::new(round),
    });
    let request = Request {
        session: connection.session.clone(),
        asked,
        params,
        goes_on,
        caller: caller.clone(),
    };
    let broker = connection.broker.clone();
    // A task of its own: a call that is parked outlives its request.
    let over = Arc::new(Notify::new());
    let told = over.clone();
    let task = tokio::spawn(async move {
        let answer = broker.call(request).await;
        told.notify_one();
        answer
    });
    Running {
        task,
        over,
        caller,
        questions,
        asked,
        binding,
        _share: std::mem::take(share),
    }
}

/// Waits for the end of the call or its next questions.
async fn watch(connection: Arc<Connection>, responder: Responder, mut running: Running) {
    loop {
        tokio::select! {
            biased;
            answer = &mut running.task => {
                lock(&running.caller.round).on_the_line = false;
                return match answer {
                    Ok(answer) => finish(&connection, responder, answer, running).await,
                    // The drop of the responder answers: the task panicked.
                    Err(panic) => tracing::error!("a call was abandoned: {panic}"),
                };
            }
            reason = responder.cancel.pulled() => {
                running.caller.cancel.pull(&reason);
                if let Ok(answer) = (&mut running.task).await {
                    finish(&connection, responder, answer, running).await;
                }
                return;
            }
            Some(first) = running.questions.recv() => {
                // What is not declared and comes now must not take an answer with it.
                lock(&running.caller.round).is_told = false;
                // Before it is looked who still waits for what: it may take a while.
                let bound = bound(&connection, &mut running.binding, &responder.cancel).await;
                let mut questions = gather(first, &mut running.questions, &responder.cancel).await;
                let size = size(&questions);
                let room = match connection.out.room_now(size) {
                    Some(room) => Some(room),
                    // Until there is some their call may end, and they with it.
                    None => tokio::select! {
                        biased;
                        () = running.over.notified() => continue,
                        _ = responder.cancel.pulled() => continue,
                        room = connection.out.room(size) => room,
                    },
                };
                questions.retain(|known| !known.is_withdrawn());
                // Cancelled meanwhile: nobody would come back for it. Or all withdrawn:
                // nothing to ask.
                if responder.cancel.reason().is_none() && !questions.is_empty() {
                    lock(&running.caller.round).on_the_line = false;
                    let asked = (questions, bound, room);
                    return ask(connection, responder, running, asked).await;
                }
                lock(&running.caller.round).is_told = true;
            }
        }
    }
}

/// The questions that come within a moment of the first, but for those that are
/// withdrawn within it.
async fn gather(
    first: Pending,
    more: &mut mpsc::UnboundedReceiver<Pending>,
    cancel: &Cancel,
) -> Vec<Pending> {
    let mut questions = vec![first];
    // One moment for all of them: a server may go on asking.
    let moment = tokio::time::sleep(TOGETHER);
    tokio::pin!(moment);
    while questions.len() < MAX_TOGETHER {
        tokio::select! {
            biased;
            () = &mut moment => break,
            _ = cancel.pulled() => break,
            Some(next) = more.recv() => {
                questions.retain(|known| !known.is_withdrawn());
                questions.push(next);
            }
        }
    }
    questions.retain(|known| !known.is_withdrawn());
    questions
}

/// What a result with these questions takes, about.
fn size(questions: &[Pending]) -> usize {
    let texts = questions.iter().filter_map(Pending::question);
    let texts = texts.map(|question| question.params.map_or(0, |params| params.bytes().len()));
    texts.map(|text| text + AROUND).sum()
}

/// What stands around a question, and around all of them.
const AROUND: usize = 512;

/// Ends the request with the server's questions and parks the call.
async fn ask(
    connection: Arc<Connection>,
    responder: Responder,
    running: Running,
    (questions, bound, room): (Vec<Pending>, Option<Bound>, Option<Room>),
) {
    let can = lock(&running.caller.round).capabilities;
    let pending = questions.iter();
    let lacking: Vec<_> = pending.filter_map(|pending| pending.lacks(can)).collect();
    if !lacking.is_empty() {
        running
            .caller
            .cancel
            .pull("the agent's client cannot be asked");
        drop(questions);
        return responder.answer_now(&Shaped::Error(asks::not_declared(lacking)));
    }
    let Some(bound) = bound else {
        running.caller.cancel.pull(READ_ALREADY);
        drop(questions);
        return responder.answer_now(&Shaped::Error(rpc::error(rpc::INTERNAL, READ_ALREADY)));
    };
    let waiting: Vec<Waiting> = questions
        .into_iter()
        .enumerate()
        .map(|(nth, pending)| Waiting {
            key: format!("q{}", nth + 1),
            pending,
        })
        .collect();
    let result = parked::park(&connection, running, &bound, waiting);
    responder.answer_in(room, result).await;
}

/// Answers with how the call ended.
async fn finish(
    connection: &Arc<Connection>,
    responder: Responder,
    answer: Answer,
    mut running: Running,
) {
    let (call, result) = match answer {
        Answer::Asks { call, result } => (call, result),
        answer => {
            let shaped = shape::answer(&connection.broker, answer, Era::Modern, running.asked);
            // The call is over, the answer may take its time.
            drop(running);
            return responder.deliver(shaped).await;
        }
    };
    let shaped = Box::pin(relay(connection, &call, &result, &mut running)).await;
    let asked = running.asked;
    drop(running);
    // It may have waited for the next round since it was judged, and waits for room now.
    let instead = || {
        let cut = Answer::CutShort {
            refusal: Box::new(connection.broker.silences(&call)?),
            call,
            has_output_schema: false,
        };
        Some(shape::answer(&connection.broker, cut, Era::Modern, asked))
    };
    responder.deliver_unless(shaped, instead).await;
}

/// A server's own `input_required`, its state under our seal. It may hold only
/// questions that this request can be asked.
async fn relay(
    connection: &Arc<Connection>,
    call: &crate::domain::Call,
    result: &Raw,
    running: &mut Running,
) -> Shaped {
    let can = lock(&running.caller.round).capabilities;
    let result = &*wire::content_without_ours(result);
    let asked = result.get("inputRequests");
    let lacking: Vec<_> = asked
        .iter()
        .flat_map(|asked| wire::members(asked.text()).map(|(_, request)| asked.part(request)))
        .map(|request| {
            let method = request.get("method");
            let method = method.as_ref().and_then(Raw::as_str).unwrap_or_default();
            Ask::of(&method, request.get("params").as_ref())
        })
        .filter(|asks| !asks.is_some_and(|asks| asks.is_declared(can)))
        .collect();
    if !lacking.is_empty() {
        return Shaped::Error(asks::not_declared(lacking));
    }
    let mut edit = Edit::new(result);
    if let Some(inner) = result.get("requestState") {
        let Some(bound) = running.binding.read(connection).await else {
            return Shaped::Error(rpc::error(rpc::INTERNAL, READ_ALREADY));
        };
        let state = State::Relay {
            server: call.server.clone(),
            state: inner.text().to_owned(),
        };
        match connection.seal.seal(&state, &bound) {
            Some(sealed) => edit.set("requestState", wire::quote(&sealed)),
            None => {
                return Shaped::Error(rpc::error(
                    rpc::INTERNAL,
                    "the request's state cannot be sealed",
                ));
            }
        };
    }
    edit.set("_meta", shape::meta(result, call, None, Era::Modern));
    Shaped::Result(edit.parts())
}

fn method(asked: Asked) -> &'static str {
    match asked {
        Asked::Tool => "tools/call",
        Asked::Prompt => "prompts/get",
        Asked::Resource => "resources/read",
        Asked::Completion => "completion/complete",
        Asked::Subscribe => "resources/subscribe",
        Asked::Unsubscribe => "resources/unsubscribe",
    }
}

impl Running {
    /// Puts the call aside with the questions it waits for.
    pub(super) fn parked(self, waiting: Vec<Waiting>) -> Parked {
        Parked {
            running: self,
            waiting,
            expires: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agent::caller::pending, domain::ServerName, ports::Question};

    fn question() -> (Pending, impl Future<Output = crate::ports::Answer>) {
        let question = Question {
            server: ServerName::parse("alpha").unwrap(),
            method: "roots/list".into(),
            params: None,
        };
        pending(question, false)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_goes_on_asking_is_heard_for_a_moment_and_what_it_withdrew_is_not_asked()
    {
        let (sender, mut more) = mpsc::unbounded_channel();
        let (first, mut waiting) = question();
        tokio::spawn(async move {
            loop {
                // Each in place of the one before.
                let (next, instead) = question();
                if sender.send(next).is_err() {
                    return;
                }
                drop(std::mem::replace(&mut waiting, instead));
                tokio::time::sleep(TOGETHER / 5).await;
            }
        });
        let cancel = Cancel::new();
        let gathered = tokio::time::timeout(TOGETHER * 2, gather(first, &mut more, &cancel));
        let gathered = gathered.await.unwrap();
        assert_eq!(gathered.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_gathered_than_one_server_may_have_open_and_a_cancel_ends_it() {
        let (sender, mut more) = mpsc::unbounded_channel();
        let (first, _first) = question();
        let mut waiting = Vec::new();
        for _ in 0..MAX_TOGETHER {
            let (next, answer) = question();
            waiting.push(answer);
            sender.send(next).unwrap();
        }
        let cancel = Cancel::new();
        let gathered = gather(first, &mut more, &cancel).await;
        assert_eq!(gathered.len(), MAX_TOGETHER);
        let before = tokio::time::Instant::now();
        cancel.pull("enough");
        let (first, _first) = question();
        gather(first, &mut more, &cancel).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
