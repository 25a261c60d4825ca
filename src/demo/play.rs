//! The play: takes the script step by step, and tells what became of each.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, Lost, Reply};
use super::ground::Ground;
use super::purse::Purse;
use super::script::{Expect, REACHED, SPENT, STEPS, Step, TIERS, Try};
use super::tell::{Told, wrapped};
use crate::clock::{Clock, SystemClock};
use crate::daemon::Failure;
use crate::shim;

/// Why the demo did not end well.
#[derive(Debug)]
pub enum Trouble {
    /// It could not be played, or went otherwise than it should.
    Failure(Failure),
    /// It could not be told.
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

/// Says one line.
pub type Say<'a> = &'a mut dyn FnMut(&str) -> io::Result<()>;

/// Long enough for a busy machine; nothing here takes long by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the names of the demo server's tools and prompts begin behind the broker.
const PREFIX: &str = "demo__";

/// Where an agent says which of its turns a call belongs to: all calls of a turn are
/// one step.
const STEP: &str = "dev.tollgate/step";

/// Plays the demo with the configuration in `named`, in the working directory,
/// or else with its own.
///
/// # Errors
/// When it can't be played, when any step goes otherwise than it should, or
/// when it can't be told.
pub fn play(named: Option<&Path>, say: Say<'_>) -> Result<(), Trouble> {
    let ground = Ground::lay(named)?;
    let clock = SystemClock::new();
    wrapped("", &opening(&ground), say)?;
    say("")?;
    let client = Client::start(broker(&ground)?, &clock);
    let mut agent = Agent {
        client: client.map_err(|lost| Failure::fault(format!("the broker: {lost}")))?,
        clock: &clock,
        surprises: Vec::new(),
        reached: Vec::new(),
        stopped: 0,
        purse: Purse::default(),
    };
    let worked = agent.work(say);
    let Agent {
        client, surprises, ..
    } = agent;
    // The broker's last words are complete when it is gone.
    let left = client.leave(PATIENCE);
    let ended = match (worked, left) {
        (Err(End::Untold(cause)), _) => return Err(Trouble::Output(cause)),
        (Err(End::NoServer), _) => format!(
            "the demo server did not come up within {} s",
            PATIENCE.as_secs()
        ),
        (Err(End::Lost(lost)), _) | (Ok(()), Err(lost)) => format!("the broker: {lost}"),
        (Ok(()), Ok(status)) if !status.success() => format!("the broker ended badly: {status}"),
        (Ok(()), Ok(_)) if surprises.is_empty() => {
            say("Next: README, \"Connect a real client\".")?;
            return Ok(());
        }
        (Ok(()), Ok(_)) => format!("not as expected: {}", surprises.join("; ")),
    };
    Err(with_log(ended, &ground).into())
}

fn opening(ground: &Ground) -> String {
    format!(
        "tollgate demo: a scripted agent works with a mailbox, files, payments and services \
         that only pretend, through {}.",
        ground.origin
    )
}

/// The broker as a client would start it, but in a place of its own.
fn broker(ground: &Ground) -> Result<Command, Failure> {
    let failed = |what: &str, cause: &io::Error| Failure::io(what, cause);
    let program =
        std::env::current_exe().map_err(|cause| failed("can't find this program", &cause))?;
    let log = File::create(ground.log())
        .map_err(|cause| failed("can't write the broker's log", &cause))?;
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(&ground.config)
        .args(["stdio", "--agent", "demo", "--embedded"])
        .env("TOLLGATE_STATE", ground.state())
        .env("TOLLGATE_RUN", ground.run())
        .env_remove(shim::TOKEN)
        .stderr(log);
    Ok(command)
}

/// The failure, and what the broker had to say.
fn with_log(what: String, ground: &Ground) -> Failure {
    let log = std::fs::read_to_string(ground.log()).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let last = lines.split_at(lines.len().saturating_sub(20)).1;
    let mut message = what;
    for line in last {
        let plain = line.chars().filter(|character| !character.is_control());
        message.push_str("\n  | ");
        message.extend(plain);
    }
    Failure::fault(message)
}

/// The scripted agent, and what became of what it tried.
struct Agent<'a> {
    client: Client<'a>,
    clock: &'a dyn Clock,
    surprises: Vec<String>,
    /// The tools whose calls passed, in order.
    reached: Vec<&'static str>,
    stopped: usize,
    purse: Purse,
}

/// The tiers of the tools, by the server's own names.
type Listed = Vec<(String, String)>;

/// Why the agent stops working.
enum End {
    Lost(Lost),
    /// The broker is there, its tool server is not.
    NoServer,
    Untold(io::Error),
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        End::Lost(lost)
    }
}

impl From<io::Error> for End {
    fn from(cause: io::Error) -> Self {
        End::Untold(cause)
    }
}

impl Agent<'_> {
    /// The whole script.
    fn work(&mut self, say: Say<'_>) -> Result<(), End> {
        self.client.initialize(PATIENCE)?;
        let listed = self.list_tools()?;
        self.tell_tools(&listed, say)?;
        let mut in_full = None;
        for (step, number) in STEPS.iter().zip(2..) {
            let before = self.clock.elapsed();
            let told = self.take(step, number, &listed)?;
            let took = self.clock.elapsed().saturating_sub(before);
            told.say((number, step.tells), took, say)?;
            if step.in_full {
                in_full = Some((number, told));
            }
        }
        if let Some((number, told)) = in_full {
            say("")?;
            say(&format!("What the model reads in step {number}:"))?;
            wrapped("  | ", &told.text, say)?;
        }
        let seen = self.ask_server()?;
        Ok(self.tell_score(&seen, say)?)
    }

    /// The list; waits for the demo server to be part of it.
    fn list_tools(&mut self) -> Result<Listed, End> {
        let deadline = self.clock.elapsed().saturating_add(PATIENCE);
        loop {
            let listed = match self.client.request("tools/list", "{}", PATIENCE)? {
                Reply::Result(result) => tiers(&result),
                Reply::Error { message, .. } => return Err(Lost::Garbled(message).into()),
            };
            if !listed.is_empty() {
                return Ok(listed);
            }
            let left = deadline.saturating_sub(self.clock.elapsed());
            match self
                .client
                .notification("notifications/tools/list_changed", left)
            {
                Ok(()) => {}
                Err(Lost::Silent(_)) => return Err(End::NoServer),
                Err(lost) => return Err(lost.into()),
            }
        }
    }

    fn tell_tools(&mut self, listed: &Listed, say: Say<'_>) -> io::Result<()> {
        let wanted = TIERS
            .iter()
            .flat_map(|(tier, tools)| tools.iter().map(move |tool| (*tool, *tier)));
        for (tool, tier) in wanted {
            let found = tier_of(listed, tool);
            if found != Some(tier) {
                let found = found.unwrap_or("missing");
                self.surprises.push(format!(
                    "step 1: `{tool}` is {found} in the list, not {tier}"
                ));
            }
        }
        say(&format!(
            " 1. lists its tools: {}, each with a tier",
            listed.len()
        ))?;
        for (tier, _) in TIERS {
            let tools: Vec<_> = listed
                .iter()
                .filter(|(_, of)| of == tier)
                .map(|(tool, _)| tool.as_str())
                .collect();
            wrapped(&format!("      {tier:14} "), &tools.join(" "), say)?;
        }
        Ok(())
    }

    /// Takes one step, to its end or to the first answer that is not expected.
    fn take(&mut self, step: &Step, number: usize, listed: &Listed) -> Result<Told, Lost> {
        let mut told = Told::nothing();
        let mut as_expected = false;
        let mut notices = 0;
        for tries in step.tries {
            let reply = self.send(tries, number)?;
            self.purse.hear(&reply);
            notices = self.client.count_told("notifications/progress");
            told = Told::of(&reply);
            self.count(tries, &told);
            as_expected = is_expected(&step.expects, &told, notices);
            if !as_expected {
                self.surprises.push(format!(
                    "step {number}, the agent {}: {}",
                    step.tells, told.verdict
                ));
                break;
            }
        }
        if let ([Try::Call(tool, _), ..], None, None) = (step.tries, &told.refused, told.error)
            && let Some(tier) = tier_of(listed, tool)
        {
            told.verdict.push_str(&format!(" ({tier})"));
        }
        if step.tries.len() > 1 {
            told.verdict
                .push_str(&format!(" {} times", step.tries.len()));
        }
        if told.failed {
            told.verdict.push_str(", and failed");
        }
        if notices > 0 {
            told.verdict.push_str(&format!(", {notices} notices"));
        }
        if !as_expected {
            told.verdict.push_str("  NOT EXPECTED");
        }
        Ok(told)
    }

    /// Counts a call as passed or as stopped.
    fn count(&mut self, tries: &Try, told: &Told) {
        match tries {
            Try::Call(tool, _) if told.refused.is_none() && told.error.is_none() => {
                self.reached.push(tool);
            }
            Try::Call(..) => self.stopped += 1,
            Try::Resource(_) | Try::Prompt(_) => {}
        }
    }

    /// The calls that reached the server, as the server itself tells.
    fn ask_server(&mut self) -> Result<Vec<String>, Lost> {
        let told = Told::of(&self.send(&REACHED, STEPS.len() + 2)?);
        let seen = told.text.lines().map(str::to_owned).collect();
        if seen != self.reached {
            self.surprises.push(format!(
                "the server was reached by {seen:?}, and {:?} passed",
                self.reached
            ));
        }
        Ok(seen)
    }

    fn tell_score(&mut self, seen: &[String], say: Say<'_>) -> io::Result<()> {
        say("")?;
        let score = format!(
            "What reached the server, by its own count: {} calls. What didn't: {}.",
            seen.len(),
            self.stopped
        );
        wrapped("", &score, say)?;
        let spent = self.purse.spent().unwrap_or_else(|| "nothing".to_owned());
        if spent != SPENT {
            self.surprises
                .push(format!("the results say {spent} was spent, not {SPENT}"));
        }
        let left = self.purse.left();
        let purse = format!("Spent, by what the results say: {spent}; left: {left}.");
        wrapped("", &purse, say)
    }

    /// Sends one try, as part of the agent's turn of this number.
    fn send(&mut self, tries: &Try, turn: usize) -> Result<Reply, Lost> {
        let (method, params) = match tries {
            // Arguments go out as the script writes them, also where they are odd.
            Try::Call(tool, arguments) => (
                "tools/call",
                format!(
                    r#"{{"name":"{PREFIX}{tool}","arguments":{arguments},"_meta":{{"progressToken":"{tool}","{STEP}":{turn}}}}}"#
                ),
            ),
            Try::Resource(uri) => (
                "resources/read",
                json!({ "uri": uri, "_meta": { STEP: turn } }).to_string(),
            ),
            Try::Prompt(name) => (
                "prompts/get",
                json!({ "name": format!("{PREFIX}{name}"), "_meta": { STEP: turn } }).to_string(),
            ),
        };
        self.client.request(method, &params, PATIENCE)
    }
}

fn is_expected(expects: &Expect, told: &Told, notices: usize) -> bool {
    match (expects, told.refused.as_deref(), told.error) {
        (Expect::Passes(words), None, None) => told.is_fine && told.text.contains(words),
        (Expect::PassesWithProgress(words), None, None) => {
            told.is_fine && told.text.contains(words) && notices > 0
        }
        (Expect::Fails(words), None, None) => told.failed && told.text.contains(words),
        (Expect::Stopped(code), Some(refused), None) => *code == refused,
        (Expect::Error(code), None, Some(error)) => *code == error,
        (
            Expect::Passes(_)
            | Expect::PassesWithProgress(_)
            | Expect::Fails(_)
            | Expect::Stopped(_)
            | Expect::Error(_),
            _,
            _,
        ) => false,
    }
}

fn tiers(list: &Value) -> Listed {
    let tools = list.get("tools").and_then(Value::as_array);
    tools
        .into_iter()
        .flatten()
        .filter_map(|tool| {
            let name = tool.get("name")?.as_str()?.strip_prefix(PREFIX)?;
            let risk = tool.get("_meta")?.get("dev.tollgate/risk")?;
            Some((name.to_owned(), risk.get("name")?.as_str()?.to_owned()))
        })
        .collect()
}

fn tier_of<'a>(listed: &'a Listed, tool: &str) -> Option<&'a str> {
    let found = listed.iter().find(|(name, _)| name == tool);
    found.map(|(_, tier)| tier.as_str())
}
