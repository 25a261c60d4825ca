//! What is measured of a row in one round.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::driver::Session;
use crate::proc::{Cpus, Placement, usage};
use crate::rows::{Rig, Row, Stage};
use crate::stats::{median, percentile};

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

pub(crate) type Figures = BTreeMap<Measure, f64>;

/// How much is done for each measure.
pub(crate) struct Plan {
    calls: usize,
    warm_up: usize,
    span: Duration,
    starts: usize,
    mib1: usize,
    mib8: usize,
    lists: usize,
}

impl Plan {
    pub(crate) fn full() -> Plan {
        Plan {
            calls: 3000,
            warm_up: 300,
            span: Duration::from_secs(1),
            starts: 9,
            mib1: 31,
            mib8: 9,
            lists: 11,
        }
    }

    pub(crate) fn quick() -> Plan {
        Plan {
            calls: 500,
            warm_up: 100,
            span: Duration::from_millis(150),
            starts: 3,
            mib1: 5,
            mib8: 3,
            lists: 3,
        }
    }
}

/// The tools of every stage that isn't about lists.
const FEW: usize = 10;
/// The sequential calls of one round end here, however many there were.
const LONGEST: Duration = Duration::from_secs(6);

/// All measures of `row`, once. An error says in which part it came up.
pub(crate) fn round(
    row: Row,
    plan: &Plan,
    rig: &Rig,
    cpus: &Cpus,
    placement: Placement,
) -> Result<Figures, String> {
    cpus.place(placement)?;
    let mut figures = Figures::new();
    small_and_big(row, plan, rig, &mut figures)?;
    for (measure, tools) in [(Measure::List1k, 1_000), (Measure::List10k, 10_000)] {
        let at = format!("list of {tools}");
        let stage = Stage::open(row, tools, rig).map_err(within(&at))?;
        let mut session = stage.connect().map_err(within(&at))?;
        let took = lists(&mut session, plan, tools).map_err(within(&at))?;
        figures.insert(measure, took);
        session.close().map_err(within(&at))?;
        stage.close().map_err(within(&at))?;
    }
    let free = match placement {
        Placement::Free => figures.get(&Measure::Rate64).copied(),
        Placement::Pinned(_) => {
            cpus.place(Placement::Free)?;
            let rate = free_rate(row, plan, rig).map_err(within("unpinned"));
            cpus.place(placement)?;
            Some(rate?)
        }
    };
    figures.extend(free.map(|rate| (Measure::FreeRate64, rate)));
    Ok(figures)
}

fn small_and_big(row: Row, plan: &Plan, rig: &Rig, figures: &mut Figures) -> Result<(), String> {
    let stage = Stage::open(row, FEW, rig).map_err(within("setting up"))?;
    let start = starts(&stage, row, plan).map_err(within("start"))?;
    figures.insert(Measure::Start, start);

    let mut session = stage.connect().map_err(within("connecting"))?;
    let roots = stage.roots(&session);
    latency(&mut session, plan, figures, || {
        usage(&roots, &rig.bench).cpu_us
    })
    .map_err(within("latency"))?;
    for (measure, flight) in [
        (Measure::Rate1, 1),
        (Measure::Rate8, 8),
        (Measure::Rate64, 64),
    ] {
        let rate = session.throughput(flight, plan.span);
        let rate = rate.map_err(within(&format!("{flight} in flight")))?;
        figures.insert(measure, rate);
    }
    let resident = || usage(&roots, &rig.bench).resident_kib / 1024.0;
    figures.insert(Measure::Rss, resident());
    let took = lists(&mut session, plan, FEW).map_err(within("list of 10"))?;
    figures.insert(Measure::List10, took);
    for (measure, bytes, times) in [
        (Measure::Mib1, 1 << 20, plan.mib1),
        (Measure::Mib8, 8 << 20, plan.mib8),
    ] {
        let took = big(&mut session, bytes, times);
        let took = took.map_err(within(&format!("result of {bytes} bytes")))?;
        figures.insert(measure, took);
    }
    figures.insert(Measure::RssBig, resident());
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

fn latency(
    session: &mut Session,
    plan: &Plan,
    figures: &mut Figures,
    cpu_us: impl Fn() -> f64,
) -> Result<(), String> {
    for _ in 0..plan.warm_up {
        session.call()?;
    }
    let before = cpu_us();
    let started = Instant::now();
    let mut samples = Vec::with_capacity(plan.calls);
    while samples.len() < plan.calls && started.elapsed() < LONGEST {
        samples.push(session.call()?.as_secs_f64() * 1e6);
    }
    figures.insert(Measure::Cpu, (cpu_us() - before) / samples.len() as f64);
    for (measure, part) in [
        (Measure::P10, 0.1),
        (Measure::P50, 0.5),
        (Measure::P99, 0.99),
    ] {
        let value = percentile(&samples, part).ok_or("no call was made")?;
        figures.insert(measure, value);
    }
    Ok(())
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
