//! Which client a tool server gets to see: the one that will call it.

use std::fs;

use crate::limited;
use crate::pair::lists;
use crate::support::agent::Agent;
use crate::support::home::Home;
use crate::support::server::Server;

/// A client whose user can be asked something, and one that has none.
const ASKS: &str = r#"{"elicitation":{}}"#;
const NONE: &str = "{}";

/// Offers one tool to everybody, and one to clients whose user can be asked.
const SHY: &str = r#"call hi: text hello
shy {"name":"more","inputSchema":{"type":"object"}}
call more: text and more"#;

/// The tools that an agent is shown first.
fn first_list(agent: &mut Agent) -> [bool; 2] {
    ["alpha__hi", "alpha__more"].map(|tool| lists(agent, tool))
}

fn calls(agent: &mut Agent, tool: &str, text: &str) {
    let id = agent.call(tool, "{}");
    assert_eq!(agent.text(id), text);
}

fn leaves(mut agent: Agent) {
    agent.hang_up();
    agent.ends();
}

/// Whether the next call that reaches the server is one of the stateless era.
fn is_called_statelessly(alpha: &mut Server) -> bool {
    let call = alpha.gets("tools/call");
    call.contains("io.modelcontextprotocol/protocolVersion")
}

#[test]
fn a_server_that_speaks_both_eras_speaks_that_of_its_agent() {
    let home = Home::new();
    let mut alpha = home.server("alpha", "call hi: text hello");
    for _ in 0..2 {
        let mut legacy = home.beside_with("one", ASKS);
        legacy.until_listed(&["alpha__hi"]);
        calls(&mut legacy, "alpha__hi", "hello");
        assert!(!is_called_statelessly(&mut alpha));
        // Also beside the other.
        let mut modern = home.modern_beside("two", ASKS);
        calls(&mut modern, "alpha__hi", "hello");
        assert!(is_called_statelessly(&mut alpha));
        calls(&mut legacy, "alpha__hi", "hello");
        assert!(!is_called_statelessly(&mut alpha));
        leaves(legacy);
        leaves(modern);
    }
}

#[test]
fn one_agent_after_the_other_is_spoken_to_in_its_era_whether_it_lists_or_calls_first() {
    let home = Home::new();
    let mut alpha = home.server("alpha", "call hi: text hello");
    for nth in 0..8 {
        let is_modern = nth % 2 == 1;
        let mut agent = match is_modern {
            false => home.beside_with("one", NONE),
            true => home.modern_beside("two", NONE),
        };
        if nth % 4 < 2 {
            agent.until_listed(&["alpha__hi"]);
        }
        calls(&mut agent, "alpha__hi", "hello");
        assert_eq!(is_called_statelessly(&mut alpha), is_modern, "{nth}");
        alpha.latest();
        leaves(agent);
        alpha.ends();
    }
}

#[test]
fn a_server_is_bridged_to_that_does_not_speak_the_era_of_its_agent_and_is_asked_once() {
    let home = Home::new();
    let refuses = "probe error {\"code\":-32601,\"message\":\"no\"}\nera legacy";
    let mut old = home.server("old", &format!("{refuses}\ncall hi: text hello"));
    let mut new = home.server("new", "era modern\ncall hi: text hello");
    for _ in 0..2 {
        for nth in 0..2 {
            let mut agent = match nth {
                0 => home.beside_with("one", NONE),
                _ => home.modern_beside("two", NONE),
            };
            agent.until_listed(&["old__hi", "new__hi"]);
            calls(&mut agent, "old__hi", "hello");
            assert!(!is_called_statelessly(&mut old));
            calls(&mut agent, "new__hi", "hello");
            assert!(is_called_statelessly(&mut new));
            leaves(agent);
        }
    }
    assert!(old.count("server/discover") <= 1);
    assert!(new.count("initialize") <= 1);
}

#[test]
fn a_server_that_leaves_at_initialize_is_started_again_and_met_in_the_new_way() {
    let home = Home::new();
    let _alpha = home.server(
        "alpha",
        "era modern\non initialize: exit 3\ncall hi: text hello",
    );
    let mut agent = home.beside_with("one", ASKS);
    agent.until_listed(&["alpha__hi"]);
    calls(&mut agent, "alpha__hi", "hello");
}

#[test]
fn a_server_that_is_silent_at_initialize_is_asked_in_the_new_way_the_next_time() {
    let home = Home::new();
    let script = "era modern\non initialize: wait\ncall hi: text hello";
    let settings = "start_timeout = \"500ms\"";
    let _alpha = home.server_with("alpha", script, settings);
    let mut agent = home.beside_with("one", ASKS);
    agent.until_listed(&["alpha__hi"]);
    calls(&mut agent, "alpha__hi", "hello");
}

#[test]
fn what_a_server_offers_to_this_agent_is_in_its_first_list() {
    for era in ["", "era legacy\n", "era modern\n"] {
        let home = Home::new();
        let mut alpha = home.server("alpha", &format!("{era}{SHY}"));
        for (can, more) in [(NONE, false), (ASKS, true), (NONE, false), (ASKS, true)] {
            for modern in [false, true] {
                println!("{era:?} {can} {modern}");
                let mut agent = match modern {
                    false => home.beside_with("one", can),
                    true => home.modern_beside("two", can),
                };
                assert_eq!(first_list(&mut agent), [true, more]);
                match more {
                    true => calls(&mut agent, "alpha__more", "and more"),
                    false => calls(&mut agent, "alpha__hi", "hello"),
                }
                alpha.latest();
                leaves(agent);
                alpha.ends();
            }
        }
    }
}

#[test]
fn what_it_was_told_is_remembered_by_the_next_daemon() {
    let home = Home::new();
    let mut alpha = home.server("alpha", SHY);
    let mut agent = home.beside_with("one", ASKS);
    assert_eq!(first_list(&mut agent), [true, true]);
    leaves(agent);
    let stopped = home.tollgate().arg("stop-daemon").output().unwrap();
    assert!(stopped.status.success());
    let (starts, probes) = (alpha.count_starts(), alpha.count("server/discover"));
    let mut agent = home.beside_with("one", ASKS);
    assert_eq!(first_list(&mut agent), [true, true]);
    calls(&mut agent, "alpha__more", "and more");
    assert_eq!(alpha.count_starts(), starts + 1);
    assert_eq!(alpha.count("server/discover"), probes);
}

#[test]
fn in_which_era_it_is_met_is_remembered_for_agents_of_both() {
    let home = Home::new();
    let refuses = "probe error {\"code\":-32601,\"message\":\"no\"}\nera legacy";
    let mut alpha = home.server("alpha", &format!("{refuses}\ncall hi: text hello"));
    let mut probes = 0;
    for nth in 0..3 {
        let mut modern = home.modern_beside("one", NONE);
        modern.until_listed(&["alpha__hi"]);
        calls(&mut modern, "alpha__hi", "hello");
        leaves(modern);
        let mut legacy = home.beside_with("two", NONE);
        calls(&mut legacy, "alpha__hi", "hello");
        leaves(legacy);
        let stopped = home.tollgate().arg("stop-daemon").output().unwrap();
        assert!(stopped.status.success());
        let before = std::mem::replace(&mut probes, alpha.count("server/discover"));
        assert!(nth == 0 || probes == before, "{probes}");
    }
}

#[test]
fn an_agent_that_comes_takes_nothing_from_the_run_of_another() {
    let home = Home::new();
    let mut alpha = home.server("alpha", SHY);
    let mut one = home.beside_with("one", NONE);
    one.until_listed(&["alpha__hi"]);
    calls(&mut one, "alpha__hi", "hello");
    let before = alpha.count_starts();
    let mut two = home.beside_with("two", ASKS);
    assert_eq!(first_list(&mut two), [true, false]);
    assert_eq!(alpha.count_starts(), before);
    calls(&mut two, "alpha__hi", "hello");
    calls(&mut one, "alpha__hi", "hello");
    assert_eq!(alpha.count_starts(), before + 1);
}

#[test]
fn a_server_of_which_only_one_can_run_is_started_anew_for_another_agent() {
    let home = Home::new();
    let mut alpha = home.server("alpha", &format!("start alone\n{SHY}"));
    for (name, can) in [("one", NONE), ("two", ASKS)] {
        let mut agent = home.beside_with(name, can);
        assert_eq!(first_list(&mut agent), [true, can == ASKS]);
        calls(&mut agent, "alpha__hi", "hello");
        alpha.latest();
        leaves(agent);
        alpha.ends();
    }
}

#[test]
fn nothing_is_started_for_an_agent_that_is_stopped() {
    let home = limited("");
    let mut alpha = home.server("alpha", SHY);
    alone(&home, &mut alpha);
    let stop = home.tollgate().args(["stop", "--agent", "two"]).output();
    assert!(stop.unwrap().status.success());
    let before = alpha.count_starts();
    let mut two = home.beside_with("two", ASKS);
    assert_eq!(first_list(&mut two), [true, false]);
    assert_eq!(alpha.count_starts(), before);
}

#[test]
fn a_server_that_does_not_come_up_again_stays_listed() {
    let home = Home::new();
    let mut alpha = home.server("alpha", SHY);
    alone(&home, &mut alpha);
    fs::write(&alpha.script, format!("start exit 4\n{SHY}")).unwrap();
    let mut two = home.beside_with("two", ASKS);
    assert_eq!(first_list(&mut two), [true, false]);
    let id = two.call("alpha__hi", "{}");
    assert!(two.failure(id).contains("exit"));
}

/// An agent without a user comes, calls and leaves; the next instance is there.
fn alone(home: &Home, alpha: &mut Server) {
    let mut one = home.beside_with("one", NONE);
    one.until_listed(&["alpha__hi"]);
    calls(&mut one, "alpha__hi", "hello");
    alpha.latest();
    leaves(one);
    alpha.starts();
}

/// Another one comes, with a user, for whom the server is being started anew and does not
/// come up before it is told to: the one to tell, the agent and its request for the tools.
fn starts_slowly_for_another(home: &Home, alpha: &mut Server) -> (usize, Agent, u64) {
    alone(home, alpha);
    fs::write(&alpha.script, format!("start wait\n{SHY}")).unwrap();
    let before = alpha.count_starts();
    let mut two = home.beside_with("two", ASKS);
    let list = two.request("tools/list", "{}");
    alpha.starts();
    (before, two, list)
}

#[test]
fn one_that_takes_its_time_holds_up_only_the_lists_of_whom_it_is_started_for() {
    let home = Home::new();
    let mut alpha = home.server("alpha", SHY);
    let _beta = home.server("beta", "call well: text well");
    let (before, mut two, list) = starts_slowly_for_another(&home, &mut alpha);
    // Another one like it waits with it, and one of another kind does not.
    let mut like_two = home.beside_with("two", ASKS);
    let like_list = like_two.request("tools/list", "{}");
    let mut three = home.beside_with("three", NONE);
    assert_eq!(first_list(&mut three), [true, false]);
    calls(&mut three, "beta__well", "well");
    alpha.order_to(before, "go");
    assert!(two.result(list).contains("alpha__more"));
    assert!(like_two.result(like_list).contains("alpha__more"));
}

#[test]
fn nothing_is_taken_from_an_agent_that_is_here_by_one_of_another_kind() {
    let home = Home::new();
    let mut alpha = home.server("alpha", SHY);
    let mut one = home.beside_with("one", ASKS);
    assert_eq!(first_list(&mut one), [true, true]);
    let before = alpha.count_starts();
    let mut two = home.beside_with("two", NONE);
    assert_eq!(first_list(&mut two), [true, true]);
    assert_eq!(alpha.count_starts(), before);
    calls(&mut one, "alpha__more", "and more");
}

#[test]
fn a_call_does_not_wait_for_an_instance_that_is_started_for_another_kind_of_agent() {
    let home = Home::new();
    let mut alpha = home.server("alpha", SHY);
    let (before, mut two, list) = starts_slowly_for_another(&home, &mut alpha);
    fs::write(&alpha.script, SHY).unwrap();
    let mut three = home.beside_with("three", NONE);
    calls(&mut three, "alpha__hi", "hello");
    // Its own is the one more that was started.
    alpha.order_to(before, "go");
    assert!(two.result(list).contains("alpha__more"));
    calls(&mut two, "alpha__more", "and more");
    assert_eq!(alpha.count_starts(), before + 2);
}

#[test]
fn agents_of_two_kinds_that_come_and_go_are_answered_at_once() {
    let home = Home::new();
    let mut alpha = home.server("alpha", SHY);
    alone(&home, &mut alpha);
    let before = alpha.count_starts();
    for nth in 0..24 {
        let can = [ASKS, NONE][nth % 2];
        let mut agent = home.beside_with("two", can);
        assert!(first_list(&mut agent)[0]);
        leaves(agent);
    }
    let starts = alpha.count_starts() - before;
    assert!((1..=12).contains(&starts), "{starts}");
}
