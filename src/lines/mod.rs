//! Lines over pipes and sockets: one message a line, both ways, without a
//! runtime's buffering in between.
//!
//! Used by both faces of the broker. Knows nothing of JSON-RPC but what a line
//! that is too long to keep was meant to be.

mod input;
mod output;

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use tokio::net::{UnixStream, unix::pipe};

pub use input::{Line, LineIn};
pub use output::{LineOut, Room};

/// Where lines come from.
#[derive(Debug)]
pub enum Source {
    /// The reading end of a pipe.
    Pipe(pipe::Receiver),
    /// One end of a socket pair.
    Socket(UnixStream),
}

/// Where lines go.
#[derive(Debug)]
pub enum Sink {
    /// The writing end of a pipe.
    Pipe(pipe::Sender),
    /// One end of a socket pair.
    Socket(UnixStream),
}

impl Source {
    /// Takes a descriptor over.
    ///
    /// # Errors
    /// When it is neither a pipe that can be read nor a socket.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
            FileType::Socket => socket(fd).map(Self::Socket),
            _ => {
                widen(&fd);
                pipe::Receiver::from_owned_fd(fd).map(Self::Pipe)
            }
        }
    }
}

impl Sink {
    /// Takes a descriptor over.
    ///
    /// # Errors
    /// When it is neither a pipe that can be written nor a socket.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
            FileType::Socket => socket(fd).map(Self::Socket),
            _ => {
                widen(&fd);
                pipe::Sender::from_owned_fd(fd).map(Self::Pipe)
            }
        }
    }

    /// Whether the other side is closed for good. A socket of which the other side
    /// has ended only what it says is not.
    pub(crate) fn has_no_reader(&self) -> bool {
        let nothing = PollFlags::empty();
        let mut fds = [match self {
            Self::Pipe(pipe) => PollFd::new(pipe, nothing),
            Self::Socket(socket) => PollFd::new(socket, nothing),
        }];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let gone = PollFlags::ERR | PollFlags::HUP;
        poll(&mut fds, Some(&at_once)).is_ok() && fds.iter().any(|fd| fd.revents().intersects(gone))
    }
}

/// The wish for every pipe of the protocol: a result of 1 MiB then takes 4 turns, not 16.
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 256 * 1024;

/// Makes a pipe that wide if it is narrower, as far as the system lets us: a narrow one
/// works too. One that its owner has made wider stays as it is.
fn widen(fd: &OwnedFd) {
    #[cfg(target_os = "linux")]
    if rustix::pipe::fcntl_getpipe_size(fd).is_ok_and(|bytes| bytes < PIPE_BYTES) {
        let _ = rustix::pipe::fcntl_setpipe_size(fd, PIPE_BYTES);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = fd;
}

fn socket(fd: OwnedFd) -> io::Result<UnixStream> {
    let socket = StdUnixStream::from(fd);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

    use super::*;

    #[tokio::test]
    async fn a_pipe_is_widened_and_never_narrowed() {
        for wanted in [PIPE_BYTES / 4, 4 * PIPE_BYTES] {
            let (from, to) = io::pipe().unwrap();
            // The system lets nobody have more than so much; then this changes nothing.
            let _ = fcntl_setpipe_size(&to, wanted);
            let (_probe, probe) = io::pipe().unwrap();
            let may = fcntl_setpipe_size(&probe, PIPE_BYTES).is_ok();
            let before = fcntl_getpipe_size(&from).unwrap();
            let _sink = Sink::from_fd(to.into()).unwrap();
            let least = if may { PIPE_BYTES } else { before };
            assert_eq!(fcntl_getpipe_size(&from).unwrap(), before.max(least));
        }
    }
}
