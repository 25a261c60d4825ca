//! Pruning that is interrupted, and damage to what a pruned journal stands on.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::pruning::{
    DAY, STATE, a_day, bodies, copy, day, days, decided, decisions, first_kept, prune, pruned,
    ready, real, simulated, start,
};
use crate::simdisk::{Dice, SimDisk, Step, every};
use crate::stores::{lines, stop};
use tollgate::clock::SetClock;
use tollgate::domain::{RunId, StopScope};
use tollgate::ports::{Query, Store};
use tollgate::store::journal::Loss;
use tollgate::store::{LocalStore, Setup};

fn only_body(state: &Path) -> PathBuf {
    let mut names = fs::read_dir(state.join("bodies")).unwrap();
    let path = names.next().unwrap().unwrap().path();
    assert!(names.next().is_none());
    path
}

type Harm = fn(&Path);

#[test]
fn a_body_that_is_lost_is_made_anew_while_the_state_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let good = home.path().join("good");
    let clock = pruned(&good);
    let harms: [Harm; 3] = [
        |body| fs::remove_file(body).unwrap(),
        |body| fs::write(body, b"").unwrap(),
        |body| {
            let mut bytes = fs::read(body).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(body, bytes).unwrap();
        },
    ];
    for (n, harm) in harms.into_iter().enumerate() {
        let state = home.path().join(n.to_string());
        copy(&good, &state);
        harm(&only_body(&state));
        // Nothing throws the only whole one away.
        let setup = Setup {
            rebuild: true,
            ..real(&state, &clock)
        };
        let fault = LocalStore::open(setup).unwrap_err();
        assert!(fault.says.contains("can't be built anew"), "{}", fault.says);
        assert!(tollgate::store::can_rebuild(&state, &*clock).is_err());

        let store = LocalStore::open(real(&state, &clock)).unwrap();
        let first = first_kept(&store);
        decided(&store);
        assert!(store.check().is_err());
        store.prune().unwrap();
        store.check().unwrap();
        assert_eq!(first_kept(&store), first);
        assert!(tollgate::store::can_rebuild(&state, &*clock).is_ok());
        // It goes on being pruned, whatever the harm was.
        if n > 0 && every(2) > 1 {
            continue;
        }
        let days_on = 30..33;
        for day in days_on {
            clock.jump_to(start() + DAY * day);
            a_day(&store, &clock, day);
            prune(&store);
        }
        assert!(first_kept(&store) > first);
        store.check().unwrap();
        store.close();
        drop(store);
        fs::remove_dir_all(state.join("state.sled")).unwrap();
        let store = LocalStore::open(real(&state, &clock)).unwrap();
        decided(&store);
        store.check().unwrap();
        only_body(&state);
    }
}

#[test]
fn a_walk_says_that_the_body_is_needed_also_beside_a_state_of_another_journal_and_makes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (state, other) = (home.path().join("state"), home.path().join("other"));
    let clock = pruned(&state);
    fs::remove_dir_all(state.join("bodies")).unwrap();
    let kept = state.join("state.sled");
    let walked = |state: &Path| tollgate::store::verify_files(state, &*clock).unwrap();
    assert_eq!(walked(&state).broken, None);
    let store = LocalStore::open(real(&other, &clock)).unwrap();
    a_day(&store, &clock, 1);
    store.close();
    drop(store);
    fs::remove_dir_all(&kept).unwrap();
    let alone = walked(&state).broken.unwrap();
    assert!(alone.contains("can't be built anew"), "{alone}");
    copy(&other.join("state.sled"), &kept);
    let beside = walked(&state);
    assert!(beside.uncompared.is_some(), "{beside:?}");
    let broken = beside.broken.unwrap();
    assert!(broken.contains("can't be built anew"), "{broken}");
    assert!(!state.join("bodies").exists());
}

#[test]
fn without_a_body_and_without_sled_it_refuses_to_serve() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let clock = pruned(&state);
    let away = home.path().join("body");
    fs::rename(only_body(&state), &away).unwrap();
    fs::rename(state.join("state.sled"), home.path().join("sled")).unwrap();
    for _ in 0..2 {
        let fault = LocalStore::open(real(&state, &clock)).unwrap_err();
        assert!(fault.says.contains("can't be built anew"), "{}", fault.says);
        let hint = fault.hint.unwrap();
        assert!(hint.contains("state.sled") && hint.contains("--accept-loss"));
    }
    // Each of the ways out.
    let restored = home.path().join("restored");
    copy(&state, &restored);
    copy(&home.path().join("sled"), &restored.join("state.sled"));
    decided(&LocalStore::open(real(&restored, &clock)).unwrap());
    let accept = Setup {
        loss: Loss::Accept,
        ..real(&state, &clock)
    };
    let store = LocalStore::open(accept).unwrap();
    assert!(store.stops().all().is_empty() && store.pins().is_empty());
    assert_eq!(store.verify().unwrap().broken, None);
    store.prune().unwrap();
    store.check().unwrap();
}

#[test]
fn a_base_that_is_lost_is_found_again_with_its_body() {
    let home = tempfile::tempdir().unwrap();
    let good = home.path().join("good");
    let clock = pruned(&good);
    let harms: [Harm; 2] = [
        |base| fs::remove_file(base).unwrap(),
        |base| fs::write(base, b"nonsense").unwrap(),
    ];
    for (n, harm) in harms.into_iter().enumerate() {
        let state = home.path().join(n.to_string());
        copy(&good, &state);
        harm(&state.join("journal/base"));
        fs::remove_dir_all(state.join("state.sled")).unwrap();
        let fault = LocalStore::open(real(&state, &clock)).unwrap_err();
        assert!(fault.hint.unwrap().contains("--accept-loss"));
        let accept = Setup {
            loss: Loss::Accept,
            ..real(&state, &clock)
        };
        let store = LocalStore::open(accept).unwrap();
        decided(&store);
        assert!(first_kept(&store) > 1);
        store.check().unwrap();
    }
}

/// Whatever stands here, everything is as it was before or as it is afterwards.
fn whole(disk: &SimDisk, clock: &Arc<SetClock>, what: &str) -> (u64, SimDisk) {
    let after = disk.kill();
    let store = LocalStore::open(simulated(&after, clock))
        .unwrap_or_else(|fault| panic!("{what}: {fault}"));
    decided(&store);
    store
        .check()
        .unwrap_or_else(|fault| panic!("{what}: {fault}"));
    (first_kept(&store), after)
}

#[test]
fn a_kill_or_a_power_cut_between_any_two_steps_loses_nothing() {
    let (disk, clock) = ready();
    let (_, opened) = whole(&disk, &clock, "before");
    let mut dice = Dice(7);
    let mut seen = Vec::new();
    for fuse in (0..).step_by(every(12)) {
        let disk = opened.kill();
        let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
        disk.set_fuse(fuse);
        let ended = store.prune();
        let blown = disk.blown();
        drop(store);
        assert!(ended.is_ok() || blown);
        for cut in [disk.kill(), disk.power_cut(&mut dice)] {
            let what = format!("step {fuse}");
            let (first, after) = whole(&cut, &clock, &what);
            seen.push(first);
            // What is left undone is done, or done by the start already.
            let store = LocalStore::open(simulated(&after, &clock)).unwrap();
            prune(&store);
            store.check().unwrap();
            decided(&store);
            assert!(first_kept(&store) > 1, "{what}");
            assert_eq!(bodies(&after).len(), 1, "{what}");
            let names = after.segments();
            let oldest = names[0].file_stem().unwrap().to_str().unwrap();
            assert_ne!(oldest, "000001", "{what}");
        }
        if !blown {
            println!("{fuse} steps");
            break;
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 2, "the old or the new beginning: {seen:?}");
}

#[test]
fn damage_to_what_goes_is_told_and_does_not_hold_it_up() {
    let (disk, clock) = ready();
    disk.tamper(&disk.segments()[0], |content| content[1000] ^= 1);
    let refused = LocalStore::open(simulated(&disk, &clock)).unwrap_err();
    assert!(refused.says.contains("the journal is damaged"));

    let (disk, clock) = ready();
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    disk.tamper(&disk.segments()[0], |content| content[1000] ^= 1);
    assert!(store.verify().unwrap().broken.is_some());
    assert!(store.prune().unwrap());
    let verified = store.verify().unwrap();
    assert_eq!(verified.broken, None);
    assert!(verified.pruned.unwrap().broken.is_some());
    store.check().unwrap();
    drop(store);
    let (_, _) = whole(&disk, &clock, "after");
}

#[test]
fn a_sled_older_than_the_first_kept_record_is_built_anew() {
    let home = tempfile::tempdir().unwrap();
    let (state, old) = (home.path().join("state"), home.path().join("old"));
    let clock = day(0);
    let store = LocalStore::open(real(&state, &clock)).unwrap();
    decisions(&store);
    store.close();
    drop(store);
    copy(&state.join("state.sled"), &old);
    let store = LocalStore::open(real(&state, &clock)).unwrap();
    days(&store, &clock, 0..30);
    assert!(prune(&store) > 0);
    store.close();
    drop(store);
    fs::remove_dir_all(state.join("state.sled")).unwrap();
    copy(&old, &state.join("state.sled"));
    let store = LocalStore::open(real(&state, &clock)).unwrap();
    decided(&store);
    store.check().unwrap();
    assert!(state.join("state.sled.bad-1").exists());
}

#[test]
fn a_prune_that_the_disk_refuses_is_taken_up_again_and_recorded_once() {
    let (ready, clock) = ready();
    let mut refused = 0;
    for step in [Step::Rename, Step::Remove, Step::SyncDir] {
        for nth in (1..).step_by(every(2)) {
            let disk = ready.kill();
            let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
            disk.fail(step, nth, ErrorKind::PermissionDenied);
            if store.prune().is_ok() {
                break;
            }
            refused += 1;
            let what = format!("{step:?} {nth}");
            // Whatever the base on disk is by now, its body is there.
            whole(&disk, &clock, &what);
            prune(&store);
            assert!(first_kept(&store) > 1, "{what}");
            assert_eq!(bodies(&disk).len(), 1, "{what}");
            assert_eq!(disk.segments().len(), ready.segments().len() - 2, "{what}");
            let records = lines(&store.query(&Query::default()).unwrap());
            let told = records.iter().filter(|record| record["kind"] == "prune");
            assert_eq!(told.count(), 1, "{what}");
        }
    }
    assert!(refused > 4, "{refused}");
}

#[test]
fn a_prune_that_cannot_be_recorded_leaves_no_body() {
    let (disk, clock) = ready();
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    disk.set_room(0);
    let mut stops = (0..).map(|n| StopScope::Run(RunId::from_tail(&n.to_string())));
    while store.stop(stop(stops.next().unwrap())).is_ok() {}
    let fault = store.prune().unwrap_err();
    assert!(fault.says.contains("no room"), "{}", fault.says);
    assert!(bodies(&disk).is_empty());
    assert_eq!(first_kept(&store), 1);
}

#[test]
fn segments_that_cannot_be_removed_keep_nobody_from_starting() {
    let (disk, clock) = ready();
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    let before = disk.segments().len();
    // The first removal is of a draft of the base that is not there.
    disk.fail(Step::Remove, 2, ErrorKind::PermissionDenied);
    assert!(store.prune().is_err());
    let first = first_kept(&store);
    let disk = disk.kill();
    assert_eq!(disk.segments().len(), before);
    disk.fail(Step::Remove, 1, ErrorKind::PermissionDenied);
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    decided(&store);
    store.check().unwrap();
    assert_eq!(first_kept(&store), first);
    let all = Query {
        limit: Some(usize::MAX),
        ..Query::default()
    };
    let oldest = &lines(&store.query(&all).unwrap())[0];
    assert_eq!(oldest["seq"], first);
    assert_eq!(disk.segments().len(), before - 1, "one is left");
    store.prune().unwrap();
    assert_eq!(disk.segments().len(), before - 2);
}

#[test]
fn nothing_is_pruned_once_it_ends() {
    let (disk, clock) = ready();
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    store.close();
    let last = store.verify().unwrap().last;
    assert_eq!(store.prune().unwrap_err().says, "tollgate is ending");
    assert_eq!(
        (first_kept(&store), store.verify().unwrap().last),
        (1, last)
    );
}

#[test]
fn what_a_kill_or_an_error_left_goes_with_the_next_look() {
    let (disk, clock) = ready();
    let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
    let body = |digit: &str| Path::new(STATE).join("bodies").join(digit.repeat(64));
    disk.put(&body("a"), b"tollgate state 1\nthat no record names");
    disk.put(&body("b"), b"of another kind");
    let before = disk.segments();
    // The first removal is of a draft of the base that is not there.
    disk.fail(Step::Remove, 3, ErrorKind::PermissionDenied);
    assert!(store.prune().is_err());
    let first = first_kept(&store);
    assert!(first > 1, "the new beginning counts");
    assert_eq!(
        disk.segments().len(),
        before.len() - 1,
        "one of two is left"
    );
    assert!(!store.prune().unwrap());
    assert_eq!(disk.segments().len(), before.len() - 2);
    assert_eq!(first_kept(&store), first);
    let bodies = bodies(&disk);
    assert!(
        bodies.contains(&body("b")) && bodies.len() == 2,
        "{bodies:?}"
    );
    whole(&disk, &clock, "after");
}
