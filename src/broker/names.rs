//! The names under which agents see what servers offer.

use crate::domain::ServerName;

/// Clients and models accept no more.
const LIMIT: usize = 64;

/// How many characters of the hash keep shortened names apart.
const HASH: usize = 6;

/// The exposed name: prefix and name as they are where clients accept that,
/// else cleaned or shortened with a hash that stays the same over restarts.
pub(super) fn exposed(prefix: &str, server: &ServerName, name: &str) -> String {
    let plain = format!("{prefix}{name}");
    let fits = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '_' | '-')
            || (prefix.is_empty() && matches!(c, '.' | '/'))
    };
    if plain.len() <= LIMIT && plain.chars().all(fits) {
        return plain;
    }
    let clean: String = plain
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .take(LIMIT - HASH - 1)
        .collect();
    let hash = blake3::hash(format!("{server}\0{name}").as_bytes()).to_hex();
    format!("{clean}_{}", hash.get(..HASH).unwrap_or_default())
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
}
