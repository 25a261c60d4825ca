//! Keeping the catalogue of one server fresh: lists again when the server says
//! so, starts it again when it has ended, never faster than its backoff. And the
//! same for what an instance of a run offers.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

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
                    tokio::time::sleep(DEBOUNCE).await;
                }
            }
        }
    }
}
