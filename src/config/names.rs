//! The names under which agents see what servers offer, and whose they can be.

use std::collections::BTreeMap;

use crate::domain::ServerName;

/// What names of tollgate's own begin with. No server can have one.
pub const OWN: &str = "tollgate__";

/// Clients and models accept no more.
const LIMIT: usize = 64;

/// How many characters of the hash keep shortened names apart.
const HASH: usize = 6;

/// The exposed name: prefix and name as they are where clients accept that,
/// else cleaned or shortened with a hash that stays the same over restarts.
#[must_use]
pub fn exposed(prefix: &str, server: &ServerName, name: &str) -> String {
    let plain = format!("{prefix}{name}");
    let is_plain = plain.chars().all(|c| fits(c, prefix));
    if plain.len() <= LIMIT && is_plain {
        return plain;
    }
    let clean = clean(&plain, prefix);
    let hash = blake3::hash(format!("{server}\0{name}").as_bytes()).to_hex();
    format!("{clean}_{}", hash.get(..HASH).unwrap_or_default())
}

/// Whether a tool of a server can have this name here.
#[must_use]
pub fn can_be_exposed(name: &str) -> bool {
    !name.is_empty() && name.len() <= LIMIT && !is_own(name)
}

fn fits(c: char, prefix: &str) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '_' | '-')
        || (prefix.is_empty() && matches!(c, '.' | '/'))
}

fn clean(text: &str, prefix: &str) -> String {
    text.chars()
        .map(|c| if fits(c, prefix) { c } else { '_' })
        .take(LIMIT - HASH - 1)
        .collect()
}

/// Whether a name would pass for one of tollgate's own, also to who reads past
/// capitals.
#[must_use]
pub fn is_own(name: &str) -> bool {
    let start = name.get(..OWN.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(OWN))
}

/// What stands for all names that differ only in capitals: a reader takes one of them for
/// another, a model as well.
#[must_use]
pub fn alike(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Whose names begin how. A name can belong only to the servers with the longest
/// beginning that it has, so that what one server lists is never taken for
/// another's.
#[derive(Debug, Default)]
pub struct Beginnings(BTreeMap<String, Vec<ServerName>>);

impl Beginnings {
    /// Of these servers, each with its prefix.
    pub fn of<'a>(servers: impl Iterator<Item = (&'a ServerName, &'a str)>) -> Self {
        let mut known: BTreeMap<String, Vec<ServerName>> = BTreeMap::new();
        for (server, prefix) in servers {
            // As it stands in names: cleaned, and cut where they are.
            let beginning = clean(prefix, prefix);
            known
                .entry(alike(&beginning))
                .or_default()
                .push(server.clone());
        }
        Self(known)
    }

    /// The beginning that counts for a name, and the servers that have it.
    #[must_use]
    pub fn owners(&self, exposed: &str) -> Option<(&str, &[ServerName])> {
        let exposed = alike(exposed);
        let fitting = self
            .0
            .iter()
            .filter(|(start, _)| exposed.starts_with(*start));
        let (start, servers) = fitting.max_by_key(|(start, _)| start.len())?;
        Some((start, servers))
    }

    /// The servers whose names begin like those of another.
    pub fn sharing(&self) -> impl Iterator<Item = &ServerName> {
        self.0
            .values()
            .filter(|servers| servers.len() > 1)
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_clients_accept_stays_as_it_is() {
        let server = ServerName::parse("files").unwrap();
        assert_eq!(exposed("files__", &server, "read_file"), "files__read_file");
        assert_eq!(exposed("", &server, "a.b/c"), "a.b/c");
    }

    #[test]
    fn a_longer_one_is_cut_and_marked_and_stays_apart_from_its_neighbours() {
        let server = ServerName::parse("files").unwrap();
        let one = exposed("files__", &server, &"x".repeat(80));
        let two = exposed("files__", &server, &"x".repeat(81));
        assert_eq!(one.len(), LIMIT);
        assert_ne!(one, two);
        assert_eq!(one, exposed("files__", &server, &"x".repeat(80)));
        let odd = exposed("my.files__", &server, "läs");
        assert!(odd.is_ascii() && odd.starts_with("my_files__l_s_"), "{odd}");
    }

    #[test]
    fn a_name_belongs_to_the_longest_prefix_that_it_begins_with() {
        let servers = ["a", "a__b", "my.files", "plain"].map(|n| ServerName::parse(n).unwrap());
        let prefixes = ["a__", "a__b__", "my.files__", ""];
        let known = Beginnings::of(servers.iter().zip(prefixes));
        let owner = |name: &str| known.owners(name).unwrap().1[0].to_string();
        assert_eq!(owner("a__echo"), "a");
        assert_eq!(owner("a__b__echo"), "a__b");
        assert_eq!(owner("echo"), "plain");
        assert_eq!(owner("my.files__echo"), "plain");
        // As its names are seen, not as its prefix is written.
        assert_eq!(
            owner(&exposed("my.files__", &servers[2], "echo")),
            "my.files"
        );
        assert_eq!(known.sharing().count(), 0);
        // Nor does a name that only looks like one of them pass for it.
        assert_eq!(owner("A__B__echo"), "a__b");
    }

    #[test]
    fn a_long_prefix_is_found_in_names_that_were_cut() {
        let server = ServerName::parse(&"s".repeat(48)).unwrap();
        let prefix = format!("{server}__");
        let known = Beginnings::of([(&server, prefix.as_str())].into_iter());
        for name in ["x", &"x".repeat(80)] {
            assert!(known.owners(&exposed(&prefix, &server, name)).is_some());
        }
    }
}
