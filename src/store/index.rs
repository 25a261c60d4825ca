//! Where the records of a call are: for every few hundred records where they
//! start, when they were made, and a filter that knows which ids they name.
//!
//! Sparse, because an entry for every call would outgrow everything else. A
//! filter that says yes may be wrong; then a block is read for nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::journal::{Place, Seq};

/// How many records one block covers.
const RECORDS: u64 = 512;
/// The words of a block's filter: 16 bits for each of the 256 calls that fit.
const WORDS: usize = 64;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index(BTreeMap<u64, Block>);

/// Some hundred records in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// The first of them that is kept.
    pub(super) first: Seq,
    /// Where it stands.
    pub(super) place: Place,
    /// When the latest of them was made, in microseconds; the clock may have
    /// gone back since.
    pub(super) latest: i64,
    /// Shared with whoever searches.
    filter: Arc<[u64; WORDS]>,
}

/// Where the records are, newest first, as it was at one moment.
#[derive(Debug)]
pub(super) struct Blocks(pub(super) Vec<Block>);

impl Blocks {
    /// Those that may name a call.
    pub(super) fn naming(&self, call: &str) -> Vec<Stretch> {
        let newest = self.0.first().map(|block| block.first);
        // The last one grows meanwhile, and its filter does not know what came.
        self.that(|block| Some(block.first) == newest || block.may_name(call))
    }

    pub(super) fn that(&self, wanted: impl Fn(&Block) -> bool) -> Vec<Stretch> {
        let mut until = None;
        let mut found = Vec::new();
        for block in &self.0 {
            if wanted(block) {
                found.push(Stretch {
                    first: block.first,
                    from: block.place,
                    until,
                });
            }
            until = Some(block.first);
        }
        found
    }
}

/// Some records in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// The first of them, and where it stands.
    pub(super) first: Seq,
    pub(super) from: Place,
    /// The first record behind them; none for the last stretch.
    pub(super) until: Option<Seq>,
}

impl Index {
    /// Adds a record that names these ids. Returns its block.
    pub(super) fn add<'i>(
        &mut self,
        seq: Seq,
        place: Place,
        at: i64,
        ids: impl Iterator<Item = &'i str>,
    ) -> u64 {
        let number = seq.get() / RECORDS;
        let block = self.0.entry(number).or_insert_with(|| Block {
            first: seq,
            place,
            latest: at,
            filter: Arc::new([0; WORDS]),
        });
        block.latest = block.latest.max(at);
        let filter = Arc::make_mut(&mut block.filter);
        for id in ids {
            for (word, bit) in bits(id) {
                if let Some(word) = filter.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        number
    }

    /// The blocks from `number` on.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = (u64, &Block)> {
        self.0
            .range(number..)
            .map(|(number, block)| (*number, block))
    }

    /// One block.
    pub(super) fn get(&self, number: u64) -> Option<&Block> {
        self.0.get(&number)
    }

    /// Forgets the records before `first`, which stands at `place`. Returns the
    /// blocks that changed or are gone.
    pub(super) fn forget_before(&mut self, first: Seq, place: Place) -> Vec<u64> {
        let within = first.get() / RECORDS;
        let kept = self.0.split_off(&within);
        let mut changed: Vec<u64> = std::mem::replace(&mut self.0, kept).into_keys().collect();
        if let Some(block) = self.0.get_mut(&within)
            && block.first < first
        {
            // Its filter still names what went: it is read for nothing, sometimes.
            (block.first, block.place) = (first, place);
            changed.push(within);
        }
        changed
    }

    /// All blocks, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Block> {
        self.0.values().rev()
    }

    /// Puts a block back that [`Block::encode`] wrote.
    pub(super) fn put_back(&mut self, number: u64, encoded: &[u8]) -> Option<()> {
        self.0.insert(number, Block::decode(encoded)?);
        Some(())
    }
}

impl Block {
    /// Whether a record of this block may name `id`.
    pub(super) fn may_name(&self, id: &str) -> bool {
        bits(id).all(|(word, bit)| self.filter.get(word).is_some_and(|word| word & bit != 0))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.get().to_be_bytes());
        out.extend_from_slice(&self.place.segment.to_be_bytes());
        out.extend_from_slice(&self.place.offset.to_be_bytes());
        out.extend_from_slice(&self.latest.to_be_bytes());
        for word in self.filter.iter() {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, bytes) = bytes.split_first_chunk()?;
        let (segment, bytes) = bytes.split_first_chunk()?;
        let (offset, bytes) = bytes.split_first_chunk()?;
        let (latest, bytes) = bytes.split_first_chunk()?;
        let (words, rest) = bytes.as_chunks();
        let words: Vec<u64> = words.iter().map(|word| u64::from_be_bytes(*word)).collect();
        let filter: [u64; WORDS] = words.try_into().ok()?;
        rest.is_empty().then_some(Self {
            first: Seq::new(u64::from_be_bytes(*first)),
            place: Place {
                segment: u32::from_be_bytes(*segment),
                offset: u64::from_be_bytes(*offset),
            },
            latest: i64::from_be_bytes(*latest),
            filter: Arc::new(filter),
        })
    }
}

/// The four bits of an id in a filter.
fn bits(id: &str) -> impl Iterator<Item = (usize, u64)> {
    // FNV-1a with a finishing mix: fast for the dozen bytes of an id.
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 29;
    (0..4).map(move |nth| {
        let bit = (hash >> (nth * 12)) & 0xfff;
        (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_knows_its_ids_and_few_others() {
        let mut index = Index::default();
        let place = Place {
            segment: 1,
            offset: 9,
        };
        for n in 0..256_u64 {
            let id = format!("c-{n}");
            index.add(Seq::new(512 + n), place, 7, [id.as_str()].into_iter());
        }
        let (number, block) = index.from(0).next().unwrap();
        assert_eq!((number, block.first), (1, Seq::new(512)));
        assert!((0..256).all(|n| block.may_name(&format!("c-{n}"))));
        let wrong = (256..10_256)
            .filter(|n| block.may_name(&format!("c-{n}")))
            .count();
        assert!(wrong < 200, "{wrong} of 10,000");
    }

    #[test]
    fn a_block_comes_back_as_it_was_encoded() {
        let mut index = Index::default();
        let place = Place {
            segment: 3,
            offset: 1 << 33,
        };
        index.add(Seq::new(1025), place, -5, ["c-1", "r-2"].into_iter());
        let mut bytes = Vec::new();
        index.from(0).next().unwrap().1.encode(&mut bytes);
        let mut back = Index::default();
        back.put_back(2, &bytes).unwrap();
        assert_eq!(back, index);
        assert_eq!(back.put_back(2, &bytes[1..]), None);
    }
}
