//! Finding records, page by page: what one answer holds, and what is read for it,
//! is bounded; whoever wants more asks again behind it.
//!
//! A call matches as a whole: what its first record says (agent, tool, tier,
//! trace) and what its outcome says are asked of all of its records together. So a
//! block is read once to learn which calls it tells of, and then for the lines
//! that match.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use memchr::memmem;
use serde::Deserialize;

use super::journal::{Place, Seq};
use super::ledger::Log;
use super::section::Seen;
use crate::{
    domain::Fault,
    ports::{Page, Query},
};

/// Bytes of records on one page; a longer record is a page of its own.
const PAGE: usize = 4 << 20;

/// Bytes of records that are looked at for one page; then it ends, even empty.
const LOOKED_AT: usize = 128 << 20;

/// Some records in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// The first of them, and where it stands.
    pub(super) first: Seq,
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

/// A call, as far as its records were read.
#[derive(Debug, Default)]
struct Told {
    /// Whether what its first record says fits.
    fits: Option<bool>,
    /// How it ended.
    outcome: Option<String>,
    /// Whether its records were looked up, wherever they are.
    looked_up: bool,
}

/// A record without its line.
#[derive(Debug)]
struct Item {
    seq: u64,
    call: Option<String>,
    /// Whether it fits by itself.
    fits: bool,
    /// Whether it was made in the time that is asked about, and is not known yet.
    wanted: bool,
}

type Naming<'n> = &'n dyn Fn(&str) -> Vec<Stretch>;

/// What matches behind `after`; with a limit, the newest of it. `blocks` come newest
/// first, and `naming` finds those in which a call may be named.
pub(super) fn page<L: Log>(
    log: &L,
    query: &Query,
    mut blocks: Vec<Stretch>,
    naming: Naming<'_>,
) -> Result<Page, Fault> {
    let mut search = Search {
        log,
        query,
        naming,
        after: query.after.unwrap_or(0),
        last: u64::MAX,
        calls: HashMap::new(),
        looked_at: 0,
    };
    if let Some(limit) = query.limit {
        let Some(first) = search.newest(&blocks, limit)? else {
            return Ok(Page {
                upto: search.after,
                ..Page::default()
            });
        };
        search.after = first.saturating_sub(1);
    }
    blocks.reverse();
    search.onward(&blocks)
}

struct Search<'s, L> {
    log: &'s L,
    query: &'s Query,
    naming: Naming<'s>,
    /// The last record that is known, and the last that counts.
    after: u64,
    last: u64,
    /// Those that still matter: few.
    calls: HashMap<String, Told>,
    looked_at: usize,
}

impl<L: Log> Search<'_, L> {
    /// The first of the newest records that match, or none. Holds their numbers alone.
    fn newest(&mut self, blocks: &[Stretch], limit: usize) -> Result<Option<u64>, Fault> {
        let mut found = BTreeSet::new();
        let mut newest = 0;
        let mut older = self.learn(blocks.first())?;
        for nth in 1..=blocks.len() {
            let items = std::mem::replace(&mut older, self.learn(blocks.get(nth))?);
            newest = newest.max(items.last().map_or(0, |item| item.seq));
            found.extend(self.matching(&items, &older)?);
            while found.len() > limit {
                found.pop_first();
            }
            if found.len() >= limit || items.iter().any(|item| item.seq <= self.after) {
                break;
            }
        }
        // What is made from now on would be too much.
        self.last = newest;
        Ok(found.first().copied())
    }

    /// What matches behind `after`, oldest first.
    fn onward(mut self, blocks: &[Stretch]) -> Result<Page, Fault> {
        self.calls.clear();
        self.looked_at = 0;
        let seen = |block: &Stretch| {
            block
                .until
                .is_some_and(|until| until.get() <= self.after + 1)
        };
        let from = blocks.partition_point(seen);
        let blocks = blocks.get(from..).unwrap_or_default();
        let mut page = Page {
            upto: self.after,
            ..Page::default()
        };
        let mut room = PAGE;
        let mut newer = self.learn(blocks.first())?;
        for (block, nth) in blocks.iter().zip(1..) {
            let next = blocks.get(nth);
            let items = std::mem::replace(&mut newer, self.learn(next)?);
            let matching = self.matching(&items, &newer)?;
            self.collect(*block, &matching, &mut page, &mut room)?;
            if page.more {
                break;
            }
            let reached = items.last().map_or(page.upto, |item| item.seq);
            page.upto = reached.min(self.last).max(page.upto);
            if self.looked_at >= LOOKED_AT && next.is_some() {
                page.more = true;
                break;
            }
        }
        Ok(page)
    }

    /// Puts the lines of a block that match on the page. If not all of them fit, it ends
    /// before the first that does not.
    fn collect(
        &self,
        block: Stretch,
        matching: &BTreeSet<u64>,
        page: &mut Page,
        room: &mut usize,
    ) -> Result<(), Fault> {
        let Some(last) = matching.last() else {
            return Ok(());
        };
        read(self.log, block, &mut |seen| {
            let seq = seen.placed.seq.get();
            if !matching.contains(&seq) {
                return ControlFlow::Continue(());
            }
            match room.checked_sub(seen.line.len()) {
                Some(left) => *room = left,
                None if page.lines.is_empty() => *room = 0,
                None => {
                    page.more = true;
                    return ControlFlow::Break(());
                }
            }
            page.lines.push(seen.line.to_owned());
            page.upto = seq;
            match seq < *last {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })
    }

    /// Reads what the records of a block say, and notes it of their calls.
    fn learn(&mut self, block: Option<&Stretch>) -> Result<Vec<Item>, Fault> {
        let mut items = Vec::new();
        let Some(block) = block else {
            return Ok(items);
        };
        let Self {
            log,
            query,
            after,
            last,
            calls,
            looked_at,
            ..
        } = self;
        let anything = unfiltered(query) && query.outcome.is_none();
        read(*log, *block, &mut |seen| {
            *looked_at += seen.line.len();
            let seq = seen.placed.seq.get();
            let mut item = Item {
                seq,
                call: None,
                fits: anything,
                wanted: *after < seq
                    && seq <= *last
                    && !(query.no_checkpoints && seen.kind == "checkpoint")
                    && time_fits(query, seen.at),
            };
            if !anything {
                let said: Said<'_> = serde_json::from_str(seen.line).unwrap_or_default();
                note(query, seen.kind, &said, calls);
                item.fits = query.outcome.is_none() && fits(query, &said);
                item.call = said.call.map(Cow::into_owned);
            }
            items.push(item);
            ControlFlow::Continue(())
        })?;
        Ok(items)
    }

    /// Which of these records match; `next` are those that come to be asked after them.
    fn matching(&mut self, items: &[Item], next: &[Item]) -> Result<BTreeSet<u64>, Fault> {
        let mut matching = BTreeSet::new();
        for item in items.iter().filter(|item| item.wanted) {
            let fits = match &item.call {
                None => item.fits,
                Some(call) => self.call_fits(call, item.fits)?,
            };
            if fits {
                matching.insert(item.seq);
            }
        }
        // What is known from its beginning to its end has no records in other blocks.
        let soon: HashSet<&str> = next
            .iter()
            .filter_map(|item| item.call.as_deref())
            .collect();
        self.calls.retain(|call, told| {
            told.fits.is_none() || told.outcome.is_none() || soon.contains(call.as_str())
        });
        Ok(matching)
    }

    fn call_fits(&mut self, call: &str, itself: bool) -> Result<bool, Fault> {
        let unknown = |told: &Told| {
            let begun = told.fits.is_some() || unfiltered(self.query);
            let ended = told.outcome.is_some() || self.query.outcome.is_none();
            !told.looked_up && told.fits != Some(false) && (!begun || !ended)
        };
        if self.calls.get(call).is_none_or(unknown) {
            for block in (self.naming)(call) {
                let calls = &mut self.calls;
                of_call_in(self.log, call, block, &mut |seen, said| {
                    note(self.query, seen.kind, said, calls);
                })?;
            }
            self.calls.entry(call.to_owned()).or_default().looked_up = true;
        }
        let told = self.calls.get(call);
        let ended =
            self.query.outcome.as_ref().is_none_or(|wanted| {
                told.is_some_and(|told| told.outcome.as_ref() == Some(wanted))
            });
        // Of a call whose beginning is not kept there is only what its record says.
        let begun = told.and_then(|told| told.fits);
        Ok(ended && begun.unwrap_or(unfiltered(self.query) || itself))
    }
}

/// What a record says of its call. A notice names a call and tells nothing of it.
fn note(query: &Query, kind: &str, said: &Said<'_>, calls: &mut HashMap<String, Told>) {
    let begins = matches!(kind, "call.intent" | "call.refused" | "call.held");
    let Some(call) = said.call.as_deref() else {
        return;
    };
    if !begins && kind != "call.outcome" {
        return;
    }
    if !calls.contains_key(call) {
        calls.insert(call.to_owned(), Told::default());
    }
    let Some(told) = calls.get_mut(call) else {
        return;
    };
    if begins {
        told.fits = Some(fits(query, said));
    }
    match kind {
        "call.outcome" => told.outcome = said.outcome.clone(),
        "call.refused" => told.outcome = Some("refused".to_owned()),
        _ => {}
    }
}

/// The lines that belong to a call, oldest first.
pub(super) fn of_call<L: Log>(
    log: &L,
    call: &str,
    blocks: &[Stretch],
) -> Result<Vec<String>, Fault> {
    let mut lines = Vec::new();
    for block in blocks.iter().rev() {
        of_call_in(log, call, *block, &mut |seen, _| {
            lines.push(seen.line.to_owned());
        })?;
    }
    Ok(lines)
}

/// Hands the records of a block on that belong to a call.
fn of_call_in<L: Log>(
    log: &L,
    call: &str,
    block: Stretch,
    visit: &mut dyn FnMut(&Seen<'_>, &Said<'_>),
) -> Result<(), Fault> {
    let finder = memmem::Finder::new(call.as_bytes());
    read(log, block, &mut |seen| {
        if finder.find(seen.line.as_bytes()).is_some()
            && let Ok(said) = serde_json::from_str::<Said<'_>>(seen.line)
            && said.call.as_deref() == Some(call)
        {
            visit(seen, &said);
        }
        ControlFlow::Continue(())
    })
}

fn read<L: Log>(
    log: &L,
    block: Stretch,
    visit: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    log.read(block.first, block.from, &mut |seen| {
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
