//! Ids: short, typable, case-insensitive; the prefix says of what.

use std::{fmt, sync::Arc};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// The id whose characters after the prefix are these.
            #[must_use]
            pub fn from_tail(tail: &str) -> Self {
                let mut id = String::with_capacity($prefix.len() + tail.len());
                id.push_str($prefix);
                id.push_str(tail);
                if let Some(tail) = id.get_mut($prefix.len()..) {
                    tail.make_ascii_uppercase();
                }
                Self(id.into())
            }

            /// Reads what a person typed, in either case.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let (head, tail) = text.split_at_checked($prefix.len())?;
                let known = head.eq_ignore_ascii_case($prefix)
                    && (1..=32).contains(&tail.len())
                    && tail
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
                known.then(|| Self::from_tail(tail))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                Self::parse(&text).ok_or_else(|| {
                    <D::Error as serde::de::Error>::custom(format!(
                        "`{text}` is not an id that starts with `{}`",
                        $prefix
                    ))
                })
            }
        }
    };
}

id!(
    /// One call.
    CallId,
    "c-"
);
id!(
    /// One run: a stretch of work of an agent.
    RunId,
    "r-"
);

/// The variable in which every process of a tool server carries the id of the state
/// directory that it belongs to.
pub const STATE_ID: &str = "TOLLGATE_STATE_ID";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_be_typed_in_either_case() {
        assert_eq!(CallId::parse("C-5kq2"), Some(CallId::from_tail("5KQ2")));
        assert_eq!(CallId::parse("r-5KQ2"), None);
        assert_eq!(CallId::parse("c-"), None);
    }
}
