//! How a journal is opened, and what opening found.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::disk::{Disk, RealDisk};
use super::line::{Digest, Seq};

/// Where a record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of the segment.
    pub segment: u32,
    /// The byte in it.
    pub offset: u64,
}

/// A record, where it stands, and what it hashes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its number.
    pub seq: Seq,
    /// Where it stands.
    pub place: Place,
    /// Its hash.
    pub hash: Digest,
}

/// Who syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A thread, as soon as somebody waits, else this long after a write.
    Thread(Duration),
    /// Whoever calls [`synced`](super::Journal::synced) or [`sync`](super::Journal::sync), on the spot; no threads.
    /// For simulations, where the order of everything must be given.
    Inline,
}

/// What to do about damage to records that were safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Don't open.
    Refuse,
    /// An operator accepts it: go on behind the last good record. What is cut off is kept
    /// in files named `NNNNNN.lost-N`. State that was built from it must be built anew.
    Accept,
}

/// How a journal is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where.
    pub disk: Arc<dyn Disk>,
    /// The size at which a new segment is begun.
    pub segment_bytes: u64,
    /// Who syncs.
    pub pace: Pace,
    /// For the record of a cut tail.
    pub now: Timestamp,
    /// A record known to be on disk, from which on the chain is verified.
    pub anchor: Option<Placed>,
    /// The last record that the state behind the journal has seen. The anchor counts too.
    pub known: Seq,
    /// The first record to be replayed.
    pub replay_from: Seq,
    /// What to do about damage.
    pub loss: Loss,
}

impl Options {
    /// A whole replay of the real disk's journal, with segments of 64 MiB.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            disk: Arc::new(RealDisk),
            segment_bytes: 64 << 20,
            // The sync itself is part of the 50 ms that a record may be at risk.
            pace: Pace::Thread(Duration::from_millis(40)),
            now,
            anchor: None,
            known: Seq::ZERO,
            replay_from: Seq::ZERO,
            loss: Loss::Refuse,
        }
    }
}

/// What opening found.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The first record that was read: the anchor's, or the first that is kept.
    pub first: Seq,
    /// The last record, which is the record of the cut if there was one.
    pub last: Seq,
    /// How many were read.
    pub records: u64,
    /// What was cut off.
    pub tail_cut: Option<TailCut>,
}

/// What a power cut or a kill left behind the last sync, and was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailCut {
    /// Where it began.
    pub place: Place,
    /// The first record that is lost.
    pub seq: Seq,
    /// How much was removed.
    pub bytes: u64,
    /// How many lines of it were true records.
    pub records: u64,
    /// Records up to this one had been safe, and an operator accepted their loss.
    pub accepted: Option<Seq>,
}
