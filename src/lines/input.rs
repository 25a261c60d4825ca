//! Reading lines.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::Source;
use crate::wire::{Meant, Oversize, Raw};

/// What one read asks for at least.
const CHUNK: usize = 64 * 1024;

/// A buffer larger than this is given back once it is empty.
const KEEP: usize = 512 * 1024;

/// Lines share buffers up to this size.
const SHARED: usize = 4 * CHUNK;

/// So many lines, blank ones too, and others have their turn: while lines are
/// buffered nothing here waits, and who writes without pause would hold up everybody.
const TURN: u32 = 64;

/// What came.
#[derive(Debug)]
pub enum Line {
    /// A line, without its newline.
    Whole(Bytes),
    /// A line over the limit: it was read past, not kept.
    TooLong {
        /// Its JSON-RPC id, if it had one.
        id: Option<Raw>,
        /// What it was meant to be.
        meant: Meant,
        /// How long it was.
        bytes: usize,
    },
}

/// Lines, one after another.
#[derive(Debug)]
pub struct LineIn {
    from: Source,
    buffer: BytesMut,
    /// Bytes at the head of the buffer that hold no newline.
    scanned: usize,
    /// How large the allocation behind the buffer is, or was before.
    allocated: usize,
    limit: usize,
    /// Lines since others had their turn.
    taken: u32,
}

impl LineIn {
    /// Reads lines of at most `limit` bytes.
    #[must_use]
    pub fn new(from: Source, limit: usize) -> Self {
        Self {
            from,
            buffer: BytesMut::with_capacity(CHUNK),
            scanned: 0,
            allocated: CHUNK,
            limit,
            taken: 0,
        }
    }

    /// The next line; `None` at the end of the input. What stands after the
    /// last newline is no line and is dropped: its writer was cut off.
    ///
    /// Cancel-safe for whole lines; a line that is being read past is lost when
    /// the future is dropped.
    ///
    /// # Errors
    /// When the descriptor cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if self.taken >= TURN {
                self.taken = 0;
                tokio::task::yield_now().await;
            }
            let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', unseen) {
                self.taken += 1;
                let mut line = self.buffer.split_to(self.scanned + at + 1);
                self.scanned = 0;
                line.truncate(line.len() - 1);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                if line.is_empty() {
                    continue;
                }
                if line.len() > self.limit {
                    let mut watch = Oversize::default();
                    watch.watch(&line);
                    return Ok(Some(too_long(&watch)));
                }
                return Ok(Some(Line::Whole(self.apart(line))));
            }
            self.scanned = self.buffer.len();
            if self.scanned > self.limit {
                return self.read_past().await.map(Some);
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// A line that does not keep a much larger one's allocation alive: who counts
    /// lines counts the bytes of each.
    fn apart(&self, line: BytesMut) -> Bytes {
        if self.allocated > SHARED && line.len() < self.allocated / 4 {
            Bytes::copy_from_slice(&line)
        } else {
            line.freeze()
        }
    }

    /// Reads to the end of a line that is too long.
    async fn read_past(&mut self) -> io::Result<Line> {
        let mut watch = Oversize::default();
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer) {
                watch.watch(&self.buffer.split_to(at));
                drop(self.buffer.split_to(1));
                self.scanned = 0;
                break;
            }
            watch.watch(&self.buffer);
            self.buffer.clear();
            if self.fill().await? == 0 {
                break;
            }
        }
        Ok(too_long(&watch))
    }

    async fn fill(&mut self) -> io::Result<usize> {
        if self.buffer.is_empty() {
            if self.allocated > KEEP {
                self.buffer = BytesMut::with_capacity(CHUNK);
                self.allocated = CHUNK;
            }
            self.scanned = 0;
        }
        // A line that does not fit doubles the room, so that a long one is
        // copied a few times in all and not once a read.
        if self.buffer.capacity() - self.buffer.len() < CHUNK / 2 {
            self.buffer.reserve(CHUNK.max(self.buffer.len()));
            self.allocated = self.allocated.max(self.buffer.capacity());
        }
        // Not `try_read`: this way a read that did not fill the buffer counts as
        // the last for now, which saves a system call that would say so.
        let read = match &mut self.from {
            Source::Pipe(pipe) => pipe.read_buf(&mut self.buffer).await,
            Source::Socket(socket) => socket.read_buf(&mut self.buffer).await,
        };
        match read {
            // A peer that resets its socket is gone like one that closes it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            other => other,
        }
    }
}

fn too_long(watch: &Oversize) -> Line {
    Line::TooLong {
        id: watch.id(),
        meant: watch.meant(),
        bytes: watch.seen,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(limit: usize) -> (io::PipeWriter, LineIn) {
        let (read, write) = io::pipe().unwrap();
        (
            write,
            LineIn::new(Source::from_fd(read.into()).unwrap(), limit),
        )
    }

    async fn next(from: &mut LineIn) -> String {
        match from.next().await.unwrap() {
            Some(Line::Whole(line)) => String::from_utf8(line.to_vec()).unwrap(),
            Some(Line::TooLong { id, bytes, .. }) => format!("{bytes} too long, id {id:?}"),
            None => "end".into(),
        }
    }

    #[tokio::test]
    async fn lines_come_whole_and_in_order() {
        let (mut write, mut read) = lines(100);
        write.write_all(b"one\r\n\n\ntwo\nthr").unwrap();
        assert_eq!(next(&mut read).await, "one");
        assert_eq!(next(&mut read).await, "two");
        write.write_all(b"ee\ncut off").unwrap();
        drop(write);
        assert_eq!(next(&mut read).await, "three");
        assert_eq!(next(&mut read).await, "end");
    }

    #[tokio::test]
    async fn others_have_their_turn_however_many_lines_wait() {
        let (mut write, mut read) = lines(100);
        // Blank lines are lines, too; all of it fits into the pipe.
        write.write_all(&b"x\n\n".repeat(10_000)).unwrap();
        drop(write);
        let turns = std::cell::Cell::new(0);
        let others = async {
            loop {
                turns.set(turns.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        let all = async { while next(&mut read).await != "end" {} };
        tokio::select! {
            biased;
            () = all => {}
            () = others => {}
        }
        assert!(turns.get() >= 20_000 / TURN as usize, "{turns:?}");
    }

    #[tokio::test]
    async fn a_small_line_does_not_keep_the_buffer_of_a_large_one() {
        let (mut write, mut read) = lines(10 * KEEP);
        let long = "x".repeat(4 * KEEP);
        let sent = std::thread::spawn(move || {
            write
                .write_all(format!("{long}\nshort\n").as_bytes())
                .unwrap();
        });
        let Some(Line::Whole(long)) = read.next().await.unwrap() else {
            panic!("no line");
        };
        sent.join().unwrap();
        let Some(Line::Whole(short)) = read.next().await.unwrap() else {
            panic!("no line");
        };
        assert_eq!((long.len(), &*short), (4 * KEEP, &b"short"[..]));
        assert!(short.is_unique());
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_read_past_and_its_id_found() {
        let (mut write, mut read) = lines(100);
        let text = "x".repeat(30_000);
        let line = format!("{{\"result\":\"{text}\",\"id\":7}}\nafter\n");
        write.write_all(line.as_bytes()).unwrap();
        assert_eq!(next(&mut read).await, "30020 too long, id Some(7)");
        assert_eq!(next(&mut read).await, "after");
    }
}
