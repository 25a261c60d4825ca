//! Faults of tool servers, and limits, as those on the line feel them, with real
//! processes and pipes. One program, so that what waits in one does not hold up the
//! others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, reads the clock that the program reads, and measures how soon an agent hears of a kill"
)]

mod asked;
mod bounds;
mod charged;
mod eras;
mod faults;
mod folders;
mod halt;
mod leaving;
mod lines;
mod pair;
mod queue;
mod retries;
mod spelt;
mod starts;
mod stopped;
mod storms;
mod streams;
#[path = "../support/mod.rs"]
mod support;

use support::home::{Home, only};

fn limited(but: &str) -> Home {
    let home = Home::new();
    std::fs::write(home.at("config/tollgate.toml"), only(but)).unwrap();
    home
}
