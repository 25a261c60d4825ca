//! What is measured in one round.

use std::time::{Duration, Instant};

use crate::proc::{Cpus, Placement, usage};
use crate::rows::Rig;
use crate::stats::{median, percentile};
use crate::table::{Record, Seat, Table};

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

/// How much is done in one round.
pub(crate) struct Plan {
    warm_up: usize,
    /// Turns of sequential calls, and the calls in each.
    latency: (usize, usize),
    /// Turns of calls in flight, and the length of each.
    rates: (usize, Duration),
    starts: usize,
    /// Turns of one result of 8 MiB and several of 1 MiB.
    big: usize,
    lists: usize,
}

impl Plan {
    pub(crate) fn full() -> Plan {
        Plan {
            warm_up: 300,
            latency: (10, 300),
            rates: (5, Duration::from_millis(200)),
            starts: 9,
            big: 9,
            lists: 11,
        }
    }

    pub(crate) fn quick() -> Plan {
        Plan {
            warm_up: 100,
            latency: (5, 100),
            rates: (2, Duration::from_millis(60)),
            starts: 3,
            big: 3,
            lists: 3,
        }
    }
}

/// The tools of every table that isn't about lists.
const FEW: usize = 10;
/// Calls before the measured ones of a turn: the row has only just woken.
const RUN_UP: usize = 20;
/// A turn of sequential calls ends here, however many there were.
const LONGEST: Duration = Duration::from_secs(1);
const RATES: [(Measure, usize); 3] = [
    (Measure::Rate1, 1),
    (Measure::Rate8, 8),
    (Measure::Rate64, 64),
];

/// All measures of all rows, once.
pub(crate) fn round(
    records: &mut [Record],
    plan: &Plan,
    rig: &Rig,
    cpus: &Cpus,
    placement: Placement,
) -> Result<(), String> {
    calls_and_results(records, plan, rig);
    lists(records, plan, rig);
    starts(records, plan, rig);
    cpus.place(Placement::Free)?;
    unpinned(records, plan, rig);
    cpus.place(placement)
}

fn calls_and_results(records: &mut [Record], plan: &Plan, rig: &Rig) {
    let mut table = Table::set(records, FEW, rig);
    table.turns("warming up", 1, |seat| warm_up(seat, plan));
    let (turns, calls) = plan.latency;
    table.turns("latency", turns, |seat| latency(seat, calls, rig));
    let (turns, span) = plan.rates;
    for (measure, flight) in RATES {
        table.turns(&format!("{flight} in flight"), turns, |seat| {
            let rate = seat.session()?.throughput(flight, span)?;
            seat.record.note(measure, rate);
            Ok(())
        });
    }
    table.turns("list of 10", plan.lists, |seat| {
        list(seat, Measure::List10, FEW)
    });
    table.note_resident(Measure::Rss);
    // The first ones grow the buffers.
    table.turns("first 8 MiB", 1, |seat| {
        seat.session()?.big(8 << 20).map(drop)
    });
    table.turns("big results", plan.big, |seat| {
        big(seat, Measure::Mib1, 1 << 20, 5)?;
        big(seat, Measure::Mib8, 8 << 20, 1)
    });
    table.note_resident(Measure::RssBig);
    table.clear();
}

fn lists(records: &mut [Record], plan: &Plan, rig: &Rig) {
    for (measure, tools) in [(Measure::List1k, 1_000), (Measure::List10k, 10_000)] {
        let mut table = Table::set(records, tools, rig);
        let part = format!("list of {tools}");
        // The first one of an agent may fill a cache.
        table.turns(&part, 1, |seat| seat.session()?.list().map(drop));
        table.turns(&part, plan.lists, |seat| list(seat, measure, tools));
        table.clear();
    }
}

/// From the start of the agent's process to the answer to its first call.
/// With a daemon, another agent stays connected: daemon and server are warm.
fn starts(records: &mut [Record], plan: &Plan, rig: &Rig) {
    let mut table = Table::set(records, FEW, rig);
    table.turns("start", 1, |seat| match seat.record.row.has_daemon() {
        true => seat.session()?.call().map(drop),
        false => seat.leave(),
    });
    table.turns("start", plan.starts, |seat| {
        let started = Instant::now();
        let mut session = seat.stage.connect()?;
        session.call()?;
        seat.record
            .note(Measure::Start, milliseconds(started.elapsed()));
        session.close()
    });
    table.clear();
}

fn unpinned(records: &mut [Record], plan: &Plan, rig: &Rig) {
    let mut table = Table::set(records, FEW, rig);
    table.turns("warming up", 1, |seat| warm_up(seat, plan));
    let (turns, span) = plan.rates;
    table.turns("64 in flight, unpinned", turns, |seat| {
        let rate = seat.session()?.throughput(64, span)?;
        seat.record.note(Measure::FreeRate64, rate);
        Ok(())
    });
    table.clear();
}

fn warm_up(seat: &mut Seat<'_, '_>, plan: &Plan) -> Result<(), String> {
    let session = seat.session()?;
    (0..plan.warm_up).try_for_each(|_| session.call().map(drop))
}

fn latency(seat: &mut Seat<'_, '_>, calls: usize, rig: &Rig) -> Result<(), String> {
    let roots = seat.roots();
    let before = usage(&roots, &rig.bench).cpu_us;
    let session = seat.session()?;
    for _ in 0..RUN_UP {
        session.call()?;
    }
    let started = Instant::now();
    let mut samples = Vec::with_capacity(calls);
    while samples.len() < calls && started.elapsed() < LONGEST {
        samples.push(session.call()?.as_secs_f64() * 1e6);
    }
    let cpu = usage(&roots, &rig.bench).cpu_us - before;
    let made = (samples.len() + RUN_UP) as f64;
    seat.record.note(Measure::Cpu, cpu / made);
    for (measure, part) in [
        (Measure::P10, 0.1),
        (Measure::P50, 0.5),
        (Measure::P99, 0.99),
    ] {
        let value = percentile(&samples, part).ok_or("no call was made")?;
        seat.record.note(measure, value);
    }
    Ok(())
}

fn big(
    seat: &mut Seat<'_, '_>,
    measure: Measure,
    bytes: usize,
    times: usize,
) -> Result<(), String> {
    let session = seat.session()?;
    let samples: Result<Vec<f64>, String> = (0..times)
        .map(|_| session.big(bytes).map(milliseconds))
        .collect();
    let middle = median(&samples?).ok_or("no result was asked for")?;
    seat.record.note(measure, middle);
    Ok(())
}

fn list(seat: &mut Seat<'_, '_>, measure: Measure, tools: usize) -> Result<(), String> {
    let (took, listed) = seat.session()?.list()?;
    if listed != tools {
        return Err(format!("{listed} tools listed instead of {tools}"));
    }
    seat.record.note(measure, milliseconds(took));
    Ok(())
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
