//! Short ids that a person can type: a kind, a hyphen, ten Crockford base32
//! characters (50 bits).
//!
//! Ids are unique, not secret: nothing may be allowed because somebody knows
//! one. Chance is read once, when the source is made, so making an id can't
//! fail; a seeded source gives the same ids every time, for tests.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// `r-`: a run of an agent.
    Run,
    /// `c-`: a call.
    Call,
    /// `a-`: a question to a reviewer.
    Ask,
    /// `g-`: what a yes leaves behind.
    Grant,
}

impl IdKind {
    /// The letter before the hyphen.
    #[must_use]
    pub const fn prefix(self) -> char {
        match self {
            IdKind::Run => 'r',
            IdKind::Call => 'c',
            IdKind::Ask => 'a',
            IdKind::Grant => 'g',
        }
    }

    /// Reads an id of this kind as a person types it: case does not matter, `o`
    /// is read as `0`, `i` and `l` as `1`, and the prefix may be left out.
    /// Gives the id as [`Ids::next`] wrote it, or nothing.
    #[must_use]
    pub fn parse(self, typed: &str) -> Option<String> {
        let folded = typed.trim().to_ascii_lowercase();
        let digits = match folded.split_once('-') {
            Some((prefix, digits)) if prefix.chars().eq([self.prefix()]) => digits,
            Some(_) => return None,
            None => folded.as_str(),
        };
        if digits.len() != LENGTH {
            return None;
        }
        let digits: Option<String> = digits.chars().map(fold).collect();
        digits.map(|digits| format!("{}-{digits}", self.prefix()))
    }
}

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

    /// A new id.
    #[must_use]
    pub fn next(&self, kind: IdKind) -> String {
        // A keyed hash of a counter: unpredictable from outside, no system call.
        let count = self.made.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.key, &count.to_le_bytes());
        let digits = hash.as_bytes().iter().take(LENGTH).map(|byte| digit(*byte));
        let mut id = String::with_capacity(2 + LENGTH);
        id.extend([kind.prefix(), '-'].into_iter().chain(digits));
        id
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

fn fold(typed: char) -> Option<char> {
    let read = match typed {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    ALPHABET
        .iter()
        .any(|letter| char::from(*letter) == read)
        .then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_prefix_and_ten_typable_characters() {
        let id = Ids::seeded(1).next(IdKind::Call);
        assert!(id.starts_with("c-"), "{id}");
        assert_eq!(id.len(), 12);
        assert_eq!(IdKind::Call.parse(&id), Some(id));
    }

    #[test]
    fn a_person_may_shout_misread_and_leave_out_the_prefix() {
        let id = IdKind::Ask.parse("a-01abcdefgh");
        assert_eq!(id.as_deref(), Some("a-01abcdefgh"));
        assert_eq!(IdKind::Ask.parse(" A-OLABCDEFGH "), id);
        assert_eq!(IdKind::Ask.parse("0iabcdefgh"), id);
    }

    #[test]
    fn an_id_of_another_kind_or_length_is_not_read() {
        assert_eq!(IdKind::Ask.parse("c-01abcdefgh"), None);
        assert_eq!(IdKind::Ask.parse("a-01abcdefg"), None);
        assert_eq!(IdKind::Ask.parse("a-01abcdefgu"), None);
        assert_eq!(IdKind::Ask.parse(""), None);
    }

    #[test]
    fn a_seed_gives_the_same_ids_and_another_seed_others() {
        let (one, same, other) = (Ids::seeded(7), Ids::seeded(7), Ids::seeded(8));
        let first = one.next(IdKind::Run);
        assert_eq!(first, same.next(IdKind::Run));
        assert_ne!(first, other.next(IdKind::Run));
        assert_ne!(first, one.next(IdKind::Run));
    }

    #[test]
    fn system_ids_do_not_repeat() {
        let ids = Ids::system().unwrap();
        let made: std::collections::HashSet<_> =
            (0..1000).map(|_| ids.next(IdKind::Call)).collect();
        assert_eq!(made.len(), 1000);
    }
}
