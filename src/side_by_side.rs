//! Two pieces of work at once.

/// Does `here` on this thread and `there` on another, and waits for both. What is freed stays with the thread that made it, so the one
/// that makes more of what it does not keep belongs here.
pub(crate) fn side_by_side<A, B: Send>(here: impl FnOnce() -> A, there: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let there = scope.spawn(there);
        let here = here();
        match there.join() {
            Ok(there) => (here, there),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
