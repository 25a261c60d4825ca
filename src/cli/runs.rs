//! `tollgate runs`: stretches of work, and one of them step by step.

use std::collections::HashMap;

use jiff::Timestamp;

use super::audit::{missing, not_kept};
use super::filter::Filter;
use super::out::Out;
use super::record::{Record, duration};
use super::rows::{Row, merged};
use super::{Trouble, records};
use crate::clock::{Clock, SystemClock};
use crate::control::{Question, Records};
use crate::daemon::{Failure, FailureKind, Place};
use crate::domain::RunId;
use crate::ports::Query;

/// List runs with their calls; one run as its steps
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Times are UTC. Without a time, runs of the newest 5000 records are listed.")]
pub(super) struct Args {
    /// One run
    #[arg(value_name = "ID")]
    id: Option<String>,

    #[command(flatten)]
    filter: Filter,

    /// One JSON object per run, or the records of the run as they stand
    #[arg(long)]
    json: bool,
}

/// Records that a list without bounds looks at.
const NEWEST: usize = 5000;

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let now = SystemClock::new().now();
    let mut query = args.filter.query(now, NEWEST)?;
    if let Some(id) = &args.id {
        let id = RunId::parse(id).ok_or_else(|| {
            Failure::new(FailureKind::Usage, format!("`{id}` does not name a run"))
                .hint("a run is named like r-7Q2K; `tollgate runs` lists them")
        })?;
        query.run = Some(id.to_string());
        query.limit = None;
        return one(place, &id, query, args.json, out);
    }
    let asked = query.since;
    let (found, kept) = all(place, query)?;
    let runs = summed(&parsed(&found));
    if args.json {
        return Ok(runs.iter().try_for_each(|run| out.json(run))?);
    }
    if runs.is_empty() {
        out.line("no runs")?;
    }
    out.table(&table(&runs))?;
    match kept {
        Some(kept) if runs.is_empty() || asked.is_some_and(|asked| asked < kept) => {
            Ok(out.line(not_kept(kept))?)
        }
        Some(_) | None => Ok(()),
    }
}

fn one(place: &Place, id: &RunId, query: Query, json: bool, out: &mut Out) -> Result<(), Trouble> {
    let (lines, since) = all(place, query)?;
    if json {
        for line in &lines {
            out.raw(line.as_bytes())?;
            out.raw(b"\n")?;
        }
        return Ok(());
    }
    let records = parsed(&lines);
    let runs = summed(&records);
    let Some(run) = runs.iter().find(|run| run.run == id.as_str()) else {
        return Err(missing(id, since, "`tollgate runs` lists runs").into());
    };
    out.lines(headline(run).lines())?;
    for (step, rows) in steps(merged(&records)) {
        out.line(step)?;
        out.table(&rows)?;
    }
    Ok(())
}

/// What matches, and from when on records are kept.
fn all(place: &Place, mut query: Query) -> Result<(Vec<String>, Option<Timestamp>), Failure> {
    let mut found = Vec::new();
    loop {
        let Records {
            lines,
            upto,
            more,
            since,
        } = records(place, Question::Audit(Box::new(query.clone())))?;
        found.extend(lines);
        if !more {
            return Ok((found, since));
        }
        query.after = Some(upto);
        query.limit = None;
    }
}

fn parsed(lines: &[String]) -> Vec<Record> {
    lines
        .iter()
        .filter_map(|line| Record::parse(line))
        .collect()
}

/// One run in numbers.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
struct Run {
    run: String,
    agent: String,
    owner: String,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    calls: usize,
    done: usize,
    failed: usize,
    refused: usize,
    unknown: usize,
    open: usize,
    /// Time that its calls took, in milliseconds.
    busy_ms: f64,
}

/// The runs that these records are of, in the order in which they began.
fn summed(records: &[Record]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut of_call: HashMap<String, usize> = HashMap::new();
    for record in records {
        let call = record.str("call");
        let known = call.and_then(|call| of_call.get(call).copied());
        let at = match (known, record.str("run"), record.kind()) {
            (Some(at), _, _) => at,
            (None, Some(name), "call.intent" | "call.refused" | "call.held") => {
                let at = runs.iter().position(|run| run.run == name);
                let at = at.unwrap_or_else(|| {
                    runs.push(Run {
                        run: name.to_owned(),
                        agent: record.str("agent").unwrap_or("?").to_owned(),
                        owner: record.str("owner").unwrap_or("?").to_owned(),
                        first: record.at(),
                        ..Run::default()
                    });
                    runs.len() - 1
                });
                if let Some(call) = call {
                    of_call.insert(call.to_owned(), at);
                }
                at
            }
            (None, _, _) => continue,
        };
        if let Some(run) = runs.get_mut(at) {
            count(run, record);
        }
    }
    runs
}

fn count(run: &mut Run, record: &Record) {
    run.last = record.at().max(run.last);
    match record.kind() {
        "call.intent" => {
            run.calls += 1;
            run.open += 1;
        }
        "call.refused" => {
            run.calls += 1;
            run.refused += 1;
        }
        "call.outcome" => {
            run.open = run.open.saturating_sub(1);
            run.busy_ms += record.number("duration_ms").unwrap_or_default();
            match record.str("outcome") {
                Some("done" | "asked") => run.done += 1,
                Some("unknown") => run.unknown += 1,
                Some(_) | None => run.failed += 1,
            }
        }
        _ => {}
    }
}

fn table(runs: &[Run]) -> Vec<Vec<String>> {
    runs.iter()
        .map(|run| {
            vec![
                run.run.clone(),
                run.agent.clone(),
                run.first.map(|at| format!("{at:.0}")).unwrap_or_default(),
                counts(run),
                long(run),
            ]
        })
        .collect()
}

fn headline(run: &Run) -> String {
    let first = run.first.map(|at| format!("  since {at:.0}"));
    format!(
        "{}  agent {} of {}{}\n{}\n{} from first to last record, {} in calls",
        run.run,
        run.agent,
        run.owner,
        first.unwrap_or_default(),
        counts(run),
        long(run),
        duration(run.busy_ms)
    )
}

/// From its first record to its last.
fn long(run: &Run) -> String {
    let (Some(first), Some(last)) = (run.first, run.last) else {
        return String::new();
    };
    duration(last.duration_since(first).as_secs_f64() * 1000.0)
}

fn counts(run: &Run) -> String {
    let calls = match run.calls {
        1 => "1 call".to_owned(),
        many => format!("{many} calls"),
    };
    let parts: Vec<String> = [
        (run.done, "done"),
        (run.failed, "failed"),
        (run.refused, "REFUSED"),
        (run.unknown, "UNKNOWN"),
        (run.open, "open"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    match parts.is_empty() {
        true => calls,
        false => format!("{calls}: {}", parts.join(", ")),
    }
}

/// The rows of a run under their steps, which only some clients report.
fn steps(rows: Vec<Row>) -> Vec<(String, Vec<Vec<String>>)> {
    let mut steps: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    for row in rows {
        let name = match &row.step {
            Some(step) => format!("step {step} (reported)"),
            None => "no step reported".to_owned(),
        };
        let mut cells = row.clipped();
        // The agent is in the headline.
        if row.call.starts_with("c-") && cells.len() > 2 {
            cells.remove(2);
        }
        match steps.last_mut() {
            Some((last, below)) if *last == name => below.push(cells),
            Some(_) | None => steps.push((name, vec![cells])),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::rows::tests::records;

    #[test]
    fn a_run_is_counted_from_its_records() {
        let runs = summed(&records());
        let [run] = runs.as_slice() else {
            panic!("{runs:?}");
        };
        assert_eq!(
            (run.calls, run.done, run.refused, run.unknown, run.open),
            (3, 1, 1, 1, 0)
        );
        insta::assert_snapshot!(headline(run));
        insta::assert_snapshot!(table(&runs).concat().join("  "));
    }

    #[test]
    fn the_steps_of_a_run_are_those_that_the_client_reports() {
        let of_run: Vec<Record> = records()
            .into_iter()
            .filter(|record| record.kind().starts_with("call."))
            .collect();
        let text: Vec<String> = steps(merged(&of_run))
            .into_iter()
            .flat_map(|(step, rows)| {
                let rows = rows
                    .into_iter()
                    .map(|cells| format!("  {}", cells.join("  ")));
                std::iter::once(step).chain(rows)
            })
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }
}
