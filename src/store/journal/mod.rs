//! The journal: one record a line, chained by keyed hashes, the truth about everything.
//!
//! A caller puts a record inside its own critical section ([`Journal::put`]: encode, hash,
//! append to a buffer; no I/O), leaves it, and has the buffer written before anything acts
//! on the record ([`Journal::write`]). A record that must survive a power cut is waited for
//! ([`Journal::synced`]); a thread syncs, and groups form by themselves.
//!
//! The first failed write or sync poisons the journal: nothing is written any more and
//! everything returns [`Poisoned`]. Nothing here knows what a record means.
//!
//! In the state directory: `journal.key`, `journal/NNNNNN.jsonl` (the records),
//! `journal/head` (how far they are synced), `journal/base` (where a pruned journal
//! starts), `bodies/` (files that records name).

mod ahead;
mod bodies;
mod buffer;
mod disk;
mod engine;
mod error;
mod key;
mod line;
mod lines;
mod notes;
mod options;
mod pruned;
mod recover;
mod retain;
mod segments;
mod synced;
mod verify;
mod walk;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::thread::{self, JoinHandle};

pub use bodies::{BODY_LIMIT, Bodies, BodyError};
pub use disk::{Disk, Handle, Open, RealDisk};
pub use error::{MarkedBy, Poisoned, PutError, Refused};
pub(crate) use key::is_bereft;
pub use line::{Digest, Entry, MEMBERS_LIMIT, Record, Seq, Why};
pub use notes::{Base, Stand};
pub use options::{Loss, Opened, Options, Pace, Place, Placed, TailCut};
pub use pruned::{Pruned, start_of};
pub use synced::Synced;
pub use verify::{Broken, PrunedBy, Report, behind, is_fresh, verify, verify_with};

use ahead::Ahead;
use engine::Engine;
use lines::{Line, Lines};
use recover::{Recovered, recover};
use walk::{Files, Start, walk};

/// The open journal. All methods take `&self`; it is shared by reference or in an `Arc`.
#[derive(Debug)]
pub struct Journal {
    options: Options,
    state: PathBuf,
    dir: PathBuf,
    engine: Arc<Engine>,
    base: Mutex<Base>,
    /// Held by who reads files that were finished long ago: they are not pruned meanwhile.
    readers: RwLock<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal below `state`, verifies it, and hands every record from
    /// `options.replay_from` on to `replay`, also the record of a tail that was cut.
    ///
    /// What was replayed counts only if this succeeds.
    ///
    /// # Errors
    /// When records that had been safe are damaged or missing, when the files can't be
    /// read or written, or when `replay` returns an error.
    pub fn open(
        state: &Path,
        options: Options,
        replay: &mut dyn FnMut(&Record<'_>, Place) -> Result<(), String>,
    ) -> Result<(Self, Opened), Refused> {
        let dir = state.join("journal");
        let recovered = recover(state, &dir, &options, replay)?;
        Bodies::sweep(&*options.disk, state);
        let Recovered {
            key,
            head,
            first,
            base,
            end,
            file,
            ahead,
            records,
            tail_cut,
        } = recovered;
        let threaded = options.pace != Pace::Inline;
        let ahead = Ahead::new(
            options.disk.clone(),
            dir.clone(),
            options.segment_bytes,
            threaded,
            end.segment,
            ahead,
        );
        let mut journal = Self {
            engine: Arc::new(Engine::new(key, head, ahead, options.pace, end, file)),
            options,
            state: state.to_path_buf(),
            dir,
            base: Mutex::new(base),
            readers: RwLock::new(()),
            threads: Vec::new(),
        };
        if let Some(cut) = &tail_cut {
            journal.record_cut(cut, replay)?;
        }
        journal.start_threads()?;
        let opened = Opened {
            first,
            last: journal.engine.last(),
            records,
            tail_cut,
        };
        Ok((journal, opened))
    }

    fn record_cut(
        &self,
        cut: &TailCut,
        replay: &mut dyn FnMut(&Record<'_>, Place) -> Result<(), String>,
    ) -> Result<(), Refused> {
        let accepted = cut
            .accepted
            .map_or_else(|| "null".to_owned(), |seq| seq.to_string());
        let members = format!(
            r#""segment":{},"offset":{},"bytes":{},"records":{},"accepted":{accepted}"#,
            cut.place.segment, cut.place.offset, cut.bytes, cut.records
        );
        let entry = Entry {
            at: self.options.now,
            kind: "tail_cut",
            members: &members,
            durable: true,
            keep: 0,
        };
        let failed = |e: String| Refused::io("write", &self.dir, std::io::Error::other(e));
        let placed = self.put(&entry).map_err(|e| failed(e.to_string()))?;
        self.write(placed.seq)
            .and_then(|()| self.sync())
            .map_err(|e| failed(e.to_string()))?;
        let start = Start::at_record(placed.seq, placed.place, placed.hash);
        let mut visit = |record: &Record<'_>, place: Place| {
            replay(record, place).map_err(|why| Refused::Replay {
                seq: record.seq,
                why,
            })
        };
        let list = [placed.place.segment];
        walk(self.files(), &list, start, None, &mut visit).map(|_| ())
    }

    fn start_threads(&mut self) -> Result<(), Refused> {
        let Pace::Thread(interval) = self.options.pace else {
            self.engine.ahead.make_room();
            return Ok(());
        };
        let failed = |e| Refused::io("start a thread for", &self.dir, e);
        let engine = self.engine.clone();
        let sync = thread::Builder::new()
            .name("journal-sync".into())
            .spawn(move || engine.run(interval))
            .map_err(failed)?;
        self.threads.push(sync);
        let engine = self.engine.clone();
        let ahead = thread::Builder::new()
            .name("journal-ahead".into())
            .spawn(move || engine.ahead.run())
            .map_err(failed)?;
        self.threads.push(ahead);
        Ok(())
    }

    /// Puts a record behind all others. Nothing is written: call [`Journal::write`] after
    /// leaving the critical section and before anything acts on the record.
    ///
    /// # Errors
    /// When the record is too long, the disk has no room for it, or the journal is poisoned.
    pub fn put(&self, entry: &Entry<'_>) -> Result<Placed, PutError> {
        self.engine.put(entry)
    }

    /// Returns once every record up to `up_to` is written: a kill of this process, at any
    /// moment from now on, does not lose it. Call it outside the critical section.
    ///
    /// # Errors
    /// When the journal is, or now becomes, poisoned.
    pub fn write(&self, up_to: Seq) -> Result<(), Poisoned> {
        self.engine.write(up_to)
    }

    /// Resolves once every record up to `seq`, which is written, survives a power cut.
    pub fn synced(&self, seq: Seq) -> Synced {
        self.engine.synced(seq)
    }

    /// Syncs what is written, on this thread.
    ///
    /// # Errors
    /// When the journal is, or now becomes, poisoned.
    pub fn sync(&self) -> Result<(), Poisoned> {
        self.engine.sync()
    }

    /// The last record that survives a power cut.
    #[must_use]
    pub fn synced_mark(&self) -> Seq {
        self.engine.synced_mark()
    }

    /// The last record that survives a kill.
    #[must_use]
    pub fn written(&self) -> Seq {
        self.engine.written()
    }

    /// The last record that was put.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.engine.last()
    }

    /// Whether records are still taken.
    ///
    /// # Errors
    /// The reason why not.
    pub fn healthy(&self) -> Result<(), Poisoned> {
        self.engine.healthy()
    }

    /// Whether a record would be taken now, and `keep` bytes remain behind it.
    ///
    /// # Errors
    /// The reason why not.
    pub fn ready(&self, keep: u64) -> Result<(), PutError> {
        self.engine.ready(keep)
    }

    /// Hands the written records from `from` on to `visit` until it breaks off. Begins with
    /// the first that is kept if `from` was pruned. Hashes are not checked.
    ///
    /// # Errors
    /// When a file can't be read, or a written record is not where it belongs.
    pub fn read(
        &self,
        from: Seq,
        visit: &mut dyn FnMut(&Record<'_>, Place) -> ControlFlow<()>,
    ) -> Result<(), Refused> {
        let _reading = self.reading();
        let until = self.written();
        let base = self.base();
        let list = self.segments_from(base.segment)?;
        let (mut begin, mut first) = (0, base.seq);
        for (i, segment) in list.iter().enumerate().rev() {
            let found = self.first_in(*segment, until)?;
            if let Some(found) = found.filter(|found| found.seq <= from) {
                (begin, first) = (i, found.seq);
                break;
            }
        }
        let list = list.get(begin..).unwrap_or_default();
        self.read_segments(list, 0, first, until, &mut |record, place| {
            if record.seq < from {
                return ControlFlow::Continue(());
            }
            visit(record, place)
        })
    }

    /// The same, from the record `first`, which stands at a place.
    ///
    /// # Errors
    /// When a file can't be read, or a written record is not where it belongs.
    pub fn read_from(
        &self,
        first: Seq,
        from: Place,
        visit: &mut dyn FnMut(&Record<'_>, Place) -> ControlFlow<()>,
    ) -> Result<(), Refused> {
        let _reading = self.reading();
        let until = self.written();
        let base = self.base();
        if from.segment < base.segment {
            // What could not be removed is not read either.
            let list = self.segments_from(base.segment)?;
            return self.read_segments(&list, 0, base.seq, until, visit);
        }
        let list = self.segments_from(from.segment)?;
        let offset = match list.first() {
            Some(segment) if *segment == from.segment => from.offset,
            Some(_) | None => 0,
        };
        self.read_segments(&list, offset, first, until, visit)
    }

    /// Begins with the record `next`, which stands at `offset` in the first of `list`.
    fn read_segments(
        &self,
        list: &[u32],
        mut offset: u64,
        mut next: Seq,
        until: Seq,
        visit: &mut dyn FnMut(&Record<'_>, Place) -> ControlFlow<()>,
    ) -> Result<(), Refused> {
        let mut end = Place {
            segment: list.first().copied().unwrap_or(self.base().segment),
            offset,
        };
        for &segment in list {
            let path = segments::path(&self.dir, segment);
            let io = |e| Refused::io("read", &path, e);
            let file = self.options.disk.open(&path, Open::Read).map_err(io)?;
            let mut lines = Lines::new(&*file, std::mem::take(&mut offset));
            // Behind `until` a line may be half written, and before it none may.
            while next <= until {
                let Some(line) = lines.next().map_err(io)? else {
                    break;
                };
                let (offset, record) = parse(&line);
                let place = Place { segment, offset };
                let record = match record {
                    Ok(record) if record.seq == next => record,
                    Ok(record) => {
                        return Err(unreadable(place, next, Why::Seq { found: record.seq }));
                    }
                    Err(why) => return Err(unreadable(place, next, why)),
                };
                if visit(&record, place).is_break() {
                    return Ok(());
                }
                next = next.next();
                end = Place {
                    segment,
                    offset: offset + record.line.len() as u64 + 1,
                };
            }
        }
        match next > until {
            true => Ok(()),
            false => Err(unreadable(end, next, Why::Missing)),
        }
    }

    /// The line of the record that stands at a place, if it is the one that is expected.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read_at(&self, place: Place, seq: Seq) -> Result<Option<String>, Refused> {
        if seq > self.written() {
            return Ok(None);
        }
        let _reading = self.reading();
        let path = segments::path(&self.dir, place.segment);
        let io = |e| Refused::io("read", &path, e);
        let file = self.options.disk.open(&path, Open::Read).map_err(io)?;
        let mut lines = Lines::new(&*file, place.offset);
        let Some(Line::Whole { bytes, .. }) = lines.next().map_err(io)? else {
            return Ok(None);
        };
        let record = Record::read(bytes, &self.engine.key).ok();
        Ok(record
            .filter(|record| record.seq == seq)
            .map(|record| record.line.to_owned()))
    }

    fn first_in(&self, segment: u32, until: Seq) -> Result<Option<Base>, Refused> {
        let first = recover::first_record(self.files(), &[segment])?;
        Ok(first.filter(|first| first.seq <= until))
    }

    fn segments_from(&self, first: u32) -> Result<Vec<u32>, Refused> {
        let mut list = segments::list(&*self.options.disk, &self.dir)?;
        list.retain(|segment| *segment >= first);
        Ok(list)
    }

    fn reading(&self) -> RwLockReadGuard<'_, ()> {
        self.readers.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Walks the whole chain up to what is written now.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn verify(&self) -> Result<Report, Refused> {
        let _reading = self.reading();
        verify(&*self.options.disk, &self.state, Some(self.written()))
    }

    /// The bodies that records of this journal name.
    ///
    /// # Errors
    /// When their directory can't be made or read.
    pub fn bodies(&self) -> Result<Bodies, Refused> {
        let (disk, key) = (self.options.disk.clone(), self.engine.key.clone());
        Bodies::open(disk, &self.state, key)
            .map_err(|e| Refused::io("open", &self.state.join("bodies"), e))
    }

    /// Tries at once whether there is room for the next segment again. For [`Pace::Inline`];
    /// otherwise a thread does it every second.
    pub fn make_room(&self) {
        self.engine.ahead.make_room();
    }

    /// Writes and syncs everything, so that the next start finds the head exact.
    ///
    /// # Errors
    /// When the journal is, or now becomes, poisoned.
    pub fn close(self) -> Result<(), Poisoned> {
        self.settle()
    }

    /// The same for a journal that others still hold.
    ///
    /// # Errors
    /// When the journal is, or now becomes, poisoned.
    pub fn settle(&self) -> Result<(), Poisoned> {
        self.write(self.last())?;
        self.sync()?;
        self.engine.sync_head()
    }

    fn files(&self) -> Files<'_> {
        Files {
            disk: &*self.options.disk,
            dir: &self.dir,
            key: &self.engine.key,
        }
    }
}

impl Drop for Journal {
    /// Ends the threads. Doesn't write: that is [`Journal::close`].
    fn drop(&mut self) {
        self.engine.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing more to say here.
            let _ = thread.join();
        }
    }
}

fn unreadable(place: Place, seq: Seq, why: Why) -> Refused {
    Refused::Unreadable { place, seq, why }
}

fn parse<'a>(line: &Line<'a>) -> (u64, Result<Record<'a>, Why>) {
    match line {
        Line::Whole { offset, bytes } => (*offset, Record::parse(bytes)),
        Line::Unended { offset } => (*offset, Err(Why::Unended)),
        Line::TooLong { offset } => (*offset, Err(Why::TooLong)),
    }
}
