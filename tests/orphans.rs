//! No process of a tool server outlives its daemon, however either of them ends.
//!
//! Real processes. Survivors are looked for by a marker in their environment,
//! which the keeper carries as well. The daemon that is killed is this very test
//! binary, started again to run `stand_in_daemon`.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where it fails, its helpers too"
)]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpgid, getsid, kill_process, pidfd_open};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::watch;
use tollgate::domain::ServerName;
use tollgate::tools::child::{Child, Launch, Started};
use tollgate::tools::exit::{Exit, Gone};
use tollgate::tools::sweep::{Swept, sweep};
use tollgate::tools::{Listener, Pool, Registered};

const KEEPER: &str = env!("CARGO_BIN_EXE_tollgate");

/// A wrapper that forks, as npx does.
const FORKS: &str = "sleep 1000 & echo ready; exec cat";
/// A grandchild that nobody is the parent of any more, in a session of its own.
const DETACHES: &str = "(setsid sleep 1000 &) ; echo ready; exec cat";
/// Everyone ignores SIGTERM, one in a session of its own.
const IGNORES: &str = "trap '' TERM; setsid sleep 1000 & sleep 1000 & echo ready; cat; sleep 1000";
/// A server that says goodbye.
const HEEDS: &str = "trap 'echo bye >&2; exit 0' TERM; echo ready; while :; do read l; done";
/// A server that does not end with its stdin, and children that do not end at SIGTERM.
const STAYS: &str = "trap '' TERM; (setsid sleep 1000 &) ; sleep 1000 & \
    echo ready; read line; echo $line; while :; do sleep 1000; done";

#[tokio::test]
async fn what_is_written_to_a_server_comes_back() {
    let mut server = shell("exec cat").await;
    server.write("hello\n");
    assert_eq!(server.line(), "hello");
}

#[tokio::test]
async fn a_server_that_is_asked_to_leave_by_its_stdin_leaves_with_status_zero() {
    let server = shell("exec cat").await;
    let Server { stdin, child, .. } = server;
    drop(stdin);
    assert_eq!(told(child.exit()).await, Exit::Code(0));
    assert_eq!(told(child.gone()).await, Gone::Whole);
}

#[tokio::test]
async fn a_server_runs_where_and_with_what_its_file_says_and_with_nothing_else() {
    let mut launch = launch("pwd; echo $TOKEN; env | sort | cut -d= -f1 | tr '\\n' ' '; echo");
    launch.cwd = Some("/".into());
    launch.env.push(("TOKEN".to_owned(), "secret".to_owned()));
    let mut server = Server::start(&launch).await;
    assert_eq!(server.line(), "/");
    assert_eq!(server.line(), "secret");
    let names = server.line();
    assert!(names.contains("ORPHANS "), "{names}");
    assert!(names.contains("TOLLGATE_STATE_ID "), "{names}");
    assert!(!names.contains("CARGO"), "{names}");
}

#[tokio::test]
async fn a_server_holds_its_three_pipes_and_no_other_descriptor_of_the_daemon() {
    let mut server = shell("exec cat").await;
    server.write("ready\n");
    assert_eq!(server.line(), "ready");
    let keeper: i32 = server.child.keeper().try_into().unwrap();
    let mut found = survivors(&server.marker);
    found.retain(|pid| pid.as_raw_pid() != keeper);
    let held = descriptors(found[0].as_raw_nonzero().get().unsigned_abs());
    // Nor of whoever runs the tests, who may leak some into every process.
    let (numbers, to): (Vec<i32>, Vec<String>) = held.into_iter().unzip();
    assert_eq!(numbers, [0, 1, 2], "{to:?}");
    assert!(to.iter().all(|to| to.starts_with("pipe:")), "{to:?}");
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_told_before_anything_starts() {
    let mut launch = launch("");
    launch.command = "no-such-command".into();
    let error = Child::spawn(Path::new(KEEPER), &launch).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start `no-such-command`: not found in PATH"
    );
    assert!(error.hint().unwrap().contains("PATH is `"));
}

#[tokio::test]
async fn a_script_whose_interpreter_is_missing_ends_with_127_and_a_reason_on_stderr() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("tool");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut launch = launch("");
    launch.command = script.into();
    let server = Server::start(&launch).await;
    assert_eq!(told(server.child.exit()).await, Exit::Code(127));
    let last = server.child.stderr().tail(1).pop().unwrap();
    assert!(last.starts_with("tollgate: cannot run `/"), "{last}");
}

#[tokio::test]
async fn the_status_and_the_last_words_of_a_server_are_told_together() {
    let server = shell("echo one >&2; echo two >&2; exit 3").await;
    assert_eq!(told(server.child.exit()).await, Exit::Code(3));
    assert_eq!(server.child.stderr().tail(5), ["one", "two"]);
}

#[tokio::test]
async fn a_server_that_floods_stderr_is_not_held_up() {
    let server = shell("head -c 3000000 /dev/zero >&2; echo done >&2").await;
    assert_eq!(told(server.child.exit()).await, Exit::Code(0));
    assert!(
        server
            .child
            .stderr()
            .tail(1)
            .pop()
            .unwrap()
            .ends_with("done")
    );
}

#[tokio::test]
async fn a_server_killed_by_a_signal_says_which() {
    let server = shell("kill -9 $$").await;
    let exit = told(server.child.exit()).await;
    assert_eq!(exit.to_string(), "killed by signal 9 (SIGKILL)");
}

#[tokio::test]
async fn ending_a_server_ends_everything_it_started() {
    for script in [FORKS, DETACHES, IGNORES] {
        let mut server = shell(script).await;
        assert_eq!(server.line(), "ready");
        server.child.end();
        told(server.child.exit()).await;
        assert_eq!(told(server.child.gone()).await, Gone::Whole, "{script}");
        assert_eq!(survivors(&server.marker), [], "{script}");
    }
}

#[tokio::test]
async fn a_server_that_heeds_sigterm_can_put_its_things_in_order() {
    let mut server = shell(HEEDS).await;
    assert_eq!(server.line(), "ready");
    server.child.end();
    assert_eq!(told(server.child.exit()).await, Exit::Code(0));
    assert_eq!(server.child.stderr().tail(1), ["bye"]);
}

#[tokio::test]
async fn who_closes_the_pool_waits_for_processes_that_are_used_no_more() {
    let launch = launch("trap '' TERM; while :; do sleep 1000; done");
    let marker = launch.mark.clone();
    let registered = Registered {
        name: ServerName::parse("stays").unwrap(),
        launch,
        shared: false,
        missing: None,
        era: None,
        known: None,
        start: std::time::Duration::from_millis(200),
    };
    let (tell, mut given_up) = tokio::sync::mpsc::unbounded_channel();
    let listener: Listener = Arc::new(move |_| {
        let _ = tell.send(());
    });
    let events = tokio::sync::broadcast::Sender::new(16);
    let pool = Pool::start(
        vec![registered],
        Path::new(KEEPER),
        &events,
        &listener,
        &watch::channel(tollgate::domain::Stops::default()).1,
    );
    given_up.recv().await.unwrap();
    pool.close(std::time::Duration::from_secs(20)).await;
    assert_eq!(survivors(&marker), []);
}

#[tokio::test]
async fn a_stopped_server_is_ended_too() {
    let mut server = shell("exec cat").await;
    server.write("ready\n");
    assert_eq!(server.line(), "ready");
    let process = the_server(&survivors(&server.marker));
    kill_process(process, Signal::STOP).unwrap();
    wait_for_stop(process);
    server.child.end();
    assert_eq!(told(server.child.exit()).await, Exit::Signal(15));
    assert_eq!(told(server.child.gone()).await, Gone::Whole);
}

#[tokio::test]
async fn a_dropped_server_ends_with_everything_it_started() {
    let mut server = shell(FORKS).await;
    assert_eq!(server.line(), "ready");
    let Server { child, marker, .. } = server;
    drop(child);
    all_gone(&marker);
}

#[tokio::test]
async fn a_server_whose_leavings_hold_its_stdout_is_told_at_once_and_they_are_ended() {
    let mut server = shell("setsid sleep 1000 & sleep 1000 & echo ready; exit 4").await;
    assert_eq!(server.line(), "ready");
    assert_eq!(told(server.child.exit()).await, Exit::Code(4));
    assert_eq!(told(server.child.gone()).await, Gone::Whole);
    assert_eq!(survivors(&server.marker), []);
    assert_eq!(server.stdout.read(&mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn when_the_keeper_alone_is_killed_the_daemon_ends_what_it_kept() {
    for script in [FORKS, DETACHES, IGNORES] {
        let mut server = shell(script).await;
        assert_eq!(server.line(), "ready");
        kill(server.child.keeper());
        assert_eq!(told(server.child.exit()).await, Exit::Lost);
        assert_eq!(told(server.child.gone()).await, Gone::Whole);
        assert_eq!(survivors(&server.marker), [], "{script}");
    }
}

#[tokio::test]
async fn a_keeper_that_is_asked_to_end_ends_its_server_in_order() {
    let mut server = shell(HEEDS).await;
    assert_eq!(server.line(), "ready");
    let keeper = Pid::from_raw(server.child.keeper().try_into().unwrap()).unwrap();
    wait_for_sigterm_to_be_heeded(keeper);
    kill_process(keeper, Signal::TERM).unwrap();
    assert_eq!(told(server.child.exit()).await, Exit::Code(0));
    assert_eq!(server.child.stderr().tail(1), ["bye"]);
    assert_eq!(told(server.child.gone()).await, Gone::Whole);
    assert_eq!(survivors(&server.marker), []);
}

#[tokio::test]
async fn the_keeper_goes_by_its_own_name_and_is_reaped() {
    let mut server = shell("echo ready; exec cat").await;
    assert_eq!(server.line(), "ready");
    let keeper = server.child.keeper();
    let name = fs::read_to_string(format!("/proc/{keeper}/comm")).unwrap();
    assert_eq!(name, "mcp-keeper\n");
    let line = fs::read_to_string(format!("/proc/{keeper}/cmdline")).unwrap();
    assert!(line.starts_with("mcp-keeper\0supervise\0sh\0"), "{line:?}");
    server.child.end();
    told(server.child.gone()).await;
    assert!(!fs::exists(format!("/proc/{keeper}")).unwrap());
}

#[test]
fn when_the_daemon_is_killed_nothing_is_left() {
    for script in [FORKS, DETACHES, IGNORES] {
        let mut daemon = Daemon::start(script);
        assert!(survivors(&daemon.marker).len() >= 2, "{script}");
        daemon.kill();
        all_gone(&daemon.marker);
    }
}

#[test]
fn when_daemon_and_keeper_are_killed_together_the_next_start_sweeps() {
    let mut daemon = Daemon::start(STAYS);
    // Stopped first, so that it cannot do its work in between.
    kill_process(daemon.keeper, Signal::STOP).unwrap();
    let server = the_server(&survivors(&daemon.marker));
    daemon.kill();
    kill_process(daemon.keeper, Signal::KILL).unwrap();
    // The server itself is bound to its keeper; what it started is not.
    wait_for_end(server);

    let swept = sweep(&daemon.marker);
    assert!(swept.ended >= 2 && swept.left.is_empty(), "{swept:?}");
    assert_eq!(survivors(&daemon.marker), []);
    assert_eq!(sweep(&daemon.marker), Swept::default());
}

#[test]
fn a_sweep_touches_nothing_of_another_state_directory() {
    let mut daemon = Daemon::start(FORKS);
    let family = survivors(&daemon.marker);
    assert!(!family.is_empty());
    assert_eq!(sweep(&format!("{}0", daemon.marker)), Swept::default());
    assert!(family.into_iter().all(|pid| !ends_within(pid, 0)));
    daemon.kill();
    all_gone(&daemon.marker);
}

/// Not a test: the daemon of `Daemon::start`. Starts one server and waits to be killed.
#[tokio::test]
#[ignore = "started by other tests as a process of its own"]
async fn stand_in_daemon() {
    let script = std::env::var("ORPHANS_SCRIPT").unwrap();
    let mut launch = launch(&script);
    launch.mark = std::env::var("ORPHANS_MARK").unwrap();
    launch.env = vec![("ORPHANS".to_owned(), launch.mark.clone())];
    let mut server = Server::start(&launch).await;
    assert_eq!(server.line(), "ready");
    // The answer comes from what the script becomes: nothing is in the middle of an exec any more.
    server.write("settled\n");
    assert_eq!(server.line(), "settled");
    writeln!(std::io::stderr(), "keeper {}", server.child.keeper()).unwrap();
    std::future::pending::<()>().await;
}

struct Daemon {
    process: std::process::Child,
    keeper: Pid,
    marker: String,
}

impl Daemon {
    fn start(script: &str) -> Daemon {
        let marker = marker();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stand_in_daemon", "--ignored", "--nocapture"])
            .env("ORPHANS_SCRIPT", script)
            .env("ORPHANS_MARK", &marker)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(process.stderr.take().unwrap()).lines();
        let keeper = told
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("keeper ")?.parse().ok())
            .and_then(Pid::from_raw)
            .unwrap();
        Daemon {
            process,
            keeper,
            marker,
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A test that fails leaves nothing behind either.
impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Server {
    stdin: File,
    stdout: File,
    child: Child,
    marker: String,
}

impl Server {
    async fn start(launch: &Launch) -> Server {
        let Started {
            stdin,
            stdout,
            child,
        } = Child::spawn(Path::new(KEEPER), launch).await.unwrap();
        Server {
            stdin: stdin.into(),
            stdout: stdout.into(),
            child,
            marker: launch.mark.clone(),
        }
    }

    fn write(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }
}

async fn shell(script: &str) -> Server {
    Server::start(&launch(script)).await
}

fn launch(script: &str) -> Launch {
    let marker = marker();
    Launch {
        command: "sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: vec![("ORPHANS".to_owned(), marker.clone())],
        cwd: None,
        mark: marker,
        open_files: None,
    }
}

fn marker() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("orphans.{}.{count}.", std::process::id())
}

async fn told<T: Copy>(mut news: watch::Receiver<Option<T>>) -> T {
    let told = news.wait_for(Option::is_some);
    let told = tokio::time::timeout(std::time::Duration::from_secs(20), told);
    told.await.expect("told in time").unwrap().unwrap()
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

fn descriptors(pid: u32) -> Vec<(i32, String)> {
    let listed = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut found: Vec<_> = listed
        .map(|entry| {
            let entry = entry.unwrap();
            let to = fs::read_link(entry.path()).unwrap();
            let fd = entry.file_name().to_str().unwrap().parse().unwrap();
            (fd, to.display().to_string())
        })
        .collect();
    found.sort();
    found
}

fn survivors(marker: &str) -> Vec<Pid> {
    let entry = format!("ORPHANS={marker}");
    let carries = |pid: &Pid| {
        let environ = fs::read(format!("/proc/{}/environ", pid.as_raw_pid()));
        let environ = environ.unwrap_or_default();
        environ
            .split(|byte| *byte == 0)
            .any(|found| found == entry.as_bytes())
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let number = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(number)
    });
    processes.filter(carries).collect()
}

fn all_gone(marker: &str) {
    while let Some(survivor) = survivors(marker).pop() {
        wait_for_end(survivor);
    }
}

fn wait_for_end(pid: Pid) {
    assert!(ends_within(pid, 10), "process {pid:?} survived");
}

fn ends_within(pid: Pid, seconds: i64) -> bool {
    let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let limit = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).unwrap() == 1
}

/// The one that leads a group without leading the session, which is the keeper's.
fn the_server(family: &[Pid]) -> Pid {
    let leads = |pid: &Pid| {
        getpgid(Some(*pid)) == Ok(*pid) && getsid(Some(*pid)).is_ok_and(|session| session != *pid)
    };
    family.iter().copied().find(leads).unwrap()
}

fn wait_for_stop(pid: Pid) {
    wait_until(pid, "stat", |stat| stat.contains(") T "));
}

fn wait_for_sigterm_to_be_heeded(pid: Pid) {
    wait_until(pid, "status", |status| {
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:\t"));
        u64::from_str_radix(caught.unwrap(), 16).unwrap() & (1 << 14) != 0
    });
}

/// For what nobody is told about another process: looks until /proc shows it.
fn wait_until(pid: Pid, file: &str, shows: impl Fn(&str) -> bool) {
    for _ in 0..1_000_000 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", pid.as_raw_pid())).unwrap();
        if shows(&text) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("process {pid:?} never shows it in `{file}`");
}
