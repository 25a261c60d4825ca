//! The memory of tollgate, behind the [`Store`](crate::ports::Store) port, and
//! the record of everything.

mod change;
mod checkpoint;
mod entry;
mod index;
pub mod journal;
mod ledger;
mod local;
mod memory;
mod record;
mod redact;
mod search;
mod shelf;
mod sled;
mod state;
pub mod stop_file;

pub use local::{LocalStore, Setup, verify_files};
pub use memory::MemoryStore;
pub use shelf::FileShelf;
