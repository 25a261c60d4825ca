//! Journals on a simulated disk.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tollgate::store::journal::{Entry, Journal, Opened, Options, Pace, Placed, Refused, Seq, Why};

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
