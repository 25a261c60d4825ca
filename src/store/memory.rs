//! A store that forgets: everything in memory, nothing on disk.
//!
//! For tests and as the model that the local store is held against. It decides,
//! records and finds as that one does; only its records go nowhere.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    entry::Entries,
    journal::{Digest, Entry, Place, Placed, Seq},
    ledger::Ledger,
    log::Log,
    news::News,
    section::{Section, Seen},
};
use crate::{
    clock::{Clock, SystemClock},
    domain::Fault,
    ports::{Boxed, Verified},
};

/// See the module.
pub type MemoryStore = Ledger<MemoryLog>;

impl MemoryStore {
    /// An empty store that reads this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::over(
            MemoryLog::default(),
            clock,
            Arc::new(Mutex::new(Section::default())),
            News::since(Seq::ZERO),
        )
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::new()))
    }
}

/// Records in memory.
#[derive(Debug, Default)]
pub struct MemoryLog(Mutex<Vec<Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    at: String,
    kind: String,
    line: String,
}

impl MemoryLog {
    fn records(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

impl Log for MemoryLog {
    fn put(&self, entry: &Entry<'_>) -> Result<Placed, Fault> {
        let mut records = self.records();
        let seq = records.len() as u64 + 1;
        let (at, kind) = (format!("{:.6}", entry.at), entry.kind.to_owned());
        let comma = if entry.members.is_empty() { "" } else { "," };
        let line = format!(
            r#"{{"v":1,"seq":{seq},"at":"{at}","kind":"{kind}"{comma}{}}}"#,
            entry.members
        );
        let line = line.replace(['\n', '\r'], " ");
        records.push(Kept { at, kind, line });
        Ok(placed(seq))
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

    fn read(
        &self,
        first: Seq,
        _: Place,
        visit: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        // One by one: whoever visits may put records meanwhile.
        let record = |seq: u64| {
            let nth = usize::try_from(seq.checked_sub(1)?).ok()?;
            self.records().get(nth).cloned()
        };
        for seq in first.get().max(1).. {
            let Some(kept) = record(seq) else {
                break;
            };
            let seen = Seen {
                placed: placed(seq),
                at: &kept.at,
                kind: &kept.kind,
                line: &kept.line,
            };
            if visit(&seen).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn verify(&self) -> Result<Verified, Fault> {
        let records = self.records().len() as u64;
        Ok(Verified {
            records,
            first: records.min(1),
            last: records,
            pruned: None,
            broken: None,
            unsynced: None,
            uncompared: None,
        })
    }

    fn kept(&self) -> Result<Option<(Entries, Seq)>, Fault> {
        Ok(None)
    }

    fn close(&self) {}
}
