//! The record that the beginning of the journal was pruned.
//!
//! Besides [`TailCut`](super::TailCut) the only record whose meaning the journal knows
//! itself: the base must follow from one of them, and a base that was lost is found again
//! by it.

use jiff::Timestamp;
use serde::Deserialize;

use super::error::Refused;
use super::line::{Digest, Record, Seq};
use super::lines::{Line, Lines};
use super::notes::Stand;
use super::segments;
use super::walk::Files;
use super::{Open, Place};

/// What a `prune` record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// The first record that is kept.
    pub first: Seq,
    /// The segment that it begins.
    pub segment: u32,
    /// When it was made.
    pub since: Timestamp,
    /// How many records before it were there until now.
    pub removed: u64,
    /// The body that holds the state to go on from.
    pub body: Digest,
    /// What was wrong with the records that go, if something was.
    pub broken: Option<String>,
}

impl Pruned {
    /// The kind of its record.
    pub const KIND: &'static str = "prune";

    /// The members of its record.
    #[must_use]
    pub fn members(&self) -> String {
        let mut members = format!(
            r#""first":{},"segment":{},"since":"{:.6}","removed":{},"body":"{}""#,
            self.first, self.segment, self.since, self.removed, self.body
        );
        if let Some(broken) = &self.broken {
            let text = serde_json::Value::from(broken.as_str());
            members.push_str(&format!(r#","broken":{text}"#));
        }
        members
    }

    /// Reads them back out of the record's line.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn read(line: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Members {
            first: u64,
            segment: u32,
            since: Timestamp,
            removed: u64,
            body: String,
            broken: Option<String>,
        }
        let members: Members = serde_json::from_str(line).map_err(|e| e.to_string())?;
        Ok(Self {
            first: Seq::new(members.first),
            segment: members.segment,
            since: members.since,
            removed: members.removed,
            body: Digest::parse(members.body.as_bytes()).ok_or("`body` is not a digest")?,
            broken: members.broken,
        })
    }

    /// What the base remembers of it.
    pub(in crate::store) fn stand(&self, record: Seq) -> Stand {
        Stand {
            record,
            body: self.body,
            since: self.since,
        }
    }
}

/// What the last record says that lets the journal begin with `first`. For a base that
/// was lost: everything is read.
pub(super) fn find(files: Files<'_>, list: &[u32], first: Seq) -> Result<Option<Stand>, Refused> {
    let mut found = None;
    for &segment in list {
        let path = segments::path(files.dir, segment);
        let io = |e| Refused::io("read", &path, e);
        let file = files.disk.open(&path, Open::Read).map_err(io)?;
        let mut lines = Lines::new(&*file, 0);
        while let Some(line) = lines.next().map_err(io)? {
            if let Line::Whole { bytes, .. } = line
                && let Ok(record) = Record::read(bytes, files.key)
                && record.kind == Pruned::KIND
                && let Ok(pruned) = Pruned::read(record.line)
                && pruned.first == first
            {
                found = Some(pruned.stand(record.seq));
            }
        }
    }
    Ok(found)
}

/// The place of the first record of a segment.
#[must_use]
pub fn start_of(segment: u32) -> Place {
    Place { segment, offset: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pruned_is_read_back() {
        let pruned = Pruned {
            first: Seq::new(7),
            segment: 3,
            since: "2026-01-01T12:00:00.000001Z".parse().unwrap(),
            removed: 6,
            body: Digest::NONE,
            broken: Some("record 2: \"x\"".to_owned()),
        };
        let line = format!("{{{}}}", pruned.members());
        assert_eq!(Pruned::read(&line), Ok(pruned));
        assert!(Pruned::read("{}").is_err());
    }
}
