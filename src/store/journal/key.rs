//! The key under which records are hashed, and what is derived from it.
//!
//! Arguments of a call could contain the text of a forged record; without the key nobody
//! can give it a hash that fits. The key is no defence against who can read the state
//! directory: he could write the journal anew.

use std::fmt;
use std::io;
use std::path::Path;

use super::disk::{Disk, Open, read_all, replace};
use super::error::Refused;
use super::line::Digest;

/// The name of the key's file in the state directory.
pub(super) const KEY_FILE: &str = "journal.key";

/// The key of one journal.
#[derive(Clone)]
pub(super) struct Key {
    lines: [u8; 32],
    notes: [u8; 32],
    bodies: [u8; 32],
    id: String,
}

/// Whether a state directory has the key of a journal and not even its head: one that was
/// begun and never written has that.
pub(crate) fn is_bereft(disk: &dyn Disk, state: &Path) -> bool {
    let opens = |name: &str| disk.open(&state.join(name), Open::Read).is_ok();
    opens(KEY_FILE) && !opens("journal/head")
}

impl Key {
    /// Reads the key, or makes one where there is nothing yet that a key would belong to.
    pub(super) fn load(disk: &dyn Disk, state: &Path, fresh: bool) -> Result<Self, Refused> {
        let path = state.join(KEY_FILE);
        let text = match read_all(disk, &path, 1024) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && fresh => {
                return Self::create(disk, state);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Refused::KeyMissing),
            Err(e) => return Err(Refused::io("read", &path, e)),
        };
        Self::from_text(&text).ok_or(Refused::KeyDamaged)
    }

    fn create(disk: &dyn Disk, state: &Path) -> Result<Self, Refused> {
        let path = state.join(KEY_FILE);
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|e| Refused::io("draw a key for", &path, io::Error::other(e.to_string())))?;
        let text = format!("{} {}\n", hex(&bytes), check(&bytes));
        replace(disk, state, KEY_FILE, text.as_bytes())
            .map_err(|e| Refused::io("write", &path, e))?;
        Ok(Self::from_bytes(bytes))
    }

    /// `<64 digits> <check>`: a flipped bit must not look like another key, or every
    /// record would look like damage.
    fn from_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (digits, sum) = text.trim_end().split_once(' ')?;
        let bytes = *blake3::Hash::from_hex(digits).ok()?.as_bytes();
        (check(&bytes) == sum).then(|| Self::from_bytes(bytes))
    }

    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        let id = blake3::derive_key("tollgate 2026 journal key id", &bytes);
        Self {
            lines: blake3::derive_key("tollgate 2026 journal lines", &bytes),
            notes: blake3::derive_key("tollgate 2026 journal notes", &bytes),
            bodies: blake3::derive_key("tollgate 2026 journal bodies", &bytes),
            id: hex(id.get(..8).unwrap_or_default()),
        }
    }

    /// Tells this key from another without revealing it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn hash_line(&self, covered: &[u8]) -> Digest {
        blake3::keyed_hash(&self.lines, covered).into()
    }

    /// Keyed, so that nobody can try short secrets against the name of a body.
    pub(super) fn hash_body(&self, body: &[u8]) -> Digest {
        blake3::keyed_hash(&self.bodies, body).into()
    }

    /// Ends a small note (an open JSON object) with a member that proves it whole.
    pub(super) fn seal(&self, open: &str) -> String {
        let sum = Digest::from(blake3::keyed_hash(&self.notes, open.as_bytes()));
        format!("{open},\"sum\":\"{sum}\"}}\n")
    }

    /// The note, closed again, if it is whole.
    pub(super) fn unseal(&self, text: &[u8]) -> Option<String> {
        let line = text.split(|b| *b == b'\n').next()?;
        let (open, sum) = std::str::from_utf8(line).ok()?.rsplit_once(",\"sum\":\"")?;
        let sum = Digest::parse(sum.strip_suffix("\"}")?.as_bytes())?;
        let true_sum = Digest::from(blake3::keyed_hash(&self.notes, open.as_bytes()));
        (true_sum == sum).then(|| format!("{open}}}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

fn check(bytes: &[u8; 32]) -> String {
    let sum = blake3::derive_key("tollgate 2026 journal key check", bytes);
    hex(sum.get(..8).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_flipped_bit_is_not_a_key() {
        let bytes = [3; 32];
        let good = format!("{} {}\n", hex(&bytes), check(&bytes)).into_bytes();
        assert!(Key::from_text(&good).is_some());
        for at in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Key::from_text(&bad).is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_note_is_opened_only_whole_and_by_its_key() {
        let key = Key::from_bytes([1; 32]);
        let note = key.seal(r#"{"seq":1"#);
        assert_eq!(key.unseal(note.as_bytes()).unwrap(), r#"{"seq":1}"#);
        let other = Key::from_bytes([2; 32]);
        assert!(other.unseal(note.as_bytes()).is_none());
        assert!(key.unseal(note.replace('1', "2").as_bytes()).is_none());
    }

    #[test]
    fn the_key_does_not_show_itself() {
        let bytes = [0xab; 32];
        assert!(!format!("{:?}", Key::from_bytes(bytes)).contains("abab"));
    }
}
