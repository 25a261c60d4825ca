//! What comes in at the edges with ill will, with the real program: descriptors that
//! somebody left open, names that somebody took away.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod prompt;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use prompt::{Agent, Home, PROGRAM, complaint, pipe, text};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::json;

const DEMO: &str = "command = \"tollgate\"\nargs = [\"demo-server\"]\nowner = \"platform\"\n\n\
    [tools]\nread_mail = \"read\"\n";

fn reads(agent: &mut Agent) {
    let mail = agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert_ne!(mail["result"]["isError"], true, "{mail}");
}

fn socket(home: &Home, name: &str) -> PathBuf {
    let dirs = fs::read_dir(home.path("run/tollgate")).unwrap();
    let dirs: Vec<PathBuf> = dirs.map(|dir| dir.unwrap().path()).collect();
    dirs[0].join(name)
}

/// A process whose end can be waited for.
fn watched(pid: Pid) -> OwnedFd {
    pidfd_open(pid, PidfdFlags::empty()).unwrap()
}

fn ends(process: &OwnedFd) {
    let limit = Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    assert_eq!(poll(&mut polled, Some(&limit)).unwrap(), 1, "it lives on");
}

/// A server that says through a pipe what it has open, and nothing else.
fn telling(to: &Path) -> String {
    let does = format!(
        "for one in /proc/$$/fd/*; do readlink $one; done >'{}'; exec cat",
        to.display()
    );
    format!("command = \"/bin/sh\"\nargs = [\"-c\", \"{does}\"]\nowner = \"platform\"\n")
}

/// What a server has open of whoever is started like this by somebody with a secret open.
fn open_in_server(started: &str) -> String {
    let home = Home::new("");
    let open = pipe(&home.path(""), "open");
    fs::write(
        home.path("config/tollgate/tools.d/demo.toml"),
        telling(&open),
    )
    .unwrap();
    fs::write(home.path("secret"), "hush").unwrap();
    let mut starter = home
        .other(Path::new("/bin/sh"))
        .args([
            "-c",
            &format!(r#"exec 9<"$HOME/secret"; exec "$0" {started}"#),
            PROGRAM,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let open = fs::read_to_string(open).unwrap();
    drop(starter.stdin.take());
    let _ = home.run(&["stop-daemon"]);
    starter.wait().unwrap();
    open
}

#[test]
fn what_somebody_left_open_for_the_shim_is_open_in_no_server() {
    for started in ["stdio --agent me", "stdio --agent me --embedded", "daemon"] {
        let open = open_in_server(started);
        assert!(open.contains("pipe:"), "{open}");
        assert!(!open.contains("secret"), "{started}: {open}");
    }
}

#[test]
fn what_somebody_left_open_for_the_shim_is_not_open_in_its_daemon() {
    let home = Home::new("command = \"cat\"\nowner = \"platform\"\n");
    fs::write(home.path("secret"), "hush").unwrap();
    let _agent = home.agent_that(r#"exec 9<"$HOME/secret"; "$@" <"$in" >"$out"; exit"#);
    let open = fs::read_dir(format!("/proc/{}/fd", home.daemon())).unwrap();
    let open: Vec<_> = open
        .filter_map(|one| fs::read_link(one.ok()?.path()).ok())
        .collect();
    assert!(open.len() > 3, "{open:?}");
    assert!(!open.iter().any(|one| one.ends_with("secret")), "{open:?}");
}

#[test]
fn a_daemon_that_was_taken_out_of_peoples_reach_does_not_go_on() {
    let home = Home::new(DEMO);
    let mut agent = home.agent();
    reads(&mut agent);
    let daemon = watched(home.daemon());
    fs::remove_file(socket(&home, "control.sock")).unwrap();
    fs::remove_file(home.state().join("daemon.lock")).unwrap();
    // It cannot see the daemon.
    let stopped = text(&home.run(&["stop"]));
    assert!(stopped.contains("holds from its next start"), "{stopped}");
    ends(&daemon);
    agent.hang_up();
    let mut next = home.agent();
    let code = next.call_code("demo__read_mail", &json!({ "id": "m-4" }));
    assert_eq!(code, "STOPPED");
    let log = fs::read_to_string(home.state().join("daemon.log")).unwrap();
    assert!(log.contains("was removed or replaced"), "{log}");
}

#[test]
fn who_puts_a_socket_of_their_own_in_the_daemons_place_ends_it_and_keeps_theirs() {
    let home = Home::new(DEMO);
    let mut agent = home.agent();
    reads(&mut agent);
    let daemon = watched(home.daemon());
    let control = socket(&home, "control.sock");
    fs::rename(&control, home.path("theirs")).unwrap();
    let _false_one = UnixListener::bind(&control).unwrap();
    ends(&daemon);
    assert!(control.exists());
    fs::remove_file(&control).unwrap();
}

#[test]
fn a_daemon_that_was_killed_while_it_started_a_program_is_gone() {
    let home = Home::new(DEMO);
    reads(&mut home.agent());
    let control = socket(&home, "control.sock");
    for (args, says) in [
        (&[][..], "tollgate is not running\n"),
        (&["stop"], "STOPPED  everything\n"),
        (&["resume", "--yes"], "stopped: everything"),
    ] {
        home.run(&["stop-daemon"]);
        // Until a program begins it has what the daemon had open.
        let lock = File::open(home.state().join("daemon.lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let listens = UnixListener::bind(&control).unwrap();
        let begins = thread::spawn(move || {
            drop(listens.accept().unwrap());
            drop(listens);
            drop(lock);
        });
        let told = home.run(args);
        assert_eq!(told.status.code(), Some(0), "{args:?}: {told:?}");
        assert!(text(&told).starts_with(says), "{args:?}: {told:?}");
        begins.join().unwrap();
        fs::remove_file(&control).unwrap();
    }
}

#[test]
fn a_stop_kills_the_daemon_that_listens_whatever_stands_in_the_locks_file() {
    for forged in [true, false] {
        let home = Home::new(DEMO);
        let mut agent = home.agent();
        reads(&mut agent);
        let pid = home.daemon();
        let daemon = watched(pid);
        let lock = home.state().join("daemon.lock");
        let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
        match forged {
            true => {
                let text = fs::read_to_string(&lock).unwrap();
                let own = format!("\"pid\":{}", pid.as_raw_nonzero());
                assert!(text.contains(&own), "{text}");
                let theirs = format!("\"pid\":{}", other.id());
                fs::write(&lock, text.replace(&own, &theirs)).unwrap();
            }
            false => fs::remove_file(&lock).unwrap(),
        }
        kill_process(pid, Signal::STOP).unwrap();
        let stopped = home.run(&["stop"]);
        assert_eq!(stopped.status.code(), Some(0), "{}", complaint(&stopped));
        assert!(
            text(&stopped).starts_with("STOPPED by force"),
            "{stopped:?}"
        );
        ends(&daemon);
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

#[test]
fn who_connects_and_says_nothing_keeps_nobody_out() {
    let home = Home::new(DEMO);
    let mut agent = home.agent();
    reads(&mut agent);
    let connect = |name: &str| -> Vec<UnixStream> {
        let path = socket(&home, name);
        (0..400)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect()
    };
    let (askers, shims) = (connect("control.sock"), connect("agent.sock"));
    let status = home.run(&[]);
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    reads(&mut home.agent());
    let open = fs::read_dir(format!("/proc/{}/fd", home.daemon())).unwrap();
    assert!(open.count() < 700);
    let mut told = String::new();
    BufReader::new(&askers[0]).read_line(&mut told).unwrap();
    assert!(told.contains("than it has room for"), "{told}");
    assert_eq!((&shims[0]).read(&mut [0]).unwrap(), 0);
    reads(&mut agent);
}

#[test]
fn of_requests_that_are_long_only_a_few_are_taken_in_at_a_time() {
    let home = Home::new(DEMO);
    let mut agent = home.agent();
    reads(&mut agent);
    let path = socket(&home, "control.sock");
    let begins = |limit: Option<Duration>| {
        let mut asker = UnixStream::connect(&path).unwrap();
        asker.set_write_timeout(limit).unwrap();
        let taken = asker.write_all(&vec![b' '; 4 << 20]);
        (asker, taken.map_err(|cause| cause.kind()))
    };
    // Those that are taken in may take their time.
    let late = Some(Duration::from_millis(500));
    let taken = [None, None, late, late].map(begins);
    let taken: Vec<_> = taken.iter().map(|(_, taken)| *taken).collect();
    let full = Err(ErrorKind::WouldBlock);
    assert_eq!(taken, [Ok(()), Ok(()), full, full]);
    assert_eq!(home.run(&[]).status.code(), Some(0));
}
