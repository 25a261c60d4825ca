//! What of a call may stand in a record: known shapes of secrets taken out, sizes bounded.
//!
//! A help, not a wall: a secret that looks like a word is a word here. What is
//! looked at is bounded too, so a large value costs no more than a small one.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::{memchr, memchr2};

use super::record::NAME;
use crate::domain::Subject;
use crate::wire::{self, Raw};

/// The most bytes that the arguments of a call take in a record.
pub(super) const ARGUMENTS: usize = 4096;
/// The most bytes that the summary of a result takes.
pub(super) const RESULT: usize = 1024;

/// How far beyond a limit a secret that starts before it is still recognised.
const SLACK: usize = 512;
const REDACTED: &str = "[REDACTED]";

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
    bounded(value.head(limit + SLACK), value.bytes().len(), limit)
}

/// The same for a valid JSON text.
pub(super) fn value(json: &str, limit: usize) -> Bounded {
    bounded(head(json, limit + SLACK), json.len(), limit)
}

/// `window` is the beginning of a text of `full` bytes.
fn bounded(window: &str, full: usize, limit: usize) -> Bounded {
    let mut out = String::with_capacity(window.len() + 32);
    clean_json(window, &mut out);
    if window.len() == full && out.len() <= limit {
        return Bounded {
            json: out,
            cut_from: None,
        };
    }
    Bounded {
        json: cut(&out, limit, full),
        cut_from: Some(full),
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
    let window = head(text, limit + SLACK);
    let clean = clean_text(window).map_or(Cow::Borrowed(window), Cow::Owned);
    if window.len() == text.len() && clean.len() <= limit {
        return clean;
    }
    Cow::Owned(format!("{}…", head(&clean, limit.saturating_sub(3))))
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

fn clean_json(mut rest: &str, out: &mut String) {
    while let Some(at) = memchr(b'"', rest.as_bytes()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (token, tail) = string(from);
        let Some(value) = tail.trim_start().strip_prefix(':') else {
            clean_string(token, out);
            rest = tail;
            continue;
        };
        out.push_str(token);
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

fn clean_string(token: &str, out: &mut String) {
    let inner = token.strip_prefix('"').unwrap_or(token);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    if memchr(b'\\', inner.as_bytes()).is_some()
        && let Some(text) = wire::unquote(token)
    {
        match clean_text(&text) {
            Some(clean) => out.push_str(&wire::quote(&clean)),
            None => out.push_str(token),
        }
        return;
    }
    match clean_text(inner) {
        Some(clean) => {
            out.push('"');
            out.push_str(&clean);
            out.push('"');
        }
        None => out.push_str(token),
    }
}

/// The text without its secrets; none when it has none.
fn clean_text(text: &str) -> Option<String> {
    let mut clean: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some((from, to)) = next_secret(text, at) {
        let clean = clean.get_or_insert_default();
        clean.push_str(text.get(copied..from).unwrap_or_default());
        clean.push_str(REDACTED);
        copied = to;
        at = to;
    }
    if let Some(clean) = &mut clean {
        clean.push_str(text.get(copied..).unwrap_or_default());
    }
    clean
}

/// Where the next secret stands.
fn next_secret(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        // What ends with its first byte is none.
        at += bytes.get(at..)?.windows(2).position(may_start)?;
        let found = match bytes.get(at)? {
            b':' | b'=' => keyed(text, at),
            _ => shaped(bytes, at).map(|end| (at, end)),
        };
        if let Some((start, end)) = found
            && start >= from
        {
            return Some((start, end));
        }
        at += 1;
    }
}

/// Whether a secret may start at these two bytes. Most letters that one starts with are
/// everywhere; with the next one they are rare.
fn may_start(bytes: &[u8]) -> bool {
    match bytes {
        [b':' | b'=', _] => true,
        [b's', next] => *next == b'k',
        [b'g', next] => matches!(next, b'h' | b'i' | b'l'),
        [b'A', next] => matches!(next, b'K' | b'S'),
        [b'e', next] => *next == b'y',
        [b'x', next] => *next == b'o',
        [b'B' | b'b', next] => *next == b'e',
        [b'-', next] => *next == b'-',
        _ => false,
    }
}

/// The end of the secret of a known shape that starts at `at`.
fn shaped(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let alone = at == 0 || !bytes.get(at - 1).is_some_and(u8::is_ascii_alphanumeric);
    let run = |prefix: &[u8], least: usize| {
        let tail = rest.strip_prefix(prefix)?;
        let length = tail.iter().take_while(|b| is_token(**b)).count();
        (length >= least).then_some(at + prefix.len() + length)
    };
    if !alone {
        return None;
    }
    match rest.first()? {
        b's' => run(b"sk-", 16).or_else(|| run(b"sk_live_", 12)),
        b'g' => [b"ghp_", b"gho_", b"ghs_", b"ghu_", b"ghr_"]
            .iter()
            .find_map(|prefix| run(*prefix, 16))
            .or_else(|| run(b"github_pat_", 16))
            .or_else(|| run(b"glpat-", 16)),
        b'A' => run(b"AKIA", 16).or_else(|| run(b"ASIA", 16)),
        b'e' => {
            let end = run(b"eyJ", 8)?;
            let dotted = bytes.get(at..end)?.contains(&b'.');
            dotted.then_some(end)
        }
        b'x' => run(b"xoxb-", 10)
            .or_else(|| run(b"xoxp-", 10))
            .or_else(|| run(b"xoxa-", 10)),
        b'B' => run(b"Bearer ", 8),
        b'b' => run(b"bearer ", 8),
        b'-' => {
            let begin = rest.strip_prefix(b"-----BEGIN ")?;
            memchr::memmem::find(begin.get(..40.min(begin.len()))?, b"PRIVATE KEY-----")?;
            let end = memchr::memmem::find(begin, b"-----END ");
            Some(end.map_or(bytes.len(), |end| at + 11 + end))
        }
        _ => None,
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=')
}

/// The value of `password=…`, `"token": "…"` and `//user:…@` within a text.
fn keyed(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let value = bytes.get(at + 1..)?;
    if value.starts_with(b"//") {
        let authority = value.get(2..)?;
        let length = authority
            .iter()
            .take_while(|b| {
                !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'') && !b.is_ascii_whitespace()
            })
            .count();
        let authority = authority.get(..length)?;
        let (colon, end) = (memchr(b':', authority)?, memchr::memrchr(b'@', authority)?);
        return (colon < end).then_some((at + 3 + colon + 1, at + 3 + end));
    }
    let key = text.get(..at)?.trim_end_matches(['"', '\'', '\\', ' ']);
    let start = key
        .bytes()
        .rev()
        .take(40)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        .count();
    let key = key.get(key.len() - start..)?;
    if !is_secret(key, false) {
        return None;
    }
    let quotes = value
        .iter()
        .take_while(|b| matches!(b, b' ' | b'"' | b'\'' | b'\\'))
        .count();
    let mut start = at + 1 + quotes;
    for scheme in ["Bearer ", "bearer ", "Basic ", "basic "] {
        if text
            .get(start..)
            .is_some_and(|rest| rest.starts_with(scheme))
        {
            start += scheme.len();
        }
    }
    let length = bytes
        .get(start..)?
        .iter()
        .take_while(|b| {
            !matches!(b, b'"' | b'\'' | b',' | b';' | b'&' | b'}' | b'\\')
                && !b.is_ascii_whitespace()
        })
        .count();
    let number = bytes
        .get(start..start + length)?
        .iter()
        .all(u8::is_ascii_digit);
    if number && !is_secret(key, number) {
        return None;
    }
    (length >= 4 && !text.get(start..)?.starts_with(REDACTED)).then_some((start, start + length))
}

/// How keys of secrets end, without case, `-` and `_`, and without the `s` of several.
const SECRET_KEYS: [&str; 14] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "authorization",
    "apikey",
    "privatekey",
    "accesskey",
    "secretkey",
    "credential",
    "cookie",
];

/// The longest of them.
const LONGEST_KEY: usize = 13;

/// A key as who reads it reads it.
fn key(token: &str) -> Cow<'_, str> {
    match memchr(b'\\', token.as_bytes()) {
        None => Cow::Borrowed(token),
        Some(_) => wire::unquote(token).unwrap_or(Cow::Borrowed(token)),
    }
}

/// Whether a key, with or without quotes, names a secret, or several; a number of tokens
/// is how many there are.
fn is_secret(key: &str, number: bool) -> bool {
    let letters = key.bytes().rev().filter(u8::is_ascii_alphanumeric);
    let mut letters = letters.map(|b| b.to_ascii_lowercase()).peekable();
    let several = letters.next_if_eq(&b's').is_some();
    let mut end = [0; LONGEST_KEY];
    for (place, letter) in end.iter_mut().rev().zip(letters) {
        *place = letter;
    }
    let mut words = SECRET_KEYS.iter();
    words.any(|word| end.ends_with(word.as_bytes()) && !(several && number && *word == "token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(json: &str) -> String {
        let bounded = value(json, ARGUMENTS);
        assert_eq!(bounded.cut_from, None);
        serde_json::from_str::<&serde_json::value::RawValue>(&bounded.json).unwrap();
        bounded.json
    }

    #[test]
    fn what_is_no_secret_stays_byte_for_byte() {
        for json in [
            r#"{ "path": "/a\n\"b", "n": 1e400, "max_tokens": 5, "deep": [{"a":[]},"x=1: y"] }"#,
            "null",
            "[]",
            r#"{"token":null,"id":"task-1234567890123456789012"}"#,
            r#"{"url":"https://example.org:8080/a?b=c"}"#,
        ] {
            assert_eq!(cleaned(json), json);
        }
    }

    #[test]
    fn values_of_keys_that_name_secrets_are_taken_out_whatever_they_are() {
        assert_eq!(
            cleaned(
                r#"{"user":"x","API_Key" : "abc","b":{"accessToken":{"v":["]",1]},"pwd":12},"c":1}"#
            ),
            r#"{"user":"x","API_Key":"[REDACTED]","b":{"accessToken":"[REDACTED]","pwd":"[REDACTED]"},"c":1}"#
        );
    }

    #[test]
    fn no_key_is_longer_than_what_is_compared() {
        let longest = SECRET_KEYS.iter().map(|word| word.len()).max();
        assert_eq!(longest, Some(LONGEST_KEY));
    }

    #[test]
    fn a_key_that_is_written_with_an_escape_or_names_several_names_secrets() {
        for secret in [
            r#"{"pass\u0077ord":"abc"}"#,
            r#"{"\u0053ecret":["abc"]}"#,
            r#"{"passwords":["abc"]}"#,
            r#"{"API_Keys":{"a":"abc"}}"#,
            r#"{"cookies":"abc"}"#,
            r#"{"refresh_tokens":["abc"]}"#,
            r#"{"client-secrets":"abc"}"#,
            r#"{"credential":"abc"}"#,
            r#"{"text":"cookies=abcdef; x"}"#,
        ] {
            let clean = cleaned(secret);
            assert!(
                clean.contains("[REDACTED]") && !clean.contains("abc"),
                "{clean}"
            );
        }
        for plain in [
            r#"{"max_tokens":4096,"inputTokens":12,"text":"total_tokens=4096"}"#,
            r#"{"pass\u0077":"abc","s":"abc"}"#,
        ] {
            assert_eq!(cleaned(plain), plain);
        }
    }

    #[test]
    fn known_shapes_are_found_within_texts_and_behind_escapes() {
        for secret in [
            "sk-abcdefghijklmnopqrstuvwx",
            "sk_live_abcdefghijkl",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
            "github_pat_abcdefghijklmnop",
            "glpat-abcdefghijklmnopqrst",
            "AKIAIOSFODNN7EXAMPLE",
            "ASIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP",
            "Bearer abcdef123456",
            "bearer abcdef123456",
            "xoxb-1234567890-abc",
        ] {
            let json = format!(r#"["see {secret} there","\n{secret}"]"#);
            let clean = cleaned(&json);
            assert!(!clean.contains(secret), "{clean}");
            assert!(clean.contains("there"), "{clean}");
        }
        let escaped = r#"["\u0073k-abcdefghijklmnopqrstuvwx"]"#;
        assert_eq!(cleaned(escaped), r#"["[REDACTED]"]"#);
        let inner = r#"["{\"password\": \"hunter22\", \"a\": 1}","curl -H 'Authorization: Bearer abc12345' x","postgres://u:hunter2@db/x"]"#;
        let clean = cleaned(inner);
        assert!(
            !clean.contains("hunter2") && !clean.contains("abc12345"),
            "{clean}"
        );
        let key = r#"["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"]"#;
        assert!(!cleaned(key).contains("MIIE"));
    }

    #[test]
    fn what_is_too_long_becomes_a_string_cut_between_characters() {
        for pad in 0..9 {
            let json = format!(r#"{{"{}":"{}"}}"#, "x".repeat(pad), "é\\\"".repeat(4000));
            let bounded = value(&json, RESULT);
            assert!(bounded.json.len() <= RESULT, "{}", bounded.json.len());
            assert_eq!(bounded.cut_from, Some(json.len()));
            let text: String = serde_json::from_str(&bounded.json).unwrap();
            assert!(text.ends_with(&format!("… [cut, {} bytes in all]", json.len())));
        }
    }

    #[test]
    fn a_secret_across_the_cut_is_not_half_shown() {
        let json = format!(r#"["{} sk-{}"]"#, "x ".repeat(490), "a".repeat(300));
        assert!(!value(&json, RESULT).json.contains("sk-a"));
        let text = format!("{} sk-{}", "x ".repeat(20), "a".repeat(300));
        assert!(!words(&text, 60).contains("sk-a"));
    }

    #[test]
    fn any_beginning_of_a_value_is_handled() {
        let json =
            r#"{"token":{"a":"\\\"","b":[1,{"c":"sk-abcdefghijklmnopqrst"}]},"d":"\u0041é"}"#;
        for end in (0..json.len()).filter(|end| json.is_char_boundary(*end)) {
            let mut out = String::new();
            clean_json(json.get(..end).unwrap(), &mut out);
        }
    }
}
