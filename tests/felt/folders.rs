//! Servers that ask for the folders of their agent, at their start and when they change.

use crate::limited;
use crate::support::agent::Agent;
use crate::support::home::Home;
use crate::support::raw::{dig, members};
use crate::support::server::Server;

const NEWS: &str = "notifications/roots/list_changed";
const CAN: &str = r#"{"roots":{"listChanged":true}}"#;
const ROOTS: &str = r#"{"roots":[{"uri":"file:///work"}]}"#;

/// A server that asks for folders as soon as it is met, and never again.
const ASKS: &str = r#"era legacy
on initialize: result {"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"asks","version":"1"}}
line {"jsonrpc":"2.0","id":"folders","method":"roots/list"}
call hi: text hello"#;

/// Waits until it knows the folders, and then for its call.
fn is_called_when_it_knows(alpha: &mut Server) {
    while !alpha.is_answered("\"folders\"").contains("file:///work") {}
    alpha.gets("tools/call");
}

fn works(alpha: &mut Server, agent: &mut Agent) {
    agent.until_listed(&["alpha__hi"]);
    let call = agent.call("alpha__hi", "{}");
    let question = agent.request_from_server();
    assert!(question.contains("roots/list"), "{question}");
    agent.respond(&question, ROOTS);
    is_called_when_it_knows(alpha);
    assert_eq!(agent.text(call), "hello");
}

#[test]
fn a_server_that_asks_at_its_start_is_answered_in_every_session_and_before_its_first_call() {
    let home = Home::new();
    let mut alpha = home.server("alpha", ASKS);
    let mut one = home.beside_with("bot", CAN);
    works(&mut alpha, &mut one);
    one.hang_up();
    one.ends();
    // The next one feeds the catalogue, and was told what the last agent declared.
    let told = alpha.is_answered("\"folders\"");
    assert!(told.contains("nobody is there"), "{told}");
    let mut two = home.beside_with("bot", CAN);
    works(&mut alpha, &mut two);
}

#[test]
fn a_stateless_agent_answers_what_a_server_asks_at_its_start_before_its_call_leaves() {
    let home = limited("");
    let mut alpha = home.server("alpha", ASKS);
    let mut agent = home.modern_with(r#"{"roots":{}}"#);
    agent.until_listed(&["alpha__hi"]);
    let call = agent.call("alpha__hi", "{}");
    let asked = agent.answer(call);
    let requests = dig(&asked, "result.inputRequests").unwrap();
    let (key, _) = members(&requests).remove(0);
    let state = dig(&asked, "result.requestState").unwrap();
    let again = agent.request(
        "tools/call",
        &format!(
            r#"{{"name":"alpha__hi","arguments":{{}},"inputResponses":{{"{key}":{ROOTS}}},"requestState":{state}}}"#
        ),
    );
    is_called_when_it_knows(&mut alpha);
    assert_eq!(agent.text(again), "hello");
}

#[test]
fn news_of_folders_reaches_every_server_but_those_that_are_stopped() {
    let home = limited("");
    let script = "era legacy\ncall hi: text hello";
    let (mut alpha, mut beta) = (home.server("alpha", script), home.server("beta", script));
    let mut agent = home.legacy_with(CAN);
    agent.until_listed(&["alpha__hi", "beta__hi"]);
    for tool in ["alpha__hi", "beta__hi"] {
        let call = agent.call(tool, "{}");
        assert_eq!(agent.text(call), "hello");
    }
    beta.gets("tools/call");
    let stop = home.tollgate().args(["stop", "--server", "beta"]).output();
    assert!(stop.unwrap().status.success());
    agent.send(&format!(r#"{{"jsonrpc":"2.0","method":"{NEWS}"}}"#));
    alpha.gets(NEWS);
    assert_eq!(beta.count(NEWS), 0);
}
