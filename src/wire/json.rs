//! Walking JSON that is known to be valid, without building it.
//!
//! The syntax of everything that reaches this file has been checked; what is
//! left is to find members, to refuse what two readers could understand
//! differently (repeated keys, lone surrogates), and to write a value in one
//! canonical order.

use std::{borrow::Cow, ops::Range};

use crate::domain::Fingerprint;

/// Deeper than this nobody means it, and a recursive reader may not survive it.
const MAX_DEPTH: usize = 128;

/// Bytes that may be looked at, each once a level: a large value that is deep as
/// well would hold everybody up.
const MAX_WORK: usize = 128 << 20;

/// Values that one may hold: taken apart, each takes many times the room of its text.
const MAX_VALUES: usize = 1 << 20;

/// Why two readers could understand a value differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// An object has the same key twice.
    RepeatedKey(String),
    /// A `\uD800`…`\uDFFF` escape without its other half.
    LoneSurrogate,
    /// Nested deeper than 128 levels.
    TooDeep,
    /// More than a million values.
    TooMany,
    /// Not JSON after all.
    Syntax,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Flaw::RepeatedKey(key) => write!(f, "the key `{key}` stands twice in one object"),
            Flaw::LoneSurrogate => f.write_str("a string holds half of a surrogate pair"),
            Flaw::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Flaw::TooMany => write!(f, "more than {MAX_VALUES} values"),
            Flaw::Syntax => f.write_str("not valid JSON"),
        }
    }
}

/// A value taken apart; the leaves are the text as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node<'a> {
    /// An object, in the order of the text.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// A number, `true`, `false` or `null`, as written.
    Literal(&'a str),
}

/// What may still be looked at, and taken apart.
struct Room {
    work: usize,
    values: usize,
}

impl<'a> Node<'a> {
    /// Takes a valid JSON text apart.
    ///
    /// # Errors
    /// With the first [`Flaw`].
    pub fn parse(text: &'a str) -> Result<Self, Flaw> {
        let mut room = Room {
            work: MAX_WORK,
            values: MAX_VALUES,
        };
        Self::at(text, 0, &mut room)
    }

    fn at(text: &'a str, depth: usize, room: &mut Room) -> Result<Self, Flaw> {
        if depth > MAX_DEPTH {
            return Err(Flaw::TooDeep);
        }
        room.work = room.work.checked_sub(text.len()).ok_or(Flaw::TooDeep)?;
        room.values = room.values.checked_sub(1).ok_or(Flaw::TooMany)?;
        let text = trim(text);
        match text.as_bytes().first() {
            Some(b'{') => {
                let mut entries: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
                for (key, value) in members(text) {
                    let key = super::unquote(key).ok_or(Flaw::LoneSurrogate)?;
                    entries.push((key, Self::at(value, depth + 1, room)?));
                }
                if entries.len() == 1 {
                    // There is room for four: most of what a million of them would take.
                    entries.shrink_to_fit();
                }
                match repeated(&entries) {
                    Some(key) => Err(Flaw::RepeatedKey(key.to_owned())),
                    None => Ok(Node::Object(entries)),
                }
            }
            Some(b'[') => elements(text)
                .map(|item| Self::at(item, depth + 1, room))
                .collect::<Result<_, _>>()
                .map(Node::Array),
            Some(b'"') => super::unquote(text)
                .map(Node::String)
                .ok_or(Flaw::LoneSurrogate),
            Some(_) => Ok(Node::Literal(text)),
            None => Err(Flaw::Syntax),
        }
    }

    /// Writes the value with sorted keys and without spaces; numbers as they
    /// were written, because `1.0` and `1` may not be the same to a server.
    pub fn write_canonical(&self, out: &mut String) {
        match self {
            Node::Object(entries) => {
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                out.push('{');
                for (nth, (key, value)) in sorted.into_iter().enumerate() {
                    if nth > 0 {
                        out.push(',');
                    }
                    super::quote_into(key, out);
                    out.push(':');
                    value.write_canonical(out);
                }
                out.push('}');
            }
            Node::Array(items) => {
                out.push('[');
                for (nth, item) in items.iter().enumerate() {
                    if nth > 0 {
                        out.push(',');
                    }
                    item.write_canonical(out);
                }
                out.push(']');
            }
            Node::String(text) => super::quote_into(text, out),
            Node::Literal(text) => out.push_str(text),
        }
    }

    /// The canonical text, see [`Node::write_canonical`].
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = String::with_capacity(256);
        self.write_canonical(&mut out);
        out
    }

    /// The hash of the canonical text: a definition is known again by it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(*blake3::hash(self.canonical().as_bytes()).as_bytes())
    }
}

/// Quadratic for the few keys that objects have, sorted when they have many.
fn repeated<'n>(entries: &'n [(Cow<'_, str>, Node<'_>)]) -> Option<&'n str> {
    if entries.len() <= 16 {
        let mut rest = entries;
        while let Some(((key, _), tail)) = rest.split_first() {
            if tail.iter().any(|(other, _)| other == key) {
                return Some(key);
            }
            rest = tail;
        }
        return None;
    }
    let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_ref()).collect();
    keys.sort_unstable();
    keys.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })
}

/// The members of an object, as `(key with its quotes, value)`, in the order of
/// the text; nothing for what is not an object.
#[must_use]
pub fn members(text: &str) -> Members<'_> {
    Members {
        text,
        ranges: MemberRanges::of(text.as_bytes()),
    }
}

/// See [`members`].
#[derive(Debug, Clone)]
pub struct Members<'a> {
    text: &'a str,
    ranges: MemberRanges<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.ranges.next()?;
        Some((self.text.get(key)?, self.text.get(value)?))
    }
}

/// Where the members of an object stand, without reading it as text.
#[derive(Debug, Clone)]
pub(super) struct MemberRanges<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> MemberRanges<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let at = skip(bytes, 0, b"");
        let opens = bytes.get(at) == Some(&b'{');
        Self {
            bytes,
            // Not an object: nothing to find from the end.
            at: if opens { at + 1 } else { bytes.len() },
        }
    }
}

impl Iterator for MemberRanges<'_> {
    type Item = (Range<usize>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = value(self.bytes, skip(self.bytes, self.at, b","))?;
        let value = value(self.bytes, skip(self.bytes, key.end, b":"))?;
        self.at = value.end;
        Some((key, value))
    }
}

/// The elements of an array, in order; nothing for what is not an array.
pub fn elements(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let start = skip(bytes, 0, b"");
    let mut at = if bytes.get(start) == Some(&b'[') {
        start + 1
    } else {
        bytes.len()
    };
    std::iter::from_fn(move || {
        let found = value(bytes, skip(bytes, at, b","))?;
        at = found.end;
        text.get(found)
    })
}

/// The next index that holds neither white space nor one of `also`.
pub(super) fn skip(bytes: &[u8], from: usize, also: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let skipped = rest
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') && !also.contains(byte));
    skipped.map_or(bytes.len(), |count| from + count)
}

/// Where the value that starts at `from` stands.
pub(super) fn value(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = bytes.get(from..)?;
    let length = match rest.first()? {
        b'"' => string_end(rest, 0)?,
        b'{' | b'[' => container_end(rest)?,
        _ => rest
            .iter()
            .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' | b':'))
            .unwrap_or(rest.len()),
    };
    (length > 0).then(|| from..from + length)
}

/// The index after the closing quote of the string that opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// About how many bytes a valid text takes once it is built as a tree of values, found
/// out without building it: a few letters can ask for a hundred times their own room.
#[must_use]
pub fn room(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut sum, mut at) = (0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        let next = match byte {
            b'"' => string_end(bytes, at).unwrap_or(bytes.len()),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => at + 1,
            _ => value(bytes, at).map_or(at + 1, |found| found.end),
        };
        // What has nothing in it takes no room of its own.
        let is_empty = || matches!(bytes.get(skip(bytes, next, b"")), Some(b'}' | b']'));
        sum = sum.saturating_add(match byte {
            b'"' => TEXT + (next - at),
            b'{' if !is_empty() => OBJECT,
            b'[' if !is_empty() => LIST,
            b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => 0,
            _ => VALUE,
        });
        at = next;
    }
    sum
}

/// What a tree takes for a number, for a text beside its letters, and for the first few
/// that are in an object or a list: there is room for several at once.
const VALUE: usize = 32;
const TEXT: usize = 64;
const OBJECT: usize = 768;
const LIST: usize = 160;

/// The index after the bracket that closes the one at the start.
fn container_end(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Whether a quoted key is `key`.
pub(super) fn key_is(quoted: &[u8], key: &str) -> bool {
    let Some(inner) = quoted
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    else {
        return false;
    };
    if inner == key.as_bytes() {
        return true;
    }
    // Another spelling has escapes, and is longer for them.
    if inner.len() <= key.len() || memchr::memchr(b'\\', inner).is_none() {
        return false;
    }
    std::str::from_utf8(quoted)
        .ok()
        .and_then(super::unquote)
        .is_some_and(|name| name == key)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_order_and_as_written() {
        let text = r#" { "b" : 1e400 ,"a\n":{"x":["}",","]}, "c":"q\"}" } "#;
        let found: Vec<_> = members(text).collect();
        assert_eq!(
            found,
            [
                (r#""b""#, "1e400"),
                (r#""a\n""#, r#"{"x":["}",","]}"#),
                (r#""c""#, r#""q\"}""#),
            ]
        );
        assert_eq!(members("[1]").count(), 0);
        assert_eq!(elements("[1, [2,3] ,\"a,b\"]").count(), 3);
        assert_eq!(elements("[]").count(), 0);
    }

    #[test]
    fn a_key_that_stands_twice_is_found_at_any_depth_and_in_any_spelling() {
        assert_eq!(
            Node::parse(r#"{"a":[{"x":1,"\u0078":2}]}"#),
            Err(Flaw::RepeatedKey("x".into()))
        );
        let many: String = (0..40).map(|n| format!("\"k{n}\":0,")).collect();
        assert_eq!(
            Node::parse(&format!("{{{many}\"k7\":1}}")),
            Err(Flaw::RepeatedKey("k7".into()))
        );
        assert!(Node::parse(&format!("{{{many}\"k\":1}}")).is_ok());
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        assert_eq!(Node::parse(r#"["\ud800"]"#), Err(Flaw::LoneSurrogate));
        assert!(Node::parse(r#"["\ud83d\ude00"]"#).is_ok());
    }

    #[test]
    fn too_deep_is_refused_without_overflowing_the_stack() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(Node::parse(&deep), Err(Flaw::TooDeep));
    }

    #[test]
    fn more_values_than_a_million_are_refused() {
        let many = |count| format!("[{}0]", "0,".repeat(count - 1));
        assert!(Node::parse(&many(MAX_VALUES - 1)).is_ok());
        assert_eq!(Node::parse(&many(MAX_VALUES)), Err(Flaw::TooMany));
    }

    #[test]
    fn the_room_of_a_text_is_that_of_what_is_in_it() {
        for (text, room) in [
            ("7", 32),
            (" -1.5e3 ", 32),
            ("\"a\\\"{[\"", 64 + 7),
            ("{ }", 32),
            ("[]", 32),
            ("[1, 2,true]", 160 + 3 * 32),
            ("{\"a\":{\"b\":null}}", 2 * 768 + 2 * (64 + 3) + 32),
            ("[[ [ ] ]]", 2 * 160 + 32),
        ] {
            assert_eq!(super::room(text), room, "{text}");
        }
    }

    #[test]
    fn the_canonical_text_sorts_keys_and_leaves_numbers_alone() {
        let node = Node::parse(r#"{ "b": [1.0, 123456789012345678901234567890], "a": "\u00e9" }"#);
        assert_eq!(
            node.map(|node| node.canonical()),
            Ok(r#"{"a":"é","b":[1.0,123456789012345678901234567890]}"#.to_owned())
        );
    }
}
