use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    ports::{Boxed, Verified},
    store::{
        entry::Entries,
        index::Index,
        journal::{Digest, Entry, Place, Placed, Seq},
    },
};

/// Records that count how much is read of them.
#[derive(Default)]
struct Counting {
    records: Vec<(&'static str, String)>,
    read: AtomicUsize,
}

fn placed(seq: u64) -> Placed {
    Placed {
        seq: Seq::new(seq),
        place: Place {
            segment: 1,
            offset: seq,
        },
        hash: Digest::NONE,
    }
}

impl Log for Counting {
    fn read(
        &self,
        first: Seq,
        _: Place,
        visit: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        for (seq, (kind, line)) in (1..)
            .zip(&self.records)
            .skip_while(|(seq, _)| *seq < first.get())
        {
            self.read.fetch_add(line.len(), Ordering::Relaxed);
            let seen = Seen {
                placed: placed(seq),
                at: "2026-01-01T00:00:00Z",
                kind,
                line,
            };
            if visit(&seen).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn put(&self, _: &Entry<'_>) -> Result<Placed, Fault> {
        Ok(placed(0))
    }

    fn write(&self, _: Seq) -> Result<(), Fault> {
        Ok(())
    }

    fn synced(&self, _: Seq) -> Option<Boxed<'static, Result<(), Fault>>> {
        None
    }

    fn sync(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn verify(&self) -> Result<Verified, Fault> {
        Err(Fault::new("nobody asks"))
    }

    fn kept(&self) -> Result<Option<(Entries, Seq)>, Fault> {
        Ok(None)
    }

    fn close(&self) {}
}

/// Two blocks of calls, and then two of their ends. Every hundredth is ann's, and failed.
const CALLS: u64 = 1024;

fn put(log: &mut Counting, index: &mut Index, kind: &'static str, call: u64, rest: &str) {
    let id = format!("c-{call:05}");
    let line = format!(r#"{{"call":"{id}",{rest}}}"#);
    log.records.push((kind, line));
    let seq = log.records.len() as u64;
    let place = placed(seq).place;
    index.add(Seq::new(seq), place, 0, [id.as_str()].into_iter());
}

fn blocks(index: &Index) -> Blocks {
    Blocks(index.newest_first().cloned().collect())
}

fn filled() -> (Counting, Blocks) {
    let (log, index) = indexed();
    (log, blocks(&index))
}

fn indexed() -> (Counting, Index) {
    let (mut log, mut index) = (Counting::default(), Index::default());
    let mut put = |kind, call, rest: &str| put(&mut log, &mut index, kind, call, rest);
    for call in 0..CALLS {
        let agent = if call % 100 == 7 { "ann" } else { "bob" };
        put("call.intent", call, &format!(r#""agent":"{agent}""#));
    }
    for call in 0..CALLS {
        let outcome = if call % 100 == 7 { "failed" } else { "done" };
        put("call.outcome", call, &format!(r#""outcome":"{outcome}""#));
    }
    (log, index)
}

/// What is found with pages that end after `most` bytes, how many pages it took, and how
/// much was read for one at most.
fn found(
    log: &Counting,
    blocks: &Blocks,
    query: &Query,
    most: usize,
) -> (Vec<String>, usize, usize) {
    let (mut query, mut lines, mut pages, mut longest) = (query.clone(), Vec::new(), 0, 0);
    loop {
        log.read.store(0, Ordering::Relaxed);
        let page = page(log, &query, blocks, most).unwrap();
        longest = log.read.load(Ordering::Relaxed).max(longest);
        lines.extend(page.lines);
        pages += 1;
        assert!(pages < 200, "it does not get on: {:?}", page.sought);
        if !page.more {
            return (lines, pages, longest);
        }
        query.go_on(page.upto, page.sought);
    }
}

fn ann(limit: Option<usize>, outcome: Option<&str>) -> Query {
    Query {
        agent: Some("ann".into()),
        outcome: outcome.map(str::to_owned),
        limit,
        ..Query::default()
    }
}

#[test]
fn a_page_ends_when_enough_was_looked_at_and_looked_up_and_the_next_goes_on() {
    let (log, blocks) = filled();
    // Each of her 11 calls is two records.
    for (query, count, parts) in [
        (ann(Some(1000), None), 22, 5),
        (ann(Some(3), Some("failed")), 3, 1),
        (ann(None, Some("failed")), 22, 1),
        (ann(None, Some("done")), 0, 1),
    ] {
        let (whole, pages, _) = found(&log, &blocks, &query, usize::MAX);
        assert_eq!((whole.len(), pages), (count, 1), "{query:?}");
        let (lines, pages, longest) = found(&log, &blocks, &query, 1_000_000);
        assert_eq!(lines, whole, "{query:?}");
        assert!(pages >= parts, "{pages} pages for {query:?}");
        // There and back; each way ends within a look-up.
        assert!(longest < 2_500_000, "{longest} bytes for {query:?}");
    }
}

#[test]
fn the_newest_are_sought_backwards_a_part_at_a_time() {
    let (log, blocks) = filled();
    let never = Query {
        until: Some(jiff::Timestamp::UNIX_EPOCH),
        limit: Some(5),
        ..Query::default()
    };
    let first = page(&log, &never, &blocks, 1).unwrap();
    let sought = first.sought.unwrap();
    assert!(first.more && first.lines.is_empty());
    assert_eq!((sought.found, sought.last), (0, 2 * CALLS));
    let (lines, pages, _) = found(&log, &blocks, &never, 1);
    assert_eq!((lines.len(), pages), (0, blocks.0.len()));
}

#[test]
fn a_search_remembers_the_calls_that_it_is_among_and_no_others() {
    let (log, blocks) = filled();
    let query = ann(Some(1000), Some("failed"));
    let mut search = search(&log, &query, &blocks, usize::MAX);
    search.newest(&blocks.that(|_| true), 1000).unwrap();
    assert!(search.calls.is_empty(), "{} calls", search.calls.len());
}

#[test]
fn what_is_made_while_the_newest_are_sought_is_left_to_the_next_question() {
    for (query, found) in [(ann(Some(1000), None), 22), (ann(Some(3), Some("done")), 0)] {
        let (mut log, mut index) = indexed();
        let (mut query, mut lines, mut parts) = (query, 0, 0);
        let upto = loop {
            let page = page(&log, &query, &blocks(&index), 400_000).unwrap();
            (lines, parts) = (lines + page.lines.len(), parts + 1);
            assert!(lines <= found, "{query:?}");
            if !page.more {
                break page.upto;
            }
            query.go_on(page.upto, page.sought);
            let made = [
                ("call.intent", r#""agent":"ann""#),
                ("call.outcome", r#""outcome":"done""#),
            ];
            for (kind, rest) in made {
                put(&mut log, &mut index, kind, 5000 + parts, rest);
            }
        };
        assert!(parts > 2, "{parts} parts of {query:?}");
        assert_eq!((lines, upto), (found, 2 * CALLS));
    }
}

#[test]
fn what_a_server_wrote_into_a_record_hides_it_from_no_question() {
    let (mut log, mut index) = indexed();
    let rest = r#""agent":"eve","result":"\[x]","tool":"t""#;
    put(&mut log, &mut index, "call.intent", CALLS, rest);
    let blocks = blocks(&index);
    let eve = Query {
        agent: Some("eve".into()),
        ..Query::default()
    };
    let found = page(&log, &eve, &blocks, usize::MAX).unwrap();
    assert_eq!(found.lines.len(), 1);
    let id = format!("c-{CALLS:05}");
    let of_it = of_call(&log, &id, &blocks.that(|_| true)).unwrap();
    assert_eq!(of_it, found.lines);
    // The others are found as well.
    let (lines, ..) = self::found(&log, &blocks, &ann(Some(1000), None), usize::MAX);
    assert_eq!(lines.len(), 22);
}

#[test]
fn a_record_that_says_nothing_is_told_and_not_left_out() {
    let (mut log, mut index) = indexed();
    put(&mut log, &mut index, "call.intent", CALLS, "");
    let id = format!("c-{CALLS:05}");
    log.records.last_mut().unwrap().1 = format!(r#"["{id}"]"#);
    let blocks = blocks(&index);
    for fault in [
        page(&log, &ann(None, None), &blocks, usize::MAX).unwrap_err(),
        of_call(&log, &id, &blocks.that(|_| true)).unwrap_err(),
    ] {
        assert!(
            fault.says.starts_with("record 2049 is unreadable"),
            "{fault}"
        );
    }
}
