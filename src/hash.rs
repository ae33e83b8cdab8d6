//! Maps and sets that are hashed fast and seeded anew in every process. Their order is nobody's: nothing that is written may depend on
//! it.

use foldhash::fast::RandomState;

pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
pub(crate) type HashSet<K> = std::collections::HashSet<K, RandomState>;
