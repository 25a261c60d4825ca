//! Old records go, and nothing that follows from them.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::prompt::Home;
use crate::pruning::{
    CALLS_A_DAY, DAY, KEEP, STATE, a_day, a_month, bodies, bot, copy, day, days, decided,
    first_kept, grown, prune, pruned, ready, real, simulated, start,
};
use crate::simdisk::SimDisk;
use crate::stores::{call, context, done, lines, permit};
use crate::world::{World, only};
use tollgate::clock::Clock;
use tollgate::ports::{Query, Store};
use tollgate::store::{LocalStore, Setup};

#[test]
fn old_records_go_and_what_follows_from_them_stays() {
    let (disk, clock) = (SimDisk::new(), day(0));
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    a_month(&store, &clock);
    assert_eq!(
        (prune(&store) > 0, store.kept_since().is_some()),
        (true, true)
    );
    let mut before = first_kept(&store);
    assert!(before > 1);
    assert_eq!(prune(&store), 0, "a share a day");
    for day in 30..48 {
        a_day(&store, &clock, day);
        prune(&store);
        if day % 3 == 2 {
            store.check().unwrap();
            let first = first_kept(&store);
            assert!(first >= before);
            before = first;
        }
        assert_eq!(bodies(&disk).len(), 1, "older ones are gone");
        decided(&store);
        assert_eq!(store.in_flight()[0].call.as_str(), "c-OPEN");
    }
    // Everything within the days to keep is there, and not much more.
    let since = store.kept_since().unwrap();
    assert!(
        since < clock.now() - KEEP && since > clock.now() - KEEP * 4,
        "{since}"
    );
    let all = Query {
        since: Some(clock.now() - KEEP),
        limit: Some(100_000),
        ..Query::default()
    };
    let found = lines(&store.query(&all).unwrap());
    let intents = found
        .iter()
        .filter(|record| record["kind"] == "call.intent");
    assert_eq!(intents.count(), CALLS_A_DAY * 5);
    let gone = call("3-1", "ann", "1");
    assert!(store.records_of(&gone.id).unwrap().is_empty());
    let run = Query {
        run: Some("r-d3".into()),
        ..Query::default()
    };
    assert!(store.query(&run).unwrap().is_empty());
    // And so after a start from the journal alone.
    let state = (
        store.stops(),
        format!("{:?}", store.pins()),
        store.in_flight(),
    );
    drop(store);
    let store = LocalStore::open(simulated(&disk.kill(), &clock)).unwrap();
    let again = (store.stops(), format!("{:?}", store.pins()));
    assert_eq!((state.0, state.1), again);
    let ended = lines(&store.records_of(&state.2[0].call).unwrap());
    assert_eq!(ended[0]["outcome"], "unknown", "its beginning was pruned");
    assert_eq!(first_kept(&store), before);
    store.check().unwrap();
    decided(&store);
}

#[test]
fn without_a_time_to_keep_everything_is_kept() {
    let (disk, clock) = ready();
    let setup = Setup {
        keep: None,
        ..simulated(&disk, &clock)
    };
    let store = LocalStore::open(setup).unwrap();
    assert_eq!((prune(&store), first_kept(&store)), (0, 1));
    assert_eq!(store.kept_since(), None);
    assert!(bodies(&disk).is_empty());
}

#[test]
fn the_state_built_anew_from_a_pruned_journal_is_the_same() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let clock = pruned(&state);
    let store = LocalStore::open(real(&state, &clock)).unwrap();
    let first = first_kept(&store);
    store.close();
    drop(store);
    let old = home.path().join("old");
    copy(&state.join("state.sled"), &old);
    for harm in 0..4 {
        let state = home.path().join(harm.to_string());
        copy(&home.path().join("state"), &state);
        let sled = state.join("state.sled");
        let mut setup = real(&state, &clock);
        match harm {
            0 => {}
            1 => fs::remove_dir_all(&sled).unwrap(),
            2 => fs::write(sled.join("db"), b"").unwrap(),
            _ => setup.rebuild = true,
        }
        let store = LocalStore::open(setup).unwrap();
        assert_eq!(first_kept(&store), first);
        store.keep().unwrap();
        assert!(store.check().unwrap().contains("so is what is kept"));
        decided(&store);
    }
}

#[test]
fn verify_tells_what_was_pruned_from_what_was_removed() {
    let (disk, clock) = ready();
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    let old = disk.kill();
    assert!(store.prune().unwrap());
    let verified = store.verify().unwrap();
    assert!(verified.first > 1 && verified.records == verified.last + 1 - verified.first);
    let by = verified.pruned.unwrap();
    assert!(by.at.starts_with("2026-01-15T"), "{}", by.at);
    let record = store.query(&Query {
        after: Some(by.record - 1),
        ..Query::default()
    });
    let record = &lines(&record.unwrap())[0];
    assert_eq!(
        (record["kind"].as_str(), record["seq"].as_u64()),
        (Some("prune"), Some(by.record))
    );
    assert_eq!(record["first"], verified.first);
    assert_eq!(record["removed"], verified.first - 1);

    // The same files gone by hand; with the true base of a later day as well.
    let keep: Vec<PathBuf> = disk.segments();
    let base = Path::new(STATE).join("journal/base");
    let broken = |disk: &SimDisk| {
        let broken = tollgate::store::journal::verify(disk, Path::new(STATE), None)
            .unwrap()
            .broken;
        broken.unwrap().to_string()
    };
    for path in old.segments() {
        if !keep.contains(&path) {
            old.vanish(&path);
        }
    }
    assert!(
        broken(&old).contains("and not by tollgate"),
        "{}",
        broken(&old)
    );
    old.put(&base, &disk.content(&base));
    assert!(
        broken(&old).contains("and not by tollgate"),
        "{}",
        broken(&old)
    );

    // And a flipped bit is found as ever.
    let bad = disk.kill();
    bad.tamper(&keep[2], |content| content[100] ^= 1);
    assert!(
        broken(&bad).contains("hash does not fit"),
        "{}",
        broken(&bad)
    );
}

#[test]
fn a_clock_that_jumps_ahead_drives_nothing_out() {
    let (disk, clock) = ready();
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    prune(&store);
    let first = first_kept(&store);
    let right = clock.now();
    clock.jump_to(start() + DAY * 4000);
    for n in 0..900 {
        let call = call(&format!("j{n}"), "ann", "1");
        done(&store, permit(&store, &call, &context("{}")));
    }
    // What goes is what was old before.
    prune(&store);
    assert!(first_kept(&store) >= first && store.kept_since().unwrap() < right - KEEP);
    // It is set right again, and nothing waits for the year 2037.
    clock.jump_to(right);
    days(&store, &clock, 14..24);
    let mut turns = 0;
    for day in 24..46 {
        a_day(&store, &clock, day);
        turns += prune(&store);
    }
    assert!(turns > 5 && store.kept_since().unwrap() > right, "{turns}");
    store.check().unwrap();
    decided(&store);
}

#[test]
fn a_clock_that_stays_wrong_takes_a_share_a_day() {
    let (disk, clock) = ready();
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    clock.jump_to(start() + DAY * 4000);
    days(&store, &clock, 4000..4010);
    let before = disk.segments().len();
    prune(&store);
    let after = disk.segments().len();
    assert!(
        after < before && after >= before - before / 8,
        "{before} to {after}"
    );
}

#[test]
fn what_was_used_and_who_is_halted_outlasts_the_records_of_it() {
    let (disk, clock) = (SimDisk::new(), day(0));
    let main = only(
        "[budget]\nrun = \"none\"\nhour = \"none\"\nday = \"none\"\n\
         month = { cost = \"3.50 USD\" }\n[agents.eve]\nowner = \"ops\"\n\
         budget = { month = { calls = { at = 2, then = \"kill\" } } }",
    );
    let shop = "[tools.buy]\ntier = \"read\"\ncost = \"1.00 USD\"\n[tools.look]\ntier = \"read\"\n";
    let (tuned, set) = (disk.clone(), clock.clone());
    let tune = Box::new(move |_| simulated(&tuned, &set));
    let mut world = World::tuned(Path::new(STATE), clock.clone(), &main, shop, tune);
    let makes = |world: &mut World, agent: &str| {
        let call = world.call_with(agent, agent, "look", "{}");
        world.makes(call)
    };
    makes(&mut world, "eve").unwrap();
    makes(&mut world, "eve").unwrap();
    world.again().unwrap();
    world.again().unwrap();
    let call = world.call();
    let _open = world.ask(call).unwrap();
    let halts = world.store().halts();
    assert_eq!(halts.len(), 1);
    for _ in 0..15 * 60 {
        makes(&mut world, "ann").unwrap();
        world.wait(24 * 60);
    }
    assert!(prune(world.store()) > 0);
    let kept = &world.all_records()[0];
    assert!(kept["at"].as_str().unwrap() > "2026-01-02", "{kept}");
    let holds = |world: &mut World, level| {
        assert_eq!(world.store().halts(), halts);
        assert_eq!(makes(world, "eve"), Err("RUN_KILLED"));
        assert_eq!(world.again(), Err("BUDGET_MONTH_COST"));
        assert_eq!(world.level("month.cost"), level);
        world.store().check().unwrap();
    };
    holds(&mut world, (2_000_000, 1_000_000));
    // Built anew from what is kept; what was under way keeps its charge.
    world.store.take();
    world.reconfigure(&main, shop);
    holds(&mut world, (3_000_000, 0));
}

fn recorded(store: &LocalStore, kind: &str) -> bool {
    let lines = lines(&store.query(&Query::default()).unwrap());
    lines.iter().any(|record| record["kind"] == kind)
}

/// Long enough for a loaded machine; nothing waits for it to pass.
fn until(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), future)
            .await
            .unwrap();
    });
}

#[test]
fn the_daemon_prunes_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let clock = grown(home.path());
    let setup = Setup {
        keep_every: Some(Duration::from_millis(10)),
        ..real(home.path(), &clock)
    };
    let store = LocalStore::open(setup).unwrap();
    let mut news = store.follow();
    until(async {
        while !recorded(&store, "prune") {
            news.changed().await.unwrap();
        }
    });
    // What it does then is done when somebody else may prune.
    store.prune().unwrap();
    assert!(first_kept(&store) > 1);
    store.check().unwrap();
    store.close();
}

pub const TOOLS: &str = "command = \"tollgate\"\nargs = [\"demo-server\"]\nowner = \"ops\"\n";

#[test]
fn who_looks_for_what_was_pruned_is_told_since_when_records_are_kept() {
    let home = Home::new(TOOLS);
    let state = home.state();
    let dirs = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&state);
    dirs.unwrap();
    let clock = pruned(&state);
    let store = LocalStore::open(real(&state, &clock)).unwrap();
    let since = format!("{:.0}", store.kept_since().unwrap());
    let first = first_kept(&store);
    store.resume(&bot(), "ann").unwrap();
    store.close();
    drop(store);

    let run = |args: &[&str]| {
        let output = home.run(args);
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8(said).unwrap(), output.status.success())
    };
    let (said, sound) = run(&["audit", "verify"]);
    assert!(
        sound && said.contains("were pruned on 2026-01-31"),
        "{said}"
    );
    assert!(said.contains(&format!(" records, {first} to ")), "{said}");
    let _agent = home.agent();
    let told = format!("records before {since} are not kept");
    for (args, found) in [
        (&["audit", "show", "c-1-1"][..], false),
        (&["why", "c-1-1"], false),
        (&["runs", "r-D1"], false),
        (&["audit", "--run", "r-D1"], true),
        (&["audit", "--since", "2026-01-01"], true),
    ] {
        let (said, sound) = run(args);
        assert!(said.contains(&told) && sound == found, "{args:?}: {said}");
    }
    let (said, _) = run(&["audit", "show", "c-29-1"]);
    assert!(
        said.contains("call.intent") && !said.contains("not kept"),
        "{said}"
    );
    let (said, sound) = run(&["state", "check"]);
    assert!(sound, "{said}");
}
