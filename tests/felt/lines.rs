//! Lines that are not quite what the protocol says: what is meant is done, and what may
//! be meant otherwise fails nobody's call.

use crate::limited;
use crate::support::agent::Agent;
use crate::support::home::Home;
use crate::support::pair::{Era, Pair};
use crate::support::raw::{dig, member};
use crate::support::server::Server;

const MIB: usize = 1024 * 1024;

/// What a tool says that is called `bad`, by a server of the handshake era.
fn says(script: &str) -> String {
    let home = Home::new();
    let _alpha = home.server("alpha", &format!("era legacy\ncall bad: {script}"));
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__bad"]);
    let id = agent.call("alpha__bad", "{}");
    agent.text(id)
}

#[test]
fn a_request_of_a_server_that_cannot_be_read_fails_no_call_with_its_id() {
    let said = says(
        r#"line {"jsonrpc":"2.0","id":$id,"method":"roots/list","params":"x"}
        line {"id":$id,"method":"ping"}
        line {"jsonrpc":"2.0","id":$id,"method":"x","params":NaN}
        text fine"#,
    );
    assert_eq!(said, "fine");
}

#[test]
fn a_request_of_a_server_that_is_too_long_fails_no_call_with_its_id() {
    assert_eq!(says(&format!("long {}\ntext fine", 70 * MIB)), "fine");
}

#[test]
fn an_error_that_is_null_beside_a_result_is_none() {
    let said = says(
        r#"line {"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"fine"}]},"error":null}"#,
    );
    assert_eq!(said, "fine");
}

#[test]
fn an_id_that_comes_back_as_a_text_is_the_same() {
    let said = says(
        r#"line {"jsonrpc":"2.0","id":"$id","result":{"content":[{"type":"text","text":"fine"}]}}"#,
    );
    assert_eq!(said, "fine");
}

#[test]
fn a_list_that_ends_with_an_empty_cursor_has_ended() {
    let home = Home::new();
    let script = r#"era legacy
        call hi: text hello
        on tools/list: result {"tools":[{"name":"hi","inputSchema":{"type":"object"}}],"nextCursor":""}"#;
    let _alpha = home.server("alpha", script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__hi"]);
}

#[test]
fn an_answer_of_an_agent_that_cannot_be_read_ends_its_question_and_is_not_answered() {
    let script = "call ask: ask roots/list {}\nanswers";
    for answer in [
        r#""result":{"roots":[]},"error":{"code":1,"message":"x"}"#,
        r#""result":{"roots":[NaN]}"#,
        r#""result":{},"result":{}"#,
        r#""x":1"#,
    ] {
        let mut pair = Pair::new(Era::Legacy, Era::Legacy, r#"{"roots":{}}"#, script);
        let call = pair.agent.call("alpha__ask", "{}");
        let question = pair.agent.request_from_server();
        let id = member(&question, "id").unwrap();
        pair.agent
            .send(&format!(r#"{{"jsonrpc":"2.0","id":{id},{answer}}}"#));
        let said = pair.agent.text(call);
        assert!(said.contains("cannot be read"), "{answer}: {said}");
        assert_eq!(pair.agent.others(), [""; 0], "{answer}");
    }
}

#[test]
fn an_answer_of_an_agent_may_have_its_id_as_a_text() {
    let script = "call ask: ask roots/list {}\nanswers";
    let mut pair = Pair::new(Era::Legacy, Era::Legacy, r#"{"roots":{}}"#, script);
    let call = pair.agent.call("alpha__ask", "{}");
    let question = pair.agent.request_from_server();
    let id = member(&question, "id").unwrap();
    pair.agent.send(&format!(
        r#"{{"jsonrpc":"2.0","id":"{id}","result":{{"roots":[]}}}}"#
    ));
    assert_eq!(pair.agent.text(call), r#"[{"roots":[]}]"#);
}

#[test]
fn answers_for_a_server_that_does_not_read_are_not_gathered() {
    let questions = |name: &str, count: usize| -> String {
        let each = |nth| {
            format!(
                "line {{\"jsonrpc\":\"2.0\",\"id\":\"{name}{nth}\",\"method\":\"roots/list\"}}\n"
            )
        };
        (0..count).map(each).collect()
    };
    let script = format!(
        "call ask: deaf\n{}wait\n{}text done",
        questions("first", 60),
        questions("second", 30)
    );
    let mut pair = Pair::new(Era::Legacy, Era::Legacy, r#"{"roots":{}}"#, &script);
    let call = pair.agent.call("alpha__ask", "{}");
    // As much as there is room for; what is short then waits behind it.
    let long = format!(r#"{{"roots":[],"x":"{}"}}"#, "x".repeat(MIB));
    for nth in 0..60 {
        let question = pair.agent.request_from_server();
        let roots = if nth < 8 { &*long } else { r#"{"roots":[]}"# };
        pair.agent.respond(&question, roots);
    }
    // Whoever reads this has read what was sent before it.
    let ping = pair.agent.request("ping", "{}");
    pair.agent.result(ping);
    pair.alpha.order("go");
    pair.agent.text(call);
    // Most of the answers still wait, and so many questions may be open.
    let asked = pair.agent.others();
    assert!(asked.len() < 15, "{} more were asked", asked.len());
}

/// An agent of the handshake era, and a server of the stateless one that says this when
/// it is asked to tell of resources.
fn told_of_streams(says: &str) -> (Home, Server, Agent) {
    let home = Home::new();
    let script = format!(
        "era modern\nresource {{\"uri\":\"note://one\",\"name\":\"one\"}}\ncall ready: text ready\non subscriptions/listen: {says}"
    );
    let alpha = home.server("alpha", &script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__ready"]);
    (home, alpha, agent)
}

#[test]
fn a_subscription_that_a_stateless_server_does_not_grant_is_none() {
    for says in [
        r#"line {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":$id},"notifications":{"toolsListChanged":true}}}"#,
        r#"error {"code":-32602,"message":"no streams here"}"#,
    ] {
        let (_home, mut alpha, mut agent) = told_of_streams(says);
        let id = agent.request("resources/subscribe", r#"{"uri":"note://one"}"#);
        agent.error(id);
        // The others still hear of theirs.
        loop {
            let listen = alpha.gets("subscriptions/listen");
            let uris = dig(&listen, "params.notifications.resourceSubscriptions");
            if uris.as_deref() == Some(r#"["note://one"]"#) {
                break;
            }
        }
        let again = alpha.gets("subscriptions/listen");
        let uris = dig(&again, "params.notifications.resourceSubscriptions");
        assert_eq!(uris.as_deref(), Some("[]"));
    }
}

#[test]
fn an_agent_watches_no_more_than_a_mebibyte_of_addresses() {
    let home = Home::new();
    let script = "era legacy\ntemplate {\"uriTemplate\":\"note://{n}\",\"name\":\"note\"}\ncall ready: text ready";
    let mut alpha = home.server("alpha", script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__ready"]);
    let uri = |n: usize| format!(r#"{{"uri":"note://{n}{}"}}"#, "x".repeat(300 * 1024));
    for n in 0..3 {
        let id = agent.request("resources/subscribe", &uri(n));
        agent.result(id);
    }
    let id = agent.request("resources/subscribe", &uri(3));
    let (_, says) = agent.error(id);
    assert!(says.contains("are watched"), "{says}");
    // What it watches it may watch, and what it leaves makes room.
    for (method, n) in [
        ("resources/subscribe", 0),
        ("resources/unsubscribe", 0),
        ("resources/subscribe", 3),
    ] {
        let id = agent.request(method, &uri(n));
        agent.result(id);
    }
    assert_eq!(alpha.count("resources/subscribe"), 5);
}

#[test]
fn completions_in_different_contexts_are_different_calls() {
    let home = limited("loops = { same = { refuse = 3, kill = 50 } }");
    let script = r#"era legacy
        template {"uriTemplate":"repo://{owner}/{repo}","name":"repo"}
        on completion/complete: result {"completion":{"values":["a"]}}
        call ready: text ready"#;
    let _alpha = home.server("alpha", script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__ready"]);
    let complete = |owner: usize| {
        format!(
            r#"{{"ref":{{"type":"ref/resource","uri":"repo://{{owner}}/{{repo}}"}},"argument":{{"name":"repo","value":"a"}},"context":{{"arguments":{{"owner":"o{owner}"}}}}}}"#
        )
    };
    for owner in 0..6 {
        let id = agent.request("completion/complete", &complete(owner));
        agent.result(id);
    }
    for _ in 0..2 {
        let id = agent.request("completion/complete", &complete(5));
        agent.answer(id);
    }
    let id = agent.request("completion/complete", &complete(5));
    let (_, says) = agent.error(id);
    assert!(says.contains("same"), "{says}");
}

#[test]
fn a_completion_with_an_argument_is_another_than_one_with_that_context() {
    let home = limited("loops = { same = { refuse = 3, kill = 50 } }");
    let script = r#"era legacy
        prompt {"name":"p"}
        on completion/complete: result {"completion":{"values":["a"]}}
        call ready: text ready"#;
    let _alpha = home.server("alpha", script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__ready"]);
    for with in ["argument", "context"] {
        let complete = format!(
            r#"{{"ref":{{"type":"ref/prompt","name":"alpha__p"}},"{with}":{{"name":"x","value":"a"}}}}"#
        );
        for _ in 0..2 {
            let id = agent.request("completion/complete", &complete);
            agent.result(id);
        }
    }
}

#[test]
fn a_completion_for_a_template_goes_to_the_server_that_lists_it() {
    let home = Home::new();
    let script = |template: &str| {
        format!(
            "era legacy\ntemplate {{\"uriTemplate\":\"{template}\",\"name\":\"t\"}}\non completion/complete: result {{\"completion\":{{\"values\":[\"a\"]}}}}\ncall ready: text ready"
        )
    };
    let mut alpha = home.server("alpha", &script("repo://{+x}"));
    let mut zed = home.server("zed", &script("repo://{owner}/{repo}"));
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__ready", "zed__ready"]);
    let complete = r#"{"ref":{"type":"ref/resource","uri":"repo://{owner}/{repo}"},"argument":{"name":"owner","value":"a"}}"#;
    let id = agent.request("completion/complete", complete);
    agent.result(id);
    assert_eq!(zed.count("completion/complete"), 1);
    assert_eq!(alpha.count("completion/complete"), 0);
}
