//! The tool side: tool servers as processes and as speakers of the protocol.

mod acknowledged;
mod arrival;
pub mod child;
mod deadline;
pub mod exit;
mod feed;
mod handshake;
mod health;
mod host;
mod instance;
#[cfg(target_os = "linux")]
pub mod keeper;
mod lane;
pub mod launch;
mod listing;
mod logged;
mod outgoing;
mod overdue;
mod place;
mod pool;
#[cfg(target_os = "linux")]
mod procs;
mod questions;
mod seat;
mod server;
pub mod stderr;
mod streams;
mod subscribe;
pub mod sweep;
mod switch;
mod ticket;
mod track;
mod turns;
mod unplaced;
mod unread;
mod watched;

pub use health::Health;
pub use launch::has_every_server;
pub use pool::{Known, Listed, Listener, Pool, Registered};
pub use switch::InForce;
