//! What a day without a call makes new, runs and agents, and what they would be without
//! that day.
//!
//! Whether a day has passed is asked of the clock of each call, and a clock can be ahead
//! for a while. So what was there before is kept beside what is new, and goes on as if no
//! day had passed. It counts again as soon as the clock is back before that moment; it is
//! forgotten when that moment has proved right.

use std::collections::BTreeSet;
use std::hash::Hash;

use super::{map::Map, sweeping::PROVEN};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Lives<K, V> {
    all: Map<K, V>,
    before: Map<K, Before<V>>,
    /// Until when the last of those may come back: looked at for every call.
    latest: i64,
    /// What changed since it was last asked.
    touched: BTreeSet<K>,
}

/// What something was before it was new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before<V> {
    /// Since when it is new: before that it is what it was.
    pub(super) until: i64,
    pub(super) was: V,
}

impl<K, V> Default for Lives<K, V> {
    fn default() -> Self {
        Self {
            all: Map::default(),
            before: Map::default(),
            latest: i64::MIN,
            touched: BTreeSet::new(),
        }
    }
}

impl<K: Clone + Ord + Hash, V> Lives<K, V> {
    /// What it is by this time.
    pub(super) fn get(&self, key: &K, now: i64) -> Option<&V> {
        if now < self.latest
            && let Some(before) = self.before.get(key)
            && now < before.until
        {
            return Some(&before.was);
        }
        self.all.get(key)
    }

    /// What it is by the last record.
    pub(super) fn known(&self, key: &K) -> Option<&V> {
        self.all.get(key)
    }

    pub(super) fn before(&self, key: &K) -> Option<&Before<V>> {
        self.before.get(key)
    }

    /// All by the last record.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.all.iter()
    }

    pub(super) fn befores(&self) -> impl Iterator<Item = (&K, &Before<V>)> {
        self.before.iter()
    }

    /// It, and what it would be: what happens now happens to both.
    pub(super) fn each(&mut self, key: &K) -> impl Iterator<Item = &mut V> {
        let before = self.before.get_mut(key);
        let before = before.map(|before| &mut before.was);
        self.all.get_mut(key).into_iter().chain(before)
    }

    /// From now on it is new.
    pub(super) fn begins(&mut self, key: &K, new: V, at: i64) {
        self.touched.insert(key.clone());
        let Some(was) = self.all.insert(key.clone(), new) else {
            return;
        };
        self.latest = self.latest.max(at);
        match self.before.get_mut(key) {
            // What it was before that counts as well: rather too much than too little.
            Some(before) if at - before.until < PROVEN => before.until = at,
            Some(_) | None => {
                let before = Before { until: at, was };
                self.before.insert(key.clone(), before);
            }
        }
    }

    /// A record of this time: what was new only later is what it was.
    pub(super) fn clock_is(&mut self, at: i64) {
        if at >= self.latest {
            return;
        }
        for (key, before) in self.before.extract_if(|_, before| at < before.until) {
            self.touched.insert(key.clone());
            self.all.insert(key, before.was);
        }
        self.find_latest();
    }

    /// Forgets what was there before what is new by a time that has proved right, and what
    /// need not be kept; `settle` looks at each of the others and says whether it changed.
    pub(super) fn sweep(
        &mut self,
        now: i64,
        kept: impl Fn(&V) -> bool,
        settle: impl Fn(&mut V) -> bool,
    ) {
        let touched = &mut self.touched;
        self.before.retain(|key, before| {
            let stays = now < before.until;
            if !stays || settle(&mut before.was) {
                touched.insert(key.clone());
            }
            stays
        });
        self.all.retain(|key, value| {
            let stays = kept(value);
            if !stays || settle(value) {
                touched.insert(key.clone());
            }
            stays
        });
        let all = &self.all;
        self.before.retain(|key, _| all.contains_key(key));
        self.find_latest();
    }

    pub(super) fn touch(&mut self, key: &K) {
        self.touched.insert(key.clone());
    }

    pub(super) fn take_touched(&mut self) -> BTreeSet<K> {
        std::mem::take(&mut self.touched)
    }

    /// For what is read back.
    pub(super) fn put(&mut self, key: K, value: V) {
        self.all.insert(key, value);
    }

    /// For what is read back.
    pub(super) fn put_before(&mut self, key: K, before: Before<V>) {
        self.latest = self.latest.max(before.until);
        self.before.insert(key, before);
    }

    /// For what is read back: the one that is there already, or what it was.
    pub(super) fn one(&mut self, key: &K, before: bool) -> Option<&mut V> {
        match before {
            true => self.before.get_mut(key).map(|before| &mut before.was),
            false => self.all.get_mut(key),
        }
    }

    fn find_latest(&mut self) {
        let until = self.before.values().map(|before| before.until);
        self.latest = until.max().unwrap_or(i64::MIN);
    }
}
