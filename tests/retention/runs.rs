//! The sums of runs: of all of their records, or with a word that some are not there.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tollgate::clock::{Clock, SetClock, SystemClock};
use tollgate::ports::Store;
use tollgate::store::LocalStore;

use crate::prompt::{Home, complaint, text};
use crate::pruning::{pruned, real};
use crate::records::TOOLS;
use crate::stores::{call, context, done, permit};

/// The state directory of a daemon that was never started.
fn empty(home: &Home) -> PathBuf {
    let state = home.state();
    let mut dirs = fs::DirBuilder::new();
    dirs.recursive(true).mode(0o700).create(&state).unwrap();
    state
}

/// Of each run its name and its calls.
fn listed(home: &Home, args: &[&str]) -> (Vec<(String, u64)>, String) {
    let told = home.run(&[&["runs", "--json"], args].concat());
    let runs = text(&told);
    let runs = runs.lines().map(|line| {
        let run: Value = serde_json::from_str(line).unwrap();
        let calls = run["calls"].as_u64().unwrap();
        (run["run"].as_str().unwrap().to_owned(), calls)
    });
    (runs.collect(), complaint(&told))
}

#[test]
fn runs_side_by_side_are_summed_up_over_more_records_than_they_are_found_by() {
    let home = Home::new(TOOLS);
    let state = empty(&home);
    let clock = Arc::new(SetClock::at(SystemClock::new().now()));
    let store = LocalStore::open(real(&state, &clock)).unwrap();
    for n in 0..3000 {
        for run in ["A", "B"] {
            let call = call(&format!("{run}-{n}"), "ann", run);
            done(&store, permit(&store, &call, &context("{}")));
        }
        // Short, and behind all that a list is made of.
        if n == 100 {
            let call = call("C-1", "ann", "C");
            done(&store, permit(&store, &call, &context("{}")));
        }
        clock.advance(Duration::from_millis(1));
    }
    store.close();
    drop(store);
    let _agent = home.agent();
    let run = |name: &str, calls: u64| (name.to_owned(), calls);
    let (runs, told) = listed(&home, &[]);
    assert_eq!(runs, [run("r-A", 3000), run("r-B", 3000)]);
    assert!(
        told.contains("the runs of the newest 5000 records"),
        "{told}"
    );
    // Those that began last are not those that were heard of last.
    assert_eq!(listed(&home, &["--limit", "1"]).0, [run("r-C", 1)]);
    let (runs, told) = listed(&home, &["--limit", "2"]);
    assert_eq!(runs, [run("r-B", 3000), run("r-C", 1)]);
    assert_eq!(told, "");
    assert_eq!(listed(&home, &["--limit", "0"]).0.len(), 3);
}

#[test]
fn a_run_that_may_have_begun_before_the_records_that_are_kept_says_so() {
    let home = Home::new(TOOLS);
    let state = empty(&home);
    pruned(&state);
    let _agent = home.agent();
    let told = home.run(&["runs", "--limit", "0"]);
    let rows = text(&told);
    let (oldest, newest) = (rows.lines().next().unwrap(), rows.lines().last().unwrap());
    assert!(oldest.contains("  at least "), "{rows}");
    assert!(!newest.contains("at least"), "{rows}");
    let says = complaint(&told);
    assert!(
        says.contains("are not kept: ") && says.contains(" may have begun earlier"),
        "{says}"
    );
    let json = text(&home.run(&["runs", "--limit", "0", "--json"]));
    let marked = |line: &&str| line.contains(r#""incomplete":"not_kept""#);
    let count = rows
        .lines()
        .filter(|line| line.contains("at least"))
        .count();
    assert_eq!(json.lines().filter(marked).count(), count, "{json}");
    let name = oldest.split_whitespace().next().unwrap();
    for form in [&["runs", name][..], &["runs", name, "--json"]] {
        let says = complaint(&home.run(form));
        assert!(says.contains("1 run may have begun earlier"), "{says}");
    }
}
