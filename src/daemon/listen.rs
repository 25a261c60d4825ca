//! The daemon's sockets: made under the lock, removed under the lock.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::failure::Failure;
use super::lock::StateLock;
use super::place::effective_uid;
use crate::control::{Refused, RefusedCode};

/// A socket that others can connect to; its name goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
    /// Of the file. As long as this listens, nobody else gets the same.
    file: File,
}

/// What tells a file from all others.
type File = (u64, u64);

impl Listener {
    /// Listens at `path`, in place of whatever was there. Who shows the lock is
    /// the only daemon of this state, so what was there is stale.
    pub(crate) fn bind(path: PathBuf, _lock: &StateLock) -> Result<Self, Failure> {
        match bind(&path) {
            Ok((listener, file)) => Ok(Self {
                listener,
                path,
                file,
            }),
            Err(cause) => Err(Failure::io(
                format_args!("can't listen at `{}`", path.display()),
                &cause,
            )),
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether who connects at the path comes here. What cannot be looked at does not count.
    pub(crate) fn is_ours(&self) -> bool {
        file(&self.path).is_ok_and(|file| file == self.file)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // By now it may be the next daemon's.
        if self.is_ours() {
            // Nobody can be told here, and a name left behind is only stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file(path: &Path) -> io::Result<File> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn bind(path: &Path) -> io::Result<(UnixListener, File)> {
    let unfinished = path.with_extension("sock.new");
    match fs::remove_file(&unfinished) {
        Ok(()) => {}
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(cause),
    }
    let listener = UnixListener::bind(&unfinished)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    let file = file(&unfinished)?;
    // In one step: there is no moment without a socket, or with one that is open to others.
    fs::rename(&unfinished, path)?;
    Ok((listener, file))
}

/// The process at the other end, if it belongs to the same user.
pub(crate) fn peer(stream: &UnixStream) -> Result<u32, Refused> {
    let peer = stream.peer_cred().map_err(|cause| {
        Refused::new(
            RefusedCode::OtherUser,
            format!("can't tell who connects: {cause}"),
        )
    })?;
    same_user(peer.uid(), effective_uid())?;
    Ok(peer
        .pid()
        .and_then(|pid| u32::try_from(pid).ok())
        .unwrap_or(0))
}

fn same_user(theirs: u32, ours: u32) -> Result<(), Refused> {
    if theirs == ours {
        return Ok(());
    }
    Err(Refused::new(
        RefusedCode::OtherUser,
        format!("the daemon belongs to user {ours}, and this is user {theirs}"),
    )
    .hint("each user has a tollgate of their own"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_is_refused_even_root() {
        assert_eq!(same_user(1000, 1000), Ok(()));
        let refused = same_user(0, 1000).unwrap_err();
        assert_eq!(refused.code, RefusedCode::OtherUser);
        assert!(refused.message.contains("1000"));
    }
}
