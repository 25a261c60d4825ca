//! The relay bench: what tollgate adds to a tool call, as a multiple of what a
//! process adds that only copies bytes.
//!
//!     cargo bench --bench relay -- [OPTIONS]
//!       --rounds N            how often each row is measured (3)
//!       --rows A,B            only these rows, and the direct and relay rows they are compared with
//!       --quick               fewer calls: a smoke test
//!       --pin CPU             the CPU everything runs on (the first one allowed)
//!       --unpinned            everything runs anywhere
//!       --tollgate FILE       another build of the broker (the one cargo just made)
//!       --tollgate-toml FILE  the broker's `tollgate.toml` (limits that nobody reaches)
//!       --server-toml FILE    lines added to `tools.d/rig.toml`
//!       --json                also one JSON object a row
//!
//! Absolute times depend on the machine and its neighbours; ratios within one
//! run do so far less. Hence all rows are up at once and take turns of some
//! milliseconds, the order rotates, all processes share one CPU (waking an idle
//! one costs more than the work), and a ratio is the median of the turns' own.
//! A row in which anything went wrong is void and makes the bench fail. A missed
//! target is printed and doesn't.
//!
//! The binary starts itself as `echo`, `relay` and `durable-relay`.

#![allow(
    clippy::disallowed_methods,
    reason = "a bench measures time, and has no clock to inject"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a tool for developers: a panic ends the bench, not a call"
)]

mod driver;
mod echo;
mod measure;
mod proc;
mod relay;
mod report;
mod rows;
mod stats;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use measure::Plan;
use proc::{Cpus, Placement};
use rows::{Rig, Row};
use table::Record;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((mode, rest)) if mode == "echo" => echo::serve(rest).map(|()| true),
        Some((mode, rest)) if mode == "relay" => relay::relay(rest).map(|()| true),
        Some((mode, rest)) if mode == "durable-relay" => relay::durable_relay(rest).map(|()| true),
        _ => Options::read(&arguments).and_then(|options| bench(&options)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("relay bench: {error}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    rounds: usize,
    rows: Vec<Row>,
    quick: bool,
    pin: Option<usize>,
    unpinned: bool,
    tollgate: PathBuf,
    tollgate_toml: Option<String>,
    server_toml: String,
    json: bool,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            rounds: 3,
            rows: Row::ALL.to_vec(),
            quick: false,
            pin: None,
            unpinned: false,
            tollgate: env!("CARGO_BIN_EXE_tollgate").into(),
            tollgate_toml: None,
            server_toml: String::new(),
            json: false,
        };
        let mut arguments = arguments.iter();
        while let Some(option) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("`{option}` needs a value"))
            };
            match option.as_str() {
                "--rounds" => options.rounds = number(value()?)?,
                "--rows" => options.rows = rows(value()?)?,
                "--quick" => options.quick = true,
                "--pin" => options.pin = Some(number(value()?)?),
                "--unpinned" => options.unpinned = true,
                "--tollgate" => options.tollgate = value()?.into(),
                "--tollgate-toml" => options.tollgate_toml = Some(text(value()?)?),
                "--server-toml" => options.server_toml = text(value()?)?,
                "--json" => options.json = true,
                "--bench" => {} // what cargo says to every bench
                _ => return Err(format!("unknown option `{option}`")),
            }
        }
        match options.rounds {
            0 => Err("`--rounds` is at least 1".into()),
            _ => Ok(options),
        }
    }
}

/// Whether no row is void.
fn bench(options: &Options) -> Result<bool, String> {
    let rig = Rig {
        bench: std::env::current_exe().map_err(|error| error.to_string())?,
        tollgate: options.tollgate.clone(),
        tollgate_toml: options.tollgate_toml.clone(),
        server_toml: options.server_toml.clone(),
    };
    let plan = if options.quick {
        Plan::quick()
    } else {
        Plan::full()
    };
    let cpus = Cpus::of_this_process()?;
    let placement = match options.pin.or_else(|| cpus.first()) {
        Some(cpu) if !options.unpinned => Placement::Pinned(cpu),
        _ => Placement::Free,
    };
    cpus.place(placement)?;

    let mut records: Vec<Record> = options.rows.iter().copied().map(Record::new).collect();
    for round in 1..=options.rounds {
        measure::round(&mut records, &plan, &rig, &cpus, placement)?;
        eprintln!("round {round} of {} done", options.rounds);
    }

    let placed = match placement {
        Placement::Pinned(cpu) => format!("all on CPU {cpu}"),
        Placement::Free => "unpinned".into(),
    };
    report::print(&records, &format!("rounds: {}, {placed}", options.rounds));
    if options.json {
        report::print_json(&records);
    }
    Ok(records.iter().all(|record| record.void.is_none()))
}

/// The named rows and the ones they are compared with, in the order of the table.
fn rows(names: &str) -> Result<Vec<Row>, String> {
    let mut wanted = Vec::new();
    for name in names.split(',') {
        let row = Row::named(name).ok_or_else(|| {
            let known: Vec<&str> = Row::ALL.into_iter().map(Row::name).collect();
            format!("no row `{name}`; there are {}", known.join(", "))
        })?;
        let (direct, relay) = row.yardsticks();
        wanted.extend([row, direct, relay]);
    }
    let all = Row::ALL.into_iter();
    Ok(all.filter(|row| wanted.contains(row)).collect())
}

fn number(value: &str) -> Result<usize, String> {
    value
        .parse()
        .map_err(|_| format!("`{value}` is not a number"))
}

fn text(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read `{path}`: {error}"))
}
