//! kill -9 at any moment, with eight writers at work: what was acknowledged is
//! there, what a tool server saw was recorded once, and the state follows.
//!
//! The child is this very program, started again. `TOLLGATE_CRASH_ROUNDS` sets
//! how often it is killed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; its helpers serve several programs"
)]

#[path = "stores/mod.rs"]
mod stores;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use stores::{call, context, futures, lines, print, raw, server, settlement, stop};
use tollgate::clock::SystemClock;
use tollgate::domain::{RunId, StopScope, Tier};
use tollgate::ports::{Admission, Query, Store};
use tollgate::store::{LocalStore, Setup};

const WRITERS: usize = 8;
const DIR: &str = "TOLLGATE_CRASH_DIR";
const ROUND: &str = "TOLLGATE_CRASH_ROUND";

fn setup(state: &Path) -> Setup {
    Setup {
        segment_bytes: 1 << 20,
        keep_every: Some(Duration::from_millis(20)),
        ..Setup::new(state, Arc::new(SystemClock::new()))
    }
}

/// One write, so that a kill leaves whole lines.
fn say(out: &mut impl Write, line: &str) {
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn child() {
    let (Ok(dir), Ok(round)) = (std::env::var(DIR), std::env::var(ROUND)) else {
        return;
    };
    let dir = Path::new(&dir);
    let store = LocalStore::open(setup(&dir.join("state"))).unwrap();
    // Not through println: the harness would hold it back.
    let pipe = || File::options().write(true).open("/proc/self/fd/1").unwrap();
    say(&mut pipe(), "#open");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, round) = (&store, &round);
            let mut options = OpenOptions::new();
            options.append(true).create(true);
            let mut tools = options.open(dir.join("tools.log")).unwrap();
            let mut acknowledged = pipe();
            scope.spawn(move || {
                for n in 0.. {
                    match writer {
                        0 if n % 4 == 0 => switch(store, &mut acknowledged, n / 4),
                        1 if n % 16 == 0 => pin(store, &mut acknowledged, round, n),
                        _ => one(
                            store,
                            &mut acknowledged,
                            &mut tools,
                            &format!("{round}-{writer}-{n}"),
                        ),
                    }
                }
            });
        }
    });
}

fn one(store: &LocalStore, acknowledged: &mut File, tools: &mut File, id: &str) {
    let mut call = call(id, "bot", "1");
    // What a person would have to approve is refused, and recorded as well.
    if id.ends_with('7') {
        call.tier = Tier::Irreversible;
    }
    match store.admit(&call, &context(r#"{"path":"/a"}"#)).unwrap() {
        Admission::Refused(_) => say(acknowledged, &format!("#refused {}", call.id)),
        Admission::Cleared(intent) => {
            let permit = futures(intent.permit()).unwrap();
            say(tools, permit.call().as_str());
            stores::settle(store, permit, &settlement("{}")).unwrap();
            say(acknowledged, &format!("#done {}", call.id));
        }
    }
}

fn switch(store: &LocalStore, acknowledged: &mut File, turn: usize) {
    let scope = StopScope::Run(RunId::from_tail("STOPPED"));
    if turn.is_multiple_of(2) {
        store.stop(stop(scope)).unwrap();
        say(acknowledged, "#stopped");
    } else {
        store.resume(&scope, "ann").unwrap();
        say(acknowledged, "#resumed");
    }
}

fn pin(store: &LocalStore, acknowledged: &mut File, round: &str, n: usize) {
    let text = format!("{round}-{n}");
    let definition = raw(&format!("\"{text}\""));
    store
        .pin(&server("files"), &text, &definition, print(&text))
        .unwrap();
    say(acknowledged, &format!("#pinned {text}"));
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_runs_twice_or_unrecorded() {
    let rounds = std::env::var("TOLLGATE_CRASH_ROUNDS").map_or(6, |n| n.parse().unwrap());
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut acknowledged = 0;
    let mut world = None;
    for round in 0..rounds {
        // A directory lives through some rounds, so that there is a past.
        if round % 10 == 0 {
            world = Some((tempfile::tempdir().unwrap(), None));
        }
        let (dir, stopped) = world.as_mut().unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        acknowledged += crash(dir.path(), round, seed >> 33, stopped);
    }
    println!("{rounds} kills, {acknowledged} acknowledged");
}

fn crash(dir: &Path, round: usize, chance: u64, stopped: &mut Option<bool>) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = Vec::new();
    let mut next = |said: &mut Vec<String>| {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        if let Some(whole) = line.strip_suffix('\n')
            && let Some((_, ours)) = whole.split_once('#')
        {
            said.push(ours.to_owned());
        }
        !line.is_empty()
    };
    if chance.is_multiple_of(5) {
        // In the middle of its start; when exactly is left to chance.
        std::thread::sleep(Duration::from_micros(chance % 60_000));
    } else {
        let enough = 1 + usize::try_from(chance % 600).unwrap();
        while said.len() < enough {
            assert!(next(&mut said), "the child ended by itself");
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    while next(&mut said) {}
    judge(dir, &said, stopped);
    said.len()
}

fn judge(dir: &Path, said: &[String], stopped: &mut Option<bool>) {
    let store = LocalStore::open(setup(&dir.join("state"))).unwrap();
    assert_eq!(store.verify().unwrap().broken, None);
    store.keep().unwrap();
    let check = store.check().unwrap();
    assert!(check.contains("so is what is kept"), "{check}");
    assert!(store.in_flight().is_empty(), "every intent is closed");

    let everything = Query {
        limit: Some(usize::MAX),
        ..Query::default()
    };
    let mut intents: HashMap<String, usize> = HashMap::new();
    let mut outcomes: HashMap<String, Vec<String>> = HashMap::new();
    let mut refused = HashMap::new();
    for record in lines(&store.query(&everything).unwrap()) {
        let call = || record["call"].as_str().unwrap().to_owned();
        match record["kind"].as_str().unwrap() {
            "call.intent" => *intents.entry(call()).or_default() += 1,
            "call.outcome" => outcomes
                .entry(call())
                .or_default()
                .push(record["outcome"].as_str().unwrap().to_owned()),
            "call.refused" => *refused.entry(call()).or_insert(0) += 1,
            _ => {}
        }
    }
    assert!(intents.values().chain(refused.values()).all(|n| *n == 1));
    for call in intents.keys() {
        assert_eq!(outcomes[call].len(), 1, "{call}");
    }
    let tools = std::fs::read_to_string(dir.join("tools.log")).unwrap_or_default();
    let mut executed: HashMap<&str, usize> = HashMap::new();
    for call in tools.lines() {
        *executed.entry(call).or_default() += 1;
        assert_eq!(intents.get(call), Some(&1), "{call} ran and has one intent");
    }
    assert!(executed.values().all(|n| *n == 1), "none ran twice");

    let pins: Vec<String> = store.pins().into_iter().map(|pin| pin.tool).collect();
    for line in said {
        match line.split_once(' ') {
            Some(("done", call)) => assert_eq!(outcomes[call], ["done"], "{call}"),
            Some(("refused", call)) => assert_eq!(refused.get(call), Some(&1)),
            Some(("pinned", tool)) => assert!(pins.iter().any(|pin| pin == tool), "{tool}"),
            _ if line == "stopped" => *stopped = Some(true),
            _ if line == "resumed" => *stopped = Some(false),
            _ => assert_eq!(line, "open"),
        }
    }
    // The next turn of the switch may have been recorded and not acknowledged:
    // an acknowledged stop can then be lifted, by a record that says so.
    let scope = StopScope::Run(RunId::from_tail("STOPPED"));
    let in_force = store.stops().all().iter().any(|stop| stop.scope == scope);
    if let Some(acknowledged) = *stopped
        && acknowledged != in_force
    {
        let turns = lines(&store.query(&everything).unwrap());
        let mut turns = turns
            .iter()
            .filter(|record| matches!(record["kind"].as_str(), Some("stop" | "resume")));
        let last = turns.next_back().unwrap();
        assert_eq!(last["kind"] == "stop", in_force);
    }
    *stopped = Some(in_force);
    store.close();
}
