//! Cast: another float type, and the numbers that types of 8 bits denote.

use super::{Block, codes, float, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Dtype, TensorInfo};
use float::{Float, Real};

const OP: &str = "cast";

pub(super) fn out(dtype: Dtype, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let input = inputs::one(OP, infos)?;
    if codes::number(input.dtype).is_none() {
        inputs::float(OP, input)?;
    }
    if !dtype.is_float() {
        return Err(AdaptError::CastTarget { input: input.clone(), dtype }.into());
    }
    inputs::result(input, dtype, input.shape.clone())
}

pub(super) fn apply(dtype: Dtype, blocks: &[Block], out: &mut [u8]) {
    let [block] = blocks else { return };
    if let (Some(number), Some(to)) = (codes::number(block.info.dtype), Float::of(dtype)) {
        for (codes, out) in block.bytes.chunks(float::TILE).zip(out.chunks_mut(float::TILE * to.bytes())) {
            let values: Vec<f32> = codes.iter().map(|code| number(*code).canonical()).collect();
            f32::encode(to, &values, out);
        }
        return;
    }
    let (Some(from), Some(to)) = (Float::of(block.info.dtype), Float::of(dtype)) else { return };
    if from == to {
        out.copy_from_slice(block.bytes);
    } else if from == Float::F64 {
        float::map::<f64>(from, block.bytes, to, out, |x| x);
    } else {
        float::map::<f32>(from, block.bytes, to, out, |x| x);
    }
}
