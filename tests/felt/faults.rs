//! Whatever a tool server does, its call ends with the reason, and nobody else
//! notices: every test here has a healthy server beside the broken one.

use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::agent::{Agent, ends};
use crate::support::home::Home;
use crate::support::raw::{dig, elements, member, quote};
use crate::support::server::Server;

const MIB: usize = 1024 * 1024;

/// Memory of the broker, in MiB, whatever is thrown at it.
const LIMIT: usize = 120;

/// A broken server, a healthy one, and an agent that sees both.
struct Pair {
    home: Home,
    broken: Server,
    _healthy: Server,
    agent: Agent,
}

impl Pair {
    fn new(script: &str) -> Pair {
        Pair::with(script, "")
    }

    fn with(script: &str, settings: &str) -> Pair {
        let home = Home::new();
        let broken = home.server_with("broken", script, settings);
        let healthy = home.server("healthy", "call hi: text hello");
        let mut agent = home.legacy();
        agent.until_listed(&["broken__bad", "healthy__hi"]);
        Pair {
            home,
            broken,
            _healthy: healthy,
            agent,
        }
    }

    /// Calls the broken tool, and the healthy one while that runs.
    fn call(&mut self) -> u64 {
        let bad = self.agent.call("broken__bad", "{}");
        self.is_well();
        bad
    }

    /// Calls the broken tool and waits for the reason of its failure.
    fn fails(&mut self) -> String {
        let bad = self.call();
        let why = self.agent.failure(bad);
        self.is_well();
        why
    }

    fn is_well(&mut self) {
        let id = self.agent.call("healthy__hi", "{}");
        assert_eq!(self.agent.text(id), "hello");
    }

    /// The last record of how a call ended.
    fn last_outcome(&self) -> String {
        let records = fs::read_to_string(self.home.at("state/journal/000001.jsonl")).unwrap();
        let mut records = records.lines().rev();
        let outcome = records.find(|line| line.contains(r#""kind":"call.outcome""#));
        outcome.unwrap().to_owned()
    }

    fn lists_the_broken_tool(&mut self) -> bool {
        lists(&mut self.agent, "broken__bad")
    }
}

fn lists(agent: &mut Agent, tool: &str) -> bool {
    let id = agent.request("tools/list", "{}");
    let tools = elements(&member(&agent.result(id), "tools").unwrap());
    tools
        .iter()
        .any(|found| member(found, "name").unwrap() == quote(tool))
}

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
        "timeout = \"300ms\"",
    );
    let why = pair.fails();
    assert!(why.contains("0.3"), "{why}");
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
        "timeout = \"300ms\"\ntotal_timeout = \"500ms\"",
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
    assert!(why.contains("0.5"), "{why}");
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
fn an_answer_that_is_no_object_is_an_answer_all_the_same() {
    let mut pair = Pair::new("call bad: result 7\ncall null: result null\ncall list: result []");
    for tool in ["broken__bad", "broken__null", "broken__list"] {
        let id = pair.agent.call(tool, "{}");
        pair.agent.answer(id);
    }
    pair.is_well();
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
        let mut pair = Pair::new(&format!(
            "probe error {{\"code\":{code},\"message\":\"no\"}}\ncall bad: text fine"
        ));
        let bad = pair.call();
        assert_eq!(pair.agent.text(bad), "fine", "{code}");
        pair.broken.gets("initialize");
        pair.broken.gets("notifications/initialized");
    }
}

#[test]
fn a_server_that_exits_at_the_probe_is_started_again_and_met_in_the_old_way() {
    let mut pair = Pair::new("probe exit 1\ncall bad: text fine");
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
fn a_modern_server_of_another_version_is_not_mistaken_for_an_old_one() {
    let home = Home::new();
    let mut broken = home.server(
        "broken",
        "probe error {\"code\":-32022,\"message\":\"no\",\"data\":{\"supported\":[\"2099-01-01\"]}}\ncall bad: text fine",
    );
    let _healthy = home.server("healthy", "call hi: text hello");
    let mut agent = home.legacy();
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
    let mut agent = home.legacy();
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
fn an_agent_that_does_not_read_its_results_fills_no_memory() {
    let mut pair = Pair::new(&format!("call bad: fill {MIB}"));
    let calls: Vec<u64> = (0..200)
        .map(|_| pair.agent.call("broken__bad", "{}"))
        .collect();
    let mut most = 0;
    while !pair.broken.is_quiet(Duration::from_millis(300)) {
        most = most.max(pair.agent.resident());
    }
    let mut answered = BTreeSet::new();
    for _ in &calls {
        let answer = pair.agent.line();
        assert!(answer.len() > MIB, "{answer}");
        // The id comes first; the rest takes long to parse.
        let id = answer
            .split([',', '}'])
            .find_map(|part| part.strip_prefix("\"id\":"));
        answered.insert(id.unwrap().to_owned());
        most = most.max(pair.agent.resident());
    }
    assert_eq!(answered, calls.iter().map(u64::to_string).collect());
    assert!(most < LIMIT, "{most} MiB");
    pair.is_well();
}

#[test]
fn an_agent_that_has_too_much_open_is_read_again_when_a_call_ends() {
    let mut pair = Pair::new("call bad: wait\ntext done");
    let arguments = format!(r#"{{"x":"{}"}}"#, "x".repeat(13 * MIB));
    let calls = [(); 5].map(|()| pair.agent.call("broken__bad", &arguments));
    // Four are as much as may be open; the fifth holds up what is behind it.
    let ping = pair.agent.request("ping", "{}");
    for _ in 0..4 {
        pair.broken.gets("tools/call");
    }
    while !pair.broken.is_quiet(Duration::from_millis(300)) {}
    assert_eq!(pair.broken.count("tools/call"), 4);
    assert!(!pair.agent.hear(Duration::ZERO), "{:?}", pair.agent.line());
    pair.broken.order("go");
    pair.broken.gets("tools/call");
    pair.agent.result(ping);
    for _ in 0..4 {
        pair.broken.order("go");
    }
    for call in calls {
        assert_eq!(pair.agent.text(call), "done");
    }
    pair.is_well();
}

#[test]
fn an_agent_that_sends_everything_before_it_reads_is_answered() {
    // A list is larger than what may wait for an agent that does not read.
    let long = "x".repeat(5 * MIB);
    let mut pair = Pair::new(&format!(
        r#"call bad: text done
        prompt {{"name":"long","description":"{long}"}}"#
    ));
    let params = format!(r#"{{"x":"{}"}}"#, "x".repeat(13 * MIB));
    // Who waits for us while we wait for it would do so for ever.
    let broker = Pid::from_raw(pair.agent.pid()).unwrap();
    let (sent, all) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        if all.recv_timeout(Duration::from_secs(60)).is_err() {
            kill_process(broker, Signal::KILL).unwrap();
        }
    });
    let lists = [(); 8].map(|()| pair.agent.request("prompts/list", &params));
    sent.send(()).unwrap();
    guard.join().unwrap();
    for list in lists {
        assert!(pair.agent.answer(list).len() > long.len());
    }
}

#[test]
fn a_list_that_is_too_long_is_not_taken_and_holds_nobody_up() {
    let tools: Vec<String> = (0..20_001)
        .map(|n| format!(r#"{{"name":"t{n}","inputSchema":{{"type":"object"}}}}"#))
        .collect();
    let home = Home::new();
    let _broken = home.server(
        "broken",
        &format!(r#"on tools/list: result {{"tools":[{}]}}"#, tools.join(",")),
    );
    let _healthy = home.server("healthy", "call hi: text hello");
    let mut agent = home.legacy();
    agent.until_listed(&["healthy__hi"]);
    assert!(!lists(&mut agent, "broken__t0"));
}

#[test]
fn a_storm_of_list_changes_is_one_change() {
    let mut pair = Pair::new(
        r#"
        call bad: storm 100000 {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}
        text fine
        "#,
    );
    let before = pair.broken.count("tools/list");
    let bad = pair.call();
    assert_eq!(pair.agent.text(bad), "fine");
    pair.is_well();
    assert!(pair.agent.resident() < LIMIT);
    let listed = pair.broken.count("tools/list") - before;
    assert!(listed < 10, "listed {listed} times");
    assert!(pair.agent.list_news() < 10, "{}", pair.agent.list_news());
}

#[test]
fn a_storm_of_progress_and_log_messages_fills_no_memory() {
    // Of each kind alone more than the broker may use in all.
    let long = "still busy ".repeat(1_000);
    let mut pair = Pair::new(&format!(
        r#"
        call bad: storm 15000 {{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":$token,"progress":1,"message":"{long}"}}}}
        storm 15000 {{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"error","data":"{long}"}}}}
        line {{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}}
        text fine
        "#
    ));
    let lists = pair.broken.count("tools/list");
    let id = pair.agent.request(
        "tools/call",
        r#"{"name":"broken__bad","_meta":{"progressToken":1}}"#,
    );
    pair.broken.gets("tools/call");
    // The agent does not read; the broker must come through to the end.
    while pair.broken.count("tools/list") == lists {
        assert!(
            pair.agent.resident() < LIMIT,
            "{} MiB",
            pair.agent.resident()
        );
        pair.broken.is_quiet(Duration::from_millis(20));
    }
    assert!(
        pair.agent.resident() < LIMIT,
        "{} MiB",
        pair.agent.resident()
    );
    assert_eq!(pair.agent.text(id), "fine");
    pair.is_well();
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
    let family = family(pair.broken.starts());
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
    let family = family(pair.broken.starts());
    assert!(family.len() >= 3, "{family:?}");
    pair.agent.call("broken__bad", "{}");
    pair.broken.gets("tools/call");
    pair.agent.kill();
    for pid in family {
        assert!(ends(pid), "{pid} survived");
    }
}

#[test]
fn a_server_that_is_killed_from_outside_is_a_server_that_exits() {
    let mut pair = Pair::new("call bad: wait\ncall good: text fine");
    let server = pair.broken.starts();
    let bad = pair.call();
    pair.broken.gets("tools/call");
    kill_process(Pid::from_raw(server).unwrap(), Signal::KILL).unwrap();
    let why = pair.agent.failure(bad);
    assert!(why.contains("SIGKILL"), "{why}");
    pair.is_well();
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

#[test]
fn a_server_cannot_stop_its_own_clock_by_cancelling_its_question() {
    let home = Home::new();
    let script = r#"era legacy
call ask: line {"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}
wait
line {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}
silence"#;
    let mut alpha = home.server_with("alpha", script, "timeout = \"300ms\"");
    let mut agent = home.legacy_with(r#"{"elicitation":{}}"#);
    agent.until_listed(&["alpha__ask"]);
    let id = agent.call("alpha__ask", "{}");
    // The user has been asked, so the clock stands; then the question is gone.
    agent.request_from_server();
    alpha.order("go");
    let why = agent.failure(id);
    assert!(why.contains("0.3"), "{why}");
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
