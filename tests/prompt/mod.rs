//! A person at the prompt: the real program with the directories of one user, and an
//! agent beside them.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "shared by tests that fail by panicking, and not every one needs all of it"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

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
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .args(args)
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
        let mut shim = self
            .command(&["stdio", "--agent", "me"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = shim.stdin.take().unwrap();
        let output = BufReader::new(shim.stdout.take().unwrap());
        let (say, said) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if say.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut agent = Agent {
            shim,
            input,
            said,
            last: 0,
        };
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "0" },
        });
        agent.ask("initialize", &hello);
        agent.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        agent
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.command(&["stop-daemon"]).output();
    }
}

/// An agent of the handshake era.
pub struct Agent {
    shim: Child,
    input: ChildStdin,
    said: Receiver<Value>,
    last: u64,
}

impl Agent {
    pub fn write(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
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
        let _ = self.shim.kill();
        let _ = self.shim.wait();
    }
}
