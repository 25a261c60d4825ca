//! The one place that prints. Text from tool servers reaches a terminal here,
//! so what people would not see is made visible.

use std::fmt::{Display, Write as _};
use std::io::{self, StdoutLock, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::hidden::{Json, Visible};
use super::steps::Steps;
use crate::daemon::own::wait_if_it_would_block;
use crate::daemon::{Failure, FailureKind};

/// Standard output.
#[derive(Debug)]
pub(super) struct Out(StdoutLock<'static>, Steps);

impl Out {
    pub(super) fn stdout(steps: Steps) -> Self {
        Self(io::stdout().lock(), steps)
    }

    /// A line for people.
    pub(super) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.0, "{}", Visible(&text.to_string()))
    }

    /// A line for people that may say what to do next, all of it ours.
    pub(super) fn step(&mut self, text: impl Display) -> io::Result<()> {
        let text = self.1.complete(&text.to_string()).into_owned();
        self.line(text)
    }

    /// Such lines.
    pub(super) fn steps<T: Display>(
        &mut self,
        lines: impl IntoIterator<Item = T>,
    ) -> io::Result<()> {
        lines.into_iter().try_for_each(|line| self.step(line))
    }

    /// A line for programs: one object, with the version of its form.
    pub(super) fn json(&mut self, row: &impl Serialize) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a, T> {
            v: u8,
            #[serde(flatten)]
            row: &'a T,
        }
        self.record(&serde_json::to_string(&Line { v: 1, row })?)
    }

    /// A line of JSON for programs, that people look at as well.
    pub(super) fn record(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.0, "{}", Json(line))
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

    /// Ends what waits for something to tell once nobody reads what is told: a write would
    /// say so, and there may be none for long.
    pub(super) fn is_heard(&self) -> io::Result<()> {
        let mut heard = [PollFd::new(&self.0, PollFlags::empty())];
        let now = Timespec::default();
        match poll(&mut heard, Some(&now)) {
            Ok(_)
                if heard
                    .iter()
                    .any(|end| end.revents().contains(PollFlags::ERR)) =>
            {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            // Who cannot be asked hears.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

/// Tells a person on stderr what is wrong and what to do.
pub(super) fn complain(failure: &Failure, steps: &Steps) {
    let said = failure.to_string();
    // What is wrong with a file is shown with the file, made visible already.
    let said = match failure.kind {
        FailureKind::Config => said,
        _ => said
            .lines()
            .map(|line| Visible(line).to_string())
            .collect::<Vec<_>>()
            .join("\n"),
    };
    let mut text = format!("tollgate: {said}\n");
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "  hint: {}", Visible(&steps.complete(hint)));
    }
    to_stderr(text.as_bytes());
}

/// A line to a person that is neither the output nor a failure.
pub(super) fn aside(text: impl Display) {
    to_stderr(format!("tollgate: {}\n", Visible(&text.to_string())).as_bytes());
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
