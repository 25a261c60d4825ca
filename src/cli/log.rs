//! The log, on standard error: the service manager's, or `daemon.log` below the state.
//!
//! The one thread that serves all agents writes it. So it waits for nobody who keeps the
//! other end and does not read: a client that never looks at what its servers say, a
//! terminal that is stopped.

use std::borrow::Cow;
use std::io::{self, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing_subscriber::EnvFilter;

use crate::store::without_known;

/// What can be written to at all takes so much without a wait: `PIPE_BUF`.
const AT_ONCE: usize = 4096;

/// From here on what is to be told is told there.
pub(super) fn log_to_stderr(level: &str) {
    let filter = EnvFilter::try_from_env("TOLLGATE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // Where somebody else has set up the log, it goes there.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Unwaited)
        .with_ansi(false)
        .try_init();
}

/// Standard error, as far as somebody takes what is written there. The rest is left out:
/// a log with gaps is better than calls that hang.
struct Unwaited;

impl Write for Unwaited {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if takes_more() {
            match std::str::from_utf8(text).map(without_known) {
                // A line with a secret of a server's; beyond what is taken at once it is cut.
                Ok(Cow::Owned(clean)) => {
                    let clean = clean.as_bytes();
                    io::stderr().write(clean.get(..AT_ONCE).unwrap_or(clean))?;
                    Ok(text.len())
                }
                Ok(Cow::Borrowed(_)) | Err(_) => {
                    io::stderr().write(text.get(..AT_ONCE).unwrap_or(text))
                }
            }
        } else {
            Ok(text.len())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn takes_more() -> bool {
    let mut fds = [PollFd::from_borrowed_fd(
        rustix::stdio::stderr(),
        PollFlags::OUT,
    )];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&at_once)).is_ok()
        && fds.iter().any(|fd| fd.revents().contains(PollFlags::OUT))
}
