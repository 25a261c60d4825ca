//! `tollgate audit verify`: the chain of records, walked from its beginning.

use std::path::Path;

use super::out::Out;
use super::{LONG, Trouble, ask_on, beside_the_point, elsewhere_hint};
use crate::clock::SystemClock;
use crate::control::{Question, Reply};
use crate::daemon::{Door, Failure, FailureKind, Place, connect, elsewhere, is_held};
use crate::domain::Fault;
use crate::ports::{PrunedBy, Verified};
use crate::store;

pub(super) fn run(place: &Place, out: &mut Out) -> Result<(), Trouble> {
    let verified = match connect(place, Door::Control)? {
        Some(daemon) => {
            let reply = ask_on(place, &daemon, Question::Verify, LONG);
            let Reply::Verified(verified) = reply.map_err(Failure::from)? else {
                return Err(beside_the_point().into());
            };
            verified
        }
        // A journal that is damaged keeps the daemon from starting: then it is
        // looked at where it lies.
        None => {
            let verified = store::verify_files(&place.state, &SystemClock::new());
            let verified = verified.map_err(unreadable)?;
            // What is being written is not in order yet.
            if is_held(place) && verified != whole(&verified) {
                return Err(Failure::fault("a daemon was started meanwhile")
                    .hint("try again: now it is asked")
                    .into());
            }
            verified
        }
    };
    out.line(verdict(&verified, &place.config))?;
    let others = elsewhere(place);
    if verified.records == 0 && !others.is_empty() {
        out.line(elsewhere_hint(&others))?;
    }
    match verified.broken {
        None => Ok(()),
        Some(_) => Err(Trouble::Answer(FailureKind::Fault.exit_code())),
    }
}

/// The same with nothing wrong.
fn whole(verified: &Verified) -> Verified {
    Verified {
        broken: None,
        unsynced: None,
        ..verified.clone()
    }
}

fn unreadable(fault: Fault) -> Failure {
    let failure = Failure::fault(fault.says);
    match fault.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn verdict(verified: &Verified, config: &Path) -> String {
    let Verified {
        records,
        first,
        last,
        pruned,
        broken,
        unsynced,
        uncompared,
    } = verified;
    let end = unsynced
        .as_ref()
        .map(|end| format!("; the end was never synced, and the next start cuts it off: {end}"))
        .unwrap_or_default();
    match broken {
        None if *records == 0 => format!(
            "ok  no records yet for the configuration `{}`{end}",
            config.display()
        ),
        None => {
            let earlier = pruned.as_ref().map(|by| gone(*first, by));
            let earlier = earlier.unwrap_or_default();
            let uncompared = uncompared
                .as_ref()
                .map(|why| format!("; not compared with the state beside it: {why}"))
                .unwrap_or_default();
            format!(
                "ok  {records} records, {first} to {last}, the chain is unbroken{earlier}{uncompared}{end}"
            )
        }
        Some(broken) => format!("BROKEN  {records} records are in order, then: {broken}"),
    }
}

/// Why the record does not begin with number one.
fn gone(first: u64, by: &PrunedBy) -> String {
    let day = by.at.get(..10).unwrap_or(&by.at);
    let mut said = format!(
        "; those before {first} were pruned on {day}, as record {} says",
        by.record
    );
    if let Some(broken) = &by.broken {
        said.push_str(&format!("; one of them was damaged: {broken}"));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pruned_record_says_where_it_begins_and_why() {
        let pruned = Verified {
            records: 5,
            first: 12,
            last: 16,
            pruned: Some(PrunedBy {
                record: 14,
                at: "2026-03-04T05:06:07.000001Z".into(),
                broken: None,
            }),
            broken: None,
            unsynced: None,
            uncompared: Some("none is kept".into()),
        };
        assert_eq!(
            verdict(&pruned, Path::new("/c")),
            "ok  5 records, 12 to 16, the chain is unbroken; \
             those before 12 were pruned on 2026-03-04, as record 14 says; \
             not compared with the state beside it: none is kept"
        );
    }

    #[test]
    fn a_broken_chain_is_told_with_its_first_record() {
        let broken = Verified {
            records: 6,
            first: 1,
            last: 6,
            pruned: None,
            broken: Some("record 7 in 000001.jsonl, line 7: its hash does not fit".into()),
            unsynced: None,
            uncompared: None,
        };
        assert_eq!(
            verdict(&broken, Path::new("/c")),
            "BROKEN  6 records are in order, then: record 7 in 000001.jsonl, line 7: its hash does not fit"
        );
    }
}
