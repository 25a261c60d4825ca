//! Pruning: records older than an operator wants to keep go, whole segments of
//! them, and what follows from them stays.
//!
//! A batch goes in steps, each of which leaves something that a start goes on with:
//!
//! 1. The state before the first record that stays is made, by replaying what goes
//!    from where the journal begins: apart from those in memory, so nobody waits.
//! 2. It is kept in a body. A kill leaves a body that nobody names.
//! 3. A `prune` record names it, and is synced; the index forgets what goes.
//! 4. The base of the journal is replaced: from here on it begins later, and a
//!    state that is built anew begins with the body.
//! 5. The segments are removed, then the bodies that nobody names any more.
//!
//! Where the state before cannot be made, because what the journal stands on is
//! damaged or a record that goes is, the state now is kept instead. It is as good
//! to go on from; only `state check` has less to compare. The same mends a body
//! that was damaged while the state was whole.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{
    age::{self, DAY, Mark},
    footing::{Footing, MAGIC},
    journal::{Base, BodyError, Journal, Options, Pruned, Refused, Seq, start_of},
    ledger::{closed, lock as lock_section},
    local::Pen,
    news::News,
    record,
    section::Section,
    start::{refusal, seen},
    state::State,
};
use crate::{clock::Clock, domain::Fault};

/// How often it is looked whether there is something to do.
const AGAIN: Duration = Duration::from_secs(3600);
/// The most segments that go at once: two seconds of reading.
const BATCH: usize = 4;
/// What part of the segments may go in a day. A clock that is wrong for a weekend
/// then takes a quarter of the record and not all of it.
const SHARE: usize = 8;
/// After how many records it is looked whether tollgate ends.
const LOOK_UP: u64 = 1024;

/// What pruning works with.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) section: Arc<Mutex<Section>>,
    pub(super) pen: Arc<Pen>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) news: News,
}

/// See the module.
pub(super) struct Retention {
    hands: Hands,
    /// How long records are kept; none for ever.
    keep: Option<Duration>,
    /// When to look again, by the clock's elapsed time.
    next: Duration,
    /// The first record to be kept when the work of this day is done.
    goal: Option<Seq>,
    /// What was recorded and could not be done: somebody read, or the disk refused.
    pending: Option<(Pruned, Seq)>,
}

impl Retention {
    pub(super) fn new(hands: Hands, keep: Option<Duration>) -> Self {
        Self {
            hands,
            keep,
            next: Duration::ZERO,
            goal: None,
            pending: None,
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        let now = self.hands.clock.elapsed();
        if now < self.next {
            return;
        }
        match self.turn() {
            // There may be more; first others have their turn.
            Ok(true) => {}
            Ok(false) if self.pending.is_some() => {}
            Ok(false) => self.next = now.saturating_add(AGAIN),
            Err(_) if self.ending() => {}
            Err(fault) => {
                tracing::warn!("old records can't be pruned: {fault}");
                self.next = now.saturating_add(AGAIN);
            }
        }
    }

    /// One batch. Whether something went.
    pub(super) fn turn(&mut self) -> Result<bool, Fault> {
        if self.ending() {
            return Err(closed());
        }
        if let Some((pruned, record)) = self.pending.take() {
            return self.carry_out(pruned, record);
        }
        let base = self.hands.pen.journal.base();
        if self.keep.is_none() && !base.is_pruned() {
            return Ok(false);
        }
        let footing = self.footing(&base)?;
        let target = match &footing {
            Some(Err(why)) => {
                tracing::warn!("what the journal stands on is lost and made anew: {why}");
                Some(base)
            }
            Some(Ok(_)) | None => self.target(&base)?,
        };
        let Some(target) = target else {
            self.tidy()?;
            return Ok(false);
        };
        let before = match footing {
            None => self.before(State::default(), Seq::ZERO, &target)?,
            Some(Ok((state, known))) if known < target.seq => self.before(state, known, &target)?,
            Some(_) => Err(None),
        };
        let (footing, broken) = match before {
            Ok(footing) => (footing, None),
            Err(broken) => (self.now(&target)?, broken),
        };
        let (pruned, record) = self.record(&base, &target, &footing, broken)?;
        self.carry_out(pruned, record)
    }

    /// Nobody waits for a prune when tollgate ends: the next start goes on with it.
    fn ending(&self) -> bool {
        lock_section(&self.hands.section).closed
    }

    /// The state that the journal stands on and the last record that it has seen, if the
    /// journal was pruned, or why that is lost.
    #[allow(
        clippy::type_complexity,
        reason = "the outer error is a failure, the inner one a finding"
    )]
    fn footing(&self, base: &Base) -> Result<Option<Result<(State, Seq), String>>, Fault> {
        if !base.is_pruned() {
            return Ok(None);
        }
        let journal = &self.hands.pen.journal;
        if said(journal, base)?.is_none() {
            return Ok(Some(Err("the record that names it is gone".to_owned())));
        }
        let bodies = journal.bodies().map_err(|refused| refusal(&refused))?;
        let footing = Footing::read(&bodies, base);
        Ok(Some(footing.and_then(|footing| {
            Ok((footing.state()?, footing.applied.seq))
        })))
    }

    /// Where the journal is to begin after this batch.
    fn target(&mut self, base: &Base) -> Result<Option<Base>, Fault> {
        let Some(keep) = self.keep else {
            return Ok(None);
        };
        let journal = &self.hands.pen.journal;
        let marks = self.marks();
        if self.goal.is_none() && !due(said(journal, base)?, marks.last()) {
            return Ok(None);
        }
        // Only what survives a power cut is counted on.
        self.hands.pen.sync()?;
        let starts = journal.starts().map_err(|refused| refusal(&refused))?;
        let segments: Vec<Seq> = starts.iter().map(|start| start.seq).collect();
        let old = age::old(&segments, &marks, keep);
        let until = match self.goal {
            Some(goal) => segments.partition_point(|first| *first < goal),
            None => (segments.len() / SHARE).max(1),
        };
        let until = until.min(old);
        self.goal = segments.get(until).copied().filter(|_| until > BATCH);
        let target = starts.get(until.min(BATCH));
        Ok(target.filter(|target| target.seq > base.seq).copied())
    }

    fn marks(&self) -> Vec<Mark> {
        let section = lock_section(&self.hands.section);
        let blocks = section.state.blocks();
        let mut marks: Vec<Mark> = blocks
            .map(|block| Mark {
                first: block.first,
                latest: block.latest,
            })
            .collect();
        drop(section);
        marks.reverse();
        marks
    }

    /// The state before the record that the journal is to begin with, from a state
    /// that has seen everything up to `known`. The inner error says what is wrong
    /// with the records that lead there, if that is known.
    #[allow(
        clippy::type_complexity,
        reason = "the outer error is a failure, the inner one a finding"
    )]
    fn before(
        &self,
        mut state: State,
        known: Seq,
        target: &Base,
    ) -> Result<Result<Footing, Option<String>>, Fault> {
        let mut last = None;
        let walked = self
            .hands
            .pen
            .journal
            .walk_to(target.seq.previous(), &mut |record, place| {
                if record.seq.get().is_multiple_of(LOOK_UP) && self.ending() {
                    return Err("it was not read to its end".to_owned());
                }
                let seen = seen(record, place);
                last = Some(seen.placed);
                match record.seq > known {
                    true => seen.replay(&mut state),
                    false => Ok(()),
                }
            })
            .map_err(|refused| refusal(&refused))?;
        if let Some(broken) = walked {
            tracing::error!("a record that is old enough to go is damaged: {broken}");
            return Ok(Err(Some(broken.to_string())));
        }
        let fits = last.filter(|last| last.seq.next() == target.seq && last.hash == target.prev);
        let Some(applied) = fits else {
            return Ok(Err(Some("the records end before the next file".to_owned())));
        };
        state.forget_before(target.seq, target.segment);
        let entries = state.entries();
        Ok(Ok(Footing { entries, applied }))
    }

    /// The state as it is now. Copied while others wait: where nothing else is left.
    fn now(&self, target: &Base) -> Result<Footing, Fault> {
        let mut state = lock_section(&self.hands.section).state.clone();
        state.forget_before(target.seq, target.segment);
        let applied = state
            .last()
            .ok_or_else(|| Fault::new("there are no records yet"))?;
        let entries = state.entries();
        Ok(Footing { entries, applied })
    }

    /// Keeps the state, and records that what is before `target` goes.
    fn record(
        &self,
        base: &Base,
        target: &Base,
        footing: &Footing,
        broken: Option<String>,
    ) -> Result<(Pruned, Seq), Fault> {
        let Hands {
            section,
            pen,
            clock,
            news,
        } = &self.hands;
        let journal = &pen.journal;
        let made = journal
            .made_at(start_of(target.segment), target.seq)
            .map_err(|refused| refusal(&refused))?;
        let since = made.ok_or_else(|| {
            Fault::new(format!("record {} can't be read back", target.seq))
                .hint("`tollgate audit verify` shows what is wrong")
        })?;
        let bodies = journal.bodies().map_err(|refused| refusal(&refused))?;
        let pruned = Pruned {
            first: target.seq,
            segment: target.segment,
            since,
            removed: target.seq.get().saturating_sub(base.seq.get()),
            body: bodies
                .keep(&footing.encode())
                .map_err(|error| body(&error))?,
            broken,
        };
        let placed = {
            let mut section = lock_section(section);
            section.commit(
                |entry| pen.put(entry),
                &**clock,
                record::prune(&pruned),
                true,
                0,
            )
        };
        let placed = placed.inspect_err(|_| {
            // No record names it, and on a full disk each attempt would leave another.
            if base.stand.is_none_or(|stand| stand.body != pruned.body) {
                let _ = bodies.forget(&pruned.body);
            }
        })?;
        pen.durable(placed.seq)?;
        news.tell(placed.seq);
        Ok((pruned, placed.seq))
    }

    fn carry_out(&mut self, pruned: Pruned, record: Seq) -> Result<bool, Fault> {
        let journal = &self.hands.pen.journal;
        let old = journal.base().stand.map(|stand| stand.body);
        let done = journal.prune(&pruned, record);
        if !matches!(done, Ok(true)) && journal.base().stand != Some(pruned.stand(record)) {
            // The base on disk may be the new one already: its body is needed.
            self.pending = Some((pruned, record));
            return done.map_err(|refused| refusal(&refused));
        }
        done.map_err(|refused| refusal(&refused))?;
        tracing::info!(
            records = pruned.removed,
            first = pruned.first.get(),
            "pruned records; the first that is kept is of {}",
            pruned.since
        );
        if let Some(old) = old.filter(|old| *old != pruned.body) {
            // By its name: a damaged one is not known for what it is.
            let bodies = journal.bodies().map_err(|refused| refusal(&refused))?;
            bodies.forget(&old).map_err(|error| body(&error))?;
        }
        self.tidy()?;
        Ok(pruned.removed > 0)
    }

    /// Removes what a kill or an error left.
    fn tidy(&self) -> Result<(), Fault> {
        let journal = &self.hands.pen.journal;
        journal.sweep().map_err(|refused| refusal(&refused))?;
        let named = journal.base().stand.map(|stand| stand.body);
        if named.is_none() && !journal.has_bodies() {
            return Ok(());
        }
        let bodies = journal.bodies().map_err(|refused| refusal(&refused))?;
        for name in bodies.list().map_err(|error| body(&error))? {
            if Some(name) != named && bodies.begins(&name, MAGIC) {
                bodies.forget(&name).map_err(|error| body(&error))?;
            }
        }
        Ok(())
    }
}

/// Whether a day has passed since records last went.
fn due(last: Option<jiff::Timestamp>, newest: Option<&Mark>) -> bool {
    let (Some(last), Some(newest)) = (last, newest) else {
        return newest.is_some();
    };
    let since = newest.latest.saturating_sub(last.as_microsecond());
    // Before zero the clock was ahead then.
    u64::try_from(since).map_or(true, |since| Duration::from_micros(since) >= DAY)
}

/// When the record was made that the base follows from, if it is there.
fn said(journal: &Journal, base: &Base) -> Result<Option<jiff::Timestamp>, Fault> {
    let Some(stand) = base.stand else {
        return Ok(None);
    };
    let mut found = None;
    let read = journal.read(stand.record, &mut |record, _| {
        if record.seq == stand.record
            && record.kind == Pruned::KIND
            && let Ok(pruned) = Pruned::read(record.line)
            && pruned.first == base.seq
            && pruned.body == stand.body
        {
            found = record.at.parse().ok();
        }
        std::ops::ControlFlow::Break(())
    });
    match read {
        // It is gone, or not to be had.
        Ok(()) | Err(Refused::Unreadable { .. }) => Ok(found),
        Err(refused) => Err(refusal(&refused)),
    }
}

/// What the journal below `state` stands on, if it was pruned, or why that is lost.
#[allow(
    clippy::type_complexity,
    reason = "the outer error is a failure, the inner one a finding"
)]
pub(super) fn footing(
    state: &Path,
    options: &Options,
) -> Result<Option<(Base, Result<Footing, String>)>, Fault> {
    let (base, bodies) = Journal::base_of(state, options).map_err(|refused| refusal(&refused))?;
    Ok(bodies.map(|bodies| (base, Footing::read(&bodies, &base))))
}

/// The same of an open journal, which then must have it.
pub(super) fn footing_of(journal: &Journal) -> Result<Option<Footing>, Fault> {
    let base = journal.base();
    if !base.is_pruned() {
        return Ok(None);
    }
    let bodies = journal.bodies().map_err(|refused| refusal(&refused))?;
    Footing::read(&bodies, &base).map(Some).map_err(|why| {
        Fault::new(format!(
            "what the journal stands on since records were pruned is lost: {why}"
        ))
        .hint("the state is whole, and it is made anew from that within an hour")
    })
}

/// Nothing is left to build the state from.
pub(super) fn lost(why: &str) -> Fault {
    Fault::new(format!(
        "the state can't be built anew: old records were pruned, and what followed from them \
         is lost: {why}"
    ))
    .hint(
        "restore `bodies`, or `state.sled` (it may lie there as `state.sled.aside-…` or \
         `.bad-…`), from a backup, or go on without the stops and pins of old records with \
         `tollgate state rebuild --accept-loss`",
    )
}

/// Whether the state can be built from the journal alone: before what is kept of it
/// is put out of the way.
pub(super) fn can_build(state: &Path, options: &Options) -> Result<(), Fault> {
    match footing(state, options)? {
        Some((_, footing)) => match footing.and_then(|footing| footing.state()) {
            Ok(_) => Ok(()),
            Err(why) => Err(lost(&why)),
        },
        None => Ok(()),
    }
}

fn body(error: &BodyError) -> Fault {
    Fault::new(format!("the state can't be kept in a body: {error}"))
        .hint("see to the disk of the state directory")
}

/// Nothing here leaves it half done but what the next turn goes on with.
pub(super) fn lock(retention: &Mutex<Retention>) -> MutexGuard<'_, Retention> {
    retention.lock().unwrap_or_else(PoisonError::into_inner)
}
