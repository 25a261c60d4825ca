//! What leaves after a stop, where somebody took their time to read: nothing.

use serde_json::Value;

use crate::asked::{EVERYTHING, of_kind, until};
use crate::limited;
use crate::support::home::Home;
use crate::support::pair::{Era, FORM};

const MIB: usize = 1024 * 1024;

fn stop(home: &Home) {
    let stopped = home.tollgate().args(["stop", "--agent", "test"]).output();
    assert!(stopped.unwrap().status.success());
}

#[test]
fn an_answer_that_its_server_was_slow_to_take_does_not_leave_after_a_stop() {
    let home = limited("");
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
    agent.call("alpha__ask", "{}");
    let (long, late) = (agent.request_from_server(), agent.request_from_server());
    // More than there is room for, so that the other answer waits for some.
    let roots = format!(r#"{{"roots":[],"x":"{}"}}"#, "x".repeat(6 * MIB));
    agent.respond(&long, &roots);
    agent.respond(&late, r#"{"action":"accept","content":{"name":"max"}}"#);
    // Whoever answers this has read what was sent before it.
    let ping = agent.request("ping", "{}");
    agent.result(ping);
    until(&home, &mut alpha, |records| {
        of_kind(records, "answer").len() == 1
    });
    stop(&home);
    alpha.order("hear");
    let told = alpha.is_answered("\"late\"");
    assert!(told.contains(r#""action":"cancel""#), "{told}");
    let records = home.records();
    let answers: Vec<&Value> = of_kind(&records, "answer");
    let said: Vec<&Value> = answers.iter().map(|answer| &answer["answer"]).collect();
    assert_eq!(said, ["answered", "none"]);
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
    let updated = r#""method":"notifications/resources/updated","params":{"uri":"a://1"}"#;
    alpha.order(&format!(r#"say {{"jsonrpc":"2.0",{updated}}}"#));
    agent.gets("notifications/resources/updated");
    assert!(!agent.others().concat().contains("meanwhile"));
}
