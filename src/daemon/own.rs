//! This process's own stdin and stdout, as descriptors that a daemon can serve.
//!
//! Clients hand over pipes or unix sockets, which pass as they are. Anything
//! else (a file, a terminal, /dev/null) can't be waited for the same way, so
//! a socket pair takes its place and two threads copy.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::net::{AddressFamily, SocketType};

use super::failure::Failure;

/// Stdin and stdout, ready to be given away.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) copying: Option<Copying>,
}

/// Two threads that carry bytes between the real descriptors and a socket pair.
#[derive(Debug)]
pub(crate) struct Copying {
    output_is_through: mpsc::Receiver<io::Result<()>>,
}

impl Own {
    /// Duplicates stdin and stdout, or puts a socket pair in their place.
    pub(crate) fn take() -> io::Result<Self> {
        let stdin = dup(rustix::stdio::stdin())?;
        let stdout = dup(rustix::stdio::stdout())?;
        if can_pass(&stdin, Way::In) && can_pass(&stdout, Way::Out) {
            return Ok(Self {
                input: stdin,
                output: stdout,
                copying: None,
            });
        }
        let (ours, theirs) = UnixStream::pair()?;
        Ok(Self {
            input: dup(theirs.as_fd())?,
            output: theirs.into(),
            copying: Some(Copying::start(stdin.into(), stdout.into(), ours)?),
        })
    }
}

/// Puts /dev/null in the place of stdin and stdout. A process that keeps its
/// copies keeps the agent from seeing that the daemon has closed its own.
pub(crate) fn let_go() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

impl Copying {
    fn start(stdin: File, stdout: File, pair: UnixStream) -> io::Result<Self> {
        let (through, output_is_through) = mpsc::channel();
        let writer = pair.try_clone()?;
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(work)
        };
        spawn(
            "stdin",
            Box::new(move || {
                // Ends with the input or with the daemon; either way the other side has to know.
                let _ = copy(stdin, &writer);
                let _ = writer.shutdown(Shutdown::Write);
            }),
        )?;
        spawn(
            "stdout",
            Box::new(move || {
                let copied = copy(&pair, stdout);
                // An agent that cannot be told anything has left, whatever it still asks.
                let _ = pair.shutdown(Shutdown::Both);
                let _ = through.send(copied);
            }),
        )?;
        Ok(Self { output_is_through })
    }

    /// Waits until all that the daemon wrote has been written on.
    ///
    /// # Errors
    /// When it could not be. Who has closed its end has left, and that is no error.
    pub(crate) fn finish(&self, patience: Duration) -> Result<(), Failure> {
        match self.output_is_through.recv_timeout(patience) {
            Ok(Err(cause)) if cause.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io(
                "answers to the agent are lost: can't write to stdout",
                &cause,
            )),
            // A reader that takes longer has given up reading.
            Ok(Ok(()) | Err(_)) | Err(_) => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    In,
    Out,
}

fn can_pass(descriptor: &OwnedFd, way: Way) -> bool {
    let Ok(kind) = fstat(descriptor).map(|found| FileType::from_raw_mode(found.st_mode)) else {
        return false;
    };
    match kind {
        FileType::Fifo => goes(descriptor, way),
        FileType::Socket => is_unix_stream(descriptor),
        FileType::RegularFile
        | FileType::Directory
        | FileType::Symlink
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => false,
    }
}

fn goes(descriptor: &OwnedFd, way: Way) -> bool {
    let Ok(flags) = fcntl_getfl(descriptor) else {
        return false;
    };
    let access = flags & OFlags::ACCMODE;
    access == OFlags::RDWR
        || access
            == match way {
                Way::In => OFlags::RDONLY,
                Way::Out => OFlags::WRONLY,
            }
}

#[cfg(target_os = "linux")]
fn is_unix_stream(descriptor: &OwnedFd) -> bool {
    use rustix::net::sockopt::{socket_domain, socket_type};
    socket_domain(descriptor) == Ok(AddressFamily::UNIX)
        && socket_type(descriptor) == Ok(SocketType::STREAM)
}

#[cfg(not(target_os = "linux"))]
fn is_unix_stream(descriptor: &OwnedFd) -> bool {
    use rustix::net::{getsockname, sockopt::socket_type};
    getsockname(descriptor).is_ok_and(|name| name.address_family() == AddressFamily::UNIX)
        && socket_type(descriptor) == Ok(SocketType::STREAM)
}

fn dup(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // Above the standard three, and not for children.
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 3)?)
}

fn copy(mut from: impl Read + AsFd, mut to: impl Write + AsFd) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(cause) => {
                wait_if_it_would_block(&cause, from.as_fd(), PollFlags::IN).ok_or(cause)?;
                continue;
            }
        };
        let mut left = buffer.get(..count).unwrap_or_default();
        while !left.is_empty() {
            match to.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(cause) => {
                    wait_if_it_would_block(&cause, to.as_fd(), PollFlags::OUT).ok_or(cause)?;
                }
            }
        }
    }
}

/// Whoever shares a descriptor can have made it non-blocking; nothing when the
/// error is another.
pub(crate) fn wait_if_it_would_block(
    cause: &io::Error,
    descriptor: BorrowedFd<'_>,
    until: PollFlags,
) -> Option<()> {
    match cause.kind() {
        io::ErrorKind::Interrupted => Some(()),
        io::ErrorKind::WouldBlock => {
            // An error here shows again in the next attempt to read or write.
            let _ = poll(&mut [PollFd::from_borrowed_fd(descriptor, until)], None);
            Some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_takes_nothing_is_told_and_ends_the_session() {
        let finished = |output: OwnedFd| {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let (input, _agent) = UnixStream::pair().unwrap();
            let input = OwnedFd::from(input);
            let copying = Copying::start(input.into(), output.into(), ours).unwrap();
            theirs.write_all(b"an answer").unwrap();
            // The agent says nothing, and the session is over all the same.
            assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
            copying.finish(Duration::from_secs(60))
        };
        let full = File::options().write(true).open("/dev/full").unwrap();
        let failure = finished(full.into()).unwrap_err();
        assert!(
            failure.message.contains("can't write to stdout"),
            "{failure}"
        );
        let (gone, left) = rustix::pipe::pipe().unwrap();
        drop(gone);
        assert_eq!(finished(left), Ok(()));
    }

    #[test]
    fn pipes_pass_in_their_own_direction_only() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        assert!(can_pass(&read, Way::In) && can_pass(&write, Way::Out));
        assert!(!can_pass(&read, Way::Out) && !can_pass(&write, Way::In));
    }

    #[test]
    fn unix_stream_sockets_pass_and_others_do_not() {
        let (one, _other) = UnixStream::pair().unwrap();
        let one = OwnedFd::from(one);
        assert!(can_pass(&one, Way::In) && can_pass(&one, Way::Out));
        let (datagram, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        assert!(!can_pass(&datagram.into(), Way::In));
        let inet = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!can_pass(&inet.into(), Way::In));
    }

    #[test]
    fn files_and_devices_are_copied() {
        let file = tempfile::tempfile().unwrap();
        assert!(!can_pass(&file.into(), Way::In));
        let null = File::open("/dev/null").unwrap();
        assert!(!can_pass(&null.into(), Way::In));
    }
}
