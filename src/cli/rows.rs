//! Records as rows: one for each call, one for everything else that happened.

use std::collections::HashMap;

use super::record::{Cost, Record, duration};
use crate::domain::{CallId, Currency, Dimension, money::show_micros};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) date: String,
    pub(super) time: String,
    /// The call's id, or dashes.
    pub(super) call: String,
    /// The agent, or the person.
    pub(super) who: String,
    pub(super) what: String,
    /// One word, in capitals where somebody said no.
    pub(super) verdict: String,
    pub(super) note: String,
    /// That it is of a call, and the call is over: it ended, or was refused.
    pub(super) has_ended: bool,
    /// That tollgate started.
    pub(super) is_start: bool,
    /// `step 4`, and whether only the client says so.
    pub(super) step: Option<String>,
    pub(super) cost: Option<Cost>,
}

impl Row {
    pub(super) fn cells(&self) -> Vec<String> {
        vec![
            self.time.clone(),
            self.call.clone(),
            self.who.clone(),
            self.what.clone(),
            self.verdict.clone(),
            self.note.clone(),
        ]
    }

    /// The cells of a table, in which nobody reads a long note.
    pub(super) fn clipped(&self) -> Vec<String> {
        let mut cells = self.cells();
        if self.is_start {
            // It may say that the record is not the one that was there.
            return cells;
        }
        if let Some(note) = cells.last_mut()
            && let Some((at, _)) = note.char_indices().nth(NOTE)
        {
            note.truncate(at);
            note.push_str("...");
        }
        cells
    }
}

/// As much of a note as a row has room for; `audit show` shows all of it.
const NOTE: usize = 80;

/// What a call is called while only its outcome is known.
#[derive(Debug, Default)]
pub(super) struct Calls(HashMap<String, Begun>);

#[derive(Debug, Default)]
struct Begun {
    agent: String,
    title: String,
    estimate: Option<Cost>,
}

/// Calls that a follower remembers; their outcomes come within minutes.
const REMEMBERED: usize = 10_000;

impl Calls {
    /// The call that a record ends, if it is not known how it began.
    pub(super) fn unknown(&self, record: &Record) -> Option<CallId> {
        let call = record
            .str("call")
            .filter(|_| record.kind() == "call.outcome")?;
        CallId::parse(call).filter(|_| !self.0.contains_key(call))
    }

    pub(super) fn learn(&mut self, record: &Record) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        if let (Some(call), Some(agent)) = (record.str("call"), record.str("agent")) {
            let begun = Begun {
                agent: agent.to_owned(),
                title: record.title(),
                estimate: record.estimate(),
            };
            self.0.insert(call.to_owned(), begun);
        }
    }

    /// One record as one row, as it comes. Checkpoints are nobody's business.
    pub(super) fn row(&mut self, record: &Record) -> Option<Row> {
        let reason = || record.shown("reason").unwrap_or_default();
        let by = || record.str("by").unwrap_or("tollgate").to_owned();
        let mut cost = None;
        let (who, what, verdict, note) = match record.kind() {
            "checkpoint" => return None,
            "call.intent" => {
                self.learn(record);
                (agent(record), record.title(), "started", String::new())
            }
            "call.outcome" => {
                let known = record.str("call").and_then(|call| self.0.remove(call));
                let known = known.unwrap_or_default();
                cost = record.cost(known.estimate.as_ref());
                (known.agent, known.title, "", ending(record, cost.as_ref()))
            }
            "call.refused" => (
                agent(record),
                record.title(),
                "REFUSED",
                record.shown("code").unwrap_or_default(),
            ),
            "question" => {
                let (verdict, says) = match record.str("decision") {
                    Some("refuse") => ("REFUSED", record.shown("reason")),
                    Some(_) | None => ("asks", record.asked()),
                };
                (
                    agent(record),
                    record.title(),
                    verdict,
                    says.unwrap_or_default(),
                )
            }
            "answer" => (
                agent(record),
                record.title(),
                record.str("answer").unwrap_or_default(),
                ending(record, None),
            ),
            "stop" => (
                by(),
                format!("stop {}", record.scope()),
                "STOPPED",
                record.shown("text").unwrap_or_default(),
            ),
            "resume" => (
                by(),
                format!("stop {}", record.scope()),
                "lifted",
                String::new(),
            ),
            "pin" => (by(), record.title(), "pinned", String::new()),
            "pin.changed" => (by(), record.title(), "CHANGED", String::new()),
            "pin.restored" => (by(), record.title(), "restored", String::new()),
            "pin.accept" => (by(), record.title(), "accepted", String::new()),
            "prune" => (
                by(),
                "journal".to_owned(),
                "pruned",
                format!(
                    "records before {}",
                    record.shown("first").unwrap_or_default()
                ),
            ),
            "notice" => (
                by(),
                record.str("notice").unwrap_or("notice").to_owned(),
                record.str("severity").unwrap_or_default(),
                record.shown("says").unwrap_or_default(),
            ),
            "halt" => (
                agent(record),
                of_run(record),
                match record.str("halt") {
                    Some("paused") => "PAUSED",
                    Some(_) | None => "KILLED",
                },
                reason(),
            ),
            "clear" => (
                by(),
                format!("halt of agent {}", agent(record)),
                "lifted",
                String::new(),
            ),
            "extend" => (by(), of_run(record), "extended", helping(record)),
            "breaker" => match record.str("state") {
                Some("closed") => (by(), breaker(record), "closed", String::new()),
                Some(_) | None => (by(), breaker(record), "OPEN", opened(record)),
            },
            "tail_cut" => (by(), "journal".to_owned(), "tail cut", reason()),
            "start" => (
                by(),
                format!("start {}", record.str("version").unwrap_or_default()),
                "",
                record.shown("note").unwrap_or_default(),
            ),
            other => (by(), other.to_owned(), "", String::new()),
        };
        let verdict = match record.kind() {
            "call.outcome" => record.shown("outcome").unwrap_or_default(),
            _ => verdict.to_owned(),
        };
        Some(Row {
            date: record.date().to_owned(),
            time: record.time().to_owned(),
            call: record.str("call").unwrap_or("------").to_owned(),
            who,
            what,
            verdict: loud(&verdict),
            note,
            has_ended: matches!(record.kind(), "call.outcome" | "call.refused"),
            is_start: record.kind() == "start",
            step: step(record),
            cost,
        })
    }
}

/// One row for each call, from its first record; the rest as it comes.
pub(super) fn merged(records: &[Record]) -> Vec<Row> {
    let mut calls = Calls::default();
    let mut rows: Vec<Row> = Vec::new();
    let mut open: HashMap<String, usize> = HashMap::new();
    for record in records {
        let Some(row) = calls.row(record) else {
            continue;
        };
        match record.kind() {
            "call.intent" => {
                open.insert(row.call.clone(), rows.len());
                rows.push(row);
            }
            "call.outcome" => match open.remove(&row.call).and_then(|at| rows.get_mut(at)) {
                Some(begun) => {
                    begun.verdict = row.verdict;
                    begun.note = row.note;
                    begun.cost = row.cost;
                    begun.has_ended = true;
                }
                None => rows.push(row),
            },
            _ => rows.push(row),
        }
    }
    rows
}

fn agent(record: &Record) -> String {
    record.str("agent").unwrap_or("?").to_owned()
}

fn of_run(record: &Record) -> String {
    format!("run {}", record.str("run").unwrap_or("?"))
}

/// The step that tollgate counts, or the one that only the client reports.
fn step(record: &Record) -> Option<String> {
    let counted = record.shown("step").map(|step| format!("step {step}"));
    let reported = || Some(format!("step {} (reported)", record.step()?));
    counted.or_else(reported)
}

/// What has a breaker.
fn breaker(record: &Record) -> String {
    match record.str("tool") {
        Some(_) => record.title(),
        None => format!("server {}", record.title()),
    }
}

fn opened(record: &Record) -> String {
    let reason = record.shown("reason").unwrap_or_default();
    // The date is the row's, nearly always.
    let until = record.str("until").and_then(|until| until.get(11..16));
    match until {
        Some(until) => format!("until {until}: {reason}"),
        None => reason,
    }
}

/// What a person added to a run.
fn helping(record: &Record) -> String {
    let added = record.numbers("added").into_iter();
    let mut parts: Vec<String> = added
        .map(|(name, quantity)| match Dimension::parse(name) {
            // The record does not say in which currency.
            Some(Dimension::Cost | Dimension::Amount) => {
                format!("+{} {name}", show_micros(quantity))
            }
            Some(dimension @ (Dimension::Time | Dimension::Elapsed)) => {
                format!("+{} {name}", dimension.show(quantity, Currency::USD))
            }
            Some(
                dimension @ (Dimension::Steps
                | Dimension::Calls
                | Dimension::Count
                | Dimension::Bytes
                | Dimension::Tokens),
            ) => format!("+{}", dimension.show(quantity, Currency::USD)),
            None => format!("+{quantity} {name}"),
        })
        .collect();
    if record.shown("alone").is_some() {
        parts.push(match record.str("until") {
            Some(until) => format!("goes on until {until}"),
            None => "goes on".to_owned(),
        });
    }
    parts.join(", ")
}

/// How long it took and what it cost, or what went wrong.
fn ending(record: &Record, cost: Option<&Cost>) -> String {
    let took = record.number("duration_ms").map(duration);
    // What nobody feels is not worth a word.
    let wait = record.number("wait_ms").filter(|wait| *wait >= 1.0);
    let wait = wait.map(|wait| format!("waited {}", duration(wait)));
    let cost = cost.map(ToString::to_string);
    let figures: Vec<String> = took.into_iter().chain(wait).chain(cost).collect();
    let figures = figures.join(", ");
    match record.str("reason") {
        Some(reason) if figures.is_empty() => reason.to_owned(),
        Some(reason) => format!("{figures}: {reason}"),
        None => figures,
    }
}

/// What a person has to look at stands out.
fn loud(verdict: &str) -> String {
    match verdict {
        "unknown" => "UNKNOWN".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An hour of a journal, in the form that the store writes.
    pub(in crate::cli) const LINES: &[&str] = &[
        r#"{"v":1,"seq":1,"at":"2026-11-19T23:59:58.000001Z","kind":"start","version":"0.1.0","config":"/c","mark":0,"prev":"0","hash":"1"}"#,
        r#"{"v":1,"seq":2,"at":"2026-11-20T16:02:10.000001Z","kind":"pin","server":"files","tool":"write_file","fingerprint":"9f","definition":{},"mark":0,"prev":"1","hash":"2"}"#,
        r#"{"v":1,"seq":3,"at":"2026-11-20T16:02:11.000001Z","kind":"call.refused","call":"c-5KQ2","run":"r-7Q2K","agent":"dev","owner":"ana","server":"files","tool":"write_file","tier":"reversible","arguments":{"path":"/etc/hosts"},"digest":"aa","decision":"refuse","code":"ARGS_OUT_OF_BOUNDS","gate":"arguments","rule":"/c/tools.d/files.toml:7","reason":"`/path` is not below `/srv/reports`","remedy":"Do not try to work around this rule; ask your user.","mark":0,"prev":"2","hash":"3"}"#,
        r#"{"v":1,"seq":4,"at":"2026-11-20T16:02:12.000001Z","kind":"call.intent","call":"c-5KQ3","run":"r-7Q2K","agent":"dev","owner":"ana","reported":{"model":"m-1","step":4},"server":"files","tool":"read_file","tier":"read","arguments":{"path":"a"},"digest":"ab","decision":"pass","rule":"/c/tools.d/files.toml:5","mark":0,"prev":"3","hash":"4"}"#,
        r#"{"v":1,"seq":5,"at":"2026-11-20T16:02:13.000001Z","kind":"call.intent","call":"c-5KQ4","run":"r-7Q2K","agent":"dev","owner":"ana","reported":{"step":5},"server":"mail","tool":"send","tier":"consequential","arguments":{},"digest":"ac","decision":"pass","mark":0,"prev":"4","hash":"5"}"#,
        r#"{"v":1,"seq":6,"at":"2026-11-20T16:02:14.000001Z","kind":"call.outcome","call":"c-5KQ3","outcome":"done","result_bytes":120,"result":{"content":[]},"duration_ms":312.250,"mark":0,"prev":"5","hash":"6"}"#,
        r#"{"v":1,"seq":7,"at":"2026-11-20T16:05:10.000001Z","kind":"stop","scope":"agent","agent":"dev","by":"ana","text":"runaway","since":"2026-11-20T16:05:10Z","mark":0,"prev":"6","hash":"7"}"#,
        r#"{"v":1,"seq":8,"at":"2026-11-20T16:05:10.100001Z","kind":"call.outcome","call":"c-5KQ4","outcome":"unknown","reason":"was told to cancel: an operator stopped agent `dev`: runaway","duration_ms":177100.000,"mark":0,"prev":"7","hash":"8"}"#,
        r#"{"v":1,"seq":9,"at":"2026-11-20T16:05:11.000001Z","kind":"checkpoint","applied":8,"mark":0,"prev":"8","hash":"9"}"#,
    ];

    pub(in crate::cli) fn records() -> Vec<Record> {
        LINES
            .iter()
            .map(|line| Record::parse(line).unwrap())
            .collect()
    }

    #[test]
    fn a_call_is_one_row_with_its_outcome() {
        let rows = merged(&records());
        let call = rows.iter().find(|row| row.call == "c-5KQ3").unwrap();
        assert_eq!(
            (
                call.what.as_str(),
                call.verdict.as_str(),
                call.note.as_str()
            ),
            ("files.read_file", "done", "312 ms")
        );
        assert_eq!(rows.len(), 6);
    }

    #[test]
    fn what_a_start_has_to_say_is_not_cut() {
        let note = "a note of a start that is much longer than a row has room for";
        let line = format!(
            r#"{{"kind":"start","at":"2026-11-20T16:02:11.000001Z","version":"0.1.0","note":"{note}"}}"#
        );
        let rows = merged(&[Record::parse(&line).unwrap()]);
        assert_eq!(rows[0].clipped().last().unwrap(), note);
    }

    /// What limits leave behind.
    pub(in crate::cli) const LIMITS: &[&str] = &[
        r#"{"kind":"call.intent","at":"2026-11-20T16:02:11.000001Z","call":"c-5KQ5","run":"r-7Q2K","agent":"dev","owner":"ana","server":"payments","tool":"refund","tier":"read","step":1,"charge":{"calls":1,"cost":300000},"estimated_cost":"0.30 USD"}"#,
        r#"{"kind":"notice","at":"2026-11-20T16:02:12.000001Z","notice":"first_use","severity":"info","about":"dev payments.refund","says":"agent `dev` calls payments.refund for the first time","call":"c-5KQ5","run":"r-7Q2K","agent":"dev"}"#,
        r#"{"kind":"call.outcome","at":"2026-11-20T16:02:13.000001Z","call":"c-5KQ5","outcome":"failed","reason":"timed out","duration_ms":30000.5,"wait_ms":1500.250,"charged":{"calls":1,"cost":300000},"cost":"0.30 USD"}"#,
        r#"{"kind":"breaker","at":"2026-11-20T16:02:14.000001Z","server":"payments","tool":"refund","state":"open","until":"2026-11-20T16:03:14Z","until_us":1,"reason":"it failed 3 times within 60 s"}"#,
        r#"{"kind":"breaker","at":"2026-11-20T16:03:15.000001Z","server":"payments","state":"closed"}"#,
        r#"{"kind":"notice","at":"2026-11-20T16:03:16.000001Z","notice":"budget.warn","severity":"warning","about":"run.calls everything r-7Q2K","says":"run.calls everything r-7Q2K: 40 calls of 50 calls used","call":"c-5KQ6","run":"r-7Q2K","agent":"dev"}"#,
        r#"{"kind":"call.refused","at":"2026-11-20T16:03:17.000001Z","call":"c-5KQ7","run":"r-7Q2K","agent":"dev","owner":"ana","server":"payments","tool":"refund","tier":"read","decision":"refuse","code":"BUDGET_RUN_CALLS","gate":"budget","reason":"50 calls of 50 calls used in this run, 1 calls asked for","bound":"run.calls","limit":"50 calls","used":"50 calls","requested":"1 calls","retry_at":"2026-11-20T17:00:00Z","remedy":"Do not retry; your user can add to it: `tollgate runs extend r-7Q2K`."}"#,
        r#"{"kind":"extend","at":"2026-11-20T16:04:16.000001Z","run":"r-7Q2K","agent":"dev","by":"ana","added":{"calls":10,"cost":1000000,"time":60000000}}"#,
        r#"{"kind":"extend","at":"2026-11-20T16:04:17.000001Z","run":"r-7Q2K","agent":"dev","by":"ana","added":{},"alone":true,"until":"2026-11-20T18:04:17Z","until_us":1}"#,
        r#"{"kind":"halt","at":"2026-11-20T16:05:16.000001Z","halt":"killed","agent":"dev","run":"r-7Q2K","at_us":1,"until":"2026-11-21T16:05:16Z","until_us":1,"reason":"the run is ended as a loop: 50 times the same call in a row"}"#,
        r#"{"kind":"clear","at":"2026-11-20T16:06:16.000001Z","agent":"dev","by":"ana"}"#,
    ];

    pub(in crate::cli) fn limits() -> Vec<Record> {
        LIMITS
            .iter()
            .map(|line| Record::parse(line).unwrap())
            .collect()
    }

    #[test]
    fn what_limits_do_is_a_readable_line_each() {
        let rows = merged(&limits());
        let text: Vec<String> = rows.iter().map(|row| row.cells().join("  ")).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    /// A call whose server asks in the middle of it.
    pub(in crate::cli) fn asked() -> Vec<Record> {
        let lines = [
            r#"{"kind":"call.intent","at":"2026-11-20T16:02:11.000001Z","call":"c-5KQ8","run":"r-7Q2K","agent":"dev","owner":"ana","server":"mail","tool":"send","tier":"read","decision":"pass","step":2}"#,
            r#"{"kind":"question","at":"2026-11-20T16:02:12.000001Z","call":"c-5KQ8","run":"r-7Q2K","agent":"dev","server":"mail","method":"elicitation/create","question":1,"decision":"pass","message":"[mail] To whom?","asks":{"message":"[mail] To whom?"}}"#,
            r#"{"kind":"answer","at":"2026-11-20T16:02:15.000001Z","call":"c-5KQ8","run":"r-7Q2K","agent":"dev","server":"mail","method":"elicitation/create","question":1,"answer":"accept","wait_ms":3000.000,"result":{"action":"accept"}}"#,
            r#"{"kind":"question","at":"2026-11-20T16:02:16.000001Z","call":"c-5KQ8","run":"r-7Q2K","agent":"dev","server":"mail","method":"sampling/createMessage","question":2,"decision":"refuse","code":"BUDGET_RUN_CALLS","reason":"asking the client's model counts as a call, and 3 of 3 are used (run.calls)","asks":{"maxTokens":5}}"#,
            r#"{"kind":"question","at":"2026-11-20T16:02:17.000001Z","call":"c-5KQ8","run":"r-7Q2K","agent":"dev","server":"mail","method":"roots/list","question":3,"decision":"pass"}"#,
            r#"{"kind":"call.outcome","at":"2026-11-20T16:02:18.000001Z","call":"c-5KQ8","outcome":"done","duration_ms":4.5,"wait_ms":3000.250}"#,
        ];
        let read = |line: &&str| Record::parse(line).unwrap();
        lines.iter().map(read).collect()
    }

    #[test]
    fn what_a_server_asks_is_a_readable_line_each() {
        let rows = merged(&asked());
        let text: Vec<String> = rows.iter().map(|row| row.cells().join("  ")).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn a_follower_sees_each_record_and_still_knows_whose_outcome_it_is() {
        let mut calls = Calls::default();
        let rows: Vec<Row> = records()
            .iter()
            .filter_map(|record| calls.row(record))
            .collect();
        assert_eq!(rows.len(), 8);
        let last = rows.last().unwrap();
        assert_eq!(
            (last.what.as_str(), last.verdict.as_str()),
            ("mail.send", "UNKNOWN")
        );
    }
}
