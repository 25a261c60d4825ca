//! The STOP file: a stop for the daemon that is not there to hear of it.
//!
//! One line per stop. A starting daemon sets the file aside, puts each of them in force
//! before it serves anybody, and they stay until a person resumes. A line that cannot be
//! read, or a file without any, stops everything: `touch STOP` is a stop.

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::domain::{Fault, Stop, StopScope};

/// A file that was replaced so often while it was opened is not worth another try: who
/// does nothing but replace it keeps neither a stop nor a start waiting for ever.
const TRIES: u32 = 10;

/// More is not read: nobody lays thousands of stops, and a name can lead to a device that
/// has no end.
const LONGEST: u64 = 1 << 20;

/// Adds a stop. On disk when this returns. What stands there and is no file, which can hold
/// none and stops everything, gives way to one that says the same.
///
/// # Errors
/// When it cannot be written.
pub fn pull(path: &Path, stop: &Stop) -> io::Result<()> {
    let mut line = line(stop)?;
    for _ in 0..TRIES {
        if is_no_file(path)? {
            remove(path)?;
            if stop.scope != StopScope::Everything {
                line.extend(self::line(&read(""))?);
            }
        }
        let (mut file, _) = held(path, OpenOptions::new().append(true).create(true))?;
        file.write_all(&line)?;
        file.sync_all()?;
        // It may have been replaced or set aside meanwhile by somebody who did not wait
        // for us, and who may have read it before. Rather laid twice than not at all.
        if stands_at(path, &file)? {
            return sync_directory(path);
        }
    }
    Err(taken("the STOP file is replaced all the time"))
}

/// The stops that stand in it, those included that a start has set aside and died with.
/// What cannot be read stops everything.
#[must_use]
pub fn pulled(path: &Path) -> Vec<Stop> {
    let mut stops = stops_in(&aside(path));
    stops.extend(stops_in(path));
    stops
}

/// Removes what stops this; says whether it was there.
///
/// # Errors
/// When the file cannot be changed: the stop then stays.
pub fn lift(path: &Path, scope: &StopScope) -> io::Result<bool> {
    lift_all(path, |stop| stop.scope == *scope)
}

/// Removes a stop that was shown to somebody, and none that was laid since.
///
/// # Errors
/// When the file cannot be changed: the stop then stays.
pub fn lift_shown(path: &Path, shown: &Stop) -> io::Result<bool> {
    lift_all(path, |stop| stop == shown)
}

fn lift_all(path: &Path, goes: impl Fn(&Stop) -> bool) -> io::Result<bool> {
    let set_aside = lift_from(&aside(path), &goes)?;
    Ok(lift_from(path, &goes)? || set_aside)
}

/// Puts every stop in force and removes the file. It is set aside first, in one step: a
/// stop that is laid meanwhile is in a file of its own, for the next start.
///
/// # Errors
/// When a stop cannot be put in force: the file stays, where [`pulled`] finds it.
pub(super) fn honour(path: &Path, put: impl FnMut(Stop) -> Result<(), Fault>) -> Result<(), Fault> {
    honour_within(path, PATIENCE, put)
}

fn honour_within(
    path: &Path,
    patience: Duration,
    mut put: impl FnMut(Stop) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let aside = aside(path);
    let mut empty = |path: &Path| empty(path, patience, &mut put);
    // What an earlier start has died with. It may have been recorded, and is again.
    empty(&aside)?;
    match fs::rename(path, &aside) {
        Ok(()) => empty(&aside),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => empty(path),
    }
}

fn empty(
    path: &Path,
    patience: Duration,
    put: &mut impl FnMut(Stop) -> Result<(), Fault>,
) -> Result<(), Fault> {
    // Who opened it before it was set aside may be writing still. What cannot be opened
    // stops everything.
    let _held = held_within(path, patience, OpenOptions::new().read(true));
    let stops = stops_in(path);
    if stops.is_empty() {
        return Ok(());
    }
    stops.into_iter().try_for_each(put)?;
    if let Err(cause) = remove(path) {
        // The next start stops again, which is the safe side.
        tracing::warn!("can't remove {}: {cause}", path.display());
    }
    Ok(())
}

/// Also an empty directory of its name.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() == io::ErrorKind::IsADirectory => fs::remove_dir(path),
        removed => removed,
    }
}

fn lift_from(path: &Path, goes: impl Fn(&Stop) -> bool) -> io::Result<bool> {
    // Nobody adds to it while it is replaced: who would not wait could lose a stop. What
    // cannot be opened can be removed.
    let held = match held(path, OpenOptions::new().read(true)) {
        Ok((file, Turn::Had)) => Some(file),
        Ok((_, Turn::Missed)) => return Err(taken("somebody else holds the STOP file")),
        Err(_) => None,
    };
    let before = stops_in(path);
    let mut rest = before.clone();
    rest.retain(|stop| !goes(stop));
    if rest.len() == before.len() {
        return Ok(false);
    }
    replace(path, held.as_ref(), &before, &rest).map(|()| true)
}

/// Puts the `rest` in the place of what was there `before`.
fn replace(path: &Path, held: Option<&File>, before: &[Stop], rest: &[Stop]) -> io::Result<()> {
    // Who could not wait for us, or found no file while it was set aside, has laid a stop.
    let untouched = || match held {
        Some(file) if !stands_at(path, file)? || stops_in(path) != before => {
            Err(taken("a stop was laid at this moment"))
        }
        Some(_) | None => Ok(()),
    };
    if rest.is_empty() {
        untouched()?;
        fs::remove_file(path)?;
        return sync_directory(path);
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    for stop in rest {
        serde_json::to_writer(&mut file, stop)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()?;
    untouched()?;
    fs::rename(&draft, path)?;
    sync_directory(path)
}

fn taken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, why)
}

/// Whether it is ours alone for as long as it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Had,
    /// Somebody else held it for too long.
    Missed,
}

/// Opens the file and holds it until it is dropped: nobody else who asks writes to it,
/// replaces or empties it meanwhile, unless our turn did not come.
fn held(path: &Path, options: &mut OpenOptions) -> io::Result<(File, Turn)> {
    held_within(path, PATIENCE, options)
}

fn held_within(
    path: &Path,
    patience: Duration,
    options: &mut OpenOptions,
) -> io::Result<(File, Turn)> {
    let mut tries = 0;
    loop {
        let file = open(path, options)?;
        let turn = wait_for_turn(&file, patience);
        // While we waited it may have got another name, and this name another file.
        if stands_at(path, &file)? {
            return Ok((file, turn));
        }
        tries += 1;
        if tries == TRIES {
            return Ok((file, Turn::Missed));
        }
    }
}

/// How long whoever has the file is waited for: a line is laid in less, unless the disk is
/// slow, and who holds it for ever does not want it laid.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits for whoever has the file. On a disk that knows no locks there is nobody to wait
/// for. Laid or honoured out of turn is better than not; lifted is not.
fn wait_for_turn(file: &File, patience: Duration) -> Turn {
    let mut waited = Duration::ZERO;
    while waited < patience {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Ok(()) | Err(TryLockError::Error(_)) => return Turn::Had,
        }
        waited += PAUSE;
    }
    Turn::Missed
}

/// Whether a file that was opened at a path still is what stands there.
fn stands_at(path: &Path, file: &File) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(is_same(&found, &file.metadata()?)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Where a start sets it aside.
fn aside(path: &Path) -> PathBuf {
    path.with_extension("taken")
}

fn line(stop: &Stop) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(stop)?;
    line.push(b'\n');
    Ok(line)
}

/// Whether something stands there that is no file: a pipe, a device.
fn is_no_file(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(!found.is_file()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// Opens a file and nothing else, and does not wait: a pipe would be waited on for ever.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let at_once = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.mode(0o600).custom_flags(at_once).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a file",
        )),
    }
}

fn stops_in(path: &Path) -> Vec<Stop> {
    let mut text = String::new();
    let file = open(path, OpenOptions::new().read(true));
    match file.and_then(|file| file.take(LONGEST).read_to_string(&mut text)) {
        Ok(length) if (length as u64) < LONGEST => {}
        Ok(_) => text.clear(),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(_) => text.clear(),
    }
    let mut stops: Vec<Stop> = lines(&text).map(read).collect();
    if stops.is_empty() {
        stops.push(read(""));
    }
    stops
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn read(line: &str) -> Stop {
    serde_json::from_str(line).unwrap_or_else(|_| Stop {
        scope: StopScope::Everything,
        by: "the STOP file".to_owned(),
        text: (!line.is_empty()).then(|| line.chars().take(200).collect()),
        at: String::new(),
    })
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
