//! Where the record and the state of the broker live.

pub mod journal;
