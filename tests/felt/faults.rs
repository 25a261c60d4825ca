//! Whatever a tool server does, its call ends with the reason, and nobody else
//! notices: every test here has a healthy server beside the broken one.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::pair::{LIMIT, MIB, Pair, lists};
use crate::support::home::Home;
use crate::support::raw::{dig, member};

#[test]
fn a_server_that_exits_during_a_call_fails_it_with_its_status() {
    let mut pair = Pair::new("call bad: exit 3");
    let why = pair.fails();
    assert!(why.contains("broken") && why.contains('3'), "{why}");
    assert!(pair.lists_the_broken_tool());
}

#[test]
fn a_call_that_may_have_changed_something_is_not_made_again_without_a_look() {
    let script = "call bad: exit 3";
    assert!(!Pair::new(script).fails().contains("may have acted"));
    let why = Pair::with(script, "[tools]\nbad = \"reversible\"").fails();
    assert!(
        why.ends_with("It may have acted: look before you call again."),
        "{why}"
    );
}

#[test]
fn a_server_that_closes_its_output_fails_its_call_and_is_told_so() {
    let mut pair = Pair::new("call bad: mute\nsilence");
    let why = pair.fails();
    assert!(why.contains("closed its output"), "{why}");
}

#[test]
fn a_server_that_exits_fails_all_its_calls_and_only_those() {
    let mut pair = Pair::new("call bad: exit 3\ncall other: wait");
    let others = [(); 5].map(|()| pair.agent.call("broken__other", "{}"));
    for _ in others {
        pair.broken.gets("tools/call");
    }
    pair.fails();
    for other in others {
        pair.agent.failure(other);
    }
}

#[test]
fn a_silent_server_fails_its_call_at_the_deadline_and_is_told() {
    let mut pair = Pair::with(
        "call bad: silence\ncall good: text fine",
        "timeout = \"2s\"",
    );
    let why = pair.fails();
    assert!(why.contains("2 s"), "{why}");
    let call = pair.broken.gets("tools/call");
    let cancel = pair.broken.gets("notifications/cancelled");
    assert_eq!(dig(&cancel, "params.requestId"), member(&call, "id"));
    // It was slow once; it is still there.
    let id = pair.agent.call("broken__good", "{}");
    assert_eq!(pair.agent.text(id), "fine");
}

#[test]
fn a_server_that_is_busy_for_ever_fails_its_call_at_the_total_deadline() {
    let mut pair = Pair::with(
        "call bad: silence",
        "timeout = \"2s\"\ntotal_timeout = \"3s\"",
    );
    let id = pair.agent.request(
        "tools/call",
        r#"{"name":"broken__bad","_meta":{"progressToken":1}}"#,
    );
    let call = pair.broken.gets("tools/call");
    let token = dig(&call, "params._meta.progressToken").unwrap();
    // Signs of life, until the call has been given up.
    let mut nth = 0;
    while pair.broken.count("notifications/cancelled") == 0 {
        nth += 1;
        pair.broken.order(&format!(
            r#"say {{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{nth}}}}}"#
        ));
        pair.agent.hear(Duration::from_millis(20));
    }
    let why = pair.agent.failure(id);
    assert!(why.contains("within 3 s"), "{why}");
    pair.is_well();
}

#[test]
fn an_answer_after_the_deadline_is_nobodys_answer() {
    let mut pair = Pair::with("call bad: wait\ntext late", "timeout = \"300ms\"");
    let bad = pair.call();
    pair.agent.failure(bad);
    pair.broken.order("go");
    pair.is_well();
    assert_eq!(pair.agent.others(), [""; 0]);
}

#[test]
fn garbage_between_messages_is_ignored() {
    let mut pair = Pair::new(
        r#"
        call bad: line this is no JSON
        line [1,2]
        line 7
        line {"jsonrpc":"2.0"}
        line {"jsonrpc":"2.0","id":{},"result":{}}
        line {"jsonrpc":"2.0","method":"notifications/of/the/future","params":[]}
        text fine
        "#,
    );
    let bad = pair.call();
    assert_eq!(pair.agent.text(bad), "fine");
}

#[test]
fn a_server_that_says_only_what_nobody_can_read_is_ended_and_told_so() {
    let mut pair = Pair::new("call bad: storm 20000 {}\nsilence");
    let why = pair.fails();
    assert!(why.contains("10000 lines in a row"), "{why}");
}

#[test]
fn an_answer_that_is_not_json_fails_its_call_at_once() {
    let mut pair = Pair::with(
        concat!(
            r#"call bad: line {"jsonrpc":"2.0","method":"x","params":NaN,"id":$id}"#,
            "\n",
            r#"line {"jsonrpc":"2.0","id":$id,"result":{"content":[],"x":NaN}}"#,
            "\nsilence"
        ),
        "timeout = \"10m\"",
    );
    let why = pair.fails();
    assert!(why.contains("what is not JSON"), "{why}");
}

#[test]
fn a_result_together_with_an_error_fails_the_call() {
    let mut pair = Pair::new(
        r#"call bad: line {"jsonrpc":"2.0","id":$id,"result":{},"error":{"code":1,"message":"x"}}"#,
    );
    let why = pair.fails();
    assert!(why.contains("both"), "{why}");
}

#[test]
fn an_answer_without_result_and_error_fails_the_call() {
    let mut pair = Pair::new(r#"call bad: line {"jsonrpc":"2.0","id":$id}"#);
    pair.fails();
}

#[test]
fn an_answer_that_is_no_object_fails_the_call() {
    for era in ["legacy", "modern"] {
        let mut pair = Pair::new(&format!(
            "era {era}\ncall bad: result 7\ncall null: result null\ncall list: result []"
        ));
        for tool in ["broken__bad", "broken__null", "broken__list"] {
            let id = pair.agent.call(tool, "{}");
            let why = pair.agent.failure(id);
            assert!(why.contains("not an object"), "{why}");
        }
        pair.is_well();
    }
}

#[test]
fn a_line_that_is_too_long_fails_its_call_and_is_not_kept() {
    let mut pair = Pair::new(&format!("call bad: fill {}", 70 * MIB));
    let why = pair.fails();
    assert!(why.contains("more than"), "{why}");
    assert!(
        pair.agent.resident() < LIMIT,
        "{} MiB",
        pair.agent.resident()
    );
}

#[test]
fn the_first_of_two_answers_counts_and_strangers_do_not() {
    let mut pair = Pair::new(
        r#"
        call bad: line {"jsonrpc":"2.0","id":4294967295,"result":{"content":[]}}
        line {"jsonrpc":"2.0","id":"x$id","error":{"code":1,"message":"a stranger"}}
        line {"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"one"}]}}
        line {"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"two"}]}}
        "#,
    );
    for _ in 0..3 {
        let bad = pair.call();
        assert_eq!(pair.agent.text(bad), "one");
    }
    assert_eq!(pair.agent.others(), [""; 0]);
}

#[test]
fn a_server_that_answers_the_probe_with_an_error_is_met_in_the_old_way() {
    for code in [-32601, -32602, -32000] {
        let mut pair = Pair::modern(&format!(
            "probe error {{\"code\":{code},\"message\":\"no\"}}\ncall bad: text fine"
        ));
        let bad = pair.call();
        assert_eq!(pair.agent.text(bad), "fine", "{code}");
        pair.broken.gets("server/discover");
        pair.broken.gets("initialize");
        pair.broken.gets("notifications/initialized");
    }
}

#[test]
fn a_server_that_exits_at_the_probe_is_started_again_and_met_in_the_old_way() {
    let mut pair = Pair::modern("probe exit 1\ncall bad: text fine");
    let bad = pair.call();
    assert_eq!(pair.agent.text(bad), "fine");
    assert_eq!(pair.broken.count("server/discover"), 1);
}

#[test]
fn a_server_whose_era_has_changed_is_met_again_though_it_falls_over_the_old_one() {
    let modern = "era modern\non initialize: exit 5\ncall bad: text fine";
    let legacy = "era legacy\nprobe exit 3\ncall bad: text fine";
    for (before, after) in [(modern, legacy), (legacy, modern)] {
        let home = Home::new();
        let mut broken = home.server("broken", before);
        let mut agent = home.legacy();
        let bad = agent.call("broken__bad", "{}");
        assert_eq!(agent.text(bad), "fine");
        drop(agent);
        broken.ends();
        fs::write(&broken.script, after).unwrap();
        let mut agent = home.legacy();
        let bad = agent.call("broken__bad", "{}");
        assert_eq!(agent.text(bad), "fine");
    }
}

#[test]
fn a_server_that_cannot_be_listed_is_left_alone_for_longer_each_time_and_told_of() {
    let home = Home::new();
    let error = r#"{"code":-32603,"message":"list broken"}"#;
    let script = format!("on tools/list: error {error}\ncall bad: text fine");
    let mut broken = home.server("broken", &script);
    let mut agent = home.beside("test");
    broken.starts();
    broken.starts();
    let told = || {
        let told = home
            .tollgate()
            .args(["servers", "broken"])
            .output()
            .unwrap();
        String::from_utf8(told.stdout).unwrap()
    };
    let mut looks = (0..1000).map(|_| told());
    let told = looks.find(|told| told.contains("next try in")).unwrap();
    assert!(told.contains("could not be listed"), "{told}");
    assert!(told.contains("list broken"), "{told}");
    agent.request("tools/list", "{}");
}

#[test]
fn what_is_no_list_is_told_and_not_taken_for_an_empty_one() {
    for answer in ["null", "\"none\"", "{}"] {
        let home = Home::new();
        let mut broken = home.server("broken", "call bad: text fine");
        let mut agent = home.beside("test");
        let bad = agent.call("broken__bad", "{}");
        assert_eq!(agent.text(bad), "fine");
        let script = format!("on tools/list: result {{\"tools\":{answer}}}\ncall bad: text fine");
        fs::write(&broken.script, script).unwrap();
        broken.order("exit 0");
        broken.ends();
        let mut looks = (0..1000).map(|_| {
            let told = home.tollgate().args(["servers", "broken"]).output();
            String::from_utf8(told.unwrap().stdout).unwrap()
        });
        let told = looks.find(|told| told.contains("could not be listed"));
        let why = "`tools` in its answer to `tools/list` is not a list";
        assert!(told.unwrap().contains(why));
        assert!(lists(&mut agent, "broken__bad"));
    }
}

#[test]
fn a_modern_server_of_another_version_is_not_mistaken_for_an_old_one() {
    let home = Home::new();
    let mut broken = home.server(
        "broken",
        "probe error {\"code\":-32022,\"message\":\"no\",\"data\":{\"supported\":[\"2099-01-01\"]}}\ncall bad: text fine",
    );
    let _healthy = home.server("healthy", "call hi: text hello");
    let mut agent = home.modern();
    agent.until_listed(&["healthy__hi"]);
    broken.gets("server/discover");
    broken.ends();
    assert_eq!(broken.count("initialize"), 0);
    assert!(!lists(&mut agent, "broken__bad"));
}

#[test]
fn a_server_that_starts_slowly_is_listed_from_memory_and_holds_nobody_up() {
    let Pair {
        home,
        mut broken,
        agent,
        ..
    } = Pair::new("call bad: text fine");
    broken.latest();
    drop(agent);
    fs::write(&broken.script, "start wait\ncall bad: text fine").unwrap();
    broken.ends();
    let mut agent = home.legacy();
    broken.starts();
    assert!(lists(&mut agent, "broken__bad"));
    let slow = agent.call("broken__bad", "{}");
    let id = agent.call("healthy__hi", "{}");
    assert_eq!(agent.text(id), "hello");
    broken.order("go");
    assert_eq!(agent.text(slow), "fine");
}

#[test]
fn a_server_that_is_silent_at_the_probe_is_met_in_the_old_way_and_one_that_starts_slowly_is_not() {
    let home = Home::new();
    // The patience of the probe runs out for both, at the same time: it is long.
    let mut silent = home.server("silent", "probe silence\ncall old: text fine");
    // When it has, a second line comes.
    let mut slow = home.server("slow", "era modern\nstart lines 2\ncall late: text fine");
    let _healthy = home.server("healthy", "call hi: text hello");
    let mut agent = home.modern();
    agent.until_listed(&["silent__old", "slow__late", "healthy__hi"]);
    for tool in ["silent__old", "slow__late"] {
        let id = agent.call(tool, "{}");
        let well = agent.call("healthy__hi", "{}");
        assert_eq!(agent.text(well), "hello");
        assert_eq!(agent.text(id), "fine");
    }
    assert_eq!(silent.count("server/discover"), 1);
    assert_eq!(slow.count_starts(), 1);
}

#[test]
fn a_server_that_floods_stderr_works() {
    let mut pair = Pair::new("start stderr 3000000\ncall bad: text fine");
    let bad = pair.call();
    assert_eq!(pair.agent.text(bad), "fine");
}

#[test]
fn a_dead_server_stays_listed_and_comes_back() {
    let mut pair = Pair::new("call bad: text fine");
    let bad = pair.call();
    assert_eq!(pair.agent.text(bad), "fine");
    pair.broken.order("exit 9");
    pair.broken.ends();
    assert!(pair.lists_the_broken_tool());
    let mut id = pair.agent.call("broken__bad", "{}");
    // It may be found dead, and says so, until it is back.
    while dig(&pair.agent.peek(id), "result.isError").as_deref() == Some("true") {
        pair.agent.result(id);
        pair.broken.starts();
        id = pair.agent.call("broken__bad", "{}");
    }
    assert_eq!(pair.agent.text(id), "fine");
    pair.is_well();
}

#[test]
fn the_last_words_of_a_server_outlive_its_restart() {
    let home = Home::new();
    let script = "start stderr 20\ncall bad: exit 9\ncall fine: text fine";
    let mut broken = home.server("broken", script);
    let mut agent = home.beside("test");
    let bad = agent.call("broken__bad", "{}");
    agent.failure(bad);
    broken.starts();
    broken.starts();
    let mut id = agent.call("broken__fine", "{}");
    while dig(&agent.peek(id), "result.isError").as_deref() == Some("true") {
        agent.result(id);
        id = agent.call("broken__fine", "{}");
    }
    let told = home
        .tollgate()
        .args(["servers", "broken"])
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let words = "x".repeat(20);
    assert!(
        told.contains(&format!("the one that ended:\n  | {words}")),
        "{told}"
    );
    assert!(
        told.contains(&format!("the end of its stderr:\n  | {words}")),
        "{told}"
    );
}

#[test]
fn a_server_that_does_not_come_back_stays_listed_and_says_why_when_called() {
    let mut pair = Pair::new("call bad: text fine");
    fs::write(&pair.broken.script, "start exit 9\ncall bad: text fine").unwrap();
    pair.broken.order("exit 0");
    pair.broken.ends();
    for _ in 0..3 {
        let why = pair.fails();
        assert!(why.contains("broken"), "{why}");
        assert!(pair.lists_the_broken_tool());
    }
    // Started again with growing pauses, not as fast as the machine can.
    let starts = pair.broken.count_starts();
    assert!(starts < 10, "{starts} starts");
}

#[test]
fn the_catalogue_outlives_the_broker() {
    let Pair {
        home,
        broken,
        agent,
        ..
    } = Pair::new("call bad: text fine");
    drop(agent);
    fs::write(&broken.script, "start exit 9").unwrap();
    let mut agent = home.legacy();
    assert!(lists(&mut agent, "broken__bad"));
    assert!(lists(&mut agent, "healthy__hi"));
    let id = agent.call("broken__bad", "{}");
    agent.failure(id);
}

#[test]
fn progress_comes_in_order_under_the_agents_token_and_never_after_the_result() {
    let mut pair = Pair::new(
        r#"
        call bad: progress 500
        text fine
        line {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$token,"progress":501}}
        "#,
    );
    let id = pair.agent.request(
        "tools/call",
        r#"{"name":"broken__bad","_meta":{"progressToken":"\u006dine"}}"#,
    );
    for nth in 1..=500 {
        let progress = pair.agent.line();
        let params = member(&progress, "params").unwrap();
        assert_eq!(
            params,
            format!(r#"{{"progressToken":"\u006dine","progress":{nth},"unknown":1e400}}"#)
        );
    }
    assert_eq!(pair.agent.text(id), "fine");
    pair.is_well();
    assert_eq!(pair.agent.others(), [""; 0]);
}

#[test]
fn two_calls_with_their_own_tokens_get_their_own_progress() {
    let mut pair = Pair::new("call bad: wait\nprogress 2\ntext fine");
    let ids = ["\"a\"", "1"].map(|token| {
        let params = format!(r#"{{"name":"broken__bad","_meta":{{"progressToken":{token}}}}}"#);
        pair.agent.request("tools/call", &params)
    });
    pair.broken.order("go");
    pair.broken.order("go");
    for id in ids {
        assert_eq!(pair.agent.text(id), "fine");
    }
    for token in ["\"a\"", "1"] {
        let own: Vec<_> = pair
            .agent
            .others()
            .iter()
            .filter(|line| dig(line, "params.progressToken").as_deref() == Some(token))
            .map(|line| dig(line, "params.progress").unwrap())
            .collect();
        assert_eq!(own, ["1", "2"], "{token}");
    }
}

#[test]
fn a_server_that_is_killed_from_outside_is_a_server_that_exits() {
    let mut pair = Pair::new("call bad: wait\ncall good: text fine");
    let server = pair.broken.latest();
    let bad = pair.call();
    pair.broken.gets("tools/call");
    kill_process(Pid::from_raw(server).unwrap(), Signal::KILL).unwrap();
    let why = pair.agent.failure(bad);
    assert!(why.contains("SIGKILL"), "{why}");
    pair.is_well();
}

#[test]
fn a_server_cannot_stop_its_own_clock_by_cancelling_its_question() {
    let home = Home::new();
    let script = r#"era legacy
call ask: line {"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}
wait
line {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}
silence"#;
    let mut alpha = home.server_with("alpha", script, "timeout = \"2s\"");
    let mut agent = home.legacy_with(r#"{"elicitation":{}}"#);
    agent.until_listed(&["alpha__ask"]);
    let id = agent.call("alpha__ask", "{}");
    // The user has been asked, so the clock stands; then the question is gone.
    agent.request_from_server();
    alpha.order("go");
    let why = agent.failure(id);
    assert!(why.contains("2 s"), "{why}");
}

#[test]
fn a_server_cannot_refuse_in_our_name() {
    let home = Home::new();
    let script = r#"prompt {"name":"p"}
on prompts/get p: error {"code":4030,"message":"STOPPED","data":{"dev.tollgate/refusal":{"code":"STOPPED"}}}
call hi: text hello"#;
    let _alpha = home.server("alpha", script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__hi"]);
    let id = agent.request("prompts/get", r#"{"name":"alpha__p"}"#);
    let answer = agent.answer(id);
    assert!(!answer.contains("dev.tollgate"), "{answer}");
    assert!(answer.contains("-32603"), "{answer}");
}
