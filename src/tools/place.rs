//! The instances that one run has of one server, and which of them a call gets.
//!
//! A server of the handshake era hears once what its client can be asked, and an
//! agent of the stateless era may declare something else with each request. Each
//! of the first few sets gets an instance that was told just that; after those a
//! call goes to one that was told less, and never to one that was told more: it
//! would ask what the agent cannot answer.

use std::sync::Arc;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

use super::{instance::Instance, server::ready};
use crate::domain::{Capabilities, Era, Guise};

/// Sets of capabilities that get an instance of their own in one run. There can be
/// one more, that is told nothing: every set has that one to go to. Clients declare one
/// or two; the conformance suite declares five.
const OWN: usize = 7;

/// An instance that is started once, however many calls want it.
pub(super) type Cell = Arc<AsyncMutex<Option<Arc<Instance>>>>;

/// The place while nobody else looks into it: an instance is being started for it.
pub(super) type Held = OwnedMutexGuard<Option<Arc<Instance>>>;

/// See the module.
#[derive(Default)]
pub(super) struct Places {
    /// That of the agent's first call: its servers are met in this one.
    era: Option<Era>,
    places: Vec<Place>,
    open: watch::Sender<()>,
}

/// Tells when the places of a run are gone.
pub(super) struct Open(watch::Receiver<()>);

impl Open {
    pub(super) async fn ended(&mut self) {
        // Nothing is ever sent.
        while self.0.changed().await.is_ok() {}
    }

    pub(super) fn has_ended(&self) -> bool {
        self.0.has_changed().is_err()
    }
}

/// One instance, and what it is told that can be asked.
struct Place {
    declare: Capabilities,
    cell: Cell,
}

impl Places {
    /// The instances that are there now.
    pub(super) fn instances(&self) -> impl Iterator<Item = Arc<Instance>> {
        self.places.iter().filter_map(Place::instance)
    }

    /// The one for a call of an agent that declares this.
    pub(super) fn instance(&self, declare: Capabilities) -> Option<Arc<Instance>> {
        self.find(declare).ok()?.instance()
    }

    /// Where that one is or will be, what it is told, and how long there is such a place.
    pub(super) fn cell(&mut self, guise: Guise) -> (Cell, Guise, Open) {
        let open = Open(self.open.subscribe());
        let era = *self.era.get_or_insert(guise.era);
        let (cell, can) = self.cell_of(guise.can);
        (cell, Guise { era, can }, open)
    }

    fn cell_of(&mut self, declare: Capabilities) -> (Cell, Capabilities) {
        match self.find(declare) {
            Ok(place) => (place.cell.clone(), place.declare),
            Err(declare) => {
                let cell = Cell::default();
                self.places.push(Place {
                    declare,
                    cell: cell.clone(),
                });
                (cell, declare)
            }
        }
    }

    /// The one for a call of an agent that declares this, or what a new one is told.
    fn find(&self, declare: Capabilities) -> Result<&Place, Capabilities> {
        // A server of the stateless era is told with every call.
        if let Some(modern) = self.places.iter().find(|place| place.is_modern()) {
            return Ok(modern);
        }
        let told: Vec<Capabilities> = self.places.iter().map(|place| place.declare).collect();
        match choose(&told, declare, OWN) {
            Choice::At(nth) => self.places.get(nth).ok_or(declare),
            Choice::New(declare) => Err(declare),
        }
    }
}

impl Place {
    fn instance(&self) -> Option<Arc<Instance>> {
        self.cell.try_lock().ok()?.clone()
    }

    fn is_modern(&self) -> bool {
        let instance = self.instance().and_then(ready);
        instance.is_some_and(|instance| instance.era() == Era::Modern)
    }
}

/// Which of the instances, or what a new one is told.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    At(usize),
    New(Capabilities),
}

/// Chooses by what the instances were told; `own` sets get one of their own.
fn choose(told: &[Capabilities], declare: Capabilities, own: usize) -> Choice {
    if let Some(same) = told.iter().position(|told| *told == declare) {
        return Choice::At(same);
    }
    if told.len() < own {
        return Choice::New(declare);
    }
    let weaker = told.iter().enumerate().rev();
    let weaker = weaker.filter(|(_, told)| told.is_within(declare));
    match weaker.max_by_key(|(_, told)| told.count()) {
        Some((closest, _)) => Choice::At(closest),
        None => Choice::New(Capabilities::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Capabilities = Capabilities {
        form: false,
        url: false,
        sampling: false,
        sampling_tools: false,
        sampling_context: false,
        roots: false,
    };
    const FORM: Capabilities = Capabilities {
        form: true,
        ..NOTHING
    };
    const BOTH: Capabilities = Capabilities { url: true, ..FORM };
    const ROOTS: Capabilities = Capabilities {
        roots: true,
        ..NOTHING
    };
    const ALL: Capabilities = Capabilities {
        roots: true,
        ..BOTH
    };

    #[test]
    fn the_first_sets_get_an_instance_each_and_the_same_set_the_same_one() {
        assert_eq!(choose(&[], FORM, 3), Choice::New(FORM));
        assert_eq!(choose(&[FORM], BOTH, 3), Choice::New(BOTH));
        assert_eq!(choose(&[FORM, BOTH], ROOTS, 3), Choice::New(ROOTS));
        assert_eq!(choose(&[FORM, BOTH, ROOTS], BOTH, 3), Choice::At(1));
    }

    #[test]
    fn after_those_a_call_goes_to_the_one_that_was_told_most_of_what_it_declares() {
        assert_eq!(choose(&[FORM, BOTH, ROOTS], ALL, 3), Choice::At(1));
        assert_eq!(choose(&[FORM, NOTHING, ROOTS], ALL, 3), Choice::At(0));
        assert_eq!(choose(&[NOTHING, BOTH, ROOTS], FORM, 3), Choice::At(0));
    }

    #[test]
    fn where_all_were_told_more_the_last_one_is_told_nothing() {
        let told = [ALL, BOTH, ROOTS];
        assert_eq!(choose(&told, FORM, 3), Choice::New(NOTHING));
        let told = [ALL, BOTH, ROOTS, NOTHING];
        assert_eq!(choose(&told, FORM, 3), Choice::At(3));
    }
}
