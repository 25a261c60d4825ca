//! Who descends from whom: whether a command was started by an agent or by a tool
//! server, as far as the parents of processes tell.
//!
//! Pure: what can be seen of a process is handed in. It is a tripwire, not a proof: a
//! process that gives up its parent, by a double fork, has no agent above it any more.

/// A process. When it started tells it from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// In ticks since the system started.
    pub(super) start: u64,
}

/// What can be seen of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) start: u64,
    /// 0 where the parent is none, or outside of the namespace.
    pub(super) parent: u32,
    /// Whether it carries the mark of a tool server; none where that cannot be read.
    pub(super) marked: Option<bool>,
}

/// Where a command comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// From no agent and no tool server that is known.
    Elsewhere,
    /// From an agent's process or one below it.
    Agent(Process),
    /// From a tool server or a process below one.
    Server,
    /// This process, on the way up from the command, cannot be examined.
    Unseen(u32),
}

/// More than any real chain of parents.
const LONGEST: usize = 4096;

/// Looks for agents and tool servers from a process upwards. `daemon` is the process
/// that keeps the tool servers.
pub(super) fn origin(
    asker: u32,
    daemon: u32,
    is_agent: impl Fn(Process) -> bool,
    look: impl Fn(u32) -> Option<Seen>,
) -> Origin {
    let mut pid = asker;
    // A parent that is younger than its child is not its parent: the number was given
    // away on the way up.
    let mut child = u64::MAX;
    for _ in 0..LONGEST {
        let Some(seen) = look(pid).filter(|seen| pid != 0 && seen.start <= child) else {
            return Origin::Unseen(pid);
        };
        let process = Process {
            pid,
            start: seen.start,
        };
        if is_agent(process) {
            return Origin::Agent(process);
        }
        match seen.marked {
            Some(true) => return Origin::Server,
            // What other users run above a person, a login for one, shows nobody its
            // environment; who asks has to show theirs.
            None if pid == asker => return Origin::Unseen(pid),
            None | Some(false) => {}
        }
        if pid == daemon {
            return Origin::Server;
        }
        if seen.parent == 0 {
            return Origin::Elsewhere;
        }
        (pid, child) = (seen.parent, seen.start);
    }
    Origin::Unseen(pid)
}

/// The processes that speak through a shim: its parent, and above it every one for as
/// long as the one below is itself `spoken_to` through a pipe, as a wrapper is by the
/// agent, or an agent by the program that drives it.
pub(super) fn speakers(
    shim: u32,
    look: impl Fn(u32) -> Option<Seen>,
    spoken_to: impl Fn(u32) -> bool,
) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let Some(mut child) = look(shim) else {
        return found;
    };
    while found.len() < LONGEST && child.parent != 0 {
        let pid = child.parent;
        let Some(seen) = look(pid).filter(|seen| seen.start <= child.start) else {
            break;
        };
        found.push(Process {
            pid,
            start: seen.start,
        });
        if !spoken_to(pid) {
            break;
        }
        child = seen;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: Process = Process { pid: 30, start: 5 };
    const DAEMON: u32 = 90;

    /// init 1, a terminal's shell 20, in it the agent 30 with its own shell 40 and a
    /// command 41, beside it the person's command 50; the daemon 90, below it a keeper
    /// 91 and a server 92.
    fn look(pid: u32) -> Option<Seen> {
        let (parent, start) = match pid {
            1 => (0, 0),
            20 => (1, 1),
            30 => (20, 5),
            40 => (30, 6),
            41 => (40, 7),
            50 => (20, 8),
            90 => (1, 2),
            91 => (90, 3),
            92 => (91, 3),
            _ => return None,
        };
        Some(Seen {
            start,
            parent,
            marked: (pid != 1).then_some(false),
        })
    }

    fn of(asker: u32) -> Origin {
        origin(asker, DAEMON, |process| process == AGENT, look)
    }

    #[test]
    fn an_agent_and_what_it_starts_are_told_from_what_runs_beside_it() {
        assert_eq!(of(30), Origin::Agent(AGENT));
        assert_eq!(of(41), Origin::Agent(AGENT));
        assert_eq!(of(50), Origin::Elsewhere);
        assert_eq!(of(20), Origin::Elsewhere);
    }

    #[test]
    fn what_is_below_the_daemon_is_a_tool_servers() {
        assert_eq!(of(92), Origin::Server);
        assert_eq!(of(91), Origin::Server);
    }

    #[test]
    fn a_mark_anywhere_above_is_a_tool_servers() {
        let marked = |pid| {
            look(pid).map(|seen| Seen {
                marked: Some(pid == 20),
                ..seen
            })
        };
        assert_eq!(origin(50, DAEMON, |_| false, marked), Origin::Server);
    }

    #[test]
    fn a_later_process_with_an_agents_number_is_not_the_agent() {
        let reused = Process { start: 4, ..AGENT };
        let from = |asker| origin(asker, DAEMON, |process| process == reused, look);
        assert_eq!(from(41), Origin::Elsewhere);
    }

    #[test]
    fn a_parent_that_is_younger_than_its_child_is_nobodys_parent() {
        let reused = |pid| {
            look(pid).map(|seen| Seen {
                start: if pid == 40 { 9 } else { seen.start },
                ..seen
            })
        };
        assert_eq!(origin(41, DAEMON, |_| false, reused), Origin::Unseen(40));
    }

    #[test]
    fn what_cannot_be_examined_is_not_taken_for_a_person() {
        // Gone, or in another namespace.
        assert_eq!(of(77), Origin::Unseen(77));
        assert_eq!(of(0), Origin::Unseen(0));
        let hidden = |pid| look(pid).filter(|_| pid != 20);
        assert_eq!(origin(50, DAEMON, |_| false, hidden), Origin::Unseen(20));
        let mute = |pid| {
            look(pid).map(|seen| Seen {
                marked: None,
                ..seen
            })
        };
        assert_eq!(origin(50, DAEMON, |_| false, mute), Origin::Unseen(50));
    }

    #[test]
    fn a_chain_without_an_end_is_not_followed_for_ever() {
        let ring = |pid| {
            Some(Seen {
                start: 1,
                parent: pid,
                marked: Some(false),
            })
        };
        assert_eq!(origin(5, DAEMON, |_| false, ring), Origin::Unseen(5));
        assert_eq!(speakers(5, ring, |_| true).len(), LONGEST);
    }

    #[test]
    fn who_speaks_through_a_shim_is_its_parent() {
        let found = speakers(40, look, |_| false);
        assert_eq!(found, [AGENT]);
        assert_eq!(speakers(77, look, |_| true), []);
    }

    #[test]
    fn wrappers_between_an_agent_and_its_shim_are_passed() {
        let found = speakers(41, look, |pid| pid == 40);
        let wrapper = Process { pid: 40, start: 6 };
        assert_eq!(found, [wrapper, AGENT]);
    }
}
