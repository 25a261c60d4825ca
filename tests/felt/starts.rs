//! Instances that take their time to start, and agents that do not wait for them.

use std::fs;
use std::time::Duration;

use crate::limited;
use crate::support::agent::{Agent, ends};
use crate::support::home::Home;
use crate::support::raw::member;
use crate::support::server::Server;

const QUICK: &str = "era legacy\ncall hi: text hello";
const SLOW: &str = "era legacy\nstart wait\ncall hi: text hello";

/// A server whose instance an agent's run has taken; what starts after that waits for
/// the test.
fn taken() -> (Home, Server, Agent) {
    taken_in(limited("loops = {}"))
}

fn taken_in(home: Home) -> (Home, Server, Agent) {
    let mut alpha = home.server("alpha", QUICK);
    let mut one = home.beside("one");
    one.until_listed(&["alpha__hi"]);
    let id = one.call("alpha__hi", "{}");
    assert_eq!(one.text(id), "hello");
    alpha.latest();
    fs::write(&alpha.script, SLOW).unwrap();
    (home, alpha, one)
}

/// Cancels a request; returns once that has been read.
fn cancel(agent: &mut Agent, id: u64) {
    is_read(agent);
    agent.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
    ));
    is_read(agent);
}

/// Returns once everything that the agent has sent has been read.
fn is_read(agent: &mut Agent) {
    let id = agent.request("ping", "{}");
    agent.result(id);
}

#[test]
fn a_start_that_nobody_waits_for_any_more_goes_on_for_the_next_call() {
    let (home, mut alpha, _one) = taken();
    let before = alpha.count_starts();
    let mut two = home.beside("two");
    let id = two.call("alpha__hi", "{}");
    let pid = alpha.starts();
    cancel(&mut two, id);
    // More than an agent may make of failing ones in a row.
    for n in 0..25 {
        let id = two.call("alpha__hi", &format!(r#"{{"n":{n}}}"#));
        cancel(&mut two, id);
    }
    assert_eq!(alpha.count_starts(), before + 1);
    let id = two.call("alpha__hi", "{}");
    is_read(&mut two);
    alpha.order("go");
    assert_eq!(two.text(id), "hello");
    assert_eq!(alpha.count_starts(), before + 1);
    // What never left was judged as well: something was begun for it. Its server was there.
    let told = home.tollgate().args(["audit", "--json"]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(!told.contains("call.refused"), "{told}");
    assert_eq!(told.matches("\"call.intent\"").count(), 2 + 26, "{told}");
    assert_eq!(
        told.matches("was never sent the call").count(),
        26,
        "{told}"
    );
    two.hang_up();
    two.ends();
    assert!(ends(pid));
}

#[test]
fn a_run_counts_whose_only_call_was_cancelled_while_its_instance_started() {
    let (home, mut alpha, _one) = taken_in(limited("loops = {}\nruns = \"3/h\""));
    let before = alpha.count_starts();
    for _ in 0..3 {
        let mut two = home.beside("two");
        let id = two.call("alpha__hi", "{}");
        alpha.starts();
        cancel(&mut two, id);
        two.hang_up();
        two.ends();
    }
    let mut two = home.beside("two");
    let id = two.call("alpha__hi", "{}");
    let answer = two.result(id);
    assert!(answer.contains("RATE_LIMITED"), "{answer}");
    assert_eq!(alpha.count_starts(), before + 3);
}

#[test]
fn no_more_runs_are_begun_at_the_same_time_than_the_agent_may_begin() {
    let (home, mut alpha, _one) = taken_in(limited("loops = {}\nruns = \"3/h\""));
    let before = alpha.count_starts();
    let mut calls: Vec<(Agent, u64)> = Vec::new();
    for _ in 0..6 {
        let mut two = home.beside("two");
        let id = two.call("alpha__hi", "{}");
        is_read(&mut two);
        calls.push((two, id));
    }
    for _ in 0..3 {
        alpha.starts();
    }
    // Another call of one of these is of the same run, and waits for the same start.
    let again = calls[0].0.call("alpha__hi", r#"{"n":1}"#);
    is_read(&mut calls[0].0);
    assert_eq!(alpha.count_starts(), before + 3);
    for started in before..before + 3 {
        alpha.order_to(started, "go");
    }
    assert_eq!(calls[0].0.text(again), "hello");
    let answers = calls.iter_mut().map(|(two, id)| two.result(*id));
    let answers: Vec<String> = answers.collect();
    let count = |what: &str| {
        answers
            .iter()
            .filter(|answer| answer.contains(what))
            .count()
    };
    assert_eq!(
        (count("hello"), count("RATE_LIMITED")),
        (3, 3),
        "{answers:?}"
    );
    assert_eq!(alpha.count_starts(), before + 3);
}

#[test]
fn a_start_ends_with_the_run_that_it_was_for() {
    let (home, mut alpha, _one) = taken();
    let mut two = home.beside("two");
    two.call("alpha__hi", "{}");
    let pid = alpha.starts();
    two.is_gone();
    assert!(ends(pid));
}

#[test]
fn a_shared_server_is_started_once_whoever_waits_for_it() {
    let home = Home::new();
    let mut alpha = home.server_with("alpha", QUICK, "instances = \"shared\"");
    let mut one = home.beside("one");
    one.until_listed(&["alpha__hi"]);
    alpha.starts();
    fs::write(&alpha.script, SLOW).unwrap();
    alpha.order("exit 0");
    let pid = alpha.starts();
    for _ in 0..5 {
        let id = one.call("alpha__hi", "{}");
        cancel(&mut one, id);
    }
    let id = one.call("alpha__hi", "{}");
    is_read(&mut one);
    alpha.order("go");
    assert_eq!(one.text(id), "hello");
    assert_eq!(alpha.count_starts(), 2);
    let stopped = home.tollgate().arg("stop-daemon").output().unwrap();
    assert!(stopped.status.success());
    assert!(ends(pid));
}

#[test]
fn an_instance_that_is_replaced_serves_others_until_then() {
    let home = Home::new();
    let mut alpha = home.server("alpha", QUICK);
    let mut one = home.modern_beside("one", "{}");
    one.until_listed(&["alpha__hi"]);
    alpha.starts();
    fs::write(&alpha.script, SLOW).unwrap();
    // The instance that is there was told that nobody can be asked, as the agent had said.
    one.speak_modern(r#"{"elicitation":{},"roots":{}}"#);
    let waits = one.call("alpha__hi", "{}");
    alpha.starts();
    let mut two = home.beside_with("two", "{}");
    let id = two.call("alpha__hi", "{}");
    assert_eq!(two.text(id), "hello");
    alpha.order_to(1, "go");
    assert_eq!(one.text(waits), "hello");
    assert_eq!(alpha.count_starts(), 2);
}

#[test]
fn calls_in_a_run_of_another_connection_are_served_by_its_instances_which_wait_for_them() {
    let home = limited("loops = {}\nruns = \"1/h\"");
    let mut alpha = home.server("alpha", &format!("{QUICK}\ncall slow: wait\ntext late"));
    let mut one = home.beside("bot");
    one.until_listed(&["alpha__hi"]);
    let id = one.call("alpha__hi", "{}");
    let answer = one.answer(id);
    let starts = alpha.count_starts();
    let pid = alpha.latest();
    let run = ["result", "_meta", "dev.tollgate/call", "run"]
        .iter()
        .try_fold(answer, |of, key| member(&of, key))
        .unwrap();
    let named = |tool: &str, n: usize| {
        format!(
            r#"{{"name":"alpha__{tool}","arguments":{{"n":{n}}},"_meta":{{"dev.tollgate/run":{run}}}}}"#
        )
    };
    // The agent may begin no other run, and with that no other process.
    for n in 0..3 {
        let mut other = home.beside("bot");
        let id = other.request("tools/call", &named("hi", n));
        assert_eq!(other.text(id), "hello");
    }
    assert_eq!(alpha.count_starts(), starts);
    // A call of another connection is not cut by the end of the one that began the run.
    let mut two = home.beside("bot");
    let id = two.request("tools/call", &named("slow", 0));
    while !alpha.gets("tools/call").contains("slow") {}
    let screen = home.tollgate().output().unwrap();
    let screen = String::from_utf8(screen.stdout).unwrap();
    assert!(screen.contains("1 call, 1 under way"), "{screen}");
    one.hang_up();
    one.ends();
    alpha.order_to(starts - 1, "go");
    assert_eq!(two.text(id), "late");
    assert!(ends(pid));
    let id = two.request("tools/call", &named("hi", 9));
    assert!(two.error(id).1.contains("not one of yours"));
}

#[test]
fn a_list_that_comes_page_by_page_has_as_long_as_one_page_and_no_longer() {
    let home = Home::new();
    // What it is asked for its tools the test answers.
    let script = "era legacy\non tools/list: wait";
    let mut alpha = home.server_with("alpha", script, "start_timeout = \"1s\"");
    let _agent = home.legacy();
    for nth in 0..10 {
        let Some(asked) = alpha.gets_or_ends("tools/list") else {
            return;
        };
        while !alpha.is_quiet(Duration::from_millis(300)) {}
        let id = member(&asked, "id").unwrap();
        if !alpha.order_if_there(&format!(
            r#"say {{"jsonrpc":"2.0","id":{id},"result":{{"tools":[],"nextCursor":"{nth}"}}}}"#
        )) {
            return;
        }
    }
    panic!("it lists for three seconds and goes on");
}
