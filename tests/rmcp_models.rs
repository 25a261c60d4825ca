//! What becomes of a message that passes through rmcp's models, beside what
//! becomes of it in `wire`. The evidence of
//! docs/decisions/2026-11-20-raw-wire-on-stdio.md: when rmcp keeps what it loses
//! here, a test fails and the decision can be looked at again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use tollgate::{
    clock::{Clock, SystemClock},
    wire::{self, Body, Message},
};

const PROMPT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"vendor":{"a":1},"description":"d","messages":[{"role":"user","vendor":2,"content":{"type":"text","text":"hi","vendor":3}}]}}"#;
const RESOURCE: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"contents":[{"uri":"a:b","vendor":1,"mimeType":"text/plain","text":"t"}],"vendor":{"n":2}}}"#;
const LARGE: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"contents":[{"uri":"a:b","text":"t","_meta":{"n":123456789012345678901234567890}}]}}"#;
const HUGE: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"contents":[{"uri":"a:b","text":"t","_meta":{"n":1e400}}]}}"#;
const CONTENT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"messages":[{"role":"user","content":{"type":"hologram","data":"x"}}]}}"#;
const ERROR: &str = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"m","vendor":1}}"#;
const REQUEST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"p","arguments":{"b":"1","a":"2"},"vendor":1}}"#;

const RESULTS: [&str; 6] = [PROMPT, RESOURCE, LARGE, HUGE, CONTENT, ERROR];

/// Through the models of rmcp and out again, as its loops would.
fn through_rmcp(line: &str) -> Result<String, String> {
    let message: ServerJsonRpcMessage =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    Ok(serde_json::to_string(&message).unwrap())
}

/// Through ours, as the broker does it.
fn through_wire(line: &Bytes) -> Bytes {
    let Ok(Message::Response { id, body }) = wire::parse(line) else {
        panic!("not a response");
    };
    let mut out = match body {
        Body::Result(result) => wire::result_line(&id, &[result.bytes().clone()]).concat(),
        Body::Error(error) => wire::error_line(&id, &error).concat(),
    };
    assert_eq!(out.pop(), Some(b'\n'));
    out.into()
}

#[test]
fn rmcp_drops_the_fields_that_it_does_not_know() {
    assert_eq!(
        through_rmcp(PROMPT).unwrap(),
        r#"{"jsonrpc":"2.0","id":7,"result":{"description":"d","messages":[{"role":"user","content":{"type":"text","text":"hi"}}]}}"#
    );
    assert_eq!(
        through_rmcp(RESOURCE).unwrap(),
        r#"{"jsonrpc":"2.0","id":7,"result":{"contents":[{"uri":"a:b","mimeType":"text/plain","text":"t"}]}}"#
    );
    assert_eq!(
        through_rmcp(ERROR).unwrap(),
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"m"}}"#
    );
    let request: ClientJsonRpcMessage = serde_json::from_str(REQUEST).unwrap();
    assert_eq!(
        serde_json::to_string(&request).unwrap(),
        r#"{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"arguments":{"a":"2","b":"1"},"name":"p"}}"#
    );
}

#[test]
fn rmcp_rounds_a_large_integer_and_fails_at_a_larger_number() {
    let rounded = through_rmcp(LARGE).unwrap();
    assert!(
        rounded.contains(r#""n":1.2345678901234568e+29"#),
        "{rounded}"
    );
    let error = through_rmcp(HUGE).unwrap_err();
    assert!(error.contains("number out of range"), "{error}");
}

#[test]
fn rmcp_sorts_the_keys_of_a_result_that_fits_none_of_its_models() {
    assert_eq!(
        through_rmcp(CONTENT).unwrap(),
        r#"{"jsonrpc":"2.0","id":7,"result":{"messages":[{"content":{"data":"x","type":"hologram"},"role":"user"}]}}"#
    );
}

#[test]
fn the_wire_gives_back_what_it_took() {
    for line in RESULTS {
        assert_eq!(through_wire(&Bytes::from_static(line.as_bytes())), line);
    }
}

/// Not a benchmark: an order of magnitude, and only in an optimised build.
///
///     cargo test --release --test rmcp_models -- --ignored --nocapture
#[test]
#[ignore = "measures; run it in an optimised build"]
fn what_a_message_costs() {
    let text = "x".repeat(64 * 1024);
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":7,"result":{{"contents":[{{"uri":"a:b","text":"{text}"}}]}}}}"#
    );
    let short = r#"{"jsonrpc":"2.0","id":7,"result":{"contents":[{"uri":"a:b","text":"t"}]}}"#;
    for line in [short.to_owned(), PROMPT.to_owned(), long] {
        let bytes = Bytes::from(line.clone());
        let models = time(|| drop(black_box(through_rmcp(black_box(&line)))));
        let wire = time(|| drop(black_box(through_wire(black_box(&bytes)))));
        println!("{} bytes: rmcp {models:?}, wire {wire:?}", line.len());
    }
}

/// The best of several rounds: what else the machine does only adds.
fn time(mut work: impl FnMut()) -> Duration {
    const EACH: u32 = 2_000;
    let clock = SystemClock::new();
    let round = |work: &mut dyn FnMut()| {
        let begun = clock.elapsed();
        (0..EACH).for_each(|_| work());
        (clock.elapsed() - begun) / EACH
    };
    (0..20).map(|_| round(&mut work)).min().unwrap()
}
