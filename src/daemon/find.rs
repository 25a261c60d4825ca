//! Finds the daemon of a place and connects to it.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::failure::Failure;
use super::lock::{Holder, is_held};
use super::place::{BY_CONFIG, Place, effective_uid, inspect};

/// The two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// For shims.
    Agent,
    /// For the command line.
    Control,
}

impl Door {
    fn of(self, place: &Place) -> std::path::PathBuf {
        match self {
            Door::Agent => place.agent_socket(),
            Door::Control => place.control_socket(),
        }
    }
}

/// Connects to the daemon, or tells that none runs. Makes nothing.
///
/// # Errors
/// When a directory on the way is not private, or the socket can't be used.
pub fn connect(place: &Place, door: Door) -> Result<Option<UnixStream>, Failure> {
    // A state directory that was moved away takes the lock's file with it, not the
    // daemon: that one is found by its sockets.
    let there = inspect(&place.state)?;
    // Clients strip the environment of what they start, so a daemon of the same
    // state may have put its sockets elsewhere. The lock's file tells where.
    if there
        && let Some(holder) = Holder::read(place)
        && holder.run != place.run
    {
        let there = Place {
            run: holder.run,
            ..place.clone()
        };
        match knock(&there, door) {
            Ok(Some(stream)) => return Ok(Some(stream)),
            Ok(None) => {}
            Err(failure) if is_held(place) => return Err(failure),
            // It says where one was that is gone, and whose that place is now is nobody's
            // business here.
            Err(_) => {}
        }
    }
    knock(place, door)
}

/// The other configurations of this user for which a daemon runs: a command without the
/// `--config` that the agent was started with looks in the wrong place.
#[must_use]
pub fn elsewhere(place: &Place) -> Vec<String> {
    let Some(shared) = place.shared_state() else {
        return Vec::new();
    };
    let others = std::fs::read_dir(shared.join(BY_CONFIG));
    let others = others.into_iter().flatten().flatten();
    let mut configs: Vec<String> = std::iter::once(shared.to_path_buf())
        .chain(others.map(|entry| entry.path()))
        .filter(|state| *state != place.state)
        .map(|state| Place {
            state,
            ..place.clone()
        })
        .filter(is_held)
        .filter_map(|there| Holder::read(&there).filter(|holder| !holder.works))
        .map(|holder| holder.config)
        .collect();
    configs.sort_unstable();
    configs
}

/// Who is behind the control socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    /// Nobody.
    Nobody,
    /// This process, as the kernel tells it.
    Process(u32),
    /// Somebody, who lets nobody in any more.
    Somebody,
}

/// Who listens where the command line connects, whatever the lock's file says: that can be
/// removed, and anybody of the same user can write another name into it. Waits for nothing.
#[cfg(target_os = "linux")]
#[must_use]
pub fn who_listens(place: &Place) -> Listens {
    use rustix::io::Errno;
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    };
    let run = Holder::read(place).map_or_else(|| place.run.clone(), |holder| holder.run);
    let path = Door::Control.of(&Place {
        run,
        ..place.clone()
    });
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let knocked = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .and_then(|socket| connect(&socket, &SocketAddrUnix::new(&path)?).map(|()| socket));
    match knocked.and_then(rustix::net::sockopt::socket_peercred) {
        Ok(peer) => Listens::Process(peer.pid.as_raw_nonzero().get().unsigned_abs()),
        Err(Errno::AGAIN) => Listens::Somebody,
        Err(_) => Listens::Nobody,
    }
}

/// Elsewhere only the lock tells.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn who_listens(_: &Place) -> Listens {
    Listens::Nobody
}

fn knock(place: &Place, door: Door) -> Result<Option<UnixStream>, Failure> {
    let base = place.run.parent().unwrap_or(Path::new("/"));
    if !inspect(base)? || !inspect(&place.run)? {
        return Ok(None);
    }
    let path = door.of(place);
    match UnixStream::connect(&path) {
        Ok(stream) => {
            same_user(&stream)?;
            Ok(Some(stream))
        }
        Err(cause) => match cause.kind() {
            // Not there, or left behind by a daemon that is gone.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(Failure::io(
                format_args!("can't connect to `{}`", path.display()),
                &cause,
            )),
        },
    }
}

/// The directory is private, so this can't differ unless root is involved.
#[cfg(target_os = "linux")]
fn same_user(stream: &UnixStream) -> Result<(), Failure> {
    let peer = rustix::net::sockopt::socket_peercred(stream)
        .map_err(|cause| Failure::io("can't tell who listens", &cause.into()))?;
    let (theirs, ours) = (peer.uid.as_raw(), effective_uid());
    if theirs == ours {
        return Ok(());
    }
    Err(Failure::fault(format!(
        "the daemon belongs to user {theirs}, and this is user {ours}"
    )))
}

/// Elsewhere the daemon's own check and the private directory have to do.
#[cfg(not(target_os = "linux"))]
fn same_user(_: &UnixStream) -> Result<(), Failure> {
    let _ = effective_uid;
    Ok(())
}
