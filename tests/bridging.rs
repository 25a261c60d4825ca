//! An agent and a tool server need not speak the same era: what one says reaches
//! the other in its own terms. `questions.rs` has what a server asks.
//!
//! Most tests run for all four pairs of eras.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test ends where it fails, its helpers too"
)]

mod support;

use support::agent::{Agent, text_of};
use support::home::{Home, only};
use support::pair::{ASK, Era, Pair, each_pair};
use support::raw::{dig, elements, member};

#[test]
fn a_call_and_its_result_pass_in_the_terms_of_either_side() {
    each_pair("call hi: text hello", |pair| {
        let id = pair.agent.call("alpha__hi", r#"{"z":1,"a":1e400}"#);
        let result = pair.agent.result(id);
        assert_eq!(text_of(&result).unwrap(), "hello");
        let kind = member(&result, "resultType");
        match (pair.speaks, pair.served) {
            (Era::Legacy, _) => assert_eq!(kind, None),
            (Era::Modern, Era::Legacy) => assert_eq!(kind.unwrap(), r#""complete""#),
            // Absent is complete.
            (Era::Modern, Era::Modern) => assert!(kind.is_none_or(|kind| kind == r#""complete""#)),
        }
        let call = pair.alpha.gets("tools/call");
        assert_eq!(dig(&call, "params.name").unwrap(), r#""hi""#);
        assert_eq!(
            dig(&call, "params.arguments").unwrap(),
            r#"{"z":1,"a":1e400}"#
        );
        let meta = dig(&call, "params._meta").unwrap_or_default();
        let own = meta.contains(r#""io.modelcontextprotocol/clientInfo":{"name":"tollgate""#);
        assert_eq!(own, pair.served == Era::Modern, "{meta}");
    });
}

#[test]
fn a_list_passes_in_the_terms_of_either_side() {
    each_pair("", |pair| {
        let id = pair.agent.request("tools/list", "{}");
        let list = pair.agent.result(id);
        let hints = ["resultType", "ttlMs", "cacheScope"].map(|key| member(&list, key).is_some());
        assert_eq!(hints, [pair.speaks == Era::Modern; 3], "{list}");
    });
}

#[test]
fn the_instructions_and_versions_are_told_in_either_era() {
    let pair = Pair::new(Era::Legacy, Era::Legacy, "{}", "");
    let mut agent = pair.agent;
    agent.speak_modern("{}");
    let id = agent.request("server/discover", "{}");
    let result = agent.result(id);
    assert_eq!(
        member(&result, "supportedVersions").unwrap(),
        r#"["2026-07-28"]"#
    );
    for key in ["ttlMs", "cacheScope", "capabilities"] {
        assert!(member(&result, key).is_some(), "{result}");
    }
}

#[test]
fn an_error_passes_in_either_direction() {
    each_pair(
        r#"call fail: error {"code":-32603,"message":"broken","data":{"a":[1e400]}}"#,
        |pair| {
            let id = pair.agent.call("alpha__fail", "{}");
            assert_eq!(
                member(&pair.agent.answer(id), "error").unwrap(),
                r#"{"code":-32603,"message":"broken","data":{"a":[1e400]}}"#
            );
        },
    );
}

#[test]
fn a_resource_that_is_missing_is_told_with_the_code_of_the_agents_era() {
    for (speaks, served, told, expected) in [
        (Era::Legacy, Era::Legacy, -32002, -32002),
        (Era::Legacy, Era::Modern, -32602, -32002),
        (Era::Modern, Era::Legacy, -32002, -32602),
        (Era::Modern, Era::Modern, -32602, -32602),
    ] {
        let script = format!(
            "resource {{\"uri\":\"note://one\",\"name\":\"one\"}}\non resources/read: error {{\"code\":{told},\"message\":\"not found\"}}"
        );
        let mut pair = Pair::new(speaks, served, "{}", &script);
        let id = pair
            .agent
            .request("resources/read", r#"{"uri":"note://one"}"#);
        assert_eq!(pair.agent.error(id).0, expected, "{speaks:?} {served:?}");
    }
}

#[test]
fn progress_passes_in_either_direction() {
    each_pair("call long: progress 20\ntext done", |pair| {
        let id = pair.agent.request(
            "tools/call",
            r#"{"name":"alpha__long","_meta":{"progressToken":"mine"}}"#,
        );
        for nth in 1..=20 {
            let progress = pair.agent.gets("notifications/progress");
            assert_eq!(dig(&progress, "params.progressToken").unwrap(), r#""mine""#);
            assert_eq!(dig(&progress, "params.progress").unwrap(), nth.to_string());
        }
        assert_eq!(pair.agent.text(id), "done");
    });
}

#[test]
fn a_cancel_passes_in_either_direction() {
    each_pair("call long: wait\ntext late", |pair| {
        let id = pair.agent.call("alpha__long", "{}");
        let call = pair.alpha.gets("tools/call");
        pair.agent.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ));
        let cancel = pair.alpha.gets("notifications/cancelled");
        assert_eq!(dig(&cancel, "params.requestId"), member(&call, "id"));
        pair.alpha.order("go");
        pair.is_well();
        assert_eq!(pair.agent.others(), [""; 0]);
    });
}

#[test]
fn prompts_pass_in_either_direction() {
    let script = r#"
        prompt {"name":"greet","arguments":[{"name":"who","vendor":1}],"icons":[]}
        on prompts/get greet: result {"messages":[{"role":"user","content":{"type":"video","n":1e400}}],"vendor":1}
        on completion/complete greet: result {"completion":{"values":["a"],"total":123456789012345678901234567890}}
    "#;
    each_pair(script, |pair| {
        let id = pair.agent.request("prompts/list", "{}");
        let prompts = elements(&member(&pair.agent.result(id), "prompts").unwrap());
        assert_eq!(prompts.len(), 1);
        assert_eq!(member(&prompts[0], "name").unwrap(), r#""alpha__greet""#);
        assert_eq!(
            member(&prompts[0], "arguments").unwrap(),
            r#"[{"name":"who","vendor":1}]"#
        );
        let id = pair.agent.request(
            "prompts/get",
            r#"{"name":"alpha__greet","arguments":{"who":"me"}}"#,
        );
        let result = pair.agent.result(id);
        assert_eq!(
            member(&result, "messages").unwrap(),
            r#"[{"role":"user","content":{"type":"video","n":1e400}}]"#
        );
        assert_eq!(member(&result, "vendor").unwrap(), "1");
        let got = pair.alpha.gets("prompts/get");
        assert_eq!(dig(&got, "params.name").unwrap(), r#""greet""#);

        let id = pair.agent.request(
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"alpha__greet"},"argument":{"name":"who","value":"m"}}"#,
        );
        assert_eq!(
            member(&pair.agent.result(id), "completion").unwrap(),
            r#"{"values":["a"],"total":123456789012345678901234567890}"#
        );
        let got = pair.alpha.gets("completion/complete");
        assert_eq!(dig(&got, "params.ref.name").unwrap(), r#""greet""#);
    });
}

#[test]
fn resources_and_templates_pass_in_either_direction() {
    let script = r#"
        resource {"uri":"note://one","name":"one","size":123456789012345678901234567890,"vendor":1}
        template {"uriTemplate":"note://{name}","name":"note","vendor":1}
        on resources/read note://one: result {"contents":[{"uri":"note://one","text":"1","vendor":1e400}]}
        on resources/read note://other: result {"contents":[{"uri":"note://other","text":"other"}]}
    "#;
    each_pair(script, |pair| {
        let id = pair.agent.request("resources/list", "{}");
        let listed = elements(&member(&pair.agent.result(id), "resources").unwrap());
        assert_eq!(listed.len(), 1);
        for (key, value) in [("size", "123456789012345678901234567890"), ("vendor", "1")] {
            assert_eq!(member(&listed[0], key).unwrap(), value);
        }
        let id = pair.agent.request("resources/templates/list", "{}");
        let result = pair.agent.result(id);
        let templates = elements(&member(&result, "resourceTemplates").unwrap());
        assert_eq!(member(&templates[0], "vendor").unwrap(), "1");
        let id = pair
            .agent
            .request("resources/read", r#"{"uri":"note://one"}"#);
        let result = pair.agent.result(id);
        assert_eq!(
            member(&result, "contents").unwrap(),
            r#"[{"uri":"note://one","text":"1","vendor":1e400}]"#
        );
        // What only the template knows of finds its server too.
        let id = pair
            .agent
            .request("resources/read", r#"{"uri":"note://other"}"#);
        assert!(pair.agent.result(id).contains("other"));
    });
}

#[test]
fn a_ping_of_either_side_is_answered_at_once() {
    let mut pair = Pair::new(
        Era::Legacy,
        Era::Legacy,
        "{}",
        "call ask: ask ping {}\nanswers",
    );
    let id = pair.agent.request("ping", "{}");
    assert_eq!(pair.agent.result(id), "{}");
    let id = pair.agent.request("tools/call", ASK);
    assert_eq!(pair.agent.text(id), "[{}]");
}

#[test]
fn a_changed_list_is_told_to_an_agent_of_the_handshake_era() {
    for served in [Era::Legacy, Era::Modern] {
        let mut pair = Pair::new(Era::Legacy, served, "{}", "");
        if served == Era::Modern {
            pair.alpha.gets("subscriptions/listen");
        }
        pair.change_the_list();
        pair.agent.gets("notifications/tools/list_changed");
        pair.agent.until_listed(&["alpha__late"]);
    }
}

#[test]
fn what_changes_in_the_instance_that_serves_an_agent_is_told_to_it() {
    // At first the server was told of no capability, so the call starts another instance.
    let everything = r#"{"elicitation":{},"sampling":{},"roots":{}}"#;
    let mut pair = Pair::new(Era::Legacy, Era::Legacy, everything, "");
    pair.is_well();
    pair.change_the_list();
    pair.agent.gets("notifications/tools/list_changed");
    pair.agent.until_listed(&["alpha__late"]);
}

#[test]
fn a_changed_list_is_told_on_the_streams_that_asked_for_it() {
    for served in [Era::Legacy, Era::Modern] {
        let mut pair = Pair::new(Era::Modern, served, "{}", "");
        let other = pair.agent.request(
            "subscriptions/listen",
            r#"{"notifications":{"promptsListChanged":true}}"#,
        );
        let stream = pair.agent.request(
            "subscriptions/listen",
            r#"{"notifications":{"toolsListChanged":true}}"#,
        );
        for id in [other, stream] {
            let ack = pair.agent.gets("notifications/subscriptions/acknowledged");
            assert_eq!(subscription(&ack), id.to_string());
        }
        if served == Era::Modern {
            pair.alpha.gets("subscriptions/listen");
        }
        pair.change_the_list();
        let told = pair.agent.gets("notifications/tools/list_changed");
        assert_eq!(subscription(&told), stream.to_string());
        pair.agent.until_listed(&["alpha__late"]);
        // A stream that is cancelled ends with a result, and tells no more.
        pair.agent.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{stream}}}}}"#
        ));
        pair.is_well();
        let others = pair.agent.others();
        let news = others.iter().filter(|line| line.contains("list_changed"));
        assert_eq!(news.count(), 0, "{others:?}");
    }
}

#[test]
fn a_watched_resource_is_told_in_either_direction() {
    let script = r#"resource {"uri":"note://one","name":"one"}"#;
    each_pair(script, |pair| {
        match pair.speaks {
            Era::Legacy => {
                let id = pair
                    .agent
                    .request("resources/subscribe", r#"{"uri":"note://one"}"#);
                pair.agent.result(id);
            }
            Era::Modern => {
                pair.agent.request(
                    "subscriptions/listen",
                    r#"{"notifications":{"resourceSubscriptions":["note://one"]}}"#,
                );
                pair.agent.gets("notifications/subscriptions/acknowledged");
            }
        }
        match pair.served {
            Era::Legacy => {
                let got = pair.alpha.gets("resources/subscribe");
                assert_eq!(dig(&got, "params.uri").unwrap(), r#""note://one""#);
            }
            Era::Modern => loop {
                let got = pair.alpha.gets("subscriptions/listen");
                let watched = dig(&got, "params.notifications.resourceSubscriptions");
                if watched.is_some_and(|watched| watched == r#"["note://one"]"#) {
                    break;
                }
            },
        }
        let meta = match pair.served {
            Era::Legacy => "",
            Era::Modern => r#","_meta":{"io.modelcontextprotocol/subscriptionId":$sub}"#,
        };
        pair.alpha.order(&format!(
            r#"say {{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"note://one","vendor":1e400{meta}}}}}"#
        ));
        let told = pair.agent.gets("notifications/resources/updated");
        assert_eq!(dig(&told, "params.uri").unwrap(), r#""note://one""#);
        assert_eq!(dig(&told, "params.vendor").unwrap(), "1e400");
        if pair.speaks == Era::Legacy {
            assert_eq!(dig(&told, "params._meta"), None, "{told}");
        }
        pair.is_well();
    });
}

#[test]
fn a_stream_is_acknowledged_with_what_it_was_granted() {
    let script = r#"resource {"uri":"note://one","name":"one"}
resource {"uri":"note://bad","name":"bad"}
resource {"uri":"note://two","name":"two"}
on resources/subscribe note://bad: error {"code":-32602,"message":"no"}"#;
    let mut pair = Pair::new(Era::Modern, Era::Legacy, "{}", script);
    let listen = r#"{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["note://one","note://bad","note://two","note://one"]}}"#;
    pair.agent.request("subscriptions/listen", listen);
    let ack = pair.agent.gets("notifications/subscriptions/acknowledged");
    assert_eq!(
        dig(&ack, "params.notifications").unwrap(),
        r#"{"resourceSubscriptions":["note://one","note://two"],"toolsListChanged":true}"#
    );
    assert_eq!(pair.alpha.count("resources/subscribe"), 3);
}

#[test]
fn a_stream_whose_subscriptions_all_fail_is_no_row_of_errors() {
    let home = Home::new();
    std::fs::write(home.at("config/tollgate.toml"), only("loops = {}")).unwrap();
    let script = r#"era legacy
template {"uriTemplate":"note://{n}","name":"note"}
on resources/subscribe: error {"code":-32603,"message":"no"}
call ready: text ready"#;
    let mut alpha = home.server("alpha", script);
    let mut agent = home.modern();
    agent.until_listed(&["alpha__ready"]);
    let uris: Vec<String> = (0..40).map(|n| format!("\"note://{n}\"")).collect();
    let listen = format!(
        r#"{{"notifications":{{"promptsListChanged":true,"resourceSubscriptions":[{}]}}}}"#,
        uris.join(",")
    );
    agent.request("subscriptions/listen", &listen);
    let ack = agent.gets("notifications/subscriptions/acknowledged");
    assert_eq!(
        dig(&ack, "params.notifications").unwrap(),
        r#"{"promptsListChanged":true}"#
    );
    assert_eq!(alpha.count("resources/subscribe"), 8);
    is_well(&mut agent);
}

#[test]
fn a_stream_that_is_not_open_yet_ends_with_its_agent() {
    let script = r#"resource {"uri":"note://one","name":"one"}
on resources/subscribe: wait"#;
    let mut pair = Pair::new(Era::Modern, Era::Legacy, "{}", script);
    let listen = r#"{"notifications":{"resourceSubscriptions":["note://one"]}}"#;
    let id = pair.agent.request("subscriptions/listen", listen);
    pair.alpha.gets("resources/subscribe");
    pair.agent.hang_up();
    pair.alpha.gets("notifications/cancelled");
    pair.agent.result(id);
    pair.agent.ends();
}

#[test]
fn a_shared_subscription_is_told_to_its_subscribers_and_ends_with_the_last_of_them() {
    const ONE: &str = r#"{"uri":"note://one"}"#;
    for served in ["legacy", "modern"] {
        let home = Home::new();
        let script = format!(
            "era {served}\nresource {{\"uri\":\"note://one\",\"name\":\"one\"}}\ncall ready: text ready"
        );
        let mut alpha = home.server_with("alpha", &script, "instances = \"shared\"");
        let [mut one, mut two, mut stream, mut stranger] =
            ["one", "two", "stream", "stranger"].map(|name| home.beside(name));
        for agent in [&mut one, &mut two, &mut stream, &mut stranger] {
            agent.until_listed(&["alpha__ready"]);
        }
        for agent in [&mut one, &mut two] {
            let id = agent.request("resources/subscribe", ONE);
            agent.result(id);
        }
        stream.speak_modern("{}");
        let listen = stream.request(
            "subscriptions/listen",
            r#"{"notifications":{"resourceSubscriptions":["note://one"]}}"#,
        );
        stream.gets("notifications/subscriptions/acknowledged");
        // Its subscription is on its way by now, and this behind it.
        is_well(&mut stream);
        let (end, meta) = match served {
            "legacy" => ("resources/unsubscribe", ""),
            _ => (
                "subscriptions/listen",
                r#","_meta":{"io.modelcontextprotocol/subscriptionId":$sub}"#,
            ),
        };
        let before = alpha.count(end);
        // One of three leaves, and one who was never there.
        for agent in [&mut one, &mut stranger] {
            let id = agent.request("resources/unsubscribe", ONE);
            agent.result(id);
        }
        assert_eq!(alpha.count(end), before, "{served}");
        alpha.order(&format!(
            r#"say {{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"note://one"{meta}}}}}"#
        ));
        two.gets("notifications/resources/updated");
        stream.gets("notifications/resources/updated");
        for agent in [&mut one, &mut stranger] {
            is_well(agent);
            let others = agent.others();
            let told = others.iter().filter(|line| line.contains("/updated"));
            assert_eq!(told.count(), 0, "{others:?}");
        }
        // One ends its stream, the last one leaves without a word.
        stream.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{listen}}}}}"#
        ));
        is_well(&mut stream);
        assert_eq!(alpha.count(end), before, "{served}");
        two.kill();
        for _ in 0..before {
            alpha.gets(end);
        }
        let end = alpha.gets(end);
        match served {
            "legacy" => assert_eq!(member(&end, "params").unwrap(), ONE),
            _ => {
                let watched = dig(&end, "params.notifications.resourceSubscriptions");
                assert_eq!(watched.unwrap(), "[]");
            }
        }
    }
}

#[test]
fn a_subscription_is_told_to_the_connection_that_made_it_and_to_no_other_of_its_run() {
    let home = Home::new();
    let script =
        "era legacy\nresource {\"uri\":\"note://one\",\"name\":\"one\"}\ncall ready: text ready";
    let mut alpha = home.server("alpha", script);
    let [mut one, mut two] = [(); 2].map(|()| home.joining("r-1"));
    for agent in [&mut one, &mut two] {
        agent.until_listed(&["alpha__ready"]);
    }
    let id = one.request("resources/subscribe", r#"{"uri":"note://one"}"#);
    one.result(id);
    let told = r#"say {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"note://one"}}"#;
    alpha.order(told);
    one.gets("notifications/resources/updated");
    // It may be a part of what was subscribed to: whose it is cannot be known.
    alpha.order(&told.replace("one", "one/part"));
    let part = two.gets("notifications/resources/updated");
    assert_eq!(dig(&part, "params.uri").unwrap(), r#""note://one/part""#);
}

#[test]
fn a_server_does_not_tell_that_a_resource_of_another_has_changed() {
    let home = Home::new();
    let script = |uri: &str| {
        format!("era legacy\nresource {{\"uri\":\"{uri}\",\"name\":\"n\"}}\ncall ready: text ready")
    };
    let _alpha = home.server("alpha", &script("note://one"));
    let mut beta = home.server("beta", &script("task://two"));
    let mut agent = home.joining("r-1");
    agent.until_listed(&["alpha__ready", "beta__ready"]);
    let id = agent.request("resources/subscribe", r#"{"uri":"task://two"}"#);
    agent.result(id);
    for uri in ["note://one", "note://one/part", "task://two/part"] {
        beta.order(&format!(
            r#"say {{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"{uri}"}}}}"#
        ));
    }
    let told = agent.gets("notifications/resources/updated");
    assert_eq!(dig(&told, "params.uri").unwrap(), r#""task://two/part""#);
}

#[test]
fn log_messages_reach_an_agent_that_asked_for_them() {
    let script = r#"
        call talk: line {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"debug","logger":"l","data":{"n":1e400}}}
        text done
    "#;
    each_pair(script, |pair| {
        let params = match pair.speaks {
            Era::Legacy => {
                let id = pair
                    .agent
                    .request("logging/setLevel", r#"{"level":"debug"}"#);
                pair.agent.result(id);
                r#"{"name":"alpha__talk"}"#
            }
            Era::Modern => {
                r#"{"name":"alpha__talk","_meta":{"io.modelcontextprotocol/logLevel":"debug"}}"#
            }
        };
        let id = pair.agent.request("tools/call", params);
        let log = pair.agent.gets("notifications/message");
        assert_eq!(dig(&log, "params.data").unwrap(), r#"{"n":1e400}"#);
        assert_eq!(dig(&log, "params.level").unwrap(), r#""debug""#);
        assert_eq!(dig(&log, "params.logger").unwrap(), r#""alpha/l""#);
        assert_eq!(pair.agent.text(id), "done");
        match pair.served {
            Era::Legacy => {
                let set = pair.alpha.gets("logging/setLevel");
                assert_eq!(dig(&set, "params.level").unwrap(), r#""debug""#);
            }
            Era::Modern => {
                let call = pair.alpha.gets("tools/call");
                let meta = dig(&call, "params._meta").unwrap();
                let level = member(&meta, "io.modelcontextprotocol/logLevel");
                assert_eq!(level.unwrap(), r#""debug""#);
            }
        }
    });
}

#[test]
fn a_call_that_is_cancelled_while_its_server_is_told_the_level_does_not_wait_for_that() {
    let script = "on logging/setLevel: silence";
    let mut pair = Pair::new(Era::Legacy, Era::Legacy, "{}", script);
    let level = pair
        .agent
        .request("logging/setLevel", r#"{"level":"debug"}"#);
    pair.agent.result(level);
    for _ in 0..2 {
        let id = pair.agent.call("alpha__ready", "{}");
        let set = pair.alpha.gets("logging/setLevel");
        pair.agent.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ));
        let cancel = pair.alpha.gets("notifications/cancelled");
        assert_eq!(dig(&cancel, "params.requestId"), member(&set, "id"));
        let reason = dig(&cancel, "params.reason").unwrap();
        assert_eq!(reason, r#""the caller has gone""#);
    }
    assert_eq!(pair.alpha.count("tools/call"), 0);
}

#[test]
fn an_agent_of_the_stateless_era_that_asked_for_no_log_gets_none() {
    let script = r#"
        call talk: line {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"loud"}}
        text done
    "#;
    for served in [Era::Legacy, Era::Modern] {
        let mut pair = Pair::new(Era::Modern, served, "{}", script);
        let id = pair.agent.call("alpha__talk", "{}");
        assert_eq!(pair.agent.text(id), "done");
        assert_eq!(pair.agent.others(), [""; 0]);
    }
}

impl Pair {
    /// The server offers one tool more, and says so.
    fn change_the_list(&mut self) {
        let meta = match self.served {
            Era::Legacy => "",
            Era::Modern => r#","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":$sub}}"#,
        };
        self.alpha
            .order(r#"offer {"name":"late","inputSchema":{"type":"object"}}"#);
        self.alpha.order(&format!(
            r#"say {{"jsonrpc":"2.0","method":"notifications/tools/list_changed"{meta}}}"#
        ));
    }
}

fn is_well(agent: &mut Agent) {
    let id = agent.call("alpha__ready", "{}");
    assert_eq!(agent.text(id), "ready");
}

fn subscription(line: &str) -> String {
    let meta = dig(line, "params._meta").unwrap();
    member(&meta, "io.modelcontextprotocol/subscriptionId").unwrap()
}
