//! The last words of a tool server: a bounded ring of what it wrote to stderr.
//!
//! It keeps bytes as they came and makes text of them only when asked, because
//! nearly nobody asks. Control characters stay in: whoever shows a line to a
//! person makes them visible.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is kept of each server.
pub const STDERR_KEPT: usize = 64 * 1024;

/// The end of one server's stderr.
#[derive(Debug, Default)]
pub struct StderrRing(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bytes: VecDeque<u8>,
    /// The first line lost its beginning.
    cut: bool,
    /// The remark that was made last, and how often it was made again since.
    remark: String,
    again: usize,
}

impl StderrRing {
    /// The last `count` lines, oldest first. A line longer than the ring has lost its beginning.
    pub fn tail(&self, count: usize) -> Vec<String> {
        let kept = self.kept();
        let (front, back) = kept.bytes.as_slices();
        let again = kept.again();
        let bytes = [front, back, again.as_bytes()].concat();
        let cut = kept.cut;
        drop(kept);

        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<&str> = text.lines().collect();
        if cut && lines.len() > 1 {
            lines.remove(0);
        }
        let skip = lines.len().saturating_sub(count);
        lines.into_iter().skip(skip).map(str::to_owned).collect()
    }

    /// A line of our own between the server's: what it did wrong on the wire.
    /// The same one again is only counted.
    pub(crate) fn remark(&self, text: &str) {
        let mut kept = self.kept();
        if kept.remark == text {
            kept.again += 1;
            return;
        }
        kept.push(format!("[tollgate] the server {text}\n").as_bytes());
        text.clone_into(&mut kept.remark);
    }

    pub(crate) fn push(&self, bytes: &[u8]) {
        self.kept().push(bytes);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn push(&mut self, bytes: &[u8]) {
        let again = self.again();
        self.again = 0;
        self.remark.clear();
        self.bytes.extend(again.as_bytes());
        self.bytes.extend(bytes);
        let over = self.bytes.len().saturating_sub(STDERR_KEPT);
        if over > 0 {
            self.bytes.drain(..over);
            self.cut = true;
        }
    }

    /// The line that tells how often the last remark was made again.
    fn again(&self) -> String {
        match self.again {
            0 => String::new(),
            more => format!("[tollgate] ... {more} more like this\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_come_oldest_first() {
        let ring = StderrRing::default();
        ring.push(b"one\ntwo\r\nth");
        ring.push(b"ree");
        assert_eq!(ring.tail(2), ["two", "three"]);
        assert_eq!(ring.tail(9), ["one", "two", "three"]);
    }

    #[test]
    fn only_the_end_is_kept_and_no_half_line_is_shown() {
        let ring = StderrRing::default();
        for number in 0..20_000 {
            ring.push(format!("line {number}\n").as_bytes());
        }
        let lines = ring.tail(usize::MAX);
        assert_eq!(lines.last().unwrap(), "line 19999");
        assert!(lines.iter().all(|line| line.starts_with("line ")));
        assert!(ring.kept().bytes.len() <= STDERR_KEPT);
    }

    #[test]
    fn the_same_remark_again_is_counted() {
        let ring = StderrRing::default();
        for _ in 0..1000 {
            ring.remark("sent a line");
        }
        let remark = "[tollgate] the server sent a line";
        let more = "[tollgate] ... 999 more like this";
        assert_eq!(ring.tail(9), [remark, more]);
        ring.push(b"own words\n");
        ring.remark("sent a line");
        assert_eq!(ring.tail(9), [remark, more, "own words", remark]);
    }

    #[test]
    fn a_line_longer_than_the_ring_shows_its_end() {
        let ring = StderrRing::default();
        ring.push(&vec![b'x'; 2 * STDERR_KEPT]);
        ring.push(b"end");
        let lines = ring.tail(1);
        assert_eq!(lines[0].len(), STDERR_KEPT);
        assert!(lines[0].ends_with("xend"));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let ring = StderrRing::default();
        ring.push(b"a\xffb\n");
        assert_eq!(ring.tail(1), ["a\u{fffd}b"]);
    }
}
