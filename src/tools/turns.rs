//! Whose turn it is to begin or end a subscription.
//!
//! A server must not hear of them in another order than we count them. Where each is
//! asked for by itself only those of one resource wait for one another: whatever a
//! server does not answer holds up nobody who wants something else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::instance::lock;

/// The turns that somebody has or waits for, by what they are about.
#[derive(Default)]
pub(super) struct Turns(Arc<Known>);

type Known = Mutex<HashMap<String, Arc<AsyncMutex<()>>>>;

/// A turn, or a place among those who wait for one.
pub(super) struct Turn {
    known: Arc<Known>,
    of: String,
    turn: Option<Arc<AsyncMutex<()>>>,
    mine: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for a turn; those who came before go first.
    pub(super) async fn take(&self, of: &str) -> Turn {
        let turn = lock(&self.0).entry(of.to_owned()).or_default().clone();
        // Made before the wait, so that who gives it up leaves nothing behind.
        let mut place = Turn {
            known: self.0.clone(),
            of: of.to_owned(),
            turn: Some(turn.clone()),
            mine: None,
        };
        place.mine = Some(turn.lock_owned().await);
        place
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut known = lock(&self.known);
        self.mine = None;
        self.turn = None;
        if known
            .get(&self.of)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            known.remove(&self.of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_waits_for_its_like_and_for_nobody_else_and_nothing_is_left() {
        let turns = Turns::default();
        let one = turns.take("a").await;
        drop(turns.take("b").await);
        let mut second = std::pin::pin!(turns.take("a"));
        tokio::select! {
            biased;
            _ = &mut second => panic!("it has two turns at once"),
            () = tokio::task::yield_now() => {}
        }
        {
            let third = turns.take("a");
            tokio::select! {
                biased;
                _ = third => panic!("it has two turns at once"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(lock(&turns.0).len(), 1);
        drop(one);
        drop(second.await);
        assert!(lock(&turns.0).is_empty());
    }
}
