//! JSON-RPC as bytes: what a line says, and how to change a member without
//! touching its neighbours.
//!
//! Pure: nothing here reads or writes. A message is looked at through borrowed
//! slices and forwarded as the bytes it came in, so that what tollgate does not
//! deliberately change cannot change.

pub mod asks;
mod edit;
mod forged;
mod json;
pub mod keys;
mod line;
mod message;
mod oversize;
pub mod rpc;
mod spelling;
mod syntax;
mod unquote;

pub use asks::Ask;
pub(crate) use edit::quote_into;
pub use edit::{Edit, Parts, quote};
pub use forged::{content_without_ours, is_ours, without_ours, without_ours_in};
pub use json::{Flaw, Members, Node, elements, members, room};
pub use line::{error_line, notification_line, request_line, result_line};
pub use message::{Body, Malformed, Meant, Message, our_id, parse};
pub use oversize::Oversize;
pub use spelling::{is_other_spelling, misspelt, without_misspelt};
pub use unquote::{unquote, unquote_lossy};

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

/// A valid JSON value: a slice of the line it came in.
///
/// Where the members of an object stand is found once, when it is first asked:
/// a large result is looked at several times on its way.
#[derive(Clone)]
pub struct Raw {
    text: Bytes,
    members: OnceLock<Arc<[Member]>>,
    /// Whether a `_meta` may stand in it somewhere: it is to be searched for, unless
    /// whoever read the line has seen that there is none.
    may_have_meta: bool,
}

/// Where a member of an object stands in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The key, with its quotes.
    pub(crate) key: Range<usize>,
    /// The value.
    pub(crate) value: Range<usize>,
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Raw {}

impl Raw {
    /// Takes `text` as JSON after checking that it is.
    #[must_use]
    pub fn parse(text: Bytes) -> Option<Self> {
        serde_json::from_slice::<&serde_json::value::RawValue>(&text)
            .is_ok()
            .then(|| Self::trusted(text))
    }

    /// The value of something that serialises.
    ///
    /// # Panics
    /// Never: the types we serialise have string keys and no failing impls; if
    /// one had, the value would be `null`.
    #[must_use]
    pub fn of<T: serde::Serialize>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => Self::trusted(text.into()),
            Err(_) => Self::trusted(Bytes::from_static(b"null")),
        }
    }

    /// A slice that the caller knows to be a complete JSON value.
    pub(crate) fn trusted(text: Bytes) -> Self {
        Self {
            text,
            members: OnceLock::new(),
            may_have_meta: true,
        }
    }

    /// The same of a line whose every key was looked at.
    fn looked_at(text: Bytes, may_have_meta: bool) -> Self {
        Self {
            may_have_meta,
            ..Self::trusted(text)
        }
    }

    /// The same where its members stand is known.
    fn with_members(self, known: Option<Vec<Member>>) -> Self {
        Self {
            members: known
                .map(Arc::from)
                .map_or_else(OnceLock::new, OnceLock::from),
            ..self
        }
    }

    /// The text, as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        // Every constructor has seen valid JSON, which is valid UTF-8.
        std::str::from_utf8(&self.text).unwrap_or("null")
    }

    /// The beginning of the text: at most `limit` bytes, cut between characters.
    /// Costs no more for a large value than for a small one.
    #[must_use]
    pub fn head(&self, limit: usize) -> &str {
        let bytes = self.text.get(..limit).unwrap_or(&self.text);
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(cut) => bytes
                .get(..cut.valid_up_to())
                .and_then(|whole| std::str::from_utf8(whole).ok())
                .unwrap_or_default(),
        }
    }

    /// The bytes, as they came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.text
    }

    /// The same bytes in an allocation of their own, for what outlives its line.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self::trusted(Bytes::copy_from_slice(&self.text))
    }

    /// The same bytes in an allocation of their own, held by what is kept as long as any of
    /// them are.
    #[must_use]
    pub fn counted_by<T: AsRef<[u8]> + Send + 'static>(
        &self,
        hold: impl FnOnce(Bytes) -> T,
    ) -> Self {
        let text = Bytes::copy_from_slice(&self.text);
        Self::trusted(Bytes::from_owner(hold(text)))
    }

    /// The member `key` of this object, if it is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Raw> {
        let found = self.members().iter().find(|member| {
            let name = self.text.get(member.key.clone()).unwrap_or_default();
            json::key_is(name, key)
        })?;
        Some(Self::trusted(self.text.slice(found.value.clone())))
    }

    /// Where the members of this object stand; nothing for what is no object.
    pub(crate) fn members(&self) -> &[Member] {
        self.members.get_or_init(|| {
            json::MemberRanges::of(&self.text)
                .map(|(key, value)| Member { key, value })
                .collect()
        })
    }

    /// The string that this value is.
    #[must_use]
    pub fn as_str(&self) -> Option<std::borrow::Cow<'_, str>> {
        unquote(self.text())
    }

    /// A sub-slice of this value, sharing its allocation.
    #[must_use]
    pub fn part(&self, text: &str) -> Raw {
        Self::trusted(self.text.slice_ref(text.as_bytes()))
    }

    /// Deserialises the value.
    ///
    /// # Errors
    /// As serde says.
    pub fn to<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.text)
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
