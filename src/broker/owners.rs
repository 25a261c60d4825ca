//! Whose an exposed name is: what others list later does not change it.
//!
//! A tool's name can belong only to the servers whose prefix it begins with, the
//! longest counts. Among servers of one prefix it is the one's whose tool was
//! accepted under it first, which pins tell after a restart as well. A prompt is the
//! one's that lists it and did so first; whose a resource is, is in `resources.rs`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::policy::Policy;
use crate::{
    config::{self, Beginnings},
    domain::{Offer, ServerName, shown},
    ports::Store,
    wire::Raw,
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Owners {
    beginnings: Beginnings,
    /// Names that an accepted tool has, or one that looks like it, of servers that share
    /// their prefix.
    taken: Mutex<HashMap<String, ServerName>>,
}

impl Owners {
    /// Of these servers, with what was accepted of them until now.
    pub(super) fn new(policy: &Policy, store: &dyn Store) -> Self {
        let servers = policy.servers.iter();
        let prefixes = servers.map(|(server, rules)| (server, rules.prefix.as_str()));
        let beginnings = Beginnings::of(prefixes);
        let mut taken = HashMap::new();
        let shared: Vec<&ServerName> = beginnings.sharing().collect();
        if !shared.is_empty() {
            let mut pins = store.pins();
            pins.sort_by(|a, b| (&a.since, &a.server).cmp(&(&b.since, &b.server)));
            for pin in pins {
                let Some(rules) = policy.servers.get(&pin.server) else {
                    continue;
                };
                if shared.contains(&&pin.server) && rules.tool(&pin.tool).offer != Offer::Off {
                    let exposed = config::exposed(&rules.prefix, &pin.server, &pin.tool);
                    taken.entry(config::alike(&exposed)).or_insert(pin.server);
                }
            }
        }
        Self {
            beginnings,
            taken: Mutex::new(taken),
        }
    }

    /// Whether what a server lists can have this name at all, whoever else lists it.
    pub(super) fn admits(&self, server: &ServerName, exposed: &str) -> Result<(), String> {
        if config::is_own(exposed) {
            let own = config::OWN;
            return Err(format!("names that begin with `{own}` are tollgate's own"));
        }
        match self.beginnings.owners(exposed) {
            Some((start, owners)) if !owners.contains(server) => {
                let owner = owners.first().map_or("another", ServerName::as_str);
                Err(format!(
                    "names that begin with `{start}` belong to server `{owner}`"
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The servers whose names begin like this one.
    pub(super) fn named(&self, exposed: &str) -> &[ServerName] {
        let owners = self.beginnings.owners(exposed);
        owners.map_or(&[], |(_, servers)| servers)
    }

    /// Whether no tool of another server has this name.
    pub(super) fn is_free(&self, server: &ServerName, exposed: &str) -> Result<(), String> {
        match self.taken().get(&config::alike(exposed)) {
            Some(owner) if owner != server => Err(belongs(exposed, owner)),
            Some(_) | None => Ok(()),
        }
    }

    /// A tool of this server was accepted under this name.
    pub(super) fn take(&self, server: &ServerName, exposed: &str) {
        let shared = self.beginnings.owners(exposed);
        if shared.is_some_and(|(_, servers)| servers.len() > 1) {
            let mut taken = self.taken();
            taken
                .entry(config::alike(exposed))
                .or_insert(server.clone());
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, ServerName>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a name is not to be had.
pub(super) fn belongs(exposed: &str, owner: &ServerName) -> String {
    format!("`{}` already belongs to server `{owner}`", shown(exposed))
}

/// Who lists each of the things of one kind now, and since when.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// What a server lists, each with the first of the lists that had it. Shared with the
    /// lists after it for as long as the server lists the same.
    of: BTreeMap<ServerName, Arc<HashMap<Key, u64>>>,
    /// How often the list was made anew.
    made: u64,
}

/// Names and URIs by their hash: they are not kept a second time, however long.
pub(super) type Key = [u8; 32];

pub(super) fn key(text: &str) -> Key {
    blake3::hash(text.as_bytes()).into()
}

impl Claims {
    /// Of what is listed now. Who was there before goes first; the others by name.
    pub(super) fn new<'a, T: AsRef<str>>(
        before: Option<&Claims>,
        listed: impl Iterator<Item = (&'a ServerName, T)>,
    ) -> Self {
        let mut keys: BTreeMap<&ServerName, Vec<Key>> = BTreeMap::new();
        for (server, text) in listed {
            keys.entry(server).or_default().push(key(text.as_ref()));
        }
        let mut claims = Self::after(before);
        for (server, keys) in keys {
            claims.add(before, server, keys);
        }
        claims
    }

    /// The next list, with nothing in it yet.
    pub(super) fn after(before: Option<&Claims>) -> Self {
        Self {
            of: BTreeMap::new(),
            made: before.map_or(0, |before| before.made + 1),
        }
    }

    /// What a server lists now.
    pub(super) fn add(
        &mut self,
        before: Option<&Claims>,
        server: &ServerName,
        keys: impl IntoIterator<Item = Key>,
    ) {
        let known = before.and_then(|before| before.of.get(server));
        let since = |key: &Key| known.and_then(|known| known.get(key).copied());
        let keys = keys.into_iter();
        let its = keys.map(|key| (key, since(&key).unwrap_or(self.made)));
        self.of.insert(server.clone(), Arc::new(its.collect()));
    }

    /// A server lists what it listed before: nothing of it is looked at.
    pub(super) fn carry(&mut self, before: &Claims, server: &ServerName) {
        if let Some(its) = before.of.get(server) {
            self.of.insert(server.clone(), its.clone());
        }
    }

    /// The first of these servers that lists it.
    pub(super) fn owner(&self, text: &str, among: &[ServerName]) -> Option<&ServerName> {
        self.owner_since(&key(text), among)
            .map(|(server, _)| server)
    }

    /// The same, and in which of the lists it did so first.
    pub(super) fn owner_since(
        &self,
        key: &Key,
        among: &[ServerName],
    ) -> Option<(&ServerName, u64)> {
        let those = self.of.iter().filter(|(server, _)| among.contains(server));
        first(those, key)
    }

    /// The first of all.
    pub(super) fn first(&self, text: &str) -> Option<&ServerName> {
        self.first_of(&key(text))
    }

    /// The same.
    pub(super) fn first_of(&self, key: &Key) -> Option<&ServerName> {
        first(self.of.iter(), key).map(|(server, _)| server)
    }

    /// In which of the lists a server listed it first.
    pub(super) fn since(&self, key: &Key, server: &ServerName) -> Option<u64> {
        self.of.get(server)?.get(key).copied()
    }

    /// What servers list that comes after another's. Of two that list much and little, the
    /// little is looked for in the much.
    pub(super) fn later(&self) -> BTreeMap<&ServerName, HashSet<Key>> {
        let mut later: BTreeMap<&ServerName, HashSet<Key>> = BTreeMap::new();
        for (nth, one) in self.of.iter().enumerate() {
            for other in self.of.iter().skip(nth + 1) {
                let (few, many) = match one.1.len() <= other.1.len() {
                    true => (one.1, other.1),
                    false => (other.1, one.1),
                };
                for key in few.keys().filter(|key| many.contains_key(*key)) {
                    let first = self.first_of(key);
                    for server in [one.0, other.0] {
                        if first != Some(server) {
                            later.entry(server).or_default().insert(*key);
                        }
                    }
                }
            }
        }
        later
    }

    /// Whether an entry of a list is shown to who may see these servers. What has no
    /// key is nobody else's.
    pub(super) fn shows(&self, server: &ServerName, key: Option<&Key>, to: &[ServerName]) -> bool {
        key.is_none_or(|key| {
            self.owner_since(key, to)
                .is_some_and(|(owner, _)| owner == server)
        })
    }
}

/// The first of those that list something; by name of those that did so at the same time.
fn first<'a>(
    those: impl Iterator<Item = (&'a ServerName, &'a Arc<HashMap<Key, u64>>)>,
    key: &Key,
) -> Option<(&'a ServerName, u64)> {
    let having = those.filter_map(|(server, its)| Some((server, *its.get(key)?)));
    having.min_by_key(|(_, since)| *since)
}

/// A text member of an entry of a list.
pub(super) fn text(entry: &Raw, key: &str) -> Option<String> {
    Some(entry.get(key)?.as_str()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lists_it_later_comes_later_whatever_its_name() {
        let [a, z] = ["a", "z"].map(|name| ServerName::parse(name).unwrap());
        let key = "test://a";
        let first = Claims::new(None, [(&z, key)].into_iter());
        let second = Claims::new(Some(&first), [(&a, key), (&z, key)].into_iter());
        assert_eq!(second.first(key), Some(&z));
        // Who may not see that server sees the other's.
        assert_eq!(second.owner(key, std::slice::from_ref(&a)), Some(&a));
        // Who does not list it any more has it no more.
        let third = Claims::new(Some(&second), [(&a, key)].into_iter());
        assert_eq!(third.first(key), Some(&a));
    }
}
