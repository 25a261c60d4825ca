//! Who waits for a call, with the switch in hand.

use std::{slice, sync::Arc, time::Duration};

use super::{One, Silenced};
use crate::{
    clock::Clock,
    domain::{Capabilities, Era, Fault},
    ports::{Answer, Boxed, Caller, NotPut, Question, Questions, WhyNot},
    wire::Raw,
};

/// The agent on the line, whose calls an operator can end as well.
pub(super) struct Stoppable {
    pub(super) inner: Arc<dyn Caller>,
    pub(super) one: Arc<One>,
    pub(super) silenced: Silenced,
    pub(super) questions: Arc<dyn Questions>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Stoppable {
    /// Whether a stop in force covers the call, or its agent has been ended.
    fn is_stopped(&self) -> bool {
        let One {
            agent, server, run, ..
        } = &*self.one;
        (self.silenced)(agent, server, run)
    }
}

impl Stoppable {
    /// Puts a question, until a stop or the end of its agent.
    async fn put(&self, question: Question) -> Answer {
        tokio::select! {
            biased;
            _ = self.one.told() => Answer::Gone,
            answer = self.inner.ask(question) => answer,
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
                    _ = self.one.told() => {}
                    () = self.inner.lacks(question) => {}
                }
            }
            WhyNot::TurnedOff | WhyNot::TooMany | WhyNot::NoRoom => {}
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
        self.inner.progress(params);
    }

    fn log(&self, params: &Raw) {
        self.inner.log(params);
    }

    fn leaves(&self) {
        // The first of several rounds counts.
        let mut state = self.one.lock();
        state.left.get_or_insert_with(|| self.clock.elapsed());
    }

    fn ask<'a>(&'a self, question: Question) -> Boxed<'a, Answer> {
        Box::pin(async move {
            // A server may ask between calls as well, through the caller of its
            // last one: then no registry tells us of a stop, and the switch is
            // looked at before the question and before its answer leaves.
            if self.is_stopped() {
                return Answer::Gone;
            }
            let (heard, asked) = (&*self.questions, slice::from_ref(&question));
            let number = match self.one.poses(heard, asked, self.capabilities()) {
                Ok(Ok(number)) => number,
                Ok(Err(not)) => return self.not_put(question, not).await,
                // Nothing is asked unrecorded.
                Err(fault) => {
                    tracing::error!("a question was not put: {fault}");
                    return Answer::Gone;
                }
            };
            let asking = Asking::new(self, question.clone(), number);
            let answer = self.put(question).await;
            asking.ends(match self.is_stopped() {
                true => Answer::Gone,
                false => answer,
            })
        })
    }

    fn is_cancelled(&self) -> Option<String> {
        let told = self
            .one
            .lock()
            .told
            .as_ref()
            .map(|refusal| refusal.says.clone());
        told.or_else(|| self.inner.is_cancelled())
    }

    fn cancelled<'a>(&'a self) -> Boxed<'a, String> {
        Box::pin(async move {
            tokio::select! {
                biased;
                reason = self.one.told() => reason,
                reason = self.inner.cancelled() => reason,
            }
        })
    }
}

/// A question that is with the agent of a call, until it is answered or this is dropped:
/// then its server has withdrawn it.
struct Asking<'a> {
    of: &'a Stoppable,
    question: Question,
    number: usize,
    since: Duration,
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
            is_recorded: false,
        }
    }

    /// Of one that is not put: there is nothing to record any more.
    fn noted(of: &'a Stoppable, question: Question) -> Self {
        let mut asking = Self::new(of, question, 0);
        asking.is_recorded = true;
        asking
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
        let after = self.of.clock.elapsed().saturating_sub(self.since);
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
        let of = self.of;
        let last = of.one.lock().was_answered(of.clock.elapsed());
        if last {
            of.questions.asks(&of.one.call, false);
        }
    }
}
