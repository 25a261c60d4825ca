//! Old records go: what stays, and what happens when something goes wrong meanwhile. One
//! program: the month of records that most of it begins with is made once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; its helpers serve several programs"
)]

mod damage;
#[path = "../prompt/mod.rs"]
mod prompt;
#[path = "../pruning/mod.rs"]
mod pruning;
mod records;
mod runs;
#[path = "../simdisk/mod.rs"]
mod simdisk;
#[path = "../stores/mod.rs"]
mod stores;
#[path = "../limits/mod.rs"]
mod world;
