//! The widest vector instructions of the processor, chosen at run time. They change no bit: what is computed is the same
//! operations on every lane, none of them fused or reordered.

use pulp::{Arch, NullaryFnOnce};

/// Does `work` in the widest vector instructions that there are. Its `call`, and everything that it calls, must be inlined always, or
/// it keeps to the instructions that the program was compiled for.
pub(crate) fn widest<W: NullaryFnOnce>(work: W) -> W::Output {
    Arch::new().dispatch(work)
}
