//! Reads a file line by line, whatever it contains.

use std::io;

use memchr::memchr;

use super::disk::Handle;
use super::line::LONGEST_LINE;

const CHUNK: usize = 256 * 1024;

/// A stretch of the file between two line breaks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// With a line break behind it, which is not part of `bytes`.
    Whole { offset: u64, bytes: &'a [u8] },
    /// The file ends without one.
    Unended { offset: u64 },
    /// Longer than any record; skipped to behind its line break.
    TooLong { offset: u64 },
}

/// The lines of one file. Memory stays bounded by the longest record.
#[derive(Debug)]
pub(super) struct Lines<'h> {
    file: &'h dyn Handle,
    buffer: Vec<u8>,
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    /// Where in the file the unread part starts.
    offset: u64,
}

impl<'h> Lines<'h> {
    pub(super) fn new(file: &'h dyn Handle, offset: u64) -> Self {
        Self {
            file,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            offset,
        }
    }

    /// The next line, or `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let offset = self.offset;
        let mut searched = 0;
        let mut too_long = false;
        loop {
            let unread = self.unread().len();
            if let Some(found) = self
                .unread()
                .get(searched..)
                .and_then(|rest| memchr(b'\n', rest))
            {
                let (from, to) = (self.start, self.start + searched + found);
                self.consume(searched + found + 1);
                return Ok(Some(if too_long || to - from >= LONGEST_LINE {
                    Line::TooLong { offset }
                } else {
                    Line::Whole {
                        offset,
                        bytes: self.buffer.get(from..to).unwrap_or_default(),
                    }
                }));
            }
            searched = unread;
            if searched >= LONGEST_LINE {
                too_long = true;
                self.consume(searched);
                searched = 0;
            }
            if !self.fill()? {
                let rest = self.unread().len();
                self.consume(rest);
                return Ok(match (too_long, rest) {
                    (true, _) => Some(Line::TooLong { offset }),
                    (false, 0) => None,
                    (false, _) => Some(Line::Unended { offset }),
                });
            }
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Reads more; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() == self.end {
            self.buffer.resize(self.end + CHUNK, 0);
        }
        let at = self.offset + self.end as u64;
        let Some(room) = self.buffer.get_mut(self.end..) else {
            return Ok(false);
        };
        loop {
            match self.file.read_at(room, at) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n > 0);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Bytes(Vec<u8>);

    impl Handle for Bytes {
        fn length(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let offset = usize::try_from(offset).unwrap();
            let rest = self.0.get(offset..).unwrap_or_default();
            // Odd sizes, so that lines straddle every border.
            let n = rest.len().min(buffer.len()).min(40_009);
            buffer[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        }
        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
        fn truncate(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn reserve(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
    }

    fn kinds(content: Vec<u8>) -> Vec<(u64, &'static str, usize)> {
        let file = Bytes(content);
        let mut lines = Lines::new(&file, 0);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push(match line {
                Line::Whole { offset, bytes } => (offset, "whole", bytes.len()),
                Line::Unended { offset } => (offset, "unended", 0),
                Line::TooLong { offset } => (offset, "too long", 0),
            });
        }
        seen
    }

    #[test]
    fn lines_come_with_their_offsets_and_the_rest_is_named() {
        let seen = kinds(b"one\n\nthree\nfo".to_vec());
        assert_eq!(
            seen,
            [
                (0, "whole", 3),
                (4, "whole", 0),
                (5, "whole", 5),
                (11, "unended", 0)
            ]
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_is_found() {
        let mut content = vec![0; 3 * LONGEST_LINE];
        content.extend_from_slice(b"\nnext\n");
        let behind = 3 * LONGEST_LINE as u64 + 1;
        assert_eq!(kinds(content), [(0, "too long", 0), (behind, "whole", 4)]);
        assert_eq!(kinds(vec![0; 3 * LONGEST_LINE]), [(0, "too long", 0)]);
    }

    #[test]
    fn many_lines_of_any_length_survive_the_borders_of_the_buffer() {
        let lengths: Vec<usize> = (0..2_000).map(|i| (i * 7919) % 1_500).collect();
        let content = lengths.iter().flat_map(|n| {
            let mut line = vec![b'x'; *n];
            line.push(b'\n');
            line
        });
        let seen = kinds(content.collect());
        assert!(seen.iter().map(|s| s.2).eq(lengths));
    }
}
