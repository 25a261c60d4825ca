//! The words of tollgate: plain data, no I/O, no clock, no async.

mod name;
mod tier;

pub use name::{AgentName, NameError, Owner, ServerName};
pub use tier::{Offer, Tier};
