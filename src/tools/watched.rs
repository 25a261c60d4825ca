//! Who watches which resource in one instance.
//!
//! A server knows one subscriber, us: it is told to stop when the last of ours
//! has left, and what it tells is passed on to those who subscribed.

use std::collections::{BTreeMap, BTreeSet};

/// Resources, and the connections that subscribed to each.
#[derive(Default)]
pub(super) struct Watched {
    by: BTreeMap<String, BTreeMap<u64, Watch>>,
    /// How many were begun so far.
    begun: u64,
}

struct Watch {
    nth: u64,
    /// Whether the server said yes.
    granted: bool,
}

/// Resources, and connections that subscribed to each.
pub(super) type By = BTreeMap<String, Vec<u64>>;

/// What a connection subscribes to no longer.
pub(super) enum Leaves {
    /// It has gone.
    Everything,
    These(BTreeSet<String>),
}

impl Leaves {
    fn covers(&self, uri: &str) -> bool {
        match self {
            Leaves::Everything => true,
            Leaves::These(uris) => uris.contains(uri),
        }
    }
}

impl Watched {
    /// A connection subscribes; the number of its subscription, if it had none before.
    pub(super) fn add(&mut self, uri: &str, connection: u64) -> Option<u64> {
        let watchers = self.by.entry(uri.to_owned()).or_default();
        if watchers.contains_key(&connection) {
            return None;
        }
        self.begun += 1;
        let watch = Watch {
            nth: self.begun,
            granted: false,
        };
        watchers.insert(connection, watch);
        Some(self.begun)
    }

    /// The server tells of it. Who has left meanwhile does not come back: says whether
    /// the connection is still there.
    pub(super) fn grant(&mut self, uri: &str, connection: u64) -> bool {
        let watchers = self.by.get_mut(uri);
        let watch = watchers.and_then(|watchers| watchers.get_mut(&connection));
        watch.map(|watch| watch.granted = true).is_some()
    }

    /// Whether the server tells of a resource.
    pub(super) fn is_granted(&self, uri: &str) -> bool {
        let mut watchers = self.by.get(uri).into_iter().flatten();
        watchers.any(|(_, watch)| watch.granted)
    }

    /// A subscription came to nothing, whatever has begun after it; says whether nobody
    /// is subscribed now who was.
    pub(super) fn undo(&mut self, uri: &str, connection: u64, nth: u64) -> bool {
        let watchers = self.by.get(uri);
        let watch = watchers.and_then(|watchers| watchers.get(&connection));
        watch.is_some_and(|watch| watch.nth == nth) && self.remove(uri, connection)
    }

    /// A connection subscribes no longer; says whether nobody does now.
    pub(super) fn remove(&mut self, uri: &str, connection: u64) -> bool {
        if let Some(watchers) = self.by.get_mut(uri) {
            watchers.remove(&connection);
            if !watchers.is_empty() {
                return false;
            }
            self.by.remove(uri);
        }
        true
    }

    /// Of what a connection leaves, all that it subscribed to.
    pub(super) fn of(&self, connection: u64, leaves: &Leaves) -> Vec<String> {
        self.by
            .iter()
            .filter(|(uri, watchers)| watchers.contains_key(&connection) && leaves.covers(uri))
            .map(|(uri, _)| uri.clone())
            .collect()
    }

    /// A connection leaves some of what it subscribed to; the resources of those that
    /// nobody subscribes to now.
    pub(super) fn leave(&mut self, connection: u64, leaves: &Leaves) -> Vec<String> {
        let its = self.of(connection, leaves).into_iter();
        let alone = its.filter(|uri| self.remove(uri, connection));
        alone.collect()
    }

    /// The server tells of nothing any more but what is `kept`: all else that it had said
    /// yes to, and who heard of it. What it has not answered yet is not lost.
    pub(super) fn lose(&mut self, kept: impl Fn(&str) -> bool) -> By {
        let mut lost = By::new();
        self.by.retain(|uri, watchers| {
            if kept(uri) {
                return true;
            }
            watchers.retain(|connection, watch| {
                if watch.granted {
                    lost.entry(uri.clone()).or_default().push(*connection);
                }
                !watch.granted
            });
            !watchers.is_empty()
        });
        lost
    }

    /// Everything that the server said yes to, and who hears of it.
    pub(super) fn granted(&self) -> By {
        let granted = self.by.iter().map(|(uri, watchers)| {
            let watchers = watchers.iter().filter(|(_, watch)| watch.granted);
            (uri.clone(), watchers.map(|(by, _)| *by).collect())
        });
        granted
            .filter(|(_, by): &(_, Vec<u64>)| !by.is_empty())
            .collect()
    }

    /// Who subscribed to a resource.
    pub(super) fn by(&self, uri: &str) -> Vec<u64> {
        let watchers = self.by.get(uri).into_iter().flatten();
        watchers.map(|(connection, _)| *connection).collect()
    }

    /// Everything that somebody subscribed to.
    pub(super) fn uris(&self) -> Vec<&str> {
        self.by.keys().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_leave_ends_a_subscription() {
        let mut watched = Watched::default();
        assert!(watched.add("a:1", 1).is_some());
        assert!(watched.add("a:1", 1).is_none());
        assert!(watched.add("a:1", 2).is_some());
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
        let these = Leaves::These(["a:3", "a:1"].map(str::to_owned).into());
        assert!(watched.leave(1, &these).is_empty());
        assert_eq!(watched.by("a:1"), [2]);
        watched.add("a:1", 1);
        assert_eq!(watched.leave(1, &Leaves::Everything), ["a:2"]);
        assert_eq!(watched.uris(), ["a:1", "a:3"]);
    }

    #[test]
    fn what_was_granted_is_lost_and_what_is_not_answered_yet_is_not() {
        let mut watched = Watched::default();
        let nth = watched.add("a:1", 1).unwrap();
        watched.add("a:1", 2);
        watched.add("a:2", 1);
        assert!(watched.grant("a:1", 1));
        assert!(watched.is_granted("a:1") && !watched.is_granted("a:2"));
        assert_eq!(
            watched.granted(),
            BTreeMap::from([("a:1".to_owned(), vec![1])])
        );
        assert!(watched.lose(|uri| uri == "a:1").is_empty());
        assert_eq!(
            watched.lose(|_| false),
            BTreeMap::from([("a:1".to_owned(), vec![1])])
        );
        assert_eq!(watched.uris(), ["a:1", "a:2"]);
        // What has gone is not granted any more, and what was begun anew stays.
        assert!(!watched.grant("a:1", 1));
        watched.add("a:1", 1);
        assert!(!watched.undo("a:1", 1, nth));
        assert_eq!(watched.by("a:1"), [1, 2]);
    }
}
