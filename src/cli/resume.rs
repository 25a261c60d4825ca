//! `tollgate resume`: lifts a stop or a halt, after asking.

use super::budget::{budget, name};
use super::out::Out;
use super::scope::{self, Scope};
use super::{Trouble, ask, ask_if_running, beside_the_point, elsewhere_hint, person};
use crate::control::{Budget, BudgetQuery, HaltRow, Question, Reply};
use crate::daemon::{Failure, FailureKind, Place, elsewhere, is_held};
use crate::domain::{Currency, Dimension, Stop, StopScope, extend_command};
use crate::store::stop_file;

/// Lift a stop of everything, or of one agent, server or run; or an agent's halt
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A halt is what tollgate does by itself to an agent whose run went too far. It is
lifted with --agent, or with --run of the run in which it happened.")]
pub(super) struct Args {
    #[command(flatten)]
    scope: Scope,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let scope = args.scope.get();
    let running = ask_if_running(place, Question::Stops)?;
    let stops = match running {
        Some(Reply::Stops(stops)) => stops,
        Some(_) => return Err(beside_the_point().into()),
        None => {
            if is_held(place) {
                return Err(
                    Failure::fault("a daemon holds the state and cannot be reached").into(),
                );
            }
            return without_daemon(place, args, out);
        }
    };
    let halts = halts(place)?;
    let stop = stops.iter().find(|stop| stop.scope == scope);
    let halt = halts.iter().find(|halt| is_meant(halt, &scope));
    let question = match (stop, halt) {
        (None, None) => {
            let halt = match &scope {
                StopScope::Agent(_) | StopScope::Run(_) => " nor halted",
                StopScope::Everything | StopScope::Server(_) => "",
            };
            out.line(match &scope {
                StopScope::Everything => {
                    "nothing to lift: there is no stop of everything".to_owned()
                }
                StopScope::Agent(_) | StopScope::Server(_) | StopScope::Run(_) => {
                    format!("nothing to lift: {scope} is not stopped{halt}")
                }
            })?;
            return Ok(others(&stops, &halts, out)?);
        }
        (Some(_), None) => "lift this stop?",
        (None, Some(_)) => "lift this halt?",
        (Some(_), Some(_)) => "lift both?",
    };
    if let Some(stop) = stop {
        out.line(format_args!("stopped: {}", stopped(stop)))?;
    }
    if let Some(halt) = halt {
        out.line(format_args!("halted: {}", halted(halt)))?;
    }
    person::make_sure(args.yes, question, "it stays as it is", out)?;
    if let Some(stop) = stop {
        lift(place, stop, args.yes)?;
        out.line(format_args!("lifted: {scope} may go on"))?;
    }
    if let Some(halt) = halt {
        clear(place, halt, args.yes, out)?;
    }
    let stops: Vec<Stop> = without(&stops, stop);
    let halts: Vec<HaltRow> = without(&halts, halt);
    Ok(others(&stops, &halts, out)?)
}

/// Whether a scope names the agent that was halted, or the run in which it was.
fn is_meant(halt: &HaltRow, scope: &StopScope) -> bool {
    match scope {
        StopScope::Agent(agent) => halt.agent == *agent,
        StopScope::Run(run) => halt.run == *run,
        StopScope::Everything | StopScope::Server(_) => false,
    }
}

fn without<T: Clone + PartialEq>(all: &[T], lifted: Option<&T>) -> Vec<T> {
    let rest = all.iter().filter(|one| Some(*one) != lifted);
    rest.cloned().collect()
}

/// Lifts what was shown; who did not want to be asked lifts what there is.
fn lift(place: &Place, stop: &Stop, unasked: bool) -> Result<(), Failure> {
    let resume = Question::Resume {
        scope: stop.scope.clone(),
        shown: (!unasked).then(|| stop.clone()),
        by: person::name(),
    };
    match ask(place, resume)? {
        Reply::Resumed { .. } => Ok(()),
        _ => Err(beside_the_point()),
    }
}

fn clear(place: &Place, halt: &HaltRow, unasked: bool, out: &mut Out) -> Result<(), Trouble> {
    let agent = &halt.agent;
    let clear = Question::Clear {
        agent: agent.clone(),
        shown: (!unasked).then_some(halt.at),
        by: person::name(),
    };
    match ask(place, clear)? {
        Reply::Cleared { lifted: true } => {
            out.line(format_args!("lifted: agent `{agent}` is no longer halted"))?;
            out.step(format_args!(
                "what its runs have used stays used: tollgate budget --agent {agent}"
            ))?;
            let all = BudgetQuery {
                all: true,
                ..BudgetQuery::default()
            };
            // It is lifted, whatever becomes of what is only a remark on it.
            match budget(place, all) {
                Ok(budget) => Ok(out.steps(used_up(&budget, halt))?),
                Err(_) => Ok(()),
            }
        }
        Reply::Cleared { lifted: false } => Ok(out.line(format_args!(
            "agent `{agent}` is not halted any more: nothing was left to lift"
        ))?),
        _ => Err(beside_the_point().into()),
    }
}

/// The limits of which the run has nothing left, which stop its next call, with the way
/// out of each.
fn used_up(budget: &Budget, halt: &HaltRow) -> Vec<String> {
    let currency = Currency::parse(&budget.currency).unwrap_or_default();
    let concerns = |row: &&crate::control::LimitRow| match &row.run {
        Some(run) => *run == halt.run,
        None => row.agent.as_ref().is_none_or(|agent| *agent == halt.agent),
    };
    let rows = budget.limits.iter().filter(concerns);
    let rows = rows.filter(|row| row.left.exact == 0 && row.period != "action");
    rows.flat_map(|row| {
        let whose = match &row.run {
            Some(run) => format!("run {run}"),
            None => row.scope.clone(),
        };
        let used = format!(
            "nothing is left of {} for {whose}: {} of {} used",
            name(row),
            row.used.text,
            row.allowed.text
        );
        let at = row.allowed.exact.saturating_sub(row.added.exact);
        let total = row.used.exact.saturating_add(row.reserved.exact);
        let missing = total.saturating_sub(row.allowed.exact).saturating_add(1);
        let way = match (&row.run, Dimension::parse(&row.dimension), row.resets) {
            (Some(run), Some(dimension), _) => {
                let command = extend_command(run, dimension, at, missing, currency);
                Some(format!("  add to it with: {command}"))
            }
            (_, _, Some(resets)) => Some(format!("  it is free again from {resets:.0} on")),
            (_, _, None) => None,
        };
        std::iter::once(used).chain(way)
    })
    .collect()
}

/// What the STOP file holds can be lifted without a daemon; what the journal
/// holds cannot.
fn without_daemon(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let (scope, path) = (args.scope.get(), place.stop_file());
    let stops = stop_file::pulled(&path);
    let Some(stop) = stops.iter().find(|stop| stop.scope == scope) else {
        out.line(format_args!(
            "nothing was lifted: tollgate is not running for the configuration `{}`, and the STOP file does not hold such a stop",
            place.config.display()
        ))?;
        out.step(match elsewhere(place).as_slice() {
            [] => "a stop or a halt in the journal is lifted while a daemon runs: tollgate daemon"
                .to_owned(),
            configs => elsewhere_hint(configs),
        })?;
        others(&stops, &[], out)?;
        // The journal may hold it all the same.
        return Err(Trouble::Answer(FailureKind::Fault.exit_code()));
    };
    out.line(format_args!("stopped: {}", stopped(stop)))?;
    person::make_sure(args.yes, "lift this stop?", "it stays stopped", out)?;
    // Who did not want to be asked lifts what there is.
    let lifted = match args.yes {
        true => stop_file::lift(&path, &scope),
        false => stop_file::lift_shown(&path, stop),
    };
    lifted
        .map_err(|cause| Failure::io(format_args!("can't change `{}`", path.display()), &cause))?;
    out.line(format_args!("lifted from the STOP file: {scope}"))?;
    out.line("if the journal holds it too, it stays: look with `tollgate` once a daemon runs")?;
    Ok(others(&stop_file::pulled(&path), &[], out)?)
}

fn others(stops: &[Stop], halts: &[HaltRow], out: &mut Out) -> std::io::Result<()> {
    out.steps(still(stops, halts))
}

/// What stays in force, with the way out of it.
fn still(stops: &[Stop], halts: &[HaltRow]) -> Vec<String> {
    let stops = stops.iter().flat_map(|stop| {
        [
            format!("still stopped: {}", stopped(stop)),
            format!(
                "  lift it with: tollgate resume{}",
                scope::flags(&stop.scope)
            ),
        ]
    });
    let halts = halts.iter().flat_map(|halt| {
        [
            format!("still halted: {}", halted(halt)),
            format!("  lift it with: tollgate resume --agent {}", halt.agent),
        ]
    });
    stops.chain(halts).collect()
}

/// The halts in force.
pub(super) fn halts(place: &Place) -> Result<Vec<HaltRow>, Failure> {
    match ask(place, Question::Halts)? {
        Reply::Halts(halts) => Ok(halts),
        _ => Err(beside_the_point()),
    }
}

/// One stop in one line.
pub(super) fn stopped(stop: &Stop) -> String {
    let mut line = format!("{} by {}", stop.scope, stop.by);
    if let Ok(at) = stop.at.parse::<jiff::Timestamp>() {
        line.push_str(&format!(" at {at:.0}"));
    }
    if let Some(text) = &stop.text {
        line.push_str(&format!(": {text}"));
    }
    line
}

/// One halt in one line.
pub(super) fn halted(halt: &HaltRow) -> String {
    let HaltRow {
        halt: word,
        agent,
        run,
        at,
        until,
        says,
    } = halt;
    let until = until.map(|until| format!(" until {until:.0}"));
    format!(
        "agent `{agent}`, {word} in run {run} at {at:.0}{}: {says}",
        until.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::budget::tests::{halt, of_run, row};
    use crate::domain::{AgentName, Period, RunId};

    #[test]
    fn who_lifts_a_halt_hears_what_still_stops_the_run() {
        let run = |dimension, numbers| of_run(row("everything", (Period::Run, dimension), numbers));
        let mut day = row("everything", (Period::Day, Dimension::Calls), [9, 9, 0]);
        day.resets = Some("2026-11-21T00:00:00Z".parse().unwrap());
        let mut other = run(Dimension::Cost, [1_000_000, 1_000_000, 0]);
        other.run = RunId::parse("r-0");
        let limits = vec![
            row("everything", (Period::Action, Dimension::Cost), [0, 0, 0]),
            day,
            run(Dimension::Cost, [1_000_000, 4_000_000, 0]),
            run(Dimension::Calls, [50, 3, 0]),
            other,
        ];
        let budget = Budget {
            at: "2026-11-20T16:06:00Z".parse().unwrap(),
            currency: "USD".into(),
            limits,
            breakers: vec![],
            halts: vec![],
        };
        assert_eq!(
            used_up(&budget, &halt()),
            [
                "nothing is left of day.calls for everything: 9 calls of 9 calls used",
                "  it is free again from 2026-11-21T00:00:00Z on",
                "nothing is left of run.cost for run r-7Q2K: 4.00 USD of 1.00 USD used",
                "  add to it with: tollgate runs extend r-7Q2K --cost \"3.000001 USD\"",
            ]
        );
    }

    #[test]
    fn what_stays_in_force_is_told_with_the_way_out() {
        let stop = Stop {
            scope: StopScope::Everything,
            by: "ana".into(),
            text: Some("runaway".into()),
            at: "2026-11-20T16:04:00.5Z".into(),
        };
        insta::assert_snapshot!(still(&[stop], &[halt()]).join("\n"));
    }

    #[test]
    fn a_halt_is_meant_by_its_agent_and_by_its_run() {
        let halt = halt();
        let agent = |name: &str| StopScope::Agent(AgentName::parse(name).unwrap());
        let run = |name: &str| StopScope::Run(RunId::parse(name).unwrap());
        assert!(is_meant(&halt, &agent("dev")) && is_meant(&halt, &run("r-7q2k")));
        assert!(!is_meant(&halt, &agent("other")) && !is_meant(&halt, &run("r-0")));
        assert!(!is_meant(&halt, &StopScope::Everything));
    }
}
