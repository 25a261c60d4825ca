//! How a server is, for people.

use tokio::time::Instant;

use super::{instance::lock, server::Server};
use crate::domain::Era;

/// What the pool tells of a server, for people.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Health {
    /// Its name.
    pub server: String,
    /// In one word.
    pub state: &'static str,
    /// How it speaks, once it has.
    pub era: Option<Era>,
    /// Running instances.
    pub instances: usize,
    /// Why it last ended or could not be started.
    pub trouble: Option<String>,
    /// Seconds until the next try, while it backs off.
    pub retry_in: Option<u64>,
    /// The end of its stderr.
    pub stderr: Vec<String>,
    /// The end of the stderr of the one whose end `trouble` tells, while another runs.
    pub last_words: Vec<String>,
}

impl Server {
    /// How it is, with the last `lines` lines of its stderr.
    pub(super) fn health(&self, lines: usize) -> Health {
        let live = self.live();
        let record = lock(&self.record);
        let retry = record
            .not_before
            .and_then(|then| then.checked_duration_since(Instant::now()))
            .filter(|_| !self.switch.is_stopped());
        let skip = record.last_words.len().saturating_sub(lines);
        let last_words = record.last_words.iter().skip(skip).cloned().collect();
        let (stderr, last_words) = match live.last() {
            Some(instance) => (instance.child.stderr().tail(lines), last_words),
            None => (last_words, Vec::new()),
        };
        Health {
            server: self.registered.name.to_string(),
            state: match (live.is_empty(), retry.is_some(), record.trouble.is_some()) {
                // It may run all the same: how many of it do is said beside that.
                _ if self.switch.is_stopped() => "stopped",
                (false, _, _) => "running",
                (true, true, _) => "backing off",
                (true, false, true) => "ended",
                (true, false, false) => "starting",
            },
            era: record.era,
            instances: live.len(),
            trouble: record.trouble.clone(),
            retry_in: retry.map(|left| left.as_secs() + 1),
            stderr,
            last_words,
        }
    }
}
