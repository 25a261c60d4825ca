//! What budgets hold when everything happens to them: many at once, kills, restarts and
//! clocks that jump. One program, so that what takes long in one does not hold up the
//! others.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; its helpers serve several programs"
)]

mod asked;
mod ledger;
mod overspend;
mod replay;
#[path = "../support/mod.rs"]
mod support;
#[path = "../limits/mod.rs"]
mod world;
