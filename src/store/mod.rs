//! The memory of tollgate, behind the [`Store`](crate::ports::Store) port, and
//! the record of everything.

pub mod journal;
mod memory;
mod shelf;
pub mod stop_file;

pub use memory::MemoryStore;
pub use shelf::FileShelf;
