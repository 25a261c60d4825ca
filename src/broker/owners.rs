//! Whose an exposed name is: what others list later does not change it.
//!
//! A tool's name can belong only to the servers whose prefix it begins with, the
//! longest counts. Among servers of one prefix it is the one's whose tool was
//! accepted under it first, which pins tell after a restart as well. A prompt is the
//! one's that lists it and did so first; whose a resource is, is in `resources.rs`.

use std::{
    collections::HashMap,
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
    /// Names that an accepted tool has, of servers that share their prefix.
    taken: Mutex<HashMap<Arc<str>, ServerName>>,
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
                    taken.entry(exposed.into()).or_insert(pin.server);
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

    /// Whether no tool of another server has this name.
    pub(super) fn is_free(&self, server: &ServerName, exposed: &str) -> Result<(), String> {
        match self.taken().get(exposed) {
            Some(owner) if owner != server => Err(belongs(exposed, owner)),
            Some(_) | None => Ok(()),
        }
    }

    /// A tool of this server was accepted under this name.
    pub(super) fn take(&self, server: &ServerName, exposed: &Arc<str>) {
        let shared = self.beginnings.owners(exposed);
        if shared.is_some_and(|(_, servers)| servers.len() > 1) {
            let mut taken = self.taken();
            taken.entry(exposed.clone()).or_insert(server.clone());
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Arc<str>, ServerName>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a name is not to be had.
pub(super) fn belongs(exposed: &str, owner: &ServerName) -> String {
    format!("`{}` already belongs to server `{owner}`", shown(exposed))
}

/// Who lists each of the things of one kind now, the first of them first.
#[derive(Debug, Default)]
pub(super) struct Claims {
    claims: HashMap<Key, Vec<Claim>>,
    /// How often the list was made anew.
    made: u64,
}

/// A server that lists something, and in which of the lists it did so first.
#[derive(Debug)]
struct Claim {
    server: ServerName,
    since: u64,
}

/// Names and URIs by their hash: they are not kept a second time, however long.
type Key = [u8; 32];

fn key(text: &str) -> Key {
    blake3::hash(text.as_bytes()).into()
}

impl Claims {
    /// Of what is listed now. Who was there before goes first; the others as they
    /// come, which is by name.
    pub(super) fn new<'a, T: AsRef<str>>(
        before: Option<&Claims>,
        listed: impl Iterator<Item = (&'a ServerName, T)>,
    ) -> Self {
        let made = before.map_or(0, |before| before.made + 1);
        let mut claims: HashMap<Key, Vec<Claim>> = HashMap::new();
        for (server, text) in listed {
            let key = key(text.as_ref());
            let those = claims.entry(key).or_default();
            if !those.iter().any(|claim| claim.server == *server) {
                let since = before.and_then(|before| before.since_of(&key, server));
                those.push(Claim {
                    server: server.clone(),
                    since: since.unwrap_or(made),
                });
            }
        }
        for those in claims.values_mut().filter(|those| those.len() > 1) {
            those.sort_by_key(|claim| claim.since);
        }
        Self { claims, made }
    }

    /// The first of these servers that lists it.
    pub(super) fn owner(&self, text: &str, among: &[ServerName]) -> Option<&ServerName> {
        self.owner_since(text, among).map(|(server, _)| server)
    }

    /// The same, and in which of the lists it did so first.
    pub(super) fn owner_since(
        &self,
        text: &str,
        among: &[ServerName],
    ) -> Option<(&ServerName, u64)> {
        let mut those = self.claims.get(&key(text))?.iter();
        let first = those.find(|claim| among.contains(&claim.server))?;
        Some((&first.server, first.since))
    }

    /// The first of all.
    pub(super) fn first(&self, text: &str) -> Option<&ServerName> {
        let first = self.claims.get(&key(text))?.first()?;
        Some(&first.server)
    }

    /// In which of the lists a server listed it first.
    pub(super) fn since(&self, text: &str, server: &ServerName) -> Option<u64> {
        self.since_of(&key(text), server)
    }

    fn since_of(&self, key: &Key, server: &ServerName) -> Option<u64> {
        let mut those = self.claims.get(key)?.iter();
        let its = those.find(|claim| claim.server == *server)?;
        Some(its.since)
    }

    /// Whether an entry of a list is shown to who may see these servers. What has no
    /// key is nobody else's.
    pub(super) fn shows(&self, server: &ServerName, key: Option<&str>, to: &[ServerName]) -> bool {
        key.is_none_or(|key| self.owner(key, to) == Some(server))
    }
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
