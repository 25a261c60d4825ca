//! The store of one machine: the journal is the truth, the state follows from
//! it in memory and is kept beside it.
//!
//! Opening replays what the kept state has not seen, closes what an earlier
//! tollgate left open, and honours a STOP file. A journal that can't be written
//! any more refuses everything and says so once.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use super::{
    entry::Entries,
    journal::{
        Disk, Entry, Journal, Loss, Opened, Options, Pace, Place, Placed, Poisoned, PutError,
        RealDisk, Record, Refused, Seq,
    },
    ledger::{Ledger, Log, Section, Seen},
    record,
    state::State,
};
use crate::{
    clock::Clock,
    domain::{Fault, Stop, StopScope},
    ports::{Boxed, Store, Verified},
};

/// The store of one machine.
pub type LocalStore = Ledger<Local>;

/// How it is opened.
pub struct Setup {
    /// The state directory, whose lock is held.
    pub state: PathBuf,
    /// Where it exists, everything is stopped.
    pub stop_file: PathBuf,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Of this program, for the record.
    pub version: String,
    /// A digest of the configuration in force, for the record.
    pub config: String,
    /// Told once when nothing can be recorded any more: the process should end.
    pub on_fault: Box<dyn Fn(&Fault) + Send + Sync>,
    /// Where the journal is.
    pub disk: Arc<dyn Disk>,
    /// The size of the journal's files.
    pub segment_bytes: u64,
    /// Who syncs the journal.
    pub pace: Pace,
    /// What to do about damage to the journal.
    pub loss: Loss,
}

impl Setup {
    /// The usual store in a state directory.
    #[must_use]
    pub fn new(state: &Path, clock: Arc<dyn Clock>) -> Self {
        let usual = Options::new(clock.now());
        Self {
            state: state.to_path_buf(),
            stop_file: state.join("STOP"),
            clock,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: String::new(),
            on_fault: Box::new(|_| {}),
            disk: Arc::new(RealDisk),
            segment_bytes: usual.segment_bytes,
            pace: usual.pace,
            loss: usual.loss,
        }
    }
}

impl LocalStore {
    /// Opens the store, or says what keeps it from serving.
    ///
    /// # Errors
    /// When the journal is damaged, missing or can't be written.
    pub fn open(setup: Setup) -> Result<Self, Fault> {
        let mut state = State::default();
        let (journal, opened) = replay(&setup, &mut state)?;
        if let Some(cut) = &opened.tail_cut {
            tracing::warn!(
                bytes = cut.bytes,
                records = cut.records,
                "cut off the end of the journal that was never synced"
            );
        }
        let pen = Pen {
            journal,
            on_fault: setup.on_fault,
            told: OnceLock::new(),
        };
        let log = Local { pen: Arc::new(pen) };
        let section = Arc::new(Mutex::new(Section::new(state)));
        let store = Self::over(log, setup.clock, section);
        store.note(record::start(&setup.version, &setup.config, None), true)?;
        store.close_open_calls()?;
        store.honour(&setup.stop_file)?;
        store.log.sync()?;
        Ok(store)
    }

    /// What was under way when an earlier tollgate ended may or may not have
    /// happened.
    fn close_open_calls(&self) -> Result<(), Fault> {
        for flying in self.in_flight() {
            tracing::warn!(call = %flying.call, title = flying.title, "ended during the call");
            self.note(record::unknown(&flying.call), false)?;
        }
        Ok(())
    }

    /// A stop that was pulled while no daemon could record it.
    fn honour(&self, file: &Path) -> Result<(), Fault> {
        let text = match std::fs::read(file) {
            Ok(text) => String::from_utf8_lossy(&text).trim().to_owned(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            // It is there: what it says does not matter.
            Err(_) => String::new(),
        };
        self.stop(Stop {
            scope: StopScope::Everything,
            by: "the STOP file".to_owned(),
            text: (!text.is_empty()).then_some(text),
            at: format!("{:.6}", self.clock.now()),
        })?;
        if let Err(e) = std::fs::remove_file(file) {
            // The next start stops again, which is the safe side.
            tracing::warn!("can't remove {}: {e}", file.display());
        }
        Ok(())
    }
}

fn replay(setup: &Setup, state: &mut State) -> Result<(Journal, Opened), Fault> {
    let options = Options {
        disk: setup.disk.clone(),
        segment_bytes: setup.segment_bytes,
        pace: setup.pace,
        loss: setup.loss,
        ..Options::new(setup.clock.now())
    };
    let mut replay = |record: &Record<'_>, place: Place| seen(record, place).replay(state);
    Journal::open(&setup.state, options, &mut replay).map_err(|refused| refusal(&refused))
}

fn refusal(refused: &Refused) -> Fault {
    Fault::new(refused.to_string()).hint(refused.hint())
}

fn seen<'a>(record: &Record<'a>, place: Place) -> Seen<'a> {
    Seen {
        placed: Placed {
            seq: record.seq,
            place,
            hash: record.hash,
        },
        at: record.at,
        kind: record.kind,
        line: record.line,
    }
}

/// The journal, and whoever is told that it failed.
pub(super) struct Pen {
    pub(super) journal: Journal,
    on_fault: Box<dyn Fn(&Fault) + Send + Sync>,
    told: OnceLock<()>,
}

impl Pen {
    /// Nothing can be recorded any more.
    pub(super) fn failed(&self, poisoned: &Poisoned) -> Fault {
        let fault = Fault::new(poisoned.to_string())
            .hint("see to the disk, then start tollgate again; until then nothing passes");
        self.told.get_or_init(|| {
            tracing::error!("{fault}");
            (self.on_fault)(&fault);
        });
        fault
    }
}

/// Records in a journal.
pub struct Local {
    pub(super) pen: Arc<Pen>,
}

impl Log for Pen {
    fn put(&self, entry: &Entry<'_>) -> Result<Placed, Fault> {
        self.journal.put(entry).map_err(|error| match &error {
            PutError::Poisoned(poisoned) => self.failed(poisoned),
            PutError::TooLong { .. } => Fault::new(error.to_string()),
            PutError::NoRoom => Fault::new(error.to_string())
                .hint("free some space on the disk of the state directory"),
        })
    }

    fn write(&self, up_to: Seq) -> Result<(), Fault> {
        let written = self.journal.write(up_to);
        written.map_err(|poisoned| self.failed(&poisoned))
    }

    fn synced(&self, seq: Seq) -> Option<Boxed<'static, Result<(), Fault>>> {
        let synced = self.journal.synced(seq);
        Some(Box::pin(async move {
            synced
                .await
                .map_err(|poisoned| Fault::new(poisoned.to_string()))
        }))
    }

    fn sync(&self) -> Result<(), Fault> {
        self.journal
            .sync()
            .map_err(|poisoned| self.failed(&poisoned))
    }

    fn read(
        &self,
        from: Place,
        visit: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.journal
            .read_from(from, &mut |record, place| visit(&seen(record, place)))
            .map_err(|refused| refusal(&refused))
    }

    fn verify(&self) -> Result<Verified, Fault> {
        let report = self.journal.verify().map_err(|refused| refusal(&refused))?;
        let (first, last) = (report.first.get(), report.last.get());
        Ok(Verified {
            records: (last + 1).saturating_sub(first),
            first,
            last,
            broken: report.broken.map(|broken| broken.to_string()),
        })
    }

    fn kept(&self) -> Result<Option<(Entries, Seq)>, Fault> {
        Ok(None)
    }

    fn close(&self) {
        if let Err(poisoned) = self.journal.settle() {
            self.failed(&poisoned);
        }
    }
}

impl Log for Local {
    fn put(&self, entry: &Entry<'_>) -> Result<Placed, Fault> {
        self.pen.put(entry)
    }

    fn write(&self, up_to: Seq) -> Result<(), Fault> {
        self.pen.write(up_to)
    }

    fn synced(&self, seq: Seq) -> Option<Boxed<'static, Result<(), Fault>>> {
        let (pen, synced) = (self.pen.clone(), self.pen.journal.synced(seq));
        Some(Box::pin(async move {
            synced.await.map_err(|poisoned| pen.failed(&poisoned))
        }))
    }

    fn sync(&self) -> Result<(), Fault> {
        self.pen.sync()
    }

    fn read(
        &self,
        from: Place,
        visit: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.pen.read(from, visit)
    }

    fn verify(&self) -> Result<Verified, Fault> {
        self.pen.verify()
    }

    fn kept(&self) -> Result<Option<(Entries, Seq)>, Fault> {
        self.pen.kept()
    }

    fn close(&self) {
        self.pen.close();
    }
}
