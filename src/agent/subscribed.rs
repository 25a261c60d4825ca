//! What an agent of the handshake era watches: kept for as long as it is there, and so
//! bounded, and counted before its server is asked.

use std::collections::{BTreeSet, HashMap};

/// Bytes that the addresses may take which one connection watches, and those that its
/// streams name together: a stream is open for ever, and so are they. One that was ended
/// counts until what it began has ended as well.
pub(super) const MAX_WATCHED: usize = 1024 * 1024;

/// What an address that is watched takes besides its own bytes.
pub(super) const EACH: usize = 64;

/// What an agent hears that would watch more.
pub(super) fn too_much() -> String {
    format!("more than {MAX_WATCHED} bytes of addresses are watched")
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Subscribed(HashMap<String, Held>);

#[derive(Debug, Default)]
struct Held {
    /// Calls that would begin it and are not answered yet.
    open: usize,
    granted: bool,
}

impl Subscribed {
    /// A call would watch this; not if all would take more than `most` bytes then.
    pub(super) fn reserve(&mut self, uri: &str, most: usize) -> bool {
        if !self.0.contains_key(uri) {
            let named = self.0.keys().map(|known| known.len() + EACH);
            if named.sum::<usize>() + uri.len() + EACH > most {
                return false;
            }
        }
        self.0.entry(uri.to_owned()).or_default().open += 1;
        true
    }

    /// What became of the call.
    pub(super) fn settle(&mut self, uri: &str, granted: bool) {
        if let Some(held) = self.0.get_mut(uri) {
            held.open = held.open.saturating_sub(1);
            held.granted |= granted;
        }
        self.give_back(uri);
    }

    /// It is watched no longer; says whether it was.
    pub(super) fn end(&mut self, uri: &str) -> bool {
        let held = self.0.get_mut(uri);
        let was = held.is_some_and(|held| std::mem::take(&mut held.granted));
        self.give_back(uri);
        was
    }

    /// What is watched.
    pub(super) fn granted(&self) -> BTreeSet<String> {
        let granted = self.0.iter().filter(|(_, held)| held.granted);
        granted.map(|(uri, _)| uri.clone()).collect()
    }

    /// Whether it is watched, or about to be.
    pub(super) fn has(&self, uri: &str) -> bool {
        self.0.contains_key(uri)
    }

    fn give_back(&mut self, uri: &str) {
        if self
            .0
            .get(uri)
            .is_some_and(|held| held.open == 0 && !held.granted)
        {
            self.0.remove(uri);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_to_be_watched_counts_until_it_fails() {
        let most = 2 * (EACH + 3);
        let mut subscribed = Subscribed::default();
        assert!(subscribed.reserve("a:1", most) && subscribed.reserve("a:2", most));
        assert!(!subscribed.reserve("a:3", most));
        // The same again takes nothing more.
        assert!(subscribed.reserve("a:2", most));
        subscribed.settle("a:1", false);
        assert!(!subscribed.has("a:1") && subscribed.reserve("a:3", most));
        // Of two calls for one resource the one that failed takes nothing back.
        subscribed.settle("a:2", false);
        subscribed.settle("a:2", true);
        assert!(subscribed.has("a:2"));
        assert!(subscribed.end("a:2") && !subscribed.end("a:2"));
        assert!(!subscribed.has("a:2"));
    }
}
