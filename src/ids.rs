//! Short ids that a person can type: behind the prefix that says of what stand ten
//! Crockford base32 characters (50 bits).
//!
//! Ids are unique, not secret: nothing may be allowed because somebody knows
//! one. Chance is read once, when the source is made, so making an id can't
//! fail; a seeded source gives the same ids every time, for tests.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of ids.
pub struct Ids {
    key: [u8; 32],
    made: AtomicU64,
}

impl Ids {
    /// A source that the operating system seeds.
    ///
    /// # Errors
    /// When the operating system has no random bytes to give.
    pub fn system() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self::with_key(key))
    }

    /// A source that gives the same ids for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::with_key(*blake3::hash(&seed.to_le_bytes()).as_bytes())
    }

    fn with_key(key: [u8; 32]) -> Self {
        Self {
            key,
            made: AtomicU64::new(0),
        }
    }

    /// What is behind the prefix of a new id.
    #[must_use]
    pub fn tail(&self) -> String {
        // A keyed hash of a counter: unpredictable from outside, no system call.
        let count = self.made.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.key, &count.to_le_bytes());
        let bytes = hash.as_bytes().iter().take(LENGTH);
        bytes.map(|byte| digit(*byte)).collect()
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids")
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

const LENGTH: usize = 10;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn digit(byte: u8) -> char {
    // 256 is a multiple of 32, so every digit is equally likely.
    let place = usize::from(byte % 32);
    ALPHABET
        .get(place)
        .map_or('0', |letter| char::from(*letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_ten_typable_characters() {
        let tail = Ids::seeded(1).tail();
        assert_eq!(tail.len(), 10);
        assert!(tail.bytes().all(|byte| ALPHABET.contains(&byte)));
    }

    #[test]
    fn a_seed_gives_the_same_ids_and_another_seed_others() {
        let (one, same, other) = (Ids::seeded(7), Ids::seeded(7), Ids::seeded(8));
        let first = one.tail();
        assert_eq!(first, same.tail());
        assert_ne!(first, other.tail());
        assert_ne!(first, one.tail());
    }

    #[test]
    fn system_ids_do_not_repeat() {
        let ids = Ids::system().unwrap();
        let made: std::collections::HashSet<_> = (0..1000).map(|_| ids.tail()).collect();
        assert_eq!(made.len(), 1000);
    }
}
