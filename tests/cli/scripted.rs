//! What is told and recorded of a server that offers and answers what a test wants.

use std::fs;

use serde_json::{Value, json};

use super::prompt::{Home, text};

/// A server of the handshake era: offers what stands in `tools.json` beside it, and answers a
/// call with what it was given.
const SERVER: &str = r#"
echo "I was given $A" >&2
while read -r line; do
    id=$(printf '%s' "$line" | sed -n 's/^{"jsonrpc":"2.0","id":\([^,]*\),.*/\1/p')
    result=
    case $line in
    *'"method":"initialize"'*)
        result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}' ;;
    *'"method":"tools/list"'*)
        result="{\"tools\":$(cat tools.json)}" ;;
    *'"method":"tools/call"'*)
        result="{\"content\":[{\"type\":\"text\",\"text\":\"{\\\"A\\\": \\\"$A\\\", \\\"B\\\": \\\"$B\\\", \\\"C\\\": \\\"$C\\\"}\"}]}" ;;
    esac
    if [ -n "$id" ] && [ -n "$result" ]; then
        printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
    elif [ -n "$id" ]; then
        printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id"
    fi
done
"#;

fn home(settings: &str, tools: &Value) -> Home {
    let home = Home::new("");
    fs::write(home.path("server.sh"), SERVER).unwrap();
    offer(&home, tools);
    let here = home.path("");
    let rules = format!(
        "command = \"/bin/sh\"\nargs = [\"server.sh\"]\ncwd = {here:?}\nowner = \"ana\"\nera = \"legacy\"\n{settings}"
    );
    fs::write(home.path("config/tollgate/tools.d/demo.toml"), rules).unwrap();
    home
}

fn offer(home: &Home, tools: &Value) {
    fs::write(home.path("tools.json"), tools.to_string()).unwrap();
}

#[test]
fn secrets_that_a_server_is_given_are_neither_recorded_nor_shown() {
    let tools = json!([{ "name": "env", "inputSchema": { "type": "object" } }]);
    let home = home("unlisted = \"read\"\n", &tools);
    let file = home.path("secret");
    fs::write(&file, "words/of a file\n").unwrap();
    let rules = home.path("config/tollgate/tools.d/demo.toml");
    let env = format!(
        "env = {{ A = \"env:MINE\", B = \"file:{}\", C = \"literal\" }}\n",
        file.display()
    );
    fs::write(&rules, fs::read_to_string(&rules).unwrap() + &env).unwrap();

    let mut agent = home.agent_that(r#"MINE=plainwords "$@" <"$in" >"$out"; exit"#);
    let answer = agent.call("demo__env", &json!({ "is it": "plainwords?" }));
    let given = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        given,
        r#"{"A": "plainwords", "B": "words/of a file", "C": "literal"}"#
    );
    let shown = loop {
        let shown = text(&home.run(&["servers", "demo"]));
        if shown.contains("I was given") {
            break shown;
        }
    };
    assert!(shown.contains("I was given [REDACTED]"), "{shown}");
    assert!(text(&home.run(&["state", "check"])).starts_with("ok  "));
    assert_eq!(home.run(&["stop-daemon"]).status.code(), Some(0));
    assert!(text(&home.run(&["audit", "verify"])).contains("unbroken"));
    let journal = fs::read(home.state().join("journal/000001.jsonl")).unwrap();
    let log = fs::read(home.state().join("daemon.log")).unwrap();
    let kept = String::from_utf8_lossy(&journal) + String::from_utf8_lossy(&log);
    assert!(!kept.contains("plainwords"), "{kept}");
    assert!(!kept.contains("of a file"), "{kept}");
    assert!(kept.contains(r#"{"is it":"[REDACTED]?"}"#), "{kept}");
    assert!(kept.contains(r#"\"literal\""#), "{kept}");
}

#[test]
fn what_a_servers_hint_decided_is_told_and_no_line_is_cited_for_it() {
    let tools = json!([{
        "name": "poke",
        "inputSchema": { "type": "object" },
        "annotations": { "destructiveHint": true },
    }]);
    let home = home("[tools.poke]\ntier = \"read\"\n", &tools);
    let mut agent = home.agent();
    let refused = agent.call("demo__poke", &json!({}));
    let refusal = &refused["result"]["_meta"]["dev.tollgate/refusal"];
    assert_eq!(refusal["code"], "APPROVAL_UNAVAILABLE");
    let call = refusal["call"].as_str().unwrap();
    let why = text(&home.run(&["why", call]));
    let tried = text(&home.run(&["try", "demo.poke", "--as", "me"]));
    for told in [why, tried] {
        let words: Vec<&str> = told.split_whitespace().collect();
        let told = words.join(" ");
        assert!(
            told.contains("its server's hints raise it from tier read to consequential"),
            "{told}"
        );
        assert!(!told.contains("demo.toml:"), "{told}");
    }
}

#[test]
fn no_line_is_cited_for_a_definition_that_changed() {
    let tool = |says: &str| {
        let schema = json!({ "type": "object" });
        json!([{ "name": "poke", "description": says, "inputSchema": schema }])
    };
    let home = home("[tools.poke]\ntier = \"read\"\n", &tool("a"));
    let mut agent = home.agent();
    assert!(agent.call("demo__poke", &json!({}))["result"]["content"].is_array());
    assert_eq!(home.run(&["stop-daemon"]).status.code(), Some(0));
    offer(&home, &tool("b"));
    let mut next = home.agent();
    assert_eq!(next.call_code("demo__poke", &json!({})), "TOOL_CHANGED");
    // The call asks the instance that would run it; the lists follow.
    let mut tries = (0..500).map(|_| text(&home.run(&["try", "demo.poke", "--as", "me"])));
    let tried = tries.find(|tried| !tried.contains("It would run"));
    let tried = tried.unwrap_or_default();
    assert!(tried.contains("its definition changed"), "{tried}");
    assert!(!tried.contains("demo.toml:"), "{tried}");
}

#[test]
fn a_refusal_stands_under_the_step_that_it_would_have_been_part_of() {
    let tools = json!([
        { "name": "look", "inputSchema": { "type": "object" } },
        { "name": "push", "inputSchema": { "type": "object" } },
    ]);
    let home = home("[tools]\nlook = \"read\"\npush = \"off\"\n", &tools);
    let mut agent = home.agent();
    agent.call("demo__look", &json!({}));
    let refused = agent.call("demo__push", &json!({}));
    let run = text(&home.run(&["audit", "--json"]));
    let records = run.lines().map(|line| serde_json::from_str(line).unwrap());
    let records: Vec<Value> = records.collect();
    let of = |kind: &str| records.iter().find(|record| record["kind"] == kind);
    let refusal = of("call.refused").unwrap_or_else(|| panic!("{refused}"));
    assert_eq!(of("call.intent").unwrap()["step"], 1);
    assert_eq!(refusal["step"], 2);
    let run = text(&home.run(&["runs", refusal["run"].as_str().unwrap()]));
    let (first, second) = run.split_once("step 2").unwrap_or_else(|| panic!("{run}"));
    assert!(first.contains("look") && !first.contains("push"), "{run}");
    assert!(second.contains("push"), "{run}");
}
