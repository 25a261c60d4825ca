//! Finds the daemon or starts one; many shims at once start exactly one.
//!
//! Who finds none waits for its turn, looks again, and only then starts a
//! daemon. The turn ends when that daemon has reported, so the next in line
//! finds it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::daemon::{Door, Failure, FailureKind, Place, connect, open_log, ready, spawn_turn};

pub(super) fn find_or_start(place: &Place) -> Result<UnixStream, Failure> {
    if let Some(daemon) = connect(place, Door::Agent)? {
        return Ok(daemon);
    }
    let turn = spawn_turn(place)?;
    if let Some(daemon) = connect(place, Door::Agent)? {
        return Ok(daemon);
    }
    let started = start(place);
    drop(turn);
    match started {
        Ok(()) => connect(place, Door::Agent)?.ok_or_else(|| {
            Failure::fault("the daemon left as soon as it was up").hint(see_log(place))
        }),
        // Somebody started one by hand in the meantime, perhaps.
        Err(failure) if failure.kind == FailureKind::Held => {
            connect(place, Door::Agent)?.ok_or(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// Starts a daemon from this very program and waits for its report.
fn start(place: &Place) -> Result<(), Failure> {
    let failed = |cause: io::Error| Failure::io("can't start the daemon", &cause);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let log = open_log(place)?;
    let mut command = Command::new(own_program().map_err(failed)?);
    command
        .args(["daemon", "--autostarted"])
        // The place as found here, whatever made it so.
        .env("TOLLGATE_CONFIG", &place.config)
        .env("TOLLGATE_STATE", &place.state)
        .env("TOLLGATE_RUN", place.run.parent().unwrap_or(&place.run))
        // The daemon serves every agent and must not know the secret of the first.
        .env_remove(super::TOKEN)
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(log);
    let mut child = command.spawn().map_err(failed)?;
    // It holds the daemon's end, and as long as anybody does there is no end to read.
    drop(command);
    match ready::wait(ours) {
        Ok(Some(report)) => report,
        Ok(None) => {
            let how = child.wait().map_err(failed)?;
            Err(Failure::fault(format!("the daemon died at its start: {how}")).hint(see_log(place)))
        }
        Err(cause) => Err(failed(cause).hint(see_log(place))),
    }
}

fn own_program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    // Replaced by an upgrade while we were starting: the kernel still has the old one.
    let is_gone = !path.exists();
    Ok(if is_gone && cfg!(target_os = "linux") {
        Path::new("/proc/self/exe").to_path_buf()
    } else {
        path
    })
}

fn see_log(place: &Place) -> String {
    format!("its last words are in `{}`", place.daemon_log().display())
}
