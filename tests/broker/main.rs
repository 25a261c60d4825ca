//! A broker without processes: the catalogue, who leaves, what is measured, what is missed,
//! what its agent is asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads the clock for what must not take long"
)]

mod asked;
mod catalogue;
mod leaving;
mod measuring;
mod storm;
mod world;
