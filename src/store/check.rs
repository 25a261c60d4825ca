//! Whether the state in memory, what is kept of it and what follows from the
//! journal are the same.

use std::ops::ControlFlow;
use std::sync::Mutex;

use super::{
    entry::{self, Entries},
    footing::Footing,
    journal::{Base, Place, Placed, Seq, start_of},
    ledger::lock,
    log::Log,
    section::Section,
    state::State,
};
use crate::domain::Fault;

const HINT: &str = "`tollgate state rebuild` builds it anew from the journal";

/// How often it is tried when records are pruned meanwhile.
const TRIES: u32 = 3;

/// Compares them, and says what was found.
pub(super) fn check<L: Log + ?Sized>(log: &L, section: &Mutex<Section>) -> Result<String, Fault> {
    // A replay takes every record for what was written.
    if let Some(broken) = log.verify()?.broken {
        return Err(Fault::new(format!(
            "the state can't be checked, because the journal is damaged: {broken}"
        ))
        .hint(
            "the state in memory and what is kept of it may be all that is whole: do not have it \
             built anew; restore `journal` from a backup",
        ));
    }
    let mut tries = TRIES;
    loop {
        let base = log.base();
        let found = compare(log, section);
        tries -= 1;
        // The records may have gone while they were read.
        if tries == 0 || log.base() == base {
            return found;
        }
    }
}

fn compare<L: Log + ?Sized>(log: &L, section: &Mutex<Section>) -> Result<String, Fault> {
    let kept = log.kept()?;
    let footing = log.footing()?;
    let (now, last) = {
        let section = lock(section);
        (section.state.entries(), section.state.last())
    };
    let Some(last) = last else {
        return Ok("there are no records yet".to_owned());
    };
    log.write(last.seq)?;
    let Begin { state, seen, from } = begin(footing.as_ref(), &log.base())?;
    let kept_at = kept.as_ref().map(|(_, seq)| *seq);
    let (anew, then) = replay(log, state, seen, from, last, kept_at)?;
    if let Some(key) = difference(&now, &anew) {
        return Err(Fault::new(format!(
            "the state in memory is not what follows from the journal: they differ in {key}"
        ))
        .hint(HINT));
    }
    let memory = format!(
        "records {} to {}: the state is what follows from them",
        seen.next(),
        last.seq
    );
    // Until it has seen that records were pruned it names some that are gone.
    let pruned = log.base().stand.map_or(Seq::ZERO, |stand| stand.record);
    match (kept, then) {
        (None, _) => Ok(memory),
        (Some((_, seq)), _) if seq < pruned => Ok(format!(
            "{memory}; what is kept is older, from record {seq}"
        )),
        (Some((entries, seq)), Some(then)) => match difference(&entries, &then) {
            None => Ok(format!("{memory}; so is what is kept up to record {seq}")),
            Some(key) => Err(Fault::new(format!(
                "what is kept up to record {seq} is not what follows from the journal: \
                 they differ in {key}"
            ))
            .hint(HINT)),
        },
        (Some((_, seq)), None) => Ok(format!(
            "{memory}; what is kept belongs to record {seq}, which is not there any more"
        )),
    }
}

/// What a replay begins with.
struct Begin {
    state: State,
    /// The last record that the state has seen.
    seen: Seq,
    /// Where to read from, and the record that stands there.
    from: (Seq, Place),
}

/// From nothing, or from what a pruned journal stands on.
fn begin(footing: Option<&Footing>, base: &Base) -> Result<Begin, Fault> {
    let Some(footing) = footing else {
        return Ok(Begin {
            state: State::default(),
            seen: base.seq.previous(),
            from: (base.seq, start_of(base.segment)),
        });
    };
    let state = footing
        .state()
        .map_err(|why| Fault::new(format!("what the journal stands on can't be read: {why}")))?;
    Ok(Begin {
        state,
        seen: footing.applied.seq,
        from: (footing.applied.seq, footing.applied.place),
    })
}

/// The state up to `last`, and what it was at `then`.
fn replay<L: Log + ?Sized>(
    log: &L,
    mut state: State,
    seen: Seq,
    (first, from): (Seq, Place),
    last: Placed,
    then: Option<Seq>,
) -> Result<(Entries, Option<Entries>), Fault> {
    let mut failed = None;
    let mut there = None;
    log.read(first, from, &mut |record| {
        let seq = record.placed.seq;
        if seq <= seen {
            return ControlFlow::Continue(());
        }
        if let Err(why) = record.replay(&mut state) {
            failed = Some(format!("record {seq}: {why}"));
        }
        if then == Some(seq) {
            there = Some(state.entries());
        }
        match seq < last.seq && failed.is_none() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    match failed {
        Some(failed) => Err(Fault::new(format!(
            "the journal can't be replayed: {failed}"
        ))),
        None => Ok((state.entries(), there)),
    }
}

/// The first key in which two states differ.
fn difference(one: &Entries, other: &Entries) -> Option<String> {
    let changed = one
        .iter()
        .find(|(key, value)| other.get(*key) != Some(value))
        .map(|(key, _)| key);
    let key = changed.or_else(|| other.keys().find(|key| !one.contains_key(*key)))?;
    Some(format!("`{}`", entry::show(key)))
}
