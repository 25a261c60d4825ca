//! An agent over real pipes: raw lines, and a deadline on each of them.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::DEADLINE;
use super::raw::{dig, elements, member, members, quote, unquote};

/// See the module.
pub struct Agent {
    process: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    /// Bytes that are no whole line yet.
    rest: Vec<u8>,
    /// Lines that came while another one was waited for.
    inbox: VecDeque<String>,
    next_id: u64,
    /// The reserved keys of the stateless era, if it speaks that.
    modern: Option<String>,
}

impl Agent {
    pub(super) fn start(mut command: Command) -> Agent {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Agent {
            stdin: process.stdin.take(),
            stdout: process.stdout.take().unwrap(),
            process,
            rest: Vec::new(),
            inbox: VecDeque::new(),
            next_id: 1,
            modern: None,
        }
    }

    /// The handshake of the legacy era.
    pub fn initialize(&mut self, capabilities: &str) {
        let params = format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"clientInfo":{{"name":"test","version":"1"}}}}"#
        );
        let id = self.request("initialize", &params);
        let result = self.result(id);
        assert_eq!(
            member(&result, "protocolVersion").unwrap(),
            "\"2025-11-25\""
        );
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    /// From here on every request carries what the stateless era demands.
    pub fn speak_modern(&mut self, capabilities: &str) {
        self.modern = Some(format!(
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"test","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{capabilities}"#
        ));
    }

    /// Waits until every one of these tools is listed.
    pub fn until_listed(&mut self, tools: &[&str]) {
        for _ in 0..500 {
            let id = self.request("tools/list", "{}");
            let list = self.result(id);
            let listed = elements(&member(&list, "tools").unwrap());
            let named = |name: &str| {
                listed
                    .iter()
                    .any(|tool| member(tool, "name").unwrap() == quote(name))
            };
            if tools.iter().all(|name| named(name)) {
                return;
            }
            // A list that is not complete yet is followed by news of it, except
            // for an agent that did not ask for news.
            self.hear(Duration::from_millis(20));
        }
        panic!("{tools:?} are not listed");
    }

    /// Sends one line.
    pub fn send(&mut self, line: &str) {
        self.send_bytes(line.as_bytes());
    }

    /// Sends one line that need not be text.
    pub fn send_bytes(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().expect("has not hung up");
        stdin.write_all(line).unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    /// Sends a request; its id.
    pub fn request(&mut self, method: &str, params: &str) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let params = match &self.modern {
            Some(keys) => with_meta(params, keys),
            None => params.to_owned(),
        };
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
        ));
        id
    }

    /// Calls a tool; the request's id.
    pub fn call(&mut self, tool: &str, arguments: &str) -> u64 {
        let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
        self.request("tools/call", &params)
    }

    /// Answers a request of the server's.
    pub fn respond(&mut self, request: &str, result: &str) {
        let id = member(request, "id").unwrap();
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
        ));
    }

    /// Waits for the answer to a request: the whole line.
    pub fn answer(&mut self, id: u64) -> String {
        self.answer_to(&id.to_string())
    }

    /// The same, for an id as it was written.
    pub fn answer_to(&mut self, id: &str) -> String {
        self.until(&format!("an answer to {id}"), |line| {
            member(line, "method").is_none() && member(line, "id").as_deref() == Some(id)
        })
    }

    /// Waits for the answer to a request and leaves it there.
    pub fn peek(&mut self, id: u64) -> String {
        let answer = self.answer(id);
        self.inbox.push_front(answer.clone());
        answer
    }

    /// Waits for the next line, whatever it is but news of the lists.
    pub fn line(&mut self) -> String {
        loop {
            match self.inbox.pop_front() {
                Some(line) if is_list_news(&line) => {}
                Some(line) => return line,
                None => assert!(self.hear(DEADLINE), "nothing is said"),
            }
        }
    }

    /// Waits for the answer to a request, which must be good: the value of `result`.
    pub fn result(&mut self, id: u64) -> String {
        let answer = self.answer(id);
        member(&answer, "result").unwrap_or_else(|| panic!("not a result: {}", short(&answer)))
    }

    /// Waits for a result with one text: that text.
    pub fn text(&mut self, id: u64) -> String {
        let result = self.result(id);
        text_of(&result).unwrap_or_else(|| panic!("not a text: {}", short(&result)))
    }

    /// Waits for the answer to a request, which must be an error: its code and message.
    pub fn error(&mut self, id: u64) -> (i64, String) {
        let answer = self.answer(id);
        code(&answer).unwrap_or_else(|| panic!("not an error: {}", short(&answer)))
    }

    /// Waits for a result that says that the call failed: its text.
    pub fn failure(&mut self, id: u64) -> String {
        let result = self.result(id);
        assert_eq!(
            member(&result, "isError").as_deref(),
            Some("true"),
            "not a failure: {}",
            short(&result)
        );
        text_of(&result).unwrap_or_else(|| panic!("not a text: {}", short(&result)))
    }

    /// Waits for a request or notification with this method.
    pub fn gets(&mut self, method: &str) -> String {
        let method = quote(method);
        self.until(&method, |line| {
            member(line, "method").as_deref() == Some(&method)
        })
    }

    /// Waits for a request of the other side, whatever its method.
    pub fn request_from_server(&mut self) -> String {
        self.until("a request", |line| {
            member(line, "method").is_some() && member(line, "id").is_some()
        })
    }

    /// Everything that came and was not waited for, in order, but for news of
    /// the lists: servers may come up at any time.
    pub fn others(&self) -> Vec<String> {
        let mut others: Vec<_> = self.inbox.iter().cloned().collect();
        others.retain(|line| !is_list_news(line));
        others
    }

    /// What it was told of the lists and did not wait for.
    pub fn list_news(&self) -> usize {
        self.inbox.iter().filter(|line| is_list_news(line)).count()
    }

    /// Sends nothing any more.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Neither sends nor reads any more, as if it had been killed.
    pub fn is_gone(&mut self) {
        self.hang_up();
        let (nothing, _) = std::io::pipe().unwrap();
        self.stdout = std::os::fd::OwnedFd::from(nothing).into();
    }

    /// Reads until the end of the connection: what is left in it.
    pub fn last_words(&mut self) -> Vec<String> {
        while self.hear(DEADLINE) {}
        self.others()
    }

    /// Waits for the end of the process behind the pipes.
    pub fn ends(&mut self) -> ExitStatus {
        assert!(ends(self.pid()), "the process has not ended");
        self.process.wait().unwrap()
    }

    /// Ends the process behind the pipes without asking it.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn pid(&self) -> i32 {
        self.process.id().try_into().unwrap()
    }

    /// Memory of the process behind the pipes, in MiB.
    pub fn resident(&self) -> usize {
        self.memory("VmRSS:")
    }

    /// The most memory that it had so far, in MiB.
    #[allow(dead_code, reason = "not every test measures memory")]
    pub fn peak(&self) -> usize {
        self.memory("VmHWM:")
    }

    fn memory(&self, what: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what));
        let kib: usize = line
            .and_then(|line| line.split_whitespace().nth(1))
            .and_then(|number| number.parse().ok())
            .unwrap();
        kib / 1024
    }

    fn until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let mut looked_at = 0;
        loop {
            while let Some(line) = self.inbox.get(looked_at) {
                if is_it(line) {
                    return self.inbox.remove(looked_at).unwrap();
                }
                looked_at += 1;
            }
            if !self.hear(DEADLINE) {
                let had: Vec<_> = self.inbox.iter().map(|line| short(line)).collect();
                panic!("waited for {what}, got {had:#?}");
            }
        }
    }

    /// Waits for something to be said; says whether it was.
    pub fn hear(&mut self, limit: Duration) -> bool {
        let mut chunk = vec![0; 1 << 16];
        let before = self.inbox.len();
        while self.inbox.len() == before {
            let timeout = Timespec::try_from(limit).unwrap();
            let mut fds = [PollFd::new(&self.stdout, PollFlags::IN)];
            if poll(&mut fds, Some(&timeout)).unwrap() == 0 {
                return false;
            }
            let read = self.stdout.read(&mut chunk).unwrap();
            if read == 0 {
                return false;
            }
            self.take(&chunk[..read]);
        }
        true
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.rest.extend_from_slice(&bytes[..end]);
            let line = String::from_utf8(std::mem::take(&mut self.rest)).unwrap();
            self.inbox.push_back(line);
            bytes = &bytes[end + 1..];
        }
        self.rest.extend_from_slice(bytes);
    }
}

/// A test that fails leaves nothing behind either.
impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits for the end of a process.
pub fn ends(pid: i32) -> bool {
    let Ok(fd) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else {
        return true;
    };
    let timeout = Timespec::try_from(DEADLINE).unwrap();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

/// The code and message of an answer that is an error.
pub fn code(answer: &str) -> Option<(i64, String)> {
    let error = member(answer, "error")?;
    let code = member(&error, "code")?.parse().ok()?;
    Some((code, unquote(&member(&error, "message")?)?))
}

/// The text of the only block of a result.
pub fn text_of(result: &str) -> Option<String> {
    match elements(&member(result, "content")?).as_slice() {
        [block] => unquote(&member(block, "text")?),
        _ => None,
    }
}

/// A result without what the broker documents that it adds, which must be there.
pub fn without_ours(result: &str) -> String {
    let Some(meta) = member(result, "_meta") else {
        panic!("no `_meta` in {}", short(result));
    };
    let mut kept = members(&meta);
    kept.retain(|(key, _)| {
        key != "dev.tollgate/call" && key != "io.modelcontextprotocol/serverInfo"
    });
    assert!(meta.contains(r#""dev.tollgate/call":"#), "{meta}");
    let written = format!(r#""_meta":{meta}"#);
    let at = result.rfind(&written).unwrap();
    let (before, after) = (&result[..at], &result[at + written.len()..]);
    if kept.is_empty() {
        // A `_meta` for our keys alone is ours as well.
        let before = before.strip_suffix(',').unwrap_or(before);
        return format!("{before}{after}");
    }
    let kept: Vec<String> = kept
        .iter()
        .map(|(key, value)| format!("{}:{value}", quote(key)))
        .collect();
    format!(r#"{before}"_meta":{{{}}}{after}"#, kept.join(","))
}

fn is_list_news(line: &str) -> bool {
    line.len() < 200
        && member(line, "method").as_deref() == Some(r#""notifications/tools/list_changed""#)
}

fn with_meta(params: &str, keys: &str) -> String {
    if let Some(at) = params.find(r#""_meta":{}"#) {
        let at = at + r#""_meta":{"#.len();
        return format!("{}{keys}{}", &params[..at], &params[at..]);
    }
    if let Some(meta) = dig(params, "_meta") {
        let longer = format!("{{{keys},{}", &meta[1..]);
        return params.replacen(&meta, &longer, 1);
    }
    let body = params.strip_suffix('}').unwrap();
    let comma = if body.ends_with('{') { "" } else { "," };
    format!(r#"{body}{comma}"_meta":{{{keys}}}}}"#)
}

/// Enough of a line to see what it is.
pub fn short(line: &str) -> String {
    match line.char_indices().nth(600) {
        Some((at, _)) => format!("{}… ({} bytes)", &line[..at], line.len()),
        None => line.to_owned(),
    }
}
