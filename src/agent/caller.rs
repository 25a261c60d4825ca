//! An agent on the line, as the tool side sees it during one call.

use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};

use super::{
    connection::{Cancel, Connection, lock},
    meta, state,
};
use crate::{
    domain::{Capabilities, Era},
    ports::{Answer, Boxed, Caller, Heard, Question},
    wire::{self, Ask, Edit, Raw, asks},
};

/// An agent that can be asked directly.
#[derive(Debug)]
pub(super) struct LegacyCaller {
    pub(super) connection: Arc<Connection>,
    pub(super) cancel: Arc<Cancel>,
    pub(super) progress: Option<Raw>,
}

impl Caller for LegacyCaller {
    fn connection(&self) -> u64 {
        self.connection.number
    }

    fn era(&self) -> Era {
        Era::Legacy
    }

    fn capabilities(&self) -> Capabilities {
        lock(&self.connection.legacy).capabilities
    }

    fn log_level(&self) -> Option<String> {
        lock(&self.connection.legacy).log_level.clone()
    }

    fn wants_progress(&self) -> bool {
        self.progress.is_some()
    }

    fn progress(&self, params: &Raw) {
        if let Some(token) = &self.progress {
            pass_progress(&self.connection, params, token);
        }
    }

    fn log(&self, params: &Raw) {
        self.connection.log(params);
    }

    fn ask<'a>(&'a self, question: Question) -> Boxed<'a, Heard<'a>> {
        Box::pin(async move {
            let params = question.params.map(for_legacy);
            let questions = &self.connection.questions;
            let answer = questions.ask(&question.method, params.as_ref()).await;
            let answers = &self.connection.answers;
            answers.counted(&question.server, answer).into()
        })
    }

    fn is_cancelled(&self) -> Option<String> {
        self.cancel.reason()
    }

    fn cancelled<'a>(&'a self) -> Boxed<'a, String> {
        Box::pin(self.cancel.pulled())
    }
}

/// An agent that is asked with the result of its call, and answers with the
/// next round of it.
#[derive(Debug)]
pub(super) struct ModernCaller {
    pub(super) connection: Arc<Connection>,
    pub(super) questions: mpsc::UnboundedSender<Pending>,
    /// Cancels the call itself, over all its rounds.
    pub(super) cancel: Arc<Cancel>,
    pub(super) round: Mutex<Round>,
}

/// A question on its way to an agent, and back. Its text goes as soon as its server
/// withdraws it, wherever this waits.
#[derive(Debug)]
pub(super) struct Pending {
    text: Arc<Mutex<Option<Question>>>,
    answer: oneshot::Sender<Answer>,
    /// It is not put, whatever the agent declares by now: it is told what it lacked.
    is_lacking: bool,
}

impl Pending {
    /// What is asked; none once that was withdrawn.
    pub(super) fn question(&self) -> Option<Question> {
        lock(&self.text).clone()
    }

    /// What is asked and was not declared; none if it was. Of what is no question nothing
    /// can be declared.
    pub(super) fn lacks(&self, can: Capabilities) -> Option<Option<Ask>> {
        let question = self.question()?;
        let asks = Ask::of(&question.method, question.params.as_ref());
        let is_declared = asks.is_some_and(|asks| asks.is_declared(can));
        (self.is_lacking || !is_declared).then_some(asks)
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.answer.is_closed()
    }

    pub(super) fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }
}

/// Takes the text of a question away once nobody waits for its answer.
struct Withdraw(Arc<Mutex<Option<Question>>>);

impl Drop for Withdraw {
    fn drop(&mut self) {
        lock(&self.0).take();
    }
}

/// A question, and what puts it and waits for the answer; no longer than a parked call
/// does, however often its agent comes back without it.
pub(super) fn pending(
    question: Question,
    is_lacking: bool,
) -> (Pending, impl Future<Output = Answer>) {
    let text = Arc::new(Mutex::new(Some(question)));
    let withdraw = Withdraw(text.clone());
    let (answer, waiting) = oneshot::channel();
    let answered = async move {
        let _withdraw = withdraw;
        let answer = tokio::time::timeout(state::KEEP, waiting).await;
        answer.ok().and_then(Result::ok).unwrap_or(Answer::Gone)
    };
    let pending = Pending {
        text,
        answer,
        is_lacking,
    };
    (pending, answered)
}

/// What the request of the present round said.
#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    pub(super) capabilities: Capabilities,
    pub(super) log_level: Option<String>,
    pub(super) progress: Option<Raw>,
    /// Whether a request of the agent is open for it.
    pub(super) on_the_line: bool,
    /// Whether that can be answered with what the agent would have to declare: not any
    /// more when something is being asked.
    pub(super) is_told: bool,
}

impl Caller for ModernCaller {
    fn connection(&self) -> u64 {
        self.connection.number
    }

    fn era(&self) -> Era {
        Era::Modern
    }

    fn capabilities(&self) -> Capabilities {
        lock(&self.round).capabilities
    }

    fn log_level(&self) -> Option<String> {
        lock(&self.round).log_level.clone()
    }

    fn wants_progress(&self) -> bool {
        lock(&self.round).progress.is_some()
    }

    fn progress(&self, params: &Raw) {
        let round = lock(&self.round).clone();
        if let (Some(token), true) = (round.progress, round.on_the_line) {
            pass_progress(&self.connection, params, &token);
        }
    }

    fn log(&self, params: &Raw) {
        let round = lock(&self.round).clone();
        if let (Some(level), true) = (round.log_level, round.on_the_line)
            && meta::wanted(params, &level)
        {
            self.connection.out.send_if_room(wire::notification_line(
                "notifications/message",
                &[wire::without_ours(params).bytes().clone()],
            ));
        }
    }

    fn ask<'a>(&'a self, question: Question) -> Boxed<'a, Heard<'a>> {
        Box::pin(async move {
            let server = question.server.clone();
            let (pending, answered) = pending(question, false);
            if self.questions.send(pending).is_err() {
                return Answer::Gone.into();
            }
            let answer = answered.await;
            self.connection.answers.counted(&server, answer).into()
        })
    }

    fn lacks<'a>(&'a self, question: Question) -> Boxed<'a, ()> {
        Box::pin(async move {
            // Else its server would wait for an agent that is away, and what that has
            // answered by then would go with the call.
            if !lock(&self.round).is_told {
                return;
            }
            let (pending, told) = pending(question, true);
            if self.questions.send(pending).is_ok() {
                told.await;
            }
        })
    }

    fn is_cancelled(&self) -> Option<String> {
        self.cancel.reason()
    }

    fn cancelled<'a>(&'a self) -> Boxed<'a, String> {
        Box::pin(self.cancel.pulled())
    }
}

impl Connection {
    /// Passes on a log message if its level is wanted.
    pub(super) fn log(&self, params: &Raw) {
        let legacy = lock(&self.legacy);
        let wanted = legacy.initialized
            && legacy
                .log_level
                .as_ref()
                .is_none_or(|level| meta::wanted(params, level));
        drop(legacy);
        if wanted {
            self.out.send_if_room(wire::notification_line(
                "notifications/message",
                &[wire::without_ours(params).bytes().clone()],
            ));
        }
    }
}

/// Progress, under the token that the agent knows.
fn pass_progress(connection: &Connection, params: &Raw, token: &Raw) {
    let params = wire::without_ours(params);
    let params = wire::without_misspelt(&params, &["progressToken"]);
    let mut edit = Edit::new(&params);
    edit.set("progressToken", token.bytes().clone());
    connection.out.send_if_room(wire::notification_line(
        "notifications/progress",
        &edit.parts(),
    ));
}

/// A page to open has an id of its own in the handshake era.
fn for_legacy(params: Raw) -> Raw {
    let asks = Ask::of(asks::ELICITATION, Some(&params));
    if asks != Some(Ask::Page) || params.get("elicitationId").is_some() {
        return params;
    }
    let id = blake3::hash(params.bytes()).to_hex();
    let mut edit = Edit::new(&params);
    edit.set("elicitationId", wire::quote(&id));
    edit.raw()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::ServerName;

    #[tokio::test(start_paused = true)]
    async fn a_question_is_put_no_longer_than_a_parked_call_is_kept_however_often_it_is_put_again()
    {
        let question = Question {
            server: ServerName::parse("alpha").unwrap(),
            method: asks::ELICITATION.into(),
            params: None,
        };
        let (pending, answered) = pending(question, false);
        let mut answered = std::pin::pin!(answered);
        let almost = state::KEEP - Duration::from_secs(1);
        let early = tokio::time::timeout(almost, &mut answered).await;
        assert!(early.is_err() && !pending.is_withdrawn());
        // Its agent came back without an answer: it waits on, and not from the beginning.
        let late = tokio::time::timeout(Duration::from_secs(2), &mut answered).await;
        assert!(matches!(late, Ok(Answer::Gone)), "{late:?}");
        assert!(pending.is_withdrawn());
    }
}
