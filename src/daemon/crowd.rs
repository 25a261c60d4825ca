//! Who waits at a door: connected, and nothing has been begun for them.
//!
//! Whoever belongs to the same user may connect as often as the system lets them and say
//! nothing, or something very slowly. Each takes a descriptor and memory, and the next one
//! may be the person who pulls the switch. So only so many wait at a time, and whoever
//! waits longest makes room for the newest: what is honest says at once what it wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, getrlimit};
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Crowd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    waiting: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    last: u64,
    those: BTreeMap<u64, Arc<Notify>>,
}

/// Somebody's place among those who wait, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    crowd: Crowd,
    number: u64,
    pushed: Arc<Notify>,
}

impl Crowd {
    /// Of so many at most.
    pub(crate) fn of(most: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            waiting: Mutex::default(),
        }))
    }

    /// Somebody new waits.
    pub(crate) fn join(&self) -> Waiting {
        let pushed = Arc::new(Notify::new());
        let mut queue = self.queue();
        queue.last += 1;
        let number = queue.last;
        queue.those.insert(number, pushed.clone());
        if queue.those.len() > self.0.most
            && let Some((_, first)) = queue.those.pop_first()
        {
            first.notify_one();
        }
        drop(queue);
        Waiting {
            crowd: self.clone(),
            number,
            pushed,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        let waiting = &self.0.waiting;
        waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Has come when somebody newer takes the place.
    pub(crate) async fn pushed_out(&self) {
        self.pushed.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.crowd.queue().those.remove(&self.number);
    }
}

/// How many may be at the doors, so that descriptors are left for the record and for tool
/// servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Who waits at one door. One at the agents' brings two descriptors along.
    pub(crate) waiting: usize,
    /// Agents inside, with three descriptors each.
    pub(crate) agents: usize,
    /// Questions of the command line that are worked on.
    pub(crate) questions: usize,
}

impl Room {
    /// What the limit of this process leaves.
    pub(crate) fn here() -> Self {
        let most = getrlimit(Resource::Nofile).current;
        Self::of(
            most.and_then(|most| usize::try_from(most).ok())
                .unwrap_or(usize::MAX),
        )
    }

    /// Of so many descriptors about two thirds.
    fn of(descriptors: usize) -> Self {
        Self {
            waiting: (descriptors / 16).clamp(4, 256),
            agents: (descriptors / 8).clamp(4, 1_000),
            questions: (descriptors / 32).clamp(4, 32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_longest_makes_room_for_the_newest() {
        let crowd = Crowd::of(2);
        let first = crowd.join();
        let second = crowd.join();
        drop(second);
        let third = crowd.join();
        let fourth = crowd.join();
        first.pushed_out().await;
        let is_in = |one: &Waiting| crowd.queue().those.contains_key(&one.number);
        assert!(!is_in(&first) && is_in(&third) && is_in(&fourth));
        // Who left after it had been pushed out takes nobody else's place.
        drop(first);
        assert!(is_in(&third) && is_in(&fourth));
    }

    #[test]
    fn the_doors_leave_descriptors_for_the_rest() {
        for descriptors in [256, 1_024, 20_000, 1 << 20] {
            let room = Room::of(descriptors);
            let taken = 4 * room.waiting + 3 * room.agents + room.questions;
            assert!(taken * 3 <= descriptors * 2, "{room:?}");
        }
    }
}
