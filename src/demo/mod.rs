//! The demo: a tool server that only pretends, and a scripted agent that works
//! with it through the broker.
//!
//! [`play`] starts the broker as a client would, as a child over pipes, so what
//! it shows is what a client gets. It knows the protocol and the command line,
//! and nothing of the broker's insides.

mod client;
mod files;
mod ground;
mod mailbox;
mod offer;
mod payments;
mod play;
mod purse;
mod script;
mod server;
mod services;
mod tell;

pub use play::{Say, Trouble, play};
pub use server::serve;
