//! A server that is got ready for the agent that arrives, once a stop allows that.

use std::fs;

use serde_json::{Value, json};

use crate::RULES;
use crate::prompt::{Agent, Home, text};

/// A tool server that offers one tool more to clients that have folders.
const SHY: &str = r#"more=
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\),.*/\1/p')
  case $line in
    *'"initialize"'*)
      case $line in *'"roots"'*) more=',{"name":"more","inputSchema":{"type":"object"}}' ;; esac
      result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"shy","version":"1"}}' ;;
    *'"tools/list"'*) result='{"tools":[{"name":"hi","inputSchema":{"type":"object"}}'$more']}' ;;
    *'"id"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id"; continue ;;
    *) continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done"#;

/// A home in which that server was listed for an agent that has no folders.
fn home() -> Home {
    let home = Home::new(RULES);
    let args = json!(["-c", SHY]);
    let file = format!("owner = \"ops\"\ncommand = \"sh\"\nargs = {args}\nunlisted = \"read\"\n");
    fs::write(home.path("config/tollgate/tools.d/shy.toml"), file).unwrap();
    let mut other = home.agent_that_can(r#""$@" <"$in" >"$out"; exit"#, &json!({}));
    assert!(!lists_more(&mut other));
    other.hang_up();
    while !text(&home.run(&[])).contains("agents: 0") {}
    home
}

fn lists_more(agent: &mut Agent) -> bool {
    let listed = agent.ask("tools/list", &json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let named = |name: &str| tools.iter().any(|tool: &Value| tool["name"] == name);
    assert!(named("shy__hi"), "{listed}");
    named("shy__more")
}

#[test]
fn a_server_that_was_stopped_when_an_agent_came_is_got_ready_for_it_afterwards() {
    let home = home();
    home.run(&["stop", "--server", "shy"]);
    let mut agent = home.agent();
    home.run(&["resume", "--server", "shy", "--yes"]);
    while !lists_more(&mut agent) {
        agent.hears("notifications/tools/list_changed");
    }
}

#[test]
fn an_agent_that_was_stopped_when_it_came_has_its_servers_got_ready_afterwards() {
    let home = home();
    home.run(&["stop", "--agent", "me"]);
    let mut agent = home.agent();
    assert!(!lists_more(&mut agent));
    home.run(&["resume", "--agent", "me", "--yes"]);
    assert!(lists_more(&mut agent));
}
