//! The maps of what is looked up within the critical section, for every call and many
//! times in each.
//!
//! An agent may choose its name, where the configuration lists none, and the id of a
//! run; each that is kept costs it a connection and a record. The seeds are drawn for
//! each process and no hash is told to anybody. So who wants keys that collide has to
//! guess, and the usual hasher, which stands more than that, was a twentieth of all
//! instructions of a call.

use foldhash::fast::RandomState;

pub(super) type Map<K, V> = std::collections::HashMap<K, V, RandomState>;
pub(super) type Set<K> = std::collections::HashSet<K, RandomState>;
