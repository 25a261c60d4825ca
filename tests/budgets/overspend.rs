//! A budget that is asked for by many at once is not overspent by one: with real
//! connections of two agents, and with tollgate killed in the middle.
//!
//! The child that is killed is this very program, started again;
//! `TOLLGATE_CRASH_ROUNDS` sets how often.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::agent::Agent;
use crate::support::home::Home;
use crate::world::{Flying, World, only};
use tollgate::clock::SetClock;
use tollgate::ports::Store;

const DAY_OF_40: &str = "[budget]\nrun = \"none\"\nhour = \"none\"\nmonth = \"none\"\n\
                         action = \"none\"\nday = { cost = \"40.00 USD\" }\n";
const DOLLAR: &str = "[tools.buy]\ntier = \"read\"\ncost = \"1.00 USD\"\n";
const MICROS: u64 = 1_000_000;

fn main_toml() -> String {
    only(DAY_OF_40)
}

#[test]
fn of_1000_calls_of_a_dollar_at_once_exactly_40_pass_a_day_of_40() {
    for connections in [1, 8, 64] {
        let home = Home::new();
        fs::write(home.at("config/tollgate.toml"), main_toml()).unwrap();
        let settings = format!("instances = \"shared\"\n{DOLLAR}");
        let mut shop = home.server_with("shop", "call buy: text bought", &settings);
        let mut agents: Vec<Agent> = (0..connections)
            .map(|nth| home.beside(if nth % 2 == 0 { "bot" } else { "eve" }))
            .collect();
        agents[0].until_listed(&["shop__buy"]);
        let calls: Vec<Vec<u64>> = agents
            .iter_mut()
            .enumerate()
            .map(|(nth, agent)| {
                let share = 1000 / connections + usize::from(nth < 1000 % connections);
                (0..share)
                    .map(|n| agent.call("shop__buy", &format!("{{\"n\":\"{nth}-{n}\"}}")))
                    .collect()
            })
            .collect();
        let mut passed = 0;
        let mut refused = 0;
        for (agent, calls) in agents.iter_mut().zip(calls) {
            for call in calls {
                let answer = agent.answer(call);
                if answer.contains("BUDGET_DAY_COST") {
                    refused += 1;
                } else {
                    assert!(answer.contains("bought"), "{answer}");
                    passed += 1;
                }
            }
        }
        assert_eq!((passed, refused), (40, 960), "{connections} connections");
        assert_eq!(shop.count("tools/call"), 40, "as the server counts them");
        println!("{connections} connections: {passed} passed, {refused} refused, 0 overspent");
    }
}

const DIR: &str = "TOLLGATE_OVERSPEND_DIR";
const ROUND: &str = "TOLLGATE_OVERSPEND_ROUND";
const BUYERS: usize = 8;

/// The noon of a day of its own for each round.
fn noon(round: usize) -> Arc<SetClock> {
    let first: jiff::Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let days = i64::try_from(round).unwrap() * 24;
    Arc::new(SetClock::at(first + jiff::SignedDuration::from_hours(days)))
}

fn world(dir: &Path, round: usize) -> World {
    World::in_place(dir, noon(round), &main_toml(), DOLLAR)
}

/// Buys until nothing more may be bought, and then waits to be killed.
#[test]
fn child() {
    let (Ok(dir), Ok(round)) = (std::env::var(DIR), std::env::var(ROUND)) else {
        return;
    };
    let dir = Path::new(&dir);
    let world = world(dir, round.parse().unwrap());
    // Not through println: the harness would hold it back.
    let pipe = || File::options().write(true).open("/proc/self/fd/1").unwrap();
    let say = |out: &mut File, line: &str| out.write_all(format!("{line}\n").as_bytes());
    std::thread::scope(|scope| {
        for buyer in 0..BUYERS {
            let mut shop = OpenOptions::new();
            let mut shop = shop.append(true).open(dir.join("shop.log")).unwrap();
            let (mut told, world, round) = (pipe(), &world, &round);
            scope.spawn(move || {
                for n in 0.. {
                    let agent = if buyer % 2 == 0 { "bot" } else { "eve" };
                    let id = format!("{round}-{buyer}-{n}");
                    let mut call = world.named_call(&id, agent, "buy");
                    call.run = tollgate::domain::RunId::from_tail(&format!("{round}-{buyer}"));
                    let Ok(Flying { call, permit }) = world.ask(call) else {
                        say(&mut told, "#refused").unwrap();
                        std::thread::park();
                        return;
                    };
                    say(&mut shop, call.id.as_str()).unwrap();
                    world.done(Flying { call, permit });
                    say(&mut told, "#bought").unwrap();
                }
            });
        }
    });
}

#[test]
fn a_kill_in_the_middle_neither_overspends_nor_charges_twice_nor_forgets() {
    let rounds = std::env::var("TOLLGATE_CRASH_ROUNDS").map_or(6, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    File::create(dir.path().join("shop.log")).unwrap();
    let mut bought = 0;
    for round in 0..rounds {
        bought += crash(dir.path(), round);
    }
    println!(
        "{rounds} kills in the middle of a day of 40: {bought} bought, never more than 40 a day"
    );
}

fn crash(dir: &Path, round: usize) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "overspend::child", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // From before the first to after the last that can be bought.
    let enough = round % 44;
    let mut said = 0;
    while said < enough {
        let line = lines.next().unwrap().unwrap();
        said += usize::from(line.contains("#bought") || line.contains("#refused"));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let acknowledged = lines
        .map_while(Result::ok)
        .filter(|line| line.contains("#bought"));
    let acknowledged = acknowledged.count();

    let mut world = world(dir, round);
    let (used, reserved) = world.level("day.cost");
    assert_eq!(reserved, 0, "what was under way is charged by now");
    assert!(used <= 40 * MICROS, "{used} in round {round}");
    let mine = format!("c-{round}-");
    let count = |kind: &str| -> BTreeMap<String, usize> {
        let mut calls = BTreeMap::new();
        for record in world.all_records() {
            let call = record["call"].as_str().unwrap_or_default();
            if record["kind"] == kind && call.starts_with(&mine) {
                *calls.entry(call.to_owned()).or_default() += 1;
            }
        }
        calls
    };
    let (intents, outcomes) = (count("call.intent"), count("call.outcome"));
    assert_eq!(
        used,
        intents.len() as u64 * MICROS,
        "each once, none forgotten"
    );
    assert_eq!(intents, outcomes);
    assert!(intents.values().all(|times| *times == 1));
    assert!(acknowledged <= intents.len());
    let shop = fs::read_to_string(dir.join("shop.log")).unwrap();
    let sold: Vec<&str> = shop
        .lines()
        .filter(|call| call.starts_with(&mine))
        .collect();
    assert!(sold.len() <= intents.len());
    assert!(sold.iter().all(|call| intents.contains_key(*call)));

    // What is left of the day can still be bought, and not a dollar more.
    let mut more = 0;
    while world.again() == Ok(()) {
        more += 1;
    }
    assert_eq!(intents.len() + more, 40, "round {round}");
    assert_eq!(world.level("day.cost"), (40 * MICROS, 0));
    world.store().keep().unwrap();
    world.store().check().unwrap();
    world.store().close();
    intents.len()
}
