//! Changing single members of an object and copying the rest as it stands.

use bytes::Bytes;

use super::{Raw, json};

/// A line or value in pieces, to be written one after another.
pub type Parts = Vec<Bytes>;

/// A JSON string.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::new();
    quote_into(text, &mut out);
    out
}

/// The same, behind what is there. Mostly nothing has to be escaped, and who looks for
/// that alone looks faster: these texts may have megabytes.
pub(crate) fn quote_into(text: &str, out: &mut String) {
    // Not `any`, which stops at the first and is therefore not looked at many at a time.
    let escaped = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    if !text
        .as_bytes()
        .iter()
        .fold(false, |any, byte| any | escaped(byte))
    {
        out.reserve(text.len() + 2);
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        let quoted = serde_json::to_string(text);
        out.push_str(quoted.as_deref().unwrap_or("\"\""));
    }
}

/// What to do with the members of one object; everything not named stays, byte
/// for byte and in its place.
#[derive(Debug)]
pub struct Edit<'a> {
    object: &'a Raw,
    changes: Vec<(&'static str, Option<Bytes>)>,
}

impl<'a> Edit<'a> {
    /// Starts with nothing to change.
    #[must_use]
    pub fn new(object: &'a Raw) -> Self {
        Self {
            object,
            changes: Vec::new(),
        }
    }

    /// Gives `key` this value: in its place if it is there, else at the end.
    pub fn set(&mut self, key: &'static str, value: impl Into<Bytes>) -> &mut Self {
        self.changes.push((key, Some(value.into())));
        self
    }

    /// Leaves `key` out.
    pub fn remove(&mut self, key: &'static str) -> &mut Self {
        self.changes.push((key, None));
        self
    }

    /// The changed object in pieces: unchanged stretches are slices of the
    /// original.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let text = self.object.bytes();
        let mut out = Parts::with_capacity(2 + 2 * self.changes.len());
        let mut done = vec![false; self.changes.len()];
        // A stretch of kept members, from its first key to its last value.
        let mut kept: Option<(usize, usize)> = None;
        let mut first = true;
        out.push(Bytes::from_static(b"{"));
        for member in self.object.members() {
            let key = text.get(member.key.clone()).unwrap_or_default();
            let (from, to) = (member.key.start, member.value.end);
            let change = self
                .changes
                .iter()
                .position(|(name, _)| json::key_is(key, name));
            let Some(nth) = change else {
                kept = Some(kept.map_or((from, to), |(begin, _)| (begin, to)));
                continue;
            };
            self.flush(&mut kept, &mut first, &mut out);
            let repeated = done.get(nth).copied().unwrap_or(false);
            if let Some(flag) = done.get_mut(nth) {
                *flag = true;
            }
            if let Some((name, Some(value))) = self.changes.get(nth)
                && !repeated
            {
                push_member(&mut out, &mut first, name, value);
            }
        }
        self.flush(&mut kept, &mut first, &mut out);
        for ((name, value), done) in self.changes.iter().zip(done) {
            if let (Some(value), false) = (value, done) {
                push_member(&mut out, &mut first, name, value);
            }
        }
        out.push(Bytes::from_static(b"}"));
        out
    }

    /// The changed object as one value.
    #[must_use]
    pub fn raw(&self) -> Raw {
        Raw::trusted(self.parts().concat().into())
    }

    fn flush(&self, kept: &mut Option<(usize, usize)>, first: &mut bool, out: &mut Parts) {
        if let Some((from, to)) = kept.take() {
            separate(out, first);
            out.push(self.object.bytes().slice(from..to));
        }
    }
}

fn push_member(out: &mut Parts, first: &mut bool, name: &str, value: &Bytes) {
    separate(out, first);
    let mut key = String::with_capacity(name.len() + 3);
    quote_into(name, &mut key);
    key.push(':');
    out.push(key.into());
    out.push(value.clone());
}

fn separate(out: &mut Parts, first: &mut bool) {
    if !*first {
        out.push(Bytes::from_static(b","));
    }
    *first = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, change: impl FnOnce(&mut Edit<'_>)) -> String {
        let raw = Raw::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let mut edit = Edit::new(&raw);
        change(&mut edit);
        edit.raw().text().to_owned()
    }

    #[test]
    fn every_character_is_quoted_as_by_serde() {
        let around = |c: char| [format!("{c}"), format!("ab{c}cd")];
        for text in (0..=0x1_0010).filter_map(char::from_u32).flat_map(around) {
            assert_eq!(quote(&text), serde_json::to_string(&text).unwrap());
        }
        assert_eq!(quote(""), "\"\"");
    }

    #[test]
    fn what_is_not_named_stays_as_written() {
        assert_eq!(
            edited(r#"{"z": 1e400, "name":"a",  "x":{"name":"b"} }"#, |edit| {
                edit.set("name", "\"n\"");
            }),
            r#"{"z": 1e400,"name":"n","x":{"name":"b"}}"#
        );
        assert_eq!(edited("{ }", |_| {}), "{}");
    }

    #[test]
    fn members_are_removed_and_added() {
        assert_eq!(
            edited(r#"{"a":1,"b":2,"c":3}"#, |edit| {
                edit.remove("b").set("_meta", "{}");
            }),
            r#"{"a":1,"c":3,"_meta":{}}"#
        );
        assert_eq!(
            edited(r#"{"a":1}"#, |edit| {
                edit.remove("a");
            }),
            "{}"
        );
    }
}
