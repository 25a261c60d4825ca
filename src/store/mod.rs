//! The memory of tollgate, behind the [`Store`](crate::ports::Store) port, and
//! the record of everything.

mod age;
mod change;
mod check;
mod checkpoint;
mod entry;
mod footing;
mod index;
pub mod journal;
mod ledger;
mod local;
mod memory;
mod record;
mod redact;
mod retention;
mod search;
mod shelf;
mod sled;
mod start;
mod state;
pub mod stop_file;

pub use local::{LocalStore, Setup, verify_files};
pub use memory::MemoryStore;
pub use retention::can_rebuild;
pub use shelf::FileShelf;
