//! What a text says when its escapes are read: those of JSON and those of URLs, also within
//! each other. A secret is one however it is written.

use memchr::memchr2;

/// A text in a text in a text: JSON that a command line or a URL carries within JSON.
const ROUNDS: usize = 3;

/// What stands behind the escapes of a text, and where each of its bytes comes from.
pub(super) struct Shadow {
    pub(super) bytes: Vec<u8>,
    /// Where what became each of the bytes begins, and where the text ends.
    origins: Vec<usize>,
}

/// What it says, escapes read once, twice and so on, as long as there are any.
pub(super) fn shadows(text: &str) -> impl Iterator<Item = Shadow> {
    let first = read(text.as_bytes(), |at| at);
    std::iter::successors(first, |before| read(&before.bytes, |at| before.origin(at))).take(ROUNDS)
}

impl Shadow {
    /// Where what became the byte at `at` begins; for the end, where the text ends.
    pub(super) fn origin(&self, at: usize) -> usize {
        let last = self.origins.last().copied().unwrap_or_default();
        self.origins.get(at).copied().unwrap_or(last)
    }
}

/// Reads the escapes of a text; none if it has none.
fn read(text: &[u8], origin: impl Fn(usize) -> usize) -> Option<Shadow> {
    memchr2(b'\\', b'%', text)?;
    let mut shadow = Shadow {
        bytes: Vec::with_capacity(text.len()),
        origins: Vec::with_capacity(text.len() + 1),
    };
    let mut at = 0;
    let mut has_any = false;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = memchr2(b'\\', b'%', rest).unwrap_or(rest.len());
        for (nth, byte) in rest.iter().take(plain).enumerate() {
            shadow.bytes.push(*byte);
            shadow.origins.push(origin(at + nth));
        }
        at += plain;
        let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) else {
            break;
        };
        let (length, says) = escape(rest);
        has_any |= length > says.len();
        let mut utf8 = [0; 4];
        for byte in says.bytes(&mut utf8) {
            shadow.bytes.push(*byte);
            shadow.origins.push(origin(at));
        }
        at += length;
    }
    shadow.origins.push(origin(text.len()));
    has_any.then_some(shadow)
}

/// What an escape says.
enum Says {
    Byte(u8),
    Char(char),
    /// It is cut.
    Nothing,
}

impl Says {
    fn bytes<'a>(&self, room: &'a mut [u8; 4]) -> &'a [u8] {
        match self {
            Says::Byte(byte) => {
                *room = [*byte; 4];
                room.get(..1).unwrap_or_default()
            }
            Says::Char(c) => c.encode_utf8(room).as_bytes(),
            Says::Nothing => &[],
        }
    }

    fn len(&self) -> usize {
        match self {
            Says::Byte(_) => 1,
            Says::Char(c) => c.len_utf8(),
            Says::Nothing => 0,
        }
    }
}

/// The escape that a text begins with: how long it is and what it says. One that is none
/// says itself.
fn escape(text: &[u8]) -> (usize, Says) {
    let byte = |at: usize| text.get(at).copied();
    match (byte(0), byte(1)) {
        (Some(b'%'), _) => match (hex(text, 1, 2), text.len()) {
            (Some(code), _) => (3, Says::Byte(u8::try_from(code).unwrap_or(b'%'))),
            (None, 1 | 2) => (text.len(), Says::Nothing),
            (None, _) => (1, Says::Byte(b'%')),
        },
        (Some(b'\\'), Some(b'u')) => match (hex(text, 2, 4), text.len()) {
            (Some(unit), _) => of_units(text, unit),
            (None, 2..=5) => (text.len(), Says::Nothing),
            (None, _) => (1, Says::Byte(b'\\')),
        },
        (Some(b'\\'), Some(letter)) => {
            let says = match letter {
                b'"' | b'\\' | b'/' => letter,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                _ => return (1, Says::Byte(b'\\')),
            };
            (2, Says::Byte(says))
        }
        (Some(_), None) => (1, Says::Nothing),
        (Some(other), Some(_)) => (1, Says::Byte(other)),
        (None, _) => (0, Says::Nothing),
    }
}

/// A `\u` escape, with the one behind it if the two are one character.
fn of_units(text: &[u8], unit: u32) -> (usize, Says) {
    let second = match text.get(6..8) {
        Some(b"\\u") => hex(text, 8, 4).and_then(|unit| u16::try_from(unit).ok()),
        _ => None,
    };
    let units = u16::try_from(unit).into_iter().chain(second);
    let mut chars = char::decode_utf16(units);
    match chars.next() {
        Some(Ok(c)) => (if c.len_utf16() == 2 { 12 } else { 6 }, Says::Char(c)),
        Some(Err(_)) | None => (6, Says::Char(char::REPLACEMENT_CHARACTER)),
    }
}

fn hex(text: &[u8], from: usize, digits: usize) -> Option<u32> {
    let digits = text.get(from..from + digits)?;
    digits.iter().try_fold(0, |code, digit| {
        Some(code * 16 + char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Vec<String> {
        let shadows = shadows(text).map(|shadow| String::from_utf8(shadow.bytes).unwrap());
        shadows.collect()
    }

    #[test]
    fn escapes_are_read_within_each_other() {
        assert_eq!(says("plain"), [""; 0]);
        assert_eq!(says(r"a\u002Bb%2fc\/d\ud83d\ude00"), ["a+b/c/d😀"]);
        assert_eq!(says(r"a\\u002Bb"), [r"a\u002Bb", "a+b"]);
        assert_eq!(says("a%5Cu002b%2525zz"), [r"a\u002b%25zz", "a+%zz"]);
    }

    #[test]
    fn what_is_no_escape_says_itself_and_one_that_is_cut_says_nothing() {
        assert_eq!(says(r"100% \d \u12g4 %zz"), [""; 0]);
        for cut in [r"ab\", r"ab\u", r"ab\u002", "ab%", "ab%2"] {
            assert_eq!(says(cut), ["ab"], "{cut}");
        }
    }

    #[test]
    fn each_byte_knows_where_it_comes_from() {
        let shadow = shadows(r"a\u00e4b%2Bc").next().unwrap();
        let origins: Vec<usize> = (0..=shadow.bytes.len())
            .map(|at| shadow.origin(at))
            .collect();
        // a, the two bytes of ä, b, +, c and the end.
        assert_eq!(origins, [0, 1, 1, 7, 8, 11, 12]);
    }
}
