//! A tool server that does what a script says, right or wrong: raw lines, no SDK.
//!
//!     double SCRIPT [SOCKET]
//!
//! `double/script.rs` has the language. To the socket it tells `start PID` and
//! every line it gets; from it, it takes `say LINE`, `go`, `offer TOOL` and
//! `exit STATUS`, so that a test decides when something happens, and `mark`,
//! which it tells back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a part of the tests: it ends where something is wrong with them"
)]

#[path = "raw.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the tests, which use more of it"
)]
mod raw;
#[path = "double/script.rs"]
mod script;
#[path = "double/stage.rs"]
mod stage;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use script::Script;
use stage::Stage;

fn main() {
    let mut args = std::env::args().skip(1);
    let script = args.next().expect("a script");
    let script = std::fs::read_to_string(script).expect("a script that can be read");
    let test = args
        .next()
        .map(|path| UnixStream::connect(path).expect("somebody who listens"));
    let orders = test.as_ref().map(|test| test.try_clone().unwrap());
    let told = Arc::new(Mutex::new(test));
    tell(&told, &format!("start {}", std::process::id()));
    let stage = Arc::new(Stage::new(Script::parse(&script)));
    if let Some(orders) = orders {
        let (stage, told) = (stage.clone(), told.clone());
        std::thread::spawn(move || {
            for order in BufReader::new(orders).lines().map_while(Result::ok) {
                match order.as_str() {
                    "mark" => tell(&told, "mark"),
                    order => stage.obey(order),
                }
            }
        });
    }
    stage.begin();
    let mut held = Vec::new();
    let mut enough = stage.lines();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        stage.overhear(&line);
        tell(&told, &line);
        held.push(line);
        if held.len() >= enough {
            enough = 0;
            held.drain(..).for_each(|line| stage.receive(&line));
        }
        stage.reads_on();
    }
}

/// Whole: a mark in the middle of a long line would be neither.
fn tell(told: &Mutex<Option<UnixStream>>, line: &str) {
    if let Some(told) = &mut *told.lock().unwrap() {
        // A test that has ended does not listen any more.
        let _ = told.write_all(format!("{line}\n").as_bytes());
    }
}
