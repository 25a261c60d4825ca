//! What tool servers ask the users of agents is recorded; what they ask a client's model
//! counts, and can be turned off.

use crate::limited;
use crate::support::pair::{ASK, Era, FORM, Pair, each_pair};
use crate::support::raw::dig;
use serde_json::Value;

const SAMPLING: &str = r#"sampling/createMessage {"messages":[{"role":"user","content":{"type":"text","text":"hi"}}],"maxTokens":5}"#;
const SAID: &str = r#"{"role":"assistant","content":{"type":"text","text":"yes"},"model":"m"}"#;
const EVERYTHING: &str = r#"{"elicitation":{"form":{}},"sampling":{},"roots":{}}"#;

fn kinds(records: &[Value]) -> Vec<&str> {
    let kinds = records
        .iter()
        .map(|record| record["kind"].as_str().unwrap());
    // That a tool is used for the first time is another matter.
    kinds.filter(|kind| *kind != "notice").collect()
}

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
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
                    ["call.intent", "call.outcome", "call.intent", "call.outcome"]
                );
                let outcome = of_kind(&records, "call.outcome")[0];
                assert!(
                    outcome["result"].to_string().contains("Your name?"),
                    "{outcome}"
                );
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
                    // The first is of the instance that is listed.
                    pair.alpha.gets("initialize");
                    let told = pair.alpha.gets("initialize");
                    let told = dig(&told, "params.capabilities").unwrap();
                    assert!(
                        told.contains("elicitation") && !told.contains("sampling"),
                        "{told}"
                    );
                    match speaks {
                        Era::Legacy => assert!(answer.contains("-32601"), "{answer}"),
                        // What this era declares comes with each call.
                        Era::Modern => assert!(answer.contains("is turned off"), "{answer}"),
                    }
                }
                Era::Modern => assert!(answer.contains("it asks with"), "{answer}"),
            }
            assert_eq!(pair.agent.others(), [""; 0]);
            pair.is_well();
        }
    }
}
