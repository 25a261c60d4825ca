//! Who waits for a call, with the switch in hand.

use std::{slice, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{One, Silenced};
use crate::{
    clock::Clock,
    domain::{Became, Capabilities, Era, Fault},
    ports::{Answer, Boxed, Caller, Heard, NotPut, Question, Questions, WhyNot},
    wire::Raw,
};

/// The agent on the line, whose calls an operator can end as well.
pub(super) struct Stoppable {
    pub(super) inner: Arc<dyn Caller>,
    pub(super) one: Arc<One>,
    pub(super) silenced: Silenced,
    /// Changes with each stop and each end of an agent.
    pub(super) strikes: watch::Receiver<()>,
    pub(super) questions: Arc<dyn Questions>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Stoppable {
    /// Whether a stop in force covers the call, or its agent has been ended. A server may ask
    /// between calls as well, through the caller of its last one: what that was told is over.
    fn is_stopped(&self) -> bool {
        let One {
            agent, server, run, ..
        } = &*self.one;
        self.one.is_told() || (self.silenced)(agent, server, run)
    }

    /// Returns once it is.
    async fn stopped(&self) {
        let mut strikes = self.strikes.clone();
        while !self.is_stopped() {
            if strikes.changed().await.is_err() {
                // Nobody is there to strike.
                return std::future::pending().await;
            }
        }
    }

    /// Whether the call is over, and not because its server has answered it: then nobody
    /// waits any more for what that has asked for it.
    fn is_over(&self) -> bool {
        let became = self.one.lock().became;
        match became {
            None => self.inner.is_cancelled().is_some(),
            Some(Became::Answered) => false,
            Some(Became::NotSent | Became::Cancelled | Became::Unknown) => true,
        }
    }

    /// Returns once it is.
    async fn over(&self) {
        tokio::select! {
            () = self.one.ended() => {}
            _ = self.inner.cancelled() => {}
        }
        if !self.is_over() {
            std::future::pending::<()>().await;
        }
    }

    /// Puts a question, until a stop or the end of its agent, or of the call that it is for.
    async fn put(&self, question: Question, is_for_call: bool) -> Answer {
        tokio::select! {
            biased;
            () = self.stopped() => Answer::Gone,
            () = self.over(), if is_for_call => Answer::Gone,
            heard = self.inner.ask(question) => heard.leaves(),
        }
    }

    /// What its server hears of a question that is not put. An agent of the stateless era is
    /// told what it would have to declare.
    async fn not_put(&self, question: Question, not: NotPut) -> Answer {
        match not.why {
            WhyNot::NotDeclared => {
                // How long that takes is not its server's time; an answer there is none.
                let _asking = Asking::noted(self, question.clone());
                tokio::select! {
                    biased;
                    () = self.stopped() => {}
                    () = self.inner.lacks(question) => {}
                }
            }
            WhyNot::TurnedOff | WhyNot::TooMany | WhyNot::NoRoom => {}
            // What the operator says of it is for agents.
            WhyNot::Stopped => return Answer::Gone,
        }
        Answer::Refused(not)
    }
}

impl Caller for Stoppable {
    fn connection(&self) -> u64 {
        self.inner.connection()
    }

    fn era(&self) -> Era {
        self.inner.era()
    }

    fn capabilities(&self) -> Capabilities {
        let can = self.inner.capabilities();
        match self.one.no_sampling() {
            None => can,
            Some(_) => can.without_sampling(),
        }
    }

    fn log_level(&self) -> Option<String> {
        self.inner.log_level()
    }

    fn wants_progress(&self) -> bool {
        self.inner.wants_progress()
    }

    fn progress(&self, params: &Raw) {
        if !self.is_stopped() {
            self.inner.progress(params);
        }
    }

    fn log(&self, params: &Raw) {
        if !self.is_stopped() {
            self.inner.log(params);
        }
    }

    fn leaves(&self) {
        // The first of several rounds counts.
        let mut state = self.one.lock();
        state.left.get_or_insert_with(|| self.clock.elapsed());
    }

    fn ask<'a>(&'a self, question: Question) -> Boxed<'a, Heard<'a>> {
        Box::pin(async move {
            // Between calls its server asks through the last one, however that has ended.
            let is_for_call = self.one.lock().became.is_none();
            // The switch is looked at before the question and before its answer leaves.
            let is_gone = move || self.is_stopped() || (is_for_call && self.is_over());
            if is_gone() {
                return Answer::Gone.into();
            }
            let (heard, asked) = (&*self.questions, slice::from_ref(&question));
            let number = match self.one.poses(heard, asked, self.capabilities()) {
                Ok(Ok(number)) => number,
                Ok(Err(not)) => return self.not_put(question, not).await.into(),
                // Nothing is asked unrecorded.
                Err(fault) => {
                    tracing::error!("a question was not put: {fault}");
                    return Answer::Gone.into();
                }
            };
            let mut asking = Asking::new(self, question.clone(), number);
            let answer = self.put(question, is_for_call).await;
            asking.is_answered();
            Heard::until(answer, move |answer| {
                asking.ends(match is_gone() {
                    true => Answer::Gone,
                    false => answer,
                })
            })
        })
    }

    fn is_cancelled(&self) -> Option<String> {
        let is_told = self.one.lock().told.is_some();
        let told = is_told.then(|| TOLD.to_owned());
        told.or_else(|| self.inner.is_cancelled())
    }

    fn cancelled<'a>(&'a self) -> Boxed<'a, String> {
        Box::pin(async move {
            tokio::select! {
                biased;
                () = self.one.told() => TOLD.to_owned(),
                reason = self.inner.cancelled() => reason,
            }
        })
    }
}

/// What its server hears of a stop: what the operator says of it is for agents.
const TOLD: &str = "it was stopped";

/// A question that is with the agent of a call, until it is answered or this is dropped:
/// then its server has withdrawn it.
struct Asking<'a> {
    of: &'a Stoppable,
    question: Question,
    number: usize,
    since: Duration,
    /// When its agent had answered.
    until: Option<Duration>,
    is_recorded: bool,
}

impl<'a> Asking<'a> {
    fn new(of: &'a Stoppable, question: Question, number: usize) -> Self {
        let since = of.clock.elapsed();
        // What its agent takes to answer is not what its server takes.
        let first = of.one.lock().asks(since);
        if first {
            of.questions.asks(&of.one.call, true);
        }
        Self {
            of,
            question,
            number,
            since,
            until: None,
            is_recorded: false,
        }
    }

    /// Of one that is not put: there is nothing to record any more.
    fn noted(of: &'a Stoppable, question: Question) -> Self {
        let mut asking = Self::new(of, question, 0);
        asking.is_recorded = true;
        asking
    }

    /// Its server works again, or could: what keeps the answer back now is not its agent.
    fn is_answered(&mut self) {
        if self.until.is_some() {
            return;
        }
        let (of, now) = (self.of, self.of.clock.elapsed());
        self.until = Some(now);
        let last = of.one.lock().was_answered(now);
        if last {
            of.questions.asks(&of.one.call, false);
        }
    }

    /// Records what came of it; nothing leaves unrecorded.
    fn ends(mut self, answer: Answer) -> Answer {
        match self.record(&answer) {
            Ok(()) => answer,
            Err(fault) => {
                tracing::error!("an answer was kept back: {fault}");
                Answer::Gone
            }
        }
    }

    fn record(&mut self, answer: &Answer) -> Result<(), Fault> {
        self.is_recorded = true;
        let until = self.until.unwrap_or_else(|| self.of.clock.elapsed());
        let after = until.saturating_sub(self.since);
        let posed = self.of.one.posed(&self.question, self.number);
        self.of.questions.answered(&posed, answer, after)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_recorded
            && let Err(fault) = self.record(&Answer::Gone)
        {
            tracing::error!("the end of a question is not recorded: {fault}");
        }
        self.is_answered();
    }
}
