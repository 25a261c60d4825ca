//! Ends what survived when a daemon and a keeper were killed together.
//!
//! Every process of a tool server carries the id of its state directory in its
//! environment. Whoever holds the lock of that directory knows that no daemon
//! owns them. Not found: a process that started its own environment from
//! nothing, or wrote over it, or belongs to another user.

/// What a sweep found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Swept {
    /// So many processes were ended.
    pub ended: usize,
    /// These could not be ended.
    pub left: Vec<i32>,
}

/// Ends every process that belongs to a state directory. Blocks, at most some seconds.
///
/// Only for the holder of that directory's lock, before it starts anything.
pub fn sweep(mark: &str) -> Swept {
    #[cfg(target_os = "linux")]
    return linux::end_all(&[format!("{}={mark}", super::launch::STATE_ID)]);
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = mark;
        Swept::default()
    };
}

/// Ends what a keeper that was killed has left, while its pid cannot be another's yet.
#[cfg(target_os = "linux")]
pub(crate) fn sweep_keeper(mark: &str, keeper: u32) -> Swept {
    use super::launch::{KEEPER, STATE_ID};
    linux::end_all(&[format!("{STATE_ID}={mark}"), format!("{KEEPER}={keeper}")])
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Swept;
    use crate::tools::procs;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
    use std::collections::BTreeSet;
    use std::os::fd::OwnedFd;

    /// One patience: as long as a wait for an end goes without news.
    const SLICE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    const GRACE_SLICES: u32 = 20;
    const KILL_ROUNDS: u32 = 50;
    const EMPTY_LOOKS: u32 = 2;

    pub(super) fn end_all(entries: &[String]) -> Swept {
        let mut seen = BTreeSet::new();
        let mut found = find(entries);
        for survivor in &found {
            survivor.send(Signal::TERM);
            // A stopped process takes no other signal.
            survivor.send(Signal::CONT);
        }
        seen.extend(found.iter().map(|survivor| survivor.pid.as_raw_pid()));
        wait_for(&found, GRACE_SLICES);

        let mut empty_looks = 0;
        for _ in 0..KILL_ROUNDS {
            found = find(entries);
            if found.is_empty() {
                // A process in the middle of an exec shows no environment: one look is no proof.
                empty_looks += 1;
                if empty_looks == EMPTY_LOOKS {
                    break;
                }
                continue;
            }
            empty_looks = 0;
            for survivor in &found {
                survivor.send(Signal::KILL);
            }
            seen.extend(found.iter().map(|survivor| survivor.pid.as_raw_pid()));
            wait_for(&found, 1);
        }
        let left: Vec<i32> = found.iter().map(|one| one.pid.as_raw_pid()).collect();
        Swept {
            ended: seen.len().saturating_sub(left.len()),
            left,
        }
    }

    struct Survivor {
        pid: Pid,
        fd: OwnedFd,
    }

    impl Survivor {
        fn send(&self, signal: Signal) {
            // Gone already, or not allowed: the next look tells.
            let _ = pidfd_send_signal(&self.fd, signal);
        }
    }

    fn find(entries: &[String]) -> Vec<Survivor> {
        let survivor = |pid: Pid| {
            // The descriptor first: what is read afterwards can then not lead to a signal for a stranger.
            let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            procs::carries(pid, entries).then_some(Survivor { pid, fd })
        };
        let all = procs::all().into_iter().filter(|pid| *pid != getpid());
        all.filter_map(survivor).collect()
    }

    /// Returns when all have ended, or nothing has happened for so many slices.
    fn wait_for(survivors: &[Survivor], mut slices: u32) {
        let mut waiting: Vec<PollFd<'_>> = survivors
            .iter()
            .map(|survivor| PollFd::new(&survivor.fd, PollFlags::IN))
            .collect();
        while slices > 0 && !waiting.is_empty() {
            match poll(&mut waiting, Some(&SLICE)) {
                Ok(0) => slices -= 1,
                Ok(_) => waiting.retain(|one| one.revents().is_empty()),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
