//! Who waits for a call, with the switch in hand.

use std::{sync::Arc, time::Duration};

use super::{One, QUESTIONS, Silenced};
use crate::{
    clock::Clock,
    domain::{Capabilities, Era, Fault},
    ports::{Answer, Boxed, Caller, Question, Questions},
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
            if !self.one.may_be_asked_more() {
                return Answer::Refused(format!("more than {QUESTIONS} questions in one call"));
            }
            let limits = self.one.limits();
            match self.questions.posed(&self.one.posed(&question, &limits)) {
                Ok(None) => {}
                Ok(Some(why)) => return Answer::Refused(why),
                // Nothing is asked unrecorded.
                Err(_) => return Answer::Gone,
            }
            let asking = Asking::new(self, question.clone());
            let answer = tokio::select! {
                biased;
                _ = self.one.told() => Answer::Gone,
                answer = self.inner.ask(question) => answer,
            };
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
    since: Duration,
    is_recorded: bool,
}

impl<'a> Asking<'a> {
    fn new(of: &'a Stoppable, question: Question) -> Self {
        let since = of.clock.elapsed();
        // What its agent takes to answer is not what its server takes.
        let first = of.one.lock().asks(since);
        if first {
            of.questions.asks(&of.one.call, true);
        }
        Self {
            of,
            question,
            since,
            is_recorded: false,
        }
    }

    /// Records what came of it; nothing leaves unrecorded.
    fn ends(mut self, answer: Answer) -> Answer {
        match self.record(&answer) {
            Ok(()) => answer,
            Err(_) => Answer::Gone,
        }
    }

    fn record(&mut self, answer: &Answer) -> Result<(), Fault> {
        self.is_recorded = true;
        let after = self.of.clock.elapsed().saturating_sub(self.since);
        let posed = self.of.one.posed(&self.question, &[]);
        self.of.questions.answered(&posed, answer, after)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_recorded {
            // If that fails, the store is not used any more and its operator knows.
            let _ = self.record(&Answer::Gone);
        }
        let of = self.of;
        let last = of.one.lock().was_answered(of.clock.elapsed());
        if last {
            of.questions.asks(&of.one.call, false);
        }
    }
}
