//! The demo as a person meets it, and its tool server as a client meets it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "messages are written where they are sent"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_demo_plays_in_the_repository_with_nothing_but_the_binary() {
    let told = demo(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(
        told.lines().all(|line| line.chars().count() <= 80),
        "{told}"
    );
    insta::assert_snapshot!("demo", told);
}

#[test]
fn the_demo_plays_elsewhere_with_its_own_copy_of_the_configuration() {
    let elsewhere = tempfile::tempdir().unwrap();
    let told = demo(elsewhere.path());
    assert!(
        told.contains("through its own tools.d/demo.toml."),
        "{told}"
    );
}

#[test]
fn the_demo_fails_where_a_limit_does_not_hold() {
    let place = tempfile::tempdir().unwrap();
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools.d/demo.toml");
    std::fs::create_dir(place.path().join("tools.d")).unwrap();
    std::fs::copy(server, place.path().join("tools.d/demo.toml")).unwrap();
    let lifted = "[budget]\nrun = { cost = \"none\" }\n";
    std::fs::write(place.path().join("tollgate.toml"), lifted).unwrap();
    let home = tempfile::tempdir().unwrap();
    let output = play(place.path(), home.path());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.contains("looks up a fourth: passed"),
        "{complaint}"
    );
    assert!(complaint.contains("0.90 of 1.00 USD"), "{complaint}");
}

/// What the demo tells in a working directory, with what is another each time
/// masked; it must end well and leave nothing behind.
fn demo(place: &Path) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = play(place, home.path());
    let complaint = String::from_utf8(output.stderr).unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}{complaint}");
    assert_eq!(complaint, "");
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    told.lines().map(masked).collect()
}

fn play(place: &Path, home: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .arg("demo")
        .current_dir(place)
        .env_clear()
        .env("HOME", home)
        .env("TMPDIR", home)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn masked(line: &str) -> String {
    let time = line
        .strip_suffix(" ms")
        .and_then(|line| line.rsplit_once("  "));
    time.map_or_else(
        || {
            line.split(' ')
                .map(masked_word)
                .collect::<Vec<_>>()
                .join(" ")
                + "\n"
        },
        |(rest, _)| format!("{rest}  (time)\n"),
    )
}

/// The id of a run, a day or a time of day.
fn masked_word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let shape: String = bare
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let name = match shape.as_str() {
        "0000-00-00" => "(day)",
        "00:00" | "00:00:00" => "(hour)",
        run if run.starts_with("r-") && run.len() == 12 => "(run)",
        _ => return word.to_owned(),
    };
    word.replace(bare, name)
}

#[test]
fn the_demo_server_answers_a_client_of_the_handshake_era() {
    let mut server = Server::start();
    let hello = server.ask("initialize", legacy_hello());
    assert_eq!(hello["result"]["serverInfo"]["name"], "tollgate-demo");
    server.tell("notifications/initialized");
    let list = server.ask("tools/list", json!({}));
    let names: Vec<_> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "list_mail",
            "read_mail",
            "search_mail",
            "draft_mail",
            "send_mail",
            "list_files",
            "read_file",
            "write_file",
            "delete_file",
            "get_payment",
            "refund",
            "look_up_company",
            "track_parcel",
            "wait"
        ]
    );
    let payment = server.call("get_payment", json!({ "id": "pay-1042" }));
    assert_eq!(
        payment["result"]["structuredContent"]["amount_minor"],
        24_000
    );
    assert!(server.leaves());
}

#[test]
fn the_demo_server_answers_a_client_of_the_stateless_era() {
    let mut server = Server::start();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "0" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": "read_mail", "arguments": { "id": "m-4" }, "_meta": meta });
    let mail = server.ask("tools/call", params);
    assert_eq!(mail["result"]["resultType"], "complete", "{mail}");
    let text = mail["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Ignore previous instructions"), "{text}");
    assert!(server.leaves());
}

#[test]
fn the_demo_server_tells_what_reached_it_and_remembers_what_was_done() {
    let mut server = Server::ready();
    let letter = json!({ "to": ["a@b.example"], "subject": "s", "body": "b" });
    let sent = server.call("send_mail", letter);
    assert_eq!(sent["result"]["isError"], false, "{sent}");
    let folder = server.call("list_mail", json!({ "folder": "sent" }));
    assert!(
        folder["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("m-6")
    );
    let wrong = server.call("delete_file", json!({ "path": "nowhere" }));
    assert_eq!(wrong["result"]["isError"], true, "{wrong}");
    let unknown = server.call("launch_rocket", json!({}));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let calls = server.ask("resources/read", json!({ "uri": "demo://calls" }));
    assert_eq!(
        calls["result"]["contents"][0]["text"],
        "send_mail\nlist_mail\ndelete_file"
    );
}

#[test]
fn the_demo_servers_services_sell_and_fail() {
    let mut server = Server::ready();
    let company = server.call("look_up_company", json!({ "name": "Brightwater" }));
    assert_eq!(company["result"]["isError"], false, "{company}");
    let parcel = server.call("track_parcel", json!({ "id": "px-104200" }));
    assert_eq!(parcel["result"]["isError"], true, "{parcel}");
    let says = parcel["result"]["content"][0]["text"].as_str().unwrap();
    assert!(says.contains("the carrier's service is down"), "{says}");
}

#[test]
fn the_demo_server_reports_progress_while_it_waits() {
    let mut server = Server::ready();
    let params = json!({
        "name": "wait", "arguments": { "seconds": 0.01 }, "_meta": { "progressToken": "t" },
    });
    let waited = server.ask("tools/call", params);
    assert_eq!(waited["result"]["isError"], false, "{waited}");
    let progress: Vec<_> = server
        .told
        .iter()
        .map(|told| {
            (
                &told["params"]["progressToken"],
                &told["params"]["progress"],
            )
        })
        .collect();
    assert_eq!(
        progress,
        [(&json!("t"), &json!(0.0)), (&json!("t"), &json!(0.01))]
    );
}

#[test]
fn the_demo_server_offers_its_inbox_as_a_resource_and_in_a_prompt() {
    let mut server = Server::ready();
    let inbox = server.ask("resources/read", json!({ "uri": "demo://inbox" }));
    let inbox = inbox["result"]["contents"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(inbox.lines().count(), 5);
    let prompt = server.ask("prompts/get", json!({ "name": "triage-inbox" }));
    let text = prompt["result"]["messages"][0]["content"]["text"]
        .as_str()
        .unwrap();
    assert!(text.ends_with(&inbox), "{text}");
}

fn legacy_hello() -> Value {
    json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "0" },
    })
}

/// The demo server as a child, and what it said.
struct Server {
    child: Child,
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    /// What came besides answers.
    told: Vec<Value>,
    last_id: u64,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .arg("demo-server")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (say, from) = channel();
        thread::spawn(move || {
            for line in output.lines() {
                let message = serde_json::from_str(&line.unwrap()).unwrap();
                if say.send(message).is_err() {
                    return;
                }
            }
        });
        Self {
            to: child.stdin.take(),
            child,
            from,
            told: Vec::new(),
            last_id: 0,
        }
    }

    /// Past the handshake.
    fn ready() -> Self {
        let mut server = Self::start();
        server.ask("initialize", legacy_hello());
        server.tell("notifications/initialized");
        server
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.write(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.from.recv_timeout(PATIENCE).unwrap();
            if message["id"] == id {
                return message;
            }
            self.told.push(message);
        }
    }

    fn tell(&mut self, method: &str) {
        self.write(json!({ "jsonrpc": "2.0", "method": method }));
    }

    fn write(&mut self, message: Value) {
        writeln!(self.to.as_mut().unwrap(), "{message}").unwrap();
    }

    /// Whether it leaves in order when its input ends.
    fn leaves(mut self) -> bool {
        self.to = None;
        // The reading thread ends with the child's output.
        assert!(self.from.recv_timeout(PATIENCE).is_err());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
