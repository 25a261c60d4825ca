//! One word stops everything, an agent, a server or a run: also a daemon that does not
//! answer, that nobody finds, or that is not there.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::json;
use tollgate::daemon::{Place, StateLock};

use crate::RULES;
use crate::prompt::{Home, complaint, text};

#[test]
fn a_stop_cancels_what_is_in_flight_and_lets_nothing_more_leave() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    let waiting = agent.send_call("demo__wait", &json!({ "seconds": 25 }));
    agent.hears("notifications/progress");

    let stopped = home.run(&["stop", "-m", "enough"]);
    let said = text(&stopped);
    assert!(said.starts_with("STOPPED "), "{said}");
    assert!(
        said.contains("1 call in flight: 1 sent and told to cancel"),
        "{said}"
    );
    assert!(
        said.contains("demo.wait  sent and told to cancel: it may have acted"),
        "{said}"
    );

    let told = agent.answer(waiting);
    let told = told["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        told,
        "STOPPED by tollgate while it ran: demo.wait: an operator stopped everything: enough. \
         It may have acted. Do not retry; tell your user."
    );
    assert_eq!(
        agent.call_code("demo__read_mail", &json!({ "id": "m-4" })),
        "STOPPED"
    );

    let lifted = home.run(&["resume", "--yes"]);
    assert!(
        text(&lifted).contains("lifted: everything may go on"),
        "{lifted:?}"
    );
    let mail = agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert_ne!(mail["result"]["isError"], true, "{mail}");
}

#[test]
fn a_stop_of_one_agent_leaves_the_others_alone() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let stopped = home.run(&["stop", "--agent", "other"]);
    assert!(
        text(&stopped).contains("tollgate resume --agent other"),
        "{stopped:?}"
    );
    let mail = agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert_ne!(mail["result"]["isError"], true, "{mail}");
    let stopped = home.run(&["stop", "--agent", "me"]);
    assert_eq!(stopped.status.code(), Some(0));
    assert_eq!(
        agent.call_code("demo__read_mail", &json!({ "id": "m-4" })),
        "STOPPED"
    );
    // A name that nobody goes by is stopped as well, and said to be no one's.
    let misspelt = text(&home.run(&["stop", "--server", "dmeo"]));
    let says = "no server `dmeo` is known; did you mean `demo`?";
    assert!(
        misspelt.starts_with("STOPPED ") && misspelt.contains(says),
        "{misspelt}"
    );
    let misspelt = text(&home.run(&["stop", "--agent", "Me"]));
    assert!(
        misspelt.contains("no agent `Me` is known; did you mean `me`?"),
        "{misspelt}"
    );
    assert!(!text(&stopped).contains("is known"), "{stopped:?}");
    // What is lifted is what was named, and the rest is told.
    let lifted = home.run(&["resume", "--agent", "me", "--yes"]);
    assert!(
        text(&lifted).contains("still stopped: agent `other`"),
        "{lifted:?}"
    );
}

#[test]
fn connecting_again_does_not_get_around_the_stop_of_a_run() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    let mail = json!({ "id": "m-4" });
    let run = agent.call("demo__read_mail", &mail);
    let run = &run["result"]["_meta"]["dev.tollgate/call"]["run"];
    let run = run.as_str().unwrap();
    let stopped = text(&home.run(&["stop", "--run", run]));
    assert!(stopped.contains("begins no other run"), "{stopped}");
    let mut again = home.agent();
    for tool in ["demo__read_mail", "tollgate__status"] {
        assert_eq!(again.call_code(tool, &mail), "STOPPED");
    }
    home.run(&["resume", "--run", run, "--yes"]);
    let told = again.call("demo__read_mail", &mail);
    assert_eq!(told["result"]["isError"], false, "{told}");
}

#[test]
fn a_stop_of_all_that_an_agent_does_keeps_back_tollgates_own_tools() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    let mail = agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let run = &mail["result"]["_meta"]["dev.tollgate/call"]["run"];
    let run = run.as_str().unwrap();
    for scope in [&["--server", "demo"], &["--agent", "other"]] {
        home.run(&["stop", scope[0], scope[1]]);
        let told = agent.call("tollgate__status", &json!({}));
        assert_eq!(told["result"]["isError"], false, "{told}");
        home.run(&["resume", scope[0], scope[1], "--yes"]);
    }
    for scope in [vec![], vec!["--agent", "me"], vec!["--run", run]] {
        home.run(&[vec!["stop"], scope.clone()].concat());
        let told = agent.call("tollgate__status", &json!({}));
        let refusal = &told["result"]["_meta"]["dev.tollgate/refusal"];
        assert_eq!(refusal["code"], "STOPPED", "{told}");
        assert_eq!(refusal["run"], *run);
        let says = told["result"]["content"][0]["text"].as_str().unwrap();
        assert!(
            says.starts_with("STOPPED by tollgate, not run: tollgate__status: an operator stopped"),
            "{says}"
        );
        home.run(&[vec!["resume", "--yes"], scope].concat());
    }
    let told = agent.call("tollgate__status", &json!({}));
    assert_eq!(told["result"]["isError"], false, "{told}");
}

#[test]
fn a_daemon_that_does_not_answer_is_killed_and_the_next_one_starts_stopped() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let daemon = home.daemon();
    kill_process(daemon, Signal::STOP).unwrap();

    let stopped = home.run(&["stop"]);
    let said = text(&stopped);
    assert_eq!(stopped.status.code(), Some(0), "{stopped:?}");
    assert!(said.starts_with("STOPPED by force"), "{said}");
    assert!(said.contains("did not answer within a second"), "{said}");
    ended(daemon);

    let mut next = home.agent();
    assert_eq!(
        next.call_code("demo__read_mail", &json!({ "id": "m-4" })),
        "STOPPED"
    );
    assert_eq!(home.run(&["resume", "--yes"]).status.code(), Some(0));
    assert!(!home.state().join("STOP").exists());
    let mail = next.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert_ne!(mail["result"]["isError"], true, "{mail}");
}

#[test]
fn a_daemon_is_killed_also_where_nothing_can_hold_the_stop_and_nothing_else_is_said() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let daemon = home.daemon();
    kill_process(daemon, Signal::STOP).unwrap();
    // A directory cannot be replaced by a file.
    fs::create_dir_all(home.state().join("STOP/in the way")).unwrap();

    let stopped = home.run(&["stop"]);
    assert_ne!(stopped.status.code(), Some(0), "{stopped:?}");
    let said = text(&stopped);
    assert!(said.starts_with("STOPPED by force"), "{said}");
    assert!(!said.contains("holds from the next start"), "{said}");
    assert!(!said.contains("tollgate resume"), "{said}");
    let complaint = complaint(&stopped);
    assert!(complaint.contains("STOP`"), "{complaint}");
    assert!(
        complaint.contains("what is there of it stops everything at the next start"),
        "{complaint}"
    );
    ended(daemon);
    let mut next = home.agent();
    assert_eq!(
        next.call_code("demo__read_mail", &json!({ "id": "m-4" })),
        "STOPPED"
    );
}

#[test]
fn who_works_on_the_state_is_not_taken_for_a_daemon_and_killed() {
    let home = Home::new(RULES);
    let place = Place {
        config: home.path("config/tollgate"),
        state: home.state(),
        run: home.path("run/tollgate"),
        id: "0".into(),
        joins: None,
    };
    place.prepare().unwrap();
    // As `tollgate state rebuild` does; this process would be killed.
    let working = StateLock::take_free(&place).unwrap();
    let stopped = home.run(&["stop"]);
    let said = text(&stopped);
    assert_eq!(stopped.status.code(), Some(0), "{stopped:?}");
    assert!(said.contains("holds from its next start"), "{said}");
    let again = complaint(&home.run(&["state", "rebuild"]));
    assert!(again.contains("ends by itself"), "{again}");
    drop(working);
    let mut agent = home.agent();
    let call = agent.call_code("demo__read_mail", &json!({ "id": "m-4" }));
    assert_eq!(call, "STOPPED");
}

#[test]
fn a_name_that_looks_like_an_option_can_be_stopped() {
    let home = Home::new(RULES);
    let stopped = home.run(&["stop", "--agent", "-x"]);
    assert_eq!(stopped.status.code(), Some(0), "{stopped:?}");
    let said = text(&stopped);
    assert!(
        said.contains("agent -x") || said.contains("agent `-x`"),
        "{said}"
    );
    let resumed = home.run(&["resume", "--agent", "-x", "--yes"]);
    assert_eq!(resumed.status.code(), Some(0), "{resumed:?}");
}

#[test]
fn a_stop_reaches_a_daemon_whose_state_directory_was_moved_away() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    fs::rename(home.state(), home.path("moved")).unwrap();
    let stopped = home.run(&["stop"]);
    assert!(
        text(&stopped).contains("nothing was in flight"),
        "{stopped:?}"
    );
    assert_eq!(
        agent.call_code("demo__read_mail", &json!({ "id": "m-4" })),
        "STOPPED"
    );
}

#[test]
fn a_stop_holds_at_the_next_start_although_others_can_look_into_the_state() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let daemon = home.daemon();
    let mode = |mode| fs::set_permissions(home.state(), Permissions::from_mode(mode)).unwrap();
    mode(0o755);
    let stopped = home.run(&["stop"]);
    assert!(
        text(&stopped).contains("holds from the next start"),
        "{stopped:?}"
    );
    ended(daemon);
    mode(0o700);
    let mut next = home.agent();
    assert_eq!(
        next.call_code("demo__read_mail", &json!({ "id": "m-4" })),
        "STOPPED"
    );
}

#[test]
fn where_others_can_write_no_stop_is_laid_and_that_is_said() {
    let home = Home::new(RULES);
    fs::create_dir_all(home.state()).unwrap();
    fs::set_permissions(home.state(), Permissions::from_mode(0o777)).unwrap();
    let stopped = home.run(&["stop"]);
    assert_eq!(stopped.status.code(), Some(1), "{stopped:?}");
    let complaint = complaint(&stopped);
    assert!(
        complaint.contains("the next daemon would not be stopped"),
        "{complaint}"
    );
    assert!(!home.state().join("STOP").exists());
}

#[test]
fn who_removes_the_lock_does_not_get_a_second_daemon_that_ends_the_firsts_servers() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    fs::remove_file(home.state().join("daemon.lock")).unwrap();
    let second = home.run(&["daemon"]);
    let complaint = complaint(&second);
    assert!(
        complaint.contains("`daemon.lock` was removed"),
        "{complaint}"
    );
    let mail = agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert_ne!(mail["result"]["isError"], true, "{mail}");
    let servers = text(&home.run(&["servers", "demo"]));
    assert!(
        servers.contains("not since it was last started"),
        "{servers}"
    );
}

#[test]
fn a_stop_without_a_daemon_holds_from_its_next_start() {
    let home = Home::new(RULES);
    let stopped = home.run(&["stop", "--server", "demo"]);
    assert!(
        text(&stopped).contains("holds from its next start"),
        "{stopped:?}"
    );
    let status = text(&home.run(&[]));
    assert!(
        status.contains("STOPPED from its next start: server `demo`"),
        "{status}"
    );
    let mut agent = home.agent();
    assert_eq!(
        agent.call_code("demo__read_mail", &json!({ "id": "m-4" })),
        "STOPPED"
    );
    let status = text(&home.run(&[]));
    assert!(status.contains("STOPPED: server `demo`"), "{status}");
}

#[test]
fn a_stopped_server_is_started_when_that_is_lifted() {
    let home = Home::new(RULES);
    home.run(&["stop", "--server", "demo"]);
    let mut agent = home.agent();
    let servers = text(&home.run(&["servers", "demo"]));
    assert!(servers.contains("state     stopped"), "{servers}");
    assert!(servers.contains("running   0"), "{servers}");
    let resumed = home.run(&["resume", "--server", "demo", "--yes"]);
    assert_eq!(resumed.status.code(), Some(0), "{resumed:?}");
    // Whoever calls at once waits until it is there.
    let mail = agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert_ne!(mail["result"]["isError"], true, "{mail}");
    // What it stops is not ended.
    home.run(&["stop", "--server", "demo"]);
    let servers = text(&home.run(&["servers", "demo"]));
    assert!(servers.contains("state     stopped"), "{servers}");
    assert!(servers.contains("running   1"), "{servers}");
}

#[test]
fn what_no_tool_can_be_called_is_unknown_under_a_stop_as_well() {
    let home = Home::new(RULES);
    home.run(&["stop"]);
    let mut agent = home.agent();
    let long = format!("demo__{}", "x".repeat(64));
    for name in [
        &*long,
        "demo__",
        "DEMO__read_mail",
        "tollgate__x",
        "mail",
        "",
    ] {
        let id = agent.send_call(name, &json!({}));
        let answer = agent.answer(id);
        assert_eq!(answer["error"]["code"], -32602, "{name}: {answer}");
    }
    assert_eq!(agent.call_code("demo__x", &json!({})), "STOPPED");
}

#[test]
fn the_screen_says_when_it_cannot_know_what_is_stopped_and_looking_changes_nothing() {
    let home = Home::new(RULES);
    drop(home.agent());
    home.run(&["stop-daemon"]);
    let (kept, before) = (home.state().join("state.sled"), home.path("before"));
    let copied = Command::new("cp").arg("-R").args([&kept, &before]).status();
    assert!(copied.unwrap().success());
    drop(home.agent());
    let daemon = home.daemon();
    home.run(&["stop", "--agent", "me"]);
    home.run(&["stop", "--server", "demo"]);
    kill_process(daemon, Signal::KILL).unwrap();
    ended(daemon);
    // It may have kept its state once more meanwhile, and then needs these records no more.
    fs::remove_dir_all(&kept).unwrap();
    fs::rename(&before, &kept).unwrap();
    let segment = home.state().join("journal/000001.jsonl");
    let whole = fs::read_to_string(&segment).unwrap();
    let damaged = whole.replacen(r#""agent":"me""#, r#""agent":"mE""#, 1);
    assert_ne!(damaged, whole);
    fs::write(&segment, damaged).unwrap();
    let status = text(&home.run(&[]));
    assert!(
        status.contains("stops in its record are not known: the journal is damaged at record"),
        "{status}"
    );
    fs::write(&segment, whole).unwrap();

    fs::remove_dir_all(&kept).unwrap();
    let status = text(&home.run(&[]));
    assert!(
        status.contains("stops in its record are not known: no state is kept beside it"),
        "{status}"
    );
    assert!(!kept.exists());
    let mut agent = home.agent();
    assert_eq!(
        agent.call_code("demo__read_mail", &json!({ "id": "m-4" })),
        "STOPPED"
    );
}

#[test]
fn the_screen_of_one_that_ended_shows_the_stops_of_its_record() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    home.run(&["stop", "--agent", "me"]);
    home.run(&["stop", "--server", "demo"]);
    home.run(&["stop-daemon"]);
    let status = text(&home.run(&[]));
    for stopped in ["agent `me`", "server `demo`"] {
        let says = format!("STOPPED from its next start: {stopped}");
        assert!(status.contains(&says), "{status}");
    }

    // What is kept of the state does not know of the last records of one that was killed.
    drop(home.agent());
    let daemon = home.daemon();
    home.run(&["resume", "--agent", "me", "--yes"]);
    home.run(&["stop", "-m", "enough"]);
    kill_process(daemon, Signal::KILL).unwrap();
    ended(daemon);
    let status = text(&home.run(&[]));
    for stopped in ["server `demo`", "everything"] {
        let says = format!("STOPPED from its next start: {stopped}");
        assert!(status.contains(&says), "{status}");
    }
    assert!(!status.contains("agent `me`"), "{status}");
}

fn ended(pid: Pid) {
    // Gone already, or it ends now.
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
        let patience = Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        let mut ends = [PollFd::new(&pidfd, PollFlags::IN)];
        assert_eq!(poll(&mut ends, Some(&patience)).unwrap(), 1, "it lives");
    }
}

#[test]
fn what_lifts_a_stop_is_said_of_the_configuration_that_was_stopped() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    // Another one, and the same state.
    let other = home.path("other");
    fs::create_dir(&other).unwrap();
    let on_its_state = |args: &[&str]| {
        let mut command = home.command(args);
        command.env("TOLLGATE_STATE", home.state());
        command.output().unwrap()
    };
    let stopped = on_its_state(&["--config", other.to_str().unwrap(), "stop"]);
    let said = text(&stopped);
    let (_, lifts) = said.split_once("lift it with: tollgate ").unwrap();
    let config = home.path("config/tollgate").canonicalize().unwrap();
    let lifts = lifts.trim_end();
    assert_eq!(lifts, format!("--config {} resume", config.display()));
    let words: Vec<&str> = lifts.split(' ').chain(["--yes"]).collect();
    let lifted = on_its_state(&words);
    assert!(text(&lifted).contains("everything may go on"), "{lifted:?}");
}
