//! The hand decoder: TOML values to types, errors collected instead of returned.
//!
//! A value that cannot be used is reported with its place and answered with
//! `None`; the caller goes on, so that one pass finds everything. What the keys
//! mean is told in the files beside this one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Code, ConfigError, Excerpt, Position, listed, quoted, suggest};
use super::{Place, Source, duration, secret};
use crate::domain::NameError;

/// An error while it is being put together.
#[derive(Debug)]
pub(super) struct Problem {
    code: Code,
    message: String,
    span: Option<Range<usize>>,
    label: Option<String>,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Problem {
            code,
            message: message.into(),
            span: None,
            label: None,
            hint: None,
        }
    }

    pub(super) fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// One file while it is decoded.
#[derive(Debug)]
pub(super) struct File<'a> {
    source: &'a Source,
    table: Spanned<DeTable<'a>>,
    /// Lines that TOML itself could not read: what else is wrong there is noise.
    broken_lines: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
    places: RefCell<BTreeMap<String, Place>>,
    secrets: RefCell<Vec<Range<usize>>>,
}

impl<'a> File<'a> {
    pub(super) fn parse(source: &'a Source) -> Self {
        let (table, syntax) = DeTable::parse_recoverable(&source.text);
        let mut secrets: Vec<_> = secret::known_tokens(&source.text).collect();
        find_secrets("", table.get_ref(), &mut secrets);
        let mut broken_lines = Vec::new();
        let mut problems: Vec<Problem> = Vec::new();
        for error in syntax {
            let span = error.span().unwrap_or_default();
            let line = Position::of(&source.text, span.start).line;
            // One slip makes the parser stumble several times; the first says it best.
            if !broken_lines.contains(&line) {
                broken_lines.push(line);
                let (message, expected) = match error.message().split_once(", expected ") {
                    Some((message, expected)) => (message, Some(format!("expected {expected}"))),
                    None => (error.message(), None),
                };
                let problem = Problem::new(Code::Syntax, message).at(span);
                problems.push(match expected {
                    Some(expected) => problem.label(expected),
                    None => problem,
                });
            }
        }
        File {
            source,
            table,
            broken_lines,
            problems: RefCell::new(problems),
            places: RefCell::default(),
            secrets: RefCell::new(secrets),
        }
    }

    /// Whether TOML could read all of it. If not, what is missing proves nothing.
    pub(super) fn is_whole(&self) -> bool {
        self.broken_lines.is_empty()
    }

    pub(super) fn root(&'a self, words: &'static Vocabulary) -> Table<'a> {
        Table::open(self, String::new(), self.table.get_ref(), words)
    }

    pub(super) fn report(&self, problem: Problem) {
        let on_broken_line = problem.span.as_ref().is_some_and(|span| {
            let line = Position::of(&self.source.text, span.start).line;
            self.broken_lines.contains(&line)
        });
        let is_absence = match problem.code {
            Code::MissingKey | Code::NoLaunch | Code::NoOwner => !self.is_whole(),
            _ => false,
        };
        if !on_broken_line && !is_absence {
            self.problems.borrow_mut().push(problem);
        }
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        let Position { line, column } = Position::of(&self.source.text, offset);
        Place {
            path: self.source.path.clone(),
            line,
            column,
        }
    }

    /// Hands over the places of all settings read so far.
    pub(super) fn take_places(&self) -> BTreeMap<String, Place> {
        self.places.take()
    }

    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        let text: Arc<str> = masked(&self.source.text, &self.secrets.into_inner()).into();
        let path: PathBuf = self.source.path.clone();
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        problems
            .into_iter()
            .map(|problem| ConfigError {
                code: problem.code,
                message: problem.message,
                label: problem.label,
                hint: problem.hint,
                path: path.clone(),
                excerpt: problem.span.map(|bytes| Excerpt {
                    start: Position::of(&self.source.text, bytes.start),
                    end: Position::of(&self.source.text, bytes.end),
                    bytes,
                    text: text.clone(),
                }),
            })
            .collect()
    }
}

/// Marks every text that looks like a secret, wherever it stands: an error on
/// the same line would print it.
fn find_secrets(key: &str, table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    fn look(key: &str, value: &Spanned<DeValue<'_>>, found: &mut Vec<Range<usize>>) {
        match value.get_ref() {
            DeValue::String(text) if secret::looks_secret(key, text) => found.push(value.span()),
            DeValue::Array(values) => values.iter().for_each(|value| look(key, value, found)),
            DeValue::Table(table) => find_secrets(key, table, found),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
    for (inner, value) in table {
        look(&format!("{key}.{}", inner.get_ref()), value, found);
    }
}

/// The text with the given parts made unreadable, every byte offset and line kept.
fn masked(text: &str, secrets: &[Range<usize>]) -> String {
    text.char_indices()
        .flat_map(|(at, c)| {
            let hidden = secrets.iter().any(|range| range.contains(&at))
                && !matches!(c, '"' | '\'' | '\n' | '\r');
            let (shown, times) = if hidden { ('*', c.len_utf8()) } else { (c, 1) };
            std::iter::repeat_n(shown, times)
        })
        .collect()
}

/// The keys of one kind of table.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// The keys that are read.
    pub(super) keys: &'static [&'static str],
    /// Keys of the manifest that this version does not have yet.
    pub(super) later: &'static [&'static str],
    /// Keys that belong to another table, and what to say about them.
    pub(super) elsewhere: &'static [(&'static [&'static str], &'static str)],
}

/// A table with known keys.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) file: &'a File<'a>,
    path: String,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// Opens a table and reports the keys that it cannot have.
    fn open(
        file: &'a File<'a>,
        path: String,
        entries: &'a DeTable<'a>,
        words: &'static Vocabulary,
    ) -> Self {
        for (key, _) in entries {
            let name: &str = key.get_ref();
            if words.keys.contains(&name) {
                continue;
            }
            let problem = Problem::new(Code::UnknownKey, format!("unknown key {}", quoted(name)))
                .at(key.span());
            let other = words
                .elsewhere
                .iter()
                .find(|(keys, _)| keys.contains(&name));
            file.report(if words.later.contains(&name) {
                problem.label("not in this version yet")
            } else if let Some((_, advice)) = other {
                problem.label(*advice)
            } else if let Some(meant) = suggest(name, words.keys.iter().copied()) {
                problem.label(format!("did you mean `{meant}`?"))
            } else {
                problem.hint(format!(
                    "known here: {}",
                    listed(words.keys.iter().copied())
                ))
            });
        }
        Table {
            file,
            path,
            entries,
        }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        let (key, value) = self.entries.get_key_value(key)?;
        Some(Field::of_entry(self.file, &self.path, key, value))
    }
}

/// A value, and what to call it in messages.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) file: &'a File<'a>,
    path: String,
    subject: String,
    key: Range<usize>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Field<'a> {
    fn of_entry(
        file: &'a File<'a>,
        table: &str,
        key: &'a Spanned<std::borrow::Cow<'a, str>>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Self {
        let name: &str = key.get_ref();
        let path = if table.is_empty() {
            name.to_owned()
        } else {
            format!("{table}.{name}")
        };
        let place = file.place(key.span().start);
        file.places.borrow_mut().insert(path.clone(), place);
        Field {
            file,
            path,
            subject: quoted(name),
            key: key.span(),
            value,
        }
    }

    /// The last part of its key.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    pub(super) fn place(&self) -> Place {
        self.file.place(self.key.start)
    }

    /// Starts an error that underlines the value.
    pub(super) fn problem(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::new(code, message).at(self.value.span())
    }

    /// Starts an error that underlines the key.
    pub(super) fn key_problem(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::new(code, message).at(self.key.clone())
    }

    pub(super) fn value(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    /// Keeps the value out of every excerpt.
    pub(super) fn hide(&self) {
        self.file.secrets.borrow_mut().push(self.value.span());
    }

    pub(super) fn wrong_type(&self, wanted: &str) -> Problem {
        let found = match self.value() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("{} is {found}, but must be {wanted}", self.subject);
        self.problem(Code::WrongType, message)
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value() {
            DeValue::String(text) => Some(text),
            other => {
                let problem = self.wrong_type("a text");
                self.file.report(match other {
                    DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                        problem.label("put it in quotes")
                    }
                    _ => problem,
                });
                None
            }
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let found = self.value().as_bool();
        if found.is_none() {
            self.file.report(self.wrong_type("true or false"));
        }
        found
    }

    /// The entries of a list.
    pub(super) fn list(&self) -> Option<Vec<Field<'a>>> {
        let DeValue::Array(values) = self.value() else {
            let problem = self.wrong_type("a list");
            self.file.report(match self.value() {
                DeValue::String(_) => problem.label("put it in [ ]"),
                _ => problem,
            });
            return None;
        };
        let field = |value: &'a Spanned<DeValue<'a>>| Field {
            file: self.file,
            path: self.path.clone(),
            subject: format!("an entry of {}", self.subject),
            key: value.span(),
            value,
        };
        Some(values.iter().map(field).collect())
    }

    /// A list of which every entry could be used.
    pub(super) fn list_of<T>(&self, one: impl Fn(&Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        // Every entry is looked at before the first failure counts.
        let entries: Vec<Option<T>> = self.list()?.iter().map(one).collect();
        entries.into_iter().collect()
    }

    /// A table with known keys.
    pub(super) fn table(&self, words: &'static Vocabulary, wanted: &str) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.value() else {
            self.file.report(self.wrong_type(wanted));
            return None;
        };
        Some(Table::open(self.file, self.path.clone(), entries, words))
    }

    /// A table whose keys are names that the author gave.
    pub(super) fn entries(&self, wanted: &str) -> Option<Vec<(&'a str, Field<'a>)>> {
        let DeValue::Table(entries) = self.value() else {
            self.file.report(self.wrong_type(wanted));
            return None;
        };
        let field = |(key, value)| Field::of_entry(self.file, &self.path, key, value);
        Some(
            entries
                .iter()
                .map(|(key, value)| (&**key.get_ref(), field((key, value))))
                .collect(),
        )
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let names = || words.iter().map(|(word, _)| *word);
            let message = format!("{} cannot be {}", self.subject, quoted(text));
            let problem = self
                .problem(Code::UnknownWord, message)
                .hint(format!("it can be {}", listed(names())));
            self.file.report(match suggest(text, names()) {
                Some(meant) => problem.label(format!("did you mean `{meant}`?")),
                None => problem,
            });
        }
        found.map(|(_, value)| *value)
    }

    /// A name of the domain.
    pub(super) fn name<T>(&self, parse: fn(&str) -> Result<T, NameError>) -> Option<Named<T>> {
        let text = self.text()?;
        match parse(text) {
            Ok(name) => Some(Named {
                name,
                span: self.value.span(),
            }),
            Err(error) => {
                let message = format!("{} is not a name", quoted(text));
                self.file.report(
                    self.problem(Code::BadName, message)
                        .label(error.to_string()),
                );
                None
            }
        }
    }

    /// The same for a name that is the key itself.
    pub(super) fn key_name<T>(
        &self,
        text: &str,
        parse: fn(&str) -> Result<T, NameError>,
    ) -> Option<Named<T>> {
        let span = self.key.clone();
        match parse(text) {
            Ok(name) => Some(Named { name, span }),
            Err(error) => {
                let message = format!("{} is not a name", quoted(text));
                self.file.report(
                    self.key_problem(Code::BadName, message)
                        .label(error.to_string()),
                );
                None
            }
        }
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        let text = match self.value() {
            DeValue::Integer(number) => {
                let label = format!("write a unit: \"{}s\"", number.as_str());
                self.file.report(self.wrong_type("a duration").label(label));
                return None;
            }
            _ => self.text()?,
        };
        match duration::parse(text) {
            Ok(duration) => Some(duration),
            Err(label) => {
                let message = format!("{} is not a duration", quoted(text));
                self.file
                    .report(self.problem(Code::BadDuration, message).label(label));
                None
            }
        }
    }
}

/// A name and where it stands.
#[derive(Debug)]
pub(super) struct Named<T> {
    pub(super) name: T,
    pub(super) span: Range<usize>,
}
