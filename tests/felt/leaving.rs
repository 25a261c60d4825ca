//! Agents that go in the middle of something, or cancel it, and what they leave behind.

use std::fs;

use crate::pair::Pair;
use crate::support::agent::ends;
use crate::support::home::Home;
use crate::support::raw::{dig, member};

/// How many agents the screen shows, once there are so many.
fn agents(home: &Home, count: usize) {
    let line = format!("agents: {count}\n");
    for _ in 0..500 {
        let told = home.tollgate().output().unwrap();
        if String::from_utf8(told.stdout).unwrap().contains(&line) {
            return;
        }
    }
    panic!("there are not {count} agents");
}

#[test]
fn who_is_killed_while_something_does_not_end_has_left_all_the_same() {
    let home = Home::new();
    // Until it was listed once, the lists are waited for.
    let mut slow = home.server("slow", "start wait");
    let _stays = home.beside("stays");
    slow.starts();
    let mut killed = [(); 12].map(|()| {
        let mut agent = home.beside("killed");
        agent.request("tools/list", "{}");
        let ping = agent.request("ping", "{}");
        agent.result(ping);
        agent
    });
    agents(&home, 13);
    for agent in &mut killed {
        agent.kill();
        agent.is_gone();
    }
    agents(&home, 1);
}

#[test]
fn a_cancel_reaches_the_server_under_its_own_id_and_nobody_answers() {
    let mut pair = Pair::new("call bad: wait\ntext late");
    let id = pair.agent.call("broken__bad", "{}");
    let call = pair.broken.gets("tools/call");
    pair.agent.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"changed my mind"}}}}"#
    ));
    let cancel = pair.broken.gets("notifications/cancelled");
    assert_eq!(dig(&cancel, "params.requestId"), member(&call, "id"));
    assert_eq!(
        dig(&cancel, "params.reason").unwrap(),
        "\"changed my mind\""
    );
    pair.broken.order("go");
    // A cancel of nothing is nothing.
    pair.agent.send(
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nothing"}}"#,
    );
    pair.is_well();
    assert_eq!(pair.agent.others(), [""; 0]);
    // The id is free again.
    pair.agent.send(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"healthy__hi"}}}}"#
    ));
    assert_eq!(pair.agent.text(id), "hello");
}

#[test]
fn an_agent_that_hangs_up_and_reads_on_gets_its_answers_and_then_the_end() {
    let mut pair = Pair::new("call bad: wait\ntext fine");
    let bad = pair.agent.call("broken__bad", "{}");
    pair.broken.gets("tools/call");
    pair.agent.hang_up();
    pair.broken.order("go");
    assert_eq!(pair.agent.text(bad), "fine");
    assert_eq!(pair.agent.last_words(), [""; 0]);
    assert!(pair.agent.ends().success());
}

#[test]
fn an_agent_that_is_killed_during_a_call_ends_it_and_leaves_nothing_behind() {
    let mut pair = Pair::new("call bad: wait\ntext late");
    pair.agent.call("broken__bad", "{}");
    let call = pair.broken.gets("tools/call");
    pair.agent.is_gone();
    let cancel = pair.broken.gets("notifications/cancelled");
    assert_eq!(dig(&cancel, "params.requestId"), member(&call, "id"));
    pair.agent.ends();
    // Which is no failure of the server's.
    let outcome = pair.last_outcome();
    assert_eq!(member(&outcome, "cancelled").unwrap(), "true", "{outcome}");
    assert_eq!(member(&outcome, "trouble"), None, "{outcome}");
}

#[test]
fn an_agent_that_leaves_while_it_is_asked_has_cancelled_its_call() {
    let form = r#"{"message":"?","requestedSchema":{"type":"object","properties":{}}}"#;
    let script = format!("era legacy\ncall bad: ask elicitation/create {form}\nanswers");
    let mut pair = Pair::new(&script);
    pair.agent.speak_modern(r#"{"elicitation":{}}"#);
    let bad = pair.agent.call("broken__bad", "{}");
    assert!(pair.agent.result(bad).contains("input_required"));
    pair.agent.hang_up();
    pair.agent.ends();
    let outcome = pair.last_outcome();
    assert_eq!(member(&outcome, "cancelled").unwrap(), "true", "{outcome}");
    assert_eq!(member(&outcome, "trouble"), None, "{outcome}");
}

#[test]
fn an_agent_that_leaves_takes_every_process_with_it() {
    let mut pair = Pair::new("start fork\ncall bad: text fine");
    let family = family(pair.broken.latest());
    assert!(family.len() >= 3, "{family:?}");
    pair.agent.hang_up();
    assert!(pair.agent.ends().success());
    for pid in family {
        assert!(ends(pid), "{pid} survived");
    }
}

#[test]
fn a_broker_that_is_killed_takes_every_process_with_it() {
    let mut pair = Pair::new("start fork\ncall bad: wait");
    let family = family(pair.broken.latest());
    assert!(family.len() >= 3, "{family:?}");
    pair.agent.call("broken__bad", "{}");
    pair.broken.gets("tools/call");
    pair.agent.kill();
    for pid in family {
        assert!(ends(pid), "{pid} survived");
    }
}

/// Every process that belongs to the same state directory as this one.
fn family(pid: i32) -> Vec<i32> {
    let mark = |pid: i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut entries = environ.split(|byte| *byte == 0);
        entries
            .find(|entry| entry.starts_with(b"TOLLGATE_STATE_ID="))
            .map(<[u8]>::to_vec)
    };
    let own = mark(pid);
    assert!(own.is_some(), "a server carries the mark of its state");
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| mark(*pid) == own)
        .collect()
}
