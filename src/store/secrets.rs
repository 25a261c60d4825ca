//! Secrets of known shapes within a text, and keys that name some.

use memchr::memchr;

/// What stands in their place.
pub(super) const REDACTED: &str = "[REDACTED]";

/// The text without its secrets; none when it has none.
pub(super) fn clean_text(text: &str) -> Option<String> {
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
    let quoted = Quoted::at(value);
    let quotes = value
        .iter()
        .take_while(|b| matches!(b, b' ' | b'"' | b'\'' | b'\\'))
        .count();
    let mut start = at + 1 + quoted.as_ref().map_or(quotes, |quoted| quoted.from);
    for scheme in ["Bearer ", "bearer ", "Basic ", "basic "] {
        if text
            .get(start..)
            .is_some_and(|rest| rest.starts_with(scheme))
        {
            start += scheme.len();
        }
    }
    let rest = bytes.get(start..)?;
    let length = match quoted {
        Some(quoted) => quoted.length(rest),
        None => rest
            .iter()
            .take_while(|b| {
                !matches!(b, b'"' | b'\'' | b',' | b';' | b'&' | b'}' | b'\\')
                    && !b.is_ascii_whitespace()
            })
            .count(),
    };
    let number = bytes
        .get(start..start + length)?
        .iter()
        .all(u8::is_ascii_digit);
    if number && !is_secret(key, number) {
        return None;
    }
    (length >= 4 && !text.get(start..)?.starts_with(REDACTED)).then_some((start, start + length))
}

/// The beginning of a value in quotes, which may have several words.
struct Quoted {
    /// Where it starts.
    from: usize,
    mark: u8,
    /// So many backslashes stand before its mark: it lies in a text within a text.
    escapes: usize,
}

impl Quoted {
    fn at(value: &[u8]) -> Option<Self> {
        let blanks = value.iter().take_while(|b| **b == b' ').count();
        let escapes = value.get(blanks..)?.iter().take_while(|b| **b == b'\\');
        let escapes = escapes.count();
        let mark = *value.get(blanks + escapes)?;
        matches!(mark, b'"' | b'\'').then_some(Self {
            from: blanks + escapes + 1,
            mark,
            escapes,
        })
    }

    /// Up to its second mark. One that is not there stands at the end of the line.
    fn length(&self, value: &[u8]) -> usize {
        let mut escapes = 0_usize;
        for (at, byte) in value.iter().enumerate() {
            match byte {
                b'\n' => return at,
                b'\\' => escapes += 1,
                // A mark that belongs to the value is escaped once more than its own.
                byte if *byte == self.mark
                    && escapes % (2 * (self.escapes + 1)) == self.escapes =>
                {
                    return at - escapes;
                }
                _ => escapes = 0,
            }
        }
        value.len()
    }
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

/// Whether a key, with or without quotes, names a secret, or several; a number of tokens
/// is how many there are.
pub(super) fn is_secret(key: &str, number: bool) -> bool {
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

    #[test]
    fn no_key_is_longer_than_what_is_compared() {
        let longest = SECRET_KEYS.iter().map(|word| word.len()).max();
        assert_eq!(longest, Some(LONGEST_KEY));
    }
}
