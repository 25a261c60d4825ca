//! How records get from the buffer to the disk.
//!
//! Three locks, never two of the first kind at once and always in this order: `writer`
//! (held across a write), then `buffer` (nanoseconds, also taken by every put), then
//! `tail` (nanoseconds). The syncing thread takes only `head` and `tail`: it must never
//! queue behind the callers in whose name it works, and is woken once they have let go.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Synced;
use super::ahead::Ahead;
use super::buffer::{Batch, Buffer};
use super::disk::{Handle, write_all};
use super::error::{Poisoned, PutError};
use super::key::Key;
use super::line::{Entry, Seq};
use super::notes::{End, Head};
use super::{Pace, Placed};

#[derive(Debug)]
pub(super) struct Engine {
    pub(super) key: Key,
    pub(super) ahead: Ahead,
    pace: Pace,
    buffer: Mutex<Buffer>,
    writer: Mutex<Writer>,
    written: AtomicU64,
    tail: Mutex<Tail>,
    wake: Condvar,
    head: Mutex<Head>,
    synced: AtomicU64,
    waiters: Mutex<Vec<Waiter>>,
    poison: OnceLock<Poisoned>,
}

type Waiter = (Seq, oneshot::Sender<Result<(), Poisoned>>);

/// The end of the current segment, held by whoever writes.
#[derive(Debug)]
struct Writer {
    segment: u32,
    offset: u64,
    file: Arc<dyn Handle>,
    spare: Vec<u8>,
}

/// What was written and may still have to be synced.
#[derive(Debug)]
struct Tail {
    end: End,
    files: Vec<(u32, Arc<dyn Handle>)>,
    /// The last record that somebody waits for.
    wanted: Seq,
    /// The syncing thread sleeps until something is written; else it looks by itself.
    asleep: bool,
    stop: bool,
}

impl Engine {
    /// Everything up to `end` is written and synced; `current` is where it goes on.
    pub(super) fn new(
        key: Key,
        head: Head,
        ahead: Ahead,
        pace: Pace,
        end: End,
        file: Arc<dyn Handle>,
    ) -> Self {
        Self {
            key,
            ahead,
            pace,
            buffer: Mutex::new(Buffer::new(end)),
            writer: Mutex::new(Writer {
                segment: end.segment,
                offset: end.offset,
                file: file.clone(),
                spare: Vec::new(),
            }),
            written: AtomicU64::new(end.seq.get()),
            tail: Mutex::new(Tail {
                end,
                files: vec![(end.segment, file)],
                wanted: Seq::ZERO,
                asleep: false,
                stop: false,
            }),
            wake: Condvar::new(),
            head: Mutex::new(head),
            synced: AtomicU64::new(end.seq.get()),
            waiters: Mutex::new(Vec::new()),
            poison: OnceLock::new(),
        }
    }

    pub(super) fn healthy(&self) -> Result<(), Poisoned> {
        match self.poison.get() {
            None => Ok(()),
            Some(poisoned) => Err(poisoned.clone()),
        }
    }

    pub(super) fn written(&self) -> Seq {
        Seq::new(self.written.load(Ordering::Acquire))
    }

    pub(super) fn synced_mark(&self) -> Seq {
        Seq::new(self.synced.load(Ordering::Acquire))
    }

    pub(super) fn last(&self) -> Seq {
        lock(&self.buffer).end().seq
    }

    pub(super) fn put(&self, entry: &Entry<'_>) -> Result<Placed, PutError> {
        self.healthy()?;
        let mark = self.synced_mark();
        let room = self.ahead.room();
        lock(&self.buffer).put(&self.key, mark, entry, room)
    }

    /// Whether a record of a usual length would be taken now, and `keep` remain behind it.
    pub(super) fn ready(&self, keep: u64) -> Result<(), PutError> {
        self.healthy()?;
        let room = self.ahead.room();
        lock(&self.buffer).ready(keep, room)
    }

    pub(super) fn write(&self, up_to: Seq) -> Result<(), Poisoned> {
        if self.written() >= up_to {
            return self.healthy();
        }
        // Whoever comes first writes for all who wait here.
        let mut writer = lock(&self.writer);
        self.healthy()?;
        if self.written() >= up_to {
            return Ok(());
        }
        let spare = std::mem::take(&mut writer.spare);
        let mut batch = lock(&self.buffer).take(spare);
        let fresh = match writer.append(&batch, &self.ahead) {
            Ok(fresh) => fresh,
            Err(e) => return Err(self.poison("a write failed", &e)),
        };
        batch.bytes.clear();
        writer.spare = batch.bytes;

        let mut tail = lock(&self.tail);
        tail.files.extend(fresh);
        tail.end = batch.end;
        // Only now: who sees its record written may sync at once, and must find
        // it among what is to be synced.
        self.written.store(batch.end.seq.get(), Ordering::Release);
        tail.wanted = tail.wanted.max(batch.durable);
        let wakes = tail.asleep || batch.durable > Seq::ZERO;
        drop(tail);
        drop(writer);
        if wakes {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Syncs what is written, and answers who waits for it.
    pub(super) fn sync(&self) -> Result<(), Poisoned> {
        let mut head = lock(&self.head);
        self.healthy()?;
        let (end, files) = {
            let tail = lock(&self.tail);
            (tail.end, tail.files.clone())
        };
        if end.seq <= self.synced_mark() {
            return Ok(());
        }
        for (_, file) in &files {
            if let Err(e) = file.sync() {
                return Err(self.poison("a sync failed", &e));
            }
        }
        // Before anybody is told, so that the head never lags behind an answer.
        if let Err(e) = head.write(&self.key, &end) {
            return Err(self.poison("writing the head failed", &e));
        }
        self.synced.store(end.seq.get(), Ordering::Release);
        self.answer();
        lock(&self.tail)
            .files
            .retain(|(segment, _)| *segment >= end.segment);
        Ok(())
    }

    pub(super) fn sync_head(&self) -> Result<(), Poisoned> {
        let head = lock(&self.head);
        head.sync()
            .map_err(|e| self.poison("syncing the head failed", &e))
    }

    pub(super) fn synced(&self, seq: Seq) -> Synced {
        if self.synced_mark() >= seq {
            return Synced::known(Ok(()));
        }
        if let Err(poisoned) = self.healthy() {
            return Synced::known(Err(poisoned));
        }
        if self.pace == Pace::Inline {
            return Synced::known(self.write(seq).and_then(|()| self.sync()));
        }
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiters).push((seq, sender));
        // What happened before the push has not seen it.
        if self.synced_mark() >= seq || self.healthy().is_err() {
            self.answer();
        }
        let mut tail = lock(&self.tail);
        let wakes = tail.wanted < seq;
        tail.wanted = tail.wanted.max(seq);
        drop(tail);
        if wakes {
            self.wake.notify_one();
        }
        Synced::waiting(receiver)
    }

    fn answer(&self) {
        let (health, synced) = (self.healthy(), self.synced_mark());
        // Answered outside the lock: a woken task may come back for another wait at once.
        let ready: Vec<Waiter> = lock(&self.waiters)
            .extract_if(.., |(seq, _)| *seq <= synced || health.is_err())
            .collect();
        for (seq, sender) in ready {
            let answer = if seq <= synced {
                Ok(())
            } else {
                health.clone()
            };
            // Who no longer waits needs no answer.
            let _ = sender.send(answer);
        }
    }

    /// The work of the syncing thread, until [`Engine::stop`] or the first failure.
    ///
    /// After a sync it looks again by itself, once: what is written meanwhile need not
    /// wake it, which would cost every call that ends a switch of threads.
    pub(super) fn run(&self, interval: Duration) {
        let idle = |tail: &mut Tail| tail.end.seq <= self.synced_mark() && !tail.stop;
        let patient = |tail: &mut Tail| tail.wanted <= self.synced_mark() && !tail.stop;
        loop {
            let (mut tail, _) = self
                .wake
                .wait_timeout_while(lock(&self.tail), interval, patient)
                .unwrap_or_else(PoisonError::into_inner);
            if idle(&mut tail) {
                tail.asleep = true;
                tail = self
                    .wake
                    .wait_while(tail, idle)
                    .unwrap_or_else(PoisonError::into_inner);
                tail.asleep = false;
                if !tail.stop {
                    continue;
                }
            }
            if tail.stop {
                return;
            }
            drop(tail);
            if self.sync().is_err() {
                return;
            }
        }
    }

    pub(super) fn stop(&self) {
        lock(&self.tail).stop = true;
        self.wake.notify_all();
        self.ahead.stop();
    }

    fn poison(&self, what: &str, e: &io::Error) -> Poisoned {
        let poisoned = self
            .poison
            .get_or_init(|| Poisoned(format!("{what}: {e}").into()))
            .clone();
        self.answer();
        poisoned
    }
}

impl Writer {
    /// Writes a batch; returns the segments that it began.
    fn append(&mut self, batch: &Batch, ahead: &Ahead) -> io::Result<Vec<(u32, Arc<dyn Handle>)>> {
        let mut fresh = Vec::new();
        let mut from = 0;
        for turn in &batch.turns {
            self.write(batch.bytes.get(from..turn.at).unwrap_or_default())?;
            from = turn.at;
            let next = ahead.take(turn.segment)?;
            fresh.push((turn.segment, next.clone()));
            ahead.finish(std::mem::replace(&mut self.file, next), self.offset);
            self.segment = turn.segment;
            self.offset = 0;
        }
        self.write(batch.bytes.get(from..).unwrap_or_default())?;
        Ok(fresh)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all(&*self.file, bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

/// A thread that panicked leaves its lock poisoned; nothing here panics, and what the
/// locks protect is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
