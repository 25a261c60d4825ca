//! Who watches which resource in one instance.
//!
//! A server knows one subscriber, us: it is told to stop when the last of ours
//! has left, and what it tells is passed on to those who subscribed.

use std::collections::{BTreeMap, BTreeSet};

/// Resources, and the connections that subscribed to each.
#[derive(Default)]
pub(super) struct Watched(BTreeMap<String, BTreeSet<u64>>);

/// What a connection subscribes to no longer.
pub(super) enum Leaves {
    /// It has gone.
    Everything,
    These(Vec<String>),
}

impl Leaves {
    fn covers(&self, uri: &str) -> bool {
        match self {
            Leaves::Everything => true,
            Leaves::These(uris) => uris.iter().any(|known| known == uri),
        }
    }
}

impl Watched {
    /// A connection subscribes; says whether it had not before.
    pub(super) fn add(&mut self, uri: &str, connection: u64) -> bool {
        let watchers = self.0.entry(uri.to_owned()).or_default();
        watchers.insert(connection)
    }

    /// A connection subscribes no longer; says whether nobody does now.
    pub(super) fn remove(&mut self, uri: &str, connection: u64) -> bool {
        if let Some(watchers) = self.0.get_mut(uri) {
            watchers.remove(&connection);
            if !watchers.is_empty() {
                return false;
            }
            self.0.remove(uri);
        }
        true
    }

    /// A connection leaves some of what it subscribed to; the resources of those that
    /// nobody subscribes to now.
    pub(super) fn leave(&mut self, connection: u64, leaves: &Leaves) -> Vec<String> {
        let its: Vec<String> = self
            .0
            .iter()
            .filter(|(uri, watchers)| watchers.contains(&connection) && leaves.covers(uri))
            .map(|(uri, _)| uri.clone())
            .collect();
        let alone = its.into_iter().filter(|uri| self.remove(uri, connection));
        alone.collect()
    }

    /// Who subscribed to a resource.
    pub(super) fn by(&self, uri: &str) -> Vec<u64> {
        let watchers = self.0.get(uri).into_iter().flatten();
        watchers.copied().collect()
    }

    /// Everything that somebody subscribed to.
    pub(super) fn uris(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_leave_ends_a_subscription() {
        let mut watched = Watched::default();
        assert!(watched.add("a:1", 1));
        assert!(!watched.add("a:1", 1));
        assert!(watched.add("a:1", 2));
        assert!(!watched.remove("a:1", 1));
        assert_eq!(watched.by("a:1"), [2]);
        // Who never subscribed ends nobody's.
        assert!(!watched.remove("a:1", 3));
        assert!(watched.remove("a:1", 2));
        assert!(watched.uris().is_empty());
    }

    #[test]
    fn who_goes_leaves_everything_and_ends_what_it_alone_watched() {
        let mut watched = Watched::default();
        for (uri, connection) in [("a:1", 1), ("a:1", 2), ("a:2", 1), ("a:3", 2)] {
            watched.add(uri, connection);
        }
        let these = Leaves::These(vec!["a:3".to_owned(), "a:1".to_owned()]);
        assert!(watched.leave(1, &these).is_empty());
        assert_eq!(watched.by("a:1"), [2]);
        watched.add("a:1", 1);
        assert_eq!(watched.leave(1, &Leaves::Everything), ["a:2"]);
        assert_eq!(watched.uris(), ["a:1", "a:3"]);
    }
}
