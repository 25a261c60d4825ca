//! A state directory that nobody has open: whether its journal is whole, and whether the
//! state can be built anew from it.

use std::path::Path;

use super::{
    checkpoint::Loaded,
    journal::{Loss, Options, Placed, RealDisk, Refused, Report, behind, is_fresh, verify_with},
    retention,
    sled::Trouble,
    start::{KEPT, refusal, seen},
};
use crate::{
    clock::Clock,
    domain::{Fault, Stop},
    ports::{PrunedBy, Verified},
};

/// Walks the journal of a state directory that nobody has open, and asks the state that
/// is kept beside it how far it went.
///
/// # Errors
/// When it cannot be read at all.
pub fn verify_files(state: &Path, clock: &dyn Clock) -> Result<Verified, Fault> {
    let kept = kept(state);
    let report = walked(state, &kept)?;
    // What is kept, and is not known to follow from these records, is no help to a start.
    let stands_alone = report.pruned.is_some() && report.follows != Some(true);
    let uncompared = match (kept, report.follows) {
        (Kept::Nothing, _) => Some("none is kept".to_owned()),
        (Kept::Unknown(why), _) => Some(why),
        (Kept::To(_), Some(false)) => Some("it belongs to another journal".to_owned()),
        (Kept::To(at), None) if at.seq < report.first => {
            Some("it is older than the records that are kept".to_owned())
        }
        (Kept::To(_), Some(true) | None) => None,
    };
    let mut verified = verified(report);
    if stands_alone && verified.broken.is_none() {
        let built = retention::can_build(state, &options(clock));
        verified.broken = built.err().map(|fault| fault.says);
    }
    verified.uncompared = uncompared.filter(|_| verified.records > 0);
    Ok(verified)
}

/// Whether the state of a state directory that nobody has open can be built anew
/// from its journal.
///
/// # Errors
/// When it can't, or when the journal can't be read.
pub fn can_rebuild(state: &Path, clock: &dyn Clock) -> Result<(), Fault> {
    let kept = kept(state);
    let report = walked(state, &kept)?;
    // With nothing beside it that could be lost, the next start begins anew.
    let is_new = report.vanished && matches!(kept, Kept::Nothing);
    // A tail that was never safe is cut off by the next start.
    if !is_new && let Some(broken) = verified(report).broken {
        return Err(Fault::new(format!(
            "the state can't be built anew, because the journal is damaged: {broken}"
        ))
        .hint(
            "restore `journal` from a backup: what is kept of the state may be all that is whole; \
             or go on behind the last record that is in order, with \
             `tollgate state rebuild --accept-loss`",
        ));
    }
    retention::can_build(state, &options(clock))
}

/// The stops that the next start of a state directory that nobody has open finds in the
/// record: those of the state that is kept, and what the records behind it make of them.
///
/// # Errors
/// When that state is not there or does not fit the record: then only a start finds out.
pub fn stops_of_files(state: &Path) -> Result<Vec<Stop>, String> {
    let dir = state.join(KEPT);
    let says = |refused: Refused| refused.to_string();
    // Looking makes no state where there is none: a start would take it for one.
    if !is_there(&dir) {
        return match is_fresh(&RealDisk, state).map_err(says)? {
            true => Ok(Vec::new()),
            false => Err("no state is kept beside it".to_owned()),
        };
    }
    let Loaded {
        state: mut kept,
        applied,
        ..
    } = Loaded::read(&dir).map_err(|trouble| {
        let why = told(trouble);
        format!("the state that is kept beside it can't be used: {why}")
    })?;
    let read = behind(&RealDisk, state, applied, &mut |record, place| {
        seen(record, place).replay(&mut kept)
    });
    match read.map_err(says)? {
        true => Ok(kept.stops().to_vec()),
        false => Err("the last record that the kept state knows of is not there".to_owned()),
    }
}

fn options(clock: &dyn Clock) -> Options {
    Options {
        loss: Loss::Refuse,
        ..Options::new(clock.now())
    }
}

/// What is kept of the state beside the journal.
enum Kept {
    Nothing,
    /// It follows from everything up to this record.
    To(Placed),
    /// It can't be asked.
    Unknown(String),
}

fn kept(state: &Path) -> Kept {
    let dir = state.join(KEPT);
    if !is_there(&dir) {
        return Kept::Nothing;
    }
    match Loaded::read(&dir) {
        Ok(loaded) => Kept::To(loaded.applied),
        Err(trouble) => Kept::Unknown(told(trouble)),
    }
}

/// Whether something is kept in this directory.
fn is_there(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut names| names.next().is_some())
}

fn told(trouble: Trouble) -> String {
    match trouble {
        Trouble::InUse => "another process has opened it".to_owned(),
        Trouble::Bad(why) => why,
    }
}

fn walked(state: &Path, kept: &Kept) -> Result<Report, Fault> {
    let applied = match kept {
        Kept::To(applied) => Some(*applied),
        Kept::Nothing | Kept::Unknown(_) => None,
    };
    verify_with(&RealDisk, state, None, applied).map_err(|refused| refusal(&refused))
}

const HEADLESS: &str =
    "`journal/head`, which says how far records were written safely, is missing or damaged";

const VANISHED: &str = "`journal.key` is there, and nothing that was written under it: the \
     journal was removed, or a first start was killed before it had one; the next start begins anew";

/// A walk as people are told of it.
pub(super) fn verified(report: Report) -> Verified {
    let (first, last) = (report.first.get(), report.last.get());
    let (headless, vanished) = (report.headless, report.vanished);
    let (broken, unsynced) = match report
        .broken
        .map(|broken| (broken.tail, broken.to_string()))
    {
        // How far it was safe is what the head would say.
        Some((_, broken)) if headless => (Some(format!("{broken}; and {HEADLESS}")), None),
        Some((true, end)) => (None, Some(end)),
        Some((false, broken)) => (Some(broken), None),
        None if headless => (Some(HEADLESS.to_owned()), None),
        None if vanished => (Some(VANISHED.to_owned()), None),
        None => (None, None),
    };
    Verified {
        records: (last + 1).saturating_sub(first),
        first,
        last,
        pruned: report.pruned.map(|by| PrunedBy {
            record: by.record.get(),
            at: by.at,
            broken: by.says.broken,
        }),
        broken,
        unsynced,
        uncompared: None,
    }
}
