//! `tollgate stop`: the switch. It never asks, and it does not depend on
//! anything that could be broken.
//!
//! A daemon that answers within a second is told. One that does not is killed;
//! the STOP file, written before, keeps its successor stopped.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::out::Out;
use super::scope::{self, Scope};
use super::{Trouble, argument, ask_if_running, beside_the_point, person};
use crate::clock::{Clock, SystemClock};
use crate::control::{Question, Reply, StopOrder, StopReport, StruckRow};
use crate::daemon::{
    Failure, FailureKind, Holder, Listens, Place, elsewhere, is_held, who_listens,
};
use crate::domain::{Became, Stop, StopScope};
use crate::store::stop_file;

/// Stop everything, or one agent, server or run, at once; never asks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Calls in flight are cancelled; what had been sent already is said. Nothing is
sent any more until `tollgate resume`. A daemon that does not answer within a
second is killed, and the next one starts stopped. The agent of a run that is
stopped begins no other meanwhile; the runs that it had begun go on.")]
pub(super) struct Args {
    #[command(flatten)]
    scope: Scope,

    /// Why; agents are told
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let order = StopOrder {
        scope: args.scope.get(),
        by: person::name(),
        text: args.message.clone(),
    };
    match ask(place, &order) {
        Ok(Some(report)) => {
            let laid = match report.unrecorded {
                Some(_) => lay_soon(place, &order),
                None => Ok(()),
            };
            out.steps(told(
                &order.scope,
                &report,
                laid.is_ok(),
                other(place).as_deref(),
            ))?;
            Ok(laid?)
        }
        Ok(None) => beforehand(place, &order, out),
        Err(silence) => by_force(place, &order, &silence, out),
    }
}

/// Asks the daemon; nothing if none runs. Whatever hangs on the way, this does not.
fn ask(place: &Place, order: &StopOrder) -> Result<Option<StopReport>, Failure> {
    let (place, order) = (place.clone(), order.clone());
    let (tell, answer) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more after a second.
        let _ = tell.send(ask_if_running(&place, Question::Stop(order)));
    });
    match answer.recv_timeout(PATIENCE) {
        Ok(Ok(Some(Reply::Stopped(report)))) => Ok(Some(report)),
        Ok(Ok(Some(_))) => Err(beside_the_point()),
        Ok(Ok(None)) => Ok(None),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(Failure::fault("the daemon did not answer within a second")),
    }
}

/// No daemon runs: the next one has to hear of it. One that is starting at this
/// moment may have looked for the file already.
fn beforehand(place: &Place, order: &StopOrder, out: &mut Out) -> Result<(), Trouble> {
    lay(place, order)?;
    for _ in 0..ATTEMPTS {
        if is_nobody_there(place) {
            let others = elsewhere(place);
            // First what goes on: it may be what was meant.
            for config in &others {
                out.line(format_args!(
                    "NOT STOPPED is what runs for another configuration: tollgate stop --config {}",
                    argument(config)
                ))?;
            }
            out.line(format_args!("STOPPED  {}", order.scope))?;
            out.line(format_args!(
                "tollgate is not running for `{}`: the stop holds from its next start",
                place.config.display()
            ))?;
            resume_hint(&order.scope, out)?;
            return match others.is_empty() {
                true => Ok(()),
                false => Err(Trouble::Answer(FailureKind::Fault.exit_code())),
            };
        }
        match ask(place, order) {
            // The file is laid already.
            Ok(Some(report)) => {
                let lines = told(&order.scope, &report, true, other(place).as_deref());
                return Ok(out.steps(lines)?);
            }
            Ok(None) => thread::sleep(PAUSE),
            Err(silence) => return kill(place, order, &silence, true, out),
        }
    }
    let silence = Failure::fault("a daemon holds the state, and nobody can reach it");
    kill(place, order, &silence, true, out)
}

/// Whether no daemon runs: nobody has the state, or one who works on it. A daemon that
/// has it already and has not said so yet looks for the file after that.
fn is_nobody_there(place: &Place) -> bool {
    !is_held(place) || Holder::read(place).is_some_and(|holder| holder.works)
}

const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

fn by_force(
    place: &Place,
    order: &StopOrder,
    silence: &Failure,
    out: &mut Out,
) -> Result<(), Trouble> {
    // The file first: whoever starts the next daemon may be faster than we are. But
    // a disk that refuses it does not save this daemon.
    let laid = lay_soon(place, order);
    kill(place, order, silence, laid.is_ok(), out)?;
    Ok(laid?)
}

/// Writes the STOP file, but waits for a disk that hangs no longer than a
/// moment: what has to be stopped is not to wait for it.
fn lay_soon(place: &Place, order: &StopOrder) -> Result<(), Failure> {
    let (own_place, own_order) = (place.clone(), order.clone());
    let (tell, laid) = mpsc::channel();
    thread::spawn(move || {
        let _ = tell.send(lay(&own_place, &own_order));
    });
    laid.recv_timeout(PAUSE * 6).unwrap_or_else(|_| {
        Err(Failure::fault(format!(
            "the disk does not take `{}`",
            place.stop_file().display()
        ))
        .hint("the next daemon would not be stopped"))
    })
}

/// `laid` says whether the STOP file holds it for the next daemon.
fn kill(
    place: &Place,
    order: &StopOrder,
    silence: &Failure,
    laid: bool,
    out: &mut Out,
) -> Result<(), Trouble> {
    let daemons = whom(place, silence)?;
    if daemons.is_empty() {
        if laid {
            out.line(format_args!("STOPPED  {}", order.scope))?;
        }
        out.line(format_args!("{silence}; no daemon is left"))?;
        return Ok(next_start(laid, &order.scope, out)?);
    }
    let mut last = None;
    for daemon in daemons {
        match end(place, daemon) {
            Ok(()) => return ended_by_force(order, silence, (daemon, laid), out),
            Err(why) => last = Some((daemon, why)),
        }
    }
    let (daemon, why) = last.unwrap_or_default();
    Err(Failure::fault(format!(
        "NOT STOPPED: {silence}, and process {daemon} cannot be killed{why}"
    ))
    .hint(format!("`kill -9 {daemon}` as root"))
    .into())
}

/// Kills a process, and waits until nobody has the state or listens; or why that did not
/// come.
fn end(place: &Place, daemon: u32) -> Result<(), String> {
    let pid = i32::try_from(daemon).ok().and_then(Pid::from_raw);
    let killed = pid.map(|pid| kill_process(pid, Signal::KILL));
    for _ in 0..ATTEMPTS {
        if is_nobody_there(place) && who_listens(place) == Listens::Nobody {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    Err(match killed {
        Some(Err(cause)) => format!(": {cause}"),
        Some(Ok(())) | None => String::new(),
    })
}

fn ended_by_force(
    order: &StopOrder,
    silence: &Failure,
    (daemon, laid): (u32, bool),
    out: &mut Out,
) -> Result<(), Trouble> {
    out.line(format_args!("STOPPED by force  {}", order.scope))?;
    out.line(format_args!("{silence}"))?;
    out.line(format_args!(
        "killed the daemon (process {daemon}), and its tool servers with it"
    ))?;
    out.line("what was in flight may have been sent: its outcome is unknown")?;
    Ok(next_start(laid, &order.scope, out)?)
}

/// The processes that may be the daemon that does not answer, the likeliest first; none if
/// no daemon is left. The kernel says it better than the lock's file, in which anybody of
/// the same user can write.
fn whom(place: &Place, silence: &Failure) -> Result<Vec<u32>, Failure> {
    let holder = Holder::read(place).filter(|_| !is_nobody_there(place));
    let holder = holder.map(|holder| holder.pid);
    match (who_listens(place), holder) {
        (Listens::Process(pid), holder) => {
            let other = holder.filter(|holder| *holder != pid);
            Ok([Some(pid), other].into_iter().flatten().collect())
        }
        (Listens::Somebody | Listens::Nobody, Some(holder)) => Ok(vec![holder]),
        (Listens::Somebody, None) => Err(Failure::fault(format!(
            "NOT STOPPED: {silence}, and which process listens at `{}` is not known",
            place.control_socket().display()
        ))
        .hint("find the daemon with `pgrep -af 'tollgate daemon'`, and end it with `kill -9`")),
        (Listens::Nobody, None) => Ok(Vec::new()),
    }
}

/// What the next daemon will do; of a file that could not be laid the error tells.
fn next_start(laid: bool, scope: &StopScope, out: &mut Out) -> std::io::Result<()> {
    if !laid {
        return Ok(());
    }
    out.line("the stop holds from the next start")?;
    resume_hint(scope, out)
}

/// Writes the STOP file.
fn lay(place: &Place, order: &StopOrder) -> Result<(), Failure> {
    // A directory that others can look into is no place for a daemon, and good enough for
    // a stop.
    if let Err(open) = place.prepare()
        && !place.only_we_write()
    {
        let message = format!("{open}; the next daemon would not be stopped");
        return Err(Failure { message, ..open });
    }
    let stop = Stop {
        scope: order.scope.clone(),
        by: order.by.clone(),
        text: order.text.clone(),
        at: SystemClock::new().now().to_string(),
    };
    let path = place.stop_file();
    stop_file::pull(&path, &stop).map_err(|cause| {
        let failure = Failure::io(format_args!("can't write `{}`", path.display()), &cause);
        // What could be written of it may be a stop already.
        let held = stop_file::pulled(&path);
        let of = |scope: &StopScope| held.iter().any(|stop| stop.scope == *scope);
        if of(&StopScope::Everything) {
            return failure.hint("what is there of it stops everything at the next start");
        }
        failure.hint(match of(&order.scope) {
            true => "what is there of it may not outlast a power cut",
            false => "the next daemon would not be stopped",
        })
    })
}

/// The configuration that the daemon on this state serves, if it is not the one that was
/// named: a stop is not asked what it had in mind, and what lifts it is.
fn other(place: &Place) -> Option<String> {
    let served = Holder::read(place).map(|holder| holder.config);
    served.filter(|config| *config != place.config_text())
}

/// `laid` says whether the STOP file holds what could not be recorded, `other` which
/// configuration was stopped if it is not the one that was named.
fn told(scope: &StopScope, report: &StopReport, laid: bool, other: Option<&str>) -> Vec<String> {
    let mut lines = vec![format!("STOPPED {:.0}  {scope}", report.at)];
    if let Some(unknown) = &report.unknown {
        let meant = unknown.meant.as_ref();
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
        lines.push(format!("no {scope} is known{}", meant.unwrap_or_default()));
    }
    lines.push(match report.calls.as_slice() {
        [] => "nothing was in flight".to_owned(),
        calls => format!("{} in flight: {}", counted(calls.len()), summary(calls)),
    });
    for call in &report.calls {
        let became = match call.became {
            Some(Became::NotSent) => "never sent",
            Some(Became::Cancelled) => "sent and told to cancel: it may have acted",
            Some(Became::Unknown) => {
                "sent and told to cancel, outcome unknown: somebody has to look"
            }
            Some(Became::Answered) => "had been answered",
            None => "outcome follows in the record: it may have acted",
        };
        lines.push(format!("  {}  {}  {became}", call.call, call.title));
    }
    if let Some(why) = &report.unrecorded {
        lines.push(format!("in force, but not in the journal: {why}"));
        if laid {
            lines.push("the STOP file holds it for the next start".to_owned());
        }
    }
    match (scope, &report.begins_none) {
        (StopScope::Run(_), Some(agent)) => lines.push(format!(
            "agent `{agent}` begins no other run meanwhile; those it had begun go on; to stop them as well: tollgate stop --agent {agent}"
        )),
        (StopScope::Run(_), None) => {
            lines.push("no call of it is known: the stop covers this run alone".to_owned());
        }
        (StopScope::Everything | StopScope::Agent(_) | StopScope::Server(_), _) => {}
    }
    let flag = other.map(|config| format!(" --config {}", argument(config)));
    if let Some(config) = other {
        lines.push(format!(
            "what runs on this state serves the configuration `{config}`"
        ));
    }
    lines.push(format!(
        "agents are told STOPPED; lift it with: tollgate{} resume{}",
        flag.unwrap_or_default(),
        scope::flags(scope)
    ));
    lines
}

fn counted(calls: usize) -> String {
    match calls {
        1 => "1 call".to_owned(),
        many => format!("{many} calls"),
    }
}

fn summary(calls: &[StruckRow]) -> String {
    let count = |became| calls.iter().filter(|call| call.became == became).count();
    let parts = [
        (count(Some(Became::NotSent)), "never sent"),
        (count(Some(Became::Cancelled)), "sent and told to cancel"),
        (count(Some(Became::Unknown)), "sent, outcome unknown"),
        (count(None), "not ended yet"),
        (count(Some(Became::Answered)), "answered"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    parts.join(", ")
}

fn resume_hint(scope: &StopScope, out: &mut Out) -> std::io::Result<()> {
    out.step(format_args!(
        "lift it with: tollgate resume{}",
        scope::flags(scope)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Unknown;
    use crate::domain::{CallId, RunId};

    fn struck(tail: &str, title: &str, became: Option<Became>) -> StruckRow {
        StruckRow {
            call: CallId::from_tail(tail),
            agent: "dev".into(),
            run: RunId::from_tail("7Q2K"),
            title: title.into(),
            became,
        }
    }

    #[test]
    fn a_stop_says_what_was_in_flight_and_what_became_of_it() {
        let report = StopReport {
            at: "2026-11-20T16:05:10.25Z".parse().unwrap(),
            unrecorded: None,
            begins_none: None,
            unknown: None,
            calls: vec![
                struck("5KQ8", "files.read_file", Some(Became::Cancelled)),
                struck("5KQ9", "tickets.add_comment", Some(Became::Unknown)),
                struck("5KQA", "files.read_file", Some(Became::NotSent)),
                struck("5KQB", "tickets.search", None),
            ],
        };
        insta::assert_snapshot!(told(&StopScope::Everything, &report, true, None).join("\n"));
    }

    #[test]
    fn a_stop_of_a_run_says_what_it_means_for_others_of_the_agent() {
        let report = StopReport {
            at: "2026-11-20T16:05:10Z".parse().unwrap(),
            unrecorded: None,
            begins_none: None,
            unknown: None,
            calls: vec![],
        };
        let known = StopReport {
            begins_none: Some(crate::domain::AgentName::parse("dev").unwrap()),
            ..report.clone()
        };
        let scope = StopScope::Run(RunId::from_tail("7Q2K"));
        let said = [known, report].map(|report| told(&scope, &report, true, None).join("\n"));
        insta::assert_snapshot!(said.join("\n\n"));
    }

    #[test]
    fn a_stop_of_what_nobody_knows_says_so_and_holds() {
        let unknown = |meant: Option<&str>| StopReport {
            at: "2026-11-20T16:05:10Z".parse().unwrap(),
            unrecorded: None,
            begins_none: None,
            unknown: Some(Unknown {
                meant: meant.map(str::to_owned),
            }),
            calls: vec![],
        };
        let server = StopScope::Server(crate::domain::ServerName::parse("paymnets").unwrap());
        let agent = StopScope::Agent(crate::domain::AgentName::parse("zed").unwrap());
        let said = [
            told(&server, &unknown(Some("payments")), true, None).join("\n"),
            told(&agent, &unknown(None), true, None).join("\n"),
        ];
        insta::assert_snapshot!(said.join("\n\n"));
    }

    #[test]
    fn a_stop_that_could_not_be_recorded_says_so() {
        let report = StopReport {
            at: "2026-11-20T16:05:10Z".parse().unwrap(),
            unrecorded: Some("the disk does not answer".into()),
            begins_none: None,
            unknown: None,
            calls: vec![],
        };
        let scope = StopScope::Server(crate::domain::ServerName::parse("files").unwrap());
        insta::assert_snapshot!(told(&scope, &report, true, None).join("\n"));
    }
}
