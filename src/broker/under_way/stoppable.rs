//! Who waits for a call, with the switch in hand.

use std::sync::Arc;

use super::{Asks, One, Silenced};
use crate::{
    clock::Clock,
    domain::{Capabilities, Era},
    ports::{Answer, Boxed, Caller, Question},
    wire::Raw,
};

/// The agent on the line, whose calls an operator can end as well.
pub(super) struct Stoppable {
    pub(super) inner: Arc<dyn Caller>,
    pub(super) one: Arc<One>,
    pub(super) silenced: Silenced,
    pub(super) asks: Asks,
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
        self.inner.capabilities()
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
            // What its agent takes to answer is not what its server takes.
            let _asking = Asking::new(self);
            let answer = tokio::select! {
                biased;
                _ = self.one.told() => Answer::Gone,
                answer = self.inner.ask(question) => answer,
            };
            if self.is_stopped() {
                return Answer::Gone;
            }
            answer
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

/// A question that is with the agent of a call, until this is dropped.
struct Asking<'a>(&'a Stoppable);

impl<'a> Asking<'a> {
    fn new(of: &'a Stoppable) -> Self {
        let first = of.one.lock().asks(of.clock.elapsed());
        if first {
            (of.asks)(&of.one.call, true);
        }
        Self(of)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Self(of) = self;
        let last = of.one.lock().was_answered(of.clock.elapsed());
        if last {
            (of.asks)(&of.one.call, false);
        }
    }
}
