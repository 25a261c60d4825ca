//! Finding the id of a line that is too long to keep, or is no message.
//!
//! The line is read past, not stored; this watches the bytes go by and keeps
//! only the value of the top-level `id`, so that the right call can be failed
//! wherever in the line its id stands.

use bytes::Bytes;

use super::{Meant, Raw, message};

/// Longer ids than this are nobody's.
const MAX_ID: usize = 256;

/// Watches a line go by in chunks.
#[derive(Debug, Default)]
pub struct Oversize {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// At depth 1: between a key and its value.
    after_colon: bool,
    /// The string or literal being read at depth 1.
    text: Vec<u8>,
    key_is_id: bool,
    has_method: bool,
    has_answer: bool,
    id: Option<Vec<u8>>,
    /// Bytes seen so far.
    pub seen: usize,
}

impl Oversize {
    /// Takes the next bytes of the line.
    pub fn watch(&mut self, chunk: &[u8]) {
        self.seen += chunk.len();
        for &byte in chunk {
            self.step(byte);
        }
    }

    /// The id that was found.
    #[must_use]
    pub fn id(&self) -> Option<Raw> {
        let id = Raw::parse(Bytes::from(self.id.clone()?))?;
        message::is_id(id.bytes()).then_some(id)
    }

    /// What it was meant to be.
    #[must_use]
    pub fn meant(&self) -> Meant {
        match (self.has_method, self.has_answer) {
            (true, _) => Meant::ToAsk,
            (false, true) => Meant::ToAnswer,
            (false, false) => Meant::Nothing,
        }
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            self.keep(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep(byte);
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.text.clear();
            }
            b'}' | b']' => {
                self.end_value();
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 => {
                self.key_is_id = self.text == b"\"id\"";
                self.has_method |= self.text == b"\"method\"";
                self.has_answer |= self.text == b"\"result\"" || self.text == b"\"error\"";
                self.after_colon = true;
                self.text.clear();
            }
            b',' => self.end_value(),
            b' ' | b'\t' | b'\r' => {}
            _ => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.text.len() <= MAX_ID {
            self.text.push(byte);
        }
    }

    fn end_value(&mut self) {
        if self.depth != 1 {
            return;
        }
        if self.after_colon && self.key_is_id && self.id.is_none() && self.text.len() <= MAX_ID {
            self.id = Some(std::mem::take(&mut self.text));
        }
        self.text.clear();
        self.after_colon = false;
        self.key_is_id = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(line: &str) -> Option<String> {
        let mut watch = Oversize::default();
        for chunk in line.as_bytes().chunks(3) {
            watch.watch(chunk);
        }
        watch.id().map(|id| id.text().to_owned())
    }

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        assert_eq!(
            id_of(r#"{"id":12,"result":{"id":3}}"#).as_deref(),
            Some("12")
        );
        assert_eq!(
            id_of(r#"{"result":{"id":3,"t":"\",\"id\":9,"},"id": "a,b" }"#).as_deref(),
            Some("\"a,b\"")
        );
        assert_eq!(id_of(r#"{"result":["id",5]}"#), None);
        assert_eq!(id_of(r#"{"id":null}"#), None);
    }

    #[test]
    fn what_it_was_meant_to_be_is_told_by_its_own_members() {
        for (line, expected) in [
            (r#"{"params":{"result":1},"method":"x"}"#, Meant::ToAsk),
            (r#"{"result":{"method":1}}"#, Meant::ToAnswer),
            (r#"{"error":NaN}"#, Meant::ToAnswer),
            (r#"{"x":"method","y":["result"]}"#, Meant::Nothing),
        ] {
            let mut watch = Oversize::default();
            watch.watch(line.as_bytes());
            assert_eq!(watch.meant(), expected, "{line}");
        }
    }
}
