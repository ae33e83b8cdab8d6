//! Several files of the Hub at once, for one connection rarely fills a line.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::hub::Snapshot;
use crate::error::{Interrupted, Result};
use crate::handles::transfers;
use crate::progress::Progress;
use crate::threads::on_all;

/// As many as Python's huggingface_hub fetches at once.
const AT_ONCE: usize = 8;

/// Fetches the files that the cache has not. Where one fails the others stop, and a later run goes on from there.
pub(super) fn fetch(snapshot: &Snapshot, names: &[String], progress: &dyn Progress) -> Result<()> {
    let mut missing = Vec::new();
    for name in names {
        if snapshot.cached(name)?.is_none() {
            missing.push(name);
        }
    }
    let names = match missing.as_slice() {
        [] => return Ok(()),
        [one] => return snapshot.file(one, progress).map(drop),
        many => many,
    };
    let lengths: Option<u64> = names.iter().map(|name| snapshot.length(&snapshot.full(name))).sum();
    progress.start(&format!("fetch {} files", names.len()), lengths);
    let (next, stop, failure) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    on_all(transfers(AT_ONCE.min(names.len())), || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let share = Share { progress, stop: &stop, done: Mutex::default() };
            if let Err(error) = share.interrupted().and_then(|()| snapshot.file(name, &share)) {
                // before the others are stopped, whose errors say only that
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                stop.store(true, Ordering::Release);
                return;
            }
        }
    });
    progress.finish();
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// One file's part in the progress of all.
struct Share<'a> {
    progress: &'a dyn Progress,
    stop: &'a AtomicBool,
    done: Mutex<Done>,
}

/// Bytes of a file: since its transfer began anew, and at most so far.
#[derive(Default)]
struct Done {
    now: u64,
    most: u64,
}

impl Progress for Share<'_> {
    fn start(&self, _phase: &str, _total: Option<u64>) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).now = 0;
    }

    fn advance(&self, bytes: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.now = done.now.saturating_add(bytes);
        if done.now > done.most {
            self.progress.advance(done.now - done.most);
            done.most = done.now;
        }
    }

    fn finish(&self) {}

    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }

    fn interrupted(&self) -> Result<()> {
        self.progress.interrupted()?;
        // not seen by anybody: the first failure is the one that is told
        if self.stop.load(Ordering::Acquire) { Err(Interrupted(0).into()) } else { Ok(()) }
    }
}
