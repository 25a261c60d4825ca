//! The maps of what is looked up within the critical section, for every call and many
//! times in each.
//!
//! Their keys are names from the configuration, names of tools that were pinned and ids
//! that we drew: nobody can send as many as it takes to make them collide. The usual
//! hasher, which defends against that, was a twentieth of all instructions of a call.

use foldhash::fast::RandomState;

pub(super) type Map<K, V> = std::collections::HashMap<K, V, RandomState>;
pub(super) type Set<K> = std::collections::HashSet<K, RandomState>;
