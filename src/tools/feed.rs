//! Keeping the catalogue of one server fresh: lists again when the server says
//! so, starts it again when it has ended, never faster than its backoff. And the
//! same for what an instance of a run offers.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{
    instance::Instance,
    listing,
    pool::{Listed, Listener},
    server::Server,
    subscribe,
};
use crate::domain::Era;

/// Changes of a list within this time are one change.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// The longest that a change waits for others.
const LONGEST: Duration = Duration::from_secs(30);

/// Changes that come this far apart are none too many.
const CALM: Duration = Duration::from_secs(10);

/// So many in a row are still listed at once.
const FREE: u32 = 8;

/// Runs until the pool closes.
pub(super) async fn feed(server: Arc<Server>, listener: Listener, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = keep(&server, &listener) => {}
        () = async { drop(stop.wait_for(|stop| *stop).await) } => {}
    }
}

/// Keeps what is known of a run's own instance true: its calls are judged by
/// what it offers, not by what the catalogue's instance does.
pub(super) async fn follow(instance: Arc<Instance>, limit: Duration) {
    let mut changes = instance.watch_changes();
    if instance.era() == Era::Modern {
        let _ = subscribe::listen(&instance);
    }
    let mut ended = instance.watch_end();
    loop {
        tokio::select! {
            () = async { drop(ended.wait_for(Option::is_some).await) } => return,
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(DEBOUNCE).await;
        changes.mark_unchanged();
        if let Err(fault) = listing::tools(&instance, limit).await {
            instance.remark(&format!("could not be listed: it {fault}"));
        }
    }
}

async fn keep(server: &Arc<Server>, listener: &Listener) {
    loop {
        tokio::time::sleep(server.wait()).await;
        let Ok(instance) = server.catalogue().await else {
            listener(Listed::Not(server.registered.name.clone()));
            // The wait before the next try is the server's backoff.
            tokio::time::sleep(DEBOUNCE).await;
            continue;
        };
        if instance.era() == Era::Modern {
            // A server that will not tell of changes is still a server.
            let _ = subscribe::listen(&instance);
        }
        let mut changes = instance.watch_changes();
        let mut ended = instance.watch_end();
        let mut patience = Patience::default();
        loop {
            changes.mark_unchanged();
            match listing::everything(&instance, server.registered.start).await {
                Ok(listing) => listener(Listed::Lists(Box::new(listing))),
                Err(fault) => {
                    instance.remark(&format!("could not be listed: it {fault}"));
                    listener(Listed::Not(server.registered.name.clone()));
                }
            }
            tokio::select! {
                () = async { drop(ended.wait_for(Option::is_some).await) } => break,
                changed = changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    tokio::time::sleep(patience.next(Instant::now())).await;
                }
            }
        }
    }
}

/// How long a change waits for others: longer and longer for a server that does
/// not stop changing, since every list of it costs everybody a little.
#[derive(Debug, Default)]
struct Patience {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Patience {
    fn next(&mut self, now: Instant) -> Duration {
        let calm = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) > CALM);
        self.in_a_row = if calm { 0 } else { self.in_a_row + 1 };
        self.last = Some(now);
        let doubled = self.in_a_row.saturating_sub(FREE).min(8);
        DEBOUNCE.saturating_mul(1 << doubled).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_stop_changing_is_listed_less_and_less_often() {
        let mut patience = Patience::default();
        let start = Instant::now();
        let waits: Vec<Duration> = (0..30).map(|_| patience.next(start)).collect();
        assert_eq!(waits.first(), Some(&DEBOUNCE));
        assert_eq!(waits.last(), Some(&LONGEST));
        assert_eq!(patience.next(start + 2 * CALM), DEBOUNCE);
    }
}
