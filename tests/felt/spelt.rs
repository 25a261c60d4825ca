//! Some clients do not look at the case of a key (Go's JSON): what a tool server writes
//! under another spelling of a key reaches nobody as what we wrote or looked at.

use crate::support::home::Home;
use crate::support::pair::{ASK, Era, FORM, each_pair};
use crate::support::raw::{dig, member};

/// A question that nobody has labelled.
const POSING: &str = r#"{"message":"tollgate asks","requestedSchema":{"type":"object"}}"#;

#[test]
fn a_question_with_a_text_in_another_spelling_is_not_put() {
    for other in [
        r#""Message":"tollgate asks""#,
        r#""me\u0053sage":"tollgate asks""#,
        r#""me\u017fsage":"tollgate asks""#,
        r#""Mode":"tollgate asks""#,
    ] {
        let form = FORM.replacen('{', &format!("{{{other},"), 1);
        let script = format!("call ask: ask elicitation/create {form}\nanswers");
        each_pair(&script, |pair| {
            let id = pair.agent.request("tools/call", ASK);
            let answer = pair.agent.answer(id);
            assert!(!answer.contains("tollgate asks"), "{answer}");
            match pair.served {
                Era::Legacy => assert!(answer.contains("-32602"), "{answer}"),
                Era::Modern => assert_eq!(dig(&answer, "result.isError").unwrap(), "true"),
            }
            assert_eq!(pair.agent.others(), [""; 0]);
            pair.is_well();
        });
    }
}

#[test]
fn a_result_that_asks_in_another_spelling_asks_nobody() {
    let request =
        |params: &str| format!(r#"{{"q":{{"method":"elicitation/create","params":{params}}}}}"#);
    let (asked, posing) = (request(FORM), request(POSING));
    let asks = format!(r#""resultType":"input_required","inputRequests":{asked}"#);
    for result in [
        format!(r#"{{{asks},"InputRequests":{posing}}}"#),
        format!(r#"{{{asks},"requestState":"x","RequestState":"tollgate asks"}}"#),
        format!(r#"{{{asks},"ResultType":"tollgate asks"}}"#),
        format!(
            r#"{{"resultType":"input_required","inputRequests":{{"q":{{"method":"elicitation/create","params":{FORM},"Params":{POSING}}}}}}}"#
        ),
        format!(
            r#"{{"resultType":"input_required","inputRequests":{{"q":{{"method":"roots/list","Method":"elicitation/create","params":{POSING}}}}}}}"#
        ),
    ] {
        for connect in [Home::modern, Home::legacy] {
            let home = Home::new();
            let script = format!("era modern\ncall ask: result {result}");
            let _alpha = home.server("alpha", &script);
            let mut agent = connect(&home);
            agent.until_listed(&["alpha__ask"]);
            let id = agent.call("alpha__ask", "{}");
            let why = agent.failure(id);
            assert!(why.contains("spelt otherwise"), "{why}");
            assert_eq!(agent.others(), [""; 0]);
        }
    }
}

#[test]
fn a_result_is_complete_however_it_says_that_it_asks() {
    let posing = format!(
        r#""inputRequests":{{"q":{{"method":"elicitation/create","params":{POSING}}}}},"INPUTREQUESTS":{{}},"requestState":"x","requeststate":"y""#
    );
    for era in ["legacy", "modern"] {
        let home = Home::new();
        let _alpha = home.server(
            "alpha",
            &format!(
                r#"era {era}
                call ask: result {{"content":[],"ResultType":"input_required",{posing},"kept":1}}"#
            ),
        );
        let mut agent = home.modern();
        agent.until_listed(&["alpha__ask"]);
        let id = agent.call("alpha__ask", "{}");
        let result = agent.result(id);
        assert!(!result.contains("tollgate asks"), "{result}");
        assert!(!result.contains("input_required"), "{result}");
        assert!(!result.to_lowercase().contains("requeststate"), "{result}");
        assert_eq!(member(&result, "kept").as_deref(), Some("1"));
    }
}

#[test]
fn progress_and_errors_pass_without_other_spellings_of_what_is_ours() {
    let home = Home::new();
    let script = r#"call bad: line {"jsonrpc":"2.0","method":"notifications/progress","params":{"ProgressToken":"forged","progressToken":$token,"progress":1,"PROGRESSTOKEN":"forged"}}
        error {"code":-32000,"message":"m","Code":4030,"kept":1}"#;
    let _alpha = home.server("alpha", script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__bad"]);
    let id = agent.request(
        "tools/call",
        r#"{"name":"alpha__bad","_meta":{"progressToken":"mine"}}"#,
    );
    let progress = agent.gets("notifications/progress");
    assert_eq!(
        member(&progress, "params").as_deref(),
        Some(r#"{"progressToken":"mine","progress":1}"#)
    );
    let answer = agent.answer(id);
    assert!(!answer.contains("4030"), "{answer}");
    assert_eq!(dig(&answer, "error.kept").as_deref(), Some("1"));
}

#[test]
fn a_definition_passes_without_other_spellings_of_what_is_ours() {
    let home = Home::new();
    let script = r#"tool {"name":"x","Name":"forged","inputSchema":{"type":"object"},"Description":"forged","annotations":{"ReadOnlyHint":"forged","title":"kept"},"ANNOTATIONS":{"title":"forged"},"_Meta":{"dev.tollgate/risk":"forged"},"kept":1}
        call x: text hello
        prompt {"name":"p","NAME":"forged","kept":1}"#;
    let _alpha = home.server("alpha", script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__x"]);
    for method in ["tools/list", "prompts/list"] {
        let id = agent.request(method, "{}");
        let list = agent.result(id);
        assert!(!list.contains("forged"), "{list}");
        assert!(list.contains(r#""kept":1"#), "{list}");
    }
}
