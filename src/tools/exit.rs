//! How the process of a tool server ended, and the lines in which its keeper says so.
//!
//! Both ends of the control socket are the same binary of the same build, so
//! the lines need no version; an unknown one is skipped.

use std::fmt;

/// The end of the server process itself, told as soon as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned a status. 127: the command could not be found, 126: it could not be run.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// Its keeper was killed before it could tell; the server was ended.
    Lost,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with status {code}"),
            Exit::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "killed by signal {number} ({name})"),
                None => write!(f, "killed by signal {number}"),
            },
            Exit::Lost => f.write_str("ended because its keeper was killed"),
        }
    }
}

/// The end of everything a server had started, itself included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Nothing is left of it.
    Whole,
    /// So many processes could not be ended: they belong to another user, or hang in the kernel.
    Left(usize),
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gone::Whole => f.write_str("all its processes ended"),
            Gone::Left(1) => f.write_str("1 process it started could not be ended"),
            Gone::Left(count) => write!(f, "{count} processes it started could not be ended"),
        }
    }
}

/// One line from keeper to daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    Exit(Exit),
    Left(usize),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Exit(Exit::Code(code)) => write!(f, "code {code}"),
            Report::Exit(Exit::Signal(number)) => write!(f, "signal {number}"),
            Report::Exit(Exit::Lost) => f.write_str("lost"),
            Report::Left(count) => write!(f, "left {count}"),
        }
    }
}

impl Report {
    pub(crate) fn parse(line: &str) -> Option<Report> {
        if line == "lost" {
            return Some(Report::Exit(Exit::Lost));
        }
        let (word, number) = line.split_once(' ')?;
        match word {
            "code" => number.parse().ok().map(Exit::Code).map(Report::Exit),
            "signal" => number.parse().ok().map(Exit::Signal).map(Report::Exit),
            "left" => number.parse().ok().map(Report::Left),
            _ => None,
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    use rustix::process::Signal;
    [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::SYS, "SIGSYS"),
    ]
    .into_iter()
    .find_map(|(signal, name)| (signal.as_raw() == number).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_told_in_words() {
        assert_eq!(Exit::Code(1).to_string(), "exited with status 1");
        assert_eq!(Exit::Signal(9).to_string(), "killed by signal 9 (SIGKILL)");
        assert_eq!(Exit::Signal(40).to_string(), "killed by signal 40");
    }

    #[test]
    fn what_a_keeper_writes_is_what_the_daemon_reads() {
        for report in [
            Report::Exit(Exit::Code(0)),
            Report::Exit(Exit::Signal(15)),
            Report::Exit(Exit::Lost),
            Report::Left(3),
        ] {
            assert_eq!(Report::parse(&report.to_string()), Some(report));
        }
        assert_eq!(Report::parse("hello 1"), None);
        assert_eq!(Report::parse("code x"), None);
    }
}
