//! Finding records: block by block from the newest, so that the usual question
//! (the last few that …) reads little and holds no more than it answers.
//!
//! A call matches as a whole: what the intent says (agent, tool, tier, trace)
//! and what the outcome says are asked of both records together.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use memchr::memmem;
use serde::Deserialize;

use super::journal::{Place, Seq};
use super::ledger::Log;
use super::section::Seen;
use crate::{domain::Fault, ports::Query};

/// How many records an answer holds when the question does not say.
const LIMIT: usize = 1000;

/// Some records in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) from: Place,
    /// The first record behind them; none for the last stretch.
    pub(super) until: Option<Seq>,
}

/// What a question may ask about.
#[derive(Debug, Default, Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    call: Option<Cow<'a, str>>,
    run: Option<String>,
    agent: Option<String>,
    server: Option<String>,
    tool: Option<String>,
    name: Option<String>,
    tier: Option<String>,
    outcome: Option<String>,
    trace: Option<String>,
}

/// A call as far as its records were read.
#[derive(Debug, Default)]
struct Told {
    /// Whether what the intent or the refusal says fits.
    fits: Option<bool>,
    /// How it ended.
    outcome: Option<String>,
    /// Whether the first of its records was read: nothing older will come.
    begun: bool,
}

pub(super) fn search<L: Log>(
    log: &L,
    query: &Query,
    blocks: Vec<Stretch>,
    naming: &dyn Fn(&str) -> Vec<Stretch>,
) -> Result<Vec<String>, Fault> {
    let limit = query.limit.unwrap_or(LIMIT);
    let after = query.after.unwrap_or(0);
    let mut found: BTreeMap<u64, String> = BTreeMap::new();
    // Calls whose records lie in several blocks: few.
    let mut calls: HashMap<String, Told> = HashMap::new();
    for block in blocks {
        let mut lines: Vec<(u64, Option<String>, bool, String)> = Vec::new();
        let mut ended = false;
        read(log, block, &mut |seen| {
            let seq = seen.placed.seq.get();
            ended |= seq <= after;
            let in_time = time_fits(query, seen.at);
            let said: Said<'_> = serde_json::from_str(seen.line).unwrap_or_default();
            match &said.call {
                Some(call) => {
                    let told = calls.entry(call.as_ref().to_owned()).or_default();
                    match seen.kind {
                        "call.outcome" => told.outcome = said.outcome.clone(),
                        "call.refused" => {
                            told.begun = true;
                            told.fits = Some(fits(query, &said));
                            told.outcome = Some("refused".to_owned());
                        }
                        _ => {
                            told.begun = true;
                            told.fits = Some(fits(query, &said));
                        }
                    }
                    if in_time && seq > after {
                        lines.push((
                            seq,
                            Some(call.as_ref().to_owned()),
                            true,
                            seen.line.to_owned(),
                        ));
                    }
                }
                None if in_time && seq > after => {
                    let plain = query.outcome.is_none() && fits(query, &said);
                    lines.push((seq, None, plain, seen.line.to_owned()));
                }
                None => {}
            }
            ControlFlow::Continue(())
        })?;
        for (seq, call, plain, line) in lines {
            let matches = match &call {
                None => plain,
                Some(call) => call_fits(log, query, call, &mut calls, naming)?,
            };
            if matches {
                found.insert(seq, line);
            }
        }
        while found.len() > limit {
            found.pop_first();
        }
        calls.retain(|_, told| !told.begun);
        if found.len() >= limit || ended {
            break;
        }
    }
    Ok(found.into_values().collect())
}

fn call_fits<L: Log>(
    log: &L,
    query: &Query,
    call: &str,
    calls: &mut HashMap<String, Told>,
    naming: &dyn Fn(&str) -> Vec<Stretch>,
) -> Result<bool, Fault> {
    let told = calls.entry(call.to_owned()).or_default();
    if told.fits.is_none() {
        told.fits = Some(unfiltered(query));
        if !unfiltered(query) {
            // The outcome stands in this block, the intent in an older one.
            for line in of_call(log, call, &naming(call))? {
                let said: Said<'_> = serde_json::from_str(&line).unwrap_or_default();
                if said.agent.is_some() {
                    told.fits = Some(fits(query, &said));
                }
            }
        }
    }
    let ended = match (&query.outcome, &told.outcome) {
        (None, _) => true,
        (Some(wanted), Some(outcome)) => wanted == outcome,
        (Some(_), None) => false,
    };
    Ok(ended && told.fits == Some(true))
}

/// The lines that belong to a call, oldest first.
pub(super) fn of_call<L: Log>(
    log: &L,
    call: &str,
    blocks: &[Stretch],
) -> Result<Vec<String>, Fault> {
    let mut lines = Vec::new();
    let finder = memmem::Finder::new(call.as_bytes());
    for block in blocks.iter().rev() {
        read(log, *block, &mut |seen| {
            if finder.find(seen.line.as_bytes()).is_some()
                && serde_json::from_str::<Said<'_>>(seen.line)
                    .is_ok_and(|said| said.call.as_deref() == Some(call))
            {
                lines.push(seen.line.to_owned());
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(lines)
}

fn read<L: Log>(
    log: &L,
    block: Stretch,
    visit: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    log.read(block.from, &mut |seen| {
        if block.until.is_some_and(|until| seen.placed.seq >= until) {
            return ControlFlow::Break(());
        }
        visit(seen)
    })
}

fn unfiltered(query: &Query) -> bool {
    query.run.is_none()
        && query.agent.is_none()
        && query.tool.is_none()
        && query.tier.is_none()
        && query.trace.is_none()
}

fn fits(query: &Query, said: &Said<'_>) -> bool {
    let is = |wanted: &Option<String>, said: &Option<String>| match (wanted, said) {
        (None, _) => true,
        (Some(wanted), Some(said)) => wanted == said,
        (Some(_), None) => false,
    };
    let tool = query.tool.as_deref().is_none_or(|wanted| {
        let server = said.server.as_deref().unwrap_or_default();
        let name = said
            .tool
            .as_deref()
            .or(said.name.as_deref())
            .unwrap_or_default();
        // A server's name may hold a dot itself.
        wanted == server
            || wanted
                .strip_prefix(server)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| !server.is_empty() && rest == name)
    });
    tool && is(&query.run, &said.run)
        && is(&query.agent, &said.agent)
        && is(&query.tier, &said.tier)
        && is(&query.trace, &said.trace)
}

fn time_fits(query: &Query, at: &str) -> bool {
    if query.since.is_none() && query.until.is_none() {
        return true;
    }
    let Ok(at) = at.parse::<jiff::Timestamp>() else {
        return false;
    };
    query.since.is_none_or(|since| at >= since) && query.until.is_none_or(|until| at <= until)
}
