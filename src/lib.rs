//! tollgate: the gate between AI agents and the tools they use.
//!
//! An MCP server that re-exports the tools of other MCP servers and stands in
//! the way of every call. `ARCHITECTURE.md` tells the life of a call and holds
//! the table of layers; `tests/layers.rs` holds the code to it.
//!
//! Modules, from the innermost layer outwards:
//!
//! * words: [`domain`]
//! * pure: [`wire`], [`config`], [`gate`]
//! * needs: [`ports`], [`clock`], [`ids`], [`lines`]
//! * flow: [`broker`]
//! * edges: [`store`], [`tools`], [`agent`], [`control`]
//! * wiring: [`daemon`], [`shim`], [`cli`], [`demo`]

#[cfg(not(unix))]
compile_error!("tollgate passes descriptors over unix sockets: it serves Linux, and macOS in part");

pub mod agent;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod domain;
pub mod gate;
pub mod ids;
pub mod lines;
pub mod measure;
pub mod ports;
pub mod service;
pub mod shim;
pub mod store;
pub mod tools;
pub mod wire;
