//! What the bench asks of the system: bytes in and out, processes that end,
//! the memory and CPU time of a process tree, and placement on CPUs.

use std::collections::HashMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

/// Reads once; 0 is the end. For descriptors that block.
pub(crate) fn read_some(from: impl AsFd, into: &mut [u8]) -> Result<usize, String> {
    loop {
        match rustix::io::read(&from, &mut *into) {
            Ok(read) => return Ok(read),
            Err(Errno::INTR) => {}
            Err(error) => return Err(format!("cannot read: {error}")),
        }
    }
}

/// Writes all of `bytes`. For descriptors that block.
pub(crate) fn write_all(to: impl AsFd, mut bytes: &[u8]) -> Result<(), String> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(format!("cannot write: {error}")),
        }
    }
    Ok(())
}

/// A child that never outlives its owner.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn new(child: Child) -> Process {
        Process(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.0.try_wait().ok().flatten()?;
        Some(status.to_string())
    }

    pub(crate) fn terminate(&self) {
        if let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for an orderly end.
    pub(crate) fn finish(mut self, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("ended with {status}")),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(None) => {
                    let threads = threads(self.id());
                    return Err(format!("did not end within {patience:?} ({threads})"));
                }
                Err(error) => return Err(format!("cannot wait: {error}")),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// What each thread of a process is doing: its state, and where in the kernel it waits.
fn threads(pid: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let of_each = tasks.into_iter().flatten().flatten().map(|task| {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let (name, stat) = (read("comm"), read("stat"));
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().next());
        let call = read("syscall");
        let call = call.split_whitespace().next().unwrap_or("?");
        format!(
            "{}: {} in {} (call {call})",
            name.trim(),
            state.unwrap_or("?"),
            read("wchan").trim(),
        )
    });
    of_each.collect::<Vec<_>>().join(", ")
}

/// What a process tree uses now.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) resident_kib: f64,
    /// Of threads that still live.
    pub(crate) cpu_us: f64,
}

/// The use of `roots` and all below them, without the echo servers (`bench echo`).
pub(crate) fn usage(roots: &[u32], bench: &Path) -> Usage {
    let parents = parents();
    let mut sum = Usage::default();
    for &pid in parents.keys() {
        if below(pid, roots, &parents) && !is_echo(pid, bench) {
            sum.resident_kib += resident_kib(pid).unwrap_or(0.0);
            sum.cpu_us += cpu_us(pid);
        }
    }
    sum
}

fn parents() -> HashMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, status_field(pid, "PPid:")?))
        })
        .collect()
}

fn below(mut pid: u32, roots: &[u32], parents: &HashMap<u32, u32>) -> bool {
    // Parents are read one after the other: a reused number must not make a circle.
    for _ in 0..64 {
        if roots.contains(&pid) {
            return true;
        }
        match parents.get(&pid) {
            Some(&parent) if parent > 1 => pid = parent,
            _ => return false,
        }
    }
    false
}

fn is_echo(pid: u32, bench: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = line.split(|&byte| byte == 0);
    arguments.next() == Some(bench.as_os_str().as_encoded_bytes())
        && arguments.next() == Some(b"echo".as_slice())
}

fn resident_kib(pid: u32) -> Option<f64> {
    status_field(pid, "VmRSS:").map(f64::from)
}

fn cpu_us(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let nanos: f64 = times.split(' ').next()?.parse().ok()?;
            Some(nanos / 1e3)
        })
        .sum()
}

fn status_field(pid: u32, name: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Where this process, and what it starts from now on, may run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// On one CPU: what remains is work, not the waking of processors.
    Pinned(usize),
    /// Wherever the bench itself may run.
    Free,
}

#[cfg(target_os = "linux")]
pub(crate) struct Cpus(rustix::thread::CpuSet);

#[cfg(target_os = "linux")]
impl Cpus {
    pub(crate) fn of_this_process() -> Result<Cpus, String> {
        rustix::thread::sched_getaffinity(None)
            .map(Cpus)
            .map_err(|error| format!("cannot read the CPUs: {error}"))
    }

    /// The first CPU that this process may use.
    pub(crate) fn first(&self) -> Option<usize> {
        (0..rustix::thread::CpuSet::MAX_CPU).find(|&cpu| self.0.is_set(cpu))
    }

    pub(crate) fn place(&self, placement: Placement) -> Result<(), String> {
        let cpus = match placement {
            Placement::Free => self.0,
            Placement::Pinned(cpu) if cpu < rustix::thread::CpuSet::MAX_CPU => {
                let mut one = rustix::thread::CpuSet::new();
                one.set(cpu);
                one
            }
            Placement::Pinned(cpu) => return Err(format!("there is no CPU {cpu}")),
        };
        rustix::thread::sched_setaffinity(None, &cpus)
            .map_err(|error| format!("cannot move to the CPU: {error}"))
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) struct Cpus;

#[cfg(not(target_os = "linux"))]
impl Cpus {
    pub(crate) fn of_this_process() -> Result<Cpus, String> {
        Ok(Cpus)
    }

    pub(crate) fn first(&self) -> Option<usize> {
        None
    }

    pub(crate) fn place(&self, placement: Placement) -> Result<(), String> {
        match placement {
            Placement::Free => Ok(()),
            Placement::Pinned(_) => Err("only Linux can pin: use --unpinned".into()),
        }
    }
}
