//! What of a call may stand in a record: secrets taken out, sizes bounded.
//!
//! Those that tollgate hands out are known by their value, and go first; others by their
//! shape. A help, not a wall: a secret of an agent's that looks like a word is a word here.
//! What is looked at is bounded too, so a large value costs no more than a small one.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use memchr::{memchr, memchr2};

use super::known::{Known, known};
use super::record::NAME;
use super::secrets::{self as shaped, REDACTED, is_secret};
use crate::domain::Subject;
use crate::wire::{self, Raw};

/// The most bytes that the arguments of a call take in a record.
pub(super) const ARGUMENTS: usize = 4096;
/// The most bytes that the summary of a result takes.
pub(super) const RESULT: usize = 1024;

/// How far beyond a limit a secret that starts before it is still recognised.
pub(super) const SLACK: usize = 512;

/// A JSON value fit for a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bounded {
    /// Valid JSON; a string with the beginning of the value when it was cut.
    pub(super) json: String,
    /// The size of the value as it came, when it was cut.
    pub(super) cut_from: Option<usize>,
}

/// Takes secrets out of a value and cuts it to `limit` bytes.
pub(super) fn raw(value: &Raw, limit: usize) -> Bounded {
    let window = value.head(limit + SLACK);
    bounded(window, value.bytes().len(), limit, known().as_deref())
}

/// The same for a valid JSON text.
pub(super) fn value(json: &str, limit: usize) -> Bounded {
    let window = head(json, limit + SLACK);
    bounded(window, json.len(), limit, known().as_deref())
}

/// `window` is the beginning of a text of `full` bytes.
fn bounded(window: &str, full: usize, limit: usize, known: Option<&Known>) -> Bounded {
    let window = whole(window, full, known);
    // Only what is written with escapes has to be read to find that none stands in it.
    let escaped = memchr(b'\\', window.as_bytes()).is_some();
    let known = known.filter(|known| escaped || known.stands_in(window));
    let mut out = String::with_capacity(window.len() + 32);
    clean_json(window, &mut out, known);
    if window.len() == full && out.len() <= limit {
        return Bounded {
            json: out,
            cut_from: None,
        };
    }
    let shown = match window.len() < full {
        true => {
            let mut less = String::with_capacity(limit + 32);
            let beginning = whole(head(window, limit), full, known);
            clean_json(beginning, &mut less, known);
            alike(&out, &less)
        }
        false => &out,
    };
    Bounded {
        json: cut(shown, limit, full),
        cut_from: Some(full),
    }
}

/// What two texts begin with. What was cleaned of a beginning and reads otherwise with more
/// behind it is half a secret; where it was cut does not tell, for what stands before it may
/// have become shorter.
fn alike<'a>(text: &'a str, other: &str) -> &'a str {
    let pairs = text.char_indices().zip(other.chars());
    let mut same = pairs.skip_while(|((_, one), other)| one == other);
    match same.next() {
        Some(((at, _), _)) => text.get(..at).unwrap_or_default(),
        None => head(text, other.len()),
    }
}

/// The name or URI of what is called, as it stands in records.
#[must_use]
pub fn name(subject: &Subject) -> Arc<str> {
    match subject {
        // As its server has it, to be found by it: whoever shows it spells out what is not
        // seen, and whoever puts it into a command quotes it.
        Subject::Tool(name) if name.len() <= NAME => name.clone(),
        other => words(other.name(), NAME).into(),
    }
}

/// Takes secrets out of plain text and cuts it to `limit` bytes.
pub(super) fn words(text: &str, limit: usize) -> Cow<'_, str> {
    words_without(text, limit, known().as_deref())
}

fn words_without<'a>(text: &'a str, limit: usize, known: Option<&Known>) -> Cow<'a, str> {
    let window = whole(head(text, limit + SLACK), text.len(), known);
    let mended = known.and_then(|known| mended(window, known));
    let clean = match mended {
        Some(mended) => Cow::Owned(clean_text(&mended, known).unwrap_or(mended)),
        None => clean_text(window, known).map_or(Cow::Borrowed(window), Cow::Owned),
    };
    if window.len() == text.len() && clean.len() <= limit {
        return clean;
    }
    let shown = match window.len() < text.len() {
        true => {
            let beginning = whole(head(window, limit), text.len(), known);
            let less = clean_text(beginning, known);
            alike(&clean, less.as_deref().unwrap_or(beginning))
        }
        false => &clean,
    };
    Cow::Owned(format!("{}…", head(shown, limit.saturating_sub(3))))
}

/// The beginning of a text of `full` bytes; of a known secret that it cuts nothing stays.
fn whole<'a>(window: &'a str, full: usize, known: Option<&Known>) -> &'a str {
    match known {
        Some(known) if window.len() < full => known.whole(window),
        Some(_) | None => window,
    }
}

/// Whoever made the sentence may have cut what it quotes.
fn mended(text: &str, known: &Known) -> Option<String> {
    let (first, mut rest) = text.split_once('…')?;
    let mut mended = known.whole(first).to_owned();
    while let Some((part, behind)) = rest.split_once('…') {
        mended.push('…');
        mended.push_str(known.whole(part));
        rest = behind;
    }
    mended.push('…');
    mended.push_str(rest);
    Some(mended)
}

/// The text without known secrets and without those of known shapes; none when it has none.
fn clean_text(text: &str, known: Option<&Known>) -> Option<String> {
    let without = known.and_then(|known| known.clean(text));
    shaped::clean_text(without.as_deref().unwrap_or(text)).or(without)
}

/// The longest beginning of at most `limit` bytes that ends between characters.
fn head(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn cut(text: &str, limit: usize, full: usize) -> String {
    let marker = format!("… [cut, {full} bytes in all]");
    let room = limit.saturating_sub(marker.len() + 2);
    let mut taken = 0;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            taken += match c {
                '"' | '\\' | '\n' | '\r' | '\t' => 2,
                c if c.is_control() => 6,
                c => c.len_utf8(),
            };
            taken > room
        })
        .map_or(text.len(), |(at, _)| at);
    wire::quote(&format!("{}{marker}", text.get(..end).unwrap_or_default()))
}

fn clean_json(mut rest: &str, out: &mut String, known: Option<&Known>) {
    while let Some(at) = memchr(b'"', rest.as_bytes()) {
        let (before, from) = rest.split_at(at);
        clean_outside(before, out, known);
        let (token, tail) = string(from);
        let Some(value) = tail.trim_start().strip_prefix(':') else {
            clean_string(token, out, known);
            rest = tail;
            continue;
        };
        // Also a key can be one: of a map from addresses, say.
        clean_string(token, out, known);
        let value = value.trim_start();
        // `true`, `false` and `null` tell that there is a secret, not which.
        let literal = value.starts_with(['t', 'f', 'n']) || value.is_empty();
        let number = value.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if literal || !is_secret(&key(token), number) {
            rest = tail;
            continue;
        }
        out.push_str(":\"");
        out.push_str(REDACTED);
        out.push('"');
        rest = behind(value);
    }
    clean_outside(rest, out, known);
}

/// What stands between strings: a known secret may be a number.
fn clean_outside(text: &str, out: &mut String, known: Option<&Known>) {
    let Some(known) = known.filter(|known| known.stands_in(text)) else {
        out.push_str(text);
        return;
    };
    let of_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let mut rest = text;
    while let Some(at) = rest.find(of_number) {
        let (before, number) = rest.split_at(at);
        let end = number.find(|c| !of_number(c)).unwrap_or(number.len());
        let (number, behind) = number.split_at(end);
        out.push_str(before);
        if known.stands_in(number) {
            out.push('"');
            out.push_str(REDACTED);
            out.push('"');
        } else {
            out.push_str(number);
        }
        rest = behind;
    }
    out.push_str(rest);
}

/// Splits the string off that a text starts with; all of it when it does not end.
fn string(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return text.split_at_checked(at + 1).unwrap_or((text, ""));
        }
        at += 2;
    }
    (text, "")
}

/// What follows the value that a text starts with.
fn behind(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        let Some(first) = rest.as_bytes().first() else {
            return "";
        };
        match first {
            b'"' => rest = string(rest).1,
            b'{' | b'[' => {
                depth += 1;
                rest = rest.get(1..).unwrap_or_default();
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => {
                let end = rest
                    .find(|c| matches!(c, '"' | '{' | '[' | '}' | ']') || (depth == 0 && c == ','))
                    .unwrap_or(rest.len());
                rest = rest.get(end..).unwrap_or_default();
            }
        }
        if depth == 0 {
            return rest;
        }
    }
}

fn clean_string(token: &str, out: &mut String, known: Option<&Known>) {
    let inner = token.strip_prefix('"').unwrap_or(token);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    if memchr(b'\\', inner.as_bytes()).is_some() {
        // What is taken out of a text with escapes could be half of one.
        match clean_text(&wire::unquote_lossy(token), known) {
            Some(clean) => out.push_str(&wire::quote(&clean)),
            None => out.push_str(token),
        }
        return;
    }
    match clean_text(inner, known) {
        Some(clean) => {
            out.push('"');
            out.push_str(&clean);
            out.push('"');
        }
        None => out.push_str(token),
    }
}

/// A key as who reads it reads it.
fn key(token: &str) -> Cow<'_, str> {
    match memchr(b'\\', token.as_bytes()) {
        None => Cow::Borrowed(token),
        Some(_) => wire::unquote_lossy(token),
    }
}
