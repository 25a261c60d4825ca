//! The tool side: tool servers as processes and as speakers of the protocol.

pub mod child;
pub mod exit;
#[cfg(target_os = "linux")]
pub mod keeper;
pub mod launch;
#[cfg(target_os = "linux")]
mod procs;
pub mod stderr;
pub mod sweep;
