//! What arguments are measured by, through the whole of it: what an agent sends or a
//! server declares holds up nobody and does not get round a rule.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test ends where it fails, its helpers too"
)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;

use support::agent::Agent;
use support::home::Home;

/// What a refusal says to the model.
fn refused(agent: &mut Agent, tool: &str, arguments: &str) -> String {
    let id = agent.call(tool, arguments);
    let answer = agent.result(id);
    assert!(answer.contains("\"isError\":true"), "{answer}");
    assert!(answer.contains("ARGS_"), "{answer}");
    answer
}

#[test]
fn a_schema_that_would_never_be_judged_refuses_its_calls_and_holds_up_nobody() {
    let mut parts = String::new();
    for level in 0..40 {
        let next = format!("{{\"$ref\":\"#/$defs/a{}\"}}", level + 1);
        write!(parts, "\"a{level}\":{{\"allOf\":[{next},{next}]}},").unwrap();
    }
    let home = Home::new();
    let mut alpha = home.server(
        "alpha",
        &format!(
            r##"
            tool {{"name":"bomb","inputSchema":{{"type":"object","$ref":"#/$defs/a0","$defs":{{{parts}"a40":{{}}}}}}}}
            call bomb: text never
            call hi: text hello
            "##
        ),
    );
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__bomb", "alpha__hi"]);
    let bomb = agent.call("alpha__bomb", "{}");
    let hi = agent.call("alpha__hi", "{}");
    assert_eq!(agent.text(hi), "hello");
    let answer = agent.result(bomb);
    assert!(answer.contains("ARGS_INVALID"), "{answer}");
    assert!(
        answer.contains("more work than a call is worth"),
        "{answer}"
    );
    assert!(answer.contains("the tool's schema is at fault"), "{answer}");
    assert_eq!(alpha.count("tools/call"), 1);
}

#[test]
fn arguments_with_a_million_faults_are_refused_in_little_memory() {
    let home = Home::new();
    let mut alpha = home.server(
        "alpha",
        r#"
        tool {"name":"w","inputSchema":{"type":"object","properties":{"c":{"items":{"anyOf":[{"type":"string"},{"type":"object"}]}}}}}
        call w: text never
        "#,
    );
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__w"]);
    let arguments = format!(r#"{{"c":[{}1]}}"#, "1,".repeat(1_000_000));
    let says = refused(&mut agent, "alpha__w", &arguments);
    assert!(says.contains("too large to say where"), "{says}");
    assert!(agent.peak() < 300, "{} MiB", agent.peak());
    let says = refused(&mut agent, "alpha__w", r#"{"c":[1]}"#);
    assert!(says.contains("/c/0"), "{says}");
    assert_eq!(alpha.count("tools/call"), 0);
}

#[test]
fn arguments_that_would_take_much_room_are_refused_in_little_memory() {
    let home = Home::new();
    let mut alpha = home.server(
        "alpha",
        r#"
        tool {"name":"w","inputSchema":{"type":"object","required":["c"]}}
        tool {"name":"j","inputSchema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"c":{"type":"string","contentMediaType":"application/json"}}}}
        call w: text never
        call j: text done
        "#,
    );
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__w", "alpha__j"]);
    let objects = format!(r#"[{}0]"#, r#"{"":0},"#.repeat(500_000));
    let says = refused(&mut agent, "alpha__w", &format!(r#"{{"c":{objects}}}"#));
    assert!(says.contains("64 MiB"), "{says}");
    assert_eq!(alpha.count("tools/call"), 0);
    // Within a text it is the same, but nobody takes it apart.
    let text = objects.replace('"', "\\\"");
    let id = agent.call("alpha__j", &format!(r#"{{"c":"{text}"}}"#));
    assert_eq!(agent.text(id), "done");
    assert!(agent.peak() < 130, "{} MiB", agent.peak());
}

#[test]
fn a_link_to_what_does_not_exist_yet_leads_out_of_every_directory() {
    let home = Home::new();
    let (inside, outside) = (home.at("inside"), home.at("outside"));
    fs::create_dir(&inside).unwrap();
    symlink(outside.join("authorized_keys"), inside.join("notes.txt")).unwrap();
    symlink(&outside, inside.join("dir")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();
    symlink(inside.join("new"), inside.join("alias")).unwrap();
    fs::write(inside.join("file"), "").unwrap();
    let rule = format!("[tools.w]\ntier = \"read\"\nargs.path = {{ under = {inside:?} }}");
    let mut alpha = home.server_with("alpha", "call w: text done", &rule);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__w"]);
    let at = |path: &str| format!("{{\"path\":\"{}/{path}\"}}", inside.display());
    for path in [
        "notes.txt",
        "notes.txt/",
        "notes.txt/.",
        "notes.txt/x",
        "dir",
        "dir//",
        "dir/x/y",
        "loop",
        "file/x",
        // Within, but who writes to it is told by nobody until it is there.
        "alias",
    ] {
        let says = refused(&mut agent, "alpha__w", &at(path));
        assert!(says.contains("nobody can tell"), "{path}: {says}");
    }
    assert_eq!(alpha.count("tools/call"), 0);
    fs::create_dir(&outside).unwrap();
    let says = refused(&mut agent, "alpha__w", &at("dir/x"));
    assert!(says.contains("is outside"), "{says}");
    for path in ["file", "new", "new/x/y", "./file", ""] {
        let id = agent.call("alpha__w", &at(path));
        assert_eq!(agent.text(id), "done", "{path}");
    }
}

#[test]
fn a_key_that_differs_from_one_with_a_rule_by_case_only_is_refused() {
    let home = Home::new();
    let mut alpha = home.server_with(
        "alpha",
        "call w: text done\ncall free: text done",
        r#"
        [tools.w]
        tier = "read"
        args.path = { pattern = "^/srv/" }
        args.secret = { absent = true }
        args.to = { properties = { name = { type = "string" } } }
        "#,
    );
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__w", "alpha__free"]);
    for arguments in [
        r#"{"path":"/srv/x","PATH":"/etc/passwd"}"#,
        r#"{"Path":"/etc/passwd"}"#,
        r#"{"\u017fecret":1}"#,
        r#"{"to":{"name":"a","NAME":7}}"#,
    ] {
        let says = refused(&mut agent, "alpha__w", arguments);
        assert!(says.contains("another spelling of"), "{says}");
    }
    assert_eq!(alpha.count("tools/call"), 0);
    for (tool, arguments) in [
        (
            "alpha__w",
            r#"{"path":"/srv/x","x":1,"X":2,"to":{"x":1,"X":2}}"#,
        ),
        ("alpha__free", r#"{"path":"/srv/x","PATH":"/etc/passwd"}"#),
    ] {
        let id = agent.call(tool, arguments);
        assert_eq!(agent.text(id), "done", "{arguments}");
    }
}

#[test]
fn a_tool_under_a_rule_for_a_format_gets_only_what_has_that_format() {
    let home = Home::new();
    let rule = "[tools.w]\ntier = \"read\"\nargs.to = { format = \"email\" }\n\
                args.all = { items = { format = \"uuid\" } }";
    let mut alpha = home.server_with("alpha", "call w: text done", rule);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__w"]);
    for arguments in [
        r#"{"to":"definitely not an address; rm -rf"}"#,
        r#"{"to":"a@b.example","all":["7"]}"#,
        // Of other kinds of values a format says nothing, but the rule does.
        r#"{"to":["definitely not an address"]}"#,
        r#"{"to":"a@b.example","all":{"0":"7"}}"#,
    ] {
        let says = refused(&mut agent, "alpha__w", arguments);
        assert!(says.contains("ARGS_OUT_OF_BOUNDS"), "{says}");
    }
    assert_eq!(alpha.count("tools/call"), 0);
    let arguments = r#"{"to":"a@b.example","all":["6d5f1c3e-55aa-4c0e-8d6e-0123456789ab"]}"#;
    let id = agent.call("alpha__w", arguments);
    assert_eq!(agent.text(id), "done");
}

#[test]
fn parameters_that_a_server_could_read_otherwise_are_wrong() {
    let home = Home::new();
    let mut alpha = home.server(
        "alpha",
        r#"
        prompt {"name":"p"}
        resource {"uri":"file:///a","name":"a"}
        call w: echo
        "#,
    );
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__w"]);
    for (method, params) in [
        (
            "tools/call",
            r#"{"name":"alpha__w","arguments":{},"Arguments":{"a":1}}"#,
        ),
        ("tools/call", r#"{"name":"alpha__w","Name":"other"}"#),
        ("tools/call", r#"{"name":"alpha__w","tas\u212a":{}}"#),
        ("tools/call", r#"{"name":"alpha__w","_META":{}}"#),
        ("tools/call", r#"{"name":"alpha__w","RequestState":"x"}"#),
        ("prompts/get", r#"{"name":"alpha__p","inputresponses":{}}"#),
        ("prompts/get", r#"{"name":"alpha__p","NAME":"other"}"#),
        (
            "resources/read",
            r#"{"uri":"file:///a","URI":"file:///etc/shadow"}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/resource","name":"alpha__p","uri":"file:///a"},"argument":{"name":"n","value":"v"}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/resource","name":"alpha__p"},"argument":{"name":"n","value":"v"}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"alpha__p","URI":"file:///a"},"argument":{"name":"n","value":"v"}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"alpha__p"},"REF":{},"argument":{"name":"n","value":"v"}}"#,
        ),
    ] {
        let id = agent.request(method, params);
        assert_eq!(agent.error(id).0, -32602, "{params}");
    }
    // A task would go on where no stop finds it.
    let params = r#"{"name":"alpha__w","arguments":{"task":1},"task":{"ttl":600000}}"#;
    let id = agent.request("tools/call", params);
    let seen = agent.text(id);
    assert!(
        seen.contains(r#""arguments":{"task":1}"#) && !seen.contains("ttl"),
        "{seen}"
    );
    assert_eq!(alpha.count("tools/call"), 1);
    assert_eq!(
        alpha.count("resources/read") + alpha.count("prompts/get"),
        0
    );
    assert_eq!(alpha.count("completion/complete"), 0);
}

#[test]
fn a_large_request_is_read_where_nobody_waits_for_it_and_one_of_too_many_values_is_not() {
    let home = Home::new();
    let mut alpha = home.server("alpha", "call w: text done\ncall hi: text hello");
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__w", "alpha__hi"]);
    let of = |values: usize| format!(r#"{{"c":[{}0]}}"#, "0,".repeat(values - 1));
    let (large, more) = (of(1_000_000), of(1_100_000));
    let large = agent.call("alpha__w", &large);
    let more = agent.call("alpha__w", &more);
    let hi = agent.call("alpha__hi", "{}");
    assert_eq!(agent.text(hi), "hello");
    assert_eq!(agent.text(large), "done");
    let (code, says) = agent.error(more);
    assert_eq!(code, -32602, "{says}");
    assert!(says.contains("values"), "{says}");
    assert_eq!(alpha.count("tools/call"), 2);
}
