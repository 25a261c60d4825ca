//! The journal at work: what is put is kept, what fails stops it, what is pruned is gone.
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
    reason = "the simulated disk serves several test programs"
)]

mod simdisk;

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use simdisk::journal::{
    STATE, closed, damage, entry, members, open, open_in, options, pruned, put, put_pruned,
};
use simdisk::{Dice, SimDisk, Step};
use tollgate::store::journal::{
    Disk, Entry, Handle, Journal, Open, Options, Pace, Placed, PutError, RealDisk, Refused, Seq,
    Why, verify,
};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn what_was_put_is_replayed_across_segments() {
    let disk = SimDisk::new();
    let truth = closed(&disk, 100, 4096);
    assert!(disk.segments().len() > 5);
    let (journal, opened, seen) = open(options(&disk, 4096)).unwrap();
    assert_eq!(seen, truth);
    assert_eq!(opened.tail_cut, None);
    assert_eq!(journal.verify().unwrap().last, Seq::new(100));
    for members in &truth {
        let placed = put(&journal, members);
        journal.write(placed.seq).unwrap();
    }
    assert_eq!(journal.verify().unwrap().last, Seq::new(200));
}

/// Everything may be read and nothing written, as on a backup.
#[derive(Debug)]
struct ReadOnly(SimDisk);

impl Disk for ReadOnly {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn Handle>> {
        match how {
            Open::Read => self.0.open(path, how),
            Open::Write | Open::New => Err(ErrorKind::ReadOnlyFilesystem.into()),
        }
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }
}

#[test]
fn a_journal_that_can_only_be_read_is_verified() {
    let disk = SimDisk::new();
    closed(&disk, 100, 4096);
    let report = verify(&ReadOnly(disk), Path::new(STATE), None).unwrap();
    assert_eq!((report.last, report.broken), (Seq::new(100), None));
}

#[test]
fn an_anchor_spares_what_lies_before_it() {
    let disk = SimDisk::new();
    closed(&disk, 100, 4096);
    let mut anchor = None;
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    journal
        .read(Seq::new(60), &mut |record, place| {
            anchor = Some(Placed {
                seq: record.seq,
                place,
                hash: record.hash,
            });
            ControlFlow::Break(())
        })
        .unwrap();
    drop(journal);
    let from_anchor = |anchor| Options {
        anchor,
        replay_from: Seq::new(61),
        ..options(&disk, 4096)
    };
    let (journal, opened, seen) = open(from_anchor(anchor)).unwrap();
    assert_eq!((opened.records, seen.len()), (41, 40));
    drop(journal);

    // An anchor that doesn't fit costs a whole read, no more.
    let wrong = anchor.map(|anchor| Placed {
        seq: Seq::new(59),
        ..anchor
    });
    let (_, opened, seen) = open(from_anchor(wrong)).unwrap();
    assert_eq!((opened.records, seen.len()), (100, 40));
}

#[test]
fn a_journal_behind_its_state_is_refused() {
    let disk = SimDisk::new();
    closed(&disk, 10, 4096);
    let refused = open(Options {
        known: Seq::new(11),
        ..options(&disk, 4096)
    });
    assert_eq!(damage(refused), (Seq::new(11), Why::Missing));
    let gone = open(Options {
        known: Seq::new(11),
        ..options(&SimDisk::new(), 4096)
    });
    assert_eq!(
        damage(gone),
        (Seq::new(1), Why::Missing),
        "no journal at all"
    );
}

#[test]
fn a_failed_write_poisons_the_journal() {
    for (step, acts) in [(Step::Write, "write"), (Step::Sync, "sync")] {
        let disk = SimDisk::new();
        let (journal, ..) = open(options(&disk, 64 << 10)).unwrap();
        journal.synced(put(&journal, "").seq).wait().unwrap();
        disk.fail(step, 1, ErrorKind::Other);
        let placed = put(&journal, "");
        let poisoned = journal.synced(placed.seq).wait().unwrap_err();
        assert!(poisoned.to_string().contains(acts), "{poisoned}");

        let (writes, syncs) = (disk.count(Step::Write), disk.count(Step::Sync));
        assert_eq!(
            journal.put(&entry("", false)),
            Err(PutError::Poisoned(poisoned.clone()))
        );
        assert_eq!(journal.write(placed.seq), Err(poisoned.clone()));
        assert_eq!(journal.sync(), Err(poisoned.clone()));
        assert_eq!(journal.synced(placed.seq).wait(), Err(poisoned.clone()));
        assert_eq!(journal.close(), Err(poisoned));
        assert_eq!(disk.count(Step::Write), writes, "nothing is tried again");
        assert_eq!(disk.count(Step::Sync), syncs, "a sync is never tried again");
    }
}

#[test]
fn short_writes_are_completed() {
    let disk = SimDisk::new();
    disk.set_shortest(7);
    let truth = closed(&disk, 20, 2048);
    let (_, opened, seen) = open(options(&disk, 2048)).unwrap();
    assert_eq!((seen, opened.tail_cut), (truth, None));
}

#[test]
fn on_a_full_disk_new_calls_are_refused_and_outcomes_still_fit() {
    let disk = SimDisk::new();
    disk.set_room(2 * 4096);
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let call = Entry {
        keep: 2000,
        ..entry("", false)
    };
    let mut calls = 0;
    loop {
        match journal.put(&call) {
            Ok(placed) => journal.write(placed.seq).unwrap(),
            Err(refused) => {
                assert_eq!(refused, PutError::NoRoom);
                break;
            }
        }
        calls += 1;
    }
    assert!(calls > 10, "{calls}");
    // 2,000 bytes were kept: seven outcomes and a stop of 250 bytes each.
    for _ in 0..7 {
        journal.write(put(&journal, "").seq).unwrap();
    }
    let stop = journal.put(&entry("", true)).unwrap();
    journal.synced(stop.seq).wait().unwrap();

    disk.set_room(4096);
    journal.make_room();
    let placed = journal.put(&call).unwrap();
    journal.write(placed.seq).unwrap();
    assert_eq!(journal.verify().unwrap().broken, None);
    drop(journal);
    disk.set_room(0);
    let full = SimDisk::new();
    full.set_room(0);
    assert!(matches!(open(options(&full, 4096)), Err(Refused::NoRoom)));
}

#[test]
fn a_record_that_is_too_long_is_refused_and_the_next_one_taken() {
    let disk = SimDisk::new();
    let (journal, ..) = open(options(&disk, 64 << 20)).unwrap();
    let long = format!(r#""pad":"{}""#, "x".repeat(1 << 20));
    assert!(matches!(
        journal.put(&entry(&long, false)),
        Err(PutError::TooLong { .. })
    ));
    let longest = format!(r#""pad":"{}""#, "x".repeat((1 << 20) - 1024 - 8));
    put(&journal, &longest);
    put(&journal, "");
    journal.close().unwrap();
    assert_eq!(open(options(&disk, 64 << 20)).unwrap().2.len(), 2);
}

#[test]
fn a_pruned_journal_still_verifies_and_a_segment_taken_by_hand_does_not() {
    let disk = SimDisk::new();
    closed(&disk, 100, 4096);
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let before = disk.segments().len();
    let (pruned, record) = put_pruned(&journal, 50);
    let unsynced = put(&journal, "").seq;
    assert!(journal.prune(&pruned, unsynced).is_err());
    // Nobody loses what is being read.
    journal
        .read(Seq::new(1), &mut |_, _| {
            assert!(!journal.prune(&pruned, record).unwrap());
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(disk.segments().len(), before);
    journal.write(unsynced).unwrap();
    assert!(journal.prune(&pruned, record).unwrap());
    assert!(disk.segments().len() < before);
    let report = journal.verify().unwrap();
    assert_eq!(
        (report.first, report.last, report.broken),
        (pruned.first, Seq::new(102), None)
    );
    let by = report.pruned.unwrap();
    assert_eq!((by.record, by.says), (record, pruned));
    journal.close().unwrap();

    let (journal, opened, _) = open(options(&disk, 4096)).unwrap();
    assert_eq!(opened.last, Seq::new(102));
    drop(journal);
    let bad = disk.kill();
    bad.vanish(&bad.segments()[0]);
    let broken = verify(&bad, Path::new(STATE), None)
        .unwrap()
        .broken
        .unwrap();
    assert!(
        broken.to_string().contains("and not by tollgate"),
        "{broken}"
    );
    damage(open(options(&bad, 4096)));
}

#[test]
fn a_base_that_no_record_speaks_of_is_found() {
    let disk = SimDisk::new();
    closed(&disk, 100, 4096);
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let first = journal.starts().unwrap()[3];
    let base = Path::new(STATE).join("journal/base");
    // A true record, of something else.
    let record = put(&journal, "");
    journal.write(record.seq).unwrap();
    journal.sync().unwrap();
    assert!(journal.prune(&pruned(&first), record.seq).unwrap());
    let broken = journal.verify().unwrap().broken.unwrap();
    assert!(
        broken.to_string().contains("and not by tollgate"),
        "{broken}"
    );
    // One that speaks of another beginning.
    let (_, other) = put_pruned(&journal, 80);
    assert!(journal.prune(&pruned(&first), other).unwrap());
    assert!(journal.verify().unwrap().broken.is_some());
    journal.close().unwrap();
    // Without it the journal seems to begin earlier.
    disk.vanish(&base);
    let broken = verify(&disk, Path::new(STATE), None).unwrap().broken;
    assert!(matches!(broken.unwrap().why, Why::Removed { .. }));
    damage(open(options(&disk, 4096)));
}

#[test]
fn bodies_survive_a_power_cut_and_are_found_damaged() {
    let disk = SimDisk::new();
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let bodies = journal.bodies().unwrap();
    let name = bodies.keep(b"secret").unwrap();
    assert_eq!(bodies.keep(b"secret").unwrap(), name);
    drop(journal);
    for seed in 0..20 {
        let disk = disk.power_cut(&mut Dice(seed));
        let (journal, ..) = open(options(&disk, 4096)).unwrap();
        let bodies = journal.bodies().unwrap();
        assert_eq!(bodies.list().unwrap(), [name]);
        assert_eq!(bodies.read(&name).unwrap(), b"secret");
        let path = Path::new(STATE).join(format!("bodies/{name}"));
        disk.tamper(&path, |content| content[0] ^= 1);
        assert!(bodies.read(&name).is_err());
        bodies.forget(&name).unwrap();
        assert!(bodies.list().unwrap().is_empty());
    }
    disk.fail(Step::Write, 1, ErrorKind::StorageFull);
    assert!(bodies.keep(b"another").is_err());
    let left = disk.paths();
    assert!(
        left.iter()
            .all(|path| path.extension().is_none_or(|e| e != "draft"))
    );
}

#[test]
fn the_same_body_is_kept_twice_at_once_while_somebody_reads() {
    let disk = SimDisk::new();
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let (one, two) = (journal.bodies().unwrap(), journal.bodies().unwrap());
    let writes = disk.count(Step::Write);
    disk.hold_syncs(true);
    std::thread::scope(|threads| {
        let first = threads.spawn(|| one.keep(b"secret"));
        disk.wait_for(Step::Write, writes + 1);
        let second = threads.spawn(|| two.keep(b"secret"));
        journal.bodies().unwrap();
        disk.hold_syncs(false);
        let name = first.join().unwrap().unwrap();
        assert_eq!(second.join().unwrap().unwrap(), name);
        assert_eq!(one.read(&name).unwrap(), b"secret");
    });
}

#[test]
fn a_start_removes_half_written_bodies_and_nothing_else() {
    let disk = SimDisk::new();
    closed(&disk, 3, 4096);
    let bodies = Path::new(STATE).join("bodies");
    let draft = bodies.join(format!("{}.7.draft", "a".repeat(64)));
    let others = ["letter.draft", "notes"].map(|name| bodies.join(name));
    for path in others.iter().chain([&draft]) {
        disk.put(path, b"half");
    }
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let left = disk.paths();
    assert!(others.iter().all(|path| left.contains(path)) && !left.contains(&draft));
    assert!(journal.bodies().unwrap().list().unwrap().is_empty());
}

/// A journal with threads whose segments exist already: every sync from here on is one of
/// records.
fn threaded(disk: &SimDisk, interval: Duration) -> Journal {
    open(options(disk, 64 << 10)).unwrap();
    let options = Options {
        pace: Pace::Thread(interval),
        ..options(disk, 64 << 10)
    };
    open(options).unwrap().0
}

#[test]
fn a_record_nobody_waits_for_is_synced_all_the_same() {
    let disk = SimDisk::new();
    let journal = threaded(&disk, Duration::from_micros(1));
    // Often enough that the syncing thread sleeps before some of them, and not before others.
    for _ in 0..300 {
        let syncs = disk.count(Step::Sync);
        journal.write(put(&journal, "").seq).unwrap();
        disk.wait_for(Step::Sync, syncs + 1);
    }
}

#[test]
fn waiters_share_a_sync_and_a_held_sync_holds_up_no_writes() {
    let disk = SimDisk::new();
    let journal = threaded(&disk, LONG);
    let syncs = disk.count(Step::Sync);
    disk.hold_syncs(true);
    let waits: Vec<_> = (0..100)
        .map(|_| {
            let placed = journal.put(&entry("", true)).unwrap();
            journal.write(placed.seq).unwrap();
            journal.synced(placed.seq)
        })
        .collect();
    assert_eq!(journal.written(), Seq::new(100));
    assert_eq!(journal.synced_mark(), Seq::ZERO);
    disk.hold_syncs(false);
    for wait in waits {
        wait.wait().unwrap();
    }
    assert!(disk.count(Step::Sync) - syncs <= 2);
}

#[test]
fn a_failed_sync_reaches_everybody_who_waits() {
    let disk = SimDisk::new();
    let journal = threaded(&disk, LONG);
    disk.hold_syncs(true);
    disk.fail(Step::Sync, 1, ErrorKind::Other);
    let waits: Vec<_> = (0..10)
        .map(|_| {
            let placed = journal.put(&entry("", true)).unwrap();
            journal.write(placed.seq).unwrap();
            journal.synced(placed.seq)
        })
        .collect();
    disk.hold_syncs(false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for wait in waits {
        assert!(runtime.block_on(wait).is_err());
    }
    assert!(journal.healthy().is_err());
}

#[test]
fn eight_threads_on_a_real_disk_lose_nothing() {
    let state = tempfile::tempdir().unwrap();
    let options = || Options {
        segment_bytes: 64 << 10,
        ..Options::new(Timestamp::UNIX_EPOCH)
    };
    let (journal, ..) = open_in(state.path(), options()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..200 {
                    let durable = n % 10 == 0;
                    let members = members(writer * 1000 + n, n);
                    let placed = journal.put(&entry(&members, durable)).unwrap();
                    journal.write(placed.seq).unwrap();
                    if durable {
                        journal.synced(placed.seq).wait().unwrap();
                        assert!(journal.synced_mark() >= placed.seq);
                    }
                    let line = journal.read_at(placed.place, placed.seq).unwrap();
                    assert!(line.unwrap().contains(&members));
                }
            });
        }
    });
    assert_eq!(journal.verify().unwrap().last, Seq::new(1600));
    // No close: as after a kill, but for the threads.
    drop(journal);
    let (journal, opened, seen) = open_in(state.path(), options()).unwrap();
    assert_eq!((seen.len(), opened.tail_cut), (1600, None));
    assert_eq!(journal.verify().unwrap().broken, None);
    assert!(verify(&RealDisk, state.path(), None).unwrap().segments > 5);
}

#[test]
fn nobody_else_can_read_the_key_the_records_or_the_bodies() {
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::tempdir().unwrap();
    let (journal, ..) = open_in(state.path(), Options::new(Timestamp::UNIX_EPOCH)).unwrap();
    let name = journal.bodies().unwrap().keep(b"secret").unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for file in ["journal.key", "journal/head", "journal/000001.jsonl"] {
        assert_eq!(mode(&state.path().join(file)), 0o600, "{file}");
    }
    let bodies: PathBuf = state.path().join("bodies");
    assert_eq!(mode(&bodies.join(name.to_string())), 0o600);
    assert_eq!(mode(&bodies), 0o700);
    assert_eq!(mode(&state.path().join("journal")), 0o700);
}

#[test]
fn a_replay_that_fails_refuses_and_changes_nothing() {
    let disk = SimDisk::new();
    closed(&disk, 10, 4096);
    let before = disk.content(&disk.segments()[0]);
    let refused =
        Journal::open(
            Path::new(STATE),
            options(&disk, 4096),
            &mut |record, _| match record.seq.get() {
                7 => Err("unknown kind".into()),
                _ => Ok(()),
            },
        );
    let refused = refused.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "record 7 can't be replayed: unknown kind"
    );
    assert_eq!(disk.content(&disk.segments()[0]), before);
}
