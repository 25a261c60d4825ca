//! Whether a line is JSON, and where the members of its object stand, in one pass.
//!
//! Most of a large line is one long text, and a reader that takes a text apart looks at
//! each of its bytes. Here the end of a text is searched for, and what lies before it is
//! looked at many bytes at a time. What is JSON is what `serde_json` takes: a test holds
//! the two together.

use std::ops::Range;

/// What was found out about a line that is JSON.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    /// Whether a carriage return stands between values; within texts none can.
    pub(super) has_return: bool,
    /// Whether a key stands somewhere that could be `_meta`, in whatever spelling.
    pub(super) may_have_meta: bool,
}

/// Looks at a line; `None` if it is not one JSON value. If it is an object, `found` is
/// told each member, the key with its quotes, whether or not the line ends well.
pub(super) fn checked<'a>(
    line: &'a [u8],
    found: impl FnMut(&'a [u8], &'a [u8]),
) -> Option<Checked> {
    if !line.is_ascii() {
        std::str::from_utf8(line).ok()?;
    }
    let mut scan = Scan {
        line,
        at: 0,
        expected: Expected::Value,
        open: Vec::new(),
        key: None,
        found,
        checked: Checked::default(),
    };
    while let Some(byte) = scan.next_byte() {
        scan.step(byte)?;
    }
    let is_whole = scan.open.is_empty() && scan.expected == Expected::Separator;
    is_whole.then_some(scan.checked)
}

/// What may stand next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// A value, or the end of a list that is empty.
    First,
    Value,
    /// A key, or the end of an object that is empty.
    FirstKey,
    Key,
    Colon,
    /// A comma, or the end of what is open, or of the line.
    Separator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    List,
}

struct Scan<'a, F> {
    line: &'a [u8],
    at: usize,
    expected: Expected,
    /// What is open, the innermost last: how deep a line nests is its writer's choice,
    /// so nothing here recurses.
    open: Vec<Container>,
    /// The member of the line's own object that is looked at: where its key stands, and
    /// where its value begins.
    key: Option<(Range<usize>, usize)>,
    found: F,
    checked: Checked,
}

impl<'a, F: FnMut(&'a [u8], &'a [u8])> Scan<'a, F> {
    /// The next byte that is not white space.
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            let byte = *self.line.get(self.at)?;
            match byte {
                b' ' | b'\t' | b'\n' => {}
                b'\r' => self.checked.has_return = true,
                _ => return Some(byte),
            }
            self.at += 1;
        }
    }

    /// Goes past what begins with `byte`; `None` if it may not stand here.
    fn step(&mut self, byte: u8) -> Option<()> {
        match (self.expected, byte) {
            (Expected::Key | Expected::FirstKey, b'"') => {
                let begin = self.at;
                self.at = string_end(self.line, begin)?;
                self.checked.may_have_meta |= may_be_meta(self.line, begin);
                if self.open.len() == 1 {
                    self.key = Some((begin..self.at, self.at));
                }
                self.expected = Expected::Colon;
            }
            (Expected::Colon, b':') => {
                self.at += 1;
                self.expected = Expected::Value;
            }
            (Expected::Separator | Expected::FirstKey, b'}') => self.closes(Container::Object)?,
            (Expected::Separator | Expected::First, b']') => self.closes(Container::List)?,
            (Expected::Value | Expected::First, b'{') => {
                self.opens(Container::Object, Expected::FirstKey);
            }
            (Expected::Value | Expected::First, b'[') => {
                self.opens(Container::List, Expected::First);
            }
            (Expected::Value | Expected::First, byte) => {
                let end = match byte {
                    b'"' => string_end(self.line, self.at),
                    b'-' | b'0'..=b'9' => number_end(self.line, self.at),
                    _ => word_end(self.line, self.at),
                }?;
                self.begins();
                self.ends(end);
            }
            (Expected::Separator, b',') => {
                self.at += 1;
                self.expected = match self.open.last()? {
                    Container::Object => Expected::Key,
                    Container::List => Expected::Value,
                };
            }
            (_, _) => return None,
        }
        Some(())
    }

    fn opens(&mut self, container: Container, expected: Expected) {
        self.begins();
        self.open.push(container);
        self.at += 1;
        self.expected = expected;
    }

    fn closes(&mut self, container: Container) -> Option<()> {
        let closed = self.open.pop()?;
        self.ends(self.at + 1);
        (closed == container).then_some(())
    }

    /// A value begins here.
    fn begins(&mut self) {
        if self.open.len() == 1
            && let Some((_, value)) = &mut self.key
        {
            *value = self.at;
        }
    }

    /// A value ends there.
    fn ends(&mut self, end: usize) {
        self.at = end;
        self.expected = Expected::Separator;
        if self.open.len() == 1
            && let Some((key, value)) = self.key.take()
            && let Some(key) = self.line.get(key)
            && let Some(value) = self.line.get(value..end)
        {
            (self.found)(key, value);
        }
    }
}

/// Whether the key that begins at `at` begins as `_meta` could: its first letter as it
/// is, or with an escape.
fn may_be_meta(line: &[u8], at: usize) -> bool {
    match line.get(at + 1) {
        Some(b'_') => matches!(line.get(at + 2), Some(b'm' | b'M' | b'\\')),
        Some(b'\\') => true,
        _ => false,
    }
}

/// The index after the closing quote of the text that opens at `at`.
fn string_end(line: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += plain(line.get(at..)?)?;
        if line.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at = match line.get(at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at + 2,
            b'u' => {
                let digits = line.get(at + 2..at + 6)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 6)?
            }
            _ => return None,
        };
    }
}

/// How many bytes of a text stand before its end or its next escape.
fn plain(rest: &[u8]) -> Option<usize> {
    // Most stretches are short, and the search is a call of its own.
    let near = rest.get(..NEAR).unwrap_or(rest);
    let (words, few) = near.as_chunks::<8>();
    for (nth, word) in words.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            let length = 8 * nth + marks.trailing_zeros() as usize / 8;
            return (*rest.get(length)? >= b' ').then_some(length);
        }
    }
    let seen = 8 * words.len();
    for (nth, byte) in few.iter().enumerate() {
        match byte {
            b'"' | b'\\' => return Some(seen + nth),
            ..b' ' => return None,
            _ => {}
        }
    }
    let length = memchr::memchr2(b'"', b'\\', rest)?;
    // Not `all`, which stops at the first and is therefore not looked at many at a time.
    let least = rest.get(..length)?.iter().copied().min();
    least.is_none_or(|least| least >= b' ').then_some(length)
}

/// A stretch longer than this is searched.
const NEAR: usize = 64;

/// The lowest bit that is set is in the first byte that is no plain one: a quote, a
/// backslash or a control character.
fn marks(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // A byte borrows from those above it, which come later in the text.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let quotes = zeros(word ^ (ONES * b'"' as u64));
    let backslashes = zeros(word ^ (ONES * b'\\' as u64));
    let controls = word.wrapping_sub(ONES * b' ' as u64) & !word;
    (quotes | backslashes | controls) & HIGH
}

/// The index after the number that begins at `at`.
fn number_end(line: &[u8], at: usize) -> Option<usize> {
    let byte = |at: usize| line.get(at).copied();
    // The index after some digits, of which there is one at least.
    let digits = |from: usize| {
        let rest = line.get(from..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let whole = at + usize::from(byte(at) == Some(b'-'));
    let mut end = match byte(whole) {
        Some(b'0') => whole + 1,
        _ => digits(whole)?,
    };
    if byte(end) == Some(b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = byte(end) {
        let sign = matches!(byte(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(sign))?;
    }
    Some(end)
}

/// The index after `true`, `false` or `null`.
fn word_end(line: &[u8], at: usize) -> Option<usize> {
    let rest = line.get(at..)?;
    let words = [&b"true"[..], b"false", b"null"];
    let word = words.into_iter().find(|word| rest.starts_with(word))?;
    Some(at + word.len())
}

#[cfg(test)]
mod tests;
