//! Runs whose first call waits for an instance.
//!
//! No record says that such a run has begun before its call is judged, so the limit on the
//! runs of an agent (`runs`) does not know of it. They are counted here: for no more of
//! them at a time is a process started than the limit leaves. The others wait until it is
//! known what became of those.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::domain::{AgentName, RunId};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    /// How many calls of each wait.
    runs: Mutex<HashMap<AgentName, HashMap<RunId, usize>>>,
    fewer: Notify,
}

/// A call that waits for an instance, and perhaps the first of its run, until this is
/// dropped.
#[derive(Debug)]
pub(super) struct Begins<'a> {
    beginning: &'a Beginning,
    agent: AgentName,
    run: RunId,
}

impl Beginning {
    /// Enters a call as soon as `left` more runs of its agent may begin than do; nothing
    /// if none may, or the number of runs does not matter any more.
    pub(super) async fn enter(
        &self,
        agent: &AgentName,
        run: &RunId,
        left: impl Fn() -> Option<usize>,
    ) -> Option<Begins<'_>> {
        loop {
            // Registered before the look: an end in between is not missed.
            let fewer = self.fewer.notified();
            tokio::pin!(fewer);
            fewer.as_mut().enable();
            let most = left().filter(|most| *most > 0)?;
            if let Some(begins) = self.enter_now(agent, run, most) {
                return Some(begins);
            }
            fewer.await;
        }
    }

    fn enter_now(&self, agent: &AgentName, run: &RunId, most: usize) -> Option<Begins<'_>> {
        let mut agents = self.lock();
        let runs = agents.entry(agent.clone()).or_default();
        if !runs.contains_key(run) && runs.len() >= most {
            return None;
        }
        *runs.entry(run.clone()).or_default() += 1;
        Some(Begins {
            beginning: self,
            agent: agent.clone(),
            run: run.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentName, HashMap<RunId, usize>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Begins<'_> {
    fn drop(&mut self) {
        let mut agents = self.beginning.lock();
        if let Some(runs) = agents.get_mut(&self.agent) {
            if let Some(calls) = runs.get_mut(&self.run) {
                *calls = calls.saturating_sub(1);
            }
            runs.retain(|_, calls| *calls > 0);
            if runs.is_empty() {
                agents.remove(&self.agent);
            }
        }
        drop(agents);
        self.beginning.fewer.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    /// Whether it is entered at once.
    async fn now<'a>(
        entered: impl Future<Output = Option<Begins<'a>>>,
    ) -> Option<Option<Begins<'a>>> {
        tokio::select! {
            biased;
            entered = entered => Some(entered),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn who_comes_when_no_more_may_begin_waits_for_one_of_them() {
        let beginning = Beginning::default();
        let dev = AgentName::parse("dev").unwrap();
        let run = |nth: &str| RunId::from_tail(nth);
        let (one, two) = (run("1"), run("2"));
        let first = now(beginning.enter(&dev, &one, || Some(1))).await.unwrap();
        // Another call of the same run begins no other, and other agents are others.
        let same = now(beginning.enter(&dev, &one, || Some(1))).await.unwrap();
        let ops = AgentName::parse("ops").unwrap();
        assert!(
            now(beginning.enter(&ops, &two, || Some(1)))
                .await
                .unwrap()
                .is_some()
        );
        let mut waits = pin!(beginning.enter(&dev, &two, || Some(1)));
        assert!(now(waits.as_mut()).await.is_none());
        drop(first);
        assert!(now(waits.as_mut()).await.is_none());
        drop(same);
        assert!(now(waits.as_mut()).await.unwrap().is_some());
        assert!(beginning.lock().is_empty());
    }

    #[tokio::test]
    async fn who_may_begin_none_at_all_or_any_number_does_not_wait() {
        let beginning = Beginning::default();
        let (dev, run) = (AgentName::parse("dev").unwrap(), RunId::from_tail("1"));
        for left in [None, Some(0)] {
            let entered = now(beginning.enter(&dev, &run, || left)).await;
            assert!(entered.unwrap().is_none());
        }
        assert!(beginning.lock().is_empty());
    }
}
