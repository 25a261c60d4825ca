//! Stores with days of records, on a real and on a simulated disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tollgate::clock::SetClock;
use tollgate::domain::{AgentName, StopScope};
use tollgate::ports::Store;
use tollgate::store::journal::Pace;
use tollgate::store::{LocalStore, Setup};

use crate::simdisk::SimDisk;
use crate::stores::{call, context, done, permit, print, raw, refused, server, stop};

pub const STATE: &str = "/state";
pub const DAY: Duration = Duration::from_secs(24 * 3600);
pub const KEEP: Duration = Duration::from_secs(5 * 24 * 3600);
pub const CALLS_A_DAY: usize = 40;
const TOGETHER: usize = 5;
/// So that a day is more than a segment, and two go at a time of those that [`ready`] has.
const SEGMENT: u64 = 22 << 10;

pub fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A clock on a day.
pub fn day(n: u32) -> Arc<SetClock> {
    Arc::new(SetClock::at(start() + DAY * n))
}

pub fn simulated(disk: &SimDisk, clock: &Arc<SetClock>) -> Setup {
    Setup {
        disk: Arc::new(disk.clone()),
        segment_bytes: SEGMENT,
        pace: Pace::Inline,
        keep_every: None,
        keep: Some(KEEP),
        ..Setup::new(Path::new(STATE), clock.clone())
    }
}

pub fn real(state: &Path, clock: &Arc<SetClock>) -> Setup {
    Setup {
        segment_bytes: SEGMENT,
        // So small that they would not be made ahead in time.
        pace: Pace::Inline,
        keep_every: Some(Duration::from_secs(3600)),
        keep: Some(KEEP),
        ..Setup::new(state, clock.clone())
    }
}

pub fn bot() -> StopScope {
    StopScope::Agent(AgentName::parse("bot").unwrap())
}

pub fn a_day(store: &dyn Store, clock: &SetClock, day: u32) {
    for n in 0..CALLS_A_DAY {
        let call = call(&format!("{day}-{n}"), "ann", &format!("d{day}"));
        done(store, permit(store, &call, &context(r#"{"a":1}"#)));
        // Several in a quarter of an hour, as in life: what they used is kept by the quarter.
        if (n + 1) % TOGETHER == 0 {
            clock.advance(DAY * (TOGETHER as u32) / (CALLS_A_DAY as u32));
        }
    }
    clock.jump_to(start() + DAY * (day + 1));
}

pub fn days(store: &dyn Store, clock: &SetClock, days: std::ops::Range<u32>) {
    for day in days {
        a_day(store, clock, day);
    }
}

/// What must outlast the records that it follows from.
pub fn decisions(store: &dyn Store) {
    store.stop(stop(bot())).unwrap();
    let files = server("files");
    store.pin(&files, "rm", &raw("1"), print("1")).unwrap();
    store.pin(&files, "rm", &raw("2"), print("2")).unwrap();
    // A call that never ends.
    let _open = permit(store, &call("open", "ann", "1"), &context("{}"));
}

pub fn decided(store: &dyn Store) {
    assert_eq!(store.stops().all(), [stop(bot())]);
    assert_eq!(refused(store, &call("z", "bot", "1")), "STOPPED");
    let pins = store.pins();
    assert_eq!(pins.len(), 1);
    assert_eq!(pins[0].accepted, print("1"));
    assert_eq!(pins[0].offered, Some(raw("2")));
    assert_eq!(pins[0].since, "2026-01-01T00:00:00.000000Z");
}

/// Thirty days of records.
pub fn a_month(store: &dyn Store, clock: &SetClock) {
    decisions(store);
    days(store, clock, 0..30);
}

pub fn prune(store: &LocalStore) -> usize {
    let mut batches = 0;
    while store.prune().unwrap() {
        batches += 1;
    }
    batches
}

pub fn first_kept(store: &dyn Store) -> u64 {
    let verified = store.verify().unwrap();
    assert_eq!(verified.broken, None);
    assert_eq!(verified.pruned.is_some(), verified.first > 1);
    assert_eq!(verified.records, verified.last + 1 - verified.first);
    verified.first
}

pub fn bodies(disk: &SimDisk) -> Vec<PathBuf> {
    let mut paths = disk.paths();
    paths.retain(|path| path.starts_with("/state/bodies"));
    paths
}

pub fn copy(from: &Path, to: &Path) {
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

/// The files of a state directory, by their paths below it.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// A state directory with a month of records, not pruned yet, with sled beside it. The
/// first test that wants one makes it for all.
pub fn grown(state: &Path) -> Arc<SetClock> {
    static GROWN: OnceLock<Files> = OnceLock::new();
    let grown = GROWN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let clock = day(0);
        let store = LocalStore::open(real(dir.path(), &clock)).unwrap();
        a_month(&store, &clock);
        store.close();
        drop(store);
        taken(dir.path())
    });
    laid(grown, state);
    day(30)
}

/// A state directory whose journal was pruned, with sled beside it. The first test that
/// wants one makes it for all.
pub fn pruned(state: &Path) -> Arc<SetClock> {
    static PRUNED: OnceLock<Files> = OnceLock::new();
    let pruned = PRUNED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let clock = grown(dir.path());
        let store = LocalStore::open(real(dir.path(), &clock)).unwrap();
        store.keep().unwrap();
        assert!(prune(&store) > 0);
        assert!(store.check().unwrap().contains("what is kept is older"));
        store.keep().unwrap();
        assert!(store.check().unwrap().contains("so is what is kept"));
        store.close();
        drop(store);
        taken(dir.path())
    });
    laid(pruned, state);
    day(30)
}

fn taken(dir: &Path) -> Files {
    let content = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path.strip_prefix(dir).unwrap().to_path_buf(), bytes)
    };
    files(dir).into_iter().map(content).collect()
}

fn laid(files: &Files, dir: &Path) {
    for (path, bytes) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    };
    entries.flat_map(below).collect()
}

/// A disk with fourteen days of records of which some are old, not pruned yet.
pub fn ready() -> (SimDisk, Arc<SetClock>) {
    static READY: OnceLock<SimDisk> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        let (disk, clock) = (SimDisk::new(), day(0));
        let store = LocalStore::open(simulated(&disk, &clock)).unwrap();
        decisions(&store);
        days(&store, &clock, 0..14);
        store.close();
        disk
    });
    (ready.kill(), day(14))
}
