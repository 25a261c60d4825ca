//! `tollgate resume`: lifts a stop, after asking.

use super::out::Out;
use super::scope::{self, Scope};
use super::{Trouble, ask, ask_if_running, beside_the_point, person};
use crate::control::{Question, Reply};
use crate::daemon::{Failure, Place, is_held};
use crate::domain::Stop;
use crate::store::stop_file;

/// Lift a stop: of everything, or of one agent, server or run
#[derive(Debug, clap::Args)]
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
    let Some(stop) = stops.iter().find(|stop| stop.scope == scope) else {
        out.line(format_args!("nothing to lift: {scope} is not stopped"))?;
        return Ok(others(&stops, out)?);
    };
    out.line(format_args!("stopped: {}", stopped(stop)))?;
    if !person::is_sure(args.yes, "lift this stop?")? {
        return Ok(out.line("nothing changed: it stays stopped")?);
    }
    let by = person::name();
    let resume = Question::Resume {
        scope: scope.clone(),
        by,
    };
    let Reply::Resumed { .. } = ask(place, resume)? else {
        return Err(beside_the_point().into());
    };
    out.line(format_args!("lifted: {scope} may go on"))?;
    let rest: Vec<Stop> = stops
        .into_iter()
        .filter(|stop| stop.scope != scope)
        .collect();
    Ok(others(&rest, out)?)
}

/// What the STOP file holds can be lifted without a daemon; what the journal
/// holds cannot.
fn without_daemon(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let (scope, path) = (args.scope.get(), place.stop_file());
    let stops = stop_file::pulled(&path);
    let Some(stop) = stops.iter().find(|stop| stop.scope == scope) else {
        out.line("tollgate is not running, and the STOP file does not hold such a stop")?;
        out.line("a stop in the journal is lifted while a daemon runs: tollgate daemon")?;
        return Ok(others(&stops, out)?);
    };
    out.line(format_args!("stopped: {}", stopped(stop)))?;
    if !person::is_sure(args.yes, "lift this stop?")? {
        return Ok(out.line("nothing changed: it stays stopped")?);
    }
    stop_file::lift(&path, &scope)
        .map_err(|cause| Failure::io(format_args!("can't change `{}`", path.display()), &cause))?;
    out.line(format_args!("lifted from the STOP file: {scope}"))?;
    out.line("if the journal holds it too, it stays: look with `tollgate` once a daemon runs")?;
    let rest: Vec<Stop> = stops
        .into_iter()
        .filter(|stop| stop.scope != scope)
        .collect();
    Ok(others(&rest, out)?)
}

fn others(stops: &[Stop], out: &mut Out) -> std::io::Result<()> {
    for stop in stops {
        out.line(format_args!("still stopped: {}", stopped(stop)))?;
        out.line(format_args!(
            "  lift it with: tollgate resume{}",
            scope::flags(&stop.scope)
        ))?;
    }
    Ok(())
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
