//! The agent of the bench: one session over two streams, polled in one thread.
//!
//! Every read has a deadline and every answer is checked; the first thing that
//! is not as it should be is an error, which voids the row.

use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memchr::{memchr, memmem};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::proc::Process;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a process may take to end after its input has. A session that serves itself says
/// its farewells like a daemon, which takes seconds at the worst.
const FAREWELL: Duration = Duration::from_secs(60);
const CHUNK: usize = 256 << 10;

/// What the agent hands its server as stdin and stdout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    Pipes,
    /// One socket pair for each stream, as Node does.
    SocketPairs,
}

pub(crate) struct Session {
    // Before the process: its streams close before it is ended.
    wire: Wire,
    process: Process,
    next: u64,
}

impl Session {
    /// Starts `command` and says the three lines of a handshake. `log` takes its stderr.
    pub(crate) fn open(
        mut command: Command,
        streams: Streams,
        log: PathBuf,
    ) -> Result<Session, String> {
        let stderr = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(|error| format!("cannot open the log: {error}"))?;
        command.stderr(stderr);
        let (process, to, from) = spawn(command, streams)?;
        let wire = Wire::new(to, from, log)?;
        let mut session = Session {
            wire,
            process,
            next: 1,
        };
        session
            .initialize()
            .map_err(|error| session.blame(&error))?;
        Ok(session)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// One small call, there and back, checked.
    pub(crate) fn call(&mut self) -> Result<Duration, String> {
        let id = self.send_call();
        let started = Instant::now();
        self.wire.flush()?;
        let line = self.answer(id)?;
        let took = started.elapsed();
        match echoed(self.wire.line(&line)) {
            Some(echoed) if echoed == id => Ok(took),
            _ => Err(self.wrong(&line)),
        }
    }

    /// One call whose result is a text of `bytes` bytes.
    pub(crate) fn big(&mut self, bytes: usize) -> Result<Duration, String> {
        let id = self.send(
            "tools/call",
            &format!(r#"{{"name":"big","arguments":{{"bytes":{bytes}}}}}"#),
        );
        let started = Instant::now();
        self.wire.flush()?;
        let line = self.answer(id)?;
        let took = started.elapsed();
        let text = text_of(self.wire.line(&line)).and_then(|at| self.wire.line(&line).get(at..));
        let full = text.is_some_and(|text| {
            text.get(bytes) == Some(&b'"') && text[..bytes].iter().all(|&byte| byte == b'x')
        });
        if full {
            Ok(took)
        } else {
            Err(self.wrong(&line))
        }
    }

    /// The whole tool list, page by page: how long the answers took, and how many tools.
    pub(crate) fn list(&mut self) -> Result<(Duration, usize), String> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            result: Page<'a>,
        }
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow)]
            tools: Vec<&'a RawValue>,
            #[serde(borrow, rename = "nextCursor")]
            next: Option<&'a RawValue>,
        }
        let (mut took, mut tools) = (Duration::ZERO, 0);
        let mut params = "{}".to_owned();
        loop {
            let id = self.send("tools/list", &params);
            let started = Instant::now();
            self.wire.flush()?;
            let line = self.answer(id)?;
            took += started.elapsed();
            let Ok(answer) = serde_json::from_slice::<Answer<'_>>(self.wire.line(&line)) else {
                return Err(self.wrong(&line));
            };
            // The broker's own tool comes on top; it is listed, and not what is asked for.
            let theirs = |tool: &&&RawValue| !tool.get().contains(r#""name":"tollgate__"#);
            tools += answer.result.tools.iter().filter(theirs).count();
            match answer.result.next {
                None => return Ok((took, tools)),
                Some(cursor) => params = format!(r#"{{"cursor":{}}}"#, cursor.get()),
            }
        }
    }

    /// Small calls for `span`, always `flight` of them under way; calls a second.
    pub(crate) fn throughput(&mut self, flight: usize, span: Duration) -> Result<f64, String> {
        let first = self.next;
        let mut answered: Vec<bool> = Vec::new();
        let (mut open, mut done) = (0, 0_usize);
        let started = Instant::now();
        let stop = started + span;
        loop {
            let now = Instant::now();
            while now < stop && open < flight {
                self.send_call();
                answered.push(false);
                open += 1;
            }
            if open == 0 {
                return Ok(done as f64 / started.elapsed().as_secs_f64());
            }
            self.wire.flush()?;
            let mut next = Some(self.wire.receive(now + PATIENCE)?);
            // All that has come, so that the next calls go out in one write.
            while let Some(line) = next {
                let bytes = self.wire.line(&line);
                let id = id_of(bytes).filter(|_| is_result(bytes));
                let slot = id.and_then(|id| answered.get_mut(id.checked_sub(first)? as usize));
                match slot {
                    Some(slot) if !*slot && echoed(bytes) == id => {
                        *slot = true;
                        open -= 1;
                        done += 1;
                    }
                    _ => self.aside(&line)?,
                }
                next = self.wire.next_line();
            }
        }
    }

    /// The end of input; the process has to end well and in time.
    pub(crate) fn close(self) -> Result<(), String> {
        let Session { wire, process, .. } = self;
        let Wire { to, from, log, .. } = wire;
        drop(to);
        let ended = process.finish(FAREWELL);
        drop(from);
        ended.map_err(|error| format!("after its input ended: {error}{}", last_words(&log)))
    }

    fn initialize(&mut self) -> Result<(), String> {
        let id = self.send(
            "initialize",
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"relay-bench","version":"0.1.0"}}"#,
        );
        self.wire.flush()?;
        self.answer(id)?;
        self.wire
            .queue(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        self.wire.flush()
    }

    fn send(&mut self, method: &str, params: &str) -> u64 {
        let id = self.take_id();
        self.wire.queue(
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
                .as_bytes(),
        );
        id
    }

    /// The text carries the id: an answer to another call is noticed.
    fn send_call(&mut self) -> u64 {
        let id = self.take_id();
        let _ = writeln!(
            self.wire.unsent,
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"call {id} {TEXT}"}}}}}}"#
        );
        id
    }

    fn take_id(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        id
    }

    /// The result for `id`, whatever else comes before it.
    fn answer(&mut self, id: u64) -> Result<Range<usize>, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.wire.receive(deadline)?;
            let bytes = self.wire.line(&line);
            if id_of(bytes) == Some(id) && is_result(bytes) {
                return Ok(line);
            }
            self.aside(&line)?;
        }
    }

    /// A line that is not the awaited result: notifications are passed over,
    /// requests answered as a client without capabilities does.
    fn aside(&mut self, line: &Range<usize>) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Request {
            id: Option<Box<RawValue>>,
            method: String,
        }
        let Ok(request) = serde_json::from_slice::<Request>(self.wire.line(line)) else {
            return Err(self.wrong(line));
        };
        let Some(id) = request.id else { return Ok(()) };
        let body = match request.method.as_str() {
            "ping" => r#""result":{}"#,
            _ => r#""error":{"code":-32601,"message":"method not found"}"#,
        };
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{},{body}}}"#, id.get());
        self.wire.queue(answer.as_bytes());
        self.wire.flush()
    }

    fn wrong(&self, line: &Range<usize>) -> String {
        let line = self.wire.line(line);
        let shown = String::from_utf8_lossy(&line[..line.len().min(200)]);
        format!("wrong answer of {} bytes: {shown}", line.len())
    }

    /// The error, and how the process ended if that is known already.
    fn blame(&mut self, error: &str) -> String {
        match self.process.ended() {
            Some(status) => format!("{error} ({status})"),
            None => error.to_owned(),
        }
    }
}

/// Fills a small call up to about 150 bytes.
const TEXT: &str = "says hello through the bench, and not much more";

/// The number in an echoed text, if the rest of the text is as it was sent.
fn echoed(line: &[u8]) -> Option<u64> {
    let text = line.get(text_of(line)?..)?.strip_prefix(b"call ")?;
    let (number, rest) = number(text)?;
    let rest = rest.strip_prefix(b" ")?.strip_prefix(TEXT.as_bytes())?;
    rest.starts_with(b"\"").then_some(number)
}

fn id_of(line: &[u8]) -> Option<u64> {
    let at = memmem::find(line, br#""id":"#)?;
    number(line.get(at + 5..)?).map(|(id, _)| id)
}

/// Where the text of the result begins. The same search for every row,
/// wherever a broker puts the members.
fn text_of(line: &[u8]) -> Option<usize> {
    memmem::find(line, br#""text":""#).map(|at| at + 8)
}

fn is_result(line: &[u8]) -> bool {
    // The texts of the bench hold none of these; in a large line only the ends are looked at.
    let head = &line[..line.len().min(512)];
    let tail = &line[line.len().saturating_sub(512)..];
    memmem::find(head, br#""result":"#).is_some()
        && memmem::find(head, br#""isError":true"#).is_none()
        && memmem::find(tail, br#""isError":true"#).is_none()
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The agent's ends of the two streams, and what is on its way.
struct Wire {
    to: OwnedFd,
    from: OwnedFd,
    log: PathBuf,
    unsent: Vec<u8>,
    inbox: Vec<u8>,
    /// Read and not taken: `inbox[start..end]`, without a line end before `scanned`.
    start: usize,
    scanned: usize,
    end: usize,
}

impl Wire {
    fn new(to: OwnedFd, from: OwnedFd, log: PathBuf) -> Result<Wire, String> {
        for stream in [&to, &from] {
            rustix::io::ioctl_fionbio(stream, true).map_err(|error| error.to_string())?;
        }
        Ok(Wire {
            to,
            from,
            log,
            unsent: Vec::new(),
            inbox: vec![0; CHUNK],
            start: 0,
            scanned: 0,
            end: 0,
        })
    }

    fn queue(&mut self, message: &[u8]) {
        self.unsent.extend_from_slice(message);
        self.unsent.push(b'\n');
    }

    fn line(&self, line: &Range<usize>) -> &[u8] {
        &self.inbox[line.clone()]
    }

    /// Writes what the stream takes.
    fn flush(&mut self) -> Result<(), String> {
        while !self.unsent.is_empty() {
            match rustix::io::write(&self.to, &self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(format!("cannot write: {error}{}", self.last_words())),
            }
        }
        Ok(())
    }

    /// The next line that was already read. It stays in place until the next read.
    fn next_line(&mut self) -> Option<Range<usize>> {
        match memchr(b'\n', &self.inbox[self.scanned..self.end]) {
            Some(at) => {
                let line = self.start..self.scanned + at;
                self.start = line.end + 1;
                self.scanned = self.start;
                Some(line)
            }
            None => {
                self.scanned = self.end;
                None
            }
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Range<usize>, String> {
        loop {
            if let Some(line) = self.next_line() {
                return Ok(line);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("no answer in time{}", self.last_words()));
            }
            if self.wait(left)? {
                self.read()?;
            }
            self.flush()?;
        }
    }

    /// Waits until there is something to read, or room for what is unsent.
    fn wait(&self, left: Duration) -> Result<bool, String> {
        let left = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut ends = [
            PollFd::new(&self.from, PollFlags::IN),
            PollFd::new(&self.to, PollFlags::OUT),
        ];
        let watched = if self.unsent.is_empty() { 1 } else { 2 };
        match poll(&mut ends[..watched], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(!ends[0].revents().is_empty()),
            Err(error) => Err(format!("cannot poll: {error}")),
        }
    }

    fn read(&mut self) -> Result<(), String> {
        if self.start == self.end {
            (self.start, self.scanned, self.end) = (0, 0, 0);
        } else if self.inbox.len() - self.end < CHUNK && self.start > 0 {
            self.inbox.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.inbox.len() - self.end < CHUNK {
            self.inbox.resize(self.inbox.len() * 2, 0);
        }
        match rustix::io::read(&self.from, &mut self.inbox[self.end..]) {
            Ok(0) => Err(format!("end of its output{}", self.last_words())),
            Ok(read) => {
                self.end += read;
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(format!("cannot read: {error}{}", self.last_words())),
        }
    }

    fn last_words(&self) -> String {
        last_words(&self.log)
    }
}

/// The last line of a log, for the end of an error.
pub(crate) fn last_words(log: &std::path::Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    match text.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("; its stderr ends with `{line}`"),
        None => String::new(),
    }
}

fn spawn(mut command: Command, streams: Streams) -> Result<(Process, OwnedFd, OwnedFd), String> {
    let cannot = |error: std::io::Error| format!("cannot start: {error}");
    match streams {
        Streams::Pipes => {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().map_err(cannot)?;
            let (to, from) = (child.stdin.take(), child.stdout.take());
            let process = Process::new(child);
            match (to, from) {
                (Some(to), Some(from)) => Ok((process, to.into(), from.into())),
                _ => Err("the child has no pipes".into()),
            }
        }
        Streams::SocketPairs => {
            let (to, stdin) = UnixStream::pair().map_err(cannot)?;
            let (from, stdout) = UnixStream::pair().map_err(cannot)?;
            command
                .stdin(OwnedFd::from(stdin))
                .stdout(OwnedFd::from(stdout));
            let child = command.spawn().map_err(cannot)?;
            // `command` holds the child's ends until it is dropped, at the end of this function.
            Ok((Process::new(child), to.into(), from.into()))
        }
    }
}
