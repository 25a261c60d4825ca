//! A damaged record is told wherever records are read, and nothing is advised that would
//! make it worse.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]
#![allow(
    unreachable_pub,
    dead_code,
    reason = "the simulated disk and the calls serve several test programs"
)]

mod simdisk;
#[path = "stores/mod.rs"]
mod stores;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use simdisk::SimDisk;
use simdisk::journal::{closed, open, options};
use stores::{call, done, permit, stop};
use tollgate::clock::SetClock;
use tollgate::domain::StopScope;
use tollgate::ports::{Context, Query, Store};
use tollgate::store::journal::{Journal, Refused, Seq, Why};
use tollgate::store::{LocalStore, Setup, can_rebuild, verify_files};

fn numbers(journal: &Journal, from: u64) -> Result<Vec<u64>, Refused> {
    let mut seen = Vec::new();
    journal.read(Seq::new(from), &mut |record, _| {
        seen.push(record.seq.get());
        ControlFlow::Continue(())
    })?;
    Ok(seen)
}

#[test]
fn a_reader_is_told_of_damage_and_not_of_a_line_that_is_being_written() {
    let disk = SimDisk::new();
    closed(&disk, 40, 4096);
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let last = disk.segments().pop().unwrap();
    let whole = disk.content(&last);
    disk.tamper(&last, |content| {
        content.extend_from_slice(br#"{"v":1,"seq":4"#);
    });
    assert!(numbers(&journal, 1).unwrap().into_iter().eq(1..=40));

    let told = |why: Why, from: u64| match numbers(&journal, from) {
        Err(Refused::Unreadable {
            seq, why: found, ..
        }) => {
            assert_eq!(found, why);
            seq.get()
        }
        other => panic!("{other:?}"),
    };
    // A byte, a record, and the end.
    let first = disk.segments().remove(0);
    let content = disk.content(&first);
    let lines: Vec<usize> = content
        .iter()
        .enumerate()
        .filter_map(|(at, byte)| (*byte == b'\n').then_some(at + 1))
        .collect();
    disk.tamper(&first, |content| content[lines[3]] = b'x');
    assert_eq!(told(Why::NotARecord, 1), 5);
    disk.tamper(&first, |bytes| {
        bytes.clone_from(&content);
        bytes.drain(lines[3]..lines[4]);
    });
    assert_eq!(told(Why::Seq { found: Seq::new(6) }, 1), 5);
    disk.tamper(&first, |bytes| bytes.clone_from(&content));
    let end = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n');
    disk.tamper(&last, |bytes| bytes.truncate(end.unwrap() + 1));
    assert_eq!(told(Why::Missing, 39), 40);
}

/// A state directory of a tollgate that served 30 calls, and knows a stop.
struct Kept {
    dir: tempfile::TempDir,
    clock: Arc<SetClock>,
}

impl Kept {
    fn new() -> Self {
        let kept = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(SetClock::at("2026-01-01T00:00:00Z".parse().unwrap())),
        };
        let store = kept.open();
        for n in 0..30_u32 {
            let call = call(&n.to_string(), "bot", "7");
            done(&store, permit(&store, &call, &Context::default()));
        }
        store.stop(stop(StopScope::Everything)).unwrap();
        store.keep().unwrap();
        Self::ended(store);
        kept
    }

    fn open(&self) -> LocalStore {
        let setup = Setup::new(self.dir.path(), self.clock.clone());
        LocalStore::open(Setup {
            keep_every: Some(Duration::from_secs(3600)),
            ..setup
        })
        .unwrap()
    }

    fn ended(store: LocalStore) {
        store.close();
        drop(store);
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let file = self.path().join("journal/000001.jsonl");
        let content = fs::read(&file).unwrap();
        let lines = content.split_inclusive(|byte| *byte == b'\n');
        let mut lines: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
        change(&mut lines);
        fs::write(&file, lines.concat()).unwrap();
    }
}

#[test]
fn a_search_does_not_hide_what_it_cannot_read() {
    let kept = Kept::new();
    let store = kept.open();
    assert!(store.query(&Query::default()).unwrap().len() > 60);
    kept.change(|lines| lines[9][0] = b'x');
    let fault = store.query(&Query::default()).unwrap_err();
    assert!(
        fault
            .says
            .starts_with("record 10 can't be read (`journal/000001.jsonl`, byte")
    );
    assert!(fault.hint.unwrap().contains("`tollgate audit verify`"));
    assert!(store.records_of(&call("20", "bot", "7").id).is_err());
}

/// What a walk over the files says is wrong, and that a start agrees.
fn refused_by_both(kept: &Kept) -> String {
    let verified = verify_files(kept.path(), &*kept.clock).unwrap();
    let setup = Setup::new(kept.path(), kept.clock.clone());
    let fault = LocalStore::open(setup).unwrap_err();
    assert!(fault.hint.is_some(), "{}", fault.says);
    verified
        .broken
        .unwrap_or_else(|| panic!("a start says: {}", fault.says))
}

#[test]
fn a_walk_finds_whatever_a_start_would_refuse() {
    let kept = Kept::new();
    let whole = verify_files(kept.path(), &*kept.clock).unwrap();
    assert_eq!((whole.broken, whole.uncompared), (None, None));
    let head = kept.path().join("journal/head");
    let saved = fs::read(&head).unwrap();
    fs::remove_file(&head).unwrap();
    let broken = refused_by_both(&kept);
    assert!(broken.starts_with("`journal/head`"), "{broken}");
    kept.change(|lines| lines.truncate(lines.len() - 10));
    let broken = refused_by_both(&kept);
    assert!(broken.contains("it is missing"), "{broken}");
    fs::write(&head, saved).unwrap();
    assert!(refused_by_both(&kept).contains("it is missing"));
    fs::remove_dir_all(kept.path().join("journal")).unwrap();
    assert!(refused_by_both(&kept).starts_with("record 1 "));
    fs::remove_file(kept.path().join("journal.key")).unwrap();
    assert!(refused_by_both(&kept).starts_with("record 1 "));
}

#[test]
fn an_older_copy_of_the_journal_is_found_by_the_state_that_saw_more() {
    let kept = Kept::new();
    let journal = kept.path().join("journal");
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        for name in ["head", "000001.jsonl"] {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    };
    let old = kept.path().join("old");
    copy(&journal, &old);
    let store = kept.open();
    store.resume(&StopScope::Everything, "ann").unwrap();
    Kept::ended(store);
    fs::remove_dir_all(&journal).unwrap();
    copy(&old, &journal);
    assert!(refused_by_both(&kept).contains("it is missing"));
    fs::remove_dir_all(kept.path().join("state.sled")).unwrap();
    let alone = verify_files(kept.path(), &*kept.clock).unwrap();
    assert_eq!(alone.broken, None);
    assert_eq!(alone.uncompared.as_deref(), Some("none is kept"));
}

#[test]
fn a_running_tollgate_demands_all_that_it_has_written() {
    let kept = Kept::new();
    let store = kept.open();
    assert_eq!(store.verify().unwrap().broken, None);
    let head = kept.path().join("journal/head");
    let saved = fs::read(&head).unwrap();
    fs::remove_file(&head).unwrap();
    let broken = store.verify().unwrap().broken.unwrap();
    assert!(broken.starts_with("`journal/head`"), "{broken}");
    fs::write(&head, saved).unwrap();
    kept.change(|lines| lines.truncate(4));
    let broken = store.verify().unwrap().broken.unwrap();
    assert!(broken.starts_with("record 5 "), "{broken}");
}

#[test]
fn nothing_written_yet_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at("2026-01-01T00:00:00Z".parse().unwrap());
    for state in [dir.path(), &dir.path().join("none")] {
        let verified = verify_files(state, &clock).unwrap();
        assert_eq!((verified.records, verified.broken), (0, None));
    }
}

#[test]
fn a_state_is_neither_judged_nor_built_by_a_damaged_journal() {
    for damage in [
        (|lines| {
            lines[9] = String::from_utf8_lossy(&lines[9])
                .replace("call", "caml")
                .into();
        }) as fn(&mut Vec<Vec<u8>>),
        |lines| lines.swap(9, 10),
    ] {
        let kept = Kept::new();
        can_rebuild(kept.path(), &*kept.clock).unwrap();
        kept.change(damage);
        let fault = can_rebuild(kept.path(), &*kept.clock).unwrap_err();
        assert!(
            fault.says.contains("the journal is damaged: record 10 "),
            "{}",
            fault.says
        );
        // It goes on from what is kept: the damage is older.
        let store = kept.open();
        let fault = store.check().unwrap_err();
        assert!(
            fault.says.contains("the journal is damaged: record 10 "),
            "{}",
            fault.says
        );
        let hint = fault.hint.unwrap();
        assert!(
            !hint.contains("state rebuild") && hint.contains("backup"),
            "{hint}"
        );
    }
}

#[test]
fn a_torn_end_that_was_never_safe_keeps_nobody_from_building_the_state_anew() {
    let kept = Kept::new();
    kept.change(|lines| lines.push(br#"{"v":1,"seq":"#.to_vec()));
    can_rebuild(kept.path(), &*kept.clock).unwrap();
    // A kill leaves this: nothing is broken, and it is told.
    let verified = verify_files(kept.path(), &*kept.clock).unwrap();
    assert_eq!(verified.broken, None);
    assert!(verified.unsynced.unwrap().starts_with("record "));
}

#[test]
fn a_torn_end_does_not_hide_that_the_head_is_missing() {
    let kept = Kept::new();
    kept.change(|lines| lines.push(br#"{"v":1,"seq":"#.to_vec()));
    fs::remove_file(kept.path().join("journal/head")).unwrap();
    let fault = can_rebuild(kept.path(), &*kept.clock).unwrap_err();
    assert!(fault.says.contains("`journal/head`"), "{}", fault.says);
    let broken = refused_by_both(&kept);
    assert!(
        broken.starts_with("record ") && broken.contains("`journal/head`"),
        "{broken}"
    );
}

#[test]
fn a_key_without_its_journal_is_not_in_order_and_one_that_was_never_written_is() {
    let kept = Kept::new();
    let path = |name: &str| kept.path().join(name);
    fs::remove_dir_all(path("state.sled")).unwrap();
    let head = fs::read(path("journal/head")).unwrap();
    fs::remove_dir_all(path("journal")).unwrap();
    let verified = verify_files(kept.path(), &*kept.clock).unwrap();
    assert!(verified.broken.unwrap().contains("`journal.key`"));
    // There is nothing that could be lost.
    can_rebuild(kept.path(), &*kept.clock).unwrap();
    // What a first start makes before the first record is synced.
    let begun = head.iter().position(|byte| *byte == b'\n').unwrap();
    fs::create_dir(path("journal")).unwrap();
    fs::write(path("journal/head"), &head[..=begun]).unwrap();
    let verified = verify_files(kept.path(), &*kept.clock).unwrap();
    assert_eq!((verified.records, verified.broken), (0, None));
    let store = kept.open();
    let all = store.query(&Query::default()).unwrap();
    assert!(
        !all.iter().any(|line| line.contains("begins anew")),
        "{all:?}"
    );
}
