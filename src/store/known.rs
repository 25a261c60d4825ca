//! The secrets that tollgate itself hands to tool servers: known by their value, whatever
//! their shape.
//!
//! The list is the process's, as the environment is that most of them come from. A text is
//! recorded, logged and shown in many places, and none of them can forget to be given it.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use memchr::{memchr_iter, memmem::Finder};

use super::{secrets::REDACTED, shadow::shadows};
use crate::wire;

/// Shorter values stand in too many texts that do not speak of them.
const LEAST: usize = 6;
/// The shortest beginning of one, where a text was cut, that is not left standing.
const HALF: usize = 4;

/// Words that settings have as values; to take them out of every text hides much and
/// protects nothing.
const WORDS: [&str; 16] = [
    "production",
    "staging",
    "development",
    "testing",
    "sandbox",
    "default",
    "enabled",
    "disabled",
    "warning",
    "verbose",
    "localhost",
    "127.0.0.1",
    "0.0.0.0",
    "private",
    "public",
    "unknown",
];

static KNOWN: RwLock<Option<Arc<Known>>> = RwLock::new(None);

/// From here on this value is in nothing that is recorded, logged or shown. One that is too
/// short, or a word of every day, is no secret.
pub fn keep_out(value: &str) {
    let value = value.trim();
    if !is_worth_it(value) || known().is_some_and(|known| known.values.contains(value)) {
        return;
    }
    let mut kept = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let before = kept.iter().flat_map(|known| &known.values);
    let all = before.map(String::as_str).chain([value]);
    let all = Known::of(all);
    *kept = Some(Arc::new(all));
}

/// A text without the values that are kept out.
pub fn without_known(text: &str) -> Cow<'_, str> {
    let clean = known().and_then(|known| known.clean(text));
    clean.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// What is kept out; none, which costs nothing, when no file names a secret.
pub(super) fn known() -> Option<Arc<Known>> {
    let kept = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    kept.clone()
}

fn is_worth_it(value: &str) -> bool {
    value.len() >= LEAST && !WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Some values, and what to look for to find them.
pub(super) struct Known {
    values: BTreeSet<String>,
    needles: Vec<Finder<'static>>,
    /// Those for what stands behind escapes.
    plain: Vec<Finder<'static>>,
    /// The length of the shortest needle.
    least: usize,
}

impl Known {
    pub(super) fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let values: BTreeSet<String> = values.into_iter().map(str::to_owned).collect();
        let needles: BTreeSet<String> = values.iter().flat_map(|value| forms(value)).collect();
        Self {
            least: needles.iter().map(String::len).min().unwrap_or(usize::MAX),
            needles: finders(&needles),
            plain: finders(
                &values
                    .iter()
                    .flat_map(|value| behind_escapes(value))
                    .collect(),
            ),
            values,
        }
    }

    /// The text without them; none when it has none.
    pub(super) fn clean(&self, text: &str) -> Option<String> {
        let found = self.found(text);
        if found.is_empty() {
            return None;
        }
        let mut clean = String::with_capacity(text.len());
        let mut copied = 0;
        for (from, to) in found {
            // One that stands within another, or across its end, goes with it.
            if from >= copied {
                clean.push_str(text.get(copied..from).unwrap_or_default());
                clean.push_str(REDACTED);
            }
            copied = copied.max(to);
        }
        clean.push_str(text.get(copied..).unwrap_or_default());
        Some(clean)
    }

    pub(super) fn stands_in(&self, text: &str) -> bool {
        text.len() >= self.least
            && (any(&self.needles, text.as_bytes())
                || shadows(text).any(|shadow| any(&self.plain, &shadow.bytes)))
    }

    /// Where they stand, in the order of their beginnings.
    fn found(&self, text: &str) -> Vec<(usize, usize)> {
        if text.len() < self.least {
            return Vec::new();
        }
        let mut found = Vec::new();
        for needle in &self.needles {
            let length = needle.needle().len();
            found.extend(
                needle
                    .find_iter(text.as_bytes())
                    .map(|at| (at, at + length)),
            );
        }
        for shadow in shadows(text) {
            for needle in &self.plain {
                let length = needle.needle().len();
                let here = needle.find_iter(&shadow.bytes);
                found.extend(here.map(|at| (shadow.origin(at), shadow.origin(at + length))));
            }
        }
        found.sort_unstable();
        found
    }

    /// A text that was cut, without the beginning of one at its end.
    pub(super) fn whole<'a>(&self, text: &'a str) -> &'a str {
        let mut text = text;
        // What is left may end with the beginning of another.
        while let Some(shorter) = self.half(text).and_then(|end| text.get(..end)) {
            text = shorter;
        }
        text
    }

    /// Where the first begins that goes to the end of a text, or beyond it.
    fn half(&self, text: &str) -> Option<usize> {
        let behind = shadows(text).filter_map(|shadow| {
            let at = half(&self.plain, &shadow.bytes)?;
            Some(shadow.origin(at))
        });
        half(&self.needles, text.as_bytes())
            .into_iter()
            .chain(behind)
            .min()
    }
}

fn finders(needles: &BTreeSet<String>) -> Vec<Finder<'static>> {
    let finders = needles
        .iter()
        .map(|needle| Finder::new(needle).into_owned());
    finders.collect()
}

fn any(needles: &[Finder<'_>], text: &[u8]) -> bool {
    needles.iter().any(|needle| needle.find(text).is_some())
}

/// Where the first of them begins that goes to the end of a text, or beyond it.
fn half(needles: &[Finder<'_>], text: &[u8]) -> Option<usize> {
    let halves = needles.iter().filter_map(|finder| {
        let needle = finder.needle();
        let from = text.len().saturating_sub(needle.len());
        let tail = text.get(from..)?;
        let mut starts = memchr_iter(*needle.first()?, tail);
        let begins = |at: &usize| tail.get(*at..).is_some_and(|end| needle.starts_with(end));
        starts.find(begins).map(|at| from + at)
    });
    halves.min().filter(|at| at + HALF <= text.len())
}

/// A value where the escapes around it were read; a space is a `+` in some URLs.
fn behind_escapes(value: &str) -> [String; 2] {
    [value.to_owned(), value.replace(' ', "+")]
}

/// How a value is written where it is passed on: as it is, in JSON and in JSON within a
/// text, in a URL, in Base64. What else has escapes is read (`shadow`).
fn forms(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([value.to_owned()]);
    let mut within = vec![value.to_owned()];
    for _ in 0..2 {
        within = within.iter().flat_map(|text| in_json(text)).collect();
        forms.extend(within.iter().cloned());
    }
    for kept in ["-._~", "-._~/", "-._~!*'()"] {
        let upper = in_url(value, kept);
        forms.insert(upper.replace("%20", "+"));
        forms.insert(lower_escapes(&upper));
        forms.insert(upper);
    }
    for before in 0..3 {
        let plain = in_base64(value.as_bytes(), before);
        forms.insert(plain.replace('+', "-").replace('/', "_"));
        forms.insert(plain);
    }
    forms
}

/// As a JSON string has it, without its quotes; with and without what only some escape.
fn in_json(text: &str) -> [String; 3] {
    let quoted = wire::quote(text);
    let plain = quoted.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    let plain = plain.unwrap_or(&quoted).to_owned();
    let mut ascii = String::with_capacity(plain.len());
    for c in plain.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    let slashes = plain.replace('/', "\\/");
    [plain, ascii, slashes]
}

fn in_url(text: &str, kept: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || kept.contains(c) {
            escaped.push(c);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut since = 2;
    let lower = |c: char| {
        since = if c == '%' { 0 } else { since + 1 };
        match since {
            1 | 2 => c.to_ascii_lowercase(),
            _ => c,
        }
    };
    text.chars().map(lower).collect()
}

/// Those characters that follow from it alone, when so many bytes stand before it (more of
/// them change nothing) and any others behind.
fn in_base64(bytes: &[u8], before: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0_usize);
    for byte in std::iter::repeat_n(&0, before).chain(bytes) {
        held = (held << 8) | usize::from(*byte);
        bits += 8;
        while bits >= 6 {
            bits -= 6;
            let letter = LETTERS.get((held >> bits) & 63).copied();
            text.extend(letter.map(char::from));
        }
        held &= (1 << bits) - 1;
    }
    let others = (before * 8).div_ceil(6);
    text.get(others..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_value_is_found_however_it_is_written() {
        let known = Known::of(["s3cr\"t/ü pw"]);
        for text in [
            "see s3cr\"t/ü pw there",
            r#"see s3cr\"t/ü pw there"#,
            r#"see s3cr\"t/\u00fc pw there"#,
            r#"see s3cr\"t\/ü pw there"#,
            r#"see s3cr\\\"t/ü pw there"#,
            r#"see s3cr\\\"t/\\u00fc pw there"#,
            "see s3cr%22t%2F%C3%BC%20pw there",
            "see s3cr%22t%2f%c3%bc%20pw there",
            "see s3cr%22t/%C3%BC+pw there",
            // As some libraries write, who escape more or less than they have to.
            r#"see \u0073\u0033cr\u0022t/\u00FC pw there"#,
            r#"see s3cr\u0022t/\u00FC\u0020pw there"#,
            r#"see s3cr\\u0022t/\\u00FC pw there"#,
            r#"see s3cr%22t/%c3%BC%20pw there"#,
            "see s3cr%2522t%252F%25C3%25BC%2520pw there",
            r#"see s3cr\u0022t%2f\u00FC+pw there"#,
        ] {
            assert_eq!(known.clean(text).unwrap(), "see [REDACTED] there", "{text}");
        }
        assert_eq!(known.clean("see s3cr t/ü pw there"), None);
    }

    #[test]
    fn a_known_value_is_found_in_base64_wherever_it_begins() {
        let known = Known::of(["topsecretvalue"]);
        // `topsecretvalue`, `u:topsecretvalue`, `me:topsecretvalue:x`.
        for text in [
            "Basic dG9wc2VjcmV0dmFsdWU=",
            "Basic dTp0b3BzZWNyZXR2YWx1ZQ==",
            "Basic bWU6dG9wc2VjcmV0dmFsdWU6eA==",
        ] {
            let clean = known.clean(text).unwrap();
            assert!(clean.len() <= 26 && clean.contains(REDACTED), "{clean}");
        }
    }

    #[test]
    fn values_within_each_other_and_side_by_side_go_whole() {
        let known = Known::of(["abcdef", "abcdef-ghijkl", "jklmno"]);
        let clean = known.clean("<abcdef-ghijklmno> abcdef").unwrap();
        assert_eq!(clean, "<[REDACTED]> [REDACTED]");
    }

    #[test]
    fn what_is_short_or_a_word_of_every_day_is_no_secret() {
        for plain in ["true", "12345", "production", "Staging", "localhost"] {
            assert!(!is_worth_it(plain), "{plain}");
        }
        assert!(is_worth_it("s3cr3t"));
    }

    #[test]
    fn of_a_text_that_was_cut_no_beginning_of_one_is_left() {
        let known = Known::of(["topsecretvalue", "valueable-thing"]);
        for end in 4..14 {
            let text = format!("it is {}", "topsecretvalue".get(..end).unwrap());
            assert_eq!(known.whole(&text), "it is ");
        }
        for cut in [
            r"it is tops\u0065c",
            r"it is tops\u0065c\u00",
            "it is %74opse%",
            "it is topsec%5Cu0072",
        ] {
            assert_eq!(known.whole(cut), "it is ", "{cut}");
        }
        assert_eq!(known.whole("topsecretvalueab"), "");
        assert_eq!(known.whole("it is top"), "it is top");
        assert_eq!(known.whole("it is nothing"), "it is nothing");
    }
}
