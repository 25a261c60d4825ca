//! Whether a line is JSON, and where the members of its object stand, in one pass.
//!
//! Most of a large line is one long text, and a reader that takes a text apart looks at
//! each of its bytes. Here the end of a text is searched for, and what lies before it is
//! looked at many bytes at a time, while they are still near. What is JSON is what
//! `serde_json` takes: a test holds the two together.

use std::ops::Range;

use super::Member;

/// What was found out about a line that is JSON.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    /// Whether a carriage return stands between values; within texts none can.
    pub(super) has_return: bool,
    /// Whether a key stands somewhere that could be `_meta`, in whatever spelling.
    pub(super) may_have_meta: bool,
}

/// A member of the line's own object.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// The key, with its quotes.
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    /// Where the members of a `result` stand in it, if they are few: to find them again
    /// is to look at all of it again.
    pub(super) members: Option<Vec<Member>>,
}

/// Looks at a line; `None` if it is not one JSON value. If it is an object, `found` is
/// told each member, whether or not the line ends well, and whether or not it is UTF-8.
pub(super) fn checked<'a>(line: &'a [u8], found: impl FnMut(Found<'a>)) -> Option<Checked> {
    let mut scan = Scan {
        line,
        at: 0,
        expected: Expected::Value,
        open: Vec::new(),
        outer: None,
        inner: None,
        members: None,
        is_ascii: true,
        found,
        checked: Checked::default(),
    };
    while let Some(byte) = scan.next_byte() {
        scan.step(byte)?;
    }
    let is_whole = scan.open.is_empty() && scan.expected == Expected::Separator;
    let is_text = scan.is_ascii || std::str::from_utf8(line).is_ok();
    (is_whole && is_text).then_some(scan.checked)
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

/// A member that is looked at: where its key stands, and where its value begins.
struct Begun {
    key: Range<usize>,
    value: usize,
}

/// Whose members are remembered. A result is looked at and goes; what a server tells may
/// wait in a queue, which is counted by what it says.
const REMEMBERED: &[u8] = b"\"result\"";
/// How many of them: a result has a handful, and each takes more room than its text may.
const A_FEW: usize = 16;

struct Scan<'a, F> {
    line: &'a [u8],
    at: usize,
    expected: Expected,
    /// What is open, the innermost last: how deep a line nests is its writer's choice,
    /// so nothing here recurses.
    open: Vec<Container>,
    /// The member of the line's own object that is looked at.
    outer: Option<Begun>,
    /// The member of that one's value, if what is found there is to be remembered.
    inner: Option<Begun>,
    members: Option<Vec<Member>>,
    is_ascii: bool,
    found: F,
    checked: Checked,
}

impl<'a, F: FnMut(Found<'a>)> Scan<'a, F> {
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
                self.at = self.string_end()?;
                self.checked.may_have_meta |= may_be_meta(self.line, begin);
                self.is_key(begin..self.at);
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
                    b'"' => self.string_end(),
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

    /// A key stands there.
    fn is_key(&mut self, key: Range<usize>) {
        let value = key.end;
        match self.open.len() {
            1 => {
                let is_remembered = self.line.get(key.clone()) == Some(REMEMBERED);
                self.members = is_remembered.then(Vec::new);
                self.outer = Some(Begun { key, value });
            }
            2 if self.members.is_some() => self.inner = Some(Begun { key, value }),
            _ => {}
        }
    }

    /// A value begins here.
    fn begins(&mut self) {
        let member = match self.open.len() {
            1 => &mut self.outer,
            2 => &mut self.inner,
            _ => return,
        };
        if let Some(member) = member {
            member.value = self.at;
        }
    }

    /// A value ends there.
    fn ends(&mut self, end: usize) {
        self.at = end;
        self.expected = Expected::Separator;
        match self.open.len() {
            1 => self.outer_ends(end),
            2 => self.inner_ends(end),
            _ => {}
        }
    }

    fn outer_ends(&mut self, end: usize) {
        if let Some(Begun { key, value }) = self.outer.take()
            && let Some(key) = self.line.get(key)
            && let Some(value) = self.line.get(value..end)
        {
            let members = self.members.take();
            (self.found)(Found {
                key,
                value,
                members,
            });
        }
    }

    fn inner_ends(&mut self, end: usize) {
        let (Some(inner), Some(outer)) = (self.inner.take(), &self.outer) else {
            return;
        };
        let within = |place: Range<usize>| place.start - outer.value..place.end - outer.value;
        match &mut self.members {
            Some(members) if members.len() < A_FEW => members.push(Member {
                key: within(inner.key),
                value: within(inner.value..end),
            }),
            _ => self.members = None,
        }
    }

    /// The index after the closing quote of the text that opens here.
    fn string_end(&mut self) -> Option<usize> {
        let line = self.line;
        let mut at = self.at + 1;
        loop {
            at += self.plain(line.get(at..)?)?;
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
    fn plain(&mut self, rest: &[u8]) -> Option<usize> {
        // Most stretches are short, and the search is a call of its own.
        let near = rest.get(..NEAR).unwrap_or(rest);
        let (words, few) = near.as_chunks::<8>();
        for (nth, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let marks = marks(word);
            // What stands behind the mark is looked at again, for no other result.
            self.is_ascii &= word & HIGH == 0;
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
                byte => self.is_ascii &= byte.is_ascii(),
            }
        }
        let mut length = near.len();
        for block in rest.get(length..)?.chunks(BLOCK) {
            let end = memchr::memchr2(b'"', b'\\', block);
            let text = end.map_or(Some(block), |end| block.get(..end))?;
            self.is_plain(text).then_some(())?;
            length += text.len();
            if end.is_some() {
                return Some(length);
            }
        }
        None
    }

    /// Whether a stretch without quotes and escapes has no control characters.
    fn is_plain(&mut self, text: &[u8]) -> bool {
        // Neither that nor beyond ASCII, in one look; not by `all`, which stops at the
        // first and is therefore not looked at many at a time.
        let above = text.iter().map(|byte| byte.wrapping_sub(b' '));
        if above.fold(0, u8::max) <= b'\x7f' - b' ' {
            return true;
        }
        self.is_ascii &= text.is_ascii();
        text.iter().copied().fold(b' ', u8::min) == b' '
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

/// A stretch longer than this is searched.
const NEAR: usize = 64;
/// What is looked at twice stays in the nearest cache in between.
const BLOCK: usize = 8 << 10;

const HIGH: u64 = ONES << 7;
const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// The lowest bit that is set is in the first byte that is no plain one: a quote, a
/// backslash or a control character.
fn marks(word: u64) -> u64 {
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
