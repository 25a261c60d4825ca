//! The stateless era: every request says who asks and what it can be asked.
//!
//! A question of a server ends the request with `input_required`; the call waits
//! here, parked, until the agent repeats the request with the answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    caller::{ModernCaller, Round},
    connection::{Cancel, Connection, Responder, error, lock},
    dispatch::{self, CAPABILITIES},
    meta::Meta,
    parked::{self, Parked, Waiting},
    shape::{self, Shaped},
    state::{self, State},
    unanswered::Share,
};
use crate::{
    broker::{Answer, Asked, Request},
    domain::Era,
    ports::Question,
    wire::{self, Edit, Raw, keys},
};

/// Questions that come this close together are put in one result.
const TOGETHER: Duration = Duration::from_millis(25);

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
    responder.answer_now(Shaped::Result(vec![result.into()]));
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
    pub(super) caller: Arc<ModernCaller>,
    pub(super) questions:
        mpsc::UnboundedReceiver<(Question, oneshot::Sender<crate::ports::Answer>)>,
    pub(super) asked: Asked,
    pub(super) binding: String,
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
    let binding = state::binding(
        &connection.session.principal().agent,
        method(asked),
        params.as_ref(),
    );
    let round = Round {
        capabilities: dispatch::declared(&meta),
        log_level: meta.log_level,
        progress: meta.progress,
        on_the_line: true,
    };
    let sealed = params
        .as_ref()
        .and_then(|params| params.get("requestState"));
    let share = &mut responder.share;
    let running = match sealed {
        None => begin(&connection, asked, params, round, binding, share),
        Some(sealed) => {
            let opened = sealed
                .as_str()
                .and_then(|sealed| connection.seal.open(&sealed, &binding));
            match opened {
                Some(State::Relay(inner)) => {
                    let params = params.map(|params| {
                        let mut edit = Edit::new(&params);
                        edit.set("requestState", inner);
                        edit.raw()
                    });
                    begin(&connection, asked, params, round, binding, share)
                }
                Some(State::Parked(handle)) => {
                    let resumed = parked::resume(&connection, &handle, params.as_ref(), round);
                    drop(params);
                    match resumed {
                        Some(running) => running,
                        None => {
                            return responder.answer_now(Shaped::Error(error(
                                -32602,
                                "the call that this `requestState` belongs to no longer waits",
                            )));
                        }
                    }
                }
                None => {
                    return responder.answer_now(Shaped::Error(error(
                        -32602,
                        "`requestState` is not valid for this request",
                    )));
                }
            }
        }
    };
    watch(connection, responder, running).await;
}

fn begin(
    connection: &Arc<Connection>,
    asked: Asked,
    params: Option<Raw>,
    round: Round,
    binding: String,
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
        caller: caller.clone(),
    };
    let broker = connection.broker.clone();
    // A task of its own: a call that is parked outlives its request.
    let task = tokio::spawn(async move { broker.call(request).await });
    Running {
        task,
        caller,
        questions,
        asked,
        binding,
        _share: std::mem::take(share),
    }
}

/// Waits for the end of the call or its next question.
async fn watch(connection: Arc<Connection>, responder: Responder, mut running: Running) {
    tokio::select! {
        biased;
        answer = &mut running.task => {
            lock(&running.caller.round).on_the_line = false;
            match answer {
                Ok(answer) => finish(&connection, responder, answer, running).await,
                // The drop of the responder answers: the task panicked.
                Err(panic) => tracing::error!("a call was abandoned: {panic}"),
            }
        }
        Some(first) = running.questions.recv() => {
            lock(&running.caller.round).on_the_line = false;
            ask(connection, responder, running, first).await;
        }
        reason = responder.cancel.pulled() => {
            running.caller.cancel.pull(&reason);
            if let Ok(answer) = (&mut running.task).await {
                finish(&connection, responder, answer, running).await;
            }
        }
    }
}

/// Ends the request with the server's questions and parks the call.
async fn ask(
    connection: Arc<Connection>,
    responder: Responder,
    mut running: Running,
    first: (Question, oneshot::Sender<crate::ports::Answer>),
) {
    let mut questions = vec![first];
    while let Ok(Some(next)) = tokio::time::timeout(TOGETHER, running.questions.recv()).await {
        questions.push(next);
    }
    // Cancelled while the questions were gathered: nobody would come back for it.
    if let Some(reason) = responder.cancel.reason() {
        running.caller.cancel.pull(&reason);
        drop(questions);
        if let Ok(answer) = (&mut running.task).await {
            finish(&connection, responder, answer, running).await;
        }
        return;
    }
    let can = lock(&running.caller.round).capabilities;
    let undeclared = questions.iter().find_map(|(question, _)| {
        parked::undeclared(can, &question.method, question.params.as_ref())
    });
    if let Some(undeclared) = undeclared {
        running
            .caller
            .cancel
            .pull("the agent's client cannot be asked");
        drop(questions);
        return responder.answer_now(Shaped::Error(undeclared));
    }
    let waiting: Vec<Waiting> = questions
        .into_iter()
        .enumerate()
        .map(|(nth, (question, answer))| Waiting {
            key: format!("q{}", nth + 1),
            question,
            answer,
        })
        .collect();
    let result = parked::park(&connection, running, waiting);
    responder.answer(result).await;
}

/// Answers with how the call ended.
async fn finish(
    connection: &Arc<Connection>,
    responder: Responder,
    answer: Answer,
    running: Running,
) {
    let shaped = match answer {
        Answer::Asks { call, result } => relay(connection, &call, &result, &running),
        answer => shape::answer(&connection.broker, answer, Era::Modern, running.asked),
    };
    // The call is over, the answer may take its time.
    drop(running);
    responder.answer(shaped).await;
}

/// A server's own `input_required`, its state under our seal. It may hold only
/// questions that this request can be asked.
fn relay(
    connection: &Arc<Connection>,
    call: &crate::domain::Call,
    result: &Raw,
    running: &Running,
) -> Shaped {
    let can = lock(&running.caller.round).capabilities;
    let result = &*wire::content_without_ours(result);
    let asked = result.get("inputRequests");
    let undeclared = asked
        .iter()
        .flat_map(|asked| wire::members(asked.text()).map(|(_, request)| asked.part(request)))
        .find_map(|request| {
            let method = request.get("method");
            let method = method.as_ref().and_then(Raw::as_str).unwrap_or_default();
            parked::undeclared(can, &method, request.get("params").as_ref())
        });
    if let Some(undeclared) = undeclared {
        return Shaped::Error(undeclared);
    }
    let mut edit = Edit::new(result);
    if let Some(inner) = result.get("requestState") {
        match connection
            .seal
            .seal(&State::Relay(inner.text().to_owned()), &running.binding)
        {
            Some(sealed) => edit.set("requestState", wire::quote(&sealed)),
            None => return Shaped::Error(error(-32603, "the request's state cannot be sealed")),
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
        }
    }
}
