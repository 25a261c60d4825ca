//! `tollgate why`: the judgement of a past call, from its record.

use super::audit::{call_id, no_such_call};
use super::judgement::{self, Files, Rule, Said, Step};
use super::out::Out;
use super::record::{Record, duration};
use super::{Trouble, records};
use crate::control::{Question, Records};
use crate::daemon::Place;
use crate::domain::{self, CallId};
use crate::gate::GATES;

/// Explain a past call: gate by gate, and what became of it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which call
    #[arg(value_parser = call_id)]
    call: CallId,
}

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let question = Question::Call {
        id: args.call.clone(),
    };
    let Records {
        lines: found,
        since,
        ..
    } = records(place, question)?;
    let records: Vec<Record> = found
        .iter()
        .filter_map(|line| Record::parse(line))
        .collect();
    let told = lines(&records, Files::of_daemon(place)?);
    if told.is_empty() {
        return Err(no_such_call(&args.call, since).into());
    }
    Ok(out.lines(told)?)
}

fn lines(records: &[Record], files: Files<'_>) -> Vec<String> {
    let Some(judged) = records
        .iter()
        .find(|record| matches!(record.kind(), "call.refused" | "call.intent"))
    else {
        return Vec::new();
    };
    let files = files.at(judged.at());
    let mut lines = head(judged);
    lines.extend(judgement::lines(&steps(judged, files)));
    if judged.kind() == "call.intent"
        && let Some(place) = judged.str("rule").and_then(place)
    {
        let Rule { place, text } = Rule::find(&place, files);
        let text = text.map(|text| format!("   {text}")).unwrap_or_default();
        lines.push(format!("Its tier by {place}{text}"));
    }
    if let Some(answers) = judged.shown("answers") {
        let line = format!("It goes on with the answers {answers}");
        lines.extend(judgement::hang("", "  ", &line));
    }
    lines.extend(questions(records));
    let outcome = records
        .iter()
        .find(|record| record.kind() == "call.outcome");
    lines.extend(ending(judged, outcome));
    lines
}

/// Who, what, when.
fn head(judged: &Record) -> Vec<String> {
    let text = |key| judged.str(key).unwrap_or("?");
    let mut lines = vec![format!(
        "{}  {}  tier {}",
        text("call"),
        judged.title(),
        text("tier")
    )];
    let mut second = format!(
        "{} {}  agent {} of {}  run {}",
        judged.date(),
        judged.time(),
        text("agent"),
        text("owner"),
        text("run")
    );
    if let Some(step) = judged.step() {
        second.push_str(&format!("  step {step}"));
    }
    lines.push(second);
    lines
}

/// The gates in their order; the record names the one that refused.
fn steps(judged: &Record, files: Files<'_>) -> Vec<Step> {
    let refused_by = judged.str("gate");
    let mut reached = true;
    let mut steps: Vec<Step> = GATES
        .iter()
        .map(|gate| {
            let said = match refused_by {
                _ if !reached => Said::NotReached,
                Some(name) if name == gate.name => {
                    reached = false;
                    deny(judged, files)
                }
                Some(_) | None => Said::Pass(String::new()),
            };
            Step {
                gate: gate.name.to_owned(),
                said,
            }
        })
        .collect();
    // A gate of another version of tollgate is shown as well.
    if let Some(name) = refused_by
        && reached
    {
        steps.push(Step {
            gate: name.to_owned(),
            said: deny(judged, files),
        });
    }
    steps
}

fn deny(judged: &Record, files: Files<'_>) -> Said {
    Said::Deny {
        says: judged.shown("reason").unwrap_or_default(),
        rule: judged
            .str("rule")
            .and_then(place)
            .map(|place| Rule::find(&place, files)),
    }
}

/// Reads `file:line`.
fn place(text: &str) -> Option<domain::Place> {
    let (file, line) = text.rsplit_once(':')?;
    Some(domain::Place {
        file: file.into(),
        line: line.parse().ok()?,
    })
}

/// The limit that it met, in numbers.
fn bound(judged: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(name) = judged.str("bound") {
        let text = |key| judged.str(key).unwrap_or("?");
        let (limit, used, asked) = (text("limit"), text("used"), text("requested"));
        lines.push(format!(
            "  {name}: limit {limit}, used {used}, asked {asked}"
        ));
    }
    if let Some(at) = judged.str("retry_at") {
        lines.push(format!("  it can be tried again at {at}"));
    }
    lines
}

/// What its server asked meanwhile, and what came of that.
fn questions(records: &[Record]) -> Vec<String> {
    let of_kind = |kind: &'static str| records.iter().filter(move |record| record.kind() == kind);
    let mut answers: Vec<&Record> = of_kind("answer").collect();
    of_kind("question")
        .flat_map(|question| {
            let method = question.str("method").unwrap_or("?");
            let mut line = format!("Its server asked with {method}");
            if let Some(message) = question.asked() {
                line.push_str(&format!(": {message}"));
            }
            // They are answered in any order.
            let number = |record: &Record| record.shown("question");
            let answered = answers
                .iter()
                .position(|answer| number(answer).is_some() && number(answer) == number(question));
            line.push_str(&match (question.str("decision"), answered) {
                (Some("refuse"), _) => {
                    let reason = question.shown("reason").unwrap_or_default();
                    format!(" -> refused: {reason}")
                }
                (_, Some(at)) => {
                    let answer = answers.remove(at);
                    let after = answer.number("wait_ms").map(duration);
                    let after = after.map(|after| format!(" after {after}"));
                    let word = match answer.str("answer") {
                        Some("none") => "no answer",
                        word => word.unwrap_or("?"),
                    };
                    format!(" -> {word}{}", after.unwrap_or_default())
                }
                // Between two sides of the stateless era it comes with the next call.
                (_, None) => " -> no answer recorded".to_owned(),
            });
            judgement::hang("", "  ", &line)
        })
        .collect()
}

/// What became of it.
fn ending(judged: &Record, outcome: Option<&Record>) -> Vec<String> {
    match (judged.kind(), outcome) {
        ("call.refused", _) => {
            let mut lines = vec![format!(
                "Refused: {}. Nothing was sent to the server.",
                judged.str("code").unwrap_or("?")
            )];
            lines.extend(bound(judged));
            if let Some(remedy) = judged.str("remedy") {
                lines.extend(judgement::hang("The agent was told: ", "  ", remedy));
            }
            lines
        }
        (_, None) => vec!["It has left and has not ended yet.".to_owned()],
        (_, Some(outcome)) => {
            let word = outcome.str("outcome").unwrap_or("?");
            let mut line = match outcome.number("duration_ms") {
                // What has left takes longer than that to fail.
                Some(ms) if ms <= 0.0 && word == "failed" => format!("It never left: {word}"),
                Some(ms) => format!("It ran: {word} after {}", duration(ms)),
                None => format!("It ran: {word}"),
            };
            if let Some(ms) = outcome.number("wait_ms") {
                line.push_str(&format!(", waited {}", duration(ms)));
            }
            if let Some(bytes) = outcome.number("result_bytes") {
                line.push_str(&format!(", {bytes} bytes of result"));
            }
            if let Some(cost) = outcome.cost(judged.estimate().as_ref()) {
                line.push_str(&format!(", {cost}"));
            }
            if let Some(reason) = outcome.str("reason") {
                line.push_str(&format!(": {reason}"));
            }
            line.push('.');
            if word == "unknown" {
                line.push_str(" The server may have acted on it: somebody has to look.");
            }
            judgement::hang("", "", &line)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::rows::tests;

    fn files() -> Files<'static> {
        let (dir, read) = (Path::new("/c"), jiff::Timestamp::MAX);
        Files { dir, read }
    }

    fn told(call: &str) -> String {
        let records: Vec<Record> = tests::records()
            .into_iter()
            .chain(tests::limits())
            .filter(|record| record.str("call") == Some(call))
            .collect();
        lines(&records, files()).join("\n")
    }

    #[test]
    fn a_refused_call_shows_who_refused_it_and_by_which_line() {
        insta::assert_snapshot!(told("c-5KQ2"));
    }

    #[test]
    fn a_call_that_ran_shows_how_it_ended() {
        insta::assert_snapshot!(told("c-5KQ3"));
    }

    #[test]
    fn a_call_whose_end_is_unknown_asks_for_a_person() {
        insta::assert_snapshot!(told("c-5KQ4"));
    }

    #[test]
    fn a_limit_is_told_in_numbers() {
        let told = told("c-5KQ7");
        let (_, ending) = told.split_once("Refused: ").unwrap();
        insta::assert_snapshot!(ending);
    }

    #[test]
    fn a_call_that_cost_something_says_how_much() {
        let told = told("c-5KQ5");
        let ending = "It ran: failed after 30.0 s, waited 1.5 s, 0.30 USD: timed out.";
        assert!(told.ends_with(ending), "{told}");
    }

    #[test]
    fn a_call_that_never_left_is_not_said_to_have_run() {
        let records: Vec<Record> = [
            r#"{"kind":"call.intent","at":"2026-11-20T16:02:11.000001Z","call":"c-1"}"#,
            r#"{"kind":"call.outcome","call":"c-1","outcome":"failed","reason":"was never sent the call: an operator stopped everything","duration_ms":0.000,"wait_ms":2100.000}"#,
        ]
        .iter()
        .map(|line| Record::parse(line).unwrap())
        .collect();
        let told = lines(&records, files()).join(" ");
        let ending = "It never left: failed, waited 2.1 s: was never sent the call: an operator stopped everything.";
        assert!(told.ends_with(ending), "{told}");
    }

    #[test]
    fn a_call_whose_server_asked_says_what_and_what_it_was_told() {
        let told: Vec<String> = lines(&tests::asked(), files());
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_call_that_goes_on_shows_with_what() {
        let line = r#"{"kind":"call.intent","at":"2026-11-20T16:02:11.000001Z","call":"c-1","answers":{"k":{"n":12345678901234567890123}}}"#;
        let told = lines(&[Record::parse(line).unwrap()], files()).join("\n");
        let answers = r#"It goes on with the answers {"k":{"n":12345678901234567890123}}"#;
        assert!(told.contains(answers), "{told}");
    }

    #[test]
    fn a_call_without_a_record_is_not_made_up() {
        assert_eq!(told("c-0"), "");
    }

    #[test]
    fn an_answer_stands_with_its_question_whenever_it_came() {
        let question = |number: u32, says: &str| {
            format!(
                r#"{{"kind":"question","call":"c-1","method":"elicitation/create","question":{number},"decision":"pass","message":"{says}"}}"#
            )
        };
        let answer = |number: u32, word: &str| {
            format!(
                r#"{{"kind":"answer","call":"c-1","method":"elicitation/create","question":{number},"answer":"{word}"}}"#
            )
        };
        let records: Vec<Record> = [
            question(1, "delete everything?"),
            question(2, "show it?"),
            answer(2, "decline"),
            answer(1, "accept"),
        ]
        .iter()
        .filter_map(|line| Record::parse(line))
        .collect();
        assert_eq!(
            questions(&records),
            [
                "Its server asked with elicitation/create: delete everything? -> accept",
                "Its server asked with elicitation/create: show it? -> decline",
            ]
        );
    }
}
