//! Fans from the logical layer, not from the stored shape: grouped, transposed and fused tensors are where libraries get this wrong.

use serde::{Deserialize, Serialize};

/// The number of inputs that one output of a layer sums over, and of outputs that one input reaches, of the logical
/// layer rather than of the stored shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fans {
    /// Inputs of one output.
    pub fan_in: u64,
    /// Outputs that one input reaches.
    pub fan_out: u64,
}

impl Fans {
    /// A fully connected layer of so many inputs and outputs, whichever way its matrix is stored. For a part of a fused
    /// matrix (q of q/k/v) `outputs` is the part's: `torch` takes the fused size, which makes Xavier too small by up to √2.
    pub(crate) fn linear(inputs: u64, outputs: u64) -> Fans {
        Fans { fan_in: inputs, fan_out: outputs }
    }

    /// A convolution with weight `(out, in / groups, *kernel)`; `taps` is the product of the kernel's sizes. One input reaches the
    /// outputs of its own group only, `out / groups`: `torch` forgets that (pytorch #23854).
    pub(crate) fn conv(out: u64, in_per_group: u64, taps: u64, groups: u64) -> Fans {
        Fans { fan_in: in_per_group.saturating_mul(taps), fan_out: (out / groups.max(1)).saturating_mul(taps) }
    }

    /// A transposed convolution with weight `(in, out / groups, *kernel)`; `taps` and `strides` are the products over the spatial
    /// axes. `torch` swaps the two fans (pytorch #30079). An output sums over every `stride`-th tap only, which is
    /// `in / groups · taps / strides` products on average: `fan_in`. One input reaches `out / groups · taps` outputs.
    pub(crate) fn conv_transpose(input: u64, out_per_group: u64, taps: u64, strides: u64, groups: u64) -> Fans {
        let fan_in = ((input / groups.max(1)).saturating_mul(taps) / strides.max(1)).max(1);
        Fans { fan_in, fan_out: out_per_group.saturating_mul(taps) }
    }
}
