//! The command line: one file per command. Prints what others know; decides
//! nothing.

mod audit;
mod breakers;
mod budget;
mod check;
mod completions;
mod csv;
mod daemon;
mod demo;
mod demo_server;
mod explain;
mod extend;
mod filter;
mod hidden;
mod judgement;
mod log;
mod out;
mod person;
mod pins;
mod record;
mod resume;
mod rows;
mod runs;
mod scope;
mod servers;
mod state;
mod status;
mod stdio;
mod steps;
mod stop;
mod stop_daemon;
mod sums;
mod tools;
mod trial;
mod verify;
mod whole;
mod why;
mod words;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::{Parser, Subcommand};
use jiff::Timestamp;

use crate::config;
use crate::control::proto::VERSION;
use crate::control::{ClientError, Question, Records, Reply, Request, client};
use crate::daemon::{Door, Failure, Ground, Place, Service, connect, elsewhere, is_held};
use crate::domain::quoted;
use crate::ports::Query;
use out::Out;
use steps::Steps;

/// The gate between AI agents and the tools they use.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version = VERSION, after_help = MORE)]
struct Args {
    /// The directory that holds tollgate.toml and tools.d/
    #[arg(long, value_name = "DIR", global = true)]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Stdio(stdio::Args),
    Daemon(daemon::Args),
    Tools(tools::Args),
    Servers(servers::Args),
    Stop(stop::Args),
    Resume(resume::Args),
    Try(trial::Args),
    Why(why::Args),
    Audit(audit::Args),
    Runs(runs::Args),
    Budget(budget::Args),
    Breakers(breakers::Args),
    Pins(pins::Args),
    Explain(explain::Args),
    Check(check::Args),
    State(state::Args),
    StopDaemon(stop_daemon::Args),
    Demo(demo::Args),
    DemoServer(demo_server::Args),
    Completions(completions::Args),
}

const MORE: &str = "\
Without a command: what runs, who is connected, what happened last.

Environment:
  TOLLGATE_CONFIG     the directory of --config
  TOLLGATE_STATE      the state directory
  TOLLGATE_RUN        an absolute path: the directory of the sockets;
                      else the name of the run that the agent joins
  TOLLGATE_TOKEN      the agent's secret, where the configuration asks for one
  TOLLGATE_IDLE_EXIT  seconds that a daemon started by an agent waits for another (600)
  TOLLGATE_LOG        what the daemon logs (info)

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 the agent's
token is wrong or missing, or only a person may do this, 6 denied, 7 stopped.";

/// Says of a server of a configuration what would keep it from starting.
pub type Doubts = fn(&config::Server, &Path) -> Vec<String>;

/// Runs the command that the arguments name. `build` makes the broker for those
/// that carry one; `doubts` is for those that only look at a configuration.
pub fn main<S, B>(build: B, doubts: Doubts) -> ExitCode
where
    S: Service,
    B: AsyncFnOnce(Ground) -> Result<Arc<S>, Failure>,
{
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return out::clap(&error),
    };
    let config = args.config.clone();
    let steps = || Steps::of(config.as_deref());
    match dispatch(args, build, doubts, || Out::stdout(steps())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Failure(failure)) => {
            out::complain(&failure, &steps());
            ExitCode::from(failure.kind.exit_code())
        }
        Err(Trouble::Answer(code)) => ExitCode::from(code),
        // Whoever read our output has seen enough.
        Err(Trouble::Output(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Trouble::Output(cause)) => {
            let failure = Failure::io("can't write the output", &cause);
            out::complain(&failure, &steps());
            ExitCode::FAILURE
        }
    }
}

fn dispatch<S, B>(
    args: Args,
    build: B,
    doubts: Doubts,
    out: impl Fn() -> Out,
) -> Result<(), Trouble>
where
    S: Service,
    B: AsyncFnOnce(Ground) -> Result<Arc<S>, Failure>,
{
    let place = || Place::find(args.config.as_deref());
    match args.command {
        None => status::run(&place()?, &mut out()),
        Some(Command::Stdio(stdio)) => Ok(stdio::run(place()?, &stdio, build)?),
        Some(Command::Daemon(daemon)) => Ok(daemon::run(place()?, &daemon, build)?),
        Some(Command::Tools(tools)) => tools::run(&place()?, &tools, &mut out()),
        Some(Command::Servers(servers)) => servers::run(&place()?, &servers, &mut out()),
        Some(Command::Stop(stop)) => stop::run(&place()?, &stop, &mut out()),
        Some(Command::Resume(resume)) => resume::run(&place()?, &resume, &mut out()),
        Some(Command::Try(trial)) => trial::run(&place()?, &trial, &mut out()),
        Some(Command::Why(why)) => why::run(&place()?, &why, &mut out()),
        Some(Command::Audit(audit)) => audit::run(&place()?, &audit, &mut out()),
        Some(Command::Runs(runs)) => runs::run(&place()?, &runs, &mut out()),
        Some(Command::Budget(budget)) => budget::run(&place()?, &budget, &mut out()),
        Some(Command::Breakers(breakers)) => breakers::run(&place()?, &breakers, &mut out()),
        Some(Command::Pins(pins)) => pins::run(&place()?, &pins, &mut out()),
        Some(Command::Explain(code)) => explain::run(&code, &mut out()),
        Some(Command::Check(check)) => {
            check::run(args.config.as_deref(), &check, doubts, &mut out())
        }
        Some(Command::State(state)) => state::run(&place()?, &state, &mut out()),
        Some(Command::StopDaemon(stop)) => stop_daemon::run(&place()?, &stop, &mut out()),
        Some(Command::Demo(demo)) => demo::run(args.config.as_deref(), &demo, &mut out()),
        Some(Command::DemoServer(server)) => Ok(demo_server::run(&server)?),
        Some(Command::Completions(shell)) => completions::run(&shell, &mut out()),
    }
}

/// Why a command ends badly.
#[derive(Debug)]
enum Trouble {
    /// It could not do its work.
    Failure(Failure),
    /// It did its work, said what it found, and that is no success: the exit code.
    Answer(u8),
    /// It could not say so.
    Output(io::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Failure(failure)
    }
}

impl From<io::Error> for Trouble {
    fn from(cause: io::Error) -> Self {
        Trouble::Output(cause)
    }
}

/// Asks the daemon, which has to run. Whether one that broke off had done what it was asked
/// for is not known, and that is what is said then.
fn ask(place: &Place, question: Question) -> Result<Reply, Failure> {
    ask_patiently(place, question, client::PATIENCE)
}

/// The same for what may take longer.
fn ask_patiently(place: &Place, question: Question, patience: Duration) -> Result<Reply, Failure> {
    let Some(daemon) = connect(place, Door::Control)? else {
        return Err(not_running(place));
    };
    Ok(ask_on(place, &daemon, question, patience)?)
}

/// The same on a connection that is there. Who waits for long is told so, and waits on only
/// while the daemon answers others: one that hangs never will.
fn ask_on(
    place: &Place,
    daemon: &UnixStream,
    question: Question,
    patience: Duration,
) -> Result<Reply, ClientError> {
    let config = place.config_text();
    let mut is_told = false;
    client::ask_patiently(daemon, &config, Request::Ask(question), patience, || {
        if !std::mem::replace(&mut is_told, true) {
            out::aside("the daemon has not answered for 10 s; looking whether it answers others");
        }
        match connect(place, Door::Control) {
            Ok(Some(other)) => client::is_awake(&other, &config),
            // It is gone, or on its way out: the connection tells.
            Ok(None) | Err(_) => true,
        }
    })
}

fn not_running(place: &Place) -> Failure {
    let failure = Failure::fault(format!(
        "tollgate is not running for the configuration `{}`",
        place.config.display()
    ));
    match elsewhere(place).as_slice() {
        [] if !place.config.is_dir() => failure.hint(NO_CONFIG),
        [] => failure.hint(STARTS),
        others => failure.hint(elsewhere_hint(others)),
    }
}

/// What starts a daemon.
const STARTS: &str = "an agent's `tollgate stdio --agent NAME` starts it, or `tollgate daemon`";
/// What comes before that.
const NO_CONFIG: &str = "first make that directory, with a file in `tools.d` for each tool server";

/// `it runs for another: add --config /home/ann/gate`
fn elsewhere_hint(others: &[String]) -> String {
    let flags: Vec<String> = others
        .iter()
        .map(|config| format!("--config {}", argument(config)))
        .collect();
    format!("it runs for another: add {}", flags.join(" or "))
}

/// A directory of a person's, for a command, if nothing in it hides.
fn argument(path: &str) -> String {
    match hidden::hides(path) {
        false => quoted(path),
        true => "DIR".to_owned(),
    }
}

/// Asks the daemon; nothing if none runs, or if it ends over it. Never starts one.
fn ask_if_running(place: &Place, question: Question) -> Result<Option<Reply>, Failure> {
    let Some(daemon) = connect(place, Door::Control)? else {
        return Ok(None);
    };
    match client::ask(&daemon, &place.config_text(), Request::Ask(question)) {
        Ok(reply) => Ok(Some(reply)),
        Err(error) if error.broke_off() && has_ended(place) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a daemon that broke off has ended. What it was about to start when it was killed
/// has its sockets and its lock until that begins: until then it seems to be there.
fn has_ended(place: &Place) -> bool {
    (0..LOOKS).any(|look| {
        if look > 0 {
            thread::sleep(PAUSE);
        }
        !is_held(place)
    })
}

const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// A journal of a hundred million records takes minutes to walk.
const LONG: Duration = Duration::from_secs(3600);

/// The newest of a kind that is rare may be far behind.
const SEARCH: Duration = Duration::from_secs(60);

/// The records that a question is answered with.
fn records(place: &Place, question: Question) -> Result<Records, Failure> {
    let Reply::Records(records) = ask_patiently(place, question, SEARCH)? else {
        return Err(beside_the_point());
    };
    Ok(records)
}

/// All records that match, page after page, and from when on records are kept.
fn all_records(
    place: &Place,
    mut query: Query,
    mut each: impl FnMut(Vec<String>) -> Result<(), Trouble>,
) -> Result<Option<Timestamp>, Trouble> {
    loop {
        let Records {
            lines,
            upto,
            more,
            sought,
            since,
        } = records(place, Question::Audit(Box::new(query.clone())))?;
        each(lines)?;
        if !more {
            return Ok(since);
        }
        query.go_on(upto, sought);
    }
}

/// Exit code: the answer is no.
const DENIED: u8 = 6;

/// Exit code: the answer is no because of a stop.
const STOPPED: u8 = 7;

/// The daemon answered something that wasn't asked.
fn beside_the_point() -> Failure {
    Failure::fault("the daemon answers another question than was asked")
        .hint("end it with `tollgate stop-daemon`")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_configuration_may_be_named_before_and_after_the_command() {
        for line in [
            ["tollgate", "--config", "/c", "tools"],
            ["tollgate", "tools", "--config", "/c"],
        ] {
            let args = Args::try_parse_from(line).unwrap();
            assert_eq!(args.config.unwrap(), PathBuf::from("/c"));
        }
    }
}
