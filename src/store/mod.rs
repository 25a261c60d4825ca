//! The memory of tollgate, behind the [`Store`](crate::ports::Store) port, and
//! the record of everything.

mod aftermath;
mod age;
mod calendar;
mod change;
mod check;
mod checkpoint;
mod circuits;
mod conduct;
mod entry;
mod entry_limits;
mod files;
mod footing;
mod index;
pub mod journal;
mod ledger;
mod limits;
mod local;
mod map;
mod members;
mod memory;
mod news;
mod of_call;
mod of_limits;
mod pins;
mod rates;
mod record;
mod record_limits;
mod redact;
mod retention;
mod search;
mod secrets;
mod section;
mod series;
mod shelf;
mod sight;
mod sled;
mod start;
mod state;
pub mod stop_file;
mod usage;

pub use files::{can_rebuild, verify_files};
pub use local::{LocalStore, Setup};
pub use memory::MemoryStore;
pub use redact::name as recorded_name;
pub use shelf::FileShelf;
