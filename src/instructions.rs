//! The vector instructions of the processor, chosen at run time. They change no bit: what is computed is the same operations on
//! every lane, none of them fused or reordered.

use std::cell::Cell;

use pulp::NullaryFnOnce;
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V2, V3, V4};

/// A set of vector instructions; each contains those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// Those that the program was compiled for: SSE2 on x86-64, NEON on arm64.
    Portable,
    /// Those of x86-64-v2, up to SSE4.2.
    Sse4,
    /// Those of x86-64-v3, with AVX2.
    Avx2,
    /// Those of x86-64-v4, with AVX-512.
    Avx512,
}

impl Instructions {
    /// All of them, from the fewest.
    pub const ALL: [Instructions; 4] =
        [Instructions::Portable, Instructions::Sse4, Instructions::Avx2, Instructions::Avx512];

    /// Whether this processor has them.
    #[cfg(target_arch = "x86_64")]
    pub fn are_here(self) -> bool {
        match self {
            Instructions::Portable => true,
            Instructions::Sse4 => V2::try_new().is_some(),
            Instructions::Avx2 => V3::try_new().is_some(),
            Instructions::Avx512 => V4::try_new().is_some(),
        }
    }

    /// Whether this processor has them.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn are_here(self) -> bool {
        self == Instructions::Portable
    }

    /// Does `work` on this thread as a processor would that has no others: for measurements, and for tests that all give the same bits.
    pub fn at_most<T>(self, work: impl FnOnce() -> T) -> T {
        let before = WIDEST.replace(self);
        let done = work();
        WIDEST.set(before);
        done
    }
}

thread_local! {
    static WIDEST: Cell<Instructions> = const { Cell::new(Instructions::Avx512) };
}

/// Does `work` in the widest vector instructions that there are. Its `call`, and everything that it calls, must be inlined always, or
/// it keeps to the instructions that the program was compiled for.
#[cfg(target_arch = "x86_64")]
pub(crate) fn widest<W: NullaryFnOnce>(work: W) -> W::Output {
    let widest = WIDEST.get();
    if let Some(v4) = V4::try_new().filter(|_| widest >= Instructions::Avx512) {
        return v4.vectorize(work);
    }
    if let Some(v3) = V3::try_new().filter(|_| widest >= Instructions::Avx2) {
        return v3.vectorize(work);
    }
    // with a square root of four lanes, which compilers think dear in SSE2
    if let Some(v2) = V2::try_new().filter(|_| widest >= Instructions::Sse4) {
        return v2.vectorize(work);
    }
    work.call()
}

/// Does `work` in the vector instructions that the program was compiled for.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn widest<W: NullaryFnOnce>(work: W) -> W::Output {
    work.call()
}
