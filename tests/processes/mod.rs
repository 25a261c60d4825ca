//! Real processes for tests: a home of their own, agents with every kind of
//! stdin and stdout, and waiting without sleeping.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

/// The program under test.
pub(crate) fn program() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let built = deps.parent().and_then(Path::parent).unwrap();
    built.join("examples/echo_daemon")
}

/// Long enough for a loaded machine; nothing waits for it to pass.
const PATIENCE: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// The directories of one user. Its daemon ends with it.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("tg").tempdir().unwrap();
        fs::create_dir_all(dir.path().join("config/tollgate")).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state/tollgate")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args);
        self.at_home(command)
    }

    /// Another program that starts the one under test, which is its last argument.
    pub(crate) fn through(&self, other: &str, args: &[&str]) -> Command {
        let mut command = Command::new(other);
        command.args(args).arg(program());
        self.at_home(command)
    }

    fn at_home(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("run"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    pub(crate) fn stdio(&self) -> Command {
        self.command(&["stdio", "--agent", "me"])
    }

    pub(crate) fn agent(&self) -> Agent {
        Agent::over_pipes(self.stdio())
    }

    /// What the lock's file says of its holder.
    pub(crate) fn holder(&self) -> serde_json::Value {
        let text = fs::read_to_string(self.state().join("daemon.lock")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn daemon(&self) -> Process {
        let pid = self.holder()["pid"].as_i64().unwrap();
        Process::of(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap())
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        let run = self.holder()["run"].as_str().unwrap().to_owned();
        Path::new(&run).join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.state().join("daemon.log")).unwrap_or_default()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let stopped = self.command(&["stop-daemon"]).output();
        if stopped.is_ok_and(|output| output.status.success()) {
            return;
        }
        // A test that closed its own directory failed half way.
        let _ = fs::set_permissions(self.state(), Permissions::from_mode(0o700));
        let _ = std::os::unix::fs::chown(self.state(), Some(0), None);
        let _ = self.command(&["stop-daemon"]).output();
    }
}

/// A process that is not our child, or not only.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pidfd: OwnedFd,
}

impl Process {
    pub(crate) fn of(pid: Pid) -> Self {
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        Self { pid, pidfd }
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    pub(crate) fn ended(&self) {
        wait(&self.pidfd, PollFlags::IN, "the process did not end");
    }

    pub(crate) fn descriptors(&self) -> usize {
        let pid = self.pid.as_raw_nonzero();
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.shim.kill();
        let _ = self.shim.wait();
    }
}

/// An agent with its shim.
pub(crate) struct Agent {
    pub(crate) shim: Child,
    pub(crate) input: Option<File>,
    pub(crate) output: File,
}

impl Agent {
    pub(crate) fn over_pipes(mut command: Command) -> Self {
        let mut shim = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: shim.stdin.take().map(|end| File::from(OwnedFd::from(end))),
            output: OwnedFd::from(shim.stdout.take().unwrap()).into(),
            shim,
        }
    }

    /// What it says is in a file, what it hears comes through a pipe.
    pub(crate) fn over_pipes_from(mut command: Command, input: File) -> Self {
        let mut shim = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: None,
            output: OwnedFd::from(shim.stdout.take().unwrap()).into(),
            shim,
        }
    }

    /// As Node does: a socket pair for each stream.
    pub(crate) fn over_two_pairs(mut command: Command) -> Self {
        let (input, stdin) = UnixStream::pair().unwrap();
        let (output, stdout) = UnixStream::pair().unwrap();
        let shim = command
            .stdin(OwnedFd::from(stdin))
            .stdout(OwnedFd::from(stdout))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: Some(OwnedFd::from(input).into()),
            output: OwnedFd::from(output).into(),
            shim,
        }
    }

    /// One socket is both stdin and stdout.
    pub(crate) fn over_one_pair(mut command: Command) -> Self {
        let (agent, shims) = UnixStream::pair().unwrap();
        let shim = command
            .stdin(OwnedFd::from(shims.try_clone().unwrap()))
            .stdout(OwnedFd::from(shims))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: Some(OwnedFd::from(agent.try_clone().unwrap()).into()),
            output: OwnedFd::from(agent).into(),
            shim,
        }
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear().expect("an answer, not the end")
    }

    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line; nothing at the end.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            wait(&self.output, PollFlags::IN, "the agent hears nothing");
            let mut byte = [0];
            match self.output.read(&mut byte).unwrap() {
                0 if line.is_empty() => return None,
                0 => panic!("the last line is cut: {line:?}"),
                _ if byte == *b"\n" => return Some(String::from_utf8(line).unwrap()),
                _ => line.extend(byte),
            }
        }
    }

    pub(crate) fn hears_the_end(&mut self) {
        assert_eq!(self.hear(), None);
    }

    pub(crate) fn leave(&mut self) {
        self.input = None;
    }

    /// What the kernel does when an agent is killed: both ends are closed.
    pub(crate) fn vanish(&mut self) {
        self.input = None;
        self.output = File::open("/dev/null").unwrap();
    }

    /// Closes the agent's input, hears the end, and waits for the shim.
    pub(crate) fn end_of_input(mut self) -> ExitStatus {
        self.leave();
        self.hears_the_end();
        self.end().0
    }

    pub(crate) fn shim_process(&self) -> Process {
        Process::of(Pid::from_child(&self.shim))
    }

    /// How the shim ended and what it said on stderr.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        self.shim_process().ended();
        let status = self.shim.wait().unwrap();
        let mut said = String::new();
        // The daemon that this shim started has its own stderr, so this ends with the shim.
        let mut stderr = self.shim.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (status, said)
    }
}

fn wait(descriptor: &impl AsFd, until: PollFlags, otherwise: &str) {
    let ready = poll(&mut [PollFd::new(descriptor, until)], Some(&PATIENCE)).unwrap();
    assert_eq!(ready, 1, "{otherwise}");
}
