//! Support for the end-to-end tests: an agent and a tool server that both speak
//! raw lines, and a place for the broker between them.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::missing_panics_doc,
    reason = "a test ends where it fails, its helpers too; no test file uses all of them"
)]

pub mod agent;
pub mod home;
pub mod pair;
pub mod raw;
pub mod server;

use std::time::Duration;

/// However loaded the machine is, what takes longer has been forgotten.
pub const DEADLINE: Duration = Duration::from_secs(60);
