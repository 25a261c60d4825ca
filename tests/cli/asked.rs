//! People who are asked at a terminal before something is lifted.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStderr, Output, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::RULES;
use crate::prompt::{Home, complaint, text};

/// A command that waits for somebody to say yes.
struct Asks {
    terminal: File,
    command: Child,
    said: ChildStderr,
}

impl Asks {
    fn begin(home: &Home, args: &[&str]) -> Asks {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let keyboard = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap());
        let mut command = home.command(args);
        command
            .stdin(OwnedFd::from(keyboard.unwrap()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut command = command.spawn().unwrap();
        let mut said = command.stderr.take().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"[y/N] ") {
            let mut one = [0];
            assert_eq!(said.read(&mut one).unwrap(), 1, "it does not ask");
            asked.extend(one);
        }
        Asks {
            terminal: File::from(terminal),
            command,
            said,
        }
    }

    fn yes(mut self) -> Output {
        self.terminal.write_all(b"y\n").unwrap();
        self.command.stderr = Some(self.said);
        self.command.wait_with_output().unwrap()
    }
}

#[test]
fn resume_lifts_what_it_has_shown_and_no_stop_that_came_since() {
    let home = Home::new(RULES);
    drop(home.agent());
    home.run(&["stop", "-m", "restart"]);
    let asks = Asks::begin(&home, &["resume"]);
    home.run(&["stop", "-m", "breach"]);
    let refused = asks.yes();
    assert_ne!(refused.status.code(), Some(0), "{refused:?}");
    assert!(
        complaint(&refused).contains("everything was stopped once more while you were asked"),
        "{refused:?}"
    );
    assert!(text(&home.run(&[])).contains("breach"));
    let lifted = Asks::begin(&home, &["resume"]).yes();
    assert_eq!(lifted.status.code(), Some(0), "{lifted:?}");
    assert!(text(&lifted).contains("lifted: everything may go on"));
    assert!(!text(&home.run(&[])).contains("breach"));
}

#[test]
fn resume_lifts_what_it_has_shown_from_the_stop_file_and_nothing_that_was_laid_since() {
    let home = Home::new(RULES);
    let file = home.state().join("STOP");
    home.run(&["stop", "-m", "restart"]);
    let asks = Asks::begin(&home, &["resume"]);
    home.run(&["stop", "-m", "breach"]);
    let lifted = text(&asks.yes());
    assert!(lifted.contains("still stopped: everything"), "{lifted}");
    assert!(lifted.contains("breach"), "{lifted}");
    let laid = fs::read_to_string(&file).unwrap();
    assert!(laid.contains("breach") && !laid.contains("restart"));
    let lifted = Asks::begin(&home, &["resume"]).yes();
    assert_eq!(lifted.status.code(), Some(0), "{lifted:?}");
    assert!(!file.exists());
}
