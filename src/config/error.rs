//! What can be wrong with a configuration, and where.
//!
//! Every error is for the author of a file. The wording lives with the decoder
//! that finds it; here are the codes, the carrier and the suggestion.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::ser::SerializeMap;

use super::secret;

macro_rules! codes {
    ($($name:ident $id:literal $explanation:literal;)*) => {
        /// The kind of a configuration error; stable, so that it can be looked up.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $explanation] $name,)*
        }

        impl Code {
            /// Every code, in order of its number.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// The stable number, for example `E012`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Code::$name => $id,)* }
            }

            /// One line that says what the code means and what to do.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Code::$name => $explanation,)* }
            }
        }
    };
}

codes! {
    NoDirectory "E001" "the configuration directory does not exist, or is not a directory";
    Unreadable "E002" "a file of the configuration cannot be read; it is never skipped, because a rule could be in it";
    NotText "E003" "a file of the configuration is not valid UTF-8";
    Syntax "E010" "the file is not valid TOML";
    WrongType "E011" "the key is known, but its value is of another type: for example a number where a text belongs";
    UnknownKey "E012" "the key is not known at this place; keys are strict so that a typo cannot switch a rule off";
    UnknownWord "E013" "the value is not one of the words that this key takes";
    BadDuration "E014" "a duration is a whole number with a unit: 500ms, 30s, 10m, 2h or 1d";
    BadName "E015" "names of agents, tool servers and owners are letters, digits, `-`, `_` and `.`";
    BadPath "E016" "the path cannot be used: `~` and variables are not expanded, and some paths must be absolute";
    MissingKey "E017" "a key that has no safe default is missing";
    BadQuantity "E018" "a limit is a whole number above zero, an amount with its currency (`0.30 USD`), a duration (`10m`) or a size (`64KiB`); what warns is one too, or a fraction of the limit (0.75)";
    BadWindow "E019" "hours of operation are days, hours and a time zone: `Mon-Fri 08:00-18:00 Europe/Paris`";
    NoLaunch "E020" "a tool server needs a `command` that starts it";
    NoOwner "E021" "every agent and every tool server has an owner: the person or team who answers for it";
    TwoLaunches "E022" "a tool server has either a `command` or a `url`, not both";
    NotYet "E023" "the setting is planned, but this version of tollgate cannot serve it yet";
    BadPrefix "E024" "a prefix is put before tool names, so it can hold only what a tool name can; `tollgate__` is reserved";
    UnknownAgent "E025" "the agent is not in the `[agents]` table of tollgate.toml";
    UnknownServer "E026" "there is no file of that name in tools.d/";
    OpenClaim "E027" "agents with different rights need a token each, because any program can claim an agent's name";
    NeverMatches "E028" "the setting can never have an effect, so it would promise something that it does not do";
    NameTaken "E029" "agents would see two tools under one name; a `prefix` keeps the tools of a server apart from others'";
    LiteralSecret "E030" "a secret stands in the file itself; name where it is kept instead: `env:NAME` or `file:/path`";
    BadReference "E031" "a reference to a secret is `env:NAME` or `file:/absolute/path`";
    BadRule "E040" "the rule for an argument cannot be applied as it is written";
    BadRate "E041" "a rate is a number of calls and a unit: `10/s`, `120/min`, `30/h` or `500/d`";
    BadJsonPath "E042" "a JSONPath (RFC 9535) says where in the arguments or in the result a value stands: `$.amount`, `$.ids[*]`";
    WrongCurrency "E043" "money is counted in one currency, the `currency` of tollgate.toml; nothing is converted";
}

impl Code {
    /// The code with this number, in either case.
    #[must_use]
    pub fn parse(id: &str) -> Option<Code> {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.id().eq_ignore_ascii_case(id))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A line and a column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// The part of a file that an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Where it begins.
    pub start: Position,
    /// Where it ends: the first position after it.
    pub end: Position,
    /// The lines it stands in, with secrets masked.
    pub(super) lines: String,
    /// The part itself, as bytes of `lines`.
    pub(super) bytes: Range<usize>,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What kind of error it is.
    pub code: Code,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// A few words for the underlined part, often a suggestion.
    pub label: Option<String>,
    /// What to do, where the label does not say it.
    pub hint: Option<String>,
    /// The file or directory, as it is shown to the user.
    pub path: PathBuf,
    /// The place in the file; none when the whole file is meant.
    pub excerpt: Option<Excerpt>,
}

impl serde::Serialize for ConfigError {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("code", self.code.id())?;
        map.serialize_entry("message", &self.message)?;
        map.serialize_entry("path", &self.path.display().to_string())?;
        if let Some(excerpt) = &self.excerpt {
            map.serialize_entry("line", &excerpt.start.line)?;
            map.serialize_entry("column", &excerpt.start.column)?;
            map.serialize_entry("end_line", &excerpt.end.line)?;
            map.serialize_entry("end_column", &excerpt.end.column)?;
        }
        if let Some(label) = &self.label {
            map.serialize_entry("label", label)?;
        }
        if let Some(hint) = &self.hint {
            map.serialize_entry("hint", hint)?;
        }
        map.end()
    }
}

/// Everything that is wrong with a configuration: never empty.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, by file and place.
    #[must_use]
    pub fn as_slice(&self) -> &[ConfigError] {
        &self.0
    }
}

impl std::error::Error for ConfigErrors {}

/// A piece of a file as part of a message: in backticks, control characters
/// made visible, cut where nobody reads on, secrets left out.
pub(super) fn quoted(text: &str) -> String {
    const LIMIT: usize = 60;
    if secret::looks_secret("", text) {
        return "`***`".to_owned();
    }
    let mut shown = String::new();
    for c in text.chars().take(LIMIT) {
        if matches!(c, '"' | '\'' | '\\') {
            shown.push(c);
        } else {
            shown.extend(c.escape_debug());
        }
    }
    if text.chars().nth(LIMIT).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// `a, b, c`: the words a person can choose from.
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// The candidate that was probably meant.
#[must_use]
pub fn suggest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let given = given.to_lowercase();
    let allowed = (given.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&given, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours between two words.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut older: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (i, f) in from.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, t) in to.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&previous, j + 1) + 1)
                .min(at(&row, j) + 1)
                .min(at(&previous, j) + usize::from(f != *t));
            if let Some(before) = j.checked_sub(1)
                && to.get(before) == Some(&f)
                && last == Some(*t)
            {
                best = best.min(at(&older, before) + 1);
            }
            row.push(best);
        }
        older = std::mem::replace(&mut previous, row);
        last = Some(f);
    }
    previous.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_in_order_and_found_by_number() {
        let ids: Vec<_> = Code::ALL.iter().map(|code| code.id()).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(ids, sorted);
        assert_eq!(Code::parse("e012"), Some(Code::UnknownKey));
        assert_eq!(Code::parse("E999"), None);
    }

    #[test]
    fn a_suggestion_is_near_or_absent() {
        let keys = ["timeout", "title", "tools"];
        assert_eq!(suggest("timout", keys), Some("timeout"));
        assert_eq!(suggest("Title", keys), Some("title"));
        assert_eq!(suggest("colour", keys), None);
        assert_eq!(suggest("raed", ["read", "off"]), Some("read"));
        assert_eq!(suggest("x", ["y"]), None);
    }

    #[test]
    fn what_a_file_says_cannot_disturb_a_terminal() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "`a\\u{1b}[2Jb`");
        assert_eq!(quoted("a\u{202e}b"), "`a\\u{202e}b`");
        assert_eq!(quoted("größe"), "`größe`");
    }
}
