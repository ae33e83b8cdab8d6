//! Values that an operation made infinite.

use std::ops::Range;

use crate::adapt::float::{became_infinite, non_finite};
use crate::adapt::{Block, Op};
use crate::tensor::{Dtype, TensorInfo};

/// How many finite values an operation made infinite, in a part of its result.
pub(super) fn overflows(
    op: &Op,
    info: &TensorInfo,
    blocks: &[Block],
    out: &[u8],
    window: Option<&Range<usize>>,
) -> u64 {
    let bytes_of = |dtype: Dtype| (dtype.bits() / 8).max(1) as usize;
    let unit = bytes_of(info.dtype);
    let window = window.cloned().unwrap_or(0..out.len());
    let result = &out[window.clone()];
    match op {
        Op::Cast { .. } | Op::Affine { .. } => {
            let [block] = blocks else { return 0 };
            if non_finite(info.dtype, result).infinite == 0 {
                return 0;
            }
            let from = bytes_of(block.info.dtype);
            let input = &block.bytes[window.start / unit * from..window.end / unit * from];
            became_infinite(block.info.dtype, input, info.dtype, result)
        }
        Op::Lerp { .. }
        | Op::MeanHeads { .. }
        | Op::MeanRows
        | Op::WeightNorm { .. }
        | Op::LowRank { .. }
        | Op::Dequantize { .. }
        | Op::MeanCovariance { .. }
        | Op::ResizeRows { .. } => {
            let infinite = non_finite(info.dtype, result).infinite;
            let finite = || blocks.iter().all(|block| non_finite(block.info.dtype, block.bytes).total() == 0);
            if infinite > 0 && finite() { infinite } else { 0 }
        }
        Op::Transpose
        | Op::Permute { .. }
        | Op::Reshape { .. }
        | Op::Narrow { .. }
        | Op::Concat { .. }
        | Op::Stack
        | Op::Gather { .. }
        | Op::RopePermute { .. } => 0,
    }
}
