//! `tollgate try`: the whole judgement of a call that nobody makes.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;

use super::filter::run_id;
use super::judgement::{self, Files, Rule, Said, Step};
use super::out::Out;
use super::{DENIED, STOPPED, Trouble, ask_patiently, beside_the_point};
use crate::control::{GateRow, Judged, Question, Reply, Trial, Wrong};
use crate::daemon::{Failure, FailureKind, Place};
use crate::domain::{AgentName, Code, RunId};

/// Judge a call gate by gate without making it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --run the call is judged as the first of a new run: what a run that goes on has used does not count
against the limits of runs.
Exit codes: 0 it would run, 6 it would be refused, 7 it is stopped.")]
pub(super) struct Args {
    /// Which tool, also by the name that agents see
    #[arg(value_name = "SERVER.TOOL", value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    tool: String,

    /// Who would call
    #[arg(long = "as", value_name = "AGENT", value_parser = AgentName::parse, allow_hyphen_values = true)]
    agent: AgentName,

    /// As the next call of this run
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    run: Option<RunId>,

    /// The arguments: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    args: String,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// A server that is coming up has ten seconds for its first list, and what is long takes
/// its time to measure.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let trial = Trial {
        agent: args.agent.clone(),
        title: args.tool.clone(),
        arguments: arguments(&args.args)?,
        run: args.run.clone(),
    };
    let Reply::Judged(judged) = ask_patiently(place, Question::Try(trial), PATIENCE)? else {
        return Err(beside_the_point().into());
    };
    match args.json {
        true => out.json(&judged)?,
        false => out.lines(lines(&judged, Files::of_daemon(place)?))?,
    }
    match refused(&judged).and_then(|gate| gate.code.as_deref()) {
        None if judged.unrecordable.is_some() => Err(Trouble::Answer(DENIED)),
        None => Ok(()),
        Some(code) if code == Code::Stopped.as_str() => Err(Trouble::Answer(STOPPED)),
        Some(_) => Err(Trouble::Answer(DENIED)),
    }
}

fn arguments(given: &str) -> Result<String, Failure> {
    let mut text = String::new();
    match given {
        "-" => read(io::stdin().lock(), &mut text)
            .map_err(|cause| Failure::io("can't read the arguments from stdin", &cause))?,
        _ => match given.strip_prefix('@') {
            Some(file) => {
                let opened = File::open(file).and_then(|file| read(file, &mut text));
                opened.map_err(|cause| Failure::io(format_args!("can't read `{file}`"), &cause))?;
            }
            None => given.clone_into(&mut text),
        },
    }
    if text.len() as u64 > Trial::LONGEST {
        let most = Trial::LONGEST >> 20;
        return Err(Failure::new(
            FailureKind::Usage,
            format!("the arguments are longer than {most} MiB, and no call may be"),
        ));
    }
    match serde_json::from_str::<&serde_json::value::RawValue>(&text) {
        Ok(value) if value.get().starts_with('{') => Ok(value.get().to_owned()),
        Ok(_) => Err(usage("the arguments are not a JSON object".to_owned())),
        Err(cause) => Err(usage(format!("the arguments are not valid JSON: {cause}"))),
    }
}

fn read(from: impl Read, text: &mut String) -> io::Result<()> {
    let mut bytes = Vec::new();
    // One more than there may be tells, wherever it is cut.
    from.take(Trial::LONGEST + 1).read_to_end(&mut bytes)?;
    *text = match bytes.len() as u64 > Trial::LONGEST {
        true => String::from_utf8_lossy(&bytes).into_owned(),
        false => String::from_utf8(bytes)
            .map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))?,
    };
    Ok(())
}

fn usage(message: String) -> Failure {
    Failure::new(FailureKind::Usage, message).hint("for example: --args '{\"path\":\"notes.txt\"}'")
}

fn refused(judged: &Judged) -> Option<&GateRow> {
    judged.gates.iter().find(|gate| gate.code.is_some())
}

fn lines(judged: &Judged, files: Files<'_>) -> Vec<String> {
    let Judged {
        title,
        agent,
        owner,
        tier,
        classified,
        unseen,
        new_run,
        run,
        gates,
        unrecordable,
    } = judged;
    let tier = match classified {
        true => tier.to_string(),
        false => format!("{tier} (nobody has classified it)"),
    };
    let mut lines = vec![format!("{title}  agent {agent} of {owner}  tier {tier}")];
    lines.extend(judgement::lines(&steps(gates, files)));
    match refused(judged) {
        None => match unrecordable {
            None => lines.push("It would run. Nothing was sent.".to_owned()),
            Some(Wrong { says, hint }) => {
                let code = Code::StateUnavailable.as_str();
                lines.push(format!(
                    "No gate refuses it, and yet nothing runs now: {code}, {says}."
                ));
                lines.extend(hint.as_ref().map(|hint| format!("  {hint}")));
            }
        },
        Some(gate) => {
            let code = gate.code.as_deref().unwrap_or_default();
            lines.push(format!("It would be refused: {code}. Nothing was sent."));
            if let Some(remedy) = &gate.remedy {
                lines.extend(judgement::hang("The agent is told: ", "  ", remedy));
            }
        }
    }
    if let Some(run) = run {
        lines.push(format!("It was judged as the next call of run {run}."));
    }
    if *new_run {
        let says = "It was judged as the first call of a new run; others may have less left.";
        lines.push(says.to_owned());
    }
    if *unseen {
        lines.push("This agent does not see the tool: to it, the name is unknown.".to_owned());
    }
    lines
}

fn steps(gates: &[GateRow], files: Files<'_>) -> Vec<Step> {
    gates
        .iter()
        .map(|row| Step {
            gate: row.gate.clone(),
            said: match (&row.says, &row.code) {
                (None, _) => Said::NotReached,
                (Some(says), None) => Said::Pass(says.clone()),
                (Some(says), Some(_)) => Said::Deny {
                    says: says.clone(),
                    rule: row.rule.as_ref().map(|rule| Rule::find(rule, files)),
                },
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::{Owner, Tier};

    fn files(dir: &Path) -> Files<'_> {
        let read = jiff::Timestamp::MAX;
        Files { dir, read }
    }

    fn gate(gate: &str, says: Option<&str>, code: Option<&str>) -> GateRow {
        GateRow {
            gate: gate.into(),
            says: says.map(str::to_owned),
            code: code.map(str::to_owned),
            remedy: code.map(|_| "Do not try to work around this rule; ask your user.".into()),
            rule: None,
        }
    }

    fn judged(gates: Vec<GateRow>) -> Judged {
        Judged {
            title: "files.write_file".into(),
            agent: AgentName::parse("dev").unwrap(),
            owner: Owner::parse("ana").unwrap(),
            tier: Tier::Reversible,
            classified: true,
            unseen: false,
            new_run: true,
            run: None,
            gates,
            unrecordable: None,
        }
    }

    #[test]
    fn a_refusal_shows_the_gate_the_rule_and_what_was_not_reached() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tools.d")).unwrap();
        let file = dir.path().join("tools.d/files.toml");
        std::fs::write(&file, "\n\npath = { under = \"/srv/reports\" }\n").unwrap();
        let mut arguments = gate(
            "arguments",
            Some("`/path` is not below `/srv/reports`"),
            Some("ARGS_OUT_OF_BOUNDS"),
        );
        arguments.rule = Some(crate::domain::Place {
            file: file.to_str().unwrap().into(),
            line: 3,
        });
        let judged = judged(vec![
            gate("stop switch", Some("off"), None),
            gate("agent", Some("`dev`, owned by ana, may use `files`"), None),
            gate("tool", Some("pinned 9f3c0a1b, unchanged"), None),
            arguments,
            gate("approval", None, None),
        ]);
        insta::assert_snapshot!(lines(&judged, files(dir.path())).join("\n"));
    }

    #[test]
    fn a_call_that_would_run_says_so() {
        let judged = judged(vec![
            gate("stop switch", Some("off"), None),
            gate("approval", Some("tier reversible needs nobody"), None),
        ]);
        insta::assert_snapshot!(lines(&judged, files(Path::new("/"))).join("\n"));
    }

    #[test]
    fn a_call_that_cannot_be_recorded_does_not_run_whatever_the_gates_say() {
        let mut judged = judged(vec![gate("stop switch", Some("off"), None)]);
        judged.unrecordable = Some(Wrong {
            says: "the disk is full".into(),
            hint: Some("free some space".into()),
        });
        let lines = lines(&judged, files(Path::new("/")));
        let says =
            "No gate refuses it, and yet nothing runs now: STATE_UNAVAILABLE, the disk is full.";
        assert_eq!(lines[2..4], [says, "  free some space"]);
    }

    #[test]
    fn arguments_are_an_object_from_the_line_or_a_file() {
        assert_eq!(arguments(" {\"a\": 1.0} ").unwrap(), "{\"a\": 1.0}");
        assert_eq!(arguments("[1]").unwrap_err().kind, FailureKind::Usage);
        assert_eq!(arguments("{").unwrap_err().kind, FailureKind::Usage);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"n\":12345678901234567890123}\n").unwrap();
        let named = format!("@{}", file.path().display());
        assert_eq!(
            arguments(&named).unwrap(),
            "{\"n\":12345678901234567890123}"
        );
        let blank = " ".repeat((16 << 20) - 2);
        std::fs::write(file.path(), format!("{blank}{{}}")).unwrap();
        assert_eq!(arguments(&named).unwrap(), "{}");
        std::fs::write(file.path(), format!("{blank}{{}}é")).unwrap();
        let failure = arguments(&named).unwrap_err();
        assert!(failure.to_string().contains("longer than 16 MiB"));
        assert_eq!(arguments("@/nowhere").unwrap_err().kind, FailureKind::Fault);
    }
}
