//! A tool server may ask the agent's user something in the middle of a call,
//! whatever era either of them speaks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test ends where it fails, its helpers too"
)]

mod support;

use support::agent::{code, text_of};
use support::home::Home;
use support::pair::{ASK, Era, FORM, Pair, each_pair, each_pair_with};
use support::raw::{dig, elements, member, quote, unquote};

#[test]
fn a_question_passes_with_the_servers_name_and_its_answer_comes_back() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    each_pair(&script, |pair| {
        for answer in [
            r#"{"action":"accept","content":{"name":"x","n":1e400}}"#,
            r#"{"action":"decline"}"#,
            r#"{"action":"cancel"}"#,
        ] {
            let id = pair.agent.request("tools/call", ASK);
            let question = pair.is_asked(id);
            assert_eq!(question.method, "elicitation/create");
            assert_eq!(
                member(&question.params, "message").unwrap(),
                r#""[alpha] Your name?""#
            );
            assert_eq!(
                member(&question.params, "requestedSchema"),
                member(FORM, "requestedSchema")
            );
            let id = pair.answers(id, &question, ASK, answer);
            assert_eq!(pair.agent.text(id), format!("[{answer}]"));
        }
        let calls = pair.alpha.count("tools/call");
        match pair.served {
            // A question of this era is in the middle of its call.
            Era::Legacy => assert_eq!(calls, 3),
            // One of this era ends it, and the answer comes with the next.
            Era::Modern => assert_eq!(calls, 6),
        }
    });
}

#[test]
fn two_questions_one_after_the_other_pass() {
    let script = format!(
        "call ask: ask elicitation/create {FORM}\nask elicitation/create {}\nanswers",
        FORM.replace("name?", "age?")
    );
    each_pair(&script, |pair| {
        let mut id = pair.agent.request("tools/call", ASK);
        for (says, answer) in [
            (
                r#""[alpha] Your name?""#,
                r#"{"action":"accept","content":{"name":"x"}}"#,
            ),
            (r#""[alpha] Your age?""#, r#"{"action":"decline"}"#),
        ] {
            let question = pair.is_asked(id);
            assert_eq!(member(&question.params, "message").unwrap(), says);
            id = pair.answers(id, &question, ASK, answer);
        }
        assert_eq!(
            pair.agent.text(id),
            r#"[{"action":"accept","content":{"name":"x"}},{"action":"decline"}]"#
        );
        if pair.served == Era::Legacy {
            assert_eq!(pair.alpha.count("tools/call"), 1);
        }
    });
}

#[test]
fn sampling_and_roots_pass() {
    let sampling = r#"{"messages":[{"role":"user","content":{"type":"text","text":"hi","vendor":1e400}}],"maxTokens":5}"#;
    let script =
        format!("call ask: ask sampling/createMessage {sampling}\nask roots/list {{}}\nanswers");
    let said =
        r#"{"role":"assistant","content":{"type":"text","text":"yes"},"model":"m","vendor":1}"#;
    let roots = r#"{"roots":[{"uri":"file:///here","vendor":1}]}"#;
    each_pair(&script, |pair| {
        let id = pair.agent.request("tools/call", ASK);
        let question = pair.is_asked(id);
        assert_eq!(question.method, "sampling/createMessage");
        assert_eq!(question.params, sampling);
        let id = pair.answers(id, &question, ASK, said);
        let question = pair.is_asked(id);
        assert_eq!(question.method, "roots/list");
        let id = pair.answers(id, &question, ASK, roots);
        assert_eq!(pair.agent.text(id), format!("[{said},{roots}]"));
    });
}

#[test]
fn an_agent_is_not_asked_what_it_did_not_declare() {
    for ask in [
        format!("elicitation/create {FORM}"),
        r#"elicitation/create {"mode":"url","message":"m","url":"https://a.example","elicitationId":"e"}"#.to_owned(),
        r#"sampling/createMessage {"messages":[],"maxTokens":1}"#.to_owned(),
        "roots/list {}".to_owned(),
    ] {
        each_pair_with("{}", &format!("call ask: ask {ask}\nanswers"), |pair| {
            let id = pair.agent.request("tools/call", ASK);
            let answer = pair.agent.answer(id);
            assert!(!answer.contains("input_required"), "{answer}");
            match (pair.speaks, pair.served) {
                // The server hears it and may go on without.
                (Era::Legacy, Era::Legacy) => {
                    let text = dig(&answer, "result").and_then(|result| text_of(&result));
                    let text = text.unwrap_or_else(|| panic!("not a text: {answer}"));
                    assert!(text.contains("-3260"), "{text}");
                }
                (Era::Legacy, Era::Modern) => {
                    assert_eq!(dig(&answer, "result.isError").unwrap(), "true", "{answer}");
                }
                // This era has an error for it, which the agent can act on.
                (Era::Modern, _) => {
                    assert_eq!(code(&answer).unwrap().0, -32021, "{answer}");
                }
            }
            assert_eq!(pair.agent.others(), [""; 0]);
            pair.is_well();
        });
    }
}

#[test]
fn a_state_that_was_tampered_with_is_refused_and_reaches_nobody() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    for served in [Era::Legacy, Era::Modern] {
        let mut pair = Pair::new(Era::Modern, served, r#"{"elicitation":{}}"#, &script);
        let id = pair.agent.request("tools/call", ASK);
        let question = pair.is_asked(id);
        let accept = r#"{"action":"accept","content":{"name":"x"}}"#;
        let state = unquote(&question.state()).unwrap();
        let before = pair.alpha.count("tools/call");
        let middle = state.len() / 2;
        let other = if state.as_bytes()[middle] == b'A' {
            "B"
        } else {
            "A"
        };
        let flipped = format!("{}{other}{}", &state[..middle], &state[middle + 1..]);
        for forged in [flipped.as_str(), "", "state", &state[..state.len() - 4]] {
            let params = question.retry_with(ASK, accept, &quote(forged));
            let id = pair.agent.request("tools/call", &params);
            assert_eq!(pair.agent.error(id).0, -32602, "{forged}");
        }
        // A valid state belongs to one call with its arguments.
        for other in [
            r#"{"name":"alpha__ask","arguments":{"b":1,"a":3}}"#,
            r#"{"name":"alpha__ready","arguments":{"b":1,"a":2}}"#,
            r#"{"name":"alpha__ask"}"#,
        ] {
            let params = question.retry(other, accept);
            let id = pair.agent.request("tools/call", &params);
            assert_eq!(pair.agent.error(id).0, -32602, "{other}");
        }
        assert_eq!(pair.alpha.count("tools/call"), before);
        // The question is still open for who answers it properly.
        let id = pair
            .agent
            .request("tools/call", &question.retry(ASK, accept));
        assert_eq!(pair.agent.text(id), format!("[{accept}]"));
    }
}

#[test]
fn a_large_call_is_taken_up_again_with_its_answer_and_no_other_call_is() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    let accept = r#"{"action":"accept","content":{"name":"x"}}"#;
    let call = |last: &str| {
        format!(
            r#"{{"name":"alpha__ask","arguments":{{"x":"{}{last}"}}}}"#,
            "x".repeat(200 * 1024)
        )
    };
    each_pair(&script, |pair| {
        let id = pair.agent.request("tools/call", &call("y"));
        let question = pair.is_asked(id);
        if pair.speaks == Era::Modern {
            let params = question.retry(&call("z"), accept);
            let id = pair.agent.request("tools/call", &params);
            assert_eq!(pair.agent.error(id).0, -32602);
        }
        let id = pair.answers(id, &question, &call("y"), accept);
        assert_eq!(pair.agent.text(id), format!("[{accept}]"));
    });
}

#[test]
fn a_parked_call_is_resumed_once() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    let mut pair = Pair::new(Era::Modern, Era::Legacy, r#"{"elicitation":{}}"#, &script);
    let id = pair.agent.request("tools/call", ASK);
    let question = pair.is_asked(id);
    let retry = question.retry(ASK, r#"{"action":"accept","content":{"name":"x"}}"#);
    let id = pair.agent.request("tools/call", &retry);
    pair.agent.text(id);
    let id = pair.agent.request("tools/call", &retry);
    assert_eq!(pair.agent.error(id).0, -32602);
    assert_eq!(pair.alpha.count("tools/call"), 1);
}

#[test]
fn a_call_that_ended_while_it_was_parked_keeps_no_other_from_being_parked() {
    let asks =
        format!(r#"{{"jsonrpc":"2.0","id":"q$id","method":"elicitation/create","params":{FORM}}}"#);
    let script = format!("call ask: line {asks}\nwait\ntext over");
    let mut pair = Pair::new(Era::Modern, Era::Legacy, r#"{"elicitation":{}}"#, &script);
    let mut last = None;
    // As many may be parked on one connection, and one more. Each waits for its server
    // until the one before it has ended.
    for _ in 0..=64 {
        let id = pair.agent.request("tools/call", ASK);
        last = Some(pair.is_asked(id));
        pair.alpha.order("go");
    }
    let retry = last.unwrap().retry(ASK, r#"{"action":"decline"}"#);
    let id = pair.agent.request("tools/call", &retry);
    assert_eq!(pair.agent.text(id), "over");
}

#[test]
fn a_retry_without_an_answer_is_asked_again() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    for served in [Era::Legacy, Era::Modern] {
        let mut pair = Pair::new(Era::Modern, served, r#"{"elicitation":{}}"#, &script);
        let id = pair.agent.request("tools/call", ASK);
        let question = pair.is_asked(id);
        let body = ASK.strip_suffix('}').unwrap();
        let params = format!(
            r#"{body},"inputResponses":{{}},"requestState":{}}}"#,
            question.state()
        );
        let id = pair.agent.request("tools/call", &params);
        let question = pair.is_asked(id);
        let id = pair.answers(id, &question, ASK, r#"{"action":"decline"}"#);
        assert_eq!(pair.agent.text(id), r#"[{"action":"decline"}]"#);
    }
}

#[test]
fn what_may_be_about_a_call_that_was_given_up_is_put_to_no_other_user() {
    let home = Home::new();
    let script = "era legacy\ncall ask: wait\ntext over";
    let mut alpha = home.server("alpha", script);
    let [mut one, mut two] = [(); 2].map(|()| home.joining("r-1"));
    for agent in [&mut one, &mut two] {
        agent.until_listed(&["alpha__ask"]);
    }
    let given_up = one.request("tools/call", ASK);
    let sent = alpha.gets("tools/call");
    one.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{given_up}}}}}"#
    ));
    alpha.gets("notifications/cancelled");
    two.request("tools/call", ASK);
    alpha.gets("tools/call");
    let asks = |id: &str| {
        format!(
            r#"say {{"jsonrpc":"2.0","id":"{id}","method":"elicitation/create","params":{FORM}}}"#
        )
    };
    alpha.order(&asks("first"));
    let told = alpha.is_answered("\"first\"");
    assert!(told.contains(r#""action":"cancel""#), "{told}");
    // It has answered what was given up: what it asks now is about the other.
    let sent = member(&sent, "id").unwrap();
    alpha.order(&format!(
        r#"say {{"jsonrpc":"2.0","id":{sent},"result":{{"content":[]}}}}"#
    ));
    alpha.order(&asks("second"));
    let asked = two.request_from_server();
    two.respond(&asked, r#"{"action":"decline"}"#);
    let told = alpha.is_answered("\"second\"");
    assert!(told.contains(r#""action":"decline""#), "{told}");
    assert!(!one.others().concat().contains("elicitation/create"));
}

#[test]
fn an_agent_that_cancels_while_it_is_asked_withdraws_the_question() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    let mut pair = Pair::new(Era::Legacy, Era::Legacy, r#"{"elicitation":{}}"#, &script);
    let id = pair.agent.request("tools/call", ASK);
    let call = pair.alpha.gets("tools/call");
    pair.is_asked(id);
    pair.agent.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
    ));
    let cancel = pair.alpha.gets("notifications/cancelled");
    assert_eq!(dig(&cancel, "params.requestId"), member(&call, "id"));
    pair.is_well();
}

#[test]
fn a_server_that_ends_while_its_question_is_with_a_user_fails_its_call_at_once() {
    for served in [Era::Legacy, Era::Modern] {
        let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
        let mut pair = Pair::new(Era::Legacy, served, r#"{"elicitation":{}}"#, &script);
        let id = pair.agent.request("tools/call", ASK);
        pair.is_asked(id);
        pair.alpha.order("exit 3");
        let why = pair.agent.failure(id);
        assert!(why.contains("status 3"), "{why}");
        pair.agent.gets("notifications/cancelled");
    }
}

#[test]
fn a_question_reaches_only_the_agent_whose_call_caused_it() {
    let home = Home::new();
    let mut alpha = home.server_with(
        "alpha",
        &format!("era legacy\ncall ask: ask elicitation/create {FORM}\nanswers"),
        "timeout = \"10s\"",
    );
    let [mut one, mut two] = [(); 2].map(|()| home.joining("r-1"));
    for agent in [&mut one, &mut two] {
        agent.until_listed(&["alpha__ask"]);
    }
    let first = one.call("alpha__ask", "{}");
    let question = one.request_from_server();
    let second = two.call("alpha__ask", "{}");
    one.respond(&question, r#"{"action":"accept","content":{"name":"one"}}"#);
    assert!(one.text(first).contains("one"));
    let question = two.request_from_server();
    two.respond(&question, r#"{"action":"accept","content":{"name":"two"}}"#);
    assert!(two.text(second).contains("two"));
    assert_eq!(one.others(), [""; 0]);
    assert_eq!(alpha.count("tools/call"), 2);
}

#[test]
fn a_shared_server_that_asks_is_refused_at_once_and_reaches_nobody() {
    let home = Home::new();
    let mut alpha = home.server_with(
        "alpha",
        &format!(
            "era legacy\ncall slow: wait\ntext slow\ncall ask: ask elicitation/create {FORM}\nask sampling/createMessage {{}}\nask roots/list {{}}\nask ping {{}}\nanswers\ncall quick: text quick"
        ),
        "instances = \"shared\"\ntimeout = \"10s\"",
    );
    let [mut one, mut two] = ["one", "two"].map(|name| home.beside(name));
    for agent in [&mut one, &mut two] {
        agent.until_listed(&["alpha__ask"]);
    }
    let hello = alpha.gets("initialize");
    assert_eq!(dig(&hello, "params.capabilities").unwrap(), "{}");
    let slow = one.call("alpha__slow", "{}");
    alpha.gets("tools/call");
    // Nobody's call ends before it is answered, and nobody waits for it.
    let ask = two.call("alpha__ask", "{}");
    let answers = elements(&two.text(ask));
    assert_eq!(answers.len(), 4);
    for refused in &answers[..3] {
        assert_eq!(code(refused).unwrap().0, -32601, "{refused}");
    }
    assert_eq!(answers[3], "{}");
    let quick = one.call("alpha__quick", "{}");
    assert_eq!(one.text(quick), "quick");
    alpha.order("go");
    assert_eq!(one.text(slow), "slow");
    for agent in [&one, &two] {
        assert_eq!(agent.others(), [""; 0]);
    }
}

#[test]
fn a_server_that_does_not_stop_asking_in_one_call_is_refused_after_the_hundredth_question() {
    let asks = format!("ask elicitation/create {FORM}\n").repeat(101);
    for speaks in [Era::Legacy, Era::Modern] {
        let script = format!("call ask: {asks}answers");
        let mut pair = Pair::new(speaks, Era::Legacy, r#"{"elicitation":{}}"#, &script);
        let mut id = pair.agent.request("tools/call", ASK);
        for _ in 0..100 {
            let question = pair.is_asked(id);
            id = pair.answers(id, &question, ASK, r#"{"action":"decline"}"#);
        }
        let answers = elements(&pair.agent.text(id));
        assert_eq!(answers.len(), 101);
        assert_eq!(answers[99], r#"{"action":"decline"}"#);
        assert_eq!(code(&answers[100]).unwrap().0, -32603);
    }
}

#[test]
fn questions_that_are_withdrawn_at_once_count_as_well() {
    let script = format!(
        "call ask: nag 300 elicitation/create {FORM}\nask elicitation/create {FORM}\nanswers"
    );
    let mut pair = Pair::new(Era::Legacy, Era::Legacy, r#"{"elicitation":{}}"#, &script);
    let id = pair.agent.request("tools/call", ASK);
    let answers = elements(&pair.agent.text(id));
    assert_eq!(code(&answers[0]).unwrap().0, -32603, "{answers:?}");
}

#[test]
fn a_call_that_waits_for_its_user_does_not_hold_up_the_next() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    for speaks in [Era::Legacy, Era::Modern] {
        let mut pair = Pair::new(speaks, Era::Legacy, r#"{"elicitation":{}}"#, &script);
        let waiting = pair.agent.request("tools/call", ASK);
        let first = pair.is_asked(waiting);
        pair.is_well();
        // A second question beside the first belongs to the second call.
        let id = pair.agent.request("tools/call", ASK);
        let second = pair.is_asked(id);
        let id = pair.answers(id, &second, ASK, r#"{"action":"decline"}"#);
        assert_eq!(pair.agent.text(id), r#"[{"action":"decline"}]"#);
        let id = pair.answers(waiting, &first, ASK, r#"{"action":"cancel"}"#);
        assert_eq!(pair.agent.text(id), r#"[{"action":"cancel"}]"#);
    }
}

#[test]
fn an_answer_reaches_its_server_whatever_else_that_works_on() {
    let script =
        format!("call slow: wait\ntext done\ncall ask: ask elicitation/create {FORM}\nanswers");
    for speaks in [Era::Legacy, Era::Modern] {
        let mut pair = Pair::new(speaks, Era::Legacy, r#"{"elicitation":{}}"#, &script);
        // Nobody can say which of the two asks.
        let slow = pair
            .agent
            .request("tools/call", r#"{"name":"alpha__slow"}"#);
        pair.alpha.gets("tools/call");
        let asks = pair.agent.request("tools/call", ASK);
        let accept = r#"{"action":"accept"}"#;
        match speaks {
            Era::Legacy => {
                let question = pair.agent.request_from_server();
                pair.agent.respond(&question, accept);
                assert_eq!(pair.agent.text(asks), format!("[{accept}]"));
                pair.alpha.order("go");
                assert_eq!(pair.agent.text(slow), "done");
            }
            // The first of them ends with the question, and goes on with its answer.
            Era::Modern => {
                let question = pair.is_asked(slow);
                let slow = r#"{"name":"alpha__slow"}"#;
                let slow = pair
                    .agent
                    .request("tools/call", &question.retry(slow, accept));
                assert_eq!(pair.agent.text(asks), format!("[{accept}]"));
                pair.alpha.order("go");
                assert_eq!(pair.agent.text(slow), "done");
            }
        }
    }
}

#[test]
fn a_legacy_server_is_told_what_each_request_declares_by_an_instance_for_each() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    let mut pair = Pair::new(Era::Modern, Era::Legacy, "{}", &script);
    for (capabilities, told) in [
        ("{}", "{}"),
        (r#"{"elicitation":{}}"#, r#"{"elicitation":{"form":{}}}"#),
        (
            r#"{"sampling":{"tools":{}}}"#,
            r#"{"sampling":{"tools":{}}}"#,
        ),
    ] {
        pair.agent.speak_modern(capabilities);
        pair.is_well();
        let hello = pair.alpha.gets("initialize");
        assert_eq!(dig(&hello, "params.capabilities").unwrap(), told);
    }
    // The instances stay: who declares the same again finds the same one.
    pair.agent.speak_modern(r#"{"elicitation":{}}"#);
    pair.is_well();
    assert_eq!(pair.alpha.count("initialize"), 3);
}

#[test]
fn sets_of_capabilities_beyond_a_few_go_to_an_instance_that_was_told_less() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    let mut pair = Pair::new(Era::Modern, Era::Legacy, "{}", &script);
    for capabilities in [
        r#"{"elicitation":{"form":{}}}"#,
        r#"{"sampling":{}}"#,
        r#"{"roots":{}}"#,
        r#"{"elicitation":{"url":{}},"sampling":{}}"#,
        r#"{"elicitation":{"url":{}},"roots":{}}"#,
        r#"{"sampling":{"context":{}}}"#,
        r#"{"elicitation":{"url":{}},"sampling":{},"roots":{}}"#,
        r#"{"elicitation":{"url":{}}}"#,
    ] {
        pair.agent.speak_modern(capabilities);
        pair.is_well();
    }
    // That of the catalogue, one for each of the first seven, and one that was told nothing.
    assert_eq!(pair.alpha.count("initialize"), 9);
    for capabilities in [
        r#"{"elicitation":{"form":{},"url":{}}}"#,
        r#"{"elicitation":{"form":{}},"sampling":{}}"#,
        r#"{"elicitation":{"form":{}},"sampling":{"tools":{}},"roots":{}}"#,
    ] {
        pair.agent.speak_modern(capabilities);
        let id = pair.agent.request("tools/call", ASK);
        let question = pair.is_asked(id);
        let id = pair.answers(id, &question, ASK, r#"{"action":"decline"}"#);
        assert_eq!(pair.agent.text(id), r#"[{"action":"decline"}]"#);
    }
    assert_eq!(pair.alpha.count("initialize"), 9);
}

#[test]
fn what_an_agent_brings_back_to_us_does_not_reach_a_legacy_server() {
    let mut pair = Pair::new(Era::Modern, Era::Legacy, "{}", "");
    let call = r#"{"name":"alpha__ready","inputResponses":{"q":{"action":"accept"}},"other":1}"#;
    let id = pair.agent.request("tools/call", call);
    assert_eq!(pair.agent.text(id), "ready");
    let got = member(&pair.alpha.gets("tools/call"), "params").unwrap();
    assert_eq!(got, r#"{"name":"ready","other":1}"#);
}

#[test]
fn answers_to_what_nobody_asked_are_ignored_and_what_is_no_answer_is_asked_again() {
    let script = format!("call ask: ask elicitation/create {FORM}\nanswers");
    let mut pair = Pair::new(Era::Modern, Era::Legacy, r#"{"elicitation":{}}"#, &script);
    let id = pair.agent.request("tools/call", ASK);
    let question = pair.is_asked(id);
    let id = pair
        .agent
        .request("tools/call", &question.retry(ASK, "12345"));
    let question = pair.is_asked(id);
    let retry = question.retry(ASK, r#"{"action":"decline"},"other":{"action":"accept"}"#);
    let id = pair.agent.request("tools/call", &retry);
    assert_eq!(pair.agent.text(id), r#"[{"action":"decline"}]"#);
}

#[test]
fn news_of_folders_leaves_for_a_server_and_never_while_a_stop_covers_its_way() {
    const NEWS: &str = "notifications/roots/list_changed";
    for scope in ["", "--agent", "--server", "--run"] {
        let home = Home::new();
        let mut alpha = home.server("alpha", "era legacy\ncall hi: text hello");
        let mut agent = home.legacy();
        agent.until_listed(&["alpha__hi"]);
        let id = agent.call("alpha__hi", "{}");
        let answer = agent.result(id);
        let ours = member(&dig(&answer, "_meta").unwrap(), "dev.tollgate/call").unwrap();
        let run = unquote(&member(&ours, "run").unwrap()).unwrap();
        let tell = format!(r#"{{"jsonrpc":"2.0","method":"{NEWS}"}}"#);
        agent.send(&tell);
        alpha.gets(NEWS);

        let of = match scope {
            "--agent" => "test",
            "--server" => "alpha",
            _ => &run,
        };
        let mut stop = home.tollgate();
        stop.arg("stop");
        if !scope.is_empty() {
            stop.args([scope, of]);
        }
        assert!(stop.output().unwrap().status.success(), "{scope}");
        agent.send(&tell);
        // Answered once the news before it was looked at.
        let ping = agent.request("ping", "{}");
        agent.result(ping);
        agent.hang_up();
        agent.ends();
        alpha.ends();
        assert_eq!(alpha.count(NEWS), 1, "{scope}");
    }
}
