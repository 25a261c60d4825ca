//! Bad days of the store: either it works, or it refuses with one clear sentence
//! and the way out. Never a lost stop, never a wrong pin.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; its helpers serve several programs"
)]

mod simdisk;
#[path = "stores/mod.rs"]
mod stores;
#[path = "limits/mod.rs"]
mod world;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use simdisk::{Dice, SimDisk, Step, cuts, every};
use stores::{
    call, context, done, futures, lines, permit, print, raw, refused, server, stop, tool,
};
use tollgate::clock::SetClock;
use tollgate::domain::{AgentName, Fault, HaltKind, StopScope};
use tollgate::ports::{Admission, Context, Query, Store};
use tollgate::store::journal::{Loss, Pace};
use tollgate::store::{LocalStore, Setup};
use world::{World, only};

const STATE: &str = "/state";

/// What is done to a state directory.
type Harm = fn(&Path);

fn clock() -> Arc<SetClock> {
    Arc::new(SetClock::at("2026-01-01T12:00:00Z".parse().unwrap()))
}

fn real(state: &Path) -> Setup {
    Setup::new(state, clock())
}

/// Nothing but the journal, on a disk that does what it is told.
fn simulated(disk: &SimDisk, segment_bytes: u64) -> Setup {
    Setup {
        disk: Arc::new(disk.clone()),
        segment_bytes,
        pace: Pace::Inline,
        keep_every: None,
        ..Setup::new(Path::new(STATE), clock())
    }
}

fn bot() -> StopScope {
    StopScope::Agent(AgentName::parse("bot").unwrap())
}

fn run(store: &dyn Store, id: &str) {
    done(
        store,
        permit(store, &call(id, "ann", "1"), &context(r#"{"a":1}"#)),
    );
}

/// Stops, pins and calls, in several checkpoints.
fn lived_in(state: &Path) {
    let store = LocalStore::open(real(state)).unwrap();
    for n in 0..6 {
        let text = format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(5000));
        store
            .pin(
                &server("files"),
                &format!("t{n}"),
                &raw(&text),
                print(&text),
            )
            .unwrap();
        for m in 0..30 {
            run(&store, &format!("{n}-{m}"));
        }
        if n == 2 {
            store.stop(stop(bot())).unwrap();
        }
        store.keep().unwrap();
    }
    store
        .pin(&server("files"), "t0", &raw("\"other\""), print("other"))
        .unwrap();
    store.close();
}

fn as_lived_in(store: &LocalStore) {
    assert_eq!(store.stops().all(), [stop(bot())]);
    assert_eq!(refused(store, &call("z", "bot", "1")), "STOPPED");
    let pins = store.pins();
    assert_eq!(pins.len(), 6);
    for (n, pin) in pins.iter().enumerate() {
        let text = format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(5000));
        assert_eq!(
            (pin.accepted, pin.definition.text()),
            (print(&text), text.as_str())
        );
        assert_eq!(pin.offered.is_some(), n == 0);
    }
    store.check().unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn aside(state: &Path) -> usize {
    let names = fs::read_dir(state)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().contains(".bad-"))
        .count()
}

#[test]
fn a_flipped_bit_anywhere_in_sled_never_makes_a_wrong_stop_or_pin() {
    let home = tempfile::tempdir().unwrap();
    let good = home.path().join("good");
    lived_in(&good);
    let flips = std::env::var("TOLLGATE_FLIPS").map_or(32, |n| n.parse().unwrap());
    let db = fs::read(good.join("state.sled/db")).unwrap();
    let used: Vec<usize> = (0..db.len()).filter(|at| db[*at] != 0).collect();
    assert!(used.len() > 10_000, "{}", used.len());
    let rebuilt = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (good, home, db, used, rebuilt) = (&good, home.path(), &db, &used, &rebuilt);
            scope.spawn(move || {
                let mut dice = Dice(half);
                // One in nine makes sled be built anew: on until one did.
                let enough = |flip| flip >= flips / 2 && rebuilt.load(Ordering::Relaxed) > 0;
                for flip in (0..flips.max(400)).take_while(|flip| !enough(*flip)) {
                    let state = home.join(format!("{half}-{flip}"));
                    copy(good, &state);
                    let mut bad = db.clone();
                    bad[used[dice.below(used.len())]] ^= 1 << dice.below(8);
                    fs::write(state.join("state.sled/db"), bad).unwrap();
                    let store = LocalStore::open(real(&state)).unwrap();
                    as_lived_in(&store);
                    store.close();
                    rebuilt.fetch_add(aside(&state), Ordering::Relaxed);
                    as_lived_in(&LocalStore::open(real(&state)).unwrap());
                    fs::remove_dir_all(&state).unwrap();
                }
            });
        }
    });
    println!(
        "{flips} flips or more, {} rebuilt",
        rebuilt.load(Ordering::Relaxed)
    );
    assert!(rebuilt.load(Ordering::Relaxed) > 0);
}

#[test]
fn sled_is_built_anew_when_it_is_deleted_emptied_or_cut() {
    let home = tempfile::tempdir().unwrap();
    let good = home.path().join("good");
    lived_in(&good);
    let harms: [Harm; 6] = [
        |sled| fs::remove_dir_all(sled).unwrap(),
        |sled| fs::remove_file(sled.join("db")).unwrap(),
        |sled| fs::remove_file(sled.join("conf")).unwrap(),
        |sled| fs::write(sled.join("db"), b"").unwrap(),
        |sled| fs::write(sled.join("conf"), b"nonsense").unwrap(),
        |sled| {
            let db = fs::read(sled.join("db")).unwrap();
            fs::write(sled.join("db"), &db[..db.len() / 2]).unwrap();
        },
    ];
    for (n, harm) in harms.into_iter().enumerate() {
        let state = home.path().join(n.to_string());
        copy(&good, &state);
        harm(&state.join("state.sled"));
        let store = LocalStore::open(real(&state)).unwrap();
        as_lived_in(&store);
        store.keep().unwrap();
        assert_eq!(store.unkept(), None);
        assert!(store.check().unwrap().contains("so is what is kept"), "{n}");
    }
}

#[test]
fn an_older_sled_is_replayed_up_to_the_journal() {
    let home = tempfile::tempdir().unwrap();
    let (good, old) = (home.path().join("good"), home.path().join("old"));
    let store = LocalStore::open(real(&good)).unwrap();
    run(&store, "1");
    store.close();
    drop(store);
    copy(&good.join("state.sled"), &old);
    lived_in(&good);
    fs::remove_dir_all(good.join("state.sled")).unwrap();
    copy(&old, &good.join("state.sled"));
    let store = LocalStore::open(real(&good)).unwrap();
    as_lived_in(&store);
    assert_eq!(aside(&good), 0);
}

/// The journal's file that holds its end.
fn newest(state: &Path) -> PathBuf {
    let names = fs::read_dir(state.join("journal")).unwrap();
    let paths = names.map(|entry| entry.unwrap().path());
    let full = paths.filter(|path| {
        path.extension().is_some_and(|e| e == "jsonl") && path.metadata().unwrap().len() > 0
    });
    full.max().unwrap()
}

#[test]
fn a_missing_or_shorter_journal_beside_sled_is_refused_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    let (good, older) = (home.path().join("good"), home.path().join("older"));
    let store = LocalStore::open(real(&good)).unwrap();
    store.stop(stop(bot())).unwrap();
    store.close();
    drop(store);
    copy(&good.join("journal"), &older);
    lived_in(&good);
    let gone: [(&str, Harm); 4] = [
        ("the journal is missing", |state| {
            fs::remove_dir_all(state.join("journal")).unwrap();
        }),
        ("the journal is missing", |state| {
            fs::remove_file(newest(state)).unwrap();
        }),
        // It may all be there, and nobody is to begin anew.
        ("can't read", |state| {
            fs::rename(state.join("journal"), state.join("elsewhere")).unwrap();
            fs::write(state.join("journal"), b"in the way").unwrap();
        }),
        // An older copy of the whole journal: its head fits it.
        ("the state shows that everything", |state| {
            fs::remove_dir_all(state.join("journal")).unwrap();
            copy(&state.join("older"), &state.join("journal"));
        }),
    ];
    for (n, (says, harm)) in gone.iter().enumerate() {
        let state = home.path().join(n.to_string());
        copy(&good, &state);
        copy(&older, &state.join("older"));
        harm(&state);
        for _ in 0..2 {
            let fault = LocalStore::open(real(&state)).unwrap_err();
            assert!(fault.says.contains(says), "{}", fault.says);
            assert!(fault.hint.is_some());
        }
    }
    // The way out that is named.
    let state = home.path().join("0");
    fs::rename(state.join("state.sled"), state.join("gone")).unwrap();
    assert!(
        LocalStore::open(real(&state))
            .unwrap()
            .stops()
            .all()
            .is_empty()
    );
    let state = home.path().join("3");
    let accept = Setup {
        loss: Loss::Accept,
        ..real(&state)
    };
    let store = LocalStore::open(accept).unwrap();
    store.check().unwrap();
    assert_eq!(store.stops().all(), [stop(bot())]);
}

#[test]
fn a_state_without_journal_and_sled_begins_anew_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    lived_in(&state);
    let noted = |store: &LocalStore| -> usize {
        let all = store.query(&Query::default()).unwrap();
        all.iter()
            .filter(|line| line.contains("begins anew"))
            .count()
    };
    let store = LocalStore::open(real(&state)).unwrap();
    assert_eq!(noted(&store), 0);
    store.close();
    drop(store);
    fs::remove_dir_all(state.join("journal")).unwrap();
    fs::remove_dir_all(state.join("state.sled")).unwrap();
    let store = LocalStore::open(real(&state)).unwrap();
    assert_eq!(noted(&store), 1);
}

#[test]
fn a_database_that_cannot_be_made_is_done_without() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("state.sled"), b"in the way").unwrap();
    let store = LocalStore::open(real(home.path())).unwrap();
    assert!(store.unkept().is_some());
    run(&store, "1");
    store.keep().unwrap();
    store.check().unwrap();
    store.close();
}

#[test]
fn a_full_disk_takes_no_call_but_ends_those_that_run_and_stops() {
    let disk = SimDisk::new();
    disk.set_room(3 * (64 << 10));
    let store = LocalStore::open(simulated(&disk, 64 << 10)).unwrap();
    disk.set_room(0);
    store.ready().unwrap();
    let mut open = Vec::new();
    let fault = loop {
        let id = format!("{}", open.len());
        match store.admit(&call(&id, "ann", "1"), &context(r#"{"a":1}"#)) {
            Ok(Admission::Cleared(intent)) => open.push(futures(intent.permit()).unwrap()),
            Ok(Admission::Refused(refusal)) => panic!("{}", refusal.says),
            Err(fault) => break fault,
        }
    };
    assert!(fault.says.contains("the disk is full"), "{}", fault.says);
    assert!(fault.hint.is_some() && open.len() > 5);
    // Whoever looks hears the same.
    assert_eq!(store.ready().unwrap_err(), fault);
    let count = open.len();
    for permit in open {
        stores::settle(
            &store,
            permit,
            &stores::settlement(&format!("\"{}\"", "y".repeat(3000))),
        )
        .unwrap();
    }
    store.stop(stop(bot())).unwrap();
    store.close();
    let store = LocalStore::open(simulated(&disk.kill(), 64 << 10)).unwrap();
    assert_eq!(store.stops().all(), [stop(bot())]);
    let done = Query {
        outcome: Some("done".into()),
        ..Query::default()
    };
    assert_eq!(store.query(&done).unwrap().len(), 2 * count);
}

#[test]
fn a_halt_finds_room_on_a_disk_that_is_full_for_calls() {
    let disk = SimDisk::new();
    disk.set_room(2 * (64 << 10));
    let tuned = disk.clone();
    let mut world = World::tuned(
        Path::new(STATE),
        clock(),
        &only(
            "[budget]\nrun = { cost = { at = \"1.00 USD\", then = \"kill\" }, calls = \"none\", steps = \"none\", time = \"none\" }",
        ),
        "[tools.buy]\ntier = \"read\"\ncost = \"1.00 USD\"\n",
        Box::new(move |_| simulated(&tuned, 64 << 10)),
    );
    disk.set_room(0);
    let full = |world: &mut World| {
        let call = world.call_with("ann", "2", "look", "{}");
        let admitted = world.store().admit(&call, &Context::default());
        admitted
            .map(|admission| match admission {
                Admission::Cleared(intent) => {
                    done(world.store(), futures(intent.permit()).unwrap());
                }
                Admission::Refused(refusal) => panic!("{}", refusal.says),
            })
            .is_err()
    };
    let call = world.call();
    let flying = world.ask(call).unwrap();
    while !full(&mut world) {}
    // Stops take of the room that is kept for what ends something, and leave some.
    for _ in 0..14 {
        world.store().stop(stop(bot())).unwrap();
        world.store().resume(&bot(), "ann").unwrap();
    }
    let halt = world.done(flying).unwrap();
    assert_eq!((halt.kind, full(&mut world)), (HaltKind::Killed, true));
    let found = disk.kill();
    found.set_room(64 << 10);
    let store = LocalStore::open(simulated(&found, 64 << 10)).unwrap();
    assert_eq!(store.halts(), [halt]);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_with_its_path() {
    let disk = SimDisk::new();
    disk.fail(Step::Create, 1, ErrorKind::PermissionDenied);
    let fault = LocalStore::open(simulated(&disk, 64 << 10)).unwrap_err();
    assert!(fault.says.contains(STATE), "{}", fault.says);
    assert!(fault.hint.is_some());
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, b"").unwrap();
    let fault = LocalStore::open(real(&file.join("state"))).unwrap_err();
    assert!(fault.says.contains("file"), "{}", fault.says);
}

#[test]
fn a_write_or_sync_that_fails_refuses_everything_and_is_told_once() {
    for step in [Step::Write, Step::Sync] {
        let disk = SimDisk::new();
        let told = Arc::new(AtomicUsize::new(0));
        let ears = told.clone();
        let setup = Setup {
            on_fault: Box::new(move |_: &Fault| {
                ears.fetch_add(1, Ordering::Relaxed);
            }),
            ..simulated(&disk, 64 << 10)
        };
        let store = LocalStore::open(setup).unwrap();
        run(&store, "1");
        disk.fail(step, 1, ErrorKind::Other);
        let fault = store.stop(stop(bot())).unwrap_err();
        assert!(
            fault.says.contains("the stop is in force"),
            "{}",
            fault.says
        );
        for n in 0..3 {
            let call = call(&n.to_string(), "ann", "1");
            assert!(store.admit(&call, &Context::default()).is_err());
        }
        assert_eq!(store.stops().all(), [stop(bot())]);
        assert!(
            store.judge(&call("2", "bot", "1")).len() == 1,
            "the stop is in force"
        );
        let files = StopScope::Server(server("files"));
        assert!(store.stop(stop(files.clone())).is_err());
        assert_eq!(store.stops().all().len(), 2, "a stop needs no disk");
        assert!(store.judge(&call("2", "ann", "1")).len() == 1);
        assert_eq!(told.load(Ordering::Relaxed), 1);
        store.close();
        LocalStore::open(simulated(&disk.kill(), 64 << 10))
            .unwrap()
            .check()
            .unwrap();
    }
}

#[test]
fn a_resume_that_cannot_be_recorded_lifts_nothing() {
    let disk = SimDisk::new();
    let store = LocalStore::open(simulated(&disk, 64 << 10)).unwrap();
    store.stop(stop(bot())).unwrap();
    disk.fail(Step::Write, 1, ErrorKind::Other);
    assert!(store.resume(&bot(), "ann").is_err());
    assert_eq!(store.stops().all(), [stop(bot())]);
    let store = LocalStore::open(simulated(&disk.kill(), 64 << 10)).unwrap();
    assert_eq!(store.stops().all(), [stop(bot())]);
}

#[test]
fn a_clock_that_jumps_back_disturbs_nothing() {
    let home = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = LocalStore::open(Setup::new(home.path(), clock.clone())).unwrap();
    run(&store, "1");
    clock.jump_to("2026-01-01T11:00:00Z".parse().unwrap());
    run(&store, "2");
    store.stop(stop(bot())).unwrap();
    let since = Query {
        since: Some("2026-01-01T11:30:00Z".parse().unwrap()),
        agent: Some("ann".into()),
        ..Query::default()
    };
    let found = lines(&store.query(&since).unwrap());
    assert!(found.iter().all(|record| record["call"] == "c-1") && found.len() == 2);
    store.close();
    drop(store);
    let store = LocalStore::open(Setup::new(home.path(), clock)).unwrap();
    assert_eq!(store.stops().all(), [stop(bot())]);
    assert_eq!(store.verify().unwrap().broken, None);
    store.check().unwrap();
}

#[test]
fn a_journal_cut_at_any_of_its_last_bytes_works_or_is_refused() {
    let disk = SimDisk::new();
    let store = LocalStore::open(simulated(&disk, 1 << 20)).unwrap();
    store.stop(stop(bot())).unwrap();
    for n in 0..6 {
        run(&store, &n.to_string());
    }
    drop(store);
    let path = disk.segments().pop().unwrap();
    let (mut worked, mut refusals) = (0, 0);
    let content = disk.content(&path);
    for cut in cuts(&content, 4096) {
        let disk = disk.kill();
        disk.tamper(&path, |content| content.truncate(cut));
        match LocalStore::open(simulated(&disk, 1 << 20)) {
            Ok(store) => {
                assert_eq!(store.stops().all(), [stop(bot())]);
                store.check().unwrap();
                assert!(store.in_flight().is_empty());
                worked += 1;
            }
            Err(fault) => {
                assert!(
                    fault.says.contains("the journal is damaged"),
                    "{}",
                    fault.says
                );
                assert!(fault.hint.is_some());
                refusals += 1;
            }
        }
    }
    assert!(
        worked > refusals && worked > 200,
        "{worked} worked, {refusals} refused"
    );
}

#[test]
fn a_power_cut_in_the_middle_of_a_group_loses_no_stop_and_no_pin_before_it() {
    for seed in (0..200).step_by(every(5)) {
        let mut dice = Dice(seed);
        let disk = SimDisk::new();
        let store = LocalStore::open(simulated(&disk, 16 << 10)).unwrap();
        store
            .pin(&server("files"), "rm", &raw("1"), print("1"))
            .unwrap();
        for n in 0..dice.below(20) {
            run(&store, &format!("a{n}"));
        }
        store.stop(stop(bot())).unwrap();
        for n in 0..dice.below(20) {
            run(&store, &format!("b{n}"));
        }
        let after = disk.power_cut(&mut dice);
        let store = LocalStore::open(simulated(&after, 16 << 10)).unwrap();
        assert_eq!(store.stops().all(), [stop(bot())], "seed {seed}");
        assert_eq!(store.pins().len(), 1, "seed {seed}");
        assert!(store.in_flight().is_empty());
        assert_eq!(store.verify().unwrap().broken, None);
        store.check().unwrap();
    }
}

#[test]
fn after_a_power_cut_sled_is_never_ahead_of_the_journal() {
    for seed in (0..60).step_by(every(4)) {
        let mut dice = Dice(seed);
        let home = tempfile::tempdir().unwrap();
        let disk = SimDisk::new();
        let setup = |disk: &SimDisk| Setup {
            disk: Arc::new(disk.clone()),
            segment_bytes: 64 << 10,
            pace: Pace::Thread(Duration::from_secs(3600)),
            keep_every: Some(Duration::from_secs(3600)),
            ..real(home.path())
        };
        let store = LocalStore::open(setup(&disk)).unwrap();
        for n in 0..1 + dice.below(3) {
            for m in 0..dice.below(20) {
                run(&store, &format!("{n}-{m}"));
            }
            let text = n.to_string();
            let definition = raw(&text);
            store
                .pin(&server("files"), &text, &definition, print(&text))
                .unwrap();
            store.keep().unwrap();
        }
        let pins = store.pins().len();
        for m in 0..dice.below(20) {
            run(&store, &format!("c{m}"));
        }
        let after = disk.power_cut(&mut dice);
        drop(store);
        let store = LocalStore::open(setup(&after)).unwrap();
        assert_eq!(aside(home.path()), 0, "seed {seed}");
        assert_eq!(store.pins().len(), pins, "seed {seed}");
        store.keep().unwrap();
        let check = store.check().unwrap();
        assert!(check.contains("so is what is kept"), "{check}");
    }
}

#[test]
fn a_stop_file_stops_everything_and_is_recorded() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("STOP");
    fs::write(&file, "pulled by ann\n").unwrap();
    let store = LocalStore::open(real(home.path())).unwrap();
    let stops = store.stops();
    assert_eq!(stops.all()[0].scope, StopScope::Everything);
    assert_eq!(stops.all()[0].text.as_deref(), Some("pulled by ann"));
    assert!(!file.exists(), "it is in the journal now");
    store.close();
    drop(store);
    let store = LocalStore::open(real(home.path())).unwrap();
    assert_eq!(refused(&store, &call("1", "ann", "1")), "STOPPED");
}

#[test]
fn a_stop_file_that_a_start_died_over_is_honoured_by_the_next() {
    let home = tempfile::tempdir().unwrap();
    // Set aside, and not recorded any more.
    let aside = home.path().join("STOP.taken");
    fs::write(&aside, "pulled by ann\n").unwrap();
    let store = LocalStore::open(real(home.path())).unwrap();
    assert_eq!(
        store.stops().all()[0].text.as_deref(),
        Some("pulled by ann")
    );
    assert_eq!(refused(&store, &call("1", "ann", "1")), "STOPPED");
    assert!(!aside.exists(), "it is in the journal now");
}

#[test]
fn what_was_under_way_when_tollgate_ended_is_unknown() {
    let home = tempfile::tempdir().unwrap();
    let store = LocalStore::open(real(home.path())).unwrap();
    let one = tool("1", "rm", print("1"));
    store
        .pin(&server("files"), "rm", &raw("1"), print("1"))
        .unwrap();
    let _running = permit(&store, &one, &Context::default());
    store.keep().unwrap();
    drop(store);
    let store = LocalStore::open(real(home.path())).unwrap();
    let records = lines(&store.records_of(&one.id).unwrap());
    let [intent, told, outcome] = records.as_slice() else {
        panic!("{records:?}");
    };
    assert_eq!(intent["tool"], "rm");
    assert_eq!(told["notice"], "first_use");
    assert_eq!(outcome["outcome"], "unknown");
    assert_eq!(outcome["reason"], "tollgate ended during the call");
    store.keep().unwrap();
    store.check().unwrap();
}

#[test]
fn what_is_deep_or_odd_in_arguments_and_results_is_recorded_and_replayed() {
    let home = tempfile::tempdir().unwrap();
    let store = LocalStore::open(real(home.path())).unwrap();
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    for (n, odd) in [
        deep.as_str(),
        "[1e400,-0,123456789012345678901234567890]",
        "[\n1,\r\n2]",
        r#"["\ud800","\u0000"]"#,
    ]
    .into_iter()
    .enumerate()
    {
        let permit = permit(&store, &call(&n.to_string(), "ann", "1"), &context(odd));
        stores::settle(&store, permit, &stores::settlement(odd)).unwrap();
    }
    store.check().unwrap();
    store.close();
    let paths: Vec<PathBuf> = fs::read_dir(home.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!paths.is_empty());
    drop(store);
    LocalStore::open(Setup {
        rebuild: true,
        ..real(home.path())
    })
    .unwrap()
    .check()
    .unwrap();
}
