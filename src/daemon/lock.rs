//! The lock that makes one daemon per state directory.
//!
//! The kernel drops it with its holder, so it is never stale. The file also
//! says who holds it: for messages, and for finding the sockets when two
//! processes of one user have different environments. What it says outlives
//! the holder; only the lock itself tells whether somebody is there.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::failure::{Failure, FailureKind};
use super::place::Place;
use crate::control::proto::VERSION;

/// The lock on the state. Held until dropped.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

/// Who holds the lock, or held it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Its configuration directory.
    pub config: String,
    /// The directory of its sockets.
    pub run: PathBuf,
    /// It serves one agent in its own process and takes no other.
    pub embedded: bool,
    /// It is no daemon: it works on the state of one that does not run.
    #[serde(default)]
    pub works: bool,
}

impl StateLock {
    /// Takes the lock. A holder that is on its way out is waited for; `is_served`
    /// tells whether there is one that means to stay.
    pub(crate) fn take(
        place: &Place,
        embedded: bool,
        is_served: impl Fn() -> bool,
    ) -> Result<Self, Failure> {
        Self::take_as(&Holder::new(place, embedded), place, is_served)
    }

    fn take_as(
        holder: &Holder,
        place: &Place,
        is_served: impl Fn() -> bool,
    ) -> Result<Self, Failure> {
        let path = place.daemon_lock();
        let file = open(&path)?;
        for attempt in 0..ATTEMPTS {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Self { file }.sign(holder, &path),
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let stays = Holder::read(place).is_some_and(|holder| holder.embedded);
                    if stays && attempt >= ATTEMPTS_IF_EMBEDDED || is_served() {
                        break;
                    }
                }
                Err(cause) => {
                    return Err(Failure::io(
                        format_args!("can't lock `{}`", path.display()),
                        &cause.into(),
                    ));
                }
            }
            thread::sleep(PAUSE);
        }
        Err(held(place))
    }

    /// Takes it if nobody has it: for who works on the state of a tollgate that does not
    /// run.
    ///
    /// # Errors
    /// When somebody has it.
    pub fn take_free(place: &Place) -> Result<Self, Failure> {
        let works = Holder {
            works: true,
            ..Holder::new(place, false)
        };
        // Who only asks whether somebody has it has it for a moment.
        let looks = Cell::new(0);
        Self::take_as(&works, place, || looks.replace(looks.get() + 1) >= LOOKS)
    }

    fn sign(mut self, holder: &Holder, path: &Path) -> Result<Self, Failure> {
        self.write(holder).map_err(|cause| {
            Failure::io(format_args!("can't write `{}`", path.display()), &cause)
        })?;
        Ok(self)
    }

    fn write(&mut self, holder: &Holder) -> io::Result<()> {
        let mut line = serde_json::to_vec(holder)?;
        line.push(b'\n');
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&line)
    }
}

impl Holder {
    fn new(place: &Place, embedded: bool) -> Self {
        Self {
            pid: std::process::id(),
            version: VERSION.to_owned(),
            config: place.config_text(),
            run: place.run.clone(),
            embedded,
            works: false,
        }
    }

    /// What the lock's file says; nothing if it is missing or half written.
    #[must_use]
    pub fn read(place: &Place) -> Option<Self> {
        let mut text = String::new();
        File::open(place.daemon_lock())
            .ok()?
            .take(64 * 1024)
            .read_to_string(&mut text)
            .ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// Whether somebody holds the lock of this place. What cannot be told counts as
/// held.
#[must_use]
pub fn is_held(place: &Place) -> bool {
    match File::open(place.daemon_lock()) {
        // Shared and at once given back: a daemon that starts meanwhile tries again.
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(cause) => cause.kind() != io::ErrorKind::NotFound,
    }
}

/// A holder that was killed keeps the lock until its last write is through, and
/// one that stops in order until its agents have their answers: 20 s in all.
const ATTEMPTS: u32 = 1000;
const ATTEMPTS_IF_EMBEDDED: u32 = 25;
const PAUSE: Duration = Duration::from_millis(20);
/// Who looks whether it is held gives it back at once.
const LOOKS: u32 = 10;

fn held(place: &Place) -> Failure {
    let state = place.state.display();
    let Some(holder) = Holder::read(place) else {
        return Failure::new(
            FailureKind::Held,
            format!("another process holds the state in `{state}`"),
        );
    };
    let Holder {
        pid,
        version,
        config,
        ..
    } = &holder;
    let failure = Failure::new(
        FailureKind::Held,
        format!(
            "process {pid} (tollgate {version}, configuration `{config}`) holds the state in `{state}`"
        ),
    );
    if holder.works {
        failure.hint("it works on the state, and ends by itself")
    } else if holder.embedded {
        failure.hint("it is a `tollgate stdio --embedded`, which shares its state with nobody")
    } else {
        failure.hint(format!(
            "end it with `tollgate stop-daemon`, or `kill {pid}` if that is not answered"
        ))
    }
}

/// Waits for its turn to start a daemon; released when dropped.
pub(crate) fn spawn_turn(place: &Place) -> Result<File, Failure> {
    let path = place.spawn_lock();
    let file = open(&path)?;
    rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)).map_err(|cause| {
        Failure::io(
            format_args!("can't lock `{}`", path.display()),
            &cause.into(),
        )
    })?;
    Ok(file)
}

fn open(path: &Path) -> Result<File, Failure> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|cause| out_of_reach(path, &cause))
}

/// Opens the daemon's log for appending; one that has grown is put aside first.
pub(crate) fn open_log(place: &Place) -> Result<File, Failure> {
    let path = place.daemon_log();
    if fs::metadata(&path).is_ok_and(|found| found.len() > LOG_LIMIT) {
        // A log that can't be put aside is still a log.
        let _ = fs::rename(&path, path.with_extension("log.old"));
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(|cause| out_of_reach(&path, &cause))
}

fn out_of_reach(path: &Path, cause: &io::Error) -> Failure {
    Failure::io(format_args!("can't open `{}`", path.display()), cause)
        .hint("the state directory must be writable; `TOLLGATE_STATE` names another one")
}

const LOG_LIMIT: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(home: &Path) -> Place {
        Place {
            config: home.join("config"),
            state: home.to_path_buf(),
            run: home.join("run"),
            id: "0".into(),
            joins: None,
        }
    }

    #[test]
    fn a_state_that_cannot_be_written_is_told_with_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());
        fs::create_dir(home.path().join("daemon.lock")).unwrap();
        let failure = StateLock::take(&place, false, || false).unwrap_err();
        assert!(failure.message.contains("daemon.lock"), "{failure}");
        assert!(failure.hint.unwrap().contains("must be writable"));
    }

    #[test]
    fn the_second_to_lock_is_told_who_is_first() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());
        let first = StateLock::take(&place, false, || false).unwrap();
        let failure = StateLock::take(&place, false, || true).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Held);
        let pid = std::process::id().to_string();
        assert!(failure.message.contains(&pid), "{failure}");
        assert!(failure.message.contains(VERSION), "{failure}");
        assert!(failure.hint.unwrap().contains("stop-daemon"));
        drop(first);
        assert!(StateLock::take(&place, false, || true).is_ok());
    }

    #[test]
    fn what_the_lock_says_outlives_its_holder() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());
        assert_eq!(Holder::read(&place), None);
        drop(StateLock::take(&place, false, || true).unwrap());
        assert_eq!(Holder::read(&place).unwrap().run, place.run);
    }
}
