//! The next segment, made before it is needed, on a thread of its own.
//!
//! Making a segment reserves its room and syncs its name; a call must not wait for that.
//! A full disk shows here first, while the current segment still has room for stops and
//! for the outcomes of open calls.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::buffer::Room;
use super::disk::{Disk, Handle};
use super::segments;

/// How long a full disk is left alone.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Ahead {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    /// Whether a thread makes the segments; else whoever needs them does.
    threaded: bool,
    state: Mutex<State>,
    changed: Condvar,
    ready: AtomicU32,
    failed: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// The one that is ready, until it is taken.
    file: Option<Arc<dyn Handle>>,
    wanted: u32,
    /// Finished segments, and how long they are.
    finished: Vec<(Arc<dyn Handle>, u64)>,
    failure: Option<String>,
    stop: bool,
}

impl Ahead {
    /// `current` is in use; `next` is the empty one behind it if it exists.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        segment_bytes: u64,
        threaded: bool,
        current: u32,
        next: Option<Arc<dyn Handle>>,
    ) -> Self {
        Self {
            disk,
            dir,
            segment_bytes,
            threaded,
            ready: AtomicU32::new(current + u32::from(next.is_some())),
            failed: AtomicBool::new(false),
            state: Mutex::new(State {
                file: next,
                wanted: current + 1,
                finished: Vec::new(),
                failure: None,
                stop: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn room(&self) -> Room {
        Room {
            segment_bytes: self.segment_bytes,
            ready: self.ready.load(Ordering::Acquire),
            failed: self.failed.load(Ordering::Acquire),
        }
    }

    /// Hands out `segment`, and wants the one behind it.
    pub(super) fn take(&self, segment: u32) -> io::Result<Arc<dyn Handle>> {
        let mut state = self.lock();
        loop {
            if !self.threaded {
                self.make(&mut state);
            }
            if self.ready.load(Ordering::Acquire) >= segment
                && let Some(file) = state.file.take()
            {
                state.wanted = segment + 1;
                if self.threaded {
                    self.changed.notify_all();
                } else {
                    self.make(&mut state);
                }
                return Ok(file);
            }
            if let Some(failure) = &state.failure {
                return Err(io::Error::other(failure.clone()));
            }
            if state.stop {
                return Err(io::Error::other("the journal is closed"));
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives back the room that a finished segment did not use.
    pub(super) fn finish(&self, file: Arc<dyn Handle>, length: u64) {
        let mut state = self.lock();
        state.finished.push((file, length));
        if self.threaded {
            self.changed.notify_all();
        } else {
            give_back(std::mem::take(&mut state.finished));
        }
    }

    /// Tries now what is otherwise tried every second. For a journal without threads.
    pub(super) fn make_room(&self) {
        self.make(&mut self.lock());
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// The work of the thread, until [`Ahead::stop`].
    pub(super) fn run(&self) {
        let mut state = self.lock();
        while !state.stop {
            let finished = std::mem::take(&mut state.finished);
            if !finished.is_empty() {
                drop(state);
                give_back(finished);
                state = self.lock();
                continue;
            }
            if state.wanted <= self.ready.load(Ordering::Acquire) {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let wanted = state.wanted;
            drop(state);
            let made = self.create(wanted);
            state = self.lock();
            if !self.made(&mut state, wanted, made) {
                (state, _) = self
                    .changed
                    .wait_timeout_while(state, AGAIN, |state| !state.stop)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn make(&self, state: &mut State) {
        if state.wanted > self.ready.load(Ordering::Acquire) {
            let made = self.create(state.wanted);
            self.made(state, state.wanted, made);
        }
    }

    fn create(&self, segment: u32) -> io::Result<Arc<dyn Handle>> {
        segments::create(&*self.disk, &self.dir, segment, self.segment_bytes)
    }

    fn made(&self, state: &mut State, wanted: u32, made: io::Result<Arc<dyn Handle>>) -> bool {
        let good = made.is_ok();
        match made {
            Ok(file) => {
                state.file = Some(file);
                state.failure = None;
                self.ready.store(wanted, Ordering::Release);
            }
            Err(e) => state.failure = Some(format!("no room for the next segment: {e}")),
        }
        self.failed.store(!good, Ordering::Release);
        self.changed.notify_all();
        good
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn give_back(finished: Vec<(Arc<dyn Handle>, u64)>) {
    for (file, length) in finished {
        // Room that can't be given back is no loss of anything that was written.
        let _ = file.truncate(length);
    }
}
