//! The small files beside the segments: the head and the base.
//!
//! The head has one block that names the key, written once, and two slots written in turn
//! after each sync. A slot is not synced by itself: after a kill it is exact, after a
//! power cut it may be older, and one that is not whole doesn't count. The base says where
//! a pruned journal starts.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::disk::{Disk, Handle, Open, read_all, replace, write_all};
use super::error::Refused;
use super::key::Key;
use super::line::{Digest, Seq};

const HEAD_FILE: &str = "head";
const BASE_FILE: &str = "base";

/// Blocks of the file system are not shared: a block that is being written when the power
/// goes must not take another with it.
const BLOCK: u64 = 4096;
const SLOT: usize = 512;

/// The last record of some stretch of the journal, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) seq: Seq,
    pub(super) hash: Digest,
    pub(super) segment: u32,
    pub(super) offset: u64,
}

#[derive(Deserialize)]
struct Slot {
    seq: u64,
    segment: u32,
    offset: u64,
    hash: String,
}

/// The open head.
#[derive(Debug)]
pub(super) struct Head {
    file: Arc<dyn Handle>,
    turn: u64,
}

impl Head {
    /// Opens the head. `Ok(None)` when there is none, or none that is whole.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        key: &Key,
        how: Open,
    ) -> Result<Option<(Self, Option<End>)>, Refused> {
        let path = dir.join(HEAD_FILE);
        let file = match disk.open(&path, how) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Refused::io("open", &path, e)),
        };
        let read = |at| read_block(&*file, at).map_err(|e| Refused::io("read", &path, e));
        let slots = [slot(key, &read(BLOCK)?), slot(key, &read(2 * BLOCK)?)];
        if identity(&read(0)?).is_none_or(|id| id != key.id()) && slots == [None, None] {
            // An identity that is whole and names another key is a key put in the wrong
            // place; anything else is damage.
            return match identity(&read(0)?) {
                Some(_) => Err(Refused::KeyWrong),
                None => Ok(None),
            };
        }
        let (turn, best) = match slots {
            [Some(a), Some(b)] if b.seq > a.seq => (0, Some(b)),
            [None, Some(b)] => (0, Some(b)),
            [Some(a), _] => (1, Some(a)),
            [None, None] => (0, None),
        };
        Ok(Some((Self { file, turn }, best)))
    }

    pub(super) fn create(disk: &dyn Disk, dir: &Path, key: &Key) -> Result<Self, Refused> {
        let path = dir.join(HEAD_FILE);
        let identity = format!("{{\"journal\":1,\"key\":\"{}\"}}\n", key.id());
        replace(disk, dir, HEAD_FILE, identity.as_bytes())
            .map_err(|e| Refused::io("write", &path, e))?;
        let file = disk
            .open(&path, Open::Write)
            .map_err(|e| Refused::io("open", &path, e))?;
        Ok(Self { file, turn: 0 })
    }

    /// Writes the next slot.
    pub(super) fn write(&mut self, key: &Key, end: &End) -> io::Result<()> {
        let text = key.seal(&format!(
            r#"{{"seq":{},"segment":{},"offset":{},"hash":"{}""#,
            end.seq, end.segment, end.offset, end.hash
        ));
        let mut slot = text.into_bytes();
        slot.resize(slot.len().max(SLOT), b'\n');
        write_all(&*self.file, &slot, BLOCK * (1 + self.turn))?;
        self.turn = 1 - self.turn;
        Ok(())
    }

    /// Writes both slots, so that nothing older remains, and syncs them.
    pub(super) fn reset(&mut self, key: &Key, end: &End) -> io::Result<()> {
        self.write(key, end)?;
        self.write(key, end)?;
        self.sync()
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

fn read_block(file: &dyn Handle, at: u64) -> io::Result<Vec<u8>> {
    let mut block = vec![0; SLOT];
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(block)
}

fn identity(block: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Identity {
        journal: u8,
        key: String,
    }
    let line = block.split(|b| *b == b'\n').next()?;
    let identity: Identity = serde_json::from_slice(line).ok()?;
    (identity.journal == 1).then_some(identity.key)
}

fn slot(key: &Key, block: &[u8]) -> Option<End> {
    let slot: Slot = serde_json::from_str(&key.unseal(block)?).ok()?;
    Some(End {
        seq: Seq::new(slot.seq),
        hash: Digest::parse(slot.hash.as_bytes())?,
        segment: slot.segment,
        offset: slot.offset,
    })
}

/// Where a pruned journal starts: the first segment that was kept, and what its first
/// record is and names as its predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The first segment.
    pub segment: u32,
    /// Its first record.
    pub seq: Seq,
    /// The hash of the record before.
    pub prev: Digest,
    /// What it follows from; none for a journal that was never pruned.
    pub stand: Option<Stand>,
}

/// What a base follows from: the record that says that the ones before went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// That record.
    pub record: Seq,
    /// The body that holds the state to go on from.
    pub body: Digest,
    /// When the first record was made that is kept.
    pub since: Timestamp,
}

impl Base {
    /// Where a journal starts that was never pruned.
    pub const GENESIS: Base = Base {
        segment: 1,
        seq: Seq::new(1),
        prev: Digest::NONE,
        stand: None,
    };

    /// Whether records before it were there once.
    #[must_use]
    pub fn is_pruned(&self) -> bool {
        self.seq > Self::GENESIS.seq
    }

    pub(super) fn load(disk: &dyn Disk, dir: &Path, key: &Key) -> Result<Self, Refused> {
        let path = dir.join(BASE_FILE);
        let text = match read_all(disk, &path, SLOT) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::GENESIS),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => return Err(Refused::BaseDamaged),
            Err(e) => return Err(Refused::io("read", &path, e)),
        };
        Self::parse(key, &text).ok_or(Refused::BaseDamaged)
    }

    fn parse(key: &Key, text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Text {
            segment: u32,
            seq: u64,
            prev: String,
            record: Option<u64>,
            body: Option<String>,
            since: Option<Timestamp>,
        }
        let text: Text = serde_json::from_str(&key.unseal(text)?).ok()?;
        let stand = match (text.record, text.body, text.since) {
            (Some(record), Some(body), Some(since)) => Some(Stand {
                record: Seq::new(record),
                body: Digest::parse(body.as_bytes())?,
                since,
            }),
            _ => None,
        };
        Some(Self {
            segment: text.segment,
            seq: Seq::new(text.seq),
            prev: Digest::parse(text.prev.as_bytes())?,
            stand,
        })
    }

    pub(super) fn save(&self, disk: &dyn Disk, dir: &Path, key: &Key) -> io::Result<()> {
        let mut text = format!(
            r#"{{"segment":{},"seq":{},"prev":"{}""#,
            self.segment, self.seq, self.prev
        );
        if let Some(stand) = &self.stand {
            text.push_str(&format!(
                r#","record":{},"body":"{}","since":"{:.6}""#,
                stand.record, stand.body, stand.since
            ));
        }
        let text = key.seal(&text);
        replace(disk, dir, BASE_FILE, text.as_bytes())
    }
}
