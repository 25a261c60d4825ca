//! The STOP file: a stop for the daemon that is not there to hear of it.
//!
//! One line per stop. A starting daemon puts each of them in force before it
//! serves anybody, and they stay until a person resumes. A line that cannot be
//! read, or a file without any, stops everything: `touch STOP` is a stop.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::domain::{Stop, StopScope};

/// Adds a stop. On disk when this returns.
///
/// # Errors
/// When it cannot be written.
pub fn pull(path: &Path, stop: &Stop) -> io::Result<()> {
    let mut line = serde_json::to_vec(stop)?;
    line.push(b'\n');
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&line)?;
    file.sync_all()?;
    sync_directory(path)
}

/// The stops that stand in it. What cannot be read stops everything.
#[must_use]
pub fn pulled(path: &Path) -> Vec<Stop> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(_) => String::new(),
    };
    let mut stops: Vec<Stop> = lines(&text).map(read).collect();
    if stops.is_empty() {
        stops.push(read(""));
    }
    stops
}

/// Removes a stop; says whether it was there.
///
/// # Errors
/// When the file cannot be changed: the stop then stays.
pub fn lift(path: &Path, scope: &StopScope) -> io::Result<bool> {
    let before = pulled(path);
    let rest: Vec<&Stop> = before.iter().filter(|stop| stop.scope != *scope).collect();
    if rest.len() == before.len() {
        return Ok(false);
    }
    if rest.is_empty() {
        fs::remove_file(path)?;
        return sync_directory(path).map(|()| true);
    }
    let draft = path.with_extension("new");
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
    fs::rename(&draft, path)?;
    sync_directory(path).map(|()| true)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AgentName;

    fn stop(scope: StopScope) -> Stop {
        Stop {
            scope,
            by: "ana".into(),
            text: Some("two\nlines".into()),
            at: "2026-11-20T16:05:10Z".into(),
        }
    }

    #[test]
    fn stops_are_kept_until_each_is_lifted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("STOP");
        let agent = StopScope::Agent(AgentName::parse("dev").unwrap());
        assert!(pulled(&file).is_empty());
        pull(&file, &stop(StopScope::Everything)).unwrap();
        pull(&file, &stop(agent.clone())).unwrap();
        assert_eq!(
            pulled(&file),
            [stop(StopScope::Everything), stop(agent.clone())]
        );
        assert!(lift(&file, &StopScope::Everything).unwrap());
        assert!(!lift(&file, &StopScope::Everything).unwrap());
        assert_eq!(pulled(&file), [stop(agent.clone())]);
        assert!(lift(&file, &agent).unwrap());
        assert!(!file.exists());
    }

    #[test]
    fn a_file_that_says_nothing_or_nonsense_stops_everything() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("STOP");
        for text in ["", "\n", "please stop", "{\"scope\":\"some", "\u{0}"] {
            fs::write(&file, text).unwrap();
            let stops = pulled(&file);
            assert_eq!(stops.len(), 1, "{text:?}");
            assert!(stops.iter().all(|stop| stop.scope == StopScope::Everything));
        }
        fs::write(&file, b"\xff\xfe").unwrap();
        assert_eq!(pulled(&file).len(), 1);
        assert!(lift(&file, &StopScope::Everything).unwrap());
        assert!(pulled(&file).is_empty());
    }
}
