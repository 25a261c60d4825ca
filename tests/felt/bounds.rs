//! What one side sends holds up nobody and is not kept, however much of it there is and
//! whether or not the other side does its part.

use std::io::Write;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};

use crate::support::home::Home;
use crate::support::raw::member;

const MIB: usize = 1024 * 1024;

/// Nothing of it is ever listed: who calls waits for its first lists.
const NEVER_LISTED: &str = "start wait\ncall x: text never";

#[test]
fn a_large_call_of_the_stateless_era_is_read_where_nobody_waits_for_it() {
    let home = Home::new();
    let _alpha = home.server("alpha", "call w: text done");
    let mut agent = home.modern();
    agent.until_listed(&["alpha__w"]);
    let values = "0,".repeat(999_900);
    for (more, expected) in [
        ("", "done"),
        (
            r#","requestState":"none of ours""#,
            "`requestState` is not valid",
        ),
    ] {
        let params = format!(r#"{{"name":"alpha__w","arguments":{{"c":[{values}0]}}{more}}}"#);
        let large = agent.request("tools/call", &params);
        // What else is asked is answered meanwhile, again and again.
        let mut meanwhile = 0;
        let answer = loop {
            let discover = agent.request("server/discover", "{}");
            agent.result(discover);
            let others = agent.others();
            let is_it = |line: &&String| member(line, "id") == Some(large.to_string());
            if let Some(answer) = others.iter().find(is_it) {
                break answer.clone();
            }
            meanwhile += 1;
        };
        assert!(answer.contains(expected), "{answer}");
        assert!(meanwhile > 10, "{meanwhile} answers meanwhile");
    }
}

#[test]
fn the_addresses_of_streams_that_were_cancelled_are_not_kept() {
    let home = Home::new();
    let _alpha = home.server("alpha", NEVER_LISTED);
    let mut agent = home.modern();
    let long = "x".repeat(MIB - 1024);
    let listen = format!(r#"{{"notifications":{{"resourceSubscriptions":["note://{long}"]}}}}"#);
    for _ in 0..100 {
        let id = agent.request("subscriptions/listen", &listen);
        agent.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ));
    }
    let discover = agent.request("server/discover", "{}");
    agent.result(discover);
    assert!(agent.resident() < 100, "{} MiB", agent.resident());
}

#[test]
#[ignore = "takes twenty seconds; .ci/run runs it"]
fn what_a_stream_says_of_its_turn_is_not_kept_as_often_as_it_says_it() {
    let home = Home::new();
    let _alpha = home.server("alpha", NEVER_LISTED);
    let mut agent = home.modern();
    let steps = "\"step\":1,".repeat(8 * MIB / 9);
    let listen = format!(r#"{{"notifications":{{}},"_meta":{{{steps}"step":1}}}}"#);
    for _ in 0..20 {
        agent.request("subscriptions/listen", &listen);
        agent.gets("notifications/subscriptions/acknowledged");
    }
    assert!(agent.resident() < 100, "{} MiB", agent.resident());
}

#[test]
fn the_reason_of_a_cancel_is_not_kept_whole() {
    let home = Home::new();
    let _alpha = home.server("alpha", NEVER_LISTED);
    let mut agent = home.legacy();
    let reason = "r".repeat(8 * MIB);
    for _ in 0..20 {
        let id = agent.call("alpha__x", "{}");
        agent.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"{reason}"}}}}"#
        ));
    }
    let ping = agent.request("ping", "{}");
    agent.result(ping);
    assert!(agent.resident() < 100, "{} MiB", agent.resident());
}

#[test]
fn refusals_that_a_server_does_not_read_do_not_hold_up_its_call() {
    let home = Home::new();
    // What a logger writes, now and then with a message between.
    let log = format!(
        r#"{{"level":30,"id":"{}","method":"GET"}}"#,
        "x".repeat(200)
    );
    let logs =
        format!("storm 9000 {log}\nline {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}}\n");
    let script = format!("era legacy\ncall chatty: deaf\n{}text fine", logs.repeat(4));
    let _alpha = home.server("alpha", &script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__chatty"]);
    let id = agent.call("alpha__chatty", "{}");
    assert_eq!(agent.text(id), "fine");
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_call() {
    let home = Home::new();
    let _alpha = home.server("alpha", "call w: text done");
    // That it cannot be started is told there, again and again.
    let _broken = home.server("broken", "start exit 1");
    let (_nobody_reads, mut log) = std::io::pipe().unwrap();
    fcntl_setfl(&log, OFlags::NONBLOCK).unwrap();
    while log.write(&[b'x'; 4096]).is_ok() {}
    fcntl_setfl(&log, OFlags::empty()).unwrap();
    let mut agent = home.logging_to(log);
    agent.until_listed(&["alpha__w"]);
    let id = agent.call("alpha__w", "{}");
    assert_eq!(agent.text(id), "done");
}

#[test]
#[ignore = "takes ten seconds; .ci/run runs it"]
fn levels_that_a_server_does_not_read_are_not_gathered() {
    let home = Home::new();
    let script =
        "era legacy\ncapabilities {\"tools\":{},\"logging\":{}}\ncall busy: deaf\nwait\ntext done";
    let mut alpha = home.server("alpha", script);
    let mut agent = home.modern();
    agent.until_listed(&["alpha__busy"]);
    agent.call("alpha__busy", "{}");
    alpha.gets("tools/call");
    for round in 0..8 {
        let calls = [(); 7].map(|()| {
            let level = "l".repeat(8 * MIB + round);
            let meta = format!(r#""_meta":{{"io.modelcontextprotocol/logLevel":"{level}"}}"#);
            let params = format!(r#"{{"name":"alpha__busy","arguments":{{}},{meta}}}"#);
            agent.request("tools/call", &params)
        });
        // Until all of them stand before the server, but for those that were too much at
        // the same time.
        while agent.hear(Duration::from_millis(500)) {}
        for id in calls {
            agent.send(&format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
            ));
        }
        let discover = agent.request("server/discover", "{}");
        agent.result(discover);
    }
    assert!(agent.resident() < 300, "{} MiB", agent.resident());
}

#[test]
#[ignore = "takes ten seconds; .ci/run runs it"]
fn answers_of_a_shared_server_are_not_kept_without_end_for_who_does_not_read_them() {
    let home = Home::new();
    let script = format!("call big: fill {}", 40 * MIB);
    let mut alpha = home.server_with("alpha", &script, "instances = \"shared\"");
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__big"]);
    let calls: Vec<u64> = (0..8)
        .map(|nth| agent.call("alpha__big", &format!(r#"{{"nth":{nth}}}"#)))
        .collect();
    // It is read on, since it serves others: a line a second.
    for _ in &calls {
        alpha.gets("tools/call");
    }
    let mut peak = 0;
    for _ in 0..10 {
        while !alpha.is_quiet(Duration::from_secs(1)) {}
        peak = peak.max(agent.resident());
    }
    let mut dropped = 0;
    for _ in &calls {
        dropped += usize::from(agent.line().contains("were not read"));
    }
    assert!(dropped > 0 && dropped < calls.len(), "{dropped}");
    assert!(peak < 300, "{peak} MiB");
    let big = agent.call("alpha__big", "{}");
    assert!(agent.answer(big).len() > 40 * MIB);
}
