//! Failing requests that miss their deadline.
//!
//! One look at all of them every tick instead of a timer for each: a timer that
//! is the earliest of all wakes the runtime's driver, which costs as much as a
//! tenth of a call. While nothing is open nothing ticks.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::instance::Instance;

/// How closely deadlines are watched.
const TICK: Duration = Duration::from_millis(20);

/// Runs until the instance ends.
pub(super) async fn watch(instance: Weak<Instance>, busy: Arc<Notify>) {
    loop {
        busy.notified().await;
        loop {
            tokio::time::sleep(TICK).await;
            let Some(instance) = instance.upgrade() else {
                return;
            };
            if instance.ended().is_some() {
                return;
            }
            if !instance.fail_overdue(Instant::now()) {
                break;
            }
        }
    }
}
