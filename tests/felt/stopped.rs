//! What leaves after a stop, where somebody took their time to read: nothing.

use crate::asked::{EVERYTHING, of_kind, until};
use crate::limited;
use crate::support::agent::{Agent, short};
use crate::support::home::Home;
use crate::support::pair::{Era, FORM};
use crate::support::raw::member;
use crate::support::server::Server;

const MIB: usize = 1024 * 1024;

fn stop(home: &Home) {
    let stopped = home.tollgate().args(["stop", "--agent", "test"]).output();
    assert!(stopped.unwrap().status.success());
}

/// A server that asks twice in one call and reads nothing until it is told to: the second
/// answer waits for room behind the first.
fn asks_and_does_not_read(home: &Home) -> (Server, Agent, u64) {
    let script = format!(
        r#"era legacy
        call ask: deaf
        line {{"jsonrpc":"2.0","id":"long","method":"roots/list"}}
        line {{"jsonrpc":"2.0","id":"late","method":"elicitation/create","params":{FORM}}}
        wait"#
    );
    let mut alpha = home.server("alpha", &script);
    let mut agent = home.legacy_with(EVERYTHING);
    agent.until_listed(&["alpha__ask"]);
    let call = agent.call("alpha__ask", "{}");
    let (long, late) = (agent.request_from_server(), agent.request_from_server());
    // More than there is room for, so that the other answer waits for some.
    let roots = format!(r#"{{"roots":[],"x":"{}"}}"#, "x".repeat(6 * MIB));
    agent.respond(&long, &roots);
    // It has the room when it is recorded, and no sooner: the other must not be before it.
    until(home, &mut alpha, |records| {
        of_kind(records, "answer").len() == 1
    });
    agent.respond(&late, r#"{"action":"accept","content":{"name":"max"}}"#);
    // Whoever answers this has read what was sent before it.
    let ping = agent.request("ping", "{}");
    agent.result(ping);
    (alpha, agent, call)
}

/// The server hears that nobody answered, and so it is recorded.
fn late_is_kept_back(home: &Home, alpha: &mut Server) {
    let told = alpha.is_answered("\"late\"");
    assert!(told.contains(r#""action":"cancel""#), "{told}");
    assert_eq!(answers(home), ["answered", "none"]);
}

/// What became of what was asked.
fn answers(home: &Home) -> Vec<String> {
    let records = home.records();
    let answers = of_kind(&records, "answer");
    let said = answers
        .iter()
        .map(|answer| answer["answer"].as_str().unwrap());
    said.map(str::to_owned).collect()
}

#[test]
fn an_answer_that_its_server_was_slow_to_take_does_not_leave_after_a_stop() {
    let home = limited("");
    let (mut alpha, _agent, _) = asks_and_does_not_read(&home);
    stop(&home);
    alpha.order("hear");
    late_is_kept_back(&home, &mut alpha);
}

#[test]
fn a_server_does_not_hear_what_an_operator_says_of_a_stop() {
    let home = limited("");
    let (mut alpha, mut agent, call) = asks_and_does_not_read(&home);
    let words = ["stop", "--agent", "test", "-m", "not for servers"];
    let stopped = home.tollgate().args(words).output();
    assert!(stopped.unwrap().status.success());
    assert!(agent.answer(call).contains("not for servers"));
    alpha.order("hear");
    let cancelled = alpha.gets("notifications/cancelled");
    assert!(cancelled.contains("it was stopped"), "{cancelled}");
    assert!(!cancelled.contains("not for servers"), "{cancelled}");
    late_is_kept_back(&home, &mut alpha);
}

#[test]
fn an_answer_does_not_leave_when_its_agent_has_cancelled_the_call() {
    let home = limited("");
    let (mut alpha, mut agent, call) = asks_and_does_not_read(&home);
    agent.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{call}}}}}"#
    ));
    until(&home, &mut alpha, |records| {
        of_kind(records, "call.outcome").len() == 1
    });
    alpha.order("hear");
    late_is_kept_back(&home, &mut alpha);
}

#[test]
fn answers_that_wait_for_their_server_are_bounded() {
    let home = limited("");
    let asks = |id: &str| {
        format!(
            r#"line {{"jsonrpc":"2.0","id":"{id}","method":"elicitation/create","params":{FORM}}}"#
        )
    };
    let script = format!(
        "era legacy\ncall ask: deaf\n{}\n{}\nwait",
        asks("first"),
        asks("second")
    );
    let mut alpha = home.server("alpha", &script);
    let mut agent = home.legacy_with(EVERYTHING);
    agent.until_listed(&["alpha__ask"]);
    agent.call("alpha__ask", "{}");
    let (first, second) = (agent.request_from_server(), agent.request_from_server());
    let name = "x".repeat(10 * MIB);
    let accept = format!(r#"{{"action":"accept","content":{{"name":"{name}"}}}}"#);
    agent.respond(&first, &accept);
    agent.respond(&second, &accept);
    // Whoever answers this has counted what was sent before it.
    let ping = agent.request("ping", "{}");
    agent.result(ping);
    alpha.order("hear");
    assert!(alpha.is_answered("\"first\"").len() > 10 * MIB);
    let told = alpha.is_answered("\"second\"");
    assert!(
        told.contains("bytes of answers wait for this server"),
        "{}",
        short(&told)
    );
}

#[test]
fn answers_that_wait_for_one_another_are_bounded() {
    let home = limited("");
    let asks = |key: &str| format!(r#""{key}":{{"method":"elicitation/create","params":{FORM}}}"#);
    let both = format!("{},{}", asks("first"), asks("second"));
    let result = format!(r#"{{"resultType":"input_required","inputRequests":{{{both}}}}}"#);
    let mut alpha = home.server("alpha", &format!("era modern\ncall ask: result {result}"));
    let mut agent = home.legacy_with(EVERYTHING);
    agent.until_listed(&["alpha__ask"]);
    agent.call("alpha__ask", "{}");
    alpha.gets("tools/call");
    let name = "x".repeat(10 * MIB);
    let accept = format!(r#"{{"action":"accept","content":{{"name":"{name}"}}}}"#);
    for _question in 0..2 {
        let question = agent.request_from_server();
        agent.respond(&question, &accept);
    }
    let again = alpha.gets("tools/call");
    let told = member(&member(&again, "params").unwrap(), "inputResponses").unwrap();
    assert!(told.len() > 10 * MIB);
    assert!(member(&told, "first").is_some());
    assert!(member(&told, "second").is_none(), "both were kept");
    assert_eq!(answers(&home), ["accept", "error"]);
}

#[test]
fn an_answer_counts_until_its_server_has_taken_it_and_no_longer() {
    let home = limited("");
    let asks = format!("ask elicitation/create {FORM}\n").repeat(2);
    let _alpha = home.server("alpha", &format!("era modern\ncall ask: {asks}text done"));
    let mut agent = home.legacy_with(EVERYTHING);
    agent.until_listed(&["alpha__ask"]);
    let call = agent.call("alpha__ask", "{}");
    let name = "x".repeat(10 * MIB);
    for _question in 0..2 {
        let question = agent.request_from_server();
        let accept = format!(r#"{{"action":"accept","content":{{"name":"{name}"}}}}"#);
        agent.respond(&question, &accept);
    }
    assert_eq!(agent.text(call), "done");
    assert_eq!(answers(&home), ["accept", "accept"]);
}

#[test]
fn an_answer_that_its_server_works_on_keeps_none_of_another_call_back() {
    let home = limited("");
    let ask = format!("ask elicitation/create {FORM}");
    let script =
        format!("era modern\ncall slow: {ask}\nwait\ntext done\ncall ask: {ask}\ntext done");
    let mut alpha = home.server("alpha", &script);
    let mut agent = home.legacy_with(EVERYTHING);
    agent.until_listed(&["alpha__ask", "alpha__slow"]);
    let name = "x".repeat(10 * MIB);
    let accept = format!(r#"{{"action":"accept","content":{{"name":"{name}"}}}}"#);
    let slow = agent.call("alpha__slow", "{}");
    let question = agent.request_from_server();
    agent.respond(&question, &accept);
    for _round in 0..2 {
        alpha.gets("tools/call");
    }
    let ask = agent.call("alpha__ask", "{}");
    let question = agent.request_from_server();
    agent.respond(&question, &accept);
    assert_eq!(agent.text(ask), "done");
    alpha.order("go");
    assert_eq!(agent.text(slow), "done");
    assert_eq!(answers(&home), ["accept", "accept"]);
}

#[test]
fn a_question_that_its_agent_was_slow_to_take_is_not_put_after_a_stop() {
    for served in [Era::Legacy, Era::Modern] {
        println!("a {served:?} server");
        let home = limited("");
        let era = match served {
            Era::Legacy => "legacy",
            Era::Modern => "modern",
        };
        let script = format!(
            "era {era}\ncall long: fill {}\ncall ask: ask elicitation/create {FORM}\nanswers",
            6 * MIB
        );
        let mut alpha = home.server("alpha", &script);
        let mut agent = home.modern_with(EVERYTHING);
        agent.until_listed(&["alpha__ask", "alpha__long"]);
        let long = agent.call("alpha__long", "{}");
        until(&home, &mut alpha, |records| {
            of_kind(records, "call.outcome").len() == 1
        });
        let ask = agent.call("alpha__ask", "{}");
        until(&home, &mut alpha, |records| {
            let asked = of_kind(records, "question").len() == 1;
            let ended = of_kind(records, "call.outcome").len() == 2;
            asked && (ended || served == Era::Legacy)
        });
        stop(&home);
        agent.result(long);
        let answer = agent.answer(ask);
        assert!(!answer.contains("Your name?"), "{answer}");
        assert!(answer.contains("STOPPED"), "{answer}");
    }
}

#[test]
fn a_stopped_server_says_nothing_to_its_agent() {
    let home = limited("");
    let script = r#"era legacy
        resource {"uri":"a://1","name":"one"}
        call ready: text done"#;
    let mut alpha = home.server("alpha", script);
    let mut agent = home.legacy_with(EVERYTHING);
    agent.until_listed(&["alpha__ready"]);
    let ready = agent.call("alpha__ready", "{}");
    agent.text(ready);
    alpha.gets("tools/call");
    let watched = agent.request("resources/subscribe", r#"{"uri":"a://1"}"#);
    agent.result(watched);
    let says = |what: &str| {
        let log = r#""method":"notifications/message","params":{"level":"error","data":"#;
        format!(r#"say {{"jsonrpc":"2.0",{log}"{what}"}}}}"#)
    };
    alpha.order(&says("before"));
    let before = agent.gets("notifications/message");
    assert!(before.contains("before"), "{before}");
    stop(&home);
    alpha.order(&says("meanwhile"));
    // That something has changed is told: nobody would look at it again when it is lifted.
    // What nobody has named is words of the server's.
    let words = r#""method":"notifications/resources/updated","params":{"uri":"a://meanwhile"}"#;
    alpha.order(&format!(r#"say {{"jsonrpc":"2.0",{words}}}"#));
    let said = r#"{"uri":"a://1","said":"meanwhile","_meta":{"x":"meanwhile"}}"#;
    let updated = format!(r#""method":"notifications/resources/updated","params":{said}"#);
    alpha.order(&format!(r#"say {{"jsonrpc":"2.0",{updated}}}"#));
    let updated = agent.gets("notifications/resources/updated");
    assert!(
        updated.ends_with(r#""params":{"uri":"a://1"}}"#),
        "{updated}"
    );
    assert!(!agent.others().concat().contains("meanwhile"));
}

#[test]
fn what_was_not_declared_takes_no_answer_with_it_while_its_agent_is_slow_to_read() {
    let home = limited("");
    let script = format!(
        r#"era legacy
        call long: fill {}
        call ask: line {{"jsonrpc":"2.0","id":"first","method":"elicitation/create","params":{FORM}}}
        wait"#,
        6 * MIB
    );
    let mut alpha = home.server("alpha", &script);
    let mut agent = home.modern_with(r#"{"elicitation":{"form":{}}}"#);
    agent.until_listed(&["alpha__ask", "alpha__long"]);
    let long = agent.call("alpha__long", "{}");
    until(&home, &mut alpha, |records| {
        of_kind(records, "call.outcome").len() == 1
    });
    let ask = agent.call("alpha__ask", "{}");
    until(&home, &mut alpha, |records| {
        of_kind(records, "question").len() == 1
    });
    // Nobody reads: it is known all the same that this cannot be asked.
    alpha.order(r#"say {"jsonrpc":"2.0","id":"model","method":"sampling/createMessage","params":{"messages":[]}}"#);
    let refused = alpha.is_answered("\"model\"");
    assert!(refused.contains("error"), "{refused}");
    agent.result(long);
    let asked = agent.result(ask);
    assert!(asked.contains("Your name?"), "{asked}");
}

#[test]
fn a_server_that_is_stopped_while_it_is_met_hears_nothing_more() {
    let home = limited("");
    let met = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"a","version":"1"}}"#;
    let script = format!("era legacy\non initialize: wait\nresult {met}\ncall hi: text hello");
    let mut alpha = home.server("alpha", &script);
    let _agent = home.beside_with("one", "{}");
    alpha.gets("initialize");
    let stopped = home.tollgate().args(["stop", "--server", "alpha"]).output();
    assert!(stopped.unwrap().status.success());
    alpha.order_if_there("go");
    alpha.ends();
    assert_eq!(alpha.count("notifications/initialized"), 0);
}
