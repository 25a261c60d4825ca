//! tollgate: the gate between AI agents and the tools they use.
//!
//! An MCP server that re-exports the tools of other MCP servers and stands in
//! the way of every call. `ARCHITECTURE.md` tells the life of a call and holds
//! the table of layers; `tests/layers.rs` holds the code to it.
//!
//! Modules, from the innermost layer outwards:
//!
//! * words: [`domain`]
//! * pure: wire, config, gate
//! * needs: (ports, clock, ids)
//! * flow: (broker)
//! * edges: store, tools, agent, control
//! * wiring: daemon, shim, cli, demo

pub mod domain;
pub mod store;
