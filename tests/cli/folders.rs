//! News that a stop has kept back.

use std::fs;

use serde_json::{Value, json};

use crate::RULES;
use crate::prompt::Home;

/// A tool server that writes down what it hears.
const HEARS: &str = r#"while read -r line; do
  printf '%s\n' "$line" >>"$0"
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\),.*/\1/p')
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"hears","version":"1"}}' ;;
    *'"tools/list"'*) result='{"tools":[{"name":"hi","inputSchema":{"type":"object"}}]}' ;;
    *'"tools/call"'*) result='{"content":[]}' ;;
    *'"id"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id"; continue ;;
    *) continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done"#;

#[test]
fn a_server_that_was_stopped_hears_that_folders_have_changed_before_its_next_call() {
    let home = Home::new(RULES);
    let heard = home.path("heard");
    let args = json!(["-c", HEARS, heard]);
    let file = format!(
        "owner = \"ops\"\ncommand = \"sh\"\nargs = {args}\nera = \"legacy\"\n[tools.hi]\ntier = \"read\"\n"
    );
    fs::write(home.path("config/tollgate/tools.d/hears.toml"), file).unwrap();
    let mut agent = home.agent();
    agent.call("hears__hi", &json!({ "n": 1 }));
    home.run(&["stop", "--server", "hears"]);
    agent.write(&json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" }));
    agent.ask("ping", &json!({}));
    home.run(&["resume", "--server", "hears", "--yes"]);
    for n in 2..4 {
        agent.call("hears__hi", &json!({ "n": n }));
    }
    let heard = fs::read_to_string(heard).unwrap();
    let told = |line| {
        let heard: Value = serde_json::from_str(line).unwrap();
        match heard["method"].as_str() {
            Some("notifications/roots/list_changed") => Some("news"),
            Some("tools/call") => Some("call"),
            _ => None,
        }
    };
    let told: Vec<_> = heard.lines().filter_map(told).collect();
    assert_eq!(told, ["call", "news", "call", "call"], "{heard}");
}
