//! `tollgate runs`: stretches of work, and one of them step by step.

use jiff::Timestamp;

use super::audit::{missing, not_kept, with_beginnings};
use super::extend;
use super::filter::Filter;
use super::out::{Out, aside};
use super::record::{Record, duration};
use super::resume::{halted, halts};
use super::rows::{Row, merged};
use super::sums::{Costs, Run, summed};
use super::whole::{self, Whole};
use super::{Trouble, all_records};
use crate::clock::{Clock, SystemClock};
use crate::control::HaltRow;
use crate::daemon::{Failure, FailureKind, Place};
use crate::domain::RunId;
use crate::ports::Query;

/// List runs with their calls; one run as its steps
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    mut_arg("limit", |limit| limit.help("At most this many runs, those that began last; 0 for all")),
    after_help = "\
Times are UTC. Without --since and --limit, runs with calls among the newest 5000 records are listed. Each is
summed up over all of its calls that match; of those before --since or after --until nothing is counted.
A sum that may lack something says `at least`, and `incomplete` in JSON: `not_read` where reading all of its
records would take too long, `not_kept` where older records are not kept."
)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<What>,

    /// One run
    #[arg(value_name = "ID")]
    id: Option<String>,

    #[command(flatten)]
    filter: Filter,

    /// One JSON object per run, or the records of the run
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Extend(Box<extend::Args>),
}

/// Records that a list without bounds looks at.
const NEWEST: usize = 5000;

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    if let Some(What::Extend(args)) = &args.what {
        return extend::run(place, args, out);
    }
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
    let Found {
        mut runs,
        kept,
        is_cut,
    } = newest(place, query, args.filter.limit())?;
    mark(&mut runs, &halts(place)?);
    if is_cut && !args.filter.is_bounded() {
        aside(format_args!(
            "these are the runs of the newest {NEWEST} records that match; all of them: --limit 0"
        ));
    }
    whole::tell(&runs, kept);
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
    let asked = query.since;
    let (lines, since) = all(place, query)?;
    let records = parsed(&lines);
    if json {
        let mut runs = summed(&records);
        whole::mark(&mut runs, asked, since);
        whole::tell(&runs, since);
        return Ok(lines.iter().try_for_each(|line| out.record(line))?);
    }
    let records = with_beginnings(place, records)?;
    let mut runs = summed(&records);
    runs.retain(|run| run.run == id.as_str());
    whole::mark(&mut runs, asked, since);
    whole::tell(&runs, since);
    let Some(run) = runs.first() else {
        return Err(missing(id, since, "`tollgate runs` lists runs").into());
    };
    out.lines(headline(run).lines())?;
    let halts = halts(place)?;
    for halt in halts.iter().filter(|halt| halt.agent.as_str() == run.agent) {
        out.line(format_args!("halted: {}", halted(halt)))?;
    }
    for (step, rows) in steps(merged(&records), &run.agent) {
        out.line(step)?;
        out.table(&rows)?;
    }
    Ok(())
}

/// What a list is made of.
struct Found {
    runs: Vec<Run>,
    /// From when on records are kept.
    kept: Option<Timestamp>,
    /// Whether there are older records that were not searched for runs.
    is_cut: bool,
}

/// The runs, at most so many. How many records that takes nobody knows: it is tried with
/// more, until enough runs begin among them or nothing more is found.
fn newest(place: &Place, mut query: Query, most: Option<usize>) -> Result<Found, Trouble> {
    // Of a stretch of time all of it is looked at.
    let mut records = match (most, query.since) {
        (Some(1..), None) => Some(NEWEST),
        (Some(_), _) | (None, Some(_)) => None,
        (None, None) => query.limit,
    };
    let most = most.filter(|most| *most > 0);
    let mut whole = Whole::new(place, query.clone());
    loop {
        query.limit = records;
        let (found, kept) = all(place, query.clone())?;
        let found = parsed(&found);
        let mut runs = summed(&found);
        let is_cut = records.is_some_and(|records| found.len() >= records);
        if is_cut {
            runs = whole.newest(runs, most)?;
        }
        if let Some(most) = most {
            // One that began before may be older than one that is not among these.
            let from = found.first().and_then(Record::seq);
            let begun = runs.iter().filter(|run| run.begins >= from).count();
            if is_cut && begun < most {
                records = records.and_then(|records| records.checked_mul(WIDER));
                continue;
            }
            runs.drain(..runs.len().saturating_sub(most));
        }
        whole::mark(&mut runs, query.since, kept);
        return Ok(Found { runs, kept, is_cut });
    }
}

/// How many times as many records are looked at when those did not do.
const WIDER: usize = 8;

/// What matches, and from when on records are kept.
fn all(place: &Place, query: Query) -> Result<(Vec<String>, Option<Timestamp>), Trouble> {
    let mut found = Vec::new();
    let since = all_records(place, query, |lines| {
        found.extend(lines);
        Ok(())
    })?;
    Ok((found, since))
}

fn parsed(lines: &[String]) -> Vec<Record> {
    lines
        .iter()
        .filter_map(|line| Record::parse(line))
        .collect()
}

/// Which of them ended in a halt that is in force.
fn mark(runs: &mut [Run], halts: &[HaltRow]) {
    for run in runs {
        let halt = halts.iter().find(|halt| halt.run.as_str() == run.run);
        run.halt = halt.map(|halt| halt.halt.clone());
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
                run.cost.shown(),
                run.halt.as_deref().unwrap_or_default().to_uppercase(),
            ]
        })
        .collect()
}

fn headline(run: &Run) -> String {
    let first = run.first.map(|at| format!("  since {at:.0}"));
    let cost = match run.cost.shown() {
        free if free.is_empty() => free,
        cost => format!(", {cost}"),
    };
    let wait = run
        .wait_ms
        .map(|wait| format!("{} waiting, ", duration(wait)));
    format!(
        "{}  agent {} of {}{}\n{}\n{} from first to last record, {}{} in calls{cost}",
        run.run,
        run.agent,
        run.owner,
        first.unwrap_or_default(),
        counts(run),
        long(run),
        wait.unwrap_or_default(),
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
    let calls = match run.incomplete {
        Some(_) => format!("at least {calls}"),
        None => calls,
    };
    let parts: Vec<String> = [
        (run.done, "done"),
        (run.asked, "asked"),
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

/// The rows of a run under their steps. What takes no step, as a refusal or a notice,
/// stands below the one that it came after.
fn steps(rows: Vec<Row>, agent: &str) -> Vec<(String, Vec<Vec<String>>)> {
    let mut steps: Vec<(String, Costs, Vec<Vec<String>>)> = Vec::new();
    for row in rows {
        let cells = cells(&row, agent);
        let same = match (&row.step, steps.last()) {
            (Some(step), Some((last, ..))) => last == step,
            (None, Some(_)) => true,
            (Some(_) | None, None) => false,
        };
        if !same {
            let name = row.step.unwrap_or_else(|| "no step".to_owned());
            steps.push((name, Costs::default(), Vec::new()));
        }
        if let Some((_, costs, below)) = steps.last_mut() {
            row.cost.iter().for_each(|cost| costs.add(cost));
            below.push(cells);
        }
    }
    steps
        .into_iter()
        .map(|(name, costs, below)| (format!("{name}  {}", costs.shown()), below))
        .map(|(name, below)| (name.trim_end().to_owned(), below))
        .collect()
}

/// The cells of a row without the agent, who is in the headline.
fn cells(row: &Row, agent: &str) -> Vec<String> {
    let mut cells = row.clipped();
    if cells.len() > 3 {
        let who = cells.remove(2);
        let is_person = who != agent && who != "tollgate" && !row.call.starts_with("c-");
        if let Some(what) = cells.get_mut(2).filter(|_| is_person) {
            *what = format!("by {who}");
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::budget::tests::halt;
    use crate::cli::rows::tests::{limits, records};
    use crate::cli::sums::Lacks;

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
        insta::assert_snapshot!(table(&runs).concat().join("  ").trim_end());
        let mut part = run.clone();
        part.incomplete = Some(Lacks::NotRead);
        assert!(counts(&part).starts_with("at least 3 calls: "), "{part:?}");
    }

    #[test]
    fn the_steps_of_a_run_are_those_that_the_client_reports() {
        let of_run: Vec<Record> = records()
            .into_iter()
            .filter(|record| record.kind().starts_with("call."))
            .collect();
        insta::assert_snapshot!(stepwise(&of_run));
    }

    fn stepwise(records: &[Record]) -> String {
        let text: Vec<String> = steps(merged(records), "dev")
            .into_iter()
            .flat_map(|(step, rows)| {
                let rows = rows
                    .into_iter()
                    .map(|cells| format!("  {}", cells.join("  ")));
                std::iter::once(step).chain(rows)
            })
            .collect();
        text.join("\n")
    }

    #[test]
    fn a_run_that_met_its_limits_shows_what_it_cost_and_that_it_was_ended() {
        let of_run: Vec<Record> = limits()
            .into_iter()
            .filter(|record| record.str("run").is_some() || record.kind() == "call.outcome")
            .collect();
        let mut runs = summed(&of_run);
        mark(&mut runs, &[halt()]);
        let [run] = runs.as_slice() else {
            panic!("{runs:?}");
        };
        let row = table(&runs).concat().join("  ");
        insta::assert_snapshot!(format!("{row}\n{}\n{}", headline(run), stepwise(&of_run)));
    }
}
