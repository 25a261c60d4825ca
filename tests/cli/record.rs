//! What people are shown of the record: by default, with bounds, and when a daemon ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open};
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
fn who_follows_the_record_is_told_that_the_daemon_has_ended() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let mut follower = home
        .command(&["audit", "follow", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = BufReader::new(follower.stdout.take().unwrap());
    seen.read_line(&mut String::new()).unwrap();
    assert_eq!(home.run(&["stop-daemon"]).status.code(), Some(0));
    for line in seen.lines() {
        line.unwrap();
    }
    let ended = follower.wait_with_output().unwrap();
    assert_eq!(complaint(&ended), "tollgate: the daemon has ended\n");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[test]
fn who_follows_until_a_time_that_has_passed_waits_for_nothing() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let followed = home.run(&["audit", "follow", "--until", "1h"]);
    assert_eq!(followed.status.code(), Some(0), "{followed:?}");
    assert_eq!(text(&followed), "");
}

#[test]
fn the_screen_shows_what_happened_before_the_daemon_was_started() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    agent.call_code("demo__write_file", &json!({ "path": "/x", "text": "x" }));
    home.run(&["stop-daemon"]);
    let mut next = home.agent();
    let latest = || {
        let screen = text(&home.run(&[]));
        let (_, latest) = screen.split_once("latest:\n").unwrap();
        let lines = latest.lines().map(|line| line.trim().to_owned());
        lines.collect::<Vec<_>>()
    };
    let shown = latest();
    assert!(
        shown[0].ends_with("  me  demo.write_file  ARGS_OUT_OF_BOUNDS"),
        "{shown:?}"
    );
    assert!(
        shown[1].ends_with("  me  demo.read_mail  done"),
        "{shown:?}"
    );
    assert_eq!(shown.len(), 2, "{shown:?}");
    // What it remembers itself is not shown twice.
    next.call("demo__wait", &json!({ "seconds": 0 }));
    let more = latest();
    assert!(more[0].ends_with("  me  demo.wait  done"), "{more:?}");
    assert_eq!(more[1..], shown);
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

#[test]
fn a_table_for_a_spreadsheet_that_cannot_be_had_is_not_begun() {
    let home = Home::new(RULES);
    let none = home.run(&["audit", "--csv"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert_eq!(text(&none), "");
    // Nothing that matches is a table without rows.
    let _agent = home.agent();
    let empty = text(&home.run(&["audit", "--csv", "--agent", "nobody"]));
    assert_eq!(empty.lines().count(), 1, "{empty}");
}

#[test]
fn who_is_shown_the_newest_records_alone_is_told_so() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let told = |args: &[&str]| complaint(&home.run(args));
    assert_eq!(told(&["audit"]), "");
    // Refused, and each of them a record.
    for _ in 0..200 {
        agent.call_code("demo__refund", &json!({}));
    }
    for args in [&["audit"][..], &["audit", "--json"], &["audit", "--csv"]] {
        let told = told(args);
        assert!(told.contains("the newest 200 records"), "{told}");
    }
    for bound in ["--limit=0", "--limit=200", "--since=1h"] {
        assert_eq!(told(&["audit", bound]), "");
    }
}

#[test]
fn a_stop_in_the_record_is_shown_while_no_daemon_runs() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    home.run(&["stop", "--agent", "me", "-m", "enough"]);
    home.run(&["stop", "--server", "demo"]);
    home.run(&["resume", "--server", "demo", "--yes"]);
    let shown = || {
        let told = home.run(&[]);
        let screen = text(&told);
        assert!(screen.starts_with("tollgate is not running\n"), "{told:?}");
        let stops = screen.lines().filter(|line| line.starts_with("STOPPED"));
        stops.map(str::to_owned).collect::<Vec<_>>()
    };
    home.run(&["stop-daemon"]);
    let after_an_end = shown();
    assert_eq!(after_an_end.len(), 1, "{after_an_end:?}");
    assert!(after_an_end[0].contains("agent `me`"), "{after_an_end:?}");
    assert!(after_an_end[0].contains("enough"), "{after_an_end:?}");
    // Looking at it changes nothing: the next start has it, and a kill keeps it as well.
    let mut next = home.agent();
    assert_eq!(next.call_code("demo__read_mail", &json!({})), "STOPPED");
    home.run(&["stop", "--server", "demo"]);
    let daemon = home.daemon();
    let pidfd = pidfd_open(daemon, PidfdFlags::empty()).unwrap();
    kill_process(daemon, Signal::KILL).unwrap();
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
    let after_a_kill = shown();
    assert_eq!(after_a_kill.len(), 2, "{after_a_kill:?}");
    assert!(after_a_kill.contains(&after_an_end[0]), "{after_a_kill:?}");
}
