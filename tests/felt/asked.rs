//! What tool servers ask the users of agents is recorded; what they ask a client's model
//! counts, and can be turned off.

use crate::limited;
use crate::support::home::Home;
use crate::support::pair::{ASK, Era, FORM, Pair, each_pair, each_pair_with};
use crate::support::raw::dig;
use crate::support::server::Server;
use serde_json::Value;
use std::time::Duration;

const SAMPLING: &str = r#"sampling/createMessage {"messages":[{"role":"user","content":{"type":"text","text":"hi"}}],"maxTokens":5}"#;
const SAID: &str = r#"{"role":"assistant","content":{"type":"text","text":"yes"},"model":"m"}"#;
pub(crate) const EVERYTHING: &str = r#"{"elicitation":{"form":{}},"sampling":{},"roots":{}}"#;

fn kinds(records: &[Value]) -> Vec<&str> {
    let kinds = records
        .iter()
        .map(|record| record["kind"].as_str().unwrap());
    // That a tool is used for the first time is another matter.
    kinds.filter(|kind| *kind != "notice").collect()
}

pub(crate) fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = records.iter().collect();
    found.retain(|record| record["kind"] == kind);
    found
}

#[test]
fn what_a_server_asks_and_what_it_is_told_is_recorded() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    let told = r#"{"action":"accept","content":{"name":"max","token":"ghp_0123456789abcdefghijABCDEFGHIJ012345"}}"#;
    each_pair(&script, |pair| {
        let id = pair.agent.request("tools/call", ASK);
        let question = pair.is_asked(id);
        let id = pair.answers(id, &question, ASK, told);
        assert_eq!(pair.agent.text(id), format!("[{told}]"));
        let records = pair.home.records();
        let answers = match (pair.speaks, pair.served) {
            // Each round is a call of its own.
            (Era::Modern, Era::Modern) => {
                assert_eq!(
                    kinds(&records),
                    [
                        "call.intent",
                        "question",
                        "call.outcome",
                        "call.intent",
                        "call.outcome"
                    ]
                );
                let question = of_kind(&records, "question")[0];
                assert_eq!(question["message"], "[alpha] Your name?");
                of_kind(&records, "call.intent")[1]["answers"].clone()
            }
            _ => {
                assert_eq!(
                    kinds(&records),
                    ["call.intent", "question", "answer", "call.outcome"]
                );
                let calls: Vec<&Value> = records.iter().map(|record| &record["call"]).collect();
                assert!(calls.iter().all(|call| *call == calls[0]), "{calls:?}");
                let question = of_kind(&records, "question")[0];
                assert_eq!(question["server"], "alpha");
                assert_eq!(question["method"], "elicitation/create");
                assert_eq!(question["asks"]["message"], "[alpha] Your name?");
                let answer = of_kind(&records, "answer")[0];
                assert_eq!(answer["answer"], "accept");
                assert!(answer["wait_ms"].is_number(), "{answer}");
                answer["result"].clone()
            }
        };
        let answers = answers.to_string();
        assert!(answers.contains("max"), "{answers}");
        assert!(
            !answers.contains("ghp_"),
            "a secret in the record: {answers}"
        );
    });
}

#[test]
fn asking_the_clients_model_counts_as_a_call_and_is_refused_when_none_is_left() {
    let budget =
        "[budget]\nrun = { calls = 3, steps = \"none\", time = \"none\", cost = \"none\" }";
    for era in ["legacy", "modern"] {
        let home = limited(budget);
        let asks = format!("ask {SAMPLING}\n").repeat(3);
        let script = format!("era {era}\ncall ask: {asks}answers");
        let _alpha = home.server("alpha", &script);
        let mut agent = home.legacy_with(EVERYTHING);
        agent.until_listed(&["alpha__ask"]);
        let id = agent.request("tools/call", ASK);
        for _ in 0..2 {
            let question = agent.request_from_server();
            assert!(question.contains("sampling/createMessage"), "{question}");
            agent.respond(&question, SAID);
        }
        let answer = agent.answer(id);
        let why = "asking the client's model counts as a call, and 3 of 3 are used (run.calls)";
        assert!(answer.contains(why), "{answer}");
        let records = home.records();
        let asked: Vec<&Value> = of_kind(&records, "question");
        let decisions: Vec<&Value> = asked.iter().map(|asked| &asked["decision"]).collect();
        assert_eq!(decisions, ["pass", "pass", "refuse"], "{era}");
        assert_eq!(asked[2]["code"], "BUDGET_RUN_CALLS");
        let outcome = of_kind(&records, "call.outcome")[0];
        assert_eq!(outcome["charged"]["calls"], 3, "{era}");
        assert_eq!(outcome["budget_left"]["calls"], 0);
        let again = agent.call("alpha__ask", "{}");
        assert!(agent.answer(again).contains("BUDGET_RUN_CALLS"));
    }
}

#[test]
fn in_the_stateless_era_what_is_asked_with_a_result_counts_as_well() {
    let budget =
        "[budget]\nrun = { calls = 1, steps = \"none\", time = \"none\", cost = \"none\" }";
    let home = limited(budget);
    let script = format!("era modern\ncall ask: ask {SAMPLING}\nanswers");
    let _alpha = home.server("alpha", &script);
    let mut agent = home.modern_with(EVERYTHING);
    agent.until_listed(&["alpha__ask"]);
    let id = agent.request("tools/call", ASK);
    let answer = agent.answer(id);
    assert!(answer.contains("1 of 1 are used (run.calls)"), "{answer}");
    assert!(!answer.contains("input_required"), "{answer}");
    let records = home.records();
    assert_eq!(of_kind(&records, "question")[0]["decision"], "refuse");
}

#[test]
fn of_questions_that_come_together_all_are_put_and_counted_or_none() {
    let budget =
        "[budget]\nrun = { calls = 3, steps = \"none\", time = \"none\", cost = \"none\" }";
    let (sampling, params) = SAMPLING.split_once(' ').unwrap();
    let model = format!(r#"{{"method":"{sampling}","params":{params}}}"#);
    let folders = r#"{"method":"roots/list"}"#;
    for (asks, why) in [
        (
            format!(r#""a":{model},"b":{model},"c":{folders}"#),
            r#"{"roots":{}}"#,
        ),
        (
            format!(r#""a":{model},"b":{model},"c":{model}"#),
            "1 of 3 are used (run.calls)",
        ),
    ] {
        let home = limited(budget);
        let result = format!(r#"{{"resultType":"input_required","inputRequests":{{{asks}}}}}"#);
        let script = format!("era modern\ncall ask: result {result}");
        let _alpha = home.server("alpha", &script);
        let mut agent = home.modern_with(r#"{"sampling":{}}"#);
        agent.until_listed(&["alpha__ask"]);
        let id = agent.request("tools/call", ASK);
        let answer = agent.answer(id);
        assert!(answer.contains(why), "{answer}");
        let records = home.records();
        let asked = of_kind(&records, "question");
        assert_eq!(asked.len(), 3);
        assert!(
            asked.iter().all(|asked| asked["decision"] == "refuse"),
            "{asked:?}"
        );
        let outcome = of_kind(&records, "call.outcome")[0];
        assert_eq!(outcome["charged"]["calls"], 1, "{outcome}");
    }
}

#[test]
fn who_asks_what_was_not_declared_while_the_agent_is_away_hears_so_at_once() {
    let home = limited("");
    let script = format!("era legacy\ncall ask: ask elicitation/create {FORM}\nanswers");
    let mut alpha = home.server("alpha", &script);
    let mut agent = home.modern_with(r#"{"elicitation":{}}"#);
    agent.until_listed(&["alpha__ask"]);
    let id = agent.request("tools/call", ASK);
    let asked = agent.result(id);
    alpha.gets("tools/call");
    let (method, params) = SAMPLING.split_once(' ').unwrap();
    alpha.order(&format!(
        r#"say {{"jsonrpc":"2.0","id":"late","method":"{method}","params":{params}}}"#
    ));
    assert!(alpha.is_answered("\"late\"").contains("-32601"));
    // What its user answers is not lost over it, and it is not put now, either.
    agent.speak_modern(EVERYTHING);
    let id = agent.request("tools/call", &answered(&asked));
    let answer = agent.answer(id);
    assert!(answer.contains("max"), "{answer}");
    let records = home.records();
    let asked = of_kind(&records, "question");
    let decided: Vec<_> = asked.iter().map(|asked| &asked["decision"]).collect();
    assert_eq!(decided, ["pass", "refuse"]);
}

/// Waits until the records are so.
pub(crate) fn until(home: &Home, alpha: &mut Server, are_so: impl Fn(&[Value]) -> bool) {
    for _ in 0..500 {
        if are_so(&home.records()) {
            return;
        }
        alpha.is_quiet(Duration::from_millis(20));
    }
    panic!("the records are {:#?}", home.records());
}

/// The call again, with an answer to its one question.
fn answered(asked: &str) -> String {
    let state = dig(asked, "requestState").unwrap();
    let told = r#"{"action":"accept","content":{"name":"max"}}"#;
    let body = ASK.strip_suffix('}').unwrap();
    format!(r#"{body},"inputResponses":{{"q1":{told}}},"requestState":{state}}}"#)
}

#[test]
fn what_was_judged_while_its_agent_was_away_is_not_put_when_it_comes_back() {
    let (method, params) = SAMPLING.split_once(' ').unwrap();
    let asks = format!(r#""a":{{"method":"{method}","params":{params}}}"#);
    let result = format!(r#"{{"resultType":"input_required","inputRequests":{{{asks}}}}}"#);
    let script = format!("era modern\ncall ask: wait\nresult {result}");
    for (declares, stops) in [(r#"{"elicitation":{}}"#, false), (EVERYTHING, true)] {
        let home = limited("");
        let mut alpha = home.server("alpha", &script);
        let mut agent = home.modern_with(declares);
        agent.until_listed(&["alpha__ask"]);
        let id = agent.request("tools/call", ASK);
        alpha.gets("tools/call");
        alpha.order(&format!(
            r#"say {{"jsonrpc":"2.0","id":"form","method":"elicitation/create","params":{FORM}}}"#
        ));
        let asked = agent.result(id);
        alpha.order("go");
        until(&home, &mut alpha, |records| {
            !of_kind(records, "call.outcome").is_empty()
        });
        if stops {
            let stop = home.tollgate().args(["stop", "--agent", "test"]).output();
            assert!(stop.unwrap().status.success());
        }
        agent.speak_modern(EVERYTHING);
        let id = agent.request("tools/call", &answered(&asked));
        let answer = agent.answer(id);
        assert!(!answer.contains("createMessage"), "{answer}");
        let why = match stops {
            true => "STOPPED",
            false => r#""requiredCapabilities":{"sampling":{}}"#,
        };
        assert!(answer.contains(why), "{answer}");
    }
}

#[test]
fn a_stateless_server_that_asks_without_end_breaks_the_protocol() {
    let asks = |n| format!("\"q{n}\":{{\"method\":\"roots/list\"}}");
    let asks = (0..101).map(asks).collect::<Vec<String>>().join(",");
    let result = format!(r#"{{"resultType":"input_required","inputRequests":{{{asks}}}}}"#);
    let script = format!("era modern\ncall ask: result {result}");
    for era in [Era::Legacy, Era::Modern] {
        let home = limited("");
        let _alpha = home.server("alpha", &script);
        let mut agent = match era {
            Era::Legacy => home.legacy_with(EVERYTHING),
            Era::Modern => home.modern_with(EVERYTHING),
        };
        agent.until_listed(&["alpha__ask"]);
        let id = agent.request("tools/call", ASK);
        if era == Era::Legacy {
            for _ in 0..100 {
                let question = agent.request_from_server();
                agent.respond(&question, r#"{"roots":[]}"#);
            }
        }
        let answer = agent.answer(id);
        let why = "broke the protocol: it asks more than 100 questions in one call";
        assert!(answer.contains(why), "{answer}");
    }
}

#[test]
fn a_server_that_may_not_ask_the_clients_model_is_told_so_and_asks_nobody() {
    let script = format!("call ask: ask {SAMPLING}\nanswers");
    for speaks in [Era::Legacy, Era::Modern] {
        for served in [Era::Legacy, Era::Modern] {
            println!("a {speaks:?} agent and a {served:?} server");
            let mut pair = Pair::with(speaks, served, EVERYTHING, &script, "sampling = false");
            let id = pair.agent.request("tools/call", ASK);
            let answer = pair.agent.answer(id);
            assert!(!answer.contains("input_required"), "{answer}");
            match served {
                Era::Legacy => {
                    // The first may have been met before its agent was.
                    let met = pair.alpha.count("initialize");
                    let told = (0..met).map(|_| pair.alpha.gets("initialize")).last();
                    let told = told.unwrap();
                    let told = dig(&told, "params.capabilities").unwrap();
                    assert!(
                        told.contains("elicitation") && !told.contains("sampling"),
                        "{told}"
                    );
                    assert!(answer.contains("-32601"), "{answer}");
                }
                Era::Modern => {}
            }
            assert!(answer.contains("which is turned off"), "{answer}");
            assert_eq!(pair.agent.others(), [""; 0]);
            pair.is_well();
        }
    }
}

#[test]
fn what_the_client_does_not_offer_is_recorded_and_counts_for_nobody() {
    let script = format!("call ask: ask {SAMPLING}\nanswers");
    each_pair_with(r#"{"roots":{}}"#, &script, |pair| {
        let id = pair.agent.request("tools/call", ASK);
        let answer = pair.agent.answer(id);
        match pair.speaks {
            Era::Legacy => {
                let why = "it asks with `sampling/createMessage`, which the agent's client does not offer";
                assert!(answer.contains(why), "{answer}");
            }
            // Of this era an agent hears what it would have to declare.
            Era::Modern => assert!(answer.contains(r#"{"sampling":{}}"#), "{answer}"),
        }
        let records = pair.home.records();
        let question = of_kind(&records, "question")[0];
        assert_eq!(question["decision"], "refuse", "{question}");
        assert!(question["charge"].is_null(), "{question}");
        let asked = records.iter().filter(|record| record["kind"] == "answer");
        assert_eq!(asked.count(), 0);
        pair.is_well();
    });
}
