//! Keeping the catalogue of one server fresh: lists again when the server says
//! so, starts it again when it has ended, never faster than its backoff. And the
//! same for what an instance of a run offers. While it is stopped it is not asked.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{
    arrival::Suited,
    instance::{Instance, lock},
    listing,
    pool::{Listed, Listener},
    server::Server,
    subscribe,
};
use crate::domain::{Era, Guise};

/// Changes of a list within this time are one change.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// The longest that a change waits for others.
const LONGEST: Duration = Duration::from_secs(60);

/// A server that was left in peace for this long may change at once again.
const CALM: Duration = Duration::from_secs(10);

/// So many in a row are still listed at once: a person who changes a server, or a test
/// of it, waits for the list.
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
pub(super) async fn follow(instance: Arc<Instance>, limit: Duration, listener: Listener) {
    let mut changes = instance.watch_changes();
    listen(&instance).await;
    let mut ended = instance.watch_end();
    let mut patience = Patience::default();
    loop {
        patience.listed(Instant::now());
        tokio::select! {
            () = async { drop(ended.wait_for(Option::is_some).await) } => return,
            again = changed(&mut changes, &mut patience) => if !again { return },
        }
        let tools = || listing::tools(&instance, limit);
        match instance.switch.in_turn(tools, || ()).await {
            Ok(tools) => listener(Listed::Beside(instance.server.clone(), tools)),
            Err(fault) => instance.remark(&format!("could not be listed: it {fault}")),
        }
    }
}

async fn keep(server: &Arc<Server>, listener: &Listener) {
    let not = || listener(Listed::Not(server.registered.name.clone()));
    let mut arrived = server.arrived.subscribe();
    server.somebody_arrives(&mut arrived).await;
    loop {
        if server.switch.is_stopped() {
            not();
            server.switch.lifted().await;
        }
        let wait = server.wait();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let Ok(instance) = server.catalogue().await else {
            not();
            // The wait before the next try is the server's backoff.
            tokio::time::sleep(DEBOUNCE).await;
            continue;
        };
        lists_of(server, &instance, listener, &mut arrived).await;
    }
}

/// Tells what one instance lists, each time that it may have changed, until it has ended or
/// another has taken its place.
async fn lists_of(
    server: &Arc<Server>,
    instance: &Arc<Instance>,
    listener: &Listener,
    arrived: &mut watch::Receiver<Guise>,
) {
    let not = || listener(Listed::Not(server.registered.name.clone()));
    let mut changes = instance.watch_changes();
    let mut ended = instance.watch_end();
    let mut patience = Patience::default();
    let mut listens = false;
    loop {
        if arrived.has_changed().unwrap_or(false) {
            if server.switch.is_stopped() {
                not();
                server.switch.lifted().await;
            }
            let guise = *arrived.borrow_and_update();
            match server.suit(guise, instance).await {
                Suited::AsItIs => {}
                Suited::Another => return,
                // What was listed last stays, and nobody waits for more.
                Suited::None => return not(),
            }
        }
        if !listens {
            listen(instance).await;
            listens = true;
        }
        changes.mark_unchanged();
        let everything = || {
            let met = lock(&server.record).met;
            listing::everything(instance, met, server.registered.start)
        };
        let listed = server.switch.in_turn(everything, not).await;
        // Nobody is shown what was listed for another agent.
        if arrived.has_changed().unwrap_or(false) {
            continue;
        }
        match listed {
            Ok(listing) => listener(Listed::Lists(Box::new(listing))),
            Err(fault) => {
                instance.remark(&format!("could not be listed: it {fault}"));
                not();
            }
        }
        patience.listed(Instant::now());
        tokio::select! {
            () = async { drop(ended.wait_for(Option::is_some).await) } => return,
            again = changed(&mut changes, &mut patience) => if !again { return },
            _ = arrived.changed() => arrived.mark_changed(),
        }
    }
}

/// Asks to be told of changes, where a server has to be asked.
async fn listen(instance: &Arc<Instance>) {
    match instance.era() {
        Era::Legacy => {}
        Era::Modern => {
            instance.switch.lifted().await;
            subscribe::begin(instance).await;
        }
    }
}

/// Waits until a list has changed and others with it; `false` when nothing more can.
async fn changed(changes: &mut watch::Receiver<u64>, patience: &mut Patience) -> bool {
    if changes.changed().await.is_err() {
        return false;
    }
    tokio::time::sleep(patience.next(Instant::now())).await;
    changes.mark_unchanged();
    true
}

/// How long a change waits for others: after a few, twice as long each time for a
/// server that does not stop changing, since every list of it costs everybody a little.
#[derive(Debug, Default)]
struct Patience {
    in_a_row: u32,
    /// When it was listed last. Quiet is what comes after that: while a change
    /// waits, nobody is told of another.
    listed: Option<Instant>,
}

impl Patience {
    fn listed(&mut self, now: Instant) {
        self.listed = Some(now);
    }

    fn next(&mut self, now: Instant) -> Duration {
        let calm = self
            .listed
            .is_none_or(|listed| now.saturating_duration_since(listed) >= CALM);
        self.in_a_row = if calm {
            1
        } else {
            self.in_a_row.saturating_add(1)
        };
        // Sixteen times twice as long is more than the longest.
        let doubled = self.in_a_row.saturating_sub(FREE).min(16);
        DEBOUNCE.saturating_mul(1 << doubled).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a server is listed within `limit` that tells of a change `every`
    /// so often.
    async fn lists(every: Duration, limit: Duration) -> usize {
        let tell = watch::Sender::new(0);
        let mut changes = tell.subscribe();
        let chatter = async {
            loop {
                tell.send_modify(|count| *count += 1);
                tokio::time::sleep(every).await;
            }
        };
        let mut listed = 0;
        let follow = async {
            let mut patience = Patience::default();
            while changed(&mut changes, &mut patience).await {
                listed += 1;
                patience.listed(Instant::now());
            }
        };
        tokio::select! {
            () = chatter => {}
            () = follow => {}
            () = tokio::time::sleep(limit) => {}
        }
        listed
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_stop_changing_is_listed_once_a_minute() {
        let hour = Duration::from_secs(3600);
        let often = lists(Duration::from_millis(50), hour).await;
        // Seventeen times until it waits for a minute, and then each minute.
        assert!((70..=78).contains(&often), "{often}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_changes_now_and_then_is_listed_each_time() {
        let minute = Duration::from_secs(60);
        assert_eq!(lists(minute, 60 * minute).await, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn after_some_quiet_a_change_is_listed_at_once_again() {
        let mut patience = Patience::default();
        let start = Instant::now();
        patience.listed(start);
        let waits: Vec<Duration> = (0..20).map(|_| patience.next(start)).collect();
        assert_eq!(waits.get(..8), Some([DEBOUNCE; 8].as_slice()));
        assert_eq!(waits.get(8), Some(&(2 * DEBOUNCE)));
        assert_eq!(waits.last(), Some(&LONGEST));
        assert_eq!(patience.next(start + CALM), DEBOUNCE);
    }
}
