//! A client of the plainest kind: JSON-RPC lines to and from a child process.
//!
//! Nothing waits without a deadline: a thread reads what the child says, and
//! whoever asks waits for it as long as they are ready to. What the client is
//! told besides answers is kept until somebody asks.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Clock;

/// The version of the protocol this client speaks.
const PROTOCOL: &str = "2025-11-25";
/// Far more than the demo server ever says in one line.
const LONGEST_LINE: u64 = 1 << 20;

/// A connection to an MCP server that runs as a child.
pub(super) struct Client<'a> {
    clock: &'a dyn Clock,
    pid: Option<rustix::process::Pid>,
    to: Option<ChildStdin>,
    from: Receiver<Said>,
    /// Notifications that nobody has asked for yet.
    told: VecDeque<Value>,
    last_id: u64,
}

/// What comes from the child.
enum Said {
    Line(String),
    /// Its output is over.
    Over(io::Result<()>),
    /// It is gone.
    Gone(io::Result<ExitStatus>),
}

/// The answer to a request.
#[derive(Debug)]
pub(super) enum Reply {
    Result(Value),
    Error { code: i64, message: String },
}

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Lost {
    Start(io::Error),
    Write(io::Error),
    Read(io::Error),
    /// It closed its output.
    Closed,
    /// It did not answer within this time.
    Silent(Duration),
    /// It answered something that is no answer.
    Garbled(String),
}

impl<'a> Client<'a> {
    /// Starts the child.
    pub(super) fn start(mut command: Command, clock: &'a dyn Clock) -> Result<Self, Lost> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Lost::Start)?;
        let to = child.stdin.take();
        let output = child.stdout.take();
        let pid = i32::try_from(child.id()).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        // A child that says more than anybody reads has to wait.
        let (say, from) = sync_channel(64);
        thread::spawn(move || listen(child, output, &say));
        Ok(Self {
            clock,
            pid,
            to,
            from,
            told: VecDeque::new(),
            last_id: 0,
        })
    }

    /// The handshake.
    pub(super) fn initialize(&mut self, within: Duration) -> Result<Reply, Lost> {
        let params = json!({
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": { "name": "tollgate-demo", "version": env!("CARGO_PKG_VERSION") },
        });
        let reply = self.request("initialize", &params.to_string(), within)?;
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
        Ok(reply)
    }

    /// Asks, and waits for the answer. `params` is JSON and is sent as it is
    /// written.
    pub(super) fn request(
        &mut self,
        method: &str,
        params: &str,
        within: Duration,
    ) -> Result<Reply, Lost> {
        self.last_id += 1;
        let id = self.last_id;
        self.write(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
        ))?;
        let mut answer = self.receive(within, |message| {
            message.get("id") == Some(&json!(id)) && message.get("method").is_none()
        })?;
        if let Some(result) = answer.get_mut("result") {
            return Ok(Reply::Result(result.take()));
        }
        let error = answer.get("error");
        let code = error.and_then(|error| error.get("code")?.as_i64());
        let message = error.and_then(|error| error.get("message")?.as_str());
        match (code, message) {
            (Some(code), Some(message)) => Ok(Reply::Error {
                code,
                message: message.to_owned(),
            }),
            (None, _) | (_, None) => Err(Lost::Garbled(answer.to_string())),
        }
    }

    /// Waits until the server says `method`, if it has not yet.
    pub(super) fn notification(&mut self, method: &str, within: Duration) -> Result<(), Lost> {
        let is_it = |message: &Value| message.get("method").and_then(Value::as_str) == Some(method);
        if let Some(place) = self.told.iter().position(is_it) {
            self.told.remove(place);
            return Ok(());
        }
        self.receive(within, is_it).map(drop)
    }

    /// How often the server said `method` since this was last asked.
    pub(super) fn count_told(&mut self, method: &str) -> usize {
        let before = self.told.len();
        self.told
            .retain(|message| message.get("method").and_then(Value::as_str) != Some(method));
        before - self.told.len()
    }

    /// Leaves as a client should, by closing the child's input, and says how it
    /// ended.
    pub(super) fn leave(mut self, within: Duration) -> Result<ExitStatus, Lost> {
        self.to = None;
        let deadline = self.clock.elapsed().saturating_add(within);
        loop {
            match self.next(deadline, within) {
                Ok(Said::Line(_)) | Ok(Said::Over(_)) => {}
                Ok(Said::Gone(status)) => {
                    self.pid = None;
                    return status.map_err(Lost::Read);
                }
                Err(lost) => return Err(lost),
            }
        }
    }

    fn write(&mut self, line: &str) -> Result<(), Lost> {
        let Some(to) = &mut self.to else {
            return Err(Lost::Closed);
        };
        // The requests are far smaller than a pipe, and wait for their answers.
        writeln!(to, "{line}").map_err(|cause| match cause.kind() {
            io::ErrorKind::BrokenPipe => Lost::Closed,
            _ => Lost::Write(cause),
        })
    }

    /// The next message that `fits`; others are kept if they are notifications.
    fn receive(&mut self, within: Duration, fits: impl Fn(&Value) -> bool) -> Result<Value, Lost> {
        let deadline = self.clock.elapsed().saturating_add(within);
        loop {
            let line = match self.next(deadline, within)? {
                Said::Line(line) => line,
                Said::Over(Err(cause)) => return Err(Lost::Read(cause)),
                Said::Over(Ok(())) | Said::Gone(_) => return Err(Lost::Closed),
            };
            let Ok(message) = serde_json::from_str::<Value>(&line) else {
                return Err(Lost::Garbled(line));
            };
            if fits(&message) {
                return Ok(message);
            }
            if self.told.len() >= KEPT {
                self.told.pop_front();
            }
            self.told.push_back(message);
        }
    }

    fn next(&self, deadline: Duration, within: Duration) -> Result<Said, Lost> {
        let left = deadline.saturating_sub(self.clock.elapsed());
        self.from.recv_timeout(left).map_err(|end| match end {
            RecvTimeoutError::Timeout => Lost::Silent(within),
            RecvTimeoutError::Disconnected => Lost::Closed,
        })
    }
}

/// Notifications that are kept for somebody to ask.
const KEPT: usize = 256;

impl Drop for Client<'_> {
    /// A child that did not leave is ended; its keepers end what it started.
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

impl fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Start(cause) => write!(f, "it can't be started: {cause}"),
            Lost::Write(cause) => write!(f, "it doesn't take what it is told: {cause}"),
            Lost::Read(cause) => write!(f, "it can't be read: {cause}"),
            Lost::Closed => f.write_str("it closed the connection"),
            Lost::Silent(time) => write!(f, "no answer for {} s", time.as_secs()),
            Lost::Garbled(line) => {
                let start: String = line.chars().take(200).collect();
                write!(f, "it says something that is no answer: {start}")
            }
        }
    }
}

/// Reads lines until there are none, then waits for the child.
fn listen(mut child: Child, output: Option<ChildStdout>, say: &SyncSender<Said>) {
    let read = output.map_or(Ok(()), |output| lines(BufReader::new(output), say));
    // Whoever does not listen any more ends the child themselves.
    let _ = say.send(Said::Over(read));
    let _ = say.send(Said::Gone(child.wait()));
}

fn lines(mut output: BufReader<ChildStdout>, say: &SyncSender<Said>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        let read = output.by_ref().take(LONGEST_LINE).read_line(&mut line)?;
        if read == 0 || say.send(Said::Line(line)).is_err() {
            return Ok(());
        }
    }
}
