//! One record as one line: how it is written, and how it is read back.
//!
//! `{"v":1,"seq":7,"at":"…","kind":"call.intent",<members>,"mark":5,"prev":"…","hash":"…"}`
//!
//! `hash` is keyed BLAKE3 over the line up to `,"hash"`, so it covers `prev` and with it
//! every earlier record. The envelope is read by position, never by searching for a key:
//! whatever the members hold, they cannot pose as part of it.

use std::fmt;

use jiff::Timestamp;

use super::key::Key;

/// The longest line the journal writes or takes for a record.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// The most bytes that the members of one record may have. Larger things are bodies.
pub const MEMBERS_LIMIT: usize = LONGEST_LINE - 1024;

/// The number of a record; the first one is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(u64);

impl Seq {
    /// Before the first record.
    pub const ZERO: Seq = Seq(0);

    /// The record with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The record after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The record before this one; nothing is before [`Seq::ZERO`].
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hash of a record as it stands in the file: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 64]);

impl Digest {
    /// What the first record of a journal names as its predecessor.
    pub const NONE: Digest = Digest([b'0'; 64]);

    /// Reads 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; 64] = text.try_into().ok()?;
        digits
            .iter()
            .all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'))
            .then_some(Self(digits))
    }

    /// The digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        let mut digits = [b'0'; 64];
        for (place, digit) in digits.iter_mut().zip(hash.to_hex().as_bytes()) {
            *place = *digit;
        }
        Self(digits)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hex digits, all of them.
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the caller gives for one record. Redaction has happened.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// When it happened.
    pub at: Timestamp,
    /// What it is, such as `call.intent`: lower-case letters, dots and underscores.
    pub kind: &'a str,
    /// The members of the JSON object, without braces and without a leading comma. None of
    /// them is named `v`, `seq`, `at`, `kind`, `mark`, `prev` or `hash`.
    pub members: &'a str,
    /// Somebody will wait until this record survives a power cut.
    pub durable: bool,
    /// Bytes that must remain in the room already reserved on disk once this record is in
    /// it. Outcomes and stops give 0; a new call gives what the outcomes of the open calls
    /// and a stop will need.
    pub keep: u64,
}

/// Writes times as RFC 3339 with microseconds. Remembers the last second: most
/// records are made in the same one as the record before.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: i64,
    /// That second up to its point; empty before the first.
    text: String,
}

impl Stamp {
    fn write(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        let (second, rest) = (at.as_second(), at.subsec_microsecond());
        let Ok(rest) = u32::try_from(rest) else {
            // Before 1970 the parts count backwards.
            out.extend_from_slice(format!("{at:.6}").as_bytes());
            return;
        };
        if self.second != second || self.text.is_empty() {
            let text = format!("{at:.6}");
            let upto = text.find('.').map_or(0, |point| point + 1);
            self.text = text.get(..upto).unwrap_or_default().to_owned();
            self.second = second;
        }
        out.extend_from_slice(self.text.as_bytes());
        // Six digits: those of the rest behind a leading one.
        let mut digits = itoa::Buffer::new();
        let six = digits.format(1_000_000 + rest).as_bytes().get(1..);
        out.extend_from_slice(six.unwrap_or_default());
        out.push(b'Z');
    }
}

/// Appends a record to `out` and returns its hash.
pub(super) fn encode(
    out: &mut Vec<u8>,
    key: &Key,
    seq: Seq,
    prev: &Digest,
    mark: Seq,
    entry: &Entry<'_>,
    stamp: &mut Stamp,
) -> Digest {
    let start = out.len();
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(br#"{"v":1,"seq":"#);
    out.extend_from_slice(digits.format(seq.get()).as_bytes());
    out.extend_from_slice(br#","at":""#);
    stamp.write(entry.at, out);
    out.extend_from_slice(br#"","kind":""#);
    out.extend_from_slice(entry.kind.as_bytes());
    out.push(b'"');
    if !entry.members.is_empty() {
        out.push(b',');
        let from = out.len();
        out.extend_from_slice(entry.members.as_bytes());
        join_lines(out.get_mut(from..).unwrap_or_default());
    }
    out.extend_from_slice(br#","mark":"#);
    out.extend_from_slice(digits.format(mark.get()).as_bytes());
    out.extend_from_slice(br#","prev":""#);
    out.extend_from_slice(prev.as_bytes());
    out.push(b'"');
    let hash = key.hash_line(out.get(start..).unwrap_or_default());
    out.extend_from_slice(br#","hash":""#);
    out.extend_from_slice(hash.as_bytes());
    out.extend_from_slice(b"\"}\n");
    hash
}

/// In valid JSON a raw line break is white space between tokens, as in arguments that
/// a client sent pretty-printed. In the file it would end the record.
fn join_lines(mut rest: &mut [u8]) {
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        let Some((broken, behind)) = rest.get_mut(at..).and_then(<[u8]>::split_first_mut) else {
            return;
        };
        *broken = b' ';
        rest = behind;
    }
}

/// A record as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its number.
    pub seq: Seq,
    /// When it happened, RFC 3339 with microseconds.
    pub at: &'a str,
    /// What it is.
    pub kind: &'a str,
    /// Its members, without braces and without a leading comma.
    pub members: &'a str,
    /// What was known to survive a power cut when it was put.
    pub mark: Seq,
    /// The hash of the record before.
    pub prev: Digest,
    /// Its own hash.
    pub hash: Digest,
    /// The whole line, without the line break.
    pub line: &'a str,
}

/// Why a line is not the record that belongs in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It does not have the shape of a record.
    NotARecord,
    /// It was written by a version of the format that this program does not know.
    Version,
    /// It is not what was written: its hash does not fit.
    Hash,
    /// It has the number of another record.
    Seq {
        /// The number it has.
        found: Seq,
    },
    /// It does not follow the record before it.
    Prev,
    /// The file ends within it.
    Unended,
    /// It is longer than any record.
    TooLong,
    /// Nothing is where a synced record was.
    Missing,
    /// It is a true record, but not the one that was synced here.
    Other,
    /// A later record stands in its place, and no record says that it was pruned.
    Removed {
        /// The number it has.
        found: Seq,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NotARecord => f.write_str("it is not a record"),
            Why::Version => f.write_str("it was written by a newer tollgate"),
            Why::Hash => f.write_str("its hash does not fit its content"),
            Why::Seq { found } => write!(f, "record {found} stands in its place"),
            Why::Prev => f.write_str("it does not follow the record before it"),
            Why::Unended => f.write_str("the file ends within it"),
            Why::TooLong => f.write_str("it is longer than any record"),
            Why::Missing => f.write_str("it is missing"),
            Why::Other => f.write_str("another record was synced in its place"),
            Why::Removed { found } => write!(
                f,
                "the records from here to {} were removed, and not by tollgate",
                found.previous()
            ),
        }
    }
}

/// `,"hash":"` + 64 digits + `"}`
const HASH_PART: usize = 9 + 64 + 2;
/// `,"prev":"` + 64 digits + `"`
const PREV_PART: usize = 9 + 64 + 1;

impl<'a> Record<'a> {
    /// Reads a line (without its line break) and checks its hash.
    pub(super) fn read(line: &'a [u8], key: &Key) -> Result<Self, Why> {
        let parsed = Self::parse(line);
        if let Err(Why::NotARecord) = parsed {
            return parsed;
        }
        // Also for a version that is not known: damage must not pass for a newer record.
        let split = line.len().saturating_sub(HASH_PART);
        let (covered, rest) = line.split_at_checked(split).ok_or(Why::NotARecord)?;
        let hash = rest
            .strip_prefix(br#","hash":""#)
            .and_then(|rest| rest.strip_suffix(b"\"}"));
        if hash == Some(key.hash_line(covered).as_bytes()) {
            parsed
        } else {
            Err(Why::Hash)
        }
    }

    /// Reads a line whose hash was checked before, or does not matter.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Why> {
        let text = std::str::from_utf8(line).map_err(|_| Why::NotARecord)?;
        let version = text.strip_prefix(r#"{"v":"#).ok_or(Why::NotARecord)?;
        let Some(rest) = version.strip_prefix(r#"1,"seq":"#) else {
            let newer = version.starts_with(|c: char| c.is_ascii_digit());
            return Err(if newer { Why::Version } else { Why::NotARecord });
        };
        Self::fields(text, rest).ok_or(Why::NotARecord)
    }

    fn fields(line: &'a str, rest: &'a str) -> Option<Self> {
        let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(HASH_PART)?)?;
        let hash = hash.strip_prefix(r#","hash":""#)?.strip_suffix(r#""}"#)?;
        let (rest, prev) = rest.split_at_checked(rest.len().checked_sub(PREV_PART)?)?;
        let prev = prev.strip_prefix(r#","prev":""#)?.strip_suffix('"')?;
        let (rest, mark) = rest.rsplit_once(',')?;
        let mark = number(mark.strip_prefix(r#""mark":"#)?)?;
        // One letter is found much faster than a word, and none of these has a quote in it.
        let (seq, rest) = rest.split_once(',')?;
        let (at, rest) = rest.strip_prefix(r#""at":""#)?.split_once('"')?;
        let (kind, rest) = rest.strip_prefix(r#","kind":""#)?.split_once('"')?;
        let members = match rest {
            "" => "",
            some => some.strip_prefix(',')?,
        };
        Some(Self {
            seq: number(seq)?,
            at,
            kind,
            members,
            mark,
            prev: Digest::parse(prev.as_bytes())?,
            hash: Digest::parse(hash.as_bytes())?,
            line,
        })
    }
}

fn number(digits: &str) -> Option<Seq> {
    digits
        .bytes()
        .all(|d| d.is_ascii_digit())
        .then(|| digits.parse().ok().map(Seq))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(members: &str) -> (Key, String) {
        let key = Key::from_bytes([7; 32]);
        let mut out = Vec::new();
        let entry = Entry {
            at: Timestamp::UNIX_EPOCH,
            kind: "call.intent",
            members,
            durable: false,
            keep: 0,
        };
        encode(
            &mut out,
            &key,
            Seq::new(7),
            &Digest::NONE,
            Seq::new(5),
            &entry,
            &mut Stamp::default(),
        );
        (key, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_record_reads_back_as_it_was_put() {
        let (key, text) = line(r#""tool":"a","n":12345678901234567890"#);
        let record = Record::read(text.trim_end().as_bytes(), &key).unwrap();
        assert_eq!(record.seq, Seq::new(7));
        assert_eq!(record.mark, Seq::new(5));
        assert_eq!(record.at, "1970-01-01T00:00:00.000000Z");
        assert_eq!(record.kind, "call.intent");
        assert_eq!(record.members, r#""tool":"a","n":12345678901234567890"#);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["prev"], Digest::NONE.to_string());
    }

    #[test]
    fn a_time_is_written_as_it_is_with_its_own_second_and_the_one_before_1970() {
        let mut stamp = Stamp::default();
        for text in [
            "1970-01-01T00:00:00.000000Z",
            "1970-01-01T00:00:00.000007Z",
            "2026-11-21T23:59:59.999999Z",
            "2026-11-22T00:00:00.100000Z",
            "2026-11-21T23:59:59.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "1969-12-31T23:59:59.000000Z",
            "-000001-05-02T03:04:05.060708Z",
            "9999-12-30T22:00:00.999999Z",
        ] {
            let mut out = Vec::new();
            stamp.write(text.parse().unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn a_record_without_members_is_a_record() {
        let (key, text) = line("");
        let record = Record::read(text.trim_end().as_bytes(), &key).unwrap();
        assert_eq!(record.members, "");
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (key, text) = line(r#""tool":"a""#);
        let good = text.trim_end().as_bytes();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.to_vec();
                bad[at] ^= 1 << bit;
                assert!(Record::read(&bad, &key).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn members_cannot_pose_as_the_envelope() {
        let (_, inner) = line(r#""x":1"#);
        let (key, text) = line(&format!("\"args\":[1,\n{inner}\r\n2],\"mark\":9"));
        assert_eq!(text.matches('\n').count(), 1, "one line");
        let record = Record::read(text.trim_end().as_bytes(), &key).unwrap();
        assert_eq!((record.seq, record.mark), (Seq::new(7), Seq::new(5)));
    }

    #[test]
    fn a_newer_version_is_named_as_such() {
        let (key, text) = line("");
        let newer = text.trim_end().replace(r#"{"v":1"#, r#"{"v":2"#);
        let read = |line: &str| Record::read(line.as_bytes(), &key).unwrap_err();
        assert_eq!(read(&newer), Why::Hash, "damaged");
        let covered = newer.get(..newer.len() - HASH_PART).unwrap();
        let hash = key.hash_line(covered.as_bytes());
        assert_eq!(
            read(&format!("{covered},\"hash\":\"{hash}\"}}")),
            Why::Version
        );
    }
}
