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
use tollgate::store::{LocalStore, Setup};

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
        content.extend_from_slice(br#"{"v":1,"seq":4"#)
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
