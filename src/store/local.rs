//! The store of one machine: the journal is the truth, the state follows from
//! it in memory and is kept beside it.
//!
//! Opening replays what the kept state has not seen, closes what an earlier
//! tollgate left open, and honours a STOP file. A journal that can't be written
//! any more refuses everything and says so once.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::{
    calendar::Calendar,
    checkpoint::{Keeper, Kept, Loaded, move_aside},
    entry::Entries,
    journal::{
        Disk, Entry, Journal, Loss, Open, Opened, Options, Pace, Place, Placed, Poisoned, PutError,
        RealDisk, Record, Refused, Seq,
    },
    ledger::{Ledger, Log},
    record,
    section::{Section, Seen},
    sled::Trouble,
    state::State,
    stop_file,
};
use crate::{
    clock::Clock,
    domain::{Fault, Zone},
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
    /// In which days and months begin.
    pub zone: Zone,
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
    /// How often the state is kept beside the journal; none for never.
    pub keep_every: Option<Duration>,
    /// Build the state anew, whatever is kept of it.
    pub rebuild: bool,
}

impl Setup {
    /// The usual store in a state directory.
    #[must_use]
    pub fn new(state: &Path, clock: Arc<dyn Clock>) -> Self {
        let usual = Options::new(clock.now());
        Self {
            state: state.to_path_buf(),
            stop_file: state.join("STOP"),
            zone: Zone::UTC,
            clock,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: String::new(),
            on_fault: Box::new(|_| {}),
            disk: Arc::new(RealDisk),
            segment_bytes: usual.segment_bytes,
            pace: usual.pace,
            loss: usual.loss,
            keep_every: Some(Duration::from_secs(1)),
            rebuild: false,
        }
    }
}

impl LocalStore {
    /// Opens the store, or says what keeps it from serving.
    ///
    /// # Errors
    /// When the journal is damaged, missing or can't be written.
    pub fn open(setup: Setup) -> Result<Self, Fault> {
        let dir = setup.state.join(KEPT);
        let (loaded, note) = load(&setup, &dir)?;
        let Replayed {
            state,
            journal,
            opened,
            kept,
            note,
        } = replay(&setup, &dir, loaded, note)?;
        if let Some(cut) = &opened.tail_cut {
            tracing::warn!(
                bytes = cut.bytes,
                records = cut.records,
                "cut off the end of the journal that was never synced"
            );
        }
        if let Some(note) = &note {
            tracing::warn!("{note}");
        }
        let pen = Arc::new(Pen {
            journal,
            on_fault: setup.on_fault,
            told: OnceLock::new(),
        });
        let section = Arc::new(Mutex::new(Section::new(
            state,
            Calendar::of(setup.zone.clone()),
        )));
        let log = Local {
            pen,
            keeper: Keeper::none(None),
        };
        let mut store = Self::over(log, setup.clock, section);
        let started = record::start(&setup.version, &setup.config, note.as_deref());
        store.note(started, true)?;
        store.close_open_calls()?;
        store.honour(&setup.stop_file)?;
        // Before anything is kept: what is kept is never ahead of the journal.
        store.log.sync()?;
        if let Some(every) = setup.keep_every {
            store.log.keeper = store.keeper(&dir, kept, every);
        }
        Ok(store)
    }

    /// Keeps the state beside the journal now, not at the next second.
    ///
    /// # Errors
    /// When the journal can't be written any more.
    pub fn keep(&self) -> Result<(), Fault> {
        self.log.keeper.keep()
    }

    /// Why the state is no longer kept beside the journal, if it is not: the
    /// next start takes longer, and nothing else suffers.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.log.keeper.trouble()
    }

    fn keeper(&self, dir: &Path, kept: Option<Kept>, every: Duration) -> Keeper {
        let whole = kept.is_none();
        let kept = match kept.map_or_else(|| Kept::fresh(dir), Ok) {
            Ok(kept) => kept,
            Err(trouble) => return without(&trouble),
        };
        let (section, pen) = (self.section.clone(), self.log.pen.clone());
        Keeper::start(kept, whole, every, section, pen, self.clock.clone())
            .unwrap_or_else(|e| without(&Trouble::Bad(e.to_string())))
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
        let stops = stop_file::pulled(file);
        if stops.is_empty() {
            return Ok(());
        }
        for mut stop in stops {
            if stop.at.is_empty() {
                stop.at = format!("{:.6}", self.clock.now());
            }
            tracing::warn!(scope = %stop.scope, by = stop.by, "stopped by the STOP file");
            self.stop(stop)?;
        }
        if let Err(e) = std::fs::remove_file(file) {
            // The next start stops again, which is the safe side.
            tracing::warn!("can't remove {}: {e}", file.display());
        }
        Ok(())
    }
}

/// The directory in which the state is kept, below the state directory.
const KEPT: &str = "state.sled";

fn without(trouble: &Trouble) -> Keeper {
    let why = match trouble {
        Trouble::InUse => "another process has it",
        Trouble::Bad(why) => why,
    };
    tracing::error!("the state can't be kept beside the journal: {why}");
    Keeper::none(Some(why.to_owned()))
}

/// What is kept of the state, if it is whole; else it is put out of the way.
fn load(setup: &Setup, dir: &Path) -> Result<(Option<Loaded>, Option<String>), Fault> {
    let there = std::fs::read_dir(dir).is_ok_and(|mut names| names.next().is_some());
    if setup.keep_every.is_none() || !there {
        return Ok((None, None));
    }
    // The journal's first record is older than anything that is kept.
    if !has_records(setup) && setup.loss == Loss::Refuse {
        return Err(Fault::new(format!(
            "the journal is missing, but the state that followed from it is there (`{KEPT}`)"
        ))
        .hint(format!(
            "restore `journal` from a backup; to begin anew without its records, stops and pins, \
             move `{}` away",
            dir.display()
        )));
    }
    if setup.rebuild || setup.loss == Loss::Accept {
        return aside(dir, "an operator wanted it").map(|note| (None, Some(note)));
    }
    match Loaded::read(dir) {
        Ok(loaded) => Ok((Some(loaded), None)),
        Err(Trouble::InUse) => Err(Fault::new(format!(
            "another process has opened `{}`",
            dir.display()
        ))
        .hint("end it; only one tollgate can own a state directory")),
        Err(Trouble::Bad(why)) => aside(dir, &why).map(|note| (None, Some(note))),
    }
}

fn aside(dir: &Path, why: &str) -> Result<String, Fault> {
    let moved = move_aside(dir).map_err(|e| {
        Fault::new(format!("can't move `{}` aside: {e}", dir.display()))
            .hint("remove it; it is built anew from the journal")
    })?;
    let name = moved.file_name().unwrap_or_default().display();
    Ok(format!(
        "the state is built anew from the journal: {why}; the old one is in `{name}`"
    ))
}

fn has_records(setup: &Setup) -> bool {
    let dir = setup.state.join("journal");
    let names = setup.disk.list(&dir).unwrap_or_default();
    names
        .iter()
        .filter(|name| name.ends_with(".jsonl"))
        .any(|name| {
            let file = setup.disk.open(&dir.join(name), Open::Read);
            file.and_then(|file| file.length())
                .is_ok_and(|length| length > 0)
        })
}

/// A journal that was read to its end.
struct Replayed {
    state: State,
    journal: Journal,
    opened: Opened,
    kept: Option<Kept>,
    note: Option<String>,
}

fn replay(
    setup: &Setup,
    dir: &Path,
    loaded: Option<Loaded>,
    note: Option<String>,
) -> Result<Replayed, Fault> {
    let (mut state, anchor, kept) = match loaded.map(Loaded::split) {
        Some((state, applied, kept)) => (state, Some(applied), Some(kept)),
        None => (State::default(), None, None),
    };
    let known = anchor.map_or(Seq::ZERO, |anchor| anchor.seq);
    let options = Options {
        disk: setup.disk.clone(),
        segment_bytes: setup.segment_bytes,
        pace: setup.pace,
        loss: setup.loss,
        anchor,
        known,
        replay_from: known.next(),
        ..Options::new(setup.clock.now())
    };
    let mut visit = |record: &Record<'_>, place: Place| seen(record, place).replay(&mut state);
    let (journal, opened) =
        Journal::open(&setup.state, options, &mut visit).map_err(|refused| refusal(&refused))?;
    if anchor.is_some_and(|anchor| anchor.seq != opened.first) {
        // The record that it names is not the one in the journal.
        drop((journal, kept));
        let note = aside(dir, "it belongs to another journal")?;
        return replay(setup, dir, None, Some(note));
    }
    Ok(Replayed {
        state,
        journal,
        opened,
        kept,
        note,
    })
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

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
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
    pen: Arc<Pen>,
    keeper: Keeper,
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
        Ok(verified(report))
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
        self.keeper.read()
    }

    fn close(&self) {
        self.keeper.end();
        self.pen.close();
    }
}

/// Walks the journal of a state directory that nobody has open.
///
/// # Errors
/// When it cannot be read at all.
pub fn verify_files(state: &Path) -> Result<Verified, Fault> {
    super::journal::verify(&RealDisk, state, None)
        .map(verified)
        .map_err(|refused| refusal(&refused))
}

fn verified(report: super::journal::Report) -> Verified {
    let (first, last) = (report.first.get(), report.last.get());
    Verified {
        records: (last + 1).saturating_sub(first),
        first,
        last,
        broken: report.broken.map(|broken| broken.to_string()),
    }
}
