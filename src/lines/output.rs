//! Writing lines.
//!
//! Sending never waits and never blocks: lines are queued, and a pump writes the
//! queue. The pump runs once the tasks that are ready now have run, so what they
//! all send goes out in one system call and wakes the other side once. A line
//! that has begun is always finished, so no cancelled task leaves half a message
//! behind.
//!
//! The queue is bounded by those who send: who has much to send takes [`Room`]
//! first, and holds it until its bytes are written.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::Interest,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
};

use super::Sink;
use crate::wire::Parts;

/// Bytes of answers that may wait for an agent that does not read.
const ROOM: usize = 4 * 1024 * 1024;

/// More than all the room, the notices and a few lines together.
const FLOOD: usize = 2 * ROOM;

/// Queued bytes after which messages that nobody waits for are dropped.
const NOTICES: usize = 1024 * 1024;

/// Lines up to this size are gathered.
const SMALL: usize = 8 * 1024;

/// Pieces handed to the kernel in one call.
const VECTOR: usize = 64;

/// The writing end, shared by all who send.
#[derive(Debug, Clone)]
pub struct LineOut(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the pump.
    more: Notify,
    /// Wakes who waits for the queue to be empty.
    empty: Notify,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Queue {
    /// Gone once the output is closed: the other side must see the end then,
    /// whoever still holds a handle.
    to: Option<Arc<Sink>>,
    pieces: VecDeque<Piece>,
    /// Small lines behind the pieces, gathered: copying them is cheaper than a
    /// longer vector for the kernel.
    small: BytesMut,
    small_rooms: Vec<Room>,
    bytes: usize,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Given back when the piece is written.
    _rooms: Vec<Room>,
}

/// A share of the bytes that may wait to be written.
#[derive(Debug)]
pub struct Room {
    _share: OwnedSemaphorePermit,
}

impl LineOut {
    /// Takes the descriptor over and starts the pump on the current runtime.
    #[must_use]
    pub fn new(to: Sink) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                to: Some(Arc::new(to)),
                pieces: VecDeque::new(),
                small: BytesMut::new(),
                small_rooms: Vec::new(),
                bytes: 0,
            }),
            more: Notify::new(),
            empty: Notify::new(),
            room: Arc::new(Semaphore::new(ROOM)),
        });
        tokio::spawn(pump(shared.clone()));
        Self(shared)
    }

    /// Waits until `bytes` more may wait to be written. A line larger than all
    /// the room takes all of it.
    pub async fn room(&self, bytes: usize) -> Option<Room> {
        let share = u32::try_from(bytes.clamp(1, ROOM)).ok()?;
        let share = self.0.room.clone().acquire_many_owned(share).await.ok()?;
        Some(Room { _share: share })
    }

    /// Room that is there without waiting.
    #[must_use]
    pub fn room_now(&self, bytes: usize) -> Option<Room> {
        let share = u32::try_from(bytes.clamp(1, ROOM)).ok()?;
        let share = self.0.room.clone().try_acquire_many_owned(share).ok()?;
        Some(Room { _share: share })
    }

    /// Sends one line; says whether it was taken.
    pub fn send(&self, line: Parts) -> bool {
        self.send_with(line, None)
    }

    /// Sends a line for which room was taken.
    pub fn send_with(&self, line: Parts, room: Option<Room>) -> bool {
        let mut queue = self.0.lock();
        if queue.to.is_none() {
            return false;
        }
        let idle = queue.is_empty();
        queue.push(line, room);
        drop(queue);
        if idle {
            self.0.more.notify_one();
        }
        true
    }

    /// Sends a line that nobody waits for, unless too much is queued already.
    pub fn send_if_room(&self, line: Parts) -> bool {
        if self.0.lock().bytes > NOTICES {
            return false;
        }
        self.send(line)
    }

    /// Whether the other side has gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.lock().to.is_none()
    }

    /// Whether nobody reads what would be written: seen without writing anything.
    #[must_use]
    pub fn has_no_reader(&self) -> bool {
        let to = self.0.lock().to.clone();
        to.is_none_or(|to| to.has_no_reader())
    }

    /// Waits while more is queued than those with room can have queued: replies
    /// that cost the other side nothing to cause, and that it does not read. Who
    /// reads from that side waits here first.
    pub async fn not_flooded(&self) {
        if self.0.lock().bytes > FLOOD {
            self.flushed().await;
        }
    }

    /// Waits until everything is written, or the other side has gone.
    pub async fn flushed(&self) {
        loop {
            let waiting = self.0.empty.notified();
            {
                let queue = self.0.lock();
                if queue.to.is_none() || queue.is_empty() {
                    return;
                }
            }
            waiting.await;
        }
    }

    /// Takes no more lines. What is queued is written as far as the other side takes it
    /// now, such as word of what was cancelled a moment ago; the rest is dropped.
    pub fn close(&self) {
        let mut queue = self.0.lock();
        if let Some(to) = queue.to.clone() {
            // Whoever does not take it has gone.
            let _ = write_queue(&to, &mut queue);
        }
        self.0.close(&mut queue);
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.small.is_empty()
    }

    fn push(&mut self, line: Parts, room: Option<Room>) {
        let bytes: usize = line.iter().map(Bytes::len).sum();
        self.bytes += bytes;
        if bytes <= SMALL {
            for part in &line {
                self.small.extend_from_slice(part);
            }
            self.small_rooms.extend(room);
            return;
        }
        self.gather();
        let mut rooms: Vec<Room> = room.into_iter().collect();
        let last = line.len().saturating_sub(1);
        for (nth, bytes) in line.into_iter().enumerate() {
            let _rooms = if nth == last {
                std::mem::take(&mut rooms)
            } else {
                Vec::new()
            };
            self.pieces.push_back(Piece { bytes, _rooms });
        }
    }

    /// Makes a piece of the small lines.
    fn gather(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push_back(Piece {
                bytes: self.small.split().freeze(),
                _rooms: std::mem::take(&mut self.small_rooms),
            });
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A poisoned lock only means that a sender panicked between two lines.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, queue: &mut Queue) {
        queue.to = None;
        queue.pieces.clear();
        queue.small.clear();
        queue.small_rooms.clear();
        queue.bytes = 0;
        self.room.close();
        self.more.notify_one();
        self.empty.notify_waiters();
    }
}

fn try_write(to: &Sink, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match (to, slices) {
        (Sink::Pipe(pipe), [one]) => pipe.try_write(one),
        (Sink::Pipe(pipe), many) => pipe.try_write_vectored(many),
        (Sink::Socket(socket), [one]) => socket.try_write(one),
        (Sink::Socket(socket), many) => socket.try_write_vectored(many),
    }
}

async fn writable(to: &Sink) -> io::Result<()> {
    match to {
        Sink::Pipe(pipe) => pipe.writable().await,
        Sink::Socket(socket) => socket.ready(Interest::WRITABLE).await.map(|_| ()),
    }
}

/// Writes the queue until nobody is left to send or to read.
async fn pump(shared: Arc<Shared>) {
    loop {
        let woken = shared.more.notified();
        let (to, idle) = {
            let mut queue = shared.lock();
            let Some(to) = queue.to.clone() else { return };
            let written = write_queue(&to, &mut queue);
            if written.is_err() {
                shared.close(&mut queue);
                return;
            }
            if queue.is_empty() {
                shared.empty.notify_waiters();
            }
            (to, queue.is_empty())
        };
        if idle {
            drop(to);
            // The pump's own handle is the last: nobody will send any more.
            if Arc::strong_count(&shared) == 1 {
                return;
            }
            woken.await;
            continue;
        }
        // Closing wakes as well: the descriptor must not be kept by a wait.
        let ready = tokio::select! {
            ready = writable(&to) => ready,
            () = woken => continue,
        };
        if ready.is_err() {
            shared.close(&mut shared.lock());
            return;
        }
    }
}

fn write_queue(to: &Sink, queue: &mut Queue) -> io::Result<()> {
    loop {
        queue.gather();
        if queue.pieces.is_empty() {
            return Ok(());
        }
        let slices: Vec<IoSlice<'_>> = queue
            .pieces
            .iter()
            .take(VECTOR)
            .map(|piece| IoSlice::new(&piece.bytes))
            .collect();
        let mut written = match try_write(to, &slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        queue.bytes = queue.bytes.saturating_sub(written);
        while let Some(piece) = queue.pieces.front_mut() {
            if piece.bytes.len() > written {
                piece.bytes.advance(written);
                break;
            }
            written -= piece.bytes.len();
            queue.pieces.pop_front();
        }
    }
}

impl Drop for LineOut {
    fn drop(&mut self) {
        // Two are left: this one and the pump's, which then looks and leaves.
        if Arc::strong_count(&self.0) <= 2 {
            self.0.more.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn line(text: String) -> Parts {
        vec![Bytes::from(text), Bytes::from_static(b"\n")]
    }

    #[tokio::test]
    async fn lines_arrive_in_order_however_slowly_they_are_read() {
        let (mut read, write) = io::pipe().unwrap();
        let out = LineOut::new(Sink::from_fd(write.into()).unwrap());
        let sent: Vec<String> = (0..2_000).map(|n| format!("{n:0>200}")).collect();
        for text in &sent {
            assert!(out.send(line(text.clone())));
        }
        let reader = std::thread::spawn(move || {
            let mut all = String::new();
            read.read_to_string(&mut all).unwrap();
            all
        });
        out.flushed().await;
        drop(out);
        tokio::task::yield_now().await;
        let all = tokio::task::spawn_blocking(move || reader.join().unwrap())
            .await
            .unwrap();
        assert!(all.lines().eq(sent.iter().map(String::as_str)));
    }

    #[tokio::test]
    async fn room_runs_out_and_comes_back_when_bytes_are_written() {
        let (mut read, write) = io::pipe().unwrap();
        let out = LineOut::new(Sink::from_fd(write.into()).unwrap());
        let room = out.room(ROOM).await;
        assert!(out.send_with(line("x".repeat(ROOM)), room));
        let second = out.room(1);
        tokio::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("room was given twice"),
            () = tokio::task::yield_now() => {}
        }
        let reader = std::thread::spawn(move || {
            let mut all = vec![0; ROOM + 1];
            read.read_exact(&mut all).unwrap();
        });
        assert!(second.await.is_some());
        tokio::task::spawn_blocking(move || reader.join().unwrap())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_closes_the_output() {
        let (read, write) = io::pipe().unwrap();
        let out = LineOut::new(Sink::from_fd(write.into()).unwrap());
        drop(read);
        out.send(line("x".into()));
        out.flushed().await;
        assert!(out.is_closed());
        assert!(!out.send(line("x".into())));
        assert!(out.room(1).await.is_none());
    }

    #[tokio::test]
    async fn that_nobody_reads_is_seen_before_anything_is_written() {
        let (read, write) = io::pipe().unwrap();
        let out = LineOut::new(Sink::from_fd(write.into()).unwrap());
        assert!(!out.has_no_reader());
        drop(read);
        assert!(out.has_no_reader());
        let (read, write) = std::os::unix::net::UnixStream::pair().unwrap();
        let out = LineOut::new(Sink::from_fd(write.into()).unwrap());
        // It says nothing more, and reads on.
        read.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(!out.has_no_reader());
        drop(read);
        assert!(out.has_no_reader());
        out.close();
        assert!(out.has_no_reader());
    }
}
