//! The tables: medians, ratios to the relay, and the targets.

use serde_json::{Map, Value, json};

use crate::measure::Measure;
use crate::rows::Row;
use crate::stats::median;
use crate::table::Record;

/// A figure of a row against the relay of the same turn; above 1 is slower.
#[derive(Clone, Copy)]
enum Ratio {
    /// What the row adds to direct, over what the relay adds.
    Added(Measure),
    /// Time over the relay's time.
    Time(Measure),
    /// The relay's calls a second over the row's.
    Rate(Measure),
}

const RATIOS: [(Ratio, &str, &str); 12] = [
    (Ratio::Added(Measure::P50), "added_p50_ratio", "added p50"),
    (Ratio::Added(Measure::P99), "added_p99_ratio", "added p99"),
    (Ratio::Rate(Measure::Rate1), "rate1_ratio", "1 in flight"),
    (Ratio::Rate(Measure::Rate8), "rate8_ratio", "8 in flight"),
    (Ratio::Rate(Measure::Rate64), "rate64_ratio", "64 in flight"),
    (
        Ratio::Rate(Measure::FreeRate64),
        "rate64_unpinned_ratio",
        "64, unpinned",
    ),
    (Ratio::Time(Measure::Mib1), "mib1_ratio", "1 MiB result"),
    (Ratio::Time(Measure::Mib8), "mib8_ratio", "8 MiB result"),
    (Ratio::Time(Measure::List10), "list10_ratio", "list of 10"),
    (
        Ratio::Time(Measure::List1k),
        "list1k_ratio",
        "list of 1,000",
    ),
    (
        Ratio::Time(Measure::List10k),
        "list10k_ratio",
        "list of 10,000",
    ),
    (
        Ratio::Time(Measure::Start),
        "start_ratio",
        "start to first call",
    ),
];

/// What a row may cost.
enum Target {
    RatioUpTo(Ratio, f64),
    UpTo(Measure, f64),
    From(Measure, f64),
}

/// Of an ordinary call with every gate on and its two records. The first two are what is
/// promised; the next two were set for a broker that records nothing.
const TARGETS: [(&str, Target); 10] = [
    (
        "added p50 <= 3 x",
        Target::RatioUpTo(Ratio::Added(Measure::P50), 3.0),
    ),
    (
        "added p99 <= 6 x",
        Target::RatioUpTo(Ratio::Added(Measure::P99), 6.0),
    ),
    (
        "added p50 <= 1.3 x",
        Target::RatioUpTo(Ratio::Added(Measure::P50), 1.3),
    ),
    (
        "added p99 <= 2 x",
        Target::RatioUpTo(Ratio::Added(Measure::P99), 2.0),
    ),
    (
        "64 unpinned >= 200,000/s",
        Target::From(Measure::FreeRate64, 200_000.0),
    ),
    (
        "1 MiB <= 1.5 x",
        Target::RatioUpTo(Ratio::Time(Measure::Mib1), 1.5),
    ),
    (
        "8 MiB <= 2 x",
        Target::RatioUpTo(Ratio::Time(Measure::Mib8), 2.0),
    ),
    (
        "list of 1,000 <= 1 x",
        Target::RatioUpTo(Ratio::Time(Measure::List1k), 1.0),
    ),
    (
        "list of 10,000 <= 1 x",
        Target::RatioUpTo(Ratio::Time(Measure::List10k), 1.0),
    ),
    ("start <= 20 ms, warm", Target::UpTo(Measure::Start, 20.0)),
];

/// Of a call that leaves only when its record is on disk.
const DURABLE_TARGETS: [(&str, Target); 2] = [
    (
        "added p50 <= 1.15 x",
        Target::RatioUpTo(Ratio::Added(Measure::P50), 1.15),
    ),
    (
        "added p99 <= 1.5 x",
        Target::RatioUpTo(Ratio::Added(Measure::P99), 1.5),
    ),
];

pub(crate) fn print(records: &[Record], heading: &str) {
    println!("\nmedians; {heading} (CPU and RSS without the echo server)");
    header(records);
    for (measure, _, title) in Measure::ALL {
        line(title, records, |record| {
            cell(record, figure(record, measure))
        });
    }

    println!(
        "\nratios to the relay over the same streams; each the median of the turns' own; above 1 is slower"
    );
    header(records);
    for (ratio, _, title) in RATIOS {
        line(title, records, |record| {
            cell(record, against_relay(record, ratio, records))
        });
    }

    let ours = records.iter().filter(|record| record.row.is_tollgate());
    let (durable, ordinary): (Vec<&Record>, Vec<&Record>) =
        ours.partition(|record| record.row == Row::Durable);
    judge("x: times the relay", &ordinary, &TARGETS, records);
    let of_durable = "x: times the relay that syncs";
    judge(of_durable, &durable, &DURABLE_TARGETS, records);

    println!("\nrows");
    for record in records {
        println!("  {:<14} {}", record.row.name(), record.row.meaning());
    }
    for record in records {
        if let Some(error) = &record.void {
            println!("void: {}: {error}", record.row.name());
        }
    }
}

/// The targets of some rows, and whether they are met.
fn judge(unit: &str, ours: &[&Record], targets: &[(&str, Target)], records: &[Record]) {
    if ours.is_empty() {
        return;
    }
    println!("\ntargets ({unit})");
    header(ours.iter().copied());
    for (title, target) in targets {
        line(title, ours.iter().copied(), |record| {
            verdict(record, target, records)
        });
    }
}

pub(crate) fn print_json(records: &[Record]) {
    for record in records {
        let mut object = Map::new();
        object.insert("row".into(), json!(record.row.name()));
        object.insert("void".into(), json!(record.void));
        for (measure, key, _) in Measure::ALL {
            object.insert(key.into(), json!(figure(record, measure)));
        }
        for (ratio, key, _) in RATIOS {
            object.insert(key.into(), json!(against_relay(record, ratio, records)));
        }
        println!("{}", Value::Object(object));
    }
}

fn header<'a>(records: impl IntoIterator<Item = &'a Record>) {
    line("", records, |record| record.row.name().to_owned());
}

fn line<'a>(
    title: &str,
    records: impl IntoIterator<Item = &'a Record>,
    cell: impl Fn(&Record) -> String,
) {
    print!("{title:<27}");
    for record in records {
        print!("{:>14}", cell(record));
    }
    println!();
}

/// A cell of a row that may be void.
fn cell(record: &Record, value: Option<f64>) -> String {
    match record.void {
        Some(_) => "void".into(),
        None => shown(value),
    }
}

fn figure(record: &Record, measure: Measure) -> Option<f64> {
    median(record.values(measure)).filter(|_| record.void.is_none())
}

/// Turns are paired: figures of different moments are never compared.
fn against_relay(record: &Record, ratio: Ratio, records: &[Record]) -> Option<f64> {
    let (direct, relay) = record.row.yardsticks();
    let direct = valid(direct, records)?;
    let relay = valid(relay, records)?;
    let (Ratio::Added(measure) | Ratio::Time(measure) | Ratio::Rate(measure)) = ratio;
    let turns = record.values(measure).iter().zip(direct.values(measure));
    let ratios = turns
        .zip(relay.values(measure))
        .filter_map(|((&row, &direct), &relay)| of_turn(ratio, row, direct, relay));
    median(&ratios.collect::<Vec<_>>()).filter(|_| record.void.is_none())
}

fn valid(row: Row, records: &[Record]) -> Option<&Record> {
    let record = records.iter().find(|record| record.row == row)?;
    record.void.is_none().then_some(record)
}

fn of_turn(ratio: Ratio, row: f64, direct: f64, relay: f64) -> Option<f64> {
    let (over, under) = match ratio {
        Ratio::Added(_) => (row - direct, relay - direct),
        Ratio::Time(_) => (row, relay),
        Ratio::Rate(_) => (relay, row),
    };
    // A relay that seems to add nothing: direct was disturbed, and the turn says nothing.
    (under > 0.0).then(|| over / under)
}

fn verdict(record: &Record, target: &Target, records: &[Record]) -> String {
    let (value, met) = match *target {
        Target::RatioUpTo(ratio, limit) => {
            // As printed: a third decimal is far below the noise.
            let value = against_relay(record, ratio, records);
            let value = value.map(|value| (value * 100.0).round() / 100.0);
            (value, value.map(|value| value <= limit))
        }
        // An embedded tollgate starts everything: it has no warm daemon.
        Target::UpTo(Measure::Start, _) if !record.row.has_daemon() => return "-".into(),
        Target::UpTo(measure, limit) => {
            let value = figure(record, measure);
            (value, value.map(|value| value <= limit))
        }
        Target::From(measure, limit) => {
            let value = figure(record, measure);
            (value, value.map(|value| value >= limit))
        }
    };
    match met {
        None if record.void.is_some() => "void".into(),
        None => "-".into(),
        Some(true) => format!("{} met", shown(value)),
        Some(false) => format!("{} MISSED", shown(value)),
    }
}

fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
