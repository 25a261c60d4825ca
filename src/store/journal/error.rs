//! What can go wrong with the journal, and what the operator does about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Place;
use super::line::{Seq, Why};

/// A write or a sync failed: nothing is written any more, whatever is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poisoned(pub(super) Arc<str>);

impl fmt::Display for Poisoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the journal can't be written: {}", self.0)
    }
}

impl std::error::Error for Poisoned {}

/// Why a record was not taken. Except after [`PutError::Poisoned`] the journal goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutError {
    /// Nothing is written any more.
    Poisoned(Poisoned),
    /// The members are longer than [`super::MEMBERS_LIMIT`].
    TooLong {
        /// Their length.
        length: usize,
    },
    /// The disk has no room for it beyond what is kept for the end of open calls.
    NoRoom,
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutError::Poisoned(poisoned) => poisoned.fmt(f),
            PutError::TooLong { length } => write!(
                f,
                "a record holds at most {} bytes, not {length}",
                super::MEMBERS_LIMIT
            ),
            PutError::NoRoom => f.write_str("the disk is full: no room for another record"),
        }
    }
}

impl std::error::Error for PutError {}

impl From<Poisoned> for PutError {
    fn from(poisoned: Poisoned) -> Self {
        PutError::Poisoned(poisoned)
    }
}

/// Where the knowledge comes from that a record had reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkedBy {
    /// A later record.
    Record,
    /// The head slot.
    Head,
    /// The state that was built from it, or the base that a pruned journal stands on.
    State,
}

/// Why a journal is not opened.
#[derive(Debug)]
pub enum Refused {
    /// The file system refused something.
    Io {
        /// What was tried, as in "can't … the file".
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The disk has no room for a single segment.
    NoRoom,
    /// There are records but no key to check them with.
    KeyMissing,
    /// The key's file is not what was written.
    KeyDamaged,
    /// The key belongs to another journal.
    KeyWrong,
    /// The head is not there, or not whole.
    HeadMissing,
    /// What a pruned journal stands on is not whole.
    BaseDamaged,
    /// A record that was on disk is damaged or missing.
    Damaged {
        /// Where the chain breaks.
        place: Place,
        /// The record that should be there.
        seq: Seq,
        /// What is wrong with it.
        why: Why,
        /// The last record known to have been on disk.
        mark: Seq,
        /// Who knows.
        by: MarkedBy,
    },
    /// A written record is not where it was.
    Unreadable {
        /// Where it should be.
        place: Place,
        /// Which.
        seq: Seq,
        /// What is there.
        why: Why,
    },
    /// A record was written by a version of the format that this program does not know.
    Newer {
        /// Which.
        seq: Seq,
    },
    /// The caller did not accept a record that is in order.
    Replay {
        /// Which.
        seq: Seq,
        /// Its reason.
        why: String,
    },
}

impl Refused {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Refused::NoRoom;
        }
        Refused::Io {
            doing,
            path: path.to_path_buf(),
            source,
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Refused::Io { .. } => "see to the disk or to the rights of that path, then start again",
            Refused::NoRoom => {
                "free 64 MiB or more on that disk, by so much the journal grows; then start again"
            }
            Refused::KeyMissing | Refused::KeyDamaged | Refused::KeyWrong => {
                "restore `journal.key` from a backup, or move the state directory aside to begin anew"
            }
            Refused::HeadMissing | Refused::BaseDamaged | Refused::Damaged { .. } => {
                "`tollgate audit verify` shows the damage; restore the state directory from a backup, \
                 or accept the loss with `tollgate state rebuild --accept-loss`"
            }
            Refused::Unreadable { .. } => {
                "`tollgate audit verify` shows the damage; restore the state directory from a backup"
            }
            Refused::Newer { .. } | Refused::Replay { .. } => {
                "run the version of tollgate that wrote it, or a newer one; nothing was changed"
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Io {
                doing,
                path,
                source,
            } => write!(f, "can't {doing} `{}`: {source}", path.display()),
            Refused::NoRoom => f.write_str("the disk is full: no room for the journal"),
            Refused::KeyMissing => {
                f.write_str("`journal.key` is missing, and without it the journal can't be checked")
            }
            Refused::KeyDamaged => f.write_str("`journal.key` is damaged"),
            Refused::KeyWrong => f.write_str("`journal.key` is the key of another journal"),
            Refused::HeadMissing => f.write_str("`journal/head` is missing or damaged"),
            Refused::BaseDamaged => f.write_str("`journal/base` is damaged"),
            Refused::Damaged {
                place,
                seq,
                why,
                mark,
                by,
            } => {
                let by = match by {
                    MarkedBy::Record => "a later record",
                    MarkedBy::Head => "`journal/head`",
                    MarkedBy::State => "the state",
                };
                write!(
                    f,
                    "the journal is damaged at record {seq} (`journal/{}`, byte {}): {why}; \
                     {by} shows that everything up to record {mark} had been written safely",
                    super::segments::name(place.segment),
                    place.offset
                )
            }
            Refused::Unreadable { place, seq, why } => write!(
                f,
                "record {seq} can't be read (`journal/{}`, byte {}): {why}",
                super::segments::name(place.segment),
                place.offset
            ),
            Refused::Newer { seq } => write!(f, "record {seq} was written by a newer tollgate"),
            Refused::Replay { seq, why } => write!(f, "record {seq} can't be replayed: {why}"),
        }
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Refused::Io { source, .. } => Some(source),
            Refused::NoRoom
            | Refused::KeyMissing
            | Refused::KeyDamaged
            | Refused::KeyWrong
            | Refused::HeadMissing
            | Refused::BaseDamaged
            | Refused::Damaged { .. }
            | Refused::Unreadable { .. }
            | Refused::Newer { .. }
            | Refused::Replay { .. } => None,
        }
    }
}
