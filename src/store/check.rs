//! Whether the state is what follows from the records: in memory, and as it is kept.

use std::ops::ControlFlow;

use super::{
    entry::{self, Entries},
    journal::{Place, Placed, Seq},
    ledger::Log,
    state::State,
};
use crate::domain::Fault;

/// The state at a moment: its entries, the last record, the first that is indexed.
type Now = (Entries, Option<Placed>, Option<(Seq, Place)>);

/// Compares; `now` tells the state.
pub(super) fn check<L: Log>(log: &L, now: impl FnOnce() -> Now) -> Result<String, Fault> {
    let kept = log.kept()?;
    let (now, last, from) = now();
    let (Some(last), Some((first, place))) = (last, from) else {
        return Ok("there are no records yet".to_owned());
    };
    log.write(last.seq)?;
    let mut anew = State::default();
    let mut failed = None;
    let mut then = None;
    log.read(place, &mut |seen| {
        if let Err(why) = seen.replay(&mut anew) {
            failed = Some(format!("record {}: {why}", seen.placed.seq));
        }
        if kept
            .as_ref()
            .is_some_and(|(_, seq)| *seq == seen.placed.seq)
        {
            then = Some(anew.entries());
        }
        match seen.placed.seq < last.seq && failed.is_none() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    let hint = "`tollgate state rebuild` builds it anew from the journal";
    if let Some(failed) = failed {
        return Err(Fault::new(format!(
            "the journal can't be replayed: {failed}"
        )));
    }
    if let Some(key) = difference(&now, &anew.entries()) {
        return Err(Fault::new(format!(
            "the state in memory is not what follows from the journal: they differ in {key}"
        ))
        .hint(hint));
    }
    let memory = format!(
        "records {first} to {}: the state is what follows from them",
        last.seq
    );
    match (kept, then) {
        (None, _) => Ok(memory),
        (Some((entries, seq)), Some(then)) => match difference(&entries, &then) {
            None => Ok(format!("{memory}; so is what is kept up to record {seq}")),
            Some(key) => Err(Fault::new(format!(
                "what is kept up to record {seq} is not what follows from the journal: \
                     they differ in {key}"
            ))
            .hint(hint)),
        },
        (Some((_, seq)), None) => Ok(format!(
            "{memory}; what is kept belongs to record {seq}, which is not there any more"
        )),
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
