//! The signals that mean "stop", and one that must not.

use std::fs;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What ends a daemon in order.
pub(crate) struct Signals {
    terminate: Signal,
    /// Not those that whoever started this process had it ignore: `nohup` means that the
    /// end of the terminal is not the end, and a shell without jobs that Ctrl-C is not
    /// for what it starts in the background.
    interrupt: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let unless_ignored = |kind: SignalKind| {
            let bit = kind.as_raw_value() - 1;
            let is_ignored = ignored.checked_shr(bit.unsigned_abs()).unwrap_or(0) & 1 == 1;
            (!is_ignored).then(|| signal(kind)).transpose()
        };
        Ok(Self {
            interrupt: unless_ignored(SignalKind::interrupt())?,
            hangup: unless_ignored(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            () = came(&mut self.interrupt) => "SIGINT",
            () = came(&mut self.hangup) => "SIGHUP",
        }
    }
}

/// A file that may not grow any further (`ulimit -f`) fails the write, which is told with
/// its reason, instead of ending the process without a word.
///
/// The signal is caught, not ignored: what is caught is as usual again in programs that
/// are started from here.
pub(super) fn let_writes_fail() -> io::Result<()> {
    let too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // It stays caught when nobody listens any more.
    signal(too_large).map(drop)
}

async fn came(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// The signals that this process ignores, a bit each; none where nobody can tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
