//! What a starting journal makes of the files it finds.
//!
//! A power cut leaves anything at all behind the last sync and nothing wrong before it. So
//! everything depends on knowing how far the disk had got: the synced mark. It is the
//! highest of what the head says, what the state behind the journal has seen, and what the
//! records found *behind* a break say (a record's own mark is always older than itself, so
//! the ones before the break prove nothing). A break behind the mark is cut off; the
//! journal goes on in a new segment, so that nothing that may still lie behind the cut is
//! ever in its way. A break at or before the mark is damage, and the journal isn't opened.

use std::path::Path;
use std::sync::Arc;

use super::disk::{Handle, Open, read_all, write_all};
use super::error::{MarkedBy, Refused};
use super::key::{KEY_FILE, Key};
use super::line::{Record, Seq, Why};
use super::notes::{Base, End, Head};
use super::pruned;
use super::segments;
use super::walk::{Break, Files, Remains, Start, Walked, survey, walk};
use super::{Loss, Options, Place, TailCut};

/// A journal that may be written again.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) key: Key,
    pub(super) head: Head,
    pub(super) first: Seq,
    pub(super) base: Base,
    pub(super) end: End,
    /// The segment in which the journal ends and goes on.
    pub(super) file: Arc<dyn Handle>,
    /// An empty one behind it.
    pub(super) ahead: Option<Arc<dyn Handle>>,
    pub(super) records: u64,
    pub(super) tail_cut: Option<TailCut>,
}

pub(super) type Replay<'v> = dyn FnMut(&Record<'_>, Place) -> Result<(), String> + 'v;

pub(super) fn recover(
    state: &Path,
    dir: &Path,
    options: &Options,
    replay: &mut Replay<'_>,
) -> Result<Recovered, Refused> {
    let disk = &*options.disk;
    disk.create_dir(dir)
        .and_then(|()| disk.sync_dir(state))
        .map_err(|e| Refused::io("make", dir, e))?;
    let list = segments::list(disk, dir)?;
    let (key, mut head, slot) = identity(state, dir, options, &list)?;
    let files = Files {
        disk,
        dir,
        key: &key,
    };
    let (base, list) = base(files, options, list)?;

    let (first, walked, contradiction) = read(files, options, &list, &base, slot, replay)?;
    if let Some(Break {
        seq,
        why: Why::Version,
        ..
    }) = walked.broken
    {
        return Err(Refused::Newer { seq });
    }
    let broken = contradiction.or(walked.broken);
    let remains = match &walked.broken {
        Some(broken) => survey(files, &list, broken.place)?,
        None => Remains::default(),
    };
    let (mark, by) = mark(options, slot, &base, &remains);
    let damaged = contradiction.is_some() || walked.end.seq < mark;
    if damaged && options.loss == Loss::Refuse {
        let broken = broken.unwrap_or(Break {
            place: Place {
                segment: walked.end.segment,
                offset: walked.end.offset,
            },
            line: 0,
            seq: walked.end.seq.next(),
            why: Why::Missing,
        });
        return Err(Refused::Damaged {
            place: broken.place,
            seq: broken.seq,
            why: broken.why,
            mark,
            by,
        });
    }

    let mut end = walked.end;
    let mut tail_cut = None;
    let (segment, offset, file, ahead) = if walked.broken.is_some() || damaged {
        let place = walked.broken.map_or(
            Place {
                segment: end.segment,
                offset: end.offset,
            },
            |broken| broken.place,
        );
        cut(files, &list, place, damaged)?;
        tail_cut = Some(TailCut {
            place,
            seq: end.seq.next(),
            bytes: remains.bytes,
            records: remains.records,
            accepted: damaged.then_some(mark),
        });
        let next = list.last().map_or(base.segment, |last| last + 1);
        let path = segments::path(dir, next);
        let file = segments::create(disk, dir, next, options.segment_bytes)
            .map_err(|e| Refused::io("make", &path, e))?;
        (next, 0, file, None)
    } else {
        let (file, ahead) = go_on(files, options, &list, &end)?;
        (end.segment, end.offset, file, ahead)
    };
    end.segment = segment;
    end.offset = offset;
    head.reset(&key, &end)
        .map_err(|e| Refused::io("write", &dir.join("head"), e))?;
    Ok(Recovered {
        key,
        head,
        first,
        base,
        end,
        file,
        ahead,
        records: walked.records,
        tail_cut,
    })
}

/// The key and the head, which exist before the first segment does.
fn identity(
    state: &Path,
    dir: &Path,
    options: &Options,
    list: &[u32],
) -> Result<(Key, Head, Option<End>), Refused> {
    let disk = &*options.disk;
    let mut empty = true;
    for &segment in list {
        let path = segments::path(dir, segment);
        let length = disk
            .open(&path, Open::Read)
            .and_then(|file| file.length())
            .map_err(|e| Refused::io("read", &path, e))?;
        empty &= length == 0;
    }
    let names = disk.list(dir).map_err(|e| Refused::io("list", dir, e))?;
    let has_head = names.iter().any(|name| name == "head");
    let has_base = names.iter().any(|name| name == "base");
    let key = Key::load(disk, state, empty && !has_head && !has_base)?;
    match Head::open(disk, dir, &key, Open::Write)? {
        Some((head, slot)) => Ok((key, head, slot)),
        None if (empty && !has_head && !has_base) || options.loss == Loss::Accept => {
            let head = Head::create(disk, dir, &key)?;
            // The key must be there for whatever is written under it.
            disk.sync_dir(state)
                .map_err(|e| Refused::io("sync", &state.join(KEY_FILE), e))?;
            Ok((key, head, None))
        }
        None => Err(Refused::HeadMissing),
    }
}

/// Where the journal starts, after ending a pruning that was interrupted.
fn base(files: Files<'_>, options: &Options, list: Vec<u32>) -> Result<(Base, Vec<u32>), Refused> {
    let base = load_base(files, options, &list)?;
    let (old, kept): (Vec<u32>, Vec<u32>) = list.into_iter().partition(|s| *s < base.segment);
    for segment in old {
        // Nobody reads what stays, and the next prune or start tries again.
        let _ = files.disk.remove(&segments::path(files.dir, segment));
    }
    Ok((base, kept))
}

/// The base, or what the records themselves say of it where it is lost and an operator
/// accepts that.
fn load_base(files: Files<'_>, options: &Options, list: &[u32]) -> Result<Base, Refused> {
    let found = match Base::load(files.disk, files.dir, files.key) {
        Err(Refused::BaseDamaged) if options.loss == Loss::Accept => None,
        // The base is lost as well, or somebody removed the first files.
        Ok(base) if options.loss == Loss::Accept && !base.is_pruned() => list
            .first()
            .is_none_or(|first| *first == base.segment)
            .then_some(base),
        other => Some(other?),
    };
    if let Some(base) = found {
        return Ok(base);
    }
    let mut base = first_record(files, list)?.unwrap_or(Base::GENESIS);
    base.stand = pruned::find(files, list, base.seq)?;
    base.save(files.disk, files.dir, files.key)
        .map_err(|e| Refused::io("write", &files.dir.join("base"), e))?;
    Ok(base)
}

/// Where the journal below `state` starts, for who must know before it is opened.
pub(super) fn find_base(state: &Path, options: &Options) -> Result<Base, Refused> {
    let (disk, dir) = (&*options.disk, &*state.join("journal"));
    let names = match disk.list(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Base::GENESIS),
        other => other.map_err(|e| Refused::io("list", dir, e))?,
    };
    let list = segments::list(disk, dir)?;
    if list.is_empty() && !names.iter().any(|name| name == "base") {
        return Ok(Base::GENESIS);
    }
    // Without records there may be no key yet.
    let key = match Key::load(disk, state, false) {
        Err(Refused::KeyMissing) => return Ok(Base::GENESIS),
        other => other?,
    };
    let key = &key;
    load_base(Files { disk, dir, key }, options, &list)
}

/// The base that the first record in `list` asks for.
pub(super) fn first_record(files: Files<'_>, list: &[u32]) -> Result<Option<Base>, Refused> {
    for &segment in list {
        let path = segments::path(files.dir, segment);
        let io = |e| Refused::io("read", &path, e);
        let file = files.disk.open(&path, Open::Read).map_err(io)?;
        let mut lines = super::lines::Lines::new(&*file, 0);
        if let Some(super::lines::Line::Whole { bytes, .. }) = lines.next().map_err(io)?
            && let Ok(record) = Record::read(bytes, files.key)
        {
            return Ok(Some(Base {
                segment,
                seq: record.seq,
                prev: record.prev,
                stand: None,
            }));
        }
    }
    Ok(None)
}

/// Reads everything from the anchor, or from the beginning if there is none that fits.
/// Returns the first record read, how far it went, and where the head contradicts.
fn read(
    files: Files<'_>,
    options: &Options,
    list: &[u32],
    base: &Base,
    slot: Option<End>,
    replay: &mut Replay<'_>,
) -> Result<(Seq, Walked, Option<Break>), Refused> {
    let mut contradiction = None;
    let mut visit = |record: &Record<'_>, place: Place| {
        if slot.is_some_and(|slot| slot.seq == record.seq && slot.hash != record.hash) {
            contradiction = Some(Break {
                place,
                line: 0,
                seq: record.seq,
                why: Why::Other,
            });
        }
        if record.seq < options.replay_from {
            return Ok(());
        }
        replay(record, place).map_err(|why| Refused::Replay {
            seq: record.seq,
            why,
        })
    };
    if let Some(anchor) = &options.anchor {
        settle(files, list, anchor.place.segment)?;
        let start = Start::at_record(anchor.seq, anchor.place, anchor.hash);
        let walked = walk(files, list, start, None, &mut visit)?;
        if walked.records > 0 {
            return Ok((anchor.seq, walked, contradiction));
        }
    }
    settle(files, list, 0)?;
    let walked = walk(files, list, Start::of_base(base), None, &mut visit)?;
    Ok((base.seq, walked, contradiction))
}

/// Syncs what is about to be read. After a kill the page cache shows records that are not
/// on disk; acting on them and then losing the power would leave a state that is ahead of
/// its journal for ever.
fn settle(files: Files<'_>, list: &[u32], from: u32) -> Result<(), Refused> {
    for &segment in list.iter().filter(|s| **s >= from) {
        let path = segments::path(files.dir, segment);
        files
            .disk
            .open(&path, Open::Write)
            .and_then(|file| file.sync())
            .map_err(|e| Refused::io("sync", &path, e))?;
    }
    files
        .disk
        .sync_dir(files.dir)
        .map_err(|e| Refused::io("sync", files.dir, e))
}

fn mark(options: &Options, slot: Option<End>, base: &Base, remains: &Remains) -> (Seq, MarkedBy) {
    let anchor = options.anchor.map_or(Seq::ZERO, |anchor| anchor.seq);
    let head = slot.map_or(Seq::ZERO, |slot| slot.seq);
    let state = options.known.max(anchor).max(base.seq.previous());
    let known = [
        (remains.mark, MarkedBy::Record),
        (state, MarkedBy::State),
        (head, MarkedBy::Head),
    ];
    let highest = known.into_iter().max_by_key(|(seq, _)| *seq);
    highest.unwrap_or((Seq::ZERO, MarkedBy::Head))
}

/// Removes everything from `place` on. Each step leaves something that the next start
/// decides the same way.
fn cut(files: Files<'_>, list: &[u32], place: Place, keep: bool) -> Result<(), Refused> {
    let Files { disk, dir, .. } = files;
    if keep {
        keep_aside(files, list, place)?;
    }
    for &segment in list.iter().rev().filter(|s| **s > place.segment) {
        let path = segments::path(dir, segment);
        disk.remove(&path)
            .map_err(|e| Refused::io("remove", &path, e))?;
    }
    disk.sync_dir(dir)
        .map_err(|e| Refused::io("sync", dir, e))?;
    if list.contains(&place.segment) {
        let path = segments::path(dir, place.segment);
        disk.open(&path, Open::Write)
            .and_then(|file| {
                file.truncate(place.offset)?;
                file.sync()
            })
            .map_err(|e| Refused::io("cut", &path, e))?;
    }
    Ok(())
}

/// Records that had been safe are given up only with somebody's consent, and even then
/// their bytes are kept.
fn keep_aside(files: Files<'_>, list: &[u32], place: Place) -> Result<(), Refused> {
    let Files { disk, dir, .. } = files;
    for &segment in list.iter().filter(|s| **s >= place.segment) {
        let path = segments::path(dir, segment);
        let content =
            read_all(disk, &path, usize::MAX).map_err(|e| Refused::io("read", &path, e))?;
        let from = if segment == place.segment {
            usize::try_from(place.offset).unwrap_or(usize::MAX)
        } else {
            0
        };
        let content = content.get(from..).unwrap_or_default();
        if content.is_empty() {
            continue;
        }
        let names = disk.list(dir).map_err(|e| Refused::io("list", dir, e))?;
        let free = (1_u32..)
            .map(|n| format!("{segment:06}.lost-{n}"))
            .find(|name| !names.contains(name));
        let aside = dir.join(free.unwrap_or_default());
        disk.open(&aside, Open::New)
            .and_then(|file| {
                write_all(&*file, content, 0)?;
                file.sync()
            })
            .map_err(|e| Refused::io("write", &aside, e))?;
    }
    disk.sync_dir(dir).map_err(|e| Refused::io("sync", dir, e))
}

type OpenFile = Arc<dyn Handle>;

/// Opens the last segment for writing, and the empty one behind it if there is one.
fn go_on(
    files: Files<'_>,
    options: &Options,
    list: &[u32],
    end: &End,
) -> Result<(OpenFile, Option<OpenFile>), Refused> {
    let Files { disk, dir, .. } = files;
    let path = segments::path(dir, end.segment);
    let file = if list.contains(&end.segment) {
        disk.open(&path, Open::Write).and_then(|file| {
            file.reserve(options.segment_bytes)?;
            Ok(file)
        })
    } else {
        segments::create(disk, dir, end.segment, options.segment_bytes)
    };
    let file = file.map_err(|e| Refused::io("open", &path, e))?;
    let mut ahead = None;
    // All of these are empty, or the walk would have ended in them.
    for &segment in list.iter().filter(|s| **s > end.segment) {
        let path = segments::path(dir, segment);
        if segment == end.segment + 1 {
            let next = disk
                .open(&path, Open::Write)
                .map_err(|e| Refused::io("open", &path, e))?;
            if next.reserve(options.segment_bytes).is_ok() {
                ahead = Some(next);
                continue;
            }
        }
        disk.remove(&path)
            .map_err(|e| Refused::io("remove", &path, e))?;
    }
    disk.sync_dir(dir)
        .map_err(|e| Refused::io("sync", dir, e))?;
    Ok((file, ahead))
}
