//! Calls that wait for their turn at a server that takes one at a time.

use std::time::Instant;

use crate::support::agent::Agent;
use crate::support::home::Home;
use crate::support::pair::FORM;
use crate::support::raw::member;

/// What the program says.
fn said(home: &Home, args: &[&str]) -> String {
    let output = home.tollgate().args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The records of this kind, once there are so many.
fn records(home: &Home, kind: &str, count: usize) -> Vec<String> {
    for _ in 0..500 {
        let all = said(home, &["audit", "--json"]);
        let of_kind = |line: &&str| member(line, "kind").unwrap() == format!("{kind:?}");
        let found: Vec<String> = all.lines().filter(of_kind).map(str::to_owned).collect();
        if found.len() >= count {
            return found;
        }
    }
    panic!("there are not {count} records `{kind}`");
}

fn milliseconds(record: &str, key: &str) -> f64 {
    member(record, key).unwrap().parse().unwrap()
}

/// An agent and a server that has asked something once: its calls run one by one.
fn one_by_one(home: &Home) -> Agent {
    let mut agent = home.legacy();
    agent.until_listed(&["shop__ask"]);
    let asks = agent.call("shop__ask", "{}");
    let question = agent.request_from_server();
    agent.respond(&question, r#"{"action":"decline"}"#);
    agent.text(asks);
    agent
}

#[test]
fn a_stop_tells_what_was_sent_from_what_waited_for_its_turn() {
    let home = Home::new();
    let script = format!(
        "era legacy\ncall ask: ask elicitation/create {FORM}\nanswers\ncall slow: wait\ntext slow"
    );
    let mut shop = home.server("shop", &script);
    let mut agent = one_by_one(&home);
    let sent = agent.call("shop__slow", "{}");
    shop.gets("tools/call");
    shop.gets("tools/call");
    let waits = agent.call("shop__slow", r#"{"n":2}"#);
    records(&home, "call.intent", 3);

    let stopped = said(&home, &["stop"]);
    let summary = "2 calls in flight: 1 never sent, 1 sent and told to cancel";
    assert!(stopped.contains(summary), "{stopped}");
    let told = agent.failure(sent);
    assert!(
        told.contains("while it ran") && told.contains("It may have acted"),
        "{told}"
    );
    let told = agent.failure(waits);
    assert!(
        told.starts_with("STOPPED") && !told.contains("acted"),
        "{told}"
    );

    // What it waited for was not the server's doing, and is not charged to it.
    let outcomes = records(&home, "call.outcome", 3);
    let never = |outcome: &&String| outcome.contains("was never sent the call");
    let never = outcomes.iter().find(never).unwrap();
    assert_eq!(milliseconds(never, "duration_ms"), 0.0);
    assert!(milliseconds(never, "wait_ms") > 0.0, "{never}");
    let charged = member(never, "charged").unwrap();
    assert!(!charged.contains("time"), "{charged}");
}

#[test]
fn a_call_that_waited_for_its_turn_says_how_long_beside_what_its_server_took() {
    let home = Home::new();
    let script = format!(
        "era legacy\ncall ask: ask elicitation/create {FORM}\nanswers\ncall slow: wait\ntext slow\ncall quick: text quick"
    );
    let mut shop = home.server("shop", &script);
    let mut agent = one_by_one(&home);
    let slow = agent.call("shop__slow", "{}");
    shop.gets("tools/call");
    shop.gets("tools/call");
    let called = Instant::now();
    let quick = agent.call("shop__quick", "{}");
    records(&home, "call.intent", 3);
    let waits = Instant::now();
    records(&home, "call.intent", 3);
    let held = waits.elapsed();
    shop.order("go");
    agent.text(slow);
    let meta = member(&agent.result(quick), "_meta").unwrap();
    let total = called.elapsed();
    let outcomes = records(&home, "call.outcome", 3);
    let [_, slow, quick] = outcomes.as_slice() else {
        panic!("{outcomes:#?}");
    };
    // The one took what the other waited for, and that is nothing that the other took.
    let held = 1_000.0 * held.as_secs_f64();
    let took = milliseconds(slow, "duration_ms");
    assert!(took >= held, "{slow}");
    let waited = milliseconds(quick, "wait_ms");
    assert!(waited >= held, "{quick}");
    let rest = 1_000.0 * total.as_secs_f64() - held;
    assert!(milliseconds(quick, "duration_ms") <= rest, "{quick}");
    let told = milliseconds(&member(&meta, "dev.tollgate/call").unwrap(), "wait_ms");
    assert_eq!(told, waited.floor(), "{meta}");
    let run = home.tollgate().args(["runs"]).output().unwrap();
    let run = String::from_utf8(run.stdout).unwrap();
    let run = said(&home, &["runs", run.split_whitespace().next().unwrap()]);
    assert!(run.contains(" waiting") && run.contains("waited "), "{run}");
    let call: String = member(quick, "call").unwrap().replace('"', "");
    let why = said(&home, &["why", &call]);
    assert!(why.contains(", waited "), "{why}");
}
