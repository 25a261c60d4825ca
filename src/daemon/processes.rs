//! What /proc tells of a process. Where there is none, nothing can be seen of anybody.

use std::fs;

use super::lineage::Seen;
use crate::domain::STATE_ID;

/// What can be seen at once of a process that lives.
pub(super) fn look(pid: u32) -> Option<Seen> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let (parent, start) = read_stat(&String::from_utf8_lossy(&stat))?;
    Some(Seen {
        start,
        parent,
        marked: None,
    })
}

/// With its mark, which is read from its memory: that may take its time.
pub(super) fn look_closely(pid: u32) -> Option<Seen> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok();
    Some(Seen {
        marked: environ.map(|environ| is_marked(&environ)),
        ..look(pid)?
    })
}

/// Whether somebody speaks to a process through its stdin.
pub(super) fn is_spoken_to(pid: u32) -> bool {
    // Only the link is read: what is behind it may be a file on a disk that hangs.
    fs::read_link(format!("/proc/{pid}/fd/0")).is_ok_and(|stdin| is_pipe(&stdin.to_string_lossy()))
}

fn is_pipe(stdin: &str) -> bool {
    stdin.starts_with("pipe:[") || stdin.starts_with("socket:[")
}

/// The parent of a process and when it started; none of one that has ended.
fn read_stat(stat: &str) -> Option<(u32, u64)> {
    // `pid (name) state parent …`: the name may hold anything, brackets too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // The 22nd field; the parent is the fourth.
    let start = fields.nth(17)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some((parent, start))
}

/// Whether a process was started by a tool server, of whatever state directory.
fn is_marked(environ: &[u8]) -> bool {
    environ.split(|byte| *byte == 0).any(|entry| {
        let value = entry.strip_prefix(STATE_ID.as_bytes());
        value.is_some_and(|value| value.starts_with(b"="))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_past_any_name() {
        let line = |name: &str, state: &str| {
            format!(
                "41 ({name}) {state} 40 41 20 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3\n"
            )
        };
        assert_eq!(read_stat(&line("sh", "S")), Some((40, 987_654)));
        assert_eq!(read_stat(&line("a) R 7 (b", "R")), Some((40, 987_654)));
        assert_eq!(read_stat(&line("sh", "Z")), None);
        assert_eq!(read_stat("41 (sh) S 40"), None);
        assert_eq!(read_stat(""), None);
    }

    #[test]
    fn a_mark_is_the_whole_name_of_a_variable() {
        assert!(is_marked(b"A=1\0TOLLGATE_STATE_ID=x\0"));
        assert!(is_marked(b"TOLLGATE_STATE_ID="));
        assert!(!is_marked(b"A=TOLLGATE_STATE_ID=x\0TOLLGATE_STATE_IDS=x"));
        assert!(!is_marked(b""));
    }

    #[test]
    fn pipes_and_sockets_are_spoken_through_and_terminals_are_not() {
        assert!(is_pipe("pipe:[12]") && is_pipe("socket:[12]"));
        assert!(!is_pipe("/dev/pts/3") && !is_pipe("/dev/null") && !is_pipe("/tmp/pipe:[1]"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen_with_its_parent() {
        let own = look_closely(std::process::id()).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert_eq!(own.marked, Some(false));
        assert!(look(own.parent).unwrap().start <= own.start);
        assert_eq!(look(0), None);
    }
}
