//! Calls that wait for an agent to come back with answers.

use std::sync::Arc;

use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::{
    caller::{Pending, Round},
    connection::{Connection, lock},
    modern::Running,
    shape::Shaped,
    state::{self, Bound, State},
};
use crate::{
    ports::Answer,
    wire::{self, Edit, Raw, rpc},
};

/// Calls that may wait on one connection.
const MAX_PARKED: usize = 64;

/// See the module.
pub(super) struct Parked {
    pub(super) running: Running,
    pub(super) waiting: Vec<Waiting>,
    /// Once it is in its place.
    pub(super) expires: Option<Expires>,
}

/// What gives a parked call up when its time is over; it goes with this.
pub(super) struct Expires(AbortHandle);

impl Drop for Expires {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One question that is open.
pub(super) struct Waiting {
    pub(super) key: String,
    pub(super) pending: Pending,
}

impl Parked {
    /// Nobody comes back: the questions are cancelled, and so is the call.
    pub(super) fn abandon(self, reason: &str) {
        for waiting in self.waiting {
            waiting.pending.answer(Answer::Gone);
        }
        self.running.caller.cancel.pull(reason);
    }
}

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

/// Parks a call; the result that asks the agent its questions.
pub(super) fn park(
    connection: &Arc<Connection>,
    running: Running,
    bound: &Bound,
    waiting: Vec<Waiting>,
) -> Shaped {
    let requests: Vec<String> = waiting
        .iter()
        .filter_map(|waiting| {
            let question = waiting.pending.question()?;
            let params = question.params.map(for_modern);
            let params = params.as_ref().map_or("{}", Raw::text);
            Some(format!(
                "{}:{{\"method\":{},\"params\":{params}}}",
                wire::quote(&waiting.key),
                wire::quote(&question.method)
            ))
        })
        .collect();
    let handle = handle(connection, bound);
    let sealed = connection.seal.seal(&State::Parked(handle.clone()), bound);
    let Some(sealed) = sealed else {
        running
            .parked(waiting)
            .abandon("its state cannot be sealed");
        return Shaped::Error(rpc::error(
            rpc::INTERNAL,
            "the request's state cannot be sealed",
        ));
    };
    let mut parked = running.parked(waiting);
    let mut places = lock(&connection.parked);
    if places.len() >= MAX_PARKED {
        // Who comes back hears how its call ended, as long as nobody needs the place.
        places.retain(|_, parked| !parked.running.task.is_finished());
    }
    if places.len() >= MAX_PARKED {
        drop(places);
        parked.abandon("too many calls wait for answers");
        return Shaped::Error(rpc::error(
            rpc::INTERNAL,
            "too many calls wait for answers on this connection",
        ));
    }
    let over = parked.running.over.clone();
    let expires = tokio::spawn(expire(connection.clone(), handle.clone(), over));
    parked.expires = Some(Expires(expires.abort_handle()));
    places.insert(handle, parked);
    drop(places);
    Shaped::Result(vec![
        format!(
            "{{\"resultType\":\"input_required\",\"inputRequests\":{{{}}},\"requestState\":{},\"_meta\":{}}}",
            requests.join(","),
            wire::quote(&sealed),
            super::modern::own_meta()
        )
        .into(),
    ])
}

/// Takes a parked call up again with the answers that came. Questions without
/// an answer are asked again: they go back to the call's own channel.
pub(super) fn resume(
    connection: &Arc<Connection>,
    handle: &str,
    params: Option<&Raw>,
    round: Round,
) -> Option<Running> {
    let Parked {
        running, waiting, ..
    } = lock(&connection.parked).remove(handle)?;
    *lock(&running.caller.round) = round;
    let answers = params.and_then(|params| params.get("inputResponses"));
    for waiting in waiting {
        // What is no answer at all counts as none.
        let answer = answers
            .as_ref()
            .and_then(|answers| answers.get(&waiting.key))
            .filter(|answer| answer.text().starts_with('{'));
        match answer {
            Some(answer) => {
                waiting.pending.answer(Answer::Result(answer));
            }
            None => {
                // The call holds the receiving end, so this cannot fail while
                // the call runs.
                let _ = running.caller.questions.send(waiting.pending);
            }
        }
    }
    Some(running)
}

/// After this long nobody comes back. What a call has asked ends with it; who comes back
/// after that hears how it ended.
async fn expire(connection: Arc<Connection>, handle: String, over: Arc<Notify>) {
    let until = Instant::now() + state::KEEP;
    let ended = tokio::time::timeout_at(until, over.notified()).await;
    if ended.is_ok() {
        drop(asked_by(&connection, &handle));
        tokio::time::sleep_until(until).await;
    }
    let parked = lock(&connection.parked).remove(&handle);
    if let Some(parked) = parked {
        parked.abandon("the agent did not come back with an answer");
    }
}

/// Takes away what a parked call has asked.
fn asked_by(connection: &Connection, handle: &str) -> Vec<Waiting> {
    let mut places = lock(&connection.parked);
    let asked = places.get_mut(handle).map(|parked| &mut parked.waiting);
    asked.map(std::mem::take).unwrap_or_default()
}

/// A page to open has no id in the stateless era.
fn for_modern(params: Raw) -> Raw {
    if params.get("elicitationId").is_none() {
        return params;
    }
    let mut edit = Edit::new(&params);
    edit.remove("elicitationId");
    edit.raw()
}

/// A name for a parked call that tells nothing and comes once.
fn handle(connection: &Connection, bound: &Bound) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    blake3::keyed_hash(
        bound.bytes(),
        format!("{}\0{next}", connection.number).as_bytes(),
    )
    .to_hex()
    .to_string()
}
