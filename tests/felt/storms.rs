//! More of something than anybody should send, or less read than anybody should read:
//! the broker's memory stays bounded, and whoever waits is answered.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::pair::{LIMIT, MIB, Pair, lists};
use crate::support::home::Home;

/// For what takes its time on a slow machine.
const PATIENT: &str = "timeout = \"10m\"";

#[test]
fn an_agent_that_does_not_read_its_results_fills_no_memory() {
    let mut pair = Pair::with(&format!("call bad: fill {MIB}"), PATIENT);
    let calls: Vec<u64> = (0..200)
        .map(|_| pair.agent.call("broken__bad", "{}"))
        .collect();
    let mut most = 0;
    while !pair.broken.is_quiet(Duration::from_millis(300)) {
        most = most.max(pair.agent.resident());
    }
    let mut answered = BTreeSet::new();
    for _ in &calls {
        let answer = pair.agent.line();
        assert!(answer.len() > MIB, "{answer}");
        // The id comes first; the rest takes long to parse.
        let id = answer
            .split([',', '}'])
            .find_map(|part| part.strip_prefix("\"id\":"));
        answered.insert(id.unwrap().to_owned());
        most = most.max(pair.agent.resident());
    }
    assert_eq!(answered, calls.iter().map(u64::to_string).collect());
    assert!(most < LIMIT, "{most} MiB");
    pair.is_well();
}

#[test]
fn an_agent_that_has_too_much_open_is_read_again_when_a_call_ends() {
    let mut pair = Pair::with("call bad: wait\ntext done", PATIENT);
    let arguments = format!(r#"{{"x":"{}"}}"#, "x".repeat(13 * MIB));
    let calls = [(); 5].map(|()| pair.agent.call("broken__bad", &arguments));
    // Four are as much as may be open; the fifth holds up what is behind it.
    let ping = pair.agent.request("ping", "{}");
    for _ in 0..4 {
        pair.broken.gets("tools/call");
    }
    while !pair.broken.is_quiet(Duration::from_millis(300)) {}
    assert_eq!(pair.broken.count("tools/call"), 4);
    assert!(!pair.agent.hear(Duration::ZERO), "{:?}", pair.agent.line());
    pair.broken.order("go");
    pair.broken.gets("tools/call");
    pair.agent.result(ping);
    for _ in 0..4 {
        pair.broken.order("go");
    }
    for call in calls {
        assert_eq!(pair.agent.text(call), "done");
    }
    pair.is_well();
}

#[test]
fn an_agent_that_sends_everything_before_it_reads_is_answered() {
    // A list is larger than what may wait for an agent that does not read.
    let long = "x".repeat(5 * MIB);
    let mut pair = Pair::new(&format!(
        r#"call bad: text done
        prompt {{"name":"long","description":"{long}"}}"#
    ));
    let params = format!(r#"{{"x":"{}"}}"#, "x".repeat(13 * MIB));
    // Who waits for us while we wait for it would do so for ever.
    let broker = Pid::from_raw(pair.agent.pid()).unwrap();
    let (sent, all) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        if all.recv_timeout(Duration::from_secs(60)).is_err() {
            kill_process(broker, Signal::KILL).unwrap();
        }
    });
    let lists = [(); 8].map(|()| pair.agent.request("prompts/list", &params));
    sent.send(()).unwrap();
    guard.join().unwrap();
    for list in lists {
        assert!(pair.agent.answer(list).len() > long.len());
    }
}

#[test]
fn a_list_that_is_too_long_is_not_taken_and_holds_nobody_up() {
    let tools: Vec<String> = (0..20_001)
        .map(|n| format!(r#"{{"name":"t{n}","inputSchema":{{"type":"object"}}}}"#))
        .collect();
    let home = Home::new();
    let _broken = home.server(
        "broken",
        &format!(r#"on tools/list: result {{"tools":[{}]}}"#, tools.join(",")),
    );
    let _healthy = home.server("healthy", "call hi: text hello");
    let mut agent = home.legacy();
    agent.until_listed(&["healthy__hi"]);
    assert!(!lists(&mut agent, "broken__t0"));
}

#[test]
fn a_storm_of_list_changes_is_one_change() {
    let mut pair = Pair::new(
        r#"
        call bad: storm 100000 {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}
        text fine
        "#,
    );
    let before = pair.broken.count("tools/list");
    let bad = pair.call();
    assert_eq!(pair.agent.text(bad), "fine");
    pair.is_well();
    assert!(pair.agent.resident() < LIMIT);
    let listed = pair.broken.count("tools/list") - before;
    assert!(listed < 10, "listed {listed} times");
    assert!(pair.agent.list_news() < 10, "{}", pair.agent.list_news());
}

#[test]
fn a_storm_of_progress_and_log_messages_fills_no_memory() {
    // Of each kind alone more than the broker may use in all.
    let long = "still busy ".repeat(1_000);
    let mut pair = Pair::with(
        &format!(
            r#"
        call bad: storm 15000 {{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":$token,"progress":1,"message":"{long}"}}}}
        storm 15000 {{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"error","data":"{long}"}}}}
        line {{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}}
        text fine
        "#
        ),
        PATIENT,
    );
    let lists = pair.broken.count("tools/list");
    let id = pair.agent.request(
        "tools/call",
        r#"{"name":"broken__bad","_meta":{"progressToken":1}}"#,
    );
    pair.broken.gets("tools/call");
    // The agent does not read; the broker must come through to the end.
    while pair.broken.count("tools/list") == lists {
        assert!(
            pair.agent.resident() < LIMIT,
            "{} MiB",
            pair.agent.resident()
        );
        pair.broken.is_quiet(Duration::from_millis(20));
    }
    assert!(
        pair.agent.resident() < LIMIT,
        "{} MiB",
        pair.agent.resident()
    );
    assert_eq!(pair.agent.text(id), "fine");
    pair.is_well();
}
