//! Journals on a simulated disk.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tollgate::store::journal::{
    Base, Digest, Entry, Journal, Opened, Options, Pace, Placed, Pruned, Refused, Seq, Why,
};

use super::SimDisk;

pub const STATE: &str = "/state";

pub fn options(disk: &SimDisk, segment_bytes: u64) -> Options {
    Options {
        disk: Arc::new(disk.clone()),
        segment_bytes,
        pace: Pace::Inline,
        ..Options::new(Timestamp::UNIX_EPOCH)
    }
}

/// Opens, and returns the members of every record (with the kind, for those of a cut).
pub fn open(options: Options) -> Result<(Journal, Opened, Vec<String>), Refused> {
    open_in(Path::new(STATE), options)
}

pub fn open_in(state: &Path, options: Options) -> Result<(Journal, Opened, Vec<String>), Refused> {
    let mut seen = Vec::new();
    let (journal, opened) = Journal::open(state, options, &mut |record, _| {
        seen.push(match record.kind {
            "test" => record.members.to_owned(),
            other => other.to_owned(),
        });
        Ok(())
    })?;
    Ok((journal, opened, seen))
}

pub fn entry(members: &str, durable: bool) -> Entry<'_> {
    Entry {
        at: Timestamp::UNIX_EPOCH,
        kind: "test",
        members,
        durable,
        keep: 0,
    }
}

pub fn put(journal: &Journal, members: &str) -> Placed {
    journal.put(&entry(members, false)).unwrap()
}

pub fn members(n: usize, length: usize) -> String {
    format!(r#""n":{n},"pad":"{}""#, "x".repeat(length))
}

/// What a record says that lets a journal begin with one of its segments.
pub fn pruned(first: &Base) -> Pruned {
    Pruned {
        first: first.seq,
        segment: first.segment,
        since: Timestamp::UNIX_EPOCH,
        removed: first.seq.get() - 1,
        body: Digest::NONE,
        broken: None,
    }
}

/// Puts that record, synced; the journal is to begin with the segment that holds `seq`.
pub fn put_pruned(journal: &Journal, seq: u64) -> (Pruned, Seq) {
    let starts = journal.starts().unwrap();
    let at = starts.partition_point(|start| start.seq <= Seq::new(seq));
    let pruned = pruned(&starts[at - 1]);
    let members = pruned.members();
    let entry = Entry {
        kind: Pruned::KIND,
        ..entry(&members, true)
    };
    let record = journal.put(&entry).unwrap().seq;
    journal.write(record).unwrap();
    journal.sync().unwrap();
    (pruned, record)
}

/// A journal of `count` records of about 300 bytes, closed in order.
pub fn closed(disk: &SimDisk, count: usize, segment_bytes: u64) -> Vec<String> {
    let (journal, ..) = open(options(disk, segment_bytes)).unwrap();
    let truth: Vec<String> = (0..count).map(|n| members(n, n % 97)).collect();
    for (n, members) in truth.iter().enumerate() {
        let placed = put(&journal, members);
        journal.write(placed.seq).unwrap();
        if n % 5 == 0 {
            journal.sync().unwrap();
        }
    }
    journal.close().unwrap();
    truth
}

pub fn damage(refused: Result<(Journal, Opened, Vec<String>), Refused>) -> (Seq, Why) {
    match refused {
        Err(Refused::Damaged { seq, why, .. }) => (seq, why),
        Err(other) => panic!("refused for another reason: {other}"),
        Ok((_, opened, _)) => panic!("opened: {opened:?}"),
    }
}
