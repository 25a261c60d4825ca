//! What people are shown of the record: by default, with bounds, and when a daemon ends.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::RULES;
use crate::prompt::{Home, complaint, text};

#[test]
fn a_limit_of_runs_counts_runs_and_not_their_records() {
    let home = Home::new(RULES);
    let mail = json!({ "id": "m-4" });
    let mut agent = home.agent();
    for _ in 0..3 {
        agent.call("demo__read_mail", &mail);
    }
    home.run(&["stop-daemon"]);
    // What a start records is newer than all of it.
    let mut next = home.agent();
    let listed = |limit: &str| text(&home.run(&["runs", "--limit", limit]));
    assert!(listed("1").contains("3 calls: 3 done"), "{}", listed("1"));
    next.call("demo__read_mail", &mail);
    let last = listed("1");
    assert!(last.contains("1 call: 1 done"), "{last}");
    assert!(!last.contains("3 calls"), "{last}");
    for all in ["2", "0", "9"] {
        assert_eq!(listed(all).lines().count(), 2, "{}", listed(all));
    }
}

#[test]
fn how_it_ended_is_asked_of_calls_and_of_nothing_beside_them() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let all = text(&home.run(&["audit", "--json"]));
    assert!(all.contains("first_use"), "{all}");
    let done = text(&home.run(&["audit", "--outcome", "done", "--json"]));
    let kinds: Vec<Value> = done
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].take())
        .collect();
    assert_eq!(kinds, ["call.intent", "call.outcome"]);
}

#[test]
fn answers_that_cannot_be_written_are_told() {
    let home = Home::new(RULES);
    let mut shim = home
        .command(&["stdio", "--agent", "me"])
        .stdin(Stdio::piped())
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open: it is not the agent that leaves.
    let mut agent = shim.stdin.take().unwrap();
    writeln!(agent, r#"{{"jsonrpc":"2.0","id":1,"method":"ping"}}"#).unwrap();
    let ended = shim.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(
        complaint(&ended).contains("answers to the agent are lost: can't write to stdout"),
        "{ended:?}"
    );
}
