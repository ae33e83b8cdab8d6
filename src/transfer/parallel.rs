//! Work that is many small jobs, on several threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::threads::on_all;

/// The results of `job` for every index below `count`, in order; of several errors that of the smallest index is given.
pub(crate) fn each<T: Send>(count: usize, threads: usize, job: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(BTreeMap::new());
    let take = || {
        while !stop.load(Ordering::Acquire) {
            let index = next.fetch_add(1, Ordering::AcqRel);
            if index >= count {
                return;
            }
            let result = job(index);
            stop.fetch_or(result.is_err(), Ordering::AcqRel);
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(index, result);
        }
    };
    on_all(threads.min(count), take);
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
