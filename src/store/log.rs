//! What a store writes its records to: the journal, or memory.

use std::ops::ControlFlow;

use super::{
    entry::Entries,
    footing::Footing,
    journal::{Base, Entry, Place, Placed, Seq},
    section::Seen,
};
use crate::{
    domain::Fault,
    ports::{Boxed, Verified},
};

/// Where records go.
pub(super) trait Log: Send + Sync {
    /// Puts a record behind all others; it is not written yet.
    fn put(&self, entry: &Entry<'_>) -> Result<Placed, Fault>;

    /// Whether a record would be taken now, and `keep` bytes remain behind it.
    fn ready(&self, _keep: u64) -> Result<(), Fault> {
        Ok(())
    }

    /// Why the state is no longer kept beside the records, if it is not.
    fn unkept(&self) -> Option<String> {
        None
    }

    /// Returns once everything up to `up_to` survives a kill.
    fn write(&self, up_to: Seq) -> Result<(), Fault>;

    /// Resolves once everything up to `seq` survives a power cut; none if
    /// nothing ever does.
    fn synced(&self, seq: Seq) -> Option<Boxed<'static, Result<(), Fault>>>;

    /// Makes what is written survive a power cut, at once.
    fn sync(&self) -> Result<(), Fault>;

    /// Hands the written records from `first` on, which stands at a place, to `visit`
    /// until it breaks off.
    fn read(
        &self,
        first: Seq,
        from: Place,
        visit: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault>;

    /// Walks the chain.
    fn verify(&self) -> Result<Verified, Fault>;

    /// The state that is kept beside the records, and up to which one.
    fn kept(&self) -> Result<Option<(Entries, Seq)>, Fault>;

    /// Where the records begin.
    fn base(&self) -> Base {
        Base::GENESIS
    }

    /// The state that was there before them, if they were not always the first.
    fn footing(&self) -> Result<Option<Footing>, Fault> {
        Ok(None)
    }

    /// Ends in order.
    fn close(&self);
}
