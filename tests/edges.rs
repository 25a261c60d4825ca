//! What comes in at the edges with ill will, with the real program: descriptors that
//! somebody left open, names that somebody took away.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod prompt;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use prompt::{Home, PROGRAM, pipe};

/// A server that says through a pipe what it has open, and nothing else.
fn telling(to: &Path) -> String {
    let does = format!(
        "for one in /proc/$$/fd/*; do readlink $one; done >'{}'; exec cat",
        to.display()
    );
    format!("command = \"/bin/sh\"\nargs = [\"-c\", \"{does}\"]\nowner = \"platform\"\n")
}

/// What a server has open of whoever is started like this by somebody with a secret open.
fn open_in_server(started: &str) -> String {
    let home = Home::new("");
    let open = pipe(&home.path(""), "open");
    fs::write(
        home.path("config/tollgate/tools.d/demo.toml"),
        telling(&open),
    )
    .unwrap();
    fs::write(home.path("secret"), "hush").unwrap();
    let mut starter = home
        .other(Path::new("/bin/sh"))
        .args([
            "-c",
            &format!(r#"exec 9<"$HOME/secret"; exec "$0" {started}"#),
            PROGRAM,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let open = fs::read_to_string(open).unwrap();
    drop(starter.stdin.take());
    let _ = home.run(&["stop-daemon"]);
    starter.wait().unwrap();
    open
}

#[test]
fn what_somebody_left_open_for_the_shim_is_open_in_no_server() {
    for started in ["stdio --agent me", "stdio --agent me --embedded", "daemon"] {
        let open = open_in_server(started);
        assert!(open.contains("pipe:"), "{open}");
        assert!(!open.contains("secret"), "{started}: {open}");
    }
}

#[test]
fn what_somebody_left_open_for_the_shim_is_not_open_in_its_daemon() {
    let home = Home::new("command = \"cat\"\nowner = \"platform\"\n");
    fs::write(home.path("secret"), "hush").unwrap();
    let _agent = home.agent_that(r#"exec 9<"$HOME/secret"; "$@" <"$in" >"$out"; exit"#);
    let open = fs::read_dir(format!("/proc/{}/fd", home.daemon())).unwrap();
    let open: Vec<_> = open
        .filter_map(|one| fs::read_link(one.ok()?.path()).ok())
        .collect();
    assert!(open.len() > 3, "{open:?}");
    assert!(!open.iter().any(|one| one.ends_with("secret")), "{open:?}");
}
