//! A bound on what one server has us read anew.
//!
//! Every definition that was not there before is parsed, pinned and recorded. A
//! server that lists others again and again would fill the journal and take the
//! time of all; what it lists beyond its share of a day is hidden.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::domain::ServerName;

/// Definitions of one server in a day: all that one listing may hold, and as many
/// again for a quarter of them.
const DEFINITIONS: usize = 25_000;

/// Bytes of them: the same of what one listing may hold.
const BYTES: usize = 80 << 20;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<HashMap<ServerName, Share>>);

/// What one server has used.
#[derive(Debug)]
struct Share {
    since: Duration,
    definitions: usize,
    bytes: usize,
}

impl News {
    /// Takes one definition of so many bytes, if there is room for it today.
    pub(super) fn take(&self, server: &ServerName, bytes: usize, now: Duration) -> bool {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares.entry(server.clone()).or_insert(Share {
            since: now,
            definitions: 0,
            bytes: 0,
        });
        if now.saturating_sub(share.since) >= DAY {
            *share = Share {
                since: now,
                definitions: 0,
                bytes: 0,
            };
        }
        let fits = share.definitions < DEFINITIONS && share.bytes.saturating_add(bytes) <= BYTES;
        if fits {
            share.definitions += 1;
            share.bytes += bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_so_many_definitions_and_so_many_bytes_of_them_read_in_a_day() {
        let news = News::default();
        let [many, large, other] =
            ["many", "large", "other"].map(|n| ServerName::parse(n).unwrap());
        let at = |hours: u64| Duration::from_secs(hours * 60 * 60);
        for _ in 0..DEFINITIONS {
            assert!(news.take(&many, 1, at(0)));
        }
        assert!(news.take(&large, BYTES, at(0)));
        for server in [&many, &large] {
            assert!(!news.take(server, 1, at(23)));
        }
        assert!(news.take(&other, 1, at(23)));
        for server in [&many, &large] {
            assert!(news.take(server, 1, at(24)));
        }
    }
}
