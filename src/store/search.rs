//! Finding records, page by page: what one answer holds is bounded, and so is what is
//! read for it, up to what one call is looked up in; whoever wants more asks again. A
//! search for the newest goes backwards first, and says how far it has come.
//!
//! A call matches as a whole: what its first record says (agent, tool, tier,
//! trace) and what its outcome says are asked of all of its records together. So a
//! block is read once to learn which calls it tells of, and then for the lines
//! that match.

mod fits;
mod said;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use memchr::memmem;

use super::index::{Blocks, Stretch};
use super::log::Log;
use super::section::Seen;
use crate::{
    domain::Fault,
    ports::{Page, Query, Sought},
};

use fits::{fits, time_fits, unfiltered};
use said::Said;

/// Bytes of records on one page; a longer record is a page of its own.
const PAGE: usize = 4 << 20;

/// Bytes of records that are looked at for one page; then it ends, even empty.
pub(super) const LOOKED_AT: usize = 128 << 20;

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

/// Which way a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Onward,
    /// Until so many are found.
    Back {
        most: usize,
    },
}

/// What of a block matches.
#[derive(Debug, Default)]
struct Matching {
    found: BTreeSet<u64>,
    /// The first record that it did not come to.
    stopped: Option<u64>,
}

/// What matches behind `after`; with a limit, the newest of it. It ends when `most` bytes
/// were looked at.
pub(super) fn page<L: Log>(
    log: &L,
    query: &Query,
    blocks: &Blocks,
    most: usize,
) -> Result<Page, Fault> {
    let since = query.since.map(jiff::Timestamp::as_microsecond);
    let mut stretches = blocks.that(|block| {
        since.is_none_or(|since| block.latest >= since)
            && query.run.as_ref().is_none_or(|run| block.may_name(run))
    });
    let mut search = search(log, query, blocks, most);
    let Some(limit) = query.limit else {
        stretches.reverse();
        return search.onward(&stretches);
    };
    let sought = match query.sought {
        // What follows is a further page of what was found.
        Some(sought) if sought.is_over() => sought,
        Some(_) | None => {
            let sought = search.newest(&stretches, limit)?;
            let first = sought.first.filter(|_| sought.is_over());
            let Some(first) = first else {
                return Ok(Page {
                    lines: Vec::new(),
                    // All that there was when it began.
                    upto: sought.last.max(search.after),
                    more: !sought.is_over(),
                    sought: Some(sought).filter(|sought| !sought.is_over()),
                });
            };
            search.after = first.saturating_sub(1);
            sought
        }
    };
    // What was made since it began would be too much.
    search.last = sought.last;
    stretches.reverse();
    let page = search.onward(&stretches)?;
    Ok(Page {
        sought: page.more.then_some(sought),
        ..page
    })
}

fn search<'s, L: Log>(
    log: &'s L,
    query: &'s Query,
    blocks: &'s Blocks,
    most: usize,
) -> Search<'s, L> {
    Search {
        log,
        query,
        blocks,
        after: query.after.unwrap_or(0),
        last: u64::MAX,
        calls: HashMap::new(),
        looked_at: 0,
        looked_up: 0,
        most,
    }
}

struct Search<'s, L> {
    log: &'s L,
    query: &'s Query,
    blocks: &'s Blocks,
    /// The last record that is known, and the last that counts.
    after: u64,
    last: u64,
    /// Those that still matter: they are under way where the search is.
    calls: HashMap<String, Told>,
    looked_at: usize,
    /// How many calls were looked up.
    looked_up: usize,
    /// As many bytes are looked at.
    most: usize,
}

impl<L: Log> Search<'_, L> {
    /// Where the newest records that match begin: found when it need not go on before any
    /// record, which is 0. Holds their numbers alone.
    fn newest(&mut self, blocks: &[Stretch], limit: usize) -> Result<Sought, Fault> {
        let mut sought = self.query.sought.unwrap_or(Sought {
            before: u64::MAX,
            found: 0,
            first: None,
            last: 0,
        });
        self.last = sought.before.saturating_sub(1);
        let seen = |block: &Stretch| block.first.get() >= sought.before;
        let blocks = blocks
            .get(blocks.partition_point(seen)..)
            .unwrap_or_default();
        let mut older = self.learn(blocks.first())?;
        let mut goes_on = None;
        for (block, nth) in blocks.iter().zip(1..) {
            let next = blocks.get(nth);
            let items = std::mem::replace(&mut older, self.learn(next)?);
            let newest = items.last().map_or(0, |item| item.seq);
            sought.last = sought.last.max(newest.min(self.last));
            let most = limit.saturating_sub(sought.found);
            let Matching { found, stopped } = self.matching(&items, &older, Way::Back { most })?;
            sought.found += found.len();
            sought.first = found.first().copied().or(sought.first);
            if sought.found >= limit || items.iter().any(|item| item.seq <= self.after) {
                break;
            }
            goes_on = match stopped {
                Some(seq) => Some(seq + 1),
                None if self.looked_at >= self.most && next.is_some() => Some(block.first.get()),
                None => None,
            };
            if goes_on.is_some() {
                break;
            }
        }
        sought.before = goes_on.unwrap_or(0);
        Ok(sought)
    }

    /// What matches behind `after`, oldest first.
    fn onward(mut self, blocks: &[Stretch]) -> Result<Page, Fault> {
        self.calls.clear();
        (self.looked_at, self.looked_up) = (0, 0);
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
            let Matching { found, stopped } = self.matching(&items, &newer, Way::Onward)?;
            self.collect(*block, &found, &mut page, &mut room)?;
            if page.more {
                break;
            }
            let reached = items.last().map_or(page.upto, |item| item.seq);
            let reached = stopped.map_or(reached, |seq| seq.saturating_sub(1));
            page.upto = reached.min(self.last).max(page.upto);
            if page.upto >= self.last {
                break;
            }
            if stopped.is_some() || (self.looked_at >= self.most && next.is_some()) {
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
                return Ok(ControlFlow::Continue(()));
            }
            match room.checked_sub(seen.line.len()) {
                Some(left) => *room = left,
                None if page.lines.is_empty() => *room = 0,
                None => {
                    page.more = true;
                    return Ok(ControlFlow::Break(()));
                }
            }
            page.lines.push(seen.line.to_owned());
            page.upto = seq;
            match seq < *last {
                true => Ok(ControlFlow::Continue(())),
                false => Ok(ControlFlow::Break(())),
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
                    // How a call ended is said of the call: not of what it brought about.
                    && (query.outcome.is_none() || tells_of_call(seen.kind))
                    && time_fits(query, seen.at),
            };
            if !anything {
                let said = Said::of(seen)?;
                note(query, seen.kind, &said, calls);
                item.fits = query.outcome.is_none() && fits(query, &said);
                item.call = said.call.map(Cow::into_owned);
            }
            items.push(item);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(items)
    }

    /// Which of these records match; `next` are those that come to be asked after them.
    fn matching(&mut self, items: &[Item], next: &[Item], way: Way) -> Result<Matching, Fault> {
        let mut matching = Matching::default();
        let wanted = items.iter().filter(|item| item.wanted);
        let (most, ordered): (usize, Vec<&Item>) = match way {
            Way::Onward => (usize::MAX, wanted.collect()),
            Way::Back { most } => (most, wanted.rev().collect()),
        };
        for item in ordered {
            if matching.found.len() >= most {
                return Ok(matching);
            }
            let fits = match &item.call {
                None => Some(item.fits),
                Some(call) => self.call_fits(call, item.fits)?,
            };
            match fits {
                Some(true) => {
                    matching.found.insert(item.seq);
                }
                Some(false) => {}
                None => {
                    matching.stopped = Some(item.seq);
                    return Ok(matching);
                }
            }
        }
        // A call whose other end is behind the search has no records in front of it, but
        // what names it in passing.
        let soon: HashSet<&str> = next
            .iter()
            .filter_map(|item| item.call.as_deref())
            .collect();
        self.calls.retain(|call, told| {
            let passed = match way {
                Way::Onward => told.outcome.is_some(),
                Way::Back { .. } => told.fits.is_some(),
            };
            soon.contains(call.as_str()) || !(passed || told.looked_up)
        });
        Ok(matching)
    }

    /// Whether a call matches; none if too much was looked at to find it out.
    fn call_fits(&mut self, call: &str, itself: bool) -> Result<Option<bool>, Fault> {
        let unknown = |told: &Told| {
            let begun = told.fits.is_some() || unfiltered(self.query);
            let ended = told.outcome.is_some() || self.query.outcome.is_none();
            !told.looked_up && told.fits != Some(false) && (!begun || !ended)
        };
        if self.calls.get(call).is_none_or(unknown) {
            // One at least, or the same question would never get on.
            if self.looked_at >= self.most && self.looked_up > 0 {
                return Ok(None);
            }
            self.looked_up += 1;
            for block in self.blocks.naming(call) {
                let (calls, looked_at) = (&mut self.calls, &mut self.looked_at);
                of_call_in(self.log, call, block, looked_at, &mut |seen, said| {
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
        let begun = begun.unwrap_or(unfiltered(self.query) || itself);
        Ok(Some(ended && begun))
    }
}

/// What a record says of its call. A notice names a call and tells nothing of it.
fn note(query: &Query, kind: &str, said: &Said<'_>, calls: &mut HashMap<String, Told>) {
    let begins = kind != "call.outcome";
    let Some(call) = said.call.as_deref().filter(|_| tells_of_call(kind)) else {
        return;
    };
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

fn tells_of_call(kind: &str) -> bool {
    matches!(kind, "call.intent" | "call.refused" | "call.outcome")
}

/// The lines that belong to a call, oldest first.
pub(super) fn of_call<L: Log>(
    log: &L,
    call: &str,
    blocks: &[Stretch],
) -> Result<Vec<String>, Fault> {
    let mut lines = Vec::new();
    for block in blocks.iter().rev() {
        of_call_in(log, call, *block, &mut 0, &mut |seen, _| {
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
    looked_at: &mut usize,
    visit: &mut dyn FnMut(&Seen<'_>, &Said<'_>),
) -> Result<(), Fault> {
    let finder = memmem::Finder::new(call.as_bytes());
    read(log, block, &mut |seen| {
        *looked_at += seen.line.len();
        if finder.find(seen.line.as_bytes()).is_some() {
            let said = Said::of(seen)?;
            if said.call.as_deref() == Some(call) {
                visit(seen, &said);
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

fn read<L: Log>(
    log: &L,
    block: Stretch,
    visit: &mut dyn FnMut(&Seen<'_>) -> Result<ControlFlow<()>, Fault>,
) -> Result<(), Fault> {
    let mut fault = None;
    log.read(block.first, block.from, &mut |seen| {
        if block.until.is_some_and(|until| seen.placed.seq >= until) {
            return ControlFlow::Break(());
        }
        visit(seen).unwrap_or_else(|why| {
            fault = Some(why);
            ControlFlow::Break(())
        })
    })?;
    fault.map_or(Ok(()), Err)
}
