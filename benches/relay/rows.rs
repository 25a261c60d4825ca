//! The rows: what stands between the agent and the echo server, and how it is set up.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::driver::{Session, Streams, last_words};
use crate::proc::Process;

/// How long a daemon may take until it can be reached, and to fill its catalogue.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long until it is gone once it was asked to stop. Its own farewells take up to eighteen
/// seconds at the worst. Then the kernel reaps its keepers: it has been seen to take seconds
/// for that alone, while another process walked through /proc without pause.
const GONE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    Direct,
    Relay,
    Embedded,
    Shim,
    DirectPairs,
    RelayPairs,
    ShimPairs,
    DurableRelay,
    Durable,
}

/// Limits that nobody reaches, so that every gate has its work.
const GENEROUS: &str = r#"
autonomy = "none"
runs = "none"
[budget]
action = { cost = "1000000.00 USD" }
run = { steps = 1000000000, calls = 1000000000, time = "3650d", cost = "1000000.00 USD" }
hour = { cost = "1000000.00 USD" }
day = { cost = "1000000.00 USD" }
month = { cost = "1000000.00 USD" }
[loops]
same = { refuse = 1000000000, kill = 1000000000 }
repeated = "none"
pairs = { refuse = 1000000000, kill = 1000000000 }
errors = { refuse = 1000000000, kill = 1000000000 }
"#;

/// What makes the calls of the row `durable` wait for the disk.
const DURABLE: &str = "\n[tools]\necho = { tier = \"read\", durable = true }\n";

impl Row {
    pub(crate) const ALL: [Row; 9] = [
        Row::Direct,
        Row::Relay,
        Row::Embedded,
        Row::Shim,
        Row::DirectPairs,
        Row::RelayPairs,
        Row::ShimPairs,
        Row::DurableRelay,
        Row::Durable,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Row::Direct => "direct",
            Row::Relay => "relay",
            Row::Embedded => "embedded",
            Row::Shim => "shim",
            Row::DirectPairs => "direct-pairs",
            Row::RelayPairs => "relay-pairs",
            Row::ShimPairs => "shim-pairs",
            Row::DurableRelay => "durable-relay",
            Row::Durable => "durable",
        }
    }

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Row::Direct => "no broker, two pipes",
            Row::Relay => "a process that copies bytes, over pipes",
            Row::Embedded => "tollgate embedded, over pipes",
            Row::Shim => "tollgate daemon and shim, over pipes",
            Row::DirectPairs => "no broker, two socket pairs",
            Row::RelayPairs => "a process that copies bytes, over socket pairs",
            Row::ShimPairs => "tollgate daemon and shim, over socket pairs",
            Row::DurableRelay => "a relay that syncs a record before each call, over pipes",
            Row::Durable => {
                "tollgate daemon and shim, each call on disk before it leaves, over pipes"
            }
        }
    }

    pub(crate) fn named(name: &str) -> Option<Row> {
        Row::ALL.into_iter().find(|row| row.name() == name)
    }

    /// The rows without a broker and with a bare relay, over the same streams; that of
    /// durable calls syncs as well.
    pub(crate) fn yardsticks(self) -> (Row, Row) {
        if self == Row::Durable {
            return (Row::Direct, Row::DurableRelay);
        }
        match self.streams() {
            Streams::Pipes => (Row::Direct, Row::Relay),
            Streams::SocketPairs => (Row::DirectPairs, Row::RelayPairs),
        }
    }

    pub(crate) fn is_tollgate(self) -> bool {
        match self {
            Row::Embedded | Row::Shim | Row::ShimPairs | Row::Durable => true,
            Row::Direct | Row::Relay | Row::DirectPairs | Row::RelayPairs | Row::DurableRelay => {
                false
            }
        }
    }

    pub(crate) fn has_daemon(self) -> bool {
        match self {
            Row::Shim | Row::ShimPairs | Row::Durable => true,
            Row::Direct
            | Row::Relay
            | Row::Embedded
            | Row::DirectPairs
            | Row::RelayPairs
            | Row::DurableRelay => false,
        }
    }

    fn streams(self) -> Streams {
        match self {
            Row::Direct
            | Row::Relay
            | Row::Embedded
            | Row::Shim
            | Row::DurableRelay
            | Row::Durable => Streams::Pipes,
            Row::DirectPairs | Row::RelayPairs | Row::ShimPairs => Streams::SocketPairs,
        }
    }
}

/// What is the same for all stages.
pub(crate) struct Rig {
    /// This binary, which is also the echo server and the relays.
    pub(crate) bench: PathBuf,
    pub(crate) tollgate: PathBuf,
    /// Becomes `tollgate.toml`.
    pub(crate) tollgate_toml: Option<String>,
    /// Is added to `tools.d/rig.toml`.
    pub(crate) server_toml: String,
}

/// A row set up with so many tools, ready for sessions.
pub(crate) struct Stage<'a> {
    row: Row,
    tools: usize,
    rig: &'a Rig,
    daemon: Option<Process>,
    // On the disk of the build, where a journal costs what it costs.
    home: TempDir,
    // Elsewhere: the path of a socket is short.
    run: TempDir,
}

impl<'a> Stage<'a> {
    pub(crate) fn open(row: Row, tools: usize, rig: &'a Rig) -> Result<Stage<'a>, String> {
        let cannot = |error: std::io::Error| format!("cannot set up the row: {error}");
        let private = fs::Permissions::from_mode(0o700);
        let home = tempfile::Builder::new()
            .prefix("relay-")
            .permissions(private.clone())
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .map_err(cannot)?;
        let run = tempfile::Builder::new()
            .prefix("tollgate-bench-")
            .permissions(private)
            .tempdir()
            .map_err(cannot)?;
        let mut stage = Stage {
            row,
            tools,
            rig,
            daemon: None,
            home,
            run,
        };
        if row.is_tollgate() {
            stage.configure().map_err(cannot)?;
        }
        if row.has_daemon() {
            stage.start_daemon()?;
        }
        stage.warm_up()?;
        Ok(stage)
    }

    pub(crate) fn connect(&self) -> Result<Session, String> {
        Session::open(self.command(), self.row.streams(), self.log("agent.log"))
    }

    pub(crate) fn daemon_id(&self) -> Option<u32> {
        self.daemon.as_ref().map(Process::id)
    }

    pub(crate) fn close(mut self) -> Result<(), String> {
        let Some(daemon) = self.daemon.take() else {
            return Ok(());
        };
        daemon.terminate();
        daemon.finish(GONE).map_err(|error| {
            format!(
                "the daemon, asked to stop: {error}{}",
                last_words(&self.log("daemon.log"))
            )
        })
    }

    fn command(&self) -> Command {
        let bench = &self.rig.bench;
        let mut command = match self.row {
            Row::Direct | Row::DirectPairs => Command::new(bench),
            Row::Relay | Row::RelayPairs => {
                let mut command = Command::new(bench);
                command.arg("relay").arg("--").arg(bench);
                command
            }
            Row::DurableRelay => {
                let mut command = Command::new(bench);
                let journal = self.home.path().join("journal");
                command.arg("durable-relay").arg(journal);
                command.arg("--").arg(bench);
                command
            }
            Row::Embedded => {
                let mut command = self.tollgate();
                command.args(["stdio", "--agent", "bench", "--embedded"]);
                return command;
            }
            Row::Shim | Row::ShimPairs | Row::Durable => {
                let mut command = self.tollgate();
                command.args(["stdio", "--agent", "bench"]);
                return command;
            }
        };
        command.args(self.echo());
        command
    }

    fn echo(&self) -> [String; 3] {
        ["echo".into(), "--tools".into(), self.tools.to_string()]
    }

    fn tollgate(&self) -> Command {
        let mut command = Command::new(&self.rig.tollgate);
        command
            .arg("--config")
            .arg(self.config())
            .env("TOLLGATE_CONFIG", self.config())
            .env("TOLLGATE_STATE", self.home.path().join("state"))
            .env("TOLLGATE_RUN", self.run.path());
        command
    }

    fn config(&self) -> PathBuf {
        self.home.path().join("config")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn configure(&self) -> std::io::Result<()> {
        let tools_d = self.config().join("tools.d");
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(&tools_d)?;
        private.create(self.home.path().join("state"))?;
        let command = serde_json::to_string(&self.rig.bench)?;
        let arguments = serde_json::to_string(&self.echo())?;
        let durable = match self.row {
            Row::Durable => DURABLE,
            _ => "",
        };
        fs::write(
            tools_d.join("rig.toml"),
            format!(
                "command = {command}\nargs = {arguments}\nowner = \"bench\"\nprefix = \"\"\nunlisted = \"read\"\n{}{durable}",
                self.rig.server_toml
            ),
        )?;
        let text = self.rig.tollgate_toml.as_deref().unwrap_or(GENEROUS);
        fs::write(self.config().join("tollgate.toml"), text)
    }

    /// Starts the daemon and waits for its socket, so that no shim starts another.
    fn start_daemon(&mut self) -> Result<(), String> {
        let log = self.log("daemon.log");
        let stderr = fs::File::create(&log).map_err(|error| error.to_string())?;
        let child = self
            .tollgate()
            .arg("daemon")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|error| format!("cannot start the daemon: {error}"))?;
        let mut daemon = Process::new(child);
        let deadline = Instant::now() + PATIENCE;
        while !holds_socket(self.run.path()) {
            if let Some(status) = daemon.ended() {
                return Err(format!(
                    "the daemon ended at once ({status}){}",
                    last_words(&log)
                ));
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "the daemon opened no socket below TOLLGATE_RUN{}",
                    last_words(&log)
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    /// One session before anything is measured: all tools are there and a call works.
    fn warm_up(&self) -> Result<(), String> {
        let mut session = self.connect()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, tools) = session.list()?;
            if tools == self.tools {
                break;
            }
            // A catalogue may still be on its way from the tool server.
            if Instant::now() > deadline || tools > self.tools {
                return Err(format!("{tools} tools listed instead of {}", self.tools));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        session.call()?;
        session.close()
    }
}

fn holds_socket(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.file_type().ok()?, entry.path())))
        .any(|(kind, path)| kind.is_socket() || (kind.is_dir() && holds_socket(&path)))
}
