//! One file while it is decoded: its text, its errors, the places of its
//! settings, and what must not be shown of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Code, ConfigError, Excerpt, Position};
use super::secret::{self, Reading};
use super::{Place, Source};

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
            let is_known = broken_lines.contains(&line);
            broken_lines.push(line);
            let problem = syntax_problem(error.message(), span);
            // One slip makes the parser stumble again and again; the first says it best.
            match problems.last_mut() {
                Some(last) if last.message == problem.message => {
                    last.hint = Some("a bracket or a quote may be open in a line above".into());
                }
                _ if is_known => {}
                _ => problems.push(problem),
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

    pub(super) fn entries(&'a self) -> &'a DeTable<'a> {
        self.table.get_ref()
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

    /// Remembers where the setting with this dotted key stands.
    pub(super) fn note_place(&self, key: &str, offset: usize) {
        let place = self.place(offset);
        self.places.borrow_mut().insert(key.to_owned(), place);
    }

    /// Keeps a part of the text out of every excerpt.
    pub(super) fn hide(&self, span: Range<usize>) {
        self.secrets.borrow_mut().push(span);
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

/// The parser's words, in two parts: what is wrong, what was expected.
fn syntax_problem(message: &str, span: Range<usize>) -> Problem {
    match message.split_once(", expected ") {
        Some((message, expected)) => Problem::new(Code::Syntax, message)
            .at(span)
            .label(format!("expected {expected}")),
        None => Problem::new(Code::Syntax, message).at(span),
    }
}

/// Marks every text that looks like a secret, wherever it stands: an error on
/// the same line would print it.
fn find_secrets(key: &str, table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    fn look(key: &str, value: &Spanned<DeValue<'_>>, found: &mut Vec<Range<usize>>) {
        match value.get_ref() {
            DeValue::String(text) if is_hidden(key, text) => found.push(value.span()),
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

/// A variable with a telling name is hidden even when its value is too short
/// or too plain to be called a secret.
fn is_hidden(key: &str, text: &str) -> bool {
    let is_telling = key.starts_with(".env.") && secret::names_secret(key);
    secret::looks_secret(key, text) || (is_telling && secret::read(text) == Reading::Literal)
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
