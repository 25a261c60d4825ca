//! The store of one machine: the journal is the truth, the state follows from
//! it in memory and is kept beside it.
//!
//! Opening replays what the kept state has not seen, closes what an earlier
//! tollgate left open, and honours a STOP file. A journal that can't be written
//! any more refuses everything and says so once.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::{
    calendar::Calendar,
    checkpoint::{Keeper, Kept},
    entry::Entries,
    files,
    footing::Footing,
    journal::{
        Base, Disk, Entry, Journal, Loss, Options, Pace, Place, Placed, Poisoned, PutError,
        RealDisk, Seq, is_bereft,
    },
    ledger::Ledger,
    log::Log,
    news::News,
    record,
    retention::{self, Hands, Retention},
    section::{Section, Seen},
    sled::Trouble,
    start::{self, refusal, seen},
    stop_file,
};
use crate::{
    clock::Clock,
    domain::{Amounts, Dimension, Fault, ServerName, Zone},
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
    /// How long records are kept; none for ever.
    pub keep: Option<Duration>,
    /// How long a call of each server may take. So long, at most, one is taken to have
    /// worked that was under way when an earlier tollgate ended.
    pub totals: BTreeMap<ServerName, Duration>,
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
            keep: None,
            totals: BTreeMap::new(),
        }
    }
}

impl LocalStore {
    /// Opens the store, or says what keeps it from serving.
    ///
    /// # Errors
    /// When the journal is damaged, missing or can't be written.
    pub fn open(setup: Setup) -> Result<Self, Fault> {
        let dir = setup.state.join(start::KEPT);
        let bereft = is_bereft(&*setup.disk, &setup.state);
        let (loaded, note) = start::load(&setup, &dir)?;
        let start::Replayed {
            state,
            journal,
            opened,
            kept,
            note,
        } = start::replay(&setup, &dir, loaded, note)?;
        let note = note.or_else(|| {
            let anew = bereft && journal.last() == Seq::ZERO;
            anew.then(|| BEGUN_ANEW.to_owned())
        });
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
        let news = News::since(pen.journal.last());
        let hands = Hands {
            section: section.clone(),
            pen: pen.clone(),
            clock: setup.clock.clone(),
            news: news.clone(),
        };
        let log = Local {
            pen,
            keeper: Keeper::none(None),
            retention: Arc::new(Mutex::new(Retention::new(hands.clone(), setup.keep))),
        };
        let mut store = Self::over(log, setup.clock, section, news);
        let started = record::start(&setup.version, &setup.config, note.as_deref());
        store.note(started, true)?;
        store.close_open_calls(&setup.totals)?;
        store.honour(&setup.stop_file)?;
        // Before anything is kept: what is kept is never ahead of the journal.
        store.log.sync()?;
        if let Some(every) = setup.keep_every {
            store.log.keeper = store.keeper(&dir, kept, every, hands);
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

    /// Prunes now what is old enough, one batch of it, and whatever an earlier
    /// tollgate left undone; otherwise that is done by the hour. Says whether
    /// records went: then there may be more.
    ///
    /// # Errors
    /// When the records can't be read, or the disk refuses.
    pub fn prune(&self) -> Result<bool, Fault> {
        retention::lock(&self.log.retention).turn()
    }

    fn keeper(&self, dir: &Path, kept: Option<Kept>, every: Duration, hands: Hands) -> Keeper {
        let whole = kept.is_none();
        let kept = kept.map_or_else(|| Kept::fresh(dir), Ok);
        let kept = kept.map_err(|trouble| without(&trouble));
        Keeper::start(kept, whole, every, hands, self.log.retention.clone())
            .unwrap_or_else(|e| Keeper::none(Some(without(&Trouble::Bad(e.to_string())))))
    }

    /// What was under way when an earlier tollgate ended may or may not have happened. It
    /// is charged what was kept back for it, and the time until now: nobody knows when its
    /// tool ended, and who can end tollgate would else work for nothing.
    fn close_open_calls(&self, totals: &BTreeMap<ServerName, Duration>) -> Result<(), Fault> {
        let now = self.clock.now().as_microsecond();
        for flying in self.in_flight() {
            tracing::warn!(call = %flying.call, title = flying.title, "ended during the call");
            let charged = {
                let section = self.section();
                let open = section.state.open().get(&flying.call);
                open.map_or(Amounts::ZERO, |open| {
                    let most = totals.get(&open.server).map_or(0, Duration::as_micros);
                    let worked = u64::try_from(now - open.at).unwrap_or(0);
                    let worked = u128::from(worked).min(most);
                    let worked = u64::try_from(worked).unwrap_or(u64::MAX);
                    open.charge.with(Dimension::Time, worked)
                })
            };
            self.note(record::unknown(&flying.call, charged), false)?;
        }
        Ok(())
    }

    /// A stop that was pulled while no daemon could record it.
    fn honour(&self, file: &Path) -> Result<(), Fault> {
        stop_file::honour(file, |mut stop| {
            if stop.at.is_empty() {
                stop.at = format!("{:.6}", self.clock.now());
            }
            tracing::warn!(scope = %stop.scope, by = stop.by, "stopped by the STOP file");
            self.stop(stop)
        })
    }
}

/// Who removes the journal and the state lifts every stop and forgets every pin: that is
/// not to happen without a word.
const BEGUN_ANEW: &str = "there is the key of a journal, and neither journal nor state: this one begins anew, \
     without the records, stops and pins of that one, if it had any";

fn without(trouble: &Trouble) -> String {
    let why = match trouble {
        Trouble::InUse => "another process has it",
        Trouble::Bad(why) => why,
    };
    tracing::error!("the state can't be kept beside the journal: {why}");
    why.to_owned()
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

    /// Puts a record behind all others; it is not written yet.
    pub(super) fn put(&self, entry: &Entry<'_>) -> Result<Placed, Fault> {
        let placed = self.journal.put(entry);
        placed.map_err(|error| self.refused(&error))
    }

    /// A record was not taken.
    fn refused(&self, error: &PutError) -> Fault {
        match error {
            PutError::Poisoned(poisoned) => self.failed(poisoned),
            PutError::TooLong { .. } => Fault::new(error.to_string()),
            PutError::NoRoom => Fault::new(error.to_string())
                .hint("free 64 MiB or more on the disk of the state directory: by so much the journal grows"),
        }
    }

    /// Makes what is written survive a power cut, at once.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        let synced = self.journal.sync();
        synced.map_err(|poisoned| self.failed(&poisoned))
    }

    /// Returns once a record survives a power cut.
    pub(super) fn durable(&self, seq: Seq) -> Result<(), Fault> {
        let written = self.journal.write(seq);
        written
            .and_then(|()| self.journal.synced(seq).wait())
            .map_err(|poisoned| self.failed(&poisoned))
    }
}

/// Records in a journal.
pub struct Local {
    pen: Arc<Pen>,
    keeper: Keeper,
    retention: Arc<Mutex<Retention>>,
}

impl Log for Local {
    fn put(&self, entry: &Entry<'_>) -> Result<Placed, Fault> {
        self.pen.put(entry)
    }

    fn ready(&self, keep: u64) -> Result<(), Fault> {
        let ready = self.pen.journal.ready(keep);
        ready.map_err(|error| self.pen.refused(&error))
    }

    fn unkept(&self) -> Option<String> {
        self.keeper.trouble()
    }

    fn write(&self, up_to: Seq) -> Result<(), Fault> {
        let written = self.pen.journal.write(up_to);
        written.map_err(|poisoned| self.pen.failed(&poisoned))
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
        first: Seq,
        from: Place,
        visit: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.pen
            .journal
            .read_from(first, from, &mut |record, place| {
                visit(&seen(record, place))
            })
            .map_err(|refused| refusal(&refused))
    }

    fn verify(&self) -> Result<Verified, Fault> {
        let verified = self.pen.journal.verify();
        verified
            .map(files::verified)
            .map_err(|refused| refusal(&refused))
    }

    fn kept(&self) -> Result<Option<(Entries, Seq)>, Fault> {
        self.keeper.read()
    }

    fn base(&self) -> Base {
        self.pen.journal.base()
    }

    fn footing(&self) -> Result<Option<Footing>, Fault> {
        retention::footing_of(&self.pen.journal)
    }

    fn close(&self) {
        self.keeper.end();
        if let Err(poisoned) = self.pen.journal.settle() {
            self.pen.failed(&poisoned);
        }
    }
}
