//! The one place that prints. Text from tool servers reaches a terminal here,
//! so control characters are made visible.

use std::fmt::{self, Display, Write as _};
use std::io::{self, StdoutLock, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use rustix::event::PollFlags;
use serde::Serialize;

use crate::daemon::Failure;
use crate::daemon::own::wait_if_it_would_block;

/// Standard output.
#[derive(Debug)]
pub(super) struct Out(StdoutLock<'static>);

impl Out {
    pub(super) fn stdout() -> Self {
        Self(io::stdout().lock())
    }

    /// A line for people.
    pub(super) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.0, "{}", Visible(&text.to_string()))
    }

    /// A line for programs: one object, with the version of its form.
    pub(super) fn json(&mut self, row: &impl Serialize) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a, T> {
            v: u8,
            #[serde(flatten)]
            row: &'a T,
        }
        serde_json::to_writer(&mut self.0, &Line { v: 1, row })?;
        writeln!(self.0)
    }

    /// Rows in aligned columns.
    pub(super) fn table(&mut self, rows: &[Vec<String>]) -> io::Result<()> {
        let mut widths: Vec<usize> = Vec::new();
        for row in rows {
            for (column, cell) in row.iter().enumerate() {
                let width = Visible(cell).to_string().chars().count();
                match widths.get_mut(column) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        for row in rows {
            let mut line = String::from(" ");
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String can't fail.
                let _ = write!(line, " {:width$} ", Visible(cell).to_string());
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Lines for people.
    pub(super) fn lines<T: Display>(
        &mut self,
        lines: impl IntoIterator<Item = T>,
    ) -> io::Result<()> {
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

/// Tells a person on stderr what is wrong and what to do.
pub(super) fn complain(failure: &Failure) {
    let mut text = format!("tollgate: {failure}\n");
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "  hint: {}", Visible(hint));
    }
    to_stderr(text.as_bytes());
}

/// Says something to a person that is not the output.
pub(super) fn remark(text: &str) {
    to_stderr(Visible(text).to_string().as_bytes());
}

/// Help, version or a complaint of the parser.
pub(super) fn clap(error: &clap::Error) -> ExitCode {
    // Who does not listen misses nothing that could be told elsewhere.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// A client may have given the shim one socket for everything, and the daemon
/// makes it non-blocking.
fn to_stderr(mut left: &[u8]) {
    let mut stderr = io::stderr().lock();
    while !left.is_empty() {
        match stderr.write(left) {
            Ok(0) => return,
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(cause) => {
                let waited = wait_if_it_would_block(&cause, stderr.as_fd(), PollFlags::OUT);
                if waited.is_none() {
                    return;
                }
            }
        }
    }
}

/// Text with its control and direction characters spelled out.
struct Visible<'a>(&'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() || is_direction(character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_paint_on_the_terminal() {
        let shown = Visible("a\u{1b}[2Jb\u{202e}c").to_string();
        assert_eq!(shown, "a\\u{1b}[2Jb\\u{202e}c");
    }
}
