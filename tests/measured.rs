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
