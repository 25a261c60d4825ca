//! What /proc tells about other processes: parents, children, environment.
//!
//! Every answer may be stale when it arrives. Callers either hold the lock of
//! the reaper, so that no child of theirs can vanish, or hold a pidfd.

use rustix::process::Pid;
use std::fs;
use std::io;

/// Every process there is.
pub(crate) fn all() -> Vec<Pid> {
    numbers("/proc").unwrap_or_default()
}

/// The children of a process, in all its threads.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    // A kernel without CONFIG_PROC_CHILDREN has no such file: then each process is asked for its parent.
    children_by_thread(pid).unwrap_or_else(|_| {
        let parented = |child: &Pid| parent(*child) == Some(pid);
        all().into_iter().filter(parented).collect()
    })
}

fn children_by_thread(pid: Pid) -> io::Result<Vec<Pid>> {
    let tasks = format!("/proc/{}/task", pid.as_raw_pid());
    let mut found = Vec::new();
    for thread in numbers(&tasks)? {
        let list = fs::read_to_string(format!("{tasks}/{}/children", thread.as_raw_pid()))?;
        found.extend(list.split_whitespace().filter_map(pid_of));
    }
    Ok(found)
}

/// The parent of a process.
pub(crate) fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    // `pid (name) state parent …`: the name may hold anything, brackets too.
    let stat = String::from_utf8_lossy(&stat);
    let (_, rest) = stat.rsplit_once(')')?;
    pid_of(rest.split_whitespace().nth(1)?)
}

/// Whether a process was started with all these `NAME=value` entries.
pub(crate) fn carries(pid: Pid, entries: &[String]) -> bool {
    let Ok(environ) = fs::read(format!("/proc/{}/environ", pid.as_raw_pid())) else {
        return false;
    };
    entries.iter().all(|entry| {
        environ
            .split(|byte| *byte == 0)
            .any(|found| found == entry.as_bytes())
    })
}

fn numbers(directory: &str) -> io::Result<Vec<Pid>> {
    let named = |entry: io::Result<fs::DirEntry>| pid_of(entry.ok()?.file_name().to_str()?);
    Ok(fs::read_dir(directory)?.filter_map(named).collect())
}

fn pid_of(text: &str) -> Option<Pid> {
    text.parse().ok().and_then(Pid::from_raw)
}
