//! One file while it is decoded: its text, its errors, the places of its
//! settings, and what must not be shown of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

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
    lines: Lines,
    /// Lines that TOML itself could not read: what else is wrong there is noise.
    broken_lines: BTreeSet<usize>,
    /// Lines below a header that could not be read: whose keys they are, nobody knows.
    homeless: Vec<Range<usize>>,
    problems: RefCell<Vec<Problem>>,
    places: RefCell<BTreeMap<String, Place>>,
    secrets: RefCell<Vec<Range<usize>>>,
}

impl<'a> File<'a> {
    pub(super) fn parse(source: &'a Source) -> Self {
        let (table, syntax) = DeTable::parse_recoverable(&source.text);
        let mut secrets: Vec<_> = secret::known_tokens(&source.text).collect();
        find_secrets("", table.get_ref(), &mut secrets);
        let lines = Lines::of(&source.text);
        let mut broken_lines = BTreeSet::new();
        let mut misread = BTreeSet::new();
        let mut problems: Vec<Problem> = Vec::new();
        for error in syntax {
            let span = error.span().unwrap_or_default();
            // One slip makes the parser stumble again and again; the first says it best.
            let line = lines.position(&source.text, span.start).line;
            let is_first = broken_lines.insert(line);
            // One that is there twice opens its table all the same.
            if error.message() != "duplicate key" {
                misread.insert(line);
            }
            let problem = syntax_problem(error.message(), span);
            match problems.last_mut() {
                Some(last) if last.message == problem.message && is_about_brackets(last) => {
                    last.hint = Some("a bracket may be open in a line above".into());
                }
                None | Some(_) if is_first => problems.push(problem),
                None | Some(_) => {}
            }
        }
        File {
            source,
            table,
            lines,
            homeless: homeless(&source.text, &misread),
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
        let line = problem.span.as_ref();
        let line = line.map(|span| self.lines.position(&self.source.text, span.start).line);
        let on_broken_line = line.is_some_and(|line| self.broken_lines.contains(&line));
        let is_homeless = line.is_some_and(|line| {
            let mut lines = self.homeless.iter();
            problem.code == Code::UnknownKey && lines.any(|lines| lines.contains(&line))
        });
        let is_absence = match problem.code {
            Code::MissingKey | Code::NoLaunch | Code::NoOwner => !self.is_whole(),
            _ => false,
        };
        if !on_broken_line && !is_homeless && !is_absence {
            self.problems.borrow_mut().push(problem);
        }
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        let Position { line, column } = self.lines.position(&self.source.text, offset);
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
        let text = &self.source.text;
        let shown = masked(text, &self.secrets.into_inner());
        let path: PathBuf = self.source.path.clone();
        let mut problems = self.problems.into_inner();
        without_what_is_misspelt(&mut problems);
        problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        problems
            .into_iter()
            .map(|problem| ConfigError {
                code: problem.code,
                message: problem.message,
                label: problem.label,
                hint: problem.hint,
                path: path.clone(),
                excerpt: problem.span.map(|span| {
                    let around = self.lines.around(text, &span);
                    Excerpt {
                        start: self.lines.position(text, span.start),
                        end: self.lines.position(text, span.end),
                        lines: shown.get(around.clone()).unwrap_or_default().to_owned(),
                        bytes: span.start - around.start..span.end - around.start,
                    }
                }),
            })
            .collect()
    }
}

/// A key that is misspelt is not missing as well. One of the same name that is missing
/// elsewhere in the file is told the next time.
fn without_what_is_misspelt(problems: &mut Vec<Problem>) {
    let meant: BTreeSet<String> = problems
        .iter()
        .filter(|problem| problem.code == Code::UnknownKey)
        .filter_map(|problem| Some(problem.label.as_ref()?.split('`').nth(1)?.to_owned()))
        .collect();
    problems.retain(|problem| match problem.code {
        Code::NoLaunch => !meant.contains("command"),
        Code::NoOwner => !meant.contains("owner"),
        _ => true,
    });
}

/// The lines from each broken header to the next that is whole.
fn homeless(text: &str, misread: &BTreeSet<usize>) -> Vec<Range<usize>> {
    let is_header = |line: &str| line.trim_start().starts_with('[');
    let headers = text.lines().zip(1..).filter(|(line, _)| is_header(line));
    let headers: Vec<usize> = headers.map(|(_, line)| line).collect();
    let ends = headers.iter().skip(1).copied().chain([usize::MAX]);
    let tables = headers.iter().copied().zip(ends);
    tables
        .filter(|(header, _)| misread.contains(header))
        .map(|(header, end)| header + 1..end)
        .collect()
}

/// Where the lines of a text begin.
#[derive(Debug)]
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines(std::iter::once(0).chain(breaks).collect())
    }

    fn position(&self, text: &str, offset: usize) -> Position {
        let line = self.0.partition_point(|start| *start <= offset);
        let start = self.0.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = text.get(start..offset).unwrap_or_default();
        Position {
            line,
            column: before.chars().count() + 1,
        }
    }

    /// The span, widened to whole lines without the last break.
    fn around(&self, text: &str, span: &Range<usize>) -> Range<usize> {
        let first = self.0.partition_point(|start| *start <= span.start);
        let start = self.0.get(first.saturating_sub(1)).copied().unwrap_or(0);
        let rest = text.get(span.end..).unwrap_or_default();
        let end = rest.find('\n').map_or(text.len(), |at| span.end + at);
        start..end
    }
}

/// An open bracket swallows what follows, line by line.
fn is_about_brackets(problem: &Problem) -> bool {
    ["array", "inline table"]
        .iter()
        .any(|word| problem.message.contains(word))
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
    let mut hidden = vec![false; text.len()];
    for range in secrets {
        hidden.get_mut(range.clone()).unwrap_or_default().fill(true);
    }
    text.char_indices()
        .flat_map(|(at, c)| {
            let is_hidden = hidden.get(at) == Some(&true) && !matches!(c, '"' | '\'' | '\n' | '\r');
            let (shown, times) = if is_hidden {
                ('*', c.len_utf8())
            } else {
                (c, 1)
            };
            std::iter::repeat_n(shown, times)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_not_bytes() {
        let text = "é = 1\nänder = 2\n";
        let offset = text.find("= 2").unwrap();
        let position = Lines::of(text).position(text, offset);
        assert_eq!(position, Position { line: 2, column: 7 });
    }

    #[test]
    fn an_excerpt_is_the_whole_line() {
        let text = "a = 1\nb = 2\nc = 3";
        let lines = Lines::of(text);
        let around = |part: &str| {
            let at = text.find(part).unwrap();
            text.get(lines.around(text, &(at..at + part.len())))
                .unwrap()
        };
        assert_eq!(around("2"), "b = 2");
        assert_eq!(around("c = 3"), "c = 3");
        assert_eq!(around("1\nb"), "a = 1\nb = 2");
    }

    #[test]
    fn a_mask_keeps_every_offset() {
        let text = "a = \"päss\"\nb";
        let secret = 4..11;
        let masked = masked(text, std::slice::from_ref(&secret));
        assert_eq!(masked, "a = \"*****\"\nb");
        assert_eq!(masked.len(), text.len());
    }
}
