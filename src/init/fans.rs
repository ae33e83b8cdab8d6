//! Fans from the logical layer, not from the stored shape: grouped, transposed and fused tensors are where libraries get this wrong.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::init::error::InitError;

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
    pub fn linear(inputs: u64, outputs: u64) -> Fans {
        Fans { fan_in: inputs, fan_out: outputs }
    }

    /// A convolution with weight `(out, in / groups, *kernel)`; `kernel` is the product of the kernel's sizes. One input
    /// reaches the outputs of its own group only, `out / groups`: `torch` forgets that (pytorch #23854). An overflow, or groups that do
    /// not divide the output channels, is an error.
    pub fn conv(out: u64, in_per_group: u64, kernel: u64, groups: u64) -> Result<Fans> {
        let fans = || {
            Some(Fans {
                fan_in: in_per_group.checked_mul(kernel)?,
                fan_out: per_group(out, groups)?.checked_mul(kernel)?,
            })
        };
        fans().ok_or_else(|| impossible("a convolution", in_per_group, out, kernel, groups))
    }

    /// A transposed convolution with weight `(in, out / groups, *kernel)`; `kernel` and `stride` are the products over the
    /// spatial axes. `torch` swaps the two (pytorch #30079). A stride of s spreads the taps: one output sums
    /// `in / groups · kernel / stride` products on average, which is `fan_in` here (rounded down, at least `in / groups`);
    /// one input reaches `out / groups · kernel` outputs at any stride. Where the stride is not known, 1 is the choice that is exact
    /// without a stride. An overflow, a stride of 0, or groups that do not divide the input channels, is an error.
    pub fn conv_transpose(input: u64, out_per_group: u64, kernel: u64, stride: u64, groups: u64) -> Result<Fans> {
        let fans = || {
            let channels = per_group(input, groups)?;
            let fan_in = channels.checked_mul(kernel)?.checked_div(stride)?;
            Some(Fans { fan_in: fan_in.max(channels), fan_out: out_per_group.checked_mul(kernel)? })
        };
        fans().ok_or_else(|| impossible("a transposed convolution", input, out_per_group, kernel, groups))
    }
}

fn per_group(channels: u64, groups: u64) -> Option<u64> {
    (channels.checked_rem(groups)? == 0).then_some(channels / groups)
}

fn impossible(layer: &'static str, input: u64, output: u64, kernel: u64, groups: u64) -> crate::error::Error {
    InitError::ImpossibleFans { layer, input, output, kernel, groups }.into()
}
