//! The command line with the real program: a daemon, an agent, and what people
//! see of them.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod asked;
mod folders;
mod kinds;
#[path = "../prompt/mod.rs"]
mod prompt;
mod record;
mod scripted;
mod stops;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use prompt::{Agent, Home, PROGRAM, complaint, text};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open};
use serde_json::{Value, json};

const RULES: &str = r#"command = "tollgate"
args = ["demo-server"]
owner = "platform"

[tools]
read_mail = "read"
wait = "read"
refund = "irreversible"
delete_file = "off"

[tools.write_file]
tier = "reversible"
args = { path = { under = "/srv/reports" } }
"#;

#[test]
fn the_screen_counts_the_calls_of_each_connection() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    let screen = |home: &Home| text(&home.run(&[]));
    assert!(screen(&home).contains("  0 calls  "), "{}", screen(&home));
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert!(screen(&home).contains("  1 call  "), "{}", screen(&home));
    // One that is refused is a call.
    agent.call_code("demo__refund", &json!({}));
    assert!(screen(&home).contains("  2 calls  "), "{}", screen(&home));
}

#[test]
fn who_forgets_the_configuration_is_told_for_which_it_runs() {
    let home = Home::new(RULES);
    let other = home.path("gate");
    fs::create_dir(&other).unwrap();
    fs::rename(home.path("config/tollgate/tools.d"), other.join("tools.d")).unwrap();
    let gate = other.to_str().unwrap();
    let _daemon = Foreground::start(&home, gate);
    let flag = format!("--config {}", other.canonicalize().unwrap().display());
    let verified = text(&home.run(&["audit", "verify"]));
    assert!(
        verified.starts_with("ok  no records yet for the configuration"),
        "{verified}"
    );
    assert!(verified.contains(&flag), "{verified}");
    // Nothing is lifted: who asks for it in a script has to know.
    for (args, code) in [
        (&["budget"][..], 1),
        (&[], 0),
        (&["stop-daemon"], 0),
        (&["resume", "--yes"], 1),
        (&["stop"], 1),
    ] {
        let told = home.run(args);
        assert_eq!(told.status.code(), Some(code), "{told:?}");
        let says = text(&told) + &complaint(&told);
        assert!(says.contains(&flag), "{says}");
        assert!(says.contains("not running"), "{says}");
        // Nobody reads only the first line and believes what is not so.
        assert_eq!(
            says.starts_with("NOT STOPPED"),
            code == 1 && args == ["stop"],
            "{says}"
        );
    }
}

/// A daemon in the foreground that ends with its test.
struct Foreground(Child);

impl Foreground {
    fn start(home: &Home, config: &str) -> Self {
        let mut daemon = home.command(&["--config", config, "daemon"]);
        let daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null());
        let mut started = Self(daemon.spawn().unwrap());
        while !home.run(&["--config", config, "budget"]).status.success() {
            assert_eq!(started.0.try_wait().unwrap(), None);
        }
        started
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn resume_asks_and_without_a_terminal_names_its_flag() {
    let home = Home::new(RULES);
    home.run(&["stop"]);
    let refused = home.run(&["resume"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(complaint(&refused).contains("--yes"), "{refused:?}");
    assert!(home.state().join("STOP").exists());
}

#[test]
fn a_trial_is_judged_like_the_call_and_is_not_made() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let tried =
        |tool, args: &Value| home.run(&["try", tool, "--as", "me", "--args", &args.to_string()]);
    let fits = tried("demo.read_mail", &json!({ "id": "m-4" }));
    assert_eq!(fits.status.code(), Some(0), "{fits:?}");
    assert!(text(&fits).contains("\nIt would run. Nothing was sent.\n"));
    assert!(text(&fits).contains("as the first call of a new run"));
    let json = text(&home.run(&["try", "demo.read_mail", "--as", "me", "--json"]));
    assert!(json.contains(r#""new_run":true"#), "{json}");

    let outside = json!({ "path": "/etc/hosts", "text": "x" });
    let denied = tried("demo.write_file", &outside);
    assert_eq!(denied.status.code(), Some(6), "{denied:?}");
    insta::assert_snapshot!("try_denied", without_prints(&text(&denied)));
    // The agent is told the same.
    assert_eq!(
        agent.call_code("demo__write_file", &outside),
        "ARGS_OUT_OF_BOUNDS"
    );

    let refund = json!({
        "payment_id": "pay-1042", "amount_minor": 100, "currency": "EUR", "reason": "double charge",
    });
    let unapproved = text(&tried("demo.refund", &refund));
    assert!(unapproved.contains("APPROVAL_UNAVAILABLE"), "{unapproved}");
    assert!(unapproved.contains("tools.d/demo.toml:8"), "{unapproved}");
    let off = text(&tried("demo.delete_file", &json!({ "path": "a" })));
    assert!(off.contains("TOOL_OFF"), "{off}");
    home.run(&["stop"]);
    assert_eq!(
        tried("demo.read_mail", &json!({ "id": "m-4" }))
            .status
            .code(),
        Some(7)
    );

    let reached = agent_calls(&home, &mut agent);
    assert_eq!(reached, "read_mail", "a trial reached the server");
}

/// What reached the demo server of this agent's run.
fn agent_calls(home: &Home, agent: &mut Agent) -> String {
    home.run(&["resume", "--yes"]);
    let calls = agent.ask("resources/read", &json!({ "uri": "demo://calls" }));
    calls["result"]["contents"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{calls}"))
        .to_owned()
}

#[test]
fn a_call_is_found_in_the_record_and_explained() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    let ran = agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let ran = ran["result"]["_meta"]["dev.tollgate/call"]["id"]
        .as_str()
        .unwrap();
    let outside = json!({ "path": "/etc/hosts", "text": "x" });
    let denied = agent.call("demo__write_file", &outside);
    let denied = denied["result"]["_meta"]["dev.tollgate/refusal"]["call"]
        .as_str()
        .unwrap();

    let why = text(&home.run(&["why", denied]));
    assert!(why.contains(" 5 arguments    DENY"), "{why}");
    assert!(why.contains("tools.d/demo.toml:13"), "{why}");
    assert!(
        why.contains("args = { path = { under = \"/srv/reports\" } }"),
        "{why}"
    );
    let why = text(&home.run(&["why", ran]));
    assert!(why.contains("It ran: done after "), "{why}");
    assert!(
        why.contains("Its tier by tools.d/demo.toml:6   read_mail = \"read\""),
        "{why}"
    );
    assert_eq!(home.run(&["why", "c-NONE"]).status.code(), Some(1));

    let refused = text(&home.run(&["audit", "--outcome", "refused", "--json"]));
    let record: Value = serde_json::from_str(refused.trim_end()).unwrap();
    assert_eq!(
        (&record["call"], &record["kind"]),
        (&json!(denied), &json!("call.refused"))
    );
    let csv = text(&home.run(&["audit", "--agent", "me", "--csv"]));
    // The head, the call and its end, that it was the first of its kind, the refusal.
    assert_eq!(csv.lines().count(), 5, "{csv}");
    let runs = text(&home.run(&["runs"]));
    assert!(runs.contains("2 calls: 1 done, 1 REFUSED"), "{runs}");
    let verified = home.run(&["audit", "verify"]);
    assert!(
        text(&verified).contains("the chain is unbroken"),
        "{verified:?}"
    );
    assert!(text(&home.run(&["state", "check"])).starts_with("ok  "));
}

#[test]
fn a_tool_that_its_file_calls_durable_says_so_in_its_record() {
    let rules = RULES.replace(
        "read_mail = \"read\"",
        "read_mail = { tier = \"read\", durable = true }",
    );
    assert_ne!(rules, RULES);
    let home = Home::new(&rules);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    agent.call("demo__wait", &json!({ "seconds": 0 }));
    let shown = text(&home.run(&["audit", "--json"]));
    let intents = shown
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["kind"] == "call.intent");
    let mut durable: Vec<(String, bool)> = intents
        .map(|record| (record["tool"].to_string(), record["durable"] == true))
        .collect();
    durable.sort();
    let wanted = [("read_mail", true), ("wait", false)];
    let wanted = wanted.map(|(tool, durable)| (format!("\"{tool}\""), durable));
    assert_eq!(durable, wanted);
}

#[test]
fn a_follower_sees_records_as_they_are_made() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let mut follower = home
        .command(&["audit", "follow", "--outcome", "refused", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = BufReader::new(follower.stdout.take().unwrap()).lines();
    for name in ["/a", "/b"] {
        agent.call_code("demo__write_file", &json!({ "path": name, "text": "x" }));
        let record: Value = serde_json::from_str(&seen.next().unwrap().unwrap()).unwrap();
        assert_eq!(record["arguments"]["path"], name);
    }
    // Nothing more is recorded, and nobody reads: it ends all the same.
    drop(seen);
    assert!(follower.wait().unwrap().success());
}

#[test]
fn a_configuration_is_checked_without_a_daemon() {
    let home = Home::new(RULES);
    let sound = home.run(&["check"]);
    assert_eq!(
        text(&sound),
        "ok  1 server, 5 tools classified, agents: anyone\n"
    );
    fs::write(
        home.path("config/tollgate/tools.d/demo.toml"),
        "comand = \"x\"\n",
    )
    .unwrap();
    let wrong = home.run(&["check"]);
    assert_eq!(wrong.status.code(), Some(3));
    assert!(text(&wrong).contains("error[E012]"), "{wrong:?}");
    assert!(text(&wrong).contains("tools.d/demo.toml:1:1"), "{wrong:?}");
    let named = home.run(&["check", "/nowhere"]);
    assert_eq!(named.status.code(), Some(3), "{named:?}");
}

#[test]
fn who_changes_a_file_is_told_that_the_daemon_has_not_read_it() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let behind = [
        (&["check"][..], "has not read this: tollgate stop-daemon"),
        (&[], "its files have changed since"),
    ];
    for (args, says) in behind {
        assert!(!text(&home.run(args)).contains(says));
    }
    let rules = RULES.replace("\"read\"", "\"off\"");
    fs::write(home.path("config/tollgate/tools.d/demo.toml"), rules).unwrap();
    // Nor is a line shown that stands there now as if it had decided.
    let tried = [
        "try",
        "demo.delete_file",
        "--as",
        "me",
        "--args",
        "{\"path\":\"a\"}",
    ];
    let told = text(&home.run(&tried));
    assert!(told.contains("(the file has changed since)"), "{told}");
    agent.call("demo__delete_file", &json!({ "path": "a" }));
    let told = text(&home.run(&["audit", "--json", "--limit", "1"]));
    let refused: Value = serde_json::from_str(told.trim()).unwrap();
    let told = text(&home.run(&["why", refused["call"].as_str().unwrap()]));
    assert!(told.contains("(the file has changed since)"), "{told}");
    for (args, says) in behind {
        let told = text(&home.run(args));
        assert!(told.contains(says), "{told}");
    }
}

#[test]
fn who_sets_a_secret_too_late_is_told_that_the_daemon_does_not_see_it() {
    let home = Home::new(RULES);
    let agents = "[agents.desk]\nowner = \"ana\"\ntoken = \"env:DESK_SECRET\"\n";
    fs::write(home.path("config/tollgate/tollgate.toml"), agents).unwrap();
    let mut shim = home.command(&["stdio", "--agent", "desk"]);
    let turned_away = shim.stdin(Stdio::null()).output().unwrap();
    assert_eq!(turned_away.status.code(), Some(4), "{turned_away:?}");
    let why = complaint(&turned_away);
    assert!(
        why.contains("`DESK_SECRET` is not set where the daemon started"),
        "{why}"
    );
    assert!(why.contains("`tollgate stop-daemon`"), "{why}");
}

#[test]
fn a_tool_is_listed_by_the_name_that_the_other_commands_take() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let tools = text(&home.run(&["tools"]));
    assert!(tools.contains(" demo.read_mail"), "{tools}");
    // In the singular where there is one.
    let rules = RULES.replace("[tools]", "unlisted = \"off\"\n[tools]");
    let rules = rules.replace("\nwait = \"read\"\nrefund = \"irreversible\"", "");
    let (rules, _) = rules.split_once("[tools.write_file]").unwrap();
    assert_eq!(home.run(&["stop-daemon"]).status.code(), Some(0));
    fs::write(home.path("config/tollgate/tools.d/demo.toml"), rules).unwrap();
    home.agent()
        .call("demo__read_mail", &json!({ "id": "m-4" }));
    let servers = text(&home.run(&["servers"]));
    assert!(servers.contains("  1 tool  "), "{servers}");
    // An agent knows it by another name, and people have that from agents.
    let least = "{\"id\":\"m-4\"}";
    for tool in ["demo.read_mail", "demo__read_mail"] {
        let tried = home.run(&["try", tool, "--as", "me", "--args", least]);
        assert_eq!(tried.status.code(), Some(0), "{tried:?}");
        assert!(text(&tried).starts_with("demo.read_mail  "), "{tried:?}");
        let records = text(&home.run(&["audit", "--tool", tool, "--json"]));
        assert!(records.contains("\"tool\":\"read_mail\""), "{records}");
        let same = complaint(&home.run(&["pins", "accept", tool]));
        assert!(!same.contains("was accepted"), "{same}");
    }
    let unknown = complaint(&home.run(&["try", "demo__read", "--as", "me"]));
    assert!(
        unknown.contains("there is no tool `demo__read`"),
        "{unknown}"
    );
}

#[test]
fn a_next_step_names_the_configuration_that_was_named() {
    let home = Home::new(RULES);
    let config = home.path("config/tollgate");
    let config = config.to_str().unwrap();
    let missing = complaint(&home.run(&["--config", config, "runs"]));
    assert!(
        missing.contains(&format!("`tollgate --config {config} daemon`")),
        "{missing}"
    );
    let stopped = text(&home.run(&["--config", config, "stop"]));
    assert!(
        stopped.contains(&format!("tollgate --config {config} resume")),
        "{stopped}"
    );
    // Who did not name it need not.
    let stopped = text(&home.run(&["stop"]));
    assert!(stopped.contains("with: tollgate resume"), "{stopped}");
}

#[test]
fn no_line_is_shown_for_what_no_line_decided() {
    let home = Home::new(RULES);
    let _agent = home.agent();
    let of = |tool: &str| {
        let tried = home.run(&["try", tool, "--as", "me", "--args", "{\"name\":\"Acme\"}"]);
        text(&tried)
    };
    // Nothing is said of this tool, nor of the rest.
    let told = of("demo.look_up_company");
    assert!(told.contains("nobody has classified this tool"), "{told}");
    assert!(!told.contains("demo.toml:"), "{told}");
    assert!(of("demo.delete_file").contains("demo.toml:9 "), "{told}");
}

#[test]
fn a_directory_without_a_server_or_a_file_in_its_place_is_told() {
    let home = Home::new(RULES);
    let empty = home.path("empty");
    fs::create_dir(&empty).unwrap();
    let told = text(&home.run(&["check", empty.to_str().unwrap()]));
    assert!(
        told.ends_with("no servers: register one in tools.d/\n"),
        "{told}"
    );
    let file = home.path("config/tollgate/tools.d/demo.toml");
    let told = home.run(&["check", file.to_str().unwrap()]);
    assert_eq!(told.status.code(), Some(3), "{told:?}");
    assert!(text(&told).contains("this is a file, not a"), "{told:?}");
    let mut status = home.command(&[]);
    status.env("TOLLGATE_CONFIG", home.path("nowhere"));
    let told = text(&status.output().unwrap());
    assert!(told.contains("nowhere (there is none yet)\n"), "{told}");
}

#[test]
fn what_would_keep_a_server_from_starting_is_told_by_check_and_by_the_daemon() {
    let home = Home::new("");
    let tools = home.path("config/tollgate/tools.d");
    fs::remove_file(tools.join("demo.toml")).unwrap();
    fs::write(home.path("config/tollgate/server.js"), "").unwrap();
    for (name, file) in [
        ("gone", "command = \"no-such-program\""),
        ("here", "command = \"sh\"\nargs = [\"server.js\", \"-v\"]"),
        (
            "keyless",
            "command = \"true\"\nenv = { KEY = \"env:NO_SUCH_KEY\" }",
        ),
        (
            "sound",
            "command = \"sh\"\nargs = [\"server.js\"]\ncwd = \".\"",
        ),
    ] {
        fs::write(
            tools.join(format!("{name}.toml")),
            format!("owner = \"ana\"\n{file}\n"),
        )
        .unwrap();
    }
    let told = text(&home.run(&["check"]));
    let doubts: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("to look at"))
        .collect();
    let [gone, here, keyless] = doubts.as_slice() else {
        panic!("{told}");
    };
    assert!(
        gone.starts_with("to look at: gone: cannot start `no-such-program`"),
        "{gone}"
    );
    assert!(
        here.contains("here: `server.js` counts from where"),
        "{here}"
    );
    assert!(
        keyless.contains("keyless: ") && keyless.contains("NO_SUCH_KEY"),
        "{keyless}"
    );
    // And when they are not there: as a reason, not as a piece of advice to register one.
    let mut agent = home.agent();
    agent.ask("tools/list", &json!({}));
    let told = text(&home.run(&["tools"]));
    assert!(
        told.starts_with("no tools: no server has listed any\n"),
        "{told}"
    );
    assert!(
        told.contains("\ngone: cannot start `no-such-program`"),
        "{told}"
    );
    let told = text(&home.run(&["servers"]));
    let mut rows = told.lines().map(str::trim);
    let gone = rows.find(|row| row.starts_with("gone")).unwrap();
    let why = "cannot start `no-such-program`: not found in PATH";
    assert!(gone.ends_with(why), "{gone}");
}

#[test]
fn the_state_is_not_moved_away_under_a_daemon() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let held = home.run(&["state", "rebuild"]);
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    assert!(complaint(&held).contains("stop-daemon"), "{held:?}");
    assert_eq!(home.run(&["stop-daemon"]).status.code(), Some(0));
    let free = home.run(&["state", "rebuild"]);
    assert!(text(&free).contains("moved `"), "{free:?}");
    // The next start builds it anew, and it is what the journal says.
    let mut next = home.agent();
    next.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert!(text(&home.run(&["state", "check"])).starts_with("ok  "));
    assert!(text(&home.run(&["audit", "verify"])).contains("unbroken"));
}

#[test]
fn a_damaged_record_is_found_without_a_daemon_and_its_loss_is_accepted_once() {
    let home = Home::new(RULES);
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert_eq!(home.run(&["stop-daemon"]).status.code(), Some(0));
    let journal = home.state().join("journal/000001.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    let pinned = bytes.windows(5).position(|w| w == b"\"pin\"").unwrap();
    bytes[pinned + 1] = b'q';
    fs::write(&journal, &bytes).unwrap();

    // What is kept of the state is not put aside for a journal that is damaged.
    let kept = home.run(&["state", "rebuild"]);
    assert_eq!(kept.status.code(), Some(1), "{kept:?}");
    assert!(
        complaint(&kept).contains("the journal is damaged"),
        "{kept:?}"
    );
    // A start that has its state looks only at what follows it; one that has to
    // build it walks the whole chain.
    fs::remove_dir_all(home.state().join("state.sled")).unwrap();
    let refused = home.run(&["daemon"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        complaint(&refused).contains("state rebuild --accept-loss"),
        "{refused:?}"
    );
    let shown = home.run(&["audit", "verify"]);
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    assert!(text(&shown).starts_with("BROKEN  "), "{shown:?}");

    let accepted = home.run(&["state", "rebuild", "--accept-loss"]);
    assert!(text(&accepted).contains("accepts the loss"), "{accepted:?}");
    let mut next = home.agent();
    next.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert!(text(&home.run(&["audit", "verify"])).contains("unbroken"));
    assert!(!home.state().join("ACCEPT_LOSS").exists());
}

#[test]
fn the_configured_idle_time_ends_a_daemon_that_an_agent_started() {
    let home = Home::new(RULES);
    fs::write(
        home.path("config/tollgate/tollgate.toml"),
        "idle_exit = \"10ms\"\n",
    )
    .unwrap();
    let mut agent = home.agent();
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    let daemon = home.daemon();
    let pidfd = pidfd_open(daemon, PidfdFlags::empty()).unwrap();
    drop(agent);
    let patience = Timespec {
        tv_sec: 60,
        tv_nsec: 0,
    };
    let mut ends = [PollFd::new(&pidfd, PollFlags::IN)];
    assert_eq!(
        poll(&mut ends, Some(&patience)).unwrap(),
        1,
        "the daemon stayed"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let home = Home::new(RULES);
    let mut child = home
        .command(&["explain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
}

/// Fingerprints change with the demo server.
fn without_prints(text: &str) -> String {
    let words = text.split_inclusive(' ').scan(false, |pinned, word| {
        let print = std::mem::replace(pinned, word == "pinned ");
        Some(if print { "[print], " } else { word })
    });
    words.collect()
}

#[test]
fn a_server_may_have_as_many_files_open_as_tollgate_before_it_raised_that() {
    let home = Home::new("");
    let told = home.path("told");
    let rules = format!(
        "command = \"/bin/sh\"\nargs = [\"-c\", 'ulimit -n > {}; exec {PROGRAM} demo-server']\nowner = \"ops\"\nunlisted = \"read\"\n",
        told.display()
    );
    fs::write(home.path("config/tollgate/tools.d/demo.toml"), rules).unwrap();
    let mut agent = home.agent_that(r#"ulimit -Sn 300; "$@" <"$in" >"$out"; exit"#);
    agent.call("demo__read_mail", &json!({ "id": "m-4" }));
    assert_eq!(fs::read_to_string(told).unwrap(), "300\n");
    let limits = format!("/proc/{}/limits", home.daemon().as_raw_nonzero());
    let limits = fs::read_to_string(limits).unwrap();
    let raised = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    assert!(!raised.unwrap().contains(" 300 "), "{raised:?}");
}

#[test]
fn a_journal_that_may_not_grow_ends_the_daemon_with_the_reason_and_not_by_a_signal() {
    let home = Home::new("");
    let told = home.path("told");
    let rules = format!(
        "command = \"/bin/sh\"\nargs = [\"-c\", 'grep SigIgn /proc/self/status > {}; exec {PROGRAM} demo-server']\nowner = \"ops\"\nunlisted = \"read\"\n",
        told.display()
    );
    fs::write(home.path("config/tollgate/tools.d/demo.toml"), rules).unwrap();
    let mut agent = home.agent_that(r#"ulimit -f 128; "$@" <"$in" >"$out"; exit"#);
    let arguments = json!({ "id": "m-4", "and": "x".repeat(3000) });
    agent.calls_until_the_end("demo__read_mail", &arguments);
    let log = fs::read_to_string(home.path("state/tollgate/daemon.log")).unwrap();
    assert!(log.contains("File too large"), "{log}");
    // Its servers are told of it in the usual way.
    let ignored = fs::read_to_string(told).unwrap();
    let ignored = u64::from_str_radix(ignored.split_whitespace().nth(1).unwrap(), 16).unwrap();
    let too_large = Signal::XFSZ.as_raw() - 1;
    assert_eq!(ignored >> too_large & 1, 0, "{ignored:x}");
}
