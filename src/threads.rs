//! Work on several threads. Where the system starts no more of them, the work is done on those that there are: the result is
//! the same, and a job that may only start few is not a reason to fail.

use std::thread::{Builder, scope};

/// Does `here` on this thread and `there` on another, and waits for both. What is freed stays with the thread that made it, so the one
/// that makes more of what it does not keep belongs here.
pub(crate) fn side_by_side<A, B: Send>(here: impl FnOnce() -> A, there: impl Fn() -> B + Sync) -> (A, B) {
    scope(|scope| {
        let started = Builder::new().spawn_scoped(scope, &there);
        let here = here();
        let there = match started {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => there(),
        };
        (here, there)
    })
}

/// Does the same `work` on so many threads, of which this is one, and waits for all of them.
pub(crate) fn on_all(threads: usize, work: impl Fn() + Sync) {
    scope(|scope| {
        for _ in 1..threads {
            if Builder::new().spawn_scoped(scope, &work).is_err() {
                break;
            }
        }
        work();
    });
}
