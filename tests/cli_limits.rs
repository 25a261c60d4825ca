//! Limits at the prompt, with the real program: an agent meets one, and a person
//! does something about it.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod prompt;

use std::fs;

use prompt::{Agent, Home, complaint, text};
use serde_json::{Value, json};

const TOOLS: &str = r#"command = "tollgate"
args = ["demo-server"]
owner = "platform"

[tools]
list_mail = "read"
read_mail = { tier = "read", cost = "0.30 USD" }
"#;

fn home(limits: &str) -> Home {
    let home = Home::new(TOOLS);
    fs::write(home.path("config/tollgate/tollgate.toml"), limits).unwrap();
    home
}

fn reads(agent: &mut Agent) -> Value {
    agent.call("demo__read_mail", &json!({ "id": "m-4" }))
}

fn refusal(answer: &Value) -> &Value {
    &answer["result"]["_meta"]["dev.tollgate/refusal"]
}

/// The objects of `budget --json`, of one kind.
fn budget(home: &Home, what: &str) -> Vec<Value> {
    let shown = home.run(&["budget", "--json"]);
    let all = text(&shown);
    let rows = all
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| row["what"] == what).collect()
}

#[test]
fn a_run_that_has_used_up_its_calls_goes_on_when_a_person_adds_to_it() {
    let home = home("[budget]\nrun = { calls = 2 }\n");
    let mut agent = home.agent();
    let ran = reads(&mut agent);
    assert_ne!(ran["result"]["isError"], true, "{ran}");
    reads(&mut agent);
    let refused = reads(&mut agent);
    assert_eq!(refusal(&refused)["code"], "BUDGET_RUN_CALLS", "{refused}");

    let rows = budget(&home, "limit");
    let calls = rows.iter().find(|row| row["limit"] == "run.calls").unwrap();
    assert_eq!(calls["v"], 1);
    assert_eq!(
        (&calls["used"]["exact"], &calls["left"]["exact"]),
        (&json!(2), &json!(0))
    );
    let day = rows.iter().find(|row| row["limit"] == "day.cost").unwrap();
    assert_eq!(day["used"], json!({ "exact": 600_000, "text": "0.60 USD" }));
    assert!(day["resets"].is_string(), "{day}");
    let run = calls["run"].as_str().unwrap();

    let shown = text(&home.run(&["budget", "--run", run]));
    assert!(shown.contains(&format!("run {run} of agent me")), "{shown}");
    assert!(shown.contains("NOTHING"), "{shown}");
    assert!(!shown.contains("day.cost"), "{shown}");

    let why = refusal(&refused)["call"].as_str().unwrap();
    let why = text(&home.run(&["why", why]));
    assert!(
        why.contains("run.calls: limit 2 calls, used 2 calls, asked 1 call"),
        "{why}"
    );

    // A trial is the first call of a new run, unless it is said which run it is a call of.
    let tried = |more: &[&str]| {
        let told = home.run(&[&["try", "demo.read_mail", "--as", "me"], more].concat());
        (told.status.code(), text(&told) + &complaint(&told))
    };
    let (code, says) = tried(&["--args", "{\"id\":\"m-4\"}"]);
    assert_eq!(code, Some(0), "{says}");
    assert!(says.contains("the first call of a new run"), "{says}");
    let (code, says) = tried(&["--args", "{\"id\":\"m-4\"}", "--run", run]);
    assert_eq!(code, Some(6), "{says}");
    assert!(says.contains("BUDGET_RUN_CALLS"), "{says}");
    assert!(
        says.contains(&format!("the next call of run {run}.")),
        "{says}"
    );
    let (code, says) = tried(&["--run", "r-NONE"]);
    assert_eq!(code, Some(1), "{says}");
    assert!(says.contains("no run `r-NONE` is remembered"), "{says}");

    // Nobody adds anything without being asked.
    let asked = home.run(&["runs", "extend", run, "--calls", "1"]);
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    assert!(complaint(&asked).contains("--yes"), "{asked:?}");
    let foreign = home.run(&["runs", "extend", run, "--cost", "1.00 EUR", "--yes"]);
    assert_eq!(foreign.status.code(), Some(2), "{foreign:?}");
    assert!(
        complaint(&foreign).contains("USD counts here"),
        "{foreign:?}"
    );
    let unknown = home.run(&["runs", "extend", "r-NONE", "--yes"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert_eq!(refusal(&reads(&mut agent))["code"], "BUDGET_RUN_CALLS");

    let added = text(&home.run(&["runs", "extend", run, "--calls", "1", "--yes"]));
    assert!(
        added.contains("run.calls  2 calls of 3 calls used, 1 call left"),
        "{added}"
    );
    let ran = reads(&mut agent);
    assert_ne!(ran["result"]["isError"], true, "{ran}");
    assert_eq!(refusal(&reads(&mut agent))["code"], "BUDGET_RUN_CALLS");

    let lease = text(&home.run(&["runs", "extend", run, "--yes"]));
    assert!(
        lease.contains("agent me may go on without a person until "),
        "{lease}"
    );
    let shown = text(&home.run(&["runs", run]));
    assert!(shown.contains("in calls, 0.90 USD"), "{shown}");
    assert!(shown.contains("extended  +1 call\n"), "{shown}");
    let runs = text(&home.run(&["runs"]));
    assert!(runs.contains("0.90 USD"), "{runs}");
}

#[test]
fn a_breaker_is_closed_by_a_person_before_its_time() {
    let home = home("[loops]\nsame = \"none\"\n");
    let tools = TOOLS.replace(
        "read_mail = { tier = \"read\",",
        "read_mail = { tier = \"read\", breaker = { failures = 1, errors = true, cooldown = \"1h\" },",
    );
    fs::write(home.path("config/tollgate/tools.d/demo.toml"), tools).unwrap();
    let mut agent = home.agent();
    let missing = json!({ "id": "m-99" });
    let failed = agent.call("demo__read_mail", &missing);
    assert_eq!(failed["result"]["isError"], true, "{failed}");
    assert!(refusal(&failed).is_null(), "{failed}");
    assert_eq!(refusal(&reads(&mut agent))["code"], "CIRCUIT_OPEN");

    let listed = text(&home.run(&["breakers"]));
    assert!(listed.contains("demo.read_mail"), "{listed}");
    let other = text(&home.run(&["breakers", "close", "demo", "--yes"]));
    assert!(other.contains("nothing to close: demo is"), "{other}");
    let asked = home.run(&["breakers", "close", "demo.read_mail"]);
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    assert_eq!(refusal(&reads(&mut agent))["code"], "CIRCUIT_OPEN");

    let closed = text(&home.run(&["breakers", "close", "demo.read_mail", "--yes"]));
    assert!(
        closed.contains("closed: demo.read_mail is not left alone any more"),
        "{closed}"
    );
    let ran = reads(&mut agent);
    assert_ne!(ran["result"]["isError"], true, "{ran}");
    assert_eq!(text(&home.run(&["breakers"])), "nothing is left alone\n");
    let record = text(&home.run(&["audit", "--json"]))
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|record| record["kind"] == "breaker" && record["state"] == "closed");
    assert_eq!(record.unwrap()["by"], "ana");
    // What follows from the records is the same.
    let checked = text(&home.run(&["state", "check"]));
    assert!(checked.starts_with("ok  "), "{checked}");
}

#[test]
fn a_run_that_was_killed_goes_on_when_a_person_lifts_it() {
    let home = home("[loops]\nsame = { refuse = \"none\", kill = 3 }\n");
    let mut agent = home.agent();
    reads(&mut agent);
    reads(&mut agent);
    assert_eq!(refusal(&reads(&mut agent))["code"], "RUN_KILLED");
    let other = |agent: &mut Agent| agent.call("demo__list_mail", &json!({ "folder": "inbox" }));
    assert_eq!(refusal(&other(&mut agent))["code"], "RUN_KILLED");

    let halt = budget(&home, "halt").remove(0);
    let run = halt["run"].as_str().unwrap();
    assert_eq!(
        (&halt["halt"], &halt["agent"]),
        (&json!("killed"), &json!("me"))
    );
    let status = text(&home.run(&[]));
    assert!(
        status.contains("HALTED: agent `me`, killed in run"),
        "{status}"
    );
    let runs = text(&home.run(&["runs"]));
    assert!(runs.contains("KILLED"), "{runs}");

    // What is not meant is told and left alone.
    let plain = text(&home.run(&["resume", "--yes"]));
    assert!(
        plain.contains("nothing to lift: there is no stop of everything"),
        "{plain}"
    );
    assert!(plain.contains("tollgate resume --agent me"), "{plain}");
    let asked = home.run(&["resume", "--agent", "me"]);
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    assert!(text(&asked).contains("the same call in a row"), "{asked:?}");
    assert_eq!(refusal(&other(&mut agent))["code"], "RUN_KILLED");

    let lifted = text(&home.run(&["resume", "--agent", "me", "--yes"]));
    assert!(
        lifted.contains("halted: agent `me`, killed in run"),
        "{lifted}"
    );
    assert!(
        lifted.contains("lifted: agent `me` is no longer halted"),
        "{lifted}"
    );
    let listed = other(&mut agent);
    assert_ne!(listed["result"]["isError"], true, "{listed}");

    // The same by the name of the run.
    for _ in 0..3 {
        reads(&mut agent);
    }
    assert_eq!(refusal(&other(&mut agent))["code"], "RUN_KILLED");
    let lifted = text(&home.run(&["resume", "--run", run, "--yes"]));
    assert!(lifted.contains("is no longer halted"), "{lifted}");
    let listed = other(&mut agent);
    assert_ne!(listed["result"]["isError"], true, "{listed}");

    let audit = text(&home.run(&["audit"]));
    assert!(audit.contains("halt of agent me"), "{audit}");
    assert!(budget(&home, "halt").is_empty());
}
