//! A limit that ends the run, with real processes: what is under way is cancelled and
//! its processes go; nothing the agent tries shakes it off.

use std::time::{Duration, Instant};

use crate::limited;
use crate::support::agent::Agent;
use crate::support::home::Home;
use crate::support::pair::FORM;
use crate::support::raw::member;

const KILLS: &str = "[budget]\nrun = { steps = \"none\", time = \"none\", cost = \"none\", calls = { at = 2, then = \"kill\" } }\n";
const SCRIPT: &str = "call slow: wait\ncall quick: text done";

fn home() -> Home {
    limited(KILLS)
}

#[test]
fn a_kill_cuts_what_is_under_way_within_a_second_and_ends_its_processes() {
    let home = home();
    let mut shop = home.server("shop", SCRIPT);
    let mut agent = home.legacy();
    agent.until_listed(&["shop__slow"]);
    let slow = agent.call("shop__slow", "{}");
    shop.gets("tools/call");
    let quick = agent.call("shop__quick", "{}");
    assert!(agent.text(quick).contains("done"));
    let begun = Instant::now();
    let third = agent.call("shop__quick", "{\"n\":3}");
    assert!(agent.answer(third).contains("RUN_KILLED"));
    let cut = agent.answer(slow);
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert!(cut.contains("RUN_KILLED by tollgate while it ran"), "{cut}");
    // It is told to cancel, and since it does not stop by itself, it is ended.
    shop.gets("notifications/cancelled");
    shop.ends();
    let later = agent.call("shop__quick", "{\"n\":4}");
    assert!(agent.answer(later).contains("RUN_KILLED"));
    // What is left can be asked all the same.
    let status = agent.call("tollgate__status", "{}");
    let status = agent.result(status);
    assert!(status.contains("\"halted\":\"killed\""), "{status}");
}

#[test]
fn the_user_of_an_agent_that_was_ended_is_asked_nothing_any_more() {
    let home = home();
    let mut shop = home.server("shop", &format!("era legacy\n{SCRIPT}"));
    let mut agent = home.legacy();
    agent.until_listed(&["shop__slow"]);
    agent.call("shop__slow", "{}");
    shop.gets("tools/call");
    for n in 0..2 {
        let quick = agent.call("shop__quick", &format!("{{\"n\":{n}}}"));
        agent.answer(quick);
    }
    shop.gets("notifications/cancelled");
    // It may be gone by then: it has two seconds.
    shop.order_if_there(&format!(
        r#"say {{"jsonrpc":"2.0","id":"late","method":"elicitation/create","params":{FORM}}}"#
    ));
    shop.ends();
    let ping = agent.request("ping", "{}");
    agent.result(ping);
    assert!(!agent.others().concat().contains("elicitation/create"));
}

#[test]
fn another_run_and_another_connection_do_not_shake_off_a_kill() {
    let home = home();
    let _shop = home.server("shop", SCRIPT);
    let mut agent = home.beside("bot");
    agent.until_listed(&["shop__quick"]);
    for n in 0..3 {
        let call = agent.call("shop__quick", &format!("{{\"n\":{n}}}"));
        agent.answer(call);
    }
    let mut again = home.beside("bot");
    let call = again.call("shop__quick", "{}");
    assert!(again.answer(call).contains("RUN_KILLED"));
    let mut other = home.beside("eve");
    let call = other.call("shop__quick", "{}");
    let answer = other.answer(call);
    assert!(answer.contains("done"), "{answer}");
    // A run that is somebody else's cannot be named.
    let run = member(&answer, "result")
        .and_then(|result| member(&result, "_meta"))
        .and_then(|meta| member(&meta, "dev.tollgate/call"))
        .and_then(|call| member(&call, "run"))
        .unwrap();
    let params = format!(
        r#"{{"name":"shop__quick","arguments":{{}},"_meta":{{"dev.tollgate/run":{run}}}}}"#
    );
    let foreign = again.request("tools/call", &params);
    let (code, says) = again.error(foreign);
    assert_eq!(code, -32602);
    assert!(says.contains("not one of yours"), "{says}");
    let own = other.request("tools/call", &params.replace("{}", "{\"n\":1}"));
    assert!(other.answer(own).contains("done"));
}

#[test]
fn an_agent_that_is_refused_and_does_not_stop_calling_is_judged_once_a_second() {
    let home = home();
    let _shop = home.server("shop", SCRIPT);
    let mut agent = home.legacy();
    agent.until_listed(&["shop__quick"]);
    let mut nth = 0;
    let mut call = |agent: &mut Agent| {
        nth += 1;
        agent.call("shop__quick", &format!("{{\"n\":{nth}}}"))
    };
    for _ in 0..2 {
        let id = call(&mut agent);
        assert!(agent.answer(id).contains("done"));
    }
    let begun = Instant::now();
    for _ in 0..10 {
        let ids: Vec<u64> = (0..100).map(|_| call(&mut agent)).collect();
        for id in ids {
            assert!(agent.answer(id).contains("RUN_KILLED"));
        }
    }
    for _ in 0..2 {
        let id = call(&mut agent);
        assert!(agent.answer(id).contains("RUN_KILLED"));
    }
    assert!(begun.elapsed() > Duration::from_secs(2));
    // What it cancels takes its turn, and was never judged; beyond a few nobody waits.
    for _ in 0..300 {
        let id = call(&mut agent);
        agent.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ));
    }
    let id = call(&mut agent);
    let (code, says) = agent.error(id);
    assert_eq!(code, -32603);
    assert!(says.contains("wait for an answer"), "{says}");
    let mut audit = home.tollgate();
    audit.args(["audit", "--outcome", "refused", "--limit", "2000", "--json"]);
    let audit = String::from_utf8(audit.output().unwrap().stdout).unwrap();
    let recorded = audit.matches("\"code\":\"RUN_KILLED\"").count();
    // Some more may have had their turn before they were cancelled.
    let turns = 1_000 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!((1_002..=turns).contains(&recorded), "{recorded}");
}

#[test]
fn refusals_that_only_the_server_can_cause_are_slowed_as_well() {
    let home = limited("");
    let mut shop = home.server("shop", SCRIPT);
    let mut agent = home.legacy();
    agent.until_listed(&["shop__quick"]);
    let id = agent.call("shop__quick", "{}");
    assert!(agent.answer(id).contains("done"));
    // It stays listed, and cannot be started any more.
    std::fs::write(&shop.script, "start exit 9").unwrap();
    shop.order("exit 0");
    shop.ends();
    let mut hears = |n: usize| {
        let ids: Vec<u64> = (0..n).map(|_| agent.call("shop__quick", "{}")).collect();
        let mut all = ids.into_iter().map(|id| agent.answer(id));
        all.all(|answer| answer.contains("SERVER_UNAVAILABLE"))
    };
    // The first may find it while it ends.
    hears(2);
    let begun = Instant::now();
    for _ in 0..10 {
        assert!(hears(100));
    }
    assert!(hears(1) && hears(1));
    assert!(begun.elapsed() > Duration::from_secs(2));
}

#[test]
fn a_uri_is_shown_as_it_is_recorded() {
    let home = Home::new();
    let script = "resource {\"uri\":\"note://one\",\"name\":\"one\"}\ncall quick: text done\n\
        on resources/read: wait";
    let mut notes = home.server("notes", script);
    let mut agent = home.beside("bot");
    agent.until_listed(&["notes__quick"]);
    let _read = agent.request(
        "resources/read",
        r#"{"uri":"note://ana:hunter2@host/a?api_key=s3cr3t"}"#,
    );
    notes.gets("resources/read");
    let said = |args: &[&str]| {
        let output = home.tollgate().args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = "note://ana:[REDACTED]@host/a?api_key=[REDACTED]";
    let stopped = said(&["stop"]);
    assert!(stopped.contains(shown), "{stopped}");
    let screen = said(&[]);
    assert!(screen.contains(shown), "{screen}");
    let audit = said(&["audit"]);
    assert!(audit.contains(shown), "{audit}");
}

#[test]
fn tokens_that_an_agent_reports_count() {
    let home = limited(
        "[budget]\nrun = { steps = \"none\", calls = \"none\", time = \"none\", cost = \"none\", tokens = 100 }",
    );
    let _shop = home.server("shop", SCRIPT);
    let mut agent = home.legacy();
    agent.until_listed(&["shop__quick"]);
    let mut call = |tokens: &str| {
        let params = format!(
            r#"{{"name":"shop__quick","arguments":{{}},"_meta":{{"dev.tollgate/tokens":{tokens}}}}}"#
        );
        let id = agent.request("tools/call", &params);
        agent.answer(id)
    };
    assert!(call(r#"{"input":60,"output":20}"#).contains("done"));
    assert!(call("21").contains("BUDGET_RUN_TOKENS"));
    assert!(call("20").contains("done"));
}
