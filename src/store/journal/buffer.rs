//! The records that are put but not yet written, in their order.
//!
//! Everything here happens inside the store's critical section: no I/O.

use super::key::Key;
use super::line::{Entry, LONGEST_LINE, MEMBERS_LIMIT, Seq, Stamp, encode};
use super::notes::End;
use super::{Place, Placed, PutError};

/// Few records are longer.
const USUAL: u64 = 4096;

/// What the disk is known to have room for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) segment_bytes: u64,
    /// The last segment that exists.
    pub(super) ready: u32,
    /// There is no room for another one.
    pub(super) failed: bool,
}

/// The buffer; also knows where the next record will stand.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    turns: Vec<Turn>,
    end: End,
    durable: Seq,
    stamp: Stamp,
}

/// From the byte `at` of the batch on, records go to `segment`.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) at: usize,
    pub(super) segment: u32,
}

/// What one write takes out of the buffer.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) turns: Vec<Turn>,
    pub(super) end: End,
    /// The last record that somebody waits for; zero if there is none.
    pub(super) durable: Seq,
}

impl Buffer {
    pub(super) fn new(end: End) -> Self {
        Self {
            bytes: Vec::new(),
            turns: Vec::new(),
            end,
            durable: Seq::ZERO,
            stamp: Stamp::default(),
        }
    }

    pub(super) fn end(&self) -> &End {
        &self.end
    }

    pub(super) fn put(
        &mut self,
        key: &Key,
        mark: Seq,
        entry: &Entry<'_>,
        room: Room,
    ) -> Result<Placed, PutError> {
        if entry.members.len() > MEMBERS_LIMIT {
            return Err(PutError::TooLong {
                length: entry.members.len(),
            });
        }
        let start = self.bytes.len();
        let seq = self.end.seq.next();
        let (out, stamp) = (&mut self.bytes, &mut self.stamp);
        let hash = encode(out, key, seq, &self.end.hash, mark, entry, stamp);
        let length = self.bytes.len() - start;
        let placed = if length > LONGEST_LINE {
            // The kind is the only other thing that has no fixed length.
            Err(PutError::TooLong { length })
        } else {
            self.place(length as u64, entry.keep, room)
        };
        let place = match placed {
            Ok(place) => place,
            Err(refused) => {
                self.bytes.truncate(start);
                return Err(refused);
            }
        };
        if place.segment != self.end.segment {
            self.turns.push(Turn {
                at: start,
                segment: place.segment,
            });
        }
        self.end = End {
            seq,
            hash,
            segment: place.segment,
            offset: place.offset + length as u64,
        };
        if entry.durable {
            self.durable = seq;
        }
        Ok(Placed { seq, place, hash })
    }

    /// Whether a record of a usual length would be taken, and `keep` remain behind it.
    pub(super) fn ready(&self, keep: u64, room: Room) -> Result<(), PutError> {
        self.place(USUAL, keep, room).map(drop)
    }

    /// Where a line of `length` bytes goes, if enough room remains behind it.
    fn place(&self, length: u64, keep: u64, room: Room) -> Result<Place, PutError> {
        let End {
            segment, offset, ..
        } = self.end;
        let next = if room.ready > segment {
            room.segment_bytes
        } else {
            0
        };
        let here = room.segment_bytes.saturating_sub(offset);
        // A line longer than a segment gets one of its own.
        if length <= here || offset == 0 {
            let left = here.saturating_sub(length) + next;
            return if left >= keep {
                Ok(Place { segment, offset })
            } else {
                Err(PutError::NoRoom)
            };
        }
        let left = next.saturating_sub(length);
        // The next segment is about to exist unless it is known to have failed; whoever
        // needs room to remain behind the record can't rely on that.
        if left >= keep && !(next == 0 && room.failed) {
            Ok(Place {
                segment: segment + 1,
                offset: 0,
            })
        } else {
            Err(PutError::NoRoom)
        }
    }

    /// Empties the buffer; `spare` is used for what comes next.
    pub(super) fn take(&mut self, spare: Vec<u8>) -> Batch {
        Batch {
            bytes: std::mem::replace(&mut self.bytes, spare),
            turns: std::mem::take(&mut self.turns),
            end: self.end,
            durable: std::mem::replace(&mut self.durable, Seq::ZERO),
        }
    }
}
