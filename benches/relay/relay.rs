//! `relay` and `durable-relay`: the yardsticks, one more process between agent and tool server.
//!
//!     relay -- COMMAND ARGS...
//!     durable-relay FILE -- COMMAND ARGS...
//!
//! `relay` copies bytes and looks at nothing: what any broker in a process of
//! its own costs at the least. `durable-relay` cuts lines, and a thread appends
//! a record of 300 bytes for each call to FILE and syncs it before the call
//! goes on; calls that wait for one sync share the next. Neither is a broker.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use memchr::{memchr_iter, memmem, memrchr};

use crate::proc::{read_some, write_all};

const CHUNK: usize = 64 << 10;
const RECORD: usize = 300;

pub(crate) fn relay(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [dashes, command @ ..] if dashes == "--" => between(command, |server| {
            thread::spawn(move || copy(rustix::stdio::stdin(), server));
        }),
        _ => Err("usage: relay -- COMMAND ARGS...".into()),
    }
}

pub(crate) fn durable_relay(arguments: &[String]) -> Result<(), String> {
    let [path, dashes, command @ ..] = arguments else {
        return Err("usage: durable-relay FILE -- COMMAND ARGS...".into());
    };
    if dashes != "--" {
        return Err(format!("expected `--`, found `{dashes}`"));
    }
    let journal = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| format!("cannot open `{path}`: {error}"))?;
    between(command, |server| {
        let (lines, waiting) = channel();
        thread::spawn(move || cut_lines(&lines));
        thread::spawn(move || sync_and_forward(&waiting, journal, &server));
    })
}

/// Starts the tool server, lets `requests` carry the agent's side to it, and
/// copies its answers until it ends. The agent's end of input reaches the
/// server as its own; so the server's end is the relay's.
fn between(command: &[String], requests: impl FnOnce(OwnedFd)) -> Result<(), String> {
    let [program, arguments @ ..] = command else {
        return Err("no command to relay to".into());
    };
    let mut server = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start `{program}`: {error}"))?;
    let (Some(input), Some(output)) = (server.stdin.take(), server.stdout.take()) else {
        return Err("the server has no pipes".into());
    };
    requests(input.into());
    copy(output, rustix::stdio::stdout())?;
    let status = server.wait().map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the server ended with {status}"))
    }
}

fn copy(from: impl AsFd, to: impl AsFd) -> Result<(), String> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match read_some(&from, &mut chunk)? {
            0 => return Ok(()),
            read => write_all(&to, &chunk[..read])?,
        }
    }
}

/// Sends on whole lines, as many as one read brought.
fn cut_lines(lines: &Sender<Vec<u8>>) -> Result<(), String> {
    let mut chunk = vec![0; CHUNK];
    let mut rest = Vec::new();
    loop {
        let read = read_some(rustix::stdio::stdin(), &mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        let fresh = &chunk[..read];
        let Some(last) = memrchr(b'\n', fresh) else {
            rest.extend_from_slice(fresh);
            continue;
        };
        let mut whole = std::mem::take(&mut rest);
        whole.extend_from_slice(&fresh[..=last]);
        rest.extend_from_slice(&fresh[last + 1..]);
        if lines.send(whole).is_err() {
            return Ok(());
        }
    }
}

fn sync_and_forward(
    waiting: &Receiver<Vec<u8>>,
    mut journal: File,
    server: &OwnedFd,
) -> Result<(), String> {
    let mut count = 0_u64;
    while let Ok(mut lines) = waiting.recv() {
        while let Ok(more) = waiting.try_recv() {
            lines.extend_from_slice(&more);
        }
        let records = intents(&lines, &mut count);
        if !records.is_empty() {
            journal
                .write_all(&records)
                .and_then(|()| journal.sync_data())
                .map_err(|error| format!("cannot record: {error}"))?;
        }
        write_all(server, &lines)?;
    }
    Ok(())
}

/// A record for each call in `lines`.
fn intents(lines: &[u8], count: &mut u64) -> Vec<u8> {
    let mut records = Vec::new();
    let mut start = 0;
    for end in memchr_iter(b'\n', lines) {
        if memmem::find(&lines[start..end], br#""method":"tools/call""#).is_some() {
            *count += 1;
            let head = format!(r#"{{"kind":"intent","seq":{count},"tool":"echo","fill":""#);
            let fill = RECORD.saturating_sub(head.len() + 3);
            let _ = writeln!(records, r#"{head}{:0>fill$}"}}"#, "");
        }
        start = end + 1;
    }
    records
}
