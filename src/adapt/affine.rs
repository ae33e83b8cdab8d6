//! Element by element: `scale · x + offset`, and the way from one tensor to another.

use super::float::{self, Float, Real};
use super::{Block, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Dtype, TensorInfo};

const AFFINE: &str = "affine";
const LERP: &str = "lerp";

fn finite(op: &'static str, parameter: &'static str, value: f64) -> Result<()> {
    match value.is_finite() {
        true => Ok(()),
        false => Err(AdaptError::NotFinite { op, parameter, value }.into()),
    }
}

pub(super) fn out(scale: f64, offset: f64, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let input = inputs::one_float(AFFINE, infos)?;
    finite(AFFINE, "scale", scale)?;
    finite(AFFINE, "offset", offset)?;
    inputs::result(input, input.dtype, input.shape.clone())
}

pub(super) fn apply(scale: f64, offset: f64, blocks: &[Block], out: &mut [u8]) {
    let [block] = blocks else { return };
    match (block.info.dtype, Float::of(block.info.dtype)) {
        (_, None) => {}
        (Dtype::F64, Some(float)) => affine::<f64>(float, scale, offset, block.bytes, out),
        (_, Some(float)) => affine::<f32>(float, scale, offset, block.bytes, out),
    }
}

fn affine<R: Real>(float: Float, scale: f64, offset: f64, bytes: &[u8], out: &mut [u8]) {
    let (factor, addend) = (R::of(scale), R::of(offset));
    // adding 0 would turn −0 into 0
    match offset == 0.0 {
        true => float::map::<R>(float, bytes, float, out, |x| x.times(factor).canonical()),
        false => float::map::<R>(float, bytes, float, out, |x| x.times(factor).plus(addend).canonical()),
    }
}

pub(super) fn lerp_out(t: f64, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let (a, b) = inputs::two(LERP, infos)?;
    inputs::float(LERP, a)?;
    inputs::alike(LERP, a, b, None)?;
    finite(LERP, "t", t)?;
    inputs::result(a, a.dtype, a.shape.clone())
}

pub(super) fn lerp_apply(t: f64, blocks: &[Block], out: &mut [u8]) {
    let [a, b] = blocks else { return };
    match (a.info.dtype, Float::of(a.info.dtype)) {
        (_, None) => {}
        (Dtype::F64, Some(float)) => lerp::<f64>(float, t, a.bytes, b.bytes, out),
        (_, Some(float)) => lerp::<f32>(float, t, a.bytes, b.bytes, out),
    }
}

fn lerp<R: Real>(float: Float, t: f64, a: &[u8], b: &[u8], out: &mut [u8]) {
    let (near, far) = (R::of(1.0 - t), R::of(t));
    float::zip::<R>(float, a, b, out, |a, b| a.times(near).plus(b.times(far)).canonical());
}
