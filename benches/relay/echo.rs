//! `echo`: the tool server behind every row, written by hand so that no SDK is measured.
//!
//!     echo --tools N
//!
//! Tools: `echo` returns its text, `big` a text of BYTES bytes, the rest only
//! fill the list. The list is built once: a `tools/list` measures the way of
//! the bytes, not the making of them.

use std::borrow::Cow;
use std::io::Write as _;

use memchr::memchr;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::proc::{read_some, write_all};

const CHUNK: usize = 64 << 10;
/// A result beyond this is a mistake of the caller.
const LARGEST: usize = 64 << 20;

pub(crate) fn serve(arguments: &[String]) -> Result<(), String> {
    let [option, count] = arguments else {
        return Err("usage: echo --tools N".into());
    };
    let tools: usize = match (option.as_str(), count.parse()) {
        ("--tools", Ok(tools)) => tools,
        _ => return Err(format!("cannot read `{option} {count}`")),
    };
    let list = tool_list(tools);
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let mut chunk = vec![0; CHUNK];
    let mut pending = Vec::new();
    let mut replies = Vec::new();
    loop {
        let read = read_some(stdin, &mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        let mut scanned = pending.len();
        pending.extend_from_slice(&chunk[..read]);
        let mut done = 0;
        while let Some(at) = memchr(b'\n', &pending[scanned..]) {
            let end = scanned + at;
            answer(&pending[done..end], &list, &mut replies)?;
            scanned = end + 1;
            done = scanned;
        }
        pending.drain(..done);
        if !replies.is_empty() {
            write_all(stdout, &replies)?;
            replies.clear();
        }
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<Arguments<'a>>,
    #[serde(borrow, rename = "protocolVersion")]
    version: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    bytes: Option<usize>,
}

fn answer(line: &[u8], list: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let message: Message<'_> =
        serde_json::from_slice(line).map_err(|error| format!("not a message: {error}"))?;
    let (Some(id), Some(method)) = (message.id, message.method) else {
        return Ok(()); // a notification, or an answer to something never asked
    };
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.get().as_bytes());
    let params = message.params.as_ref();
    match method.as_ref() {
        "tools/call" => called(params, out),
        "tools/list" => out.extend_from_slice(list.as_bytes()),
        "initialize" => initialized(params, out),
        "ping" => out.extend_from_slice(br#","result":{}}"#),
        _ => failed(out, -32601, "method not found"),
    }
    out.push(b'\n');
    Ok(())
}

fn called(params: Option<&Params<'_>>, out: &mut Vec<u8>) {
    const HEAD: &[u8] = br#","result":{"content":[{"type":"text","text":"#;
    const TAIL: &[u8] = br#"}],"isError":false}}"#;
    let arguments = params.and_then(|params| params.arguments.as_ref());
    let name = params.and_then(|params| params.name.as_deref());
    let text = arguments.and_then(|arguments| arguments.text);
    let bytes = arguments.and_then(|arguments| arguments.bytes);
    match (name, text, bytes) {
        (Some("echo"), Some(text), _) => {
            out.extend_from_slice(HEAD);
            out.extend_from_slice(text.get().as_bytes());
            out.extend_from_slice(TAIL);
        }
        (Some("big"), _, Some(bytes)) if bytes <= LARGEST => {
            out.extend_from_slice(HEAD);
            out.push(b'"');
            out.resize(out.len() + bytes, b'x');
            out.push(b'"');
            out.extend_from_slice(TAIL);
        }
        _ => failed(out, -32602, "no such tool, or an argument is missing"),
    }
}

fn initialized(params: Option<&Params<'_>>, out: &mut Vec<u8>) {
    const KNOWN: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
    let asked = params.and_then(|params| params.version.as_deref());
    let version = KNOWN
        .into_iter()
        .find(|known| Some(*known) == asked)
        .unwrap_or("2025-11-25");
    let _ = write!(
        out,
        r#","result":{{"protocolVersion":"{version}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"bench-echo","version":"0.1.0"}}}}}}"#
    );
}

fn failed(out: &mut Vec<u8>, code: i32, message: &str) {
    let _ = write!(out, r#","error":{{"code":{code},"message":"{message}"}}}}"#);
}

/// Everything of the answer to `tools/list` after the id; about 270 bytes a tool.
fn tool_list(tools: usize) -> String {
    let mut list = String::from(r#","result":{"tools":["#);
    for at in 0..tools {
        if at > 0 {
            list.push(',');
        }
        match at {
            0 => list.push_str(r#"{"name":"echo","description":"Returns the given text","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}"#),
            1 => list.push_str(r#"{"name":"big","description":"Returns a text of so many bytes","inputSchema":{"type":"object","properties":{"bytes":{"type":"integer"}},"required":["bytes"]}}"#),
            _ => list.push_str(&format!(r#"{{"name":"tool_{at:05}","description":"Fills the list, number {at}","inputSchema":{{"type":"object","properties":{{"path":{{"type":"string","description":"a path"}},"limit":{{"type":"integer","minimum":0,"maximum":1000}},"flags":{{"type":"array","items":{{"type":"string"}}}}}},"required":["path"]}}}}"#)),
        }
    }
    list.push_str("]}}");
    list
}
