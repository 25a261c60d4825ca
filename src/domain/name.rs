//! The names that people and files give to things.

use std::fmt;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// Nothing was given.
    Empty,
    /// More than the allowed number of characters.
    TooLong {
        /// The most that is allowed.
        limit: usize,
    },
    /// A character outside the allowed set.
    Character {
        /// The offending character.
        found: char,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => f.write_str("a name cannot be empty"),
            NameError::TooLong { limit } => {
                write!(f, "a name has at most {limit} characters")
            }
            NameError::Character { found } => write!(
                f,
                "`{}` cannot stand in a name: letters, digits, `-`, `_` and `.` can",
                found.escape_debug()
            ),
        }
    }
}

impl std::error::Error for NameError {}

fn check(text: &str, limit: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > limit {
        return Err(NameError::TooLong { limit });
    }
    match text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
    {
        Some(found) => Err(NameError::Character { found }),
        None => Ok(()),
    }
}

/// A name that came from outside and may be none of these, for a message: bounded.
#[must_use]
pub fn shown(name: &str) -> String {
    name.chars().take(128).collect()
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $limit:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses a name; the only way to make one.
            ///
            /// # Errors
            /// When the text is empty, too long or holds a character that would
            /// not survive in an exposed tool name, a path or a log line.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text, $limit)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
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
                Self::parse(&text).map_err(<D::Error as serde::de::Error>::custom)
            }
        }
    };
}

name!(
    /// The name of an agent, as its client's configuration gives it.
    AgentName,
    64
);
name!(
    /// The name of a tool server: the name of its file in `tools.d/`.
    ServerName,
    48
);
name!(
    /// Who answers for an agent or a tool server: a person or a team.
    Owner,
    64
);

impl ServerName {
    /// The tool's part of `SERVER.TOOL`, if this server can be meant. Both names may hold
    /// dots, so several servers can be: who knows them takes the longest that fits.
    #[must_use]
    pub fn tool_of<'a>(&self, title: &'a str) -> Option<&'a str> {
        let tool = title.strip_prefix(self.as_str())?.strip_prefix('.')?;
        (!tool.is_empty()).then_some(tool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_may_be_one_of_several_servers_where_names_hold_dots() {
        let tool = |server| ServerName::parse(server).unwrap().tool_of("my.files.read");
        assert_eq!(tool("my"), Some("files.read"));
        assert_eq!(tool("my.files"), Some("read"));
        assert_eq!(tool("my.fi"), None);
        assert_eq!(tool("my.files.read"), None);
    }

    #[test]
    fn a_name_is_letters_digits_and_three_signs() {
        assert!(AgentName::parse("billing-bot_2.eu").is_ok());
        assert_eq!(AgentName::parse(""), Err(NameError::Empty));
        assert_eq!(
            AgentName::parse("a b"),
            Err(NameError::Character { found: ' ' })
        );
        assert_eq!(
            ServerName::parse(&"x".repeat(49)),
            Err(NameError::TooLong { limit: 48 })
        );
    }
}
