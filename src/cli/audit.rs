//! `tollgate audit`: the record of everything, searched, shown and verified.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use jiff::Timestamp;

use super::csv;
use super::filter::Filter;
use super::out::{Out, aside};
use super::record::Record;
use super::rows::{Calls, Row, merged};
use super::{Trouble, all_records, ask_on, beside_the_point, not_running, records, verify};
use crate::clock::{Clock, SystemClock};
use crate::control::{ClientError, Question, Records, RefusedCode, Reply};
use crate::daemon::{Door, Failure, Place, connect};
use crate::domain::CallId;
use crate::ports::Query;

/// Search the record of everything
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
One row is one call, or what else is recorded; times are UTC. --json prints whole records: the same values as in
the journal, with characters that nobody would see spelled out.
Without --since and --limit, the newest 200 records that match are shown.
Exit code 1 of `audit verify`: a record is not what was written, or is gone. An end that
was never synced, as a kill leaves it, is told and is none of these."
)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    form: Form,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Every record of one call
    Show {
        /// Which call
        #[arg(value_parser = call_id)]
        call: CallId,

        /// Whole records, one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Walk the chain of records from its beginning
    Verify,
    /// Show records as they are made, until the daemon ends
    #[command(
        mut_arg("limit", |limit| limit.help(
            "Begin with at most this many records, the newest of those there are; 0 for all \
             [default without --since: 10]",
        )),
        mut_arg("until", |until| until.help(
            "End at this time, in the same notation; a date counts as a whole",
        ))
    )]
    Follow {
        #[command(flatten)]
        filter: Box<Filter>,

        /// Whole records, one JSON object per line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Form {
    /// Whole records, one JSON object per line
    #[arg(long)]
    json: bool,

    /// One row per record for a spreadsheet; the columns of later versions come last
    #[arg(long)]
    csv: bool,
}

pub(super) fn call_id(text: &str) -> Result<CallId, String> {
    CallId::parse(text).ok_or_else(|| "a call is named like c-5KQ2".to_owned())
}

/// Records that a search without bounds shows.
const NEWEST: usize = 200;

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let now = SystemClock::new().now();
    match &args.what {
        None => {
            let query = args.filter.query(now, NEWEST)?;
            let is_bounded = args.filter.is_bounded();
            search(place, query, is_bounded, &args.form, out)
        }
        Some(What::Show { call, json }) => show(place, call, *json, out),
        Some(What::Verify) => verify::run(place, out),
        Some(What::Follow { filter, json }) => {
            follow(place, filter.query(now, FIRST_SEEN)?, *json, out)
        }
    }
}

/// Nobody is told what a bound of their own leaves out.
fn search(
    place: &Place,
    mut query: Query,
    is_bounded: bool,
    form: &Form,
    out: &mut Out,
) -> Result<(), Trouble> {
    query.no_checkpoints = !form.json && !form.csv;
    // Not before there is an answer: a table that is only begun looks like an empty one.
    let mut is_headed = !form.csv;
    let mut found = Vec::new();
    let (mut count, asked) = (0, query.since);
    let kept = all_records(place, query, |lines| {
        if !std::mem::replace(&mut is_headed, true) {
            out.line(csv::header())?;
        }
        count += lines.len();
        match (form.json, form.csv) {
            (true, _) => as_json(&lines, out)?,
            (false, true) => out.lines(parsed(&lines).iter().map(csv::row))?,
            (false, false) => found.extend(parsed(&lines)),
        }
        Ok(())
    })?;
    if !is_bounded && count >= NEWEST {
        aside(format_args!(
            "these are the newest {NEWEST} records that match; all of them: --limit 0"
        ));
    }
    if form.json || form.csv {
        return Ok(());
    }
    if found.is_empty() {
        out.line("no records match")?;
    }
    let found = with_beginnings(place, found)?;
    by_day(&merged(&found), out)?;
    match kept {
        Some(kept) if found.is_empty() || asked.is_some_and(|asked| asked < kept) => {
            Ok(out.line(not_kept(kept))?)
        }
        Some(_) | None => Ok(()),
    }
}

/// The records, and before them the beginnings of the calls of which only the end is
/// among them: a row says who called what.
pub(super) fn with_beginnings(place: &Place, found: Vec<Record>) -> Result<Vec<Record>, Failure> {
    let mut whole = Vec::new();
    for call in without_beginning(&found) {
        whole.extend(beginning(place, call)?);
    }
    whole.sort_by_key(Record::seq);
    whole.extend(found);
    Ok(whole)
}

/// The calls of which an outcome is there and nothing before it.
fn without_beginning(found: &[Record]) -> Vec<CallId> {
    let mut begun = HashSet::new();
    let mut missing = Vec::new();
    for record in found {
        match (record.kind(), record.str("call")) {
            ("call.intent", Some(call)) => {
                begun.insert(call);
            }
            ("call.outcome", Some(call)) if begun.insert(call) => {
                missing.extend(CallId::parse(call));
            }
            _ => {}
        }
    }
    missing
}

/// The record of a call's leaving, if it is kept.
fn beginning(place: &Place, call: CallId) -> Result<Option<Record>, Failure> {
    let Records { lines, .. } = records(place, Question::Call { id: call })?;
    let mut records = parsed(&lines).into_iter();
    Ok(records.find(|record| record.kind() == "call.intent"))
}

/// What is said where somebody may look for a record that was pruned.
pub(super) fn not_kept(since: Timestamp) -> String {
    format!("records before {since:.0} are not kept")
}

fn parsed(lines: &[String]) -> Vec<Record> {
    lines
        .iter()
        .filter_map(|line| Record::parse(line))
        .collect()
}

fn as_json(lines: &[String], out: &mut Out) -> io::Result<()> {
    lines.iter().try_for_each(|line| out.record(line))
}

/// A table for each day.
fn by_day(rows: &[Row], out: &mut Out) -> io::Result<()> {
    for day in rows.chunk_by(|a, b| a.date == b.date) {
        if let Some(first) = day.first() {
            out.line(&first.date)?;
        }
        let cells: Vec<Vec<String>> = day.iter().map(Row::clipped).collect();
        out.table(&cells)?;
    }
    Ok(())
}

fn show(place: &Place, call: &CallId, json: bool, out: &mut Out) -> Result<(), Trouble> {
    let Records { lines, since, .. } = records(place, Question::Call { id: call.clone() })?;
    if lines.is_empty() {
        return Err(no_such_call(call, since).into());
    }
    if json {
        return Ok(as_json(&lines, out)?);
    }
    for record in parsed(&lines) {
        out.line(format_args!(
            "{}  {}",
            record.kind(),
            record.str("at").unwrap_or_default()
        ))?;
        let cells: Vec<Vec<String>> = record
            .keys()
            .filter(|key| !matches!(*key, "v" | "kind" | "at"))
            .filter_map(|key| Some(vec![key.to_owned(), record.shown(key)?]))
            .collect();
        out.table(&cells)?;
    }
    Ok(())
}

pub(super) fn no_such_call(call: &CallId, since: Option<Timestamp>) -> Failure {
    missing(call, since, "`tollgate audit` lists calls with their ids")
}

/// There is no record of something, perhaps not any more.
pub(super) fn missing(
    what: impl std::fmt::Display,
    since: Option<Timestamp>,
    hint: &str,
) -> Failure {
    let failure = Failure::fault(format!("there is no record of `{what}`"));
    match since {
        Some(since) => failure.hint(format!("{}; {hint}", not_kept(since))),
        None => failure.hint(hint.to_owned()),
    }
}

/// What a follower is shown of what was before.
const FIRST_SEEN: usize = 10;

/// Longer than the daemon lets a follower wait for a word.
const SILENCE: Duration = Duration::from_secs(30);

/// Asks for the next records again and again, on one connection. Each answer
/// names the record it goes up to, so none is missed and none comes twice.
fn follow(place: &Place, mut query: Query, json: bool, out: &mut Out) -> Result<(), Trouble> {
    let Some(daemon) = connect(place, Door::Control)? else {
        return Err(not_running(place).into());
    };
    query.no_checkpoints = !json;
    let mut calls = Calls::default();
    let clock = SystemClock::new();
    loop {
        // Looked at before the question: what is made from now on is later.
        let is_over = query.until.is_some_and(|until| until < clock.now());
        let question = Question::Follow(Box::new(query.clone()));
        let reply = match ask_on(place, &daemon, question, SILENCE) {
            Err(ClientError::Refused(end)) if end.code == RefusedCode::Ending => {
                aside(end);
                return Ok(());
            }
            reply => reply.map_err(Failure::from)?,
        };
        let Reply::Records(records) = reply else {
            return Err(beside_the_point().into());
        };
        let Records {
            lines,
            upto,
            sought,
            more,
            ..
        } = records;
        if json {
            as_json(&lines, out)?;
        } else {
            for record in parsed(&lines) {
                // A daemon that is leaving is no longer asked: then the row has no name.
                if let Some(call) = calls.unknown(&record)
                    && let Ok(Some(begun)) = beginning(place, call)
                {
                    calls.learn(&begun);
                }
                if let Some(row) = calls.row(&record) {
                    out.line(running(&row))?;
                }
            }
        }
        if is_over && !more {
            return Ok(());
        }
        query.go_on(upto, sought);
        // The daemon says every few seconds that there is nothing new.
        out.is_heard()?;
    }
}

/// A row whose neighbours are not known yet.
fn running(row: &Row) -> String {
    let Row {
        time,
        call,
        who,
        what,
        verdict,
        note,
        ..
    } = row;
    let line = format!("{time}  {call:12}  {who:8}  {what:24}  {verdict:8}  {note}");
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::rows::tests::records;

    #[test]
    fn an_hour_of_the_record() {
        let rows = merged(&records());
        let text: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {}", row.date, running(row)))
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn a_call_of_which_only_the_end_is_listed_is_looked_up() {
        let mut cut = records();
        cut.retain(|record| record.seq() > Some(4));
        let missing: Vec<String> = without_beginning(&cut)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(missing, ["c-5KQ3"], "the other one begins here");
    }
}
