//! The memory of tollgate, behind the [`Store`](crate::ports::Store) port.

mod memory;
mod shelf;

pub use memory::MemoryStore;
pub use shelf::FileShelf;
