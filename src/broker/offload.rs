//! Work that is done beside the runtime, which has one thread: what takes longer than
//! others can wait for.
//!
//! A few threads at most, because there are others who need threads, the stop switch for
//! one, and each agent has a few of them at most: what it keeps busy, it keeps busy for
//! itself. Work that goes on after it was given up keeps its seats.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::domain::AgentName;

/// With so many agents, those that have nothing done are forgotten.
const MANY: usize = 1_000;

/// See the module.
pub(super) struct Offload {
    seats: Arc<Semaphore>,
    agents: Mutex<HashMap<AgentName, Arc<Semaphore>>>,
    /// How many seats an agent can have.
    each: usize,
    /// How long a call may wait for its turn and its end.
    patience: Duration,
}

impl Offload {
    pub(super) fn new(seats: usize, each: usize, patience: Duration) -> Self {
        Self {
            seats: Arc::new(Semaphore::new(seats)),
            agents: Mutex::default(),
            each,
            patience,
        }
    }

    /// What comes of some work; nothing when it takes too long.
    pub(super) async fn done<T: Send + 'static>(
        &self,
        agent: &AgentName,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let done = async {
            // Its own first: who waits for that holds up nobody else.
            let own = self.of(agent).acquire_owned().await.ok()?;
            let seat = self.seats.clone().acquire_owned().await.ok()?;
            let work = tokio::task::spawn_blocking(move || {
                let _seats = (own, seat);
                work()
            });
            work.await.ok()
        };
        tokio::time::timeout(self.patience, done).await.ok()?
    }

    /// The seats of an agent.
    fn of(&self, agent: &AgentName) -> Arc<Semaphore> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if agents.len() >= MANY {
            // Who has a seat or waits for one has it in hand.
            agents.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let own = agents.entry(agent.clone());
        own.or_insert_with(|| Arc::new(Semaphore::new(self.each)))
            .clone()
    }
}

impl std::fmt::Debug for Offload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} seats", self.seats.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// No thread outlives its test.
    const END: Duration = Duration::from_secs(5);

    fn agent(name: &str) -> AgentName {
        AgentName::parse(name).unwrap()
    }

    #[tokio::test]
    async fn others_go_on_while_something_is_measured() {
        let offload = Offload::new(1, 1, END);
        let (told, tell) = mpsc::channel();
        let dev = agent("dev");
        // On one thread: were it the one that works, nobody would tell.
        let (done, ()) = tokio::join!(offload.done(&dev, move || tell.recv_timeout(END)), async {
            tokio::task::yield_now().await;
            told.send(7).unwrap();
        });
        assert_eq!(done, Some(Ok(7)));
    }

    #[tokio::test]
    async fn what_takes_too_long_is_not_waited_for_and_takes_no_second_thread() {
        let offload = Offload::new(1, 1, Duration::from_millis(20));
        let (told, tell) = mpsc::channel::<()>();
        let (dev, ops) = (agent("dev"), agent("ops"));
        let done = offload.done(&dev, move || tell.recv_timeout(END)).await;
        assert_eq!(done, None);
        assert_eq!(offload.done(&ops, || ()).await, None);
        drop(told);
        let _free = offload.seats.acquire().await.unwrap();
    }

    #[tokio::test]
    async fn an_agent_keeps_nobody_busy_but_itself() {
        let mut offload = Offload::new(2, 1, Duration::from_millis(20));
        let (told, tell) = mpsc::channel::<()>();
        let (dev, ops) = (agent("dev"), agent("ops"));
        let done = offload.done(&dev, move || tell.recv_timeout(END)).await;
        assert_eq!(done, None);
        assert_eq!(offload.done(&dev, || ()).await, None);
        // However slow this machine is.
        offload.patience = END;
        assert_eq!(offload.done(&ops, || 7).await, Some(7));
        drop(told);
    }

    #[tokio::test]
    async fn agents_that_have_nothing_done_are_forgotten() {
        let offload = Offload::new(1, 1, END);
        for n in 0..2 * MANY {
            offload.of(&agent(&format!("a{n}")));
        }
        assert!(offload.agents.lock().unwrap().len() <= MANY);
    }
}
