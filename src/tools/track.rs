//! How a server has behaved, and how it is therefore started the next time.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{
    exit::Gone,
    handshake::Hint,
    instance::{Instance, lock},
};
use crate::domain::{Era, Guise, Met};

/// The first wait after a failed start; it doubles up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(60);

/// An instance that lived this long did not fail to start.
const SETTLED: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Default)]
pub(super) struct Record {
    pub(super) failures: u32,
    pub(super) not_before: Option<Instant>,
    pub(super) trouble: Option<String>,
    pub(super) last_words: Vec<String>,
    /// In which it was met last.
    pub(super) era: Option<Era>,
    pub(super) met: Met,
    /// What the next instance that is started ahead of a run is told: who comes next is
    /// probably like who came last.
    pub(super) next: Guise,
    /// What the one is told that is being started for the catalogue, or was last.
    pub(super) starting: Option<Guise>,
    /// The last start failed in the era that counts: the next is tried in the other.
    pub(super) doubt: bool,
    pub(super) live: Vec<Weak<Instance>>,
    /// Every process that was started and is not known to be gone.
    pub(super) started: Vec<Process>,
    /// All of them were ended, and none is to be started any more.
    pub(super) is_closed: bool,
}

/// A process, and when nothing is left of it.
pub(super) type Process = (Weak<Instance>, watch::Receiver<Option<Gone>>);

impl Record {
    /// A process was started; says whether it may be.
    pub(super) fn started(&mut self, instance: &Arc<Instance>) -> bool {
        // Who watched it may have gone without a word.
        let goes_on = |gone: &watch::Receiver<Option<Gone>>| {
            gone.borrow().is_none() && gone.has_changed().is_ok()
        };
        self.started.retain(|(_, gone)| goes_on(gone));
        let gone = instance.child.gone();
        self.started.push((Arc::downgrade(instance), gone));
        !self.is_closed
    }

    /// Every process there is, to be ended; from here on none may be started.
    pub(super) fn close(&mut self) -> Vec<Process> {
        self.is_closed = true;
        std::mem::take(&mut self.started)
    }

    /// How a server is to be spoken to that is started now.
    pub(super) fn hint(&self, wanted: Era) -> Hint {
        match (self.met.of(wanted), self.doubt) {
            (Some(era), true) => Hint::Known(era.other()),
            (Some(era), false) => Hint::Known(era),
            (None, true) => Hint::First(wanted.other()),
            (None, false) => Hint::First(wanted),
        }
    }

    /// A start failed; `may_doubt` that the era is the one that it was.
    pub(super) fn not_met(&mut self, why: &str, may_doubt: bool) {
        self.failed(why);
        self.doubt = may_doubt && !self.doubt;
    }

    pub(super) fn failed(&mut self, why: &str) {
        let wait = FIRST_WAIT
            .saturating_mul(1_u32.checked_shl(self.failures.min(16)).unwrap_or(u32::MAX))
            .min(LAST_WAIT);
        self.failures += 1;
        self.not_before = Some(Instant::now() + wait);
        self.trouble = Some(why.to_owned());
    }
}

/// Writes down how an instance ended. One that fell over right after its start
/// counts as a start that failed.
pub(super) async fn remember_end(record: Arc<Mutex<Record>>, instance: Arc<Instance>) {
    let begun = Instant::now();
    let mut ended = instance.watch_end();
    let why = match ended.wait_for(Option::is_some).await {
        Ok(why) => why.clone().unwrap_or_default(),
        Err(_) => return,
    };
    let greeted = instance.greeting.get().is_some();
    let mut record = lock(&record);
    // Those of one that we ended explain nothing.
    if !(instance.was_ended() && record.trouble.is_some()) {
        record.last_words = instance.child.stderr().tail(50);
    }
    if instance.was_ended() || !greeted {
        return;
    }
    if begun.elapsed() < SETTLED {
        record.failed(&why);
    } else {
        record.failures = 0;
        record.not_before = None;
        record.trouble = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_start_is_tried_in_both_eras_in_turns() {
        let mut record = Record {
            met: Met::only(Era::Modern),
            ..Record::default()
        };
        let hints = |record: &mut Record, may_doubt| {
            [(); 3].map(|()| {
                let hint = record.hint(Era::Legacy);
                record.not_met("it left", may_doubt);
                hint
            })
        };
        let [modern, legacy] = [Era::Modern, Era::Legacy].map(Hint::Known);
        assert_eq!(hints(&mut record, true), [modern, legacy, modern]);
        // What the file says is not doubted.
        record.doubt = false;
        assert_eq!(hints(&mut record, false), [modern; 3]);
        // Nor is one that nobody knows left to the era in which it does not answer.
        record.met = Met::default();
        let [modern, legacy] = [Era::Modern, Era::Legacy].map(Hint::First);
        assert_eq!(hints(&mut record, true), [legacy, modern, legacy]);
    }
}
