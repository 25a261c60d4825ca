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

/// Makes a pipe as wide as the system lets us have it; a narrow one works too.
fn widen(fd: &OwnedFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(fd, PIPE_BYTES);
    #[cfg(not(target_os = "linux"))]
    let _ = fd;
}

fn socket(fd: OwnedFd) -> io::Result<UnixStream> {
    let socket = StdUnixStream::from(fd);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}
