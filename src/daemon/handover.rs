//! Descriptors across a process border: one line of text with the agent's stdin
//! and stdout attached (SCM_RIGHTS).
//!
//! A plain read would drop the descriptors without a word, and a receiver that
//! has no room for another descriptor gets fewer of them and no error: hence
//! `recvmsg`, the check of the flag, and the check of the count by the caller.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use tokio::io::Interest;

/// Sends a line that ends in a newline, with descriptors attached to its first byte.
pub(crate) fn send(
    mut stream: &UnixStream,
    line: &[u8],
    descriptors: [BorrowedFd<'_>; 2],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    if !attached.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room to attach the descriptors"));
    }
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(
            stream,
            &[IoSlice::new(line)],
            &mut attached,
            SendFlags::empty(),
        )
    })?;
    stream.write_all(line.get(sent..).unwrap_or_default())
}

/// A line and what came with it.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    /// The line, without its end.
    pub(crate) line: Vec<u8>,
    /// At most two descriptors.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Descriptors were lost: there was no room for them in this process.
    pub(crate) cut: bool,
}

/// Receives one line of at most `limit` bytes; nothing if the peer left before its end.
pub(crate) async fn receive(
    stream: &tokio::net::UnixStream,
    limit: usize,
) -> io::Result<Option<Parcel>> {
    let mut parcel = Parcel::default();
    loop {
        stream.readable().await?;
        let received = stream.try_io(Interest::READABLE, || take(stream.as_fd(), &mut parcel));
        match received {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => continue,
            Err(cause) => return Err(cause),
        }
        if parcel.line.last() == Some(&b'\n') {
            parcel.line.pop();
            return Ok(Some(parcel));
        }
        if parcel.line.len() > limit {
            return Err(io::Error::other("the line is too long"));
        }
    }
}

fn take(stream: BorrowedFd<'_>, parcel: &mut Parcel) -> io::Result<usize> {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut attached,
        FLAGS,
    )?;
    for message in attached.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            parcel.descriptors.extend(descriptors);
        }
    }
    parcel.cut |= received.flags.contains(ReturnFlags::CTRUNC);
    // A second helping of descriptors is nobody's: only the first two can be meant.
    parcel.descriptors.truncate(2);
    parcel
        .line
        .extend_from_slice(bytes.get(..received.bytes).unwrap_or_default());
    Ok(received.bytes)
}

#[cfg(target_os = "linux")]
const FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
// Received descriptors may then leak into tool servers; the supervisor's own are named one by one.
#[cfg(not(target_os = "linux"))]
const FLAGS: RecvFlags = RecvFlags::empty();

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn pair() -> (UnixStream, tokio::net::UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, tokio::net::UnixStream::from_std(theirs).unwrap())
    }

    #[tokio::test]
    async fn a_line_arrives_with_its_descriptors() {
        let (ours, theirs) = pair();
        let (mut kept, given) = UnixStream::pair().unwrap();
        send(&ours, b"hello\n", [given.as_fd(), given.as_fd()]).unwrap();
        drop(given);
        let parcel = receive(&theirs, 100).await.unwrap().unwrap();
        assert_eq!(parcel.line, b"hello");
        assert!(!parcel.cut);
        let mut descriptors = parcel.descriptors.into_iter();
        let mut taken = UnixStream::from(descriptors.next().unwrap());
        assert!(descriptors.next().is_some());
        kept.write_all(b"x").unwrap();
        let mut byte = [0];
        taken.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[tokio::test]
    async fn a_line_without_descriptors_shows_as_such() {
        let (mut ours, theirs) = pair();
        ours.write_all(b"hello\n").unwrap();
        let parcel = receive(&theirs, 100).await.unwrap().unwrap();
        assert_eq!(parcel.descriptors.len(), 0);
    }

    #[tokio::test]
    async fn a_peer_that_leaves_early_said_nothing() {
        let (mut ours, theirs) = pair();
        ours.write_all(b"hel").unwrap();
        drop(ours);
        assert!(receive(&theirs, 100).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_not_collected_for_ever() {
        let (mut ours, theirs) = pair();
        ours.write_all(&[b'x'; 9000]).unwrap();
        assert!(receive(&theirs, 8192).await.is_err());
    }
}
