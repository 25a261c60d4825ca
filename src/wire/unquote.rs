//! The text of a JSON string.

use std::borrow::Cow;

/// The text of a JSON string; `None` for another value or a lone surrogate.
#[must_use]
pub fn unquote(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(text).ok().map(Cow::Owned)
}

/// The text of a JSON string as far as it can be read: half a surrogate pair is a
/// replacement character, and one that was cut ends where it was.
#[must_use]
pub fn unquote_lossy(text: &str) -> Cow<'_, str> {
    if let Some(whole) = unquote(text) {
        return whole;
    }
    let inner = text.strip_prefix('"').unwrap_or(text);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut units = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(next) = rest.next() {
        let read = match next {
            '\\' => match rest.next() {
                None => break,
                Some('u') => {
                    let hex = rest.as_str().split_at_checked(4);
                    let read = hex.and_then(|(hex, behind)| {
                        Some((u16::from_str_radix(hex, 16).ok()?, behind))
                    });
                    let Some((unit, behind)) = read else {
                        break;
                    };
                    units.push(unit);
                    rest = behind.chars();
                    continue;
                }
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(itself) => itself,
            },
            itself => itself,
        };
        units.extend_from_slice(read.encode_utf16(&mut [0; 2]));
    }
    Cow::Owned(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_reads_as_everybody_reads_it() {
        for text in [
            r#""plain""#,
            r#""""#,
            r#""a\"b\\c\/d\b\f\n\r\t""#,
            r#""\u0041\u00e9\ud83d\ude00 é😀""#,
        ] {
            let read: String = serde_json::from_str(text).unwrap();
            assert_eq!(unquote(text).as_deref(), Some(&*read));
            assert_eq!(unquote_lossy(text), read);
        }
    }

    #[test]
    fn halves_and_beginnings_are_read_as_far_as_they_go() {
        for (text, read) in [
            (r#""\ud800 a""#, "\u{fffd} a"),
            (r#""a\udc00\u0041""#, "a\u{fffd}A"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""p\u0061ss"#, "pass"),
            (r#""pass\u00"#, "pass"),
            (r#""pass\"#, "pass"),
        ] {
            assert_eq!(unquote_lossy(text), read, "{text}");
        }
    }
}
