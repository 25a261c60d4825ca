//! The directories of one tollgate, gone when the test ends.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::agent::Agent;
use super::server::Server;

#[allow(
    clippy::duplicate_mod,
    reason = "a test may use both this and what is below `limits`"
)]
#[path = "../limits/lifted.rs"]
mod lifted;

#[allow(unused_imports, reason = "not every test limits something")]
pub use lifted::{NO_LIMITS, only};

/// Home, configuration, state and sockets, all below one temporary directory.
pub struct Home {
    dir: TempDir,
    /// Whether a daemon was started that does not end with its agent.
    daemon: Cell<bool>,
}

/// A test that fails leaves nothing behind either.
impl Drop for Home {
    fn drop(&mut self) {
        if self.daemon.get() {
            let _ = self.tollgate().arg("stop-daemon").output();
        }
    }
}

impl Home {
    pub fn new() -> Home {
        let home = Home {
            dir: TempDir::with_prefix("tg").unwrap(),
            daemon: Cell::new(false),
        };
        fs::create_dir_all(home.at("config/tools.d")).unwrap();
        // What passes through is tested here, not how often: tests/limits.rs does that.
        fs::write(home.at("config/tollgate.toml"), NO_LIMITS).unwrap();
        home
    }

    /// A tool server that plays `script`; all its tools are of the lowest tier.
    pub fn server(&self, name: &str, script: &str) -> Server {
        self.server_with(name, script, "")
    }

    /// The same, with more settings in its file.
    pub fn server_with(&self, name: &str, script: &str, settings: &str) -> Server {
        let path = self.at(&format!("{name}.script"));
        let socket = self.at(&format!("{name}.sock"));
        fs::write(&path, script).unwrap();
        let server = Server::listen(&path, &socket);
        let file = format!(
            "command = {:?}\nargs = [{path:?}, {socket:?}]\nowner = \"test\"\nunlisted = \"read\"\n{settings}\n",
            double()
        );
        fs::write(self.at(&format!("config/tools.d/{name}.toml")), file).unwrap();
        server
    }

    /// An agent of the handshake era that can be asked everything.
    pub fn legacy(&self) -> Agent {
        self.legacy_with(r#"{"elicitation":{},"sampling":{},"roots":{"listChanged":true}}"#)
    }

    /// An agent of the handshake era with these capabilities.
    pub fn legacy_with(&self, capabilities: &str) -> Agent {
        let mut agent = self.stranger();
        agent.initialize(capabilities);
        agent
    }

    /// An agent of the stateless era that can be asked everything.
    pub fn modern(&self) -> Agent {
        self.modern_with(r#"{"elicitation":{"form":{}},"sampling":{},"roots":{}}"#)
    }

    /// An agent of the stateless era with these capabilities.
    pub fn modern_with(&self, capabilities: &str) -> Agent {
        let mut agent = self.stranger();
        agent.speak_modern(capabilities);
        agent
    }

    /// An agent that has said nothing yet.
    pub fn stranger(&self) -> Agent {
        let mut command = self.tollgate();
        command.args(["stdio", "--agent", "test", "--embedded"]);
        Agent::start(command)
    }

    /// An agent of the handshake era whose broker has this for its standard error.
    pub fn logging_to(&self, log: impl Into<Stdio>) -> Agent {
        let mut command = self.tollgate();
        command.args(["stdio", "--agent", "test", "--embedded"]);
        command.stderr(log);
        let mut agent = Agent::start(command);
        agent.initialize("{}");
        agent
    }

    /// An agent of the handshake era beside others, at one daemon.
    pub fn beside(&self, name: &str) -> Agent {
        self.beside_with(name, r#"{"elicitation":{}}"#)
    }

    /// The same, with these capabilities.
    pub fn beside_with(&self, name: &str, capabilities: &str) -> Agent {
        self.at_daemon(name, capabilities, |_| {})
    }

    /// An agent of the stateless era beside others, with these capabilities.
    pub fn modern_beside(&self, name: &str, capabilities: &str) -> Agent {
        let mut agent = self.stranger_at_daemon(name, |_| {});
        agent.speak_modern(capabilities);
        agent
    }

    /// Another connection of one agent in one run, at one daemon.
    pub fn joining(&self, run: &str) -> Agent {
        self.at_daemon("test", r#"{"elicitation":{}}"#, |command| {
            command.env("TOLLGATE_RUN", run);
        })
    }

    fn at_daemon(&self, name: &str, capabilities: &str, change: impl Fn(&mut Command)) -> Agent {
        let mut agent = self.stranger_at_daemon(name, change);
        agent.initialize(capabilities);
        agent
    }

    fn stranger_at_daemon(&self, name: &str, change: impl Fn(&mut Command)) -> Agent {
        self.daemon.set(true);
        let mut command = self.tollgate();
        command.args(["stdio", "--agent", name]);
        change(&mut command);
        Agent::start(command)
    }

    /// An agent that is connected to the tool server itself.
    pub fn direct(&self, server: &Server) -> Agent {
        let mut command = Command::new(double());
        command.arg(&server.script).arg(&server.socket);
        Agent::start(command)
    }

    /// The program under test, at home here.
    pub fn tollgate(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("TOLLGATE_STATE", self.at("state"))
            .env("XDG_RUNTIME_DIR", self.at("run"))
            .arg("--config")
            .arg(self.at("config"))
            .stderr(Stdio::inherit());
        command
    }

    /// The records of calls, and of what their servers asked, oldest first.
    pub fn records(&self) -> Vec<serde_json::Value> {
        let mut files: Vec<_> = fs::read_dir(self.at("state/journal"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
            .collect();
        files.sort();
        let text: String = files
            .iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect();
        let records = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let is_of_a_call = |record: &serde_json::Value| record["call"].is_string();
        records.filter(is_of_a_call).collect()
    }

    /// A path below this home.
    pub fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }
}

/// The tool server that plays scripts.
pub fn double() -> PathBuf {
    let tollgate = Path::new(env!("CARGO_BIN_EXE_tollgate"));
    let double = tollgate.with_file_name("examples").join("double");
    assert!(
        double.exists(),
        "`cargo test` builds it; with `--test` run `cargo build --example double` first"
    );
    double
}
