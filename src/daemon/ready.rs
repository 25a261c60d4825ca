//! How a daemon tells the shim that started it: "ready", or why not.
//!
//! The shim makes a socket pair and starts the daemon with one end as stdin.
//! One line comes back; an end without a line means that the daemon died.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};

use super::failure::Failure;

/// The daemon's end.
#[derive(Debug)]
pub struct Ready(Option<UnixStream>);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    Ready,
    Failed(Failure),
}

impl Ready {
    /// For a daemon that a person or a service manager started.
    #[must_use]
    pub fn nobody_waits() -> Self {
        Self(None)
    }

    /// For a daemon that a shim started: takes stdin, and leaves the shim's
    /// session so that a signal to the client's terminal or group stops here.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn inherited() -> io::Result<Self> {
        // Fails only for the leader of a group, who is already apart.
        let _ = rustix::process::setsid();
        let stdin = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let null = std::fs::File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        Ok(Self(Some(UnixStream::from(stdin))))
    }

    pub(crate) fn report(mut self, outcome: Result<(), &Failure>) {
        let Some(mut stream) = self.0.take() else {
            return;
        };
        let report = match outcome {
            Ok(()) => Report::Ready,
            Err(failure) => Report::Failed(failure.clone()),
        };
        let Ok(mut line) = serde_json::to_vec(&report) else {
            return;
        };
        line.push(b'\n');
        // A shim that has been killed does not listen, and the daemon runs all the same.
        let _ = stream.write_all(&line);
    }
}

/// The shim's end: waits for the report; nothing when the daemon died without one.
pub(crate) fn wait(stream: UnixStream) -> io::Result<Option<Result<(), Failure>>> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    match serde_json::from_str(&line)? {
        Report::Ready => Ok(Some(Ok(()))),
        Report::Failed(failure) => Ok(Some(Err(failure))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reaches_the_shim_whole() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let failure = Failure::fault("no room").hint("make room");
        Ready(Some(theirs)).report(Err(&failure));
        assert_eq!(wait(ours).unwrap(), Some(Err(failure)));
    }

    #[test]
    fn an_end_without_a_report_is_a_death() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(Ready(Some(theirs)));
        assert_eq!(wait(ours).unwrap(), None);
    }
}
