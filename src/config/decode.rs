//! The hand decoder: TOML values to types, errors collected instead of returned.
//!
//! A value that cannot be used is reported with its place and answered with
//! `None`; the caller goes on, so that one pass finds everything. What the keys
//! mean is told in the files beside this one.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Code, listed, quoted, suggest};
use super::file::{File, Problem};
use super::{Place, duration};
use crate::domain::NameError;

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
    /// The table that a whole file is.
    pub(super) fn root(file: &'a File<'a>, words: &'static Vocabulary) -> Self {
        Table::open(file, String::new(), file.entries(), words)
    }

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
        file.note_place(&path, key.span().start);
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

    /// Its place as the rules of the domain carry it.
    pub(super) fn at(&self) -> crate::domain::Place {
        (&self.place()).into()
    }

    /// Whether it is the word that lifts a limit.
    pub(super) fn is_none(&self) -> bool {
        self.value().as_str() == Some("none")
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
        self.file.hide(self.value.span());
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
        let names = || words.iter().map(|(word, _)| *word);
        let DeValue::String(text) = self.value() else {
            let problem = self.wrong_type("a word");
            self.file
                .report(problem.hint(format!("it can be {}", listed(names()))));
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text);
        if found.is_none() {
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
