//! What is measured of a row in one round.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::driver::Session;
use crate::proc::{Cpus, Placement, usage};
use crate::rows::{Rig, Row, Stage};
use crate::stats::median;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    P10,
    P50,
    P99,
    Cpu,
    Rate1,
    Rate8,
    Rate64,
    FreeRate64,
    Mib1,
    Mib8,
    List10,
    List1k,
    List10k,
    Start,
    Rss,
    RssBig,
}

impl Measure {
    /// With the key in `--json` and the title in the table.
    pub(crate) const ALL: [(Measure, &'static str, &'static str); 16] = [
        (Measure::P10, "p10_us", "latency p10, us"),
        (Measure::P50, "p50_us", "latency p50, us"),
        (Measure::P99, "p99_us", "latency p99, us"),
        (Measure::Cpu, "cpu_us", "CPU per call, us"),
        (Measure::Rate1, "rate1", "1 in flight, calls/s"),
        (Measure::Rate8, "rate8", "8 in flight, calls/s"),
        (Measure::Rate64, "rate64", "64 in flight, calls/s"),
        (
            Measure::FreeRate64,
            "rate64_unpinned",
            "64, unpinned, calls/s",
        ),
        (Measure::Mib1, "mib1_ms", "1 MiB result, ms"),
        (Measure::Mib8, "mib8_ms", "8 MiB result, ms"),
        (Measure::List10, "list10_ms", "list of 10, ms"),
        (Measure::List1k, "list1k_ms", "list of 1,000, ms"),
        (Measure::List10k, "list10k_ms", "list of 10,000, ms"),
        (Measure::Start, "start_ms", "start to first call, ms"),
        (Measure::Rss, "rss_mib", "RSS after small calls, MiB"),
        (Measure::RssBig, "rss_big_mib", "RSS after big results, MiB"),
    ];
}

/// A row and what was measured of it. One error in any round makes it void.
pub(crate) struct Record {
    pub(crate) row: Row,
    pub(crate) void: Option<String>,
    /// One value a round, or a slice; those of all rows at one place belong together.
    values: BTreeMap<Measure, Vec<f64>>,
}

impl Record {
    pub(crate) fn new(row: Row) -> Record {
        Record {
            row,
            void: None,
            values: BTreeMap::new(),
        }
    }

    pub(crate) fn note(&mut self, measure: Measure, value: f64) {
        self.values.entry(measure).or_default().push(value);
    }

    pub(crate) fn values(&self, measure: Measure) -> &[f64] {
        self.values.get(&measure).map_or(&[], Vec::as_slice)
    }
}

/// How much is done for each measure.
pub(crate) struct Plan {
    pub(crate) warm_up: usize,
    /// Of sequential calls, in a round.
    pub(crate) slices: usize,
    /// In a slice.
    pub(crate) calls: usize,
    span: Duration,
    starts: usize,
    mib1: usize,
    mib8: usize,
    lists: usize,
}

impl Plan {
    pub(crate) fn full() -> Plan {
        Plan {
            warm_up: 300,
            slices: 10,
            calls: 300,
            span: Duration::from_secs(1),
            starts: 9,
            mib1: 31,
            mib8: 9,
            lists: 11,
        }
    }

    pub(crate) fn quick() -> Plan {
        Plan {
            warm_up: 100,
            slices: 5,
            calls: 100,
            span: Duration::from_millis(150),
            starts: 3,
            mib1: 5,
            mib8: 3,
            lists: 3,
        }
    }
}

/// The tools of every stage that isn't about lists.
pub(crate) const FEW: usize = 10;

/// All measures of a row but its latency, once. An error says in which part it came up.
pub(crate) fn round(
    record: &mut Record,
    plan: &Plan,
    rig: &Rig,
    cpus: &Cpus,
    placement: Placement,
) -> Result<(), String> {
    let row = record.row;
    small_and_big(record, plan, rig)?;
    for (measure, tools) in [(Measure::List1k, 1_000), (Measure::List10k, 10_000)] {
        let at = format!("list of {tools}");
        let stage = Stage::open(row, tools, rig).map_err(within(&at))?;
        let mut session = stage.connect().map_err(within(&at))?;
        let took = lists(&mut session, plan, tools).map_err(within(&at))?;
        record.note(measure, took);
        session.close().map_err(within(&at))?;
        stage.close().map_err(within(&at))?;
    }
    let free = match placement {
        Placement::Free => record.values(Measure::Rate64).last().copied(),
        Placement::Pinned(_) => {
            cpus.place(Placement::Free)?;
            let rate = free_rate(row, plan, rig).map_err(within("unpinned"));
            cpus.place(placement)?;
            Some(rate?)
        }
    };
    if let Some(rate) = free {
        record.note(Measure::FreeRate64, rate);
    }
    Ok(())
}

fn small_and_big(record: &mut Record, plan: &Plan, rig: &Rig) -> Result<(), String> {
    let row = record.row;
    let stage = Stage::open(row, FEW, rig).map_err(within("setting up"))?;
    let start = starts(&stage, row, plan).map_err(within("start"))?;
    record.note(Measure::Start, start);

    let mut session = stage.connect().map_err(within("connecting"))?;
    let roots = stage.roots(&session);
    for _ in 0..plan.warm_up {
        session.call().map_err(within("warming up"))?;
    }
    for (measure, flight) in [
        (Measure::Rate1, 1),
        (Measure::Rate8, 8),
        (Measure::Rate64, 64),
    ] {
        let rate = session.throughput(flight, plan.span);
        let rate = rate.map_err(within(&format!("{flight} in flight")))?;
        record.note(measure, rate);
    }
    let resident = || usage(&roots, &rig.bench).resident_kib / 1024.0;
    record.note(Measure::Rss, resident());
    let took = lists(&mut session, plan, FEW).map_err(within("list of 10"))?;
    record.note(Measure::List10, took);
    for (measure, bytes, times) in [
        (Measure::Mib1, 1 << 20, plan.mib1),
        (Measure::Mib8, 8 << 20, plan.mib8),
    ] {
        let took = big(&mut session, bytes, times);
        let took = took.map_err(within(&format!("result of {bytes} bytes")))?;
        record.note(measure, took);
    }
    record.note(Measure::RssBig, resident());
    session.close().map_err(within("closing"))?;
    stage.close().map_err(within("closing"))
}

/// From the start of the agent's process to the answer to its first call.
/// With a daemon, another agent is connected meanwhile: daemon and server are warm.
fn starts(stage: &Stage<'_>, row: Row, plan: &Plan) -> Result<f64, String> {
    let mut other = None;
    if row.has_daemon() {
        let mut session = stage.connect()?;
        session.call()?;
        other = Some(session);
    }
    let mut samples = Vec::new();
    for _ in 0..plan.starts {
        let started = Instant::now();
        let mut session = stage.connect()?;
        session.call()?;
        samples.push(milliseconds(started.elapsed()));
        session.close()?;
    }
    if let Some(session) = other {
        session.close()?;
    }
    middle(&samples)
}

fn big(session: &mut Session, bytes: usize, times: usize) -> Result<f64, String> {
    session.big(bytes)?; // the first one grows the buffers
    let samples: Result<Vec<f64>, String> = (0..times)
        .map(|_| session.big(bytes).map(milliseconds))
        .collect();
    middle(&samples?)
}

fn lists(session: &mut Session, plan: &Plan, tools: usize) -> Result<f64, String> {
    session.list()?; // the first one may fill a cache
    let mut samples = Vec::new();
    for _ in 0..plan.lists {
        let (took, listed) = session.list()?;
        if listed != tools {
            return Err(format!("{listed} tools listed instead of {tools}"));
        }
        samples.push(milliseconds(took));
    }
    middle(&samples)
}

fn free_rate(row: Row, plan: &Plan, rig: &Rig) -> Result<f64, String> {
    let stage = Stage::open(row, FEW, rig)?;
    let mut session = stage.connect()?;
    for _ in 0..plan.warm_up {
        session.call()?;
    }
    let rate = session.throughput(64, plan.span)?;
    session.close()?;
    stage.close()?;
    Ok(rate)
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn middle(samples: &[f64]) -> Result<f64, String> {
    median(samples).ok_or_else(|| "no sample was taken".into())
}

fn within(part: &str) -> impl Fn(String) -> String {
    move |error| format!("{part}: {error}")
}
