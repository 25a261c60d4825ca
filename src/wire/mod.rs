//! JSON-RPC as bytes: what a line says, and how to change a member without
//! touching its neighbours.
//!
//! Pure: nothing here reads or writes. A message is looked at through borrowed
//! slices and forwarded as the bytes it came in, so that what tollgate does not
//! deliberately change cannot change.

mod edit;
mod json;
pub mod keys;
mod message;
mod oversize;

pub use edit::{Edit, Parts, quote};
pub use json::{Flaw, Members, Node, elements, members, unquote};
pub use message::{
    Body, Malformed, Message, error_line, notification_line, parse, request_line, result_line,
};
pub use oversize::Oversize;

use bytes::Bytes;

/// A valid JSON value: a slice of the line it came in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Raw(Bytes);

impl Raw {
    /// Takes `text` as JSON after checking that it is.
    #[must_use]
    pub fn parse(text: Bytes) -> Option<Self> {
        serde_json::from_slice::<&serde_json::value::RawValue>(&text)
            .is_ok()
            .then_some(Self(text))
    }

    /// The value of something that serialises.
    ///
    /// # Panics
    /// Never: the types we serialise have string keys and no failing impls; if
    /// one had, the value would be `null`.
    #[must_use]
    pub fn of<T: serde::Serialize>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => Self(text.into()),
            Err(_) => Self(Bytes::from_static(b"null")),
        }
    }

    /// A slice that the caller knows to be a complete JSON value.
    pub(crate) fn trusted(text: Bytes) -> Self {
        Self(text)
    }

    /// The text, as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        // Every constructor has seen valid JSON, which is valid UTF-8.
        std::str::from_utf8(&self.0).unwrap_or("null")
    }

    /// The bytes, as they came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The same bytes in an allocation of their own, for what outlives its line.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The member `key` of this object, if it is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Raw> {
        members(self.text())
            .find(|(name, _)| json::key_is(name, key))
            .map(|(_, value)| self.part(value))
    }

    /// The string that this value is.
    #[must_use]
    pub fn as_str(&self) -> Option<std::borrow::Cow<'_, str>> {
        unquote(self.text())
    }

    /// A sub-slice of this value, sharing its allocation.
    #[must_use]
    pub fn part(&self, text: &str) -> Raw {
        Raw(self.0.slice_ref(text.as_bytes()))
    }

    /// Deserialises the value.
    ///
    /// # Errors
    /// As serde says.
    pub fn to<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.text();
        match text.char_indices().nth(120) {
            None => f.write_str(text),
            Some((at, _)) => write!(f, "{}…", text.get(..at).unwrap_or_default()),
        }
    }
}

impl serde::Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        <&serde_json::value::RawValue>::deserialize_from(self.text())
            .map_err(serde::ser::Error::custom)?
            .serialize(to)
    }
}

/// Reads a borrowed raw value out of text that is known to be JSON.
trait DeserializeFrom<'a>: Sized {
    fn deserialize_from(text: &'a str) -> Result<Self, serde_json::Error>;
}

impl<'a> DeserializeFrom<'a> for &'a serde_json::value::RawValue {
    fn deserialize_from(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
