//! Pruning: where the journal starts, and how it comes to start later.
//!
//! What may go is decided elsewhere. Here it is done in an order that leaves the old or
//! the new beginning whatever happens in between: the record that says so is synced, the
//! base is replaced, and only then are files removed. Files that are left over are below
//! the base, and go with the next sweep or start.

use std::path::Path;
use std::sync::{PoisonError, RwLockWriteGuard, TryLockError};

use jiff::Timestamp;

use super::bodies::Bodies;
use super::error::Refused;
use super::key::Key;
use super::line::{Record, Seq};
use super::notes::Base;
use super::pruned::Pruned;
use super::recover;
use super::segments;
use super::verify::Broken;
use super::walk::{Start, walk};
use super::{Journal, Options, Place};

impl Journal {
    /// Where the journal below `state` starts and the bodies that its records name, for
    /// who must know before it is opened; no bodies if it was never pruned.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn base_of(state: &Path, options: &Options) -> Result<(Base, Option<Bodies>), Refused> {
        let base = recover::find_base(state, options)?;
        if !base.is_pruned() {
            return Ok((base, None));
        }
        let disk = options.disk.clone();
        let key = Key::load(&*disk, state, false)?;
        Ok((base, Some(Bodies::found(disk, state, key))))
    }

    /// Where the journal starts.
    #[must_use]
    pub fn base(&self) -> Base {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it would start if it started with one of its segments, for each that has a
    /// record that survives a power cut; in order.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn starts(&self) -> Result<Vec<Base>, Refused> {
        let (base, mark) = (self.base(), self.synced_mark());
        let mut starts = Vec::new();
        for segment in self.segments_from(base.segment)? {
            starts.extend(self.first_in(segment, mark)?);
        }
        Ok(starts)
    }

    /// When the record was made that stands at a place, if it is the one that is expected.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn made_at(&self, place: Place, seq: Seq) -> Result<Option<Timestamp>, Refused> {
        let line = self.read_at(place, seq)?;
        let record = line.as_deref().map(|line| Record::parse(line.as_bytes()));
        Ok(record.and_then(|record| record.ok()?.at.parse().ok()))
    }

    /// Whether there are bodies.
    #[must_use]
    pub fn has_bodies(&self) -> bool {
        let names = self.options.disk.list(&self.state.join("bodies"));
        names.is_ok_and(|names| !names.is_empty())
    }

    /// Hands every record from the first to `until` on to `visit`, after checking it and
    /// the chain that leads to it. Returns what is wrong with them, if something is.
    ///
    /// # Errors
    /// When a file can't be read, or `visit` returns an error.
    pub fn walk_to(
        &self,
        until: Seq,
        visit: &mut dyn FnMut(&Record<'_>, Place) -> Result<(), String>,
    ) -> Result<Option<Broken>, Refused> {
        let _reading = self.reading();
        let base = self.base();
        let list = self.segments_from(base.segment)?;
        let mut replay = |record: &Record<'_>, place: Place| {
            visit(record, place).map_err(|why| Refused::Replay {
                seq: record.seq,
                why,
            })
        };
        let start = Start::of_base(&base);
        let walked = walk(self.files(), &list, start, Some(until), &mut replay)?;
        Ok(walked.broken.map(|broken| Broken {
            file: segments::name(broken.place.segment),
            line: broken.line,
            seq: broken.seq,
            why: broken.why,
            tail: false,
        }))
    }

    /// Removes the segments before the one that `record` says is the first to be kept.
    /// That record is in the journal and synced, and so is the body that it names. Returns
    /// false, and nothing has happened, while somebody reads.
    ///
    /// # Errors
    /// When the record does not fit the journal, or the file system refuses; then some of
    /// the segments may be gone, and [`Journal::sweep`] removes the others.
    pub fn prune(&self, pruned: &Pruned, record: Seq) -> Result<bool, Refused> {
        let Some(_quiet) = self.quiet() else {
            return Ok(false);
        };
        let first = self.first_in(pruned.segment, self.synced_mark())?;
        let Some(first) = first.filter(|first| {
            first.seq == pruned.first && first.seq < record && record <= self.synced_mark()
        }) else {
            let path = segments::path(&self.dir, pruned.segment);
            let why = "it does not begin with the record that is to be the first";
            return Err(Refused::io("keep", &path, std::io::Error::other(why)));
        };
        let base = Base {
            stand: Some(pruned.stand(record)),
            ..first
        };
        // From here on a start goes on with what is left undone.
        base.save(&*self.options.disk, &self.dir, &self.engine.key)
            .map_err(|e| Refused::io("write", &self.dir.join("base"), e))?;
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
        self.remove_before(base.segment)?;
        Ok(true)
    }

    /// Removes what [`Journal::prune`] could not, unless somebody reads.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn sweep(&self) -> Result<(), Refused> {
        match self.quiet() {
            Some(_quiet) => self.remove_before(self.base().segment),
            None => Ok(()),
        }
    }

    fn quiet(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        match self.readers.try_write() {
            Ok(quiet) => Some(quiet),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn remove_before(&self, segment: u32) -> Result<(), Refused> {
        let disk = &*self.options.disk;
        let mut list = segments::list(disk, &self.dir)?;
        list.retain(|old| *old < segment);
        if list.is_empty() {
            return Ok(());
        }
        for old in list {
            let path = segments::path(&self.dir, old);
            disk.remove(&path)
                .map_err(|e| Refused::io("remove", &path, e))?;
        }
        disk.sync_dir(&self.dir)
            .map_err(|e| Refused::io("sync", &self.dir, e))
    }
}
