//! From a state directory to a journal that was read to its end, and the state
//! that follows from it.
//!
//! A replay begins with what is kept of the state, if that is whole; else with
//! what a pruned journal stands on; else with nothing.

use std::io;
use std::path::Path;

use super::{
    checkpoint::{Kept, Loaded, move_aside},
    journal::{Journal, Loss, Open, Opened, Options, Place, Placed, Record, Refused, Seq},
    local::Setup,
    retention,
    section::Seen,
    sled::Trouble,
    state::State,
};
use crate::domain::Fault;

/// The directory in which the state is kept, below the state directory.
pub(super) const KEPT: &str = "state.sled";

/// What is kept of the state, if it is whole; else it is put out of the way.
pub(super) fn load(setup: &Setup, dir: &Path) -> Result<(Option<Loaded>, Option<String>), Fault> {
    let there = std::fs::read_dir(dir).is_ok_and(|mut names| names.next().is_some());
    if setup.keep_every.is_none() || !there {
        return Ok((None, None));
    }
    // The journal's first record is older than anything that is kept.
    if setup.loss == Loss::Refuse && !has_records(setup)? {
        return Err(Fault::new(format!(
            "the journal is missing, but the state that followed from it is there (`{KEPT}`)"
        ))
        .hint(format!(
            "restore `journal` from a backup; to begin anew without its records, stops and pins, \
             move `{}` away",
            dir.display()
        )));
    }
    if setup.rebuild {
        retention::can_build(&setup.state, &options(setup))?;
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

fn has_records(setup: &Setup) -> Result<bool, Fault> {
    let dir = setup.state.join("journal");
    let unclear = |path: &Path, e: io::Error| {
        Fault::new(format!("can't read `{}`: {e}", path.display()))
            .hint("see what is in its way; the records may all be there")
    };
    let names = match setup.disk.list(&dir) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(unclear(&dir, e)),
    };
    for name in names.iter().filter(|name| name.ends_with(".jsonl")) {
        let path = dir.join(name);
        let file = setup.disk.open(&path, Open::Read);
        let length = file.and_then(|file| file.length());
        if length.map_err(|e| unclear(&path, e))? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A journal that was read to its end.
pub(super) struct Replayed {
    pub(super) state: State,
    pub(super) journal: Journal,
    pub(super) opened: Opened,
    pub(super) kept: Option<Kept>,
    pub(super) note: Option<String>,
}

fn options(setup: &Setup) -> Options {
    Options {
        disk: setup.disk.clone(),
        segment_bytes: setup.segment_bytes,
        pace: setup.pace,
        loss: setup.loss,
        ..Options::new(setup.clock.now())
    }
}

/// What a replay begins with.
#[derive(Default)]
struct Begin {
    state: State,
    /// The last record that the state has seen.
    known: Seq,
    /// The same, if it must be in the journal.
    anchor: Option<Placed>,
    kept: Option<Kept>,
    /// Whether it comes from what a pruned journal stands on.
    footing: bool,
}

impl Begin {
    fn with(loaded: Loaded) -> Self {
        let (state, applied, kept) = loaded.split();
        Self {
            state,
            known: applied.seq,
            anchor: Some(applied),
            kept: Some(kept),
            footing: false,
        }
    }

    /// From the journal alone.
    fn anew(setup: &Setup, note: &mut Option<String>) -> Result<Self, Fault> {
        let found = retention::footing(&setup.state, &options(setup))?;
        let Some((base, footing)) = found else {
            return Ok(Self::default());
        };
        let read = footing.and_then(|footing| Ok((footing.state()?, footing)));
        match read {
            Ok((state, footing)) => Ok(Self {
                state,
                known: footing.applied.seq,
                anchor: footing.anchor(&base),
                kept: None,
                footing: true,
            }),
            Err(why) => Self::lost(setup, &why, note),
        }
    }

    /// Neither what was kept nor what the journal stands on is whole.
    fn lost(setup: &Setup, why: &str, note: &mut Option<String>) -> Result<Self, Fault> {
        if setup.loss == Loss::Refuse {
            return Err(retention::lost(why));
        }
        *note = Some(format!(
            "an operator accepted the loss of the state before the records that are kept: {why}"
        ));
        Ok(Self::default())
    }
}

pub(super) fn replay(
    setup: &Setup,
    dir: &Path,
    loaded: Option<Loaded>,
    mut note: Option<String>,
) -> Result<Replayed, Fault> {
    let begin = match loaded {
        Some(loaded) => Begin::with(loaded),
        None => Begin::anew(setup, &mut note)?,
    };
    go_on(setup, dir, begin, note)
}

fn go_on(
    setup: &Setup,
    dir: &Path,
    begin: Begin,
    mut note: Option<String>,
) -> Result<Replayed, Fault> {
    let Begin {
        mut state,
        known,
        anchor,
        kept,
        footing,
    } = begin;
    let options = Options {
        anchor,
        known,
        replay_from: known.next(),
        ..options(setup)
    };
    let mut visit = |record: &Record<'_>, place: Place| seen(record, place).replay(&mut state);
    let (journal, opened) =
        Journal::open(&setup.state, options, &mut visit).map_err(|refused| refusal(&refused))?;
    if let Some(anchor) = anchor.filter(|anchor| anchor.seq != opened.first) {
        // The record that it names is not the one in the journal.
        let pruned = anchor.seq < journal.base().seq;
        drop((journal, kept));
        if footing {
            let begin = Begin::lost(setup, "it belongs to another journal", &mut note)?;
            return go_on(setup, dir, begin, note);
        }
        let why = match pruned {
            true => "it is older than the records that are kept",
            false => "it belongs to another journal",
        };
        let note = aside(dir, why)?;
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

pub(super) fn refusal(refused: &Refused) -> Fault {
    Fault::new(refused.to_string()).hint(refused.hint())
}

pub(super) fn seen<'a>(record: &Record<'a>, place: Place) -> Seen<'a> {
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
