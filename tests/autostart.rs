//! The processes: one daemon however many shims, clear errors, and nobody left
//! in the dark when one of them ends. Real processes, real descriptors.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy allows these in tests but not in what tests call"
)]

mod processes;

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Output, Stdio};

use processes::{Agent, Home, program};
use rustix::process::Signal;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn exit_code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

#[test]
fn thirty_two_shims_at_once_start_exactly_one_daemon() {
    let home = Home::new();
    let mut agents: Vec<Agent> = (0..32).map(|_| home.agent()).collect();
    let mut pids: Vec<String> = agents.iter_mut().map(|agent| agent.ask("pid")).collect();
    pids.dedup();
    assert_eq!(pids.len(), 1, "{pids:?}");
    let log = home.log();
    assert_eq!(log.matches("tollgate is up").count(), 1, "{log}");
    // They waited for their turn: nobody started a second one only to lose.
    assert!(!log.contains("holds the state"), "{log}");
}

#[test]
fn a_stale_socket_is_replaced_under_the_lock() {
    let home = Home::new();
    let first = home.agent().ask("pid");
    let daemon = home.daemon();
    daemon.send(Signal::KILL);
    daemon.ended();
    assert!(home.socket("agent.sock").exists());
    assert_ne!(home.agent().ask("pid"), first);
}

#[test]
fn where_a_daemon_that_is_gone_had_its_sockets_is_in_nobodys_way() {
    let home = Home::new();
    let first = home.agent().ask("pid");
    let daemon = home.daemon();
    daemon.send(Signal::KILL);
    daemon.ended();
    // Somebody else has that directory by now, as one below `/tmp` after a restart.
    let open = home.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    let mut holder = home.holder();
    holder["run"] = open.join("0").to_str().unwrap().into();
    fs::write(home.state().join("daemon.lock"), holder.to_string()).unwrap();
    assert_ne!(home.agent().ask("pid"), first);
}

#[test]
fn a_state_that_others_can_read_is_refused() {
    let home = Home::new();
    fs::create_dir_all(home.state()).unwrap();
    fs::set_permissions(home.state(), Permissions::from_mode(0o755)).unwrap();
    for args in [&["stdio", "--agent", "me"][..], &["daemon"], &["tools"]] {
        let output = home.run(args);
        assert_eq!(exit_code(&output), 1);
        let said = text(&output.stderr);
        assert!(said.contains("its mode is 0755"), "{said}");
        assert!(said.contains("chmod 700 "), "{said}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn a_state_of_somebody_else_is_refused() {
    let home = Home::new();
    let (state, owner) = if rustix::process::geteuid().is_root() {
        fs::create_dir_all(home.state()).unwrap();
        std::os::unix::fs::chown(home.state(), Some(65534), None).unwrap();
        (home.state(), 65534)
    } else {
        ("/".into(), 0)
    };
    let output = home.stdio().env("TOLLGATE_STATE", state).output().unwrap();
    assert_eq!(exit_code(&output), 1);
    let said = text(&output.stderr);
    assert!(said.contains(&format!("belongs to user {owner}")), "{said}");
}

#[test]
fn another_version_is_told_both_versions_and_the_way_out() {
    let home = Home::new();
    home.agent().ask("hello");
    for (socket, line) in [
        ("agent.sock", r#"{"hello":1,"version":"9.9.9"}"#),
        (
            "control.sock",
            r#"{"control":1,"version":"9.9.9","config":"/c","request":{"ask":"status"}}"#,
        ),
    ] {
        let answer = say_to(&home, socket, line);
        let refused = &answer["refused"];
        assert_eq!(refused["code"], "OTHER_VERSION");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("9.9.9"), "{message}");
        assert!(message.contains(env!("CARGO_PKG_VERSION")), "{message}");
        let hint = refused["hint"].as_str().unwrap();
        assert!(hint.contains("tollgate stop-daemon"), "{hint}");
    }
}

#[test]
fn a_hello_without_descriptors_is_refused() {
    let home = Home::new();
    home.agent().ask("hello");
    let config = home.holder()["config"].clone();
    let version = home.holder()["version"].clone();
    let line = format!(
        r#"{{"hello":2,"version":{version},"agent":"me","run":null,"config":{config},"token":null}}"#
    );
    let answer = say_to(&home, "agent.sock", &line);
    assert_eq!(answer["refused"]["code"], "DESCRIPTORS");
}

fn say_to(home: &Home, socket: &str, line: &str) -> serde_json::Value {
    let mut daemon = UnixStream::connect(home.socket(socket)).unwrap();
    // Who is turned away unheard can still read why.
    let _ = writeln!(daemon, "{line}");
    let mut answer = String::new();
    BufReader::new(daemon).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn another_configuration_on_the_same_state_is_told_both() {
    let home = Home::new();
    let (one, other) = (home.path("one"), home.path("other"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&other).unwrap();
    let stdio = |config: &std::path::Path| {
        let mut command = home.stdio();
        command
            .env("TOLLGATE_STATE", home.state())
            .env("TOLLGATE_CONFIG", config);
        command
    };
    let mut first = Agent::over_pipes(stdio(&one));
    first.ask("hello");
    let output = stdio(&other).stdin(Stdio::null()).output().unwrap();
    assert_eq!(exit_code(&output), 3);
    let said = text(&output.stderr);
    assert!(said.contains(one.to_str().unwrap()), "{said}");
    assert!(said.contains(other.to_str().unwrap()), "{said}");
    assert_eq!(first.ask("still here"), "still here");
}

#[test]
fn another_configuration_has_a_daemon_of_its_own() {
    let home = Home::new();
    let other = home.path("other");
    fs::create_dir(&other).unwrap();
    let args = [
        "--config",
        other.to_str().unwrap(),
        "stdio",
        "--agent",
        "me",
    ];
    let (mut one, mut two) = (home.agent(), Agent::over_pipes(home.command(&args)));
    assert_ne!(one.ask("pid"), two.ask("pid"));
    let stopped = home.run(&["--config", other.to_str().unwrap(), "stop-daemon"]);
    assert_eq!(exit_code(&stopped), 0);
    two.hears_the_end();
    assert_eq!(one.ask("still here"), "still here");
}

#[test]
fn another_user_is_refused_even_root() {
    if !rustix::process::geteuid().is_root() {
        // Only root gets as far as the socket; `listen` has the rest.
        return;
    }
    use std::os::unix::process::CommandExt;
    let home = Home::new();
    let nobody = 65534;
    std::os::unix::fs::chown(home.path(""), Some(nobody), None).unwrap();
    // The build may lie where only root can read. Copied by another process: a descriptor that
    // writes to it must not slip into what other tests start meanwhile.
    let copy = home.path("program");
    let copied = Command::new("cp").arg(program()).arg(&copy).status();
    assert!(copied.unwrap().success());
    let mut shim = Command::new(&copy);
    let envs = home.stdio();
    for (name, value) in envs.get_envs() {
        shim.env(name, value.unwrap());
    }
    shim.args(["stdio", "--agent", "me"]).uid(nobody);
    let mut agent = Agent::over_pipes(shim);
    agent.ask("hello");
    let line = r#"{"hello":1,"version":"9.9.9"}"#;
    let answer = say_to(&home, "agent.sock", line);
    // Our own `stop-daemon` would be refused as well.
    let daemon = home.daemon();
    daemon.send(Signal::TERM);
    daemon.ended();
    assert_eq!(answer["refused"]["code"], "OTHER_USER");
}

#[test]
fn an_orderly_stop_ends_the_shims_well() {
    let home = Home::new();
    let mut agent = home.agent();
    let first = agent.ask("pid");
    let stopped = home.run(&["stop-daemon"]);
    assert_eq!(exit_code(&stopped), 0, "{}", text(&stopped.stderr));
    assert!(text(&stopped.stdout).contains(&first));
    agent.hears_the_end();
    let (status, said) = agent.end();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    assert!(!home.socket("agent.sock").exists());
    assert_ne!(home.agent().ask("pid"), first);
}

#[test]
fn a_thread_that_hangs_does_not_keep_a_daemon_from_leaving() {
    let home = Home::new();
    let mut agent = home.agent();
    agent.ask("hang");
    let daemon = home.daemon();
    let stopped = home.run(&["stop-daemon"]);
    assert_eq!(exit_code(&stopped), 0, "{}", text(&stopped.stderr));
    agent.hears_the_end();
    daemon.ended();
}

#[test]
fn a_signal_is_an_orderly_stop_too() {
    let home = Home::new();
    let mut agent = home.agent();
    agent.ask("hello");
    home.daemon().send(Signal::TERM);
    agent.hears_the_end();
    assert_eq!(agent.end().0.code(), Some(0));
}

#[test]
fn a_hangup_that_was_to_be_ignored_ends_no_daemon() {
    let home = Home::new();
    // What `nohup` does, and what is started inherits it.
    let mut agent = Agent::over_pipes(home.through(
        "/bin/sh",
        &["-c", "trap '' HUP INT; exec \"$0\" stdio --agent me"],
    ));
    let pid = agent.ask("pid");
    let daemon = home.daemon();
    for signal in [Signal::HUP, Signal::INT] {
        daemon.send(signal);
        for _ in 0..20 {
            assert_eq!(agent.ask("pid"), pid);
        }
    }
    assert_eq!(home.agent().ask("pid"), pid);
    daemon.send(Signal::TERM);
    daemon.ended();
}

#[test]
fn a_killed_daemon_ends_its_shims_with_one_and_the_agent_sees_the_end() {
    let home = Home::new();
    let mut agents = [
        Agent::over_pipes(home.stdio()),
        Agent::over_two_pairs(home.stdio()),
        Agent::over_one_pair(home.stdio()),
    ];
    for agent in &mut agents {
        agent.ask("hello");
    }
    home.daemon().send(Signal::KILL);
    for mut agent in agents {
        agent.hears_the_end();
        let (status, said) = agent.end();
        assert_eq!(status.code(), Some(1));
        assert!(said.starts_with("tollgate: the daemon died"), "{said}");
    }
}

#[test]
fn a_stopped_shim_does_not_hide_that_the_daemon_died() {
    let home = Home::new();
    let mut agent = home.agent();
    agent.ask("hello");
    agent.shim_process().send(Signal::STOP);
    home.daemon().send(Signal::KILL);
    agent.hears_the_end();
    agent.shim_process().send(Signal::CONT);
    assert_eq!(agent.end().0.code(), Some(1));
}

#[test]
fn a_killed_shim_ends_the_session() {
    let home = Home::new();
    let mut agent = home.agent();
    agent.ask("hello");
    agent.shim_process().send(Signal::KILL);
    agent.hears_the_end();
    assert_eq!(home.agent().ask("still here"), "still here");
}

#[test]
fn an_agent_that_leaves_leaves_nothing_behind() {
    let home = Home::new();
    let mut watcher = home.agent();
    watcher.ask("hello");
    let before = home.daemon().descriptors();
    for over in [
        Agent::over_pipes,
        Agent::over_two_pairs,
        Agent::over_one_pair,
    ] {
        let mut agent = over(home.stdio());
        agent.ask("hello");
        agent.vanish();
        let (status, said) = agent.end();
        assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    }
    // The goodbye and the closing are one step of the daemon, so an answer comes after both.
    watcher.ask("hello");
    assert_eq!(home.daemon().descriptors(), before);
}

#[test]
fn socket_pairs_pass_as_pipes_do() {
    let home = Home::new();
    for over in [
        Agent::over_pipes,
        Agent::over_two_pairs,
        Agent::over_one_pair,
    ] {
        let mut agent = over(home.stdio());
        assert_eq!(agent.ask("there and back"), "there and back");
        if let Some(input) = &agent.input {
            // A pipe has no such call; it is closed below.
            let _ = rustix::net::shutdown(input, rustix::net::Shutdown::Write);
        }
        agent.leave();
        agent.hears_the_end();
        assert_eq!(agent.end().0.code(), Some(0));
    }
}

#[test]
fn a_file_is_copied_through() {
    let home = Home::new();
    let (input, output) = (home.path("input"), home.path("output"));
    let lines: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    fs::write(&input, &lines).unwrap();
    let status = home
        .stdio()
        .stdin(File::open(&input).unwrap())
        .stdout(File::create(&output).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(fs::read_to_string(&output).unwrap() == lines);
}

#[test]
fn a_pipe_beside_a_file_is_copied_through() {
    let home = Home::new();
    let output = home.path("output");
    let mut shim = home
        .stdio()
        .stdin(Stdio::piped())
        .stdout(File::create(&output).unwrap())
        .spawn()
        .unwrap();
    let mut input = shim.stdin.take().unwrap();
    input.write_all(b"one\ntwo\n").unwrap();
    drop(input);
    assert_eq!(shim.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(&output).unwrap(), "one\ntwo\n");
}

#[test]
fn a_slow_reader_gets_the_whole_copy() {
    let home = Home::new();
    let input = home.path("input");
    let lines: Vec<String> = (0..10_000).map(|n| format!("line {n}")).collect();
    fs::write(&input, lines.join("\n")).unwrap();
    let mut agent = Agent::over_pipes_from(home.stdio(), File::open(&input).unwrap());
    // Time for the daemon to be done with its side, and for a hasty shim to leave.
    for _ in 0..5 {
        home.run(&["servers"]);
    }
    for line in lines {
        assert_eq!(agent.hear(), Some(line));
    }
    agent.hears_the_end();
    assert_eq!(agent.end().0.code(), Some(0));
}

#[test]
fn a_copying_shim_notices_that_the_daemon_died() {
    let home = Home::new();
    // A datagram socket doesn't pass, and the agent hears through it all the same.
    let (agent, stdout) = UnixDatagram::pair().unwrap();
    let mut shim = home
        .stdio()
        .stdin(Stdio::piped())
        .stdout(OwnedFd::from(stdout))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shim.stdin.take().unwrap();
    input.write_all(b"hello\n").unwrap();
    let mut heard = [0; 64];
    let count = agent.recv(&mut heard).unwrap();
    assert_eq!(&heard[..count], b"hello\n");
    home.daemon().send(Signal::KILL);
    let output = shim.wait_with_output().unwrap();
    assert_eq!(exit_code(&output), 1);
    let said = text(&output.stderr);
    assert!(said.starts_with("tollgate: the daemon died"), "{said}");
}

#[test]
fn nothing_and_closed_input_end_at_once() {
    let home = Home::new();
    let output = home.stdio().stdin(Stdio::null()).output().unwrap();
    assert_eq!((exit_code(&output), text(&output.stdout)), (0, ""));
    let line = format!("exec {} stdio --agent me <&-", program().display());
    let mut shell = Command::new("/bin/sh");
    for (name, value) in home.stdio().get_envs() {
        shell.env(name, value.unwrap());
    }
    let output = shell.args(["-c", &line]).output().unwrap();
    assert_eq!((exit_code(&output), text(&output.stdout)), (0, ""));
}

#[test]
fn a_daemon_that_cannot_start_tells_the_shim_why() {
    let home = Home::new();
    fs::write(home.path("config/tollgate/broken"), "").unwrap();
    let output = home.run(&["stdio", "--agent", "me"]);
    assert_eq!(exit_code(&output), 1);
    assert_eq!(
        text(&output.stderr),
        "tollgate: this configuration is broken\n  hint: mend it\n"
    );
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_variable_that_the_daemon_cannot_read_is_told_by_the_shim() {
    let home = Home::new();
    let mut command = home.command(&["stdio", "--agent", "me"]);
    let output = command.env("TOLLGATE_IDLE_EXIT", "soon").output().unwrap();
    assert_eq!(exit_code(&output), 2);
    assert_eq!(
        text(&output.stderr),
        "tollgate: TOLLGATE_IDLE_EXIT is `soon`, not a number of seconds\n"
    );
}

#[test]
fn a_daemon_that_dies_at_its_start_keeps_no_shim_waiting() {
    let home = Home::new();
    fs::write(home.path("config/tollgate/deadly"), "").unwrap();
    let output = home.run(&["stdio", "--agent", "me"]);
    assert_eq!(exit_code(&output), 1);
    let said = text(&output.stderr);
    assert!(
        said.contains("the daemon died at its start: signal: 6"),
        "{said}"
    );
    assert!(said.contains("daemon.log"), "{said}");
}

#[test]
fn a_panic_in_one_session_ends_that_session_only() {
    let home = Home::new();
    let (mut one, mut other) = (home.agent(), home.agent());
    other.ask("hello");
    one.say("panic");
    one.hears_the_end();
    assert_eq!(one.end().0.code(), Some(1));
    assert_eq!(other.ask("still here"), "still here");
    let home = Home::new();
    let mut alone = Agent::over_pipes(home.command(&["stdio", "--agent", "me", "--embedded"]));
    alone.say("panic");
    alone.hears_the_end();
    assert_eq!(alone.end().0.code(), Some(1));
}

#[test]
fn a_refused_agent_learns_why_on_stderr_and_by_the_exit_code() {
    let home = Home::new();
    for (agent, code, reason) in [
        ("stranger", 3, "no agent is called `stranger`"),
        ("locked", 4, "the agent `locked` needs a token"),
        ("not a name", 2, "cannot stand in a name"),
    ] {
        let output = home.run(&["stdio", "--agent", agent]);
        assert_eq!(exit_code(&output), code);
        let said = text(&output.stderr);
        assert!(said.contains(reason), "{said}");
        assert_eq!(text(&output.stdout), "");
    }
    let output = home
        .command(&["stdio", "--agent", "locked"])
        .env("TOLLGATE_TOKEN", "secret")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(exit_code(&output), 0);
}

#[test]
fn a_second_daemon_is_told_of_the_first() {
    let home = Home::new();
    let first = home.agent().ask("pid");
    let output = home.run(&["daemon"]);
    assert_eq!(exit_code(&output), 1);
    let said = text(&output.stderr);
    assert!(said.contains(&format!("process {first} ")), "{said}");
    assert!(said.contains("tollgate stop-daemon"), "{said}");
}

#[test]
fn a_stripped_environment_still_finds_the_daemon() {
    let home = Home::new();
    let first = home.agent().ask("pid");
    let mut stripped = home.stdio();
    stripped.env_remove("XDG_RUNTIME_DIR");
    assert_eq!(Agent::over_pipes(stripped).ask("pid"), first);
}

#[test]
fn an_idle_daemon_leaves() {
    let home = Home::new();
    let mut command = home.stdio();
    command.env("TOLLGATE_IDLE_EXIT", "0");
    let mut agent = Agent::over_pipes(command);
    agent.ask("hello");
    let daemon = home.daemon();
    assert_eq!(agent.end_of_input().code(), Some(0));
    daemon.ended();
}

#[test]
fn asking_starts_no_daemon_and_makes_no_directory() {
    let home = Home::new();
    let status = home.run(&[]);
    assert_eq!(exit_code(&status), 0);
    assert!(text(&status.stdout).starts_with("tollgate is not running\n"));
    let tools = home.run(&["tools"]);
    assert_eq!(exit_code(&tools), 1);
    assert!(text(&tools.stderr).contains("not running"));
    assert_eq!(exit_code(&home.run(&["stop-daemon"])), 0);
    assert!(!home.path("state").exists() && !home.path("run").exists());
}

#[test]
fn output_that_nobody_reads_is_not_an_error() {
    let home = Home::new();
    let (read, write) = rustix::pipe::pipe().unwrap();
    drop(read);
    let output = home
        .command(&["completions", "bash"])
        .stdout(write)
        .output()
        .unwrap();
    assert_eq!((exit_code(&output), text(&output.stderr)), (0, ""));
}

#[test]
fn embedded_serves_its_one_agent_under_the_same_lock() {
    let home = Home::new();
    let mut agent = Agent::over_pipes(home.command(&["stdio", "--agent", "me", "--embedded"]));
    assert_eq!(agent.ask("pid"), agent.shim.id().to_string());
    let output = home.run(&["stdio", "--agent", "me"]);
    assert_eq!(exit_code(&output), 1);
    let said = text(&output.stderr);
    assert!(said.contains("--embedded"), "{said}");
    assert_eq!(exit_code(&home.run(&["servers"])), 0);
    assert_eq!(agent.end_of_input().code(), Some(0));
}

#[test]
fn embedded_copies_files_too() {
    let home = Home::new();
    let (input, output) = (home.path("input"), home.path("output"));
    fs::write(&input, "one\ntwo\n").unwrap();
    let status = home
        .command(&["stdio", "--agent", "me", "--embedded"])
        .stdin(File::open(&input).unwrap())
        .stdout(File::create(&output).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_to_string(&output).unwrap(), "one\ntwo\n");
}
