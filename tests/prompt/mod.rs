//! A person at the prompt: the real program with the directories of one user, and an
//! agent beside them.
//!
//! The test is the person. An agent is a process of its own, a shell that starts the
//! shim: were the test its parent, the test would be the agent, and nothing that it
//! types would be taken for a person's.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "shared by tests that fail by panicking, and not every one needs all of it"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Long enough for a loaded machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The directories of one user. Its daemon ends with it.
pub struct Home {
    dir: TempDir,
}

impl Home {
    pub fn new(rules: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("tg").tempdir().unwrap();
        let home = Self { dir };
        fs::create_dir_all(home.path("config/tollgate/tools.d")).unwrap();
        fs::write(home.path("config/tollgate/tools.d/demo.toml"), rules).unwrap();
        home
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state/tollgate")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.other(Path::new(PROGRAM));
        command.args(args);
        command
    }

    /// Another program in the same surroundings.
    pub fn other(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("USER", "ana")
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("run"));
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    pub fn daemon(&self) -> Pid {
        let text = fs::read_to_string(self.state().join("daemon.lock")).unwrap();
        let holder: Value = serde_json::from_str(&text).unwrap();
        Pid::from_raw(i32::try_from(holder["pid"].as_i64().unwrap()).unwrap()).unwrap()
    }

    pub fn agent(&self) -> Agent {
        self.agent_that(r#""$@" <"$in" >"$out"; exit"#)
    }

    /// An agent whose process does this: `"$@" <"$in" >"$out"` is its shim.
    pub fn agent_that(&self, does: &str) -> Agent {
        let can = json!({ "roots": { "listChanged": true } });
        self.agent_that_can(does, &can)
    }

    /// The same, with these capabilities.
    pub fn agent_that_can(&self, does: &str, can: &Value) -> Agent {
        static AGENTS: AtomicUsize = AtomicUsize::new(0);
        let ours = self.path(&format!("agent-{}", AGENTS.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&ours).unwrap();
        let (input, output) = (pipe(&ours, "in"), pipe(&ours, "out"));
        let process = self
            .other(Path::new("/bin/sh"))
            .args(["-c", &format!("in=$1 out=$2; shift 2; {does}"), "agent"])
            .args([&input, &output])
            .args([PROGRAM, "stdio", "--agent", "me"])
            // Nobody speaks to it: it is the agent, and not a wrapper of one.
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // Each waits for the shell to open its other end.
        let input = File::options().write(true).open(input).unwrap();
        let output = File::open(output).unwrap();
        Agent::meet_with(process, input, output, can)
    }
}

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate");

/// A pipe with a name.
pub fn pipe(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.command(&["stop-daemon"]).output();
    }
}

/// An agent of the handshake era.
pub struct Agent {
    process: Child,
    /// None when it has hung up.
    input: Option<File>,
    said: Receiver<Value>,
    last: u64,
}

impl Agent {
    /// Begins a session over the stdin and stdout of a shim.
    pub fn meet(process: Child, input: File, output: File) -> Self {
        let can = json!({ "roots": { "listChanged": true } });
        Self::meet_with(process, input, output, &can)
    }

    fn meet_with(process: Child, input: File, output: File, can: &Value) -> Self {
        let output = BufReader::new(output);
        let (say, said) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if say.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut agent = Agent {
            process,
            input: Some(input),
            said,
            last: 0,
        };
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": can,
            "clientInfo": { "name": "test", "version": "0" },
        });
        agent.ask("initialize", &hello);
        agent.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        agent
    }

    pub fn write(&mut self, message: &Value) {
        writeln!(self.input.as_ref().unwrap(), "{message}").unwrap();
    }

    /// Hangs up, and waits for the end of what it is told. Its process goes on.
    pub fn hang_up(&mut self) {
        self.input = None;
        while self.said.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Disconnected) {}
    }

    pub fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    pub fn send_call(&mut self, tool: &str, arguments: &Value) -> u64 {
        let meta = json!({ "progressToken": "p" });
        let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
        self.send("tools/call", &params)
    }

    pub fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let id = self.send_call(tool, arguments);
        self.answer(id)
    }

    /// The code of the refusal.
    pub fn call_code(&mut self, tool: &str, arguments: &Value) -> String {
        let answer = self.call(tool, arguments);
        answer["result"]["_meta"]["dev.tollgate/refusal"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("not refused: {answer}"))
            .to_owned()
    }

    /// Calls again and again, until nobody is there any more.
    pub fn calls_until_the_end(&mut self, tool: &str, arguments: &Value) {
        let params = json!({ "name": tool, "arguments": arguments });
        let message =
            json!({ "jsonrpc": "2.0", "id": "again", "method": "tools/call", "params": params });
        while writeln!(self.input.as_ref().unwrap(), "{message}").is_ok() {
            match self.said.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("it is there and does not answer"),
            }
        }
    }

    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    pub fn answer(&mut self, id: u64) -> Value {
        self.until(|message| message["id"] == id)
    }

    pub fn hears(&mut self, method: &str) {
        self.until(|message| message["method"] == method);
    }

    pub fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.said.recv_timeout(PATIENCE).unwrap();
            if wanted(&message) {
                return message;
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
