//! What a record costs, and how fast a journal is read back.
//!
//! `cargo bench --bench journal -- [RECORDS] [DIR]`; without RECORDS a short run that only
//! shows that it works.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and may fail by panicking"
)]

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tollgate::store::journal::{Entry, Journal, Options};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let count: u64 = arguments.next().map_or(10_000, |n| n.parse().unwrap());
    let parent = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let state = tempfile::tempdir_in(parent).unwrap();
    let members = format!(
        r#""call":"c-0123456789abcdef","run":"r-0123456789","agent":"bench","server":"files","tool":"read_file","tier":0,"arguments":{{"path":"{}"}},"digest":"{}","decision":"pass""#,
        "x".repeat(60),
        "0".repeat(64)
    );
    let entry = |durable| Entry {
        at: Timestamp::UNIX_EPOCH,
        kind: "call.intent",
        members: &members,
        durable,
        keep: 0,
    };
    let open = || {
        let mut replayed = 0_u64;
        let options = Options::new(Timestamp::UNIX_EPOCH);
        let began = Instant::now();
        let (journal, _) = Journal::open(state.path(), options, &mut |record, _| {
            replayed += u64::from(record.members.len() > 10);
            Ok(())
        })
        .unwrap();
        (journal, replayed, began.elapsed())
    };

    let (journal, ..) = open();
    let mut times = Vec::new();
    let began = Instant::now();
    for _ in 0..count {
        let one = Instant::now();
        let placed = journal.put(&entry(false)).unwrap();
        journal.write(placed.seq).unwrap();
        times.push(one.elapsed());
    }
    report("put + write, 1 thread", began.elapsed(), &mut times);

    let began = Instant::now();
    for _ in 0..count {
        journal.put(&entry(false)).unwrap();
    }
    println!(
        "put alone: {:?} a record",
        began.elapsed() / u32::try_from(count).unwrap()
    );
    journal.write(journal.last()).unwrap();

    let durable = (count / 100).max(8);
    for threads in [1, 8, 64] {
        let times = Mutex::new(Vec::new());
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut own = Vec::new();
                    for _ in 0..durable.div_ceil(threads) {
                        let one = Instant::now();
                        let placed = journal.put(&entry(true)).unwrap();
                        journal.write(placed.seq).unwrap();
                        journal.synced(placed.seq).wait().unwrap();
                        own.push(one.elapsed());
                    }
                    times.lock().unwrap().extend(own);
                });
            }
        });
        let mut times = times.into_inner().unwrap();
        report(
            &format!("durable, {threads} threads"),
            began.elapsed(),
            &mut times,
        );
    }
    journal.close().unwrap();

    let (journal, replayed, took) = open();
    println!(
        "open: {replayed} records in {took:?}, {:.0} a second",
        replayed as f64 / took.as_secs_f64()
    );
    let began = Instant::now();
    let report = journal.verify().unwrap();
    println!("verify: {} records in {:?}", report.last, began.elapsed());
}

fn report(what: &str, all: Duration, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |q: usize| {
        times
            .get(times.len() * q / 1000)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{what}: {:.0} a second, p50 {:?}, p99 {:?}, p99.9 {:?}",
        times.len() as f64 / all.as_secs_f64(),
        at(500),
        at(990),
        at(999)
    );
}
