//! What a pruned journal stands on: the whole state up to a record that is no
//! longer there, or need not be read, in one body.

use super::{
    checkpoint::{decode_placed, encode_placed},
    entry::Entries,
    journal::{Base, Bodies, Placed},
    state::State,
};

/// What such a body begins with.
pub(super) const MAGIC: &[u8] = b"tollgate state 1\n";

/// The state up to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footing {
    pub(super) entries: Entries,
    /// The last record that it follows from.
    pub(super) applied: Placed,
}

impl Footing {
    /// As it stands in a body.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        body.extend_from_slice(&encode_placed(&self.applied));
        let mut put = |bytes: &[u8]| {
            body.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            body.extend_from_slice(bytes);
        };
        for (key, value) in &self.entries {
            put(key);
            put(value);
        }
        body
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (applied, mut rest) = decode_placed(body.strip_prefix(MAGIC)?)?;
        let mut entries = Entries::new();
        let take = |rest: &mut &[u8]| {
            let (length, behind) = rest.split_first_chunk()?;
            let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
            let (bytes, behind) = behind.split_at_checked(length)?;
            *rest = behind;
            Some(bytes.to_vec())
        };
        while !rest.is_empty() {
            entries.insert(take(&mut rest)?, take(&mut rest)?);
        }
        Some(Self { entries, applied })
    }

    /// What a base stands on, or why that cannot be had.
    pub(super) fn read(bodies: &Bodies, base: &Base) -> Result<Self, String> {
        let Some(stand) = &base.stand else {
            return Err("no record says what it was".to_owned());
        };
        let body = bodies
            .read(&stand.body)
            .map_err(|error| format!("`bodies/{}`: {error}", stand.body))?;
        let footing =
            Self::decode(&body).ok_or_else(|| format!("`bodies/{}` can't be read", stand.body))?;
        let seq = footing.applied.seq;
        let fits = seq >= base.seq || (seq.next() == base.seq && footing.applied.hash == base.prev);
        match fits {
            true => Ok(footing),
            false => Err(format!("`bodies/{}` is of another journal", stand.body)),
        }
    }

    pub(super) fn state(&self) -> Result<State, String> {
        State::from_entries(&self.entries, self.applied)
    }

    /// The record that it must find in the journal, if that is not a pruned one.
    pub(super) fn anchor(&self, base: &Base) -> Option<Placed> {
        (self.applied.seq >= base.seq).then_some(self.applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::{Digest, Place, Seq};

    #[test]
    fn a_footing_is_read_back_and_a_cut_one_is_not() {
        let footing = Footing {
            entries: Entries::from([(b"a".to_vec(), b"1".to_vec()), (b"bb".to_vec(), Vec::new())]),
            applied: Placed {
                seq: Seq::new(7),
                place: Place {
                    segment: 2,
                    offset: 3,
                },
                hash: Digest::NONE,
            },
        };
        let body = footing.encode();
        assert_eq!(Footing::decode(&body).unwrap(), footing);
        for cut in 0..body.len() {
            assert_ne!(
                Footing::decode(&body[..cut]),
                Some(footing.clone()),
                "{cut}"
            );
        }
    }
}
