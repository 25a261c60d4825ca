//! Walks the chain from record to record until it ends or breaks.
//!
//! Decides nothing: what a break means is for [`super::recover`] and [`super::verify`].

use std::path::Path;

use super::Place;
use super::disk::{Disk, Open};
use super::error::Refused;
use super::key::Key;
use super::line::{Digest, Record, Seq, Why};
use super::lines::{Line, Lines};
use super::notes::{Base, End};
use super::segments;

/// Where a walk begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) place: Place,
    pub(super) seq: Seq,
    expect: Expect,
}

/// What is known of the first record.
#[derive(Debug, Clone, Copy)]
enum Expect {
    Prev(Digest),
    Hash(Digest),
}

impl Start {
    pub(super) fn of_base(base: &Base) -> Self {
        Self {
            place: Place {
                segment: base.segment,
                offset: 0,
            },
            seq: base.seq,
            expect: Expect::Prev(base.prev),
        }
    }

    /// At a record that is known by its hash.
    pub(super) fn at_record(seq: Seq, place: Place, hash: Digest) -> Self {
        Self {
            place,
            seq,
            expect: Expect::Hash(hash),
        }
    }
}

/// Where the chain stops fitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) place: Place,
    /// Counted from the start of the walk within the segment, from 1.
    pub(super) line: u64,
    pub(super) seq: Seq,
    pub(super) why: Why,
}

/// How far a walk came.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) end: End,
    pub(super) records: u64,
    /// Good lines in the segment where it ended.
    pub(super) lines: u64,
    pub(super) broken: Option<Break>,
}

/// The files of one journal and the key to read them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: &'a Path,
    pub(super) key: &'a Key,
}

pub(super) type Visit<'v> = dyn FnMut(&Record<'_>, Place) -> Result<(), Refused> + 'v;

/// Walks `list` (segments in order) from `start`, at most to the record `until`.
pub(super) fn walk(
    files: Files<'_>,
    list: &[u32],
    start: Start,
    until: Option<Seq>,
    visit: &mut Visit<'_>,
) -> Result<Walked, Refused> {
    let mut expect = start.expect;
    let mut walked = Walked {
        end: End {
            seq: start.seq.previous(),
            hash: match start.expect {
                Expect::Prev(prev) => prev,
                Expect::Hash(_) => Digest::NONE,
            },
            segment: start.place.segment,
            offset: start.place.offset,
        },
        records: 0,
        lines: 0,
        broken: None,
    };
    for &segment in list.iter().filter(|s| **s >= start.place.segment) {
        let path = segments::path(files.dir, segment);
        let io = |e| Refused::io("read", &path, e);
        let file = files.disk.open(&path, Open::Read).map_err(io)?;
        let from = if segment == start.place.segment {
            start.place.offset
        } else {
            0
        };
        let mut lines = Lines::new(&*file, from);
        let mut line_number = 0;
        while until.is_none_or(|until| walked.end.seq < until) {
            let Some(line) = lines.next().map_err(io)? else {
                break;
            };
            line_number += 1;
            let seq = walked.end.seq.next();
            let (offset, judged) = match line {
                Line::Whole { offset, bytes } => (
                    offset,
                    judge(bytes, files.key, seq, &expect).map(|record| (record, bytes.len())),
                ),
                Line::Unended { offset } => (offset, Err(Why::Unended)),
                Line::TooLong { offset } => (offset, Err(Why::TooLong)),
            };
            let place = Place { segment, offset };
            let (record, length) = match judged {
                Ok(judged) => judged,
                Err(why) => {
                    walked.broken = Some(Break {
                        place,
                        line: line_number,
                        seq,
                        why,
                    });
                    return Ok(walked);
                }
            };
            visit(&record, place)?;
            expect = Expect::Prev(record.hash);
            walked.records += 1;
            walked.lines = line_number;
            walked.end = End {
                seq,
                hash: record.hash,
                segment,
                offset: offset + length as u64 + 1,
            };
        }
    }
    Ok(walked)
}

fn judge<'a>(line: &'a [u8], key: &Key, seq: Seq, expect: &Expect) -> Result<Record<'a>, Why> {
    let record = Record::read(line, key)?;
    if record.seq != seq {
        return Err(Why::Seq { found: record.seq });
    }
    match expect {
        Expect::Prev(prev) if *prev != record.prev => Err(Why::Prev),
        Expect::Hash(hash) if *hash != record.hash => Err(Why::Other),
        Expect::Prev(_) | Expect::Hash(_) => Ok(record),
    }
}

/// What lies behind a break.
#[derive(Debug, Default)]
pub(super) struct Remains {
    pub(super) bytes: u64,
    /// Lines that are true records, though the chain no longer leads to them.
    pub(super) records: u64,
    /// The highest record that one of them knows to have been on disk.
    pub(super) mark: Seq,
}

/// Looks through everything from `place` on, at line starts only: the text of a record
/// within another one is not a record.
pub(super) fn survey(files: Files<'_>, list: &[u32], place: Place) -> Result<Remains, Refused> {
    let mut remains = Remains::default();
    for &segment in list.iter().filter(|s| **s >= place.segment) {
        let path = segments::path(files.dir, segment);
        let io = |e| Refused::io("read", &path, e);
        let file = files.disk.open(&path, Open::Read).map_err(io)?;
        let from = if segment == place.segment {
            place.offset
        } else {
            0
        };
        remains.bytes += file.length().map_err(io)?.saturating_sub(from);
        let mut lines = Lines::new(&*file, from);
        while let Some(line) = lines.next().map_err(io)? {
            let Line::Whole { bytes, .. } = line else {
                continue;
            };
            if let Ok(record) = Record::read(bytes, files.key) {
                remains.records += 1;
                remains.mark = remains.mark.max(record.mark);
            }
        }
    }
    Ok(remains)
}
