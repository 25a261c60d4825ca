//! What is refused before it becomes a call: nothing of it reaches a tool
//! server, and the connection lives on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test ends where it fails, its helpers too"
)]

mod support;

use support::agent::{Agent, code};
use support::home::Home;
use support::raw::member;
use support::server::Server;

/// An agent, and a server that must get nothing but what is good.
fn connected() -> (Home, Server, Agent) {
    let home = Home::new();
    let alpha = home.server("alpha", "call hi: text hello\ncall wait: wait\ntext waited");
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__hi"]);
    (home, alpha, agent)
}

#[test]
fn a_repeated_key_is_refused_at_any_depth() {
    let (_home, mut alpha, mut agent) = connected();
    for params in [
        r#"{"name":"alpha__hi","name":"alpha__wait"}"#,
        r#"{"name":"alpha__hi","arguments":{"a":1,"a":2}}"#,
        r#"{"name":"alpha__hi","arguments":{"a":1,"\u0061":2}}"#,
        r#"{"name":"alpha__hi","arguments":{"l":[{"m":{"x":0,"y":1,"x":2}}]}}"#,
        r#"{"name":"alpha__hi","_meta":{"k":1,"k":1}}"#,
    ] {
        let id = agent.request("tools/call", params);
        let (code, says) = agent.error(id);
        assert_eq!(code, -32602, "{params}: {says}");
    }
    still_serves(&mut agent);
    assert_eq!(alpha.count("tools/call"), 1);
}

#[test]
fn a_lone_surrogate_is_refused() {
    let (_home, mut alpha, mut agent) = connected();
    for arguments in [
        r#"{"a":"\ud800"}"#,
        r#"{"\udc00":1}"#,
        r#"{"a":["\ude00\ud83d"]}"#,
    ] {
        let id = agent.call("alpha__hi", arguments);
        assert_eq!(agent.error(id).0, -32602, "{arguments}");
    }
    still_serves(&mut agent);
    assert_eq!(alpha.count("tools/call"), 1);
}

#[test]
fn arguments_nested_ten_thousand_deep_are_refused() {
    let (_home, mut alpha, mut agent) = connected();
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let id = agent.call("alpha__hi", &deep);
    assert_eq!(agent.error(id).0, -32602);
    still_serves(&mut agent);
    assert_eq!(alpha.count("tools/call"), 1);
}

#[test]
fn a_second_request_with_an_open_id_is_refused_and_the_first_is_answered() {
    let (_home, mut alpha, mut agent) = connected();
    let id = agent.call("alpha__wait", "{}");
    alpha.gets("tools/call");
    agent.send(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"alpha__hi"}}}}"#
    ));
    assert_eq!(agent.error(id).0, -32600);
    alpha.order("go");
    assert_eq!(agent.text(id), "waited");
    assert_eq!(alpha.count("tools/call"), 1);
    still_serves(&mut agent);
}

#[test]
fn a_line_that_hides_another_call_is_refused_whole() {
    let (_home, mut alpha, mut agent) = connected();
    agent.send_bytes(
        b"{\"jsonrpc\":\"2.0\",\"id\":\"z\",\"method\":\"tools/call\",\"params\":{\"name\":\"alpha__hi\",\"x\":[\r{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/call\",\"params\":{\"name\":\"wait\"}}\r]}}",
    );
    let told = agent.line();
    assert_eq!(code(&told).unwrap().0, -32600, "{told}");
    still_serves(&mut agent);
    assert_eq!(alpha.count("tools/call"), 1);
}

#[test]
fn an_unknown_tool_is_an_invalid_parameter() {
    let (_home, mut alpha, mut agent) = connected();
    for params in [
        r#"{"name":"alpha__nothing"}"#,
        r#"{"name":"hi"}"#,
        r#"{"name":"ALPHA__hi"}"#,
        r#"{"name":7}"#,
        r#"{"arguments":{}}"#,
    ] {
        let id = agent.request("tools/call", params);
        assert_eq!(agent.error(id).0, -32602, "{params}");
    }
    still_serves(&mut agent);
    assert_eq!(alpha.count("tools/call"), 1);
}

#[test]
fn an_unknown_method_is_told_as_such() {
    let (_home, _alpha, mut agent) = connected();
    let id = agent.request("tools/burn", "{}");
    assert_eq!(agent.error(id).0, -32601);
    still_serves(&mut agent);
}

#[test]
fn lines_that_are_no_messages_are_answered_and_the_connection_lives_on() {
    let (_home, _alpha, mut agent) = connected();
    for (line, expected) in [
        (
            &b"{\"jsonrpc\":\"2.0\",\"id\":\"u\",\"method\":\"ping\",\"params\":{\"x\":\"\xff\"}}"
                [..],
            -32700,
        ),
        (b"not JSON", -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":", -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":7}", -32600),
    ] {
        agent.send_bytes(line);
        let told = agent.line();
        let (code, _) = code(&told).unwrap_or_else(|| panic!("not an error: {told}"));
        assert_eq!(code, expected, "{told}");
        still_serves(&mut agent);
    }
    // An empty line is nothing.
    agent.send("");
    still_serves(&mut agent);
}

#[test]
fn a_request_that_is_not_json_is_answered_under_its_id() {
    let (_home, mut alpha, mut agent) = connected();
    for (line, id) in [
        // Python writes this where nobody told it not to.
        (
            r#"{"jsonrpc":"2.0","id":"nan","method":"tools/call","params":{"name":"alpha__hi","arguments":{"x":NaN}}}"#,
            "\"nan\"",
        ),
        (
            r#" {"method":"ping","params":{"x":Infinity},"id":7000}"#,
            "7000",
        ),
        (r#"{"id":7001,"params":-}"#, "7001"),
    ] {
        agent.send(line);
        let answer = agent.answer_to(id);
        assert_eq!(code(&answer).unwrap().0, -32700, "{answer}");
    }
    still_serves(&mut agent);
    assert_eq!(alpha.count("tools/call"), 1);
}

#[test]
fn what_was_meant_to_answer_is_never_answered() {
    let (_home, _alpha, mut agent) = connected();
    for line in [
        // What another side says of a line of ours that it cannot read.
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#,
        r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"parse error"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"data":NaN}}"#,
        r#"{"id":"stranger","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"stranger","result":NaN}"#,
    ] {
        agent.send(line);
        still_serves(&mut agent);
        assert_eq!(agent.others(), [""; 0], "{line}");
    }
}

#[test]
fn a_line_longer_than_sixteen_mebibytes_is_refused_by_its_id() {
    let (_home, mut alpha, mut agent) = connected();
    let id = agent.call(
        "alpha__hi",
        &format!(r#"{{"a":"{}"}}"#, "x".repeat(17 * 1024 * 1024)),
    );
    let (_, says) = agent.error(id);
    assert!(says.contains("16"), "{says}");
    still_serves(&mut agent);
    assert_eq!(alpha.count("tools/call"), 1);
    assert!(agent.resident() < 120, "{} MiB", agent.resident());
}

#[test]
fn arguments_of_eight_mebibytes_are_no_reason_to_refuse() {
    let (_home, mut alpha, mut agent) = connected();
    let text = "x".repeat(8 * 1024 * 1024);
    let id = agent.call("alpha__hi", &format!(r#"{{"a":"{text}"}}"#));
    assert_eq!(agent.text(id), "hello");
    assert!(alpha.gets("tools/call").contains(&text));
}

#[test]
fn a_request_before_initialize_is_an_error_and_initialize_works_after_it() {
    let home = Home::new();
    let _alpha = home.server("alpha", "call hi: text hello");
    let mut agent = home.stranger();
    let id = agent.call("alpha__hi", "{}");
    agent.error(id);
    agent.initialize("{}");
    agent.until_listed(&["alpha__hi"]);
    still_serves(&mut agent);
}

#[test]
fn an_unknown_version_of_either_era_is_told_what_is_spoken() {
    let (_home, _alpha, mut agent) = connected();
    let id = agent.request(
        "tools/call",
        r#"{"name":"alpha__hi","_meta":{"io.modelcontextprotocol/protocolVersion":"1900-01-01","io.modelcontextprotocol/clientCapabilities":{}}}"#,
    );
    let answer = agent.answer(id);
    assert_eq!(code(&answer).unwrap().0, -32022, "{answer}");
    let data = member(&member(&answer, "error").unwrap(), "data").unwrap();
    assert!(
        member(&data, "supported").unwrap().contains("2026-07-28"),
        "{data}"
    );
}

fn still_serves(agent: &mut Agent) {
    let id = agent.call("alpha__hi", "{}");
    assert_eq!(agent.text(id), "hello");
}
