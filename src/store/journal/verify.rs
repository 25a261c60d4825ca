//! `audit verify`: walks the whole chain and says where it first breaks.
//!
//! Reads only; decides nothing, mends nothing.

use std::fmt;
use std::io;
use std::path::Path;

use super::disk::{Disk, Open};
use super::error::{MarkedBy, Refused};
use super::key::Key;
use super::line::{Seq, Why};
use super::notes::{Base, End, Head};
use super::pruned::Pruned;
use super::recover::Replay;
use super::segments;
use super::walk::{Files, Remains, Start, survey, walk};
use super::{Place, Placed};

/// What a walk over the whole journal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The segments that exist.
    pub segments: usize,
    /// The first record that is kept.
    pub first: Seq,
    /// The last record that the chain reaches.
    pub last: Seq,
    /// Why earlier ones are not.
    pub pruned: Option<PrunedBy>,
    /// The first record that is not in order.
    pub broken: Option<Broken>,
    /// There are records, and no head that says how far they were written safely.
    pub headless: bool,
    /// There is a key, and nothing that was written under it: what a removed journal
    /// leaves, or a first start that died right behind the key.
    pub vanished: bool,
    /// Whether the record that the state follows from is the one that it names; none if
    /// that is not there.
    pub follows: Option<bool>,
}

/// The record that says that earlier ones were pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunedBy {
    /// Its number.
    pub record: Seq,
    /// When it was made, RFC 3339 with microseconds.
    pub at: String,
    /// What it says.
    pub says: Pruned,
}

/// A record that is not in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file, within the journal's directory.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// The record that should stand there.
    pub seq: Seq,
    /// What is wrong.
    pub why: Why,
    /// It is behind everything that is known to have been synced: what a power cut or a
    /// kill leaves, and what the next start will cut off.
    pub tail: bool,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "record {} (`journal/{}`, line {}): {}",
            self.seq, self.file, self.line, self.why
        )
    }
}

/// Walks the journal below `state`, to `until`, the last record that is written, when the
/// journal is in use.
///
/// # Errors
/// When it can't be read at all: no key, a damaged base, a file out of reach.
pub fn verify(disk: &dyn Disk, state: &Path, until: Option<Seq>) -> Result<Report, Refused> {
    verify_with(disk, state, until, None)
}

/// The same, where it is known up to which record a state follows from it.
///
/// # Errors
/// When it can't be read at all: no key, a damaged base, a file out of reach.
pub fn verify_with(
    disk: &dyn Disk,
    state: &Path,
    until: Option<Seq>,
    applied: Option<Placed>,
) -> Result<Report, Refused> {
    let dir = &*state.join("journal");
    let (list, fresh) = found(disk, dir)?;
    let key = match Key::load(disk, state, false) {
        Err(Refused::KeyMissing) if fresh => return Ok(nothing(applied)),
        key => &key?,
    };
    let vanished = fresh;
    let head = Head::open(disk, dir, key, Open::Read)?;
    let headless = head.is_none() && !fresh;
    let slot = head.and_then(|(_, slot)| slot);
    let files = Files { disk, dir, key };
    let base = Base::load(disk, dir, key)?;
    let mut list = list;
    list.retain(|segment| *segment >= base.segment);

    let mut pruned = None;
    let mut other = None;
    let mut follows = None;
    let mut line = (0, 0);
    let walked = walk(
        files,
        &list,
        Start::of_base(&base),
        until,
        &mut |record, place| {
            line = match line {
                (segment, number) if segment == place.segment => (segment, number + 1),
                _ => (place.segment, 1),
            };
            if slot.is_some_and(|slot| slot.seq == record.seq && slot.hash != record.hash) {
                other = Some((record.seq, place, line.1));
            }
            if let Some(applied) = applied.filter(|applied| applied.seq == record.seq) {
                follows = Some(applied.hash == record.hash);
            }
            if base.stand.is_some_and(|stand| stand.record == record.seq)
                && record.kind == Pruned::KIND
                && let Ok(says) = Pruned::read(record.line)
            {
                pruned = Some(PrunedBy {
                    record: record.seq,
                    at: record.at.to_owned(),
                    says,
                });
            }
            Ok(())
        },
    )?;
    let remains = match &walked.broken {
        Some(broken) => survey(files, &list, broken.place)?,
        None => Remains::default(),
    };
    let safe = [
        slot.map(|slot| slot.seq),
        applied.map(|applied| applied.seq),
    ];
    let safe = safe.into_iter().flatten().fold(remains.mark, Seq::max);
    // Who writes knows how far it is written.
    let needed = until.unwrap_or(safe);
    let name = |segment| segments::name(segment);
    let broken = match (other, walked.broken) {
        (Some((seq, place, line)), _) => Some(Broken {
            file: name(place.segment),
            line,
            seq,
            why: Why::Other,
            tail: false,
        }),
        (None, Some(broken)) => Some(Broken {
            file: name(broken.place.segment),
            line: broken.line,
            seq: broken.seq,
            why: match broken.why {
                Why::Seq { found } if walked.records == 0 && found > base.seq => {
                    Why::Removed { found }
                }
                why => why,
            },
            // Who has it open knows that it was written.
            tail: until.is_none() && broken.seq > safe,
        }),
        (None, None) if walked.end.seq < needed => Some(Broken {
            file: name(walked.end.segment),
            line: walked.lines + 1,
            seq: walked.end.seq.next(),
            why: Why::Missing,
            tail: false,
        }),
        // A base is written by who prunes, and after the record that says so.
        (None, None) if !founded(&base, pruned.as_ref()) => Some(Broken {
            file: name(base.segment),
            line: 1,
            seq: Seq::new(1),
            why: Why::Removed { found: base.seq },
            tail: false,
        }),
        (None, None) => None,
    };
    Ok(Report {
        segments: list.len(),
        first: base.seq,
        last: walked.end.seq,
        pruned,
        broken,
        headless,
        vanished,
        follows,
    })
}

/// Whether nothing was ever written to the journal of a state directory.
///
/// # Errors
/// When its files are out of reach.
pub fn is_fresh(disk: &dyn Disk, state: &Path) -> Result<bool, Refused> {
    let (_, fresh) = found(disk, &state.join("journal"))?;
    Ok(fresh)
}

/// Goes through the records of a journal that nobody has open behind one that is known, as
/// far as the next start would; answers whether that one is there.
///
/// # Errors
/// When it can't be read, or is damaged where it had been written safely: then it is not
/// known what the records behind it say.
pub fn behind(
    disk: &dyn Disk,
    state: &Path,
    known: Placed,
    visit: &mut Replay<'_>,
) -> Result<bool, Refused> {
    let dir = &*state.join("journal");
    let list = segments::list(disk, dir)?;
    let key = &Key::load(disk, state, false)?;
    let files = Files { disk, dir, key };
    let walked = walk(
        files,
        &list,
        Start::at_record(known.seq, known.place, known.hash),
        None,
        &mut |record, place| match record.seq > known.seq {
            true => visit(record, place).map_err(|why| Refused::Replay {
                seq: record.seq,
                why,
            }),
            false => Ok(()),
        },
    )?;
    if walked.records == 0 {
        return Ok(false);
    }
    let remains = match &walked.broken {
        Some(broken) => survey(files, &list, broken.place)?,
        None => Remains::default(),
    };
    let head = Head::open(disk, dir, key, Open::Read)?;
    let head = head
        .and_then(|(_, slot)| slot)
        .map_or(Seq::ZERO, |slot| slot.seq);
    let (mark, by) = match remains.mark > head {
        true => (remains.mark, MarkedBy::Record),
        false => (head, MarkedBy::Head),
    };
    if walked.end.seq < mark {
        let End {
            segment, offset, ..
        } = walked.end;
        let (place, why) = match walked.broken {
            Some(broken) => (broken.place, broken.why),
            None => (Place { segment, offset }, Why::Missing),
        };
        let seq = walked.end.seq.next();
        return Err(Refused::Damaged {
            place,
            seq,
            why,
            mark,
            by,
        });
    }
    Ok(true)
}

/// The segments, and whether nothing was ever written: as a start sees it, which then
/// makes a key and a head.
fn found(disk: &dyn Disk, dir: &Path) -> Result<(Vec<u32>, bool), Refused> {
    let names = match disk.list(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), true)),
        names => names.map_err(|e| Refused::io("list", dir, e))?,
    };
    let list = segments::list(disk, dir)?;
    let mut fresh = !names.iter().any(|name| name == "head" || name == "base");
    for &segment in &list {
        let path = segments::path(dir, segment);
        let length = disk
            .open(&path, Open::Read)
            .and_then(|file| file.length())
            .map_err(|e| Refused::io("read", &path, e))?;
        fresh &= length == 0;
    }
    Ok((list, fresh))
}

/// No journal; the state can tell of one that was there.
fn nothing(applied: Option<Placed>) -> Report {
    let first = Base::GENESIS;
    Report {
        segments: 0,
        first: first.seq,
        last: first.seq.previous(),
        pruned: None,
        broken: applied.map(|_| Broken {
            file: segments::name(first.segment),
            line: 1,
            seq: first.seq,
            why: Why::Missing,
            tail: false,
        }),
        headless: false,
        vanished: false,
        follows: None,
    }
}

/// Whether the journal begins where a record of its own says that it does.
fn founded(base: &Base, pruned: Option<&PrunedBy>) -> bool {
    let Some((stand, by)) = base.stand.zip(pruned) else {
        return !base.is_pruned();
    };
    by.says.first == base.seq && by.says.body == stand.body
}
