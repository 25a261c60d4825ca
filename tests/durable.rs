//! A call whose record must survive a power cut leaves only when it does.
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

use std::future::Future as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Polled, Poll, Waker};

use simdisk::{Dice, SimDisk};
use stores::{call, context, futures, lines};
use tollgate::clock::SetClock;
use tollgate::domain::Call;
use tollgate::ports::{Admission, Intent, Query, Store};
use tollgate::store::{LocalStore, Setup};

fn open(disk: &SimDisk) -> LocalStore {
    let clock = Arc::new(SetClock::at("2026-01-01T12:00:00Z".parse().unwrap()));
    LocalStore::open(Setup {
        disk: Arc::new(disk.clone()),
        keep_every: None,
        ..Setup::new(Path::new("/state"), clock)
    })
    .unwrap()
}

fn cleared(store: &LocalStore, call: &Call) -> Intent {
    match store.admit(call, &context("{}")).unwrap() {
        Admission::Cleared(intent) => intent,
        Admission::Refused(refusal) => panic!("refused: {}", refusal.says),
    }
}

fn ordinary(id: &str) -> Call {
    call(id, "bot", "r-1")
}

fn durable(id: &str) -> Call {
    Call {
        durable: true,
        ..ordinary(id)
    }
}

/// A disk that does not sync for so long.
struct Held(SimDisk);

impl Held {
    fn hold(disk: &SimDisk) -> Self {
        disk.hold_syncs(true);
        Self(disk.clone())
    }
}

impl Drop for Held {
    // Also when the test fails: the store that is dropped then syncs.
    fn drop(&mut self) {
        self.0.hold_syncs(false);
    }
}

#[test]
fn a_durable_call_waits_for_the_disk_and_an_ordinary_one_does_not() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let held = Held::hold(&disk);
    let mut polled = Polled::from_waker(Waker::noop());

    let mut waits = pin!(cleared(&store, &durable("d")).permit());
    assert!(waits.as_mut().poll(&mut polled).is_pending());
    let mut goes = pin!(cleared(&store, &ordinary("o")).permit());
    assert!(matches!(
        goes.as_mut().poll(&mut polled),
        Poll::Ready(Ok(_))
    ));
    assert!(waits.as_mut().poll(&mut polled).is_pending());

    drop(held);
    futures(waits).unwrap();
}

#[test]
fn what_has_left_as_durable_is_known_after_a_power_cut() {
    for seed in 0..50 {
        let disk = SimDisk::new();
        let store = open(&disk);
        let left = cleared(&store, &durable("d"));
        futures(left.permit()).unwrap();
        let after = open(&disk.power_cut(&mut Dice(seed)));
        let records = lines(&after.query(&Query::default()).unwrap());
        let intent = records
            .iter()
            .find(|record| record["kind"] == "call.intent");
        assert_eq!(intent.unwrap()["durable"], true, "seed {seed}");
    }
}
