//! Convolutions, pooling and enlargement. One axis runs as two of which the first has size 1.

use candle_core::{Device, Tensor};

use super::layers::{Outcome, over_channels};
use super::{Failure, Tap};
use crate::graph::Convolution;

/// The one value of a list, or a failure where its axes differ.
fn uniform(list: &[u64]) -> Result<usize, Failure> {
    match list {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(*first as usize),
        _ => Err(Failure::NotRunnable(": its stride, padding or dilation differs from axis to axis")),
    }
}

fn with_bias(input: &Tensor, result: Tensor, weights: &[Tensor], tap: &mut Tap) -> Outcome {
    let result = tap(0, input, result)?;
    match weights.get(1) {
        Some(bias) => Ok(result.broadcast_add(&over_channels(bias, result.rank())?)?),
        None => Ok(result),
    }
}

pub(super) fn convolution(convolution: &Convolution, input: &Tensor, weights: &[Tensor], tap: &mut Tap) -> Outcome {
    let (stride, padding) = (uniform(&convolution.stride)?, uniform(&convolution.padding)?);
    let (dilation, groups) = (uniform(&convolution.dilation)?, convolution.groups as usize);
    // a kernel that is not contiguous gives wrong sums in candle
    let kernel = weights[0].contiguous()?;
    let input = input.contiguous()?;
    let result = match convolution.kernel.len() {
        1 => input.conv1d(&kernel, padding, stride, dilation, groups)?,
        2 => input.conv2d(&kernel, padding, stride, dilation, groups)?,
        _ => return Err(Failure::NotRunnable("")),
    };
    with_bias(&input, result, weights, tap)
}

pub(super) fn transposed(convolution: &Convolution, input: &Tensor, weights: &[Tensor], tap: &mut Tap) -> Outcome {
    let (stride, padding) = (uniform(&convolution.stride)?, uniform(&convolution.padding)?);
    let dilation = uniform(&convolution.dilation)?;
    if convolution.groups != 1 {
        return Err(Failure::NotRunnable(" with groups"));
    }
    let (kernel, input) = (weights[0].contiguous()?, input.contiguous()?);
    let result = match convolution.kernel.len() {
        1 => input.conv_transpose1d(&kernel, padding, 0, stride, dilation, 1)?,
        2 => input.conv_transpose2d(&kernel, padding, 0, stride, dilation)?,
        _ => return Err(Failure::NotRunnable("")),
    };
    with_bias(&input, result, weights, tap)
}

/// Two numbers for a list of one or two.
fn pair(list: &[u64], filler: usize) -> Result<(usize, usize), Failure> {
    match list {
        [one] => Ok((filler, *one as usize)),
        [first, second] => Ok((*first as usize, *second as usize)),
        _ => Err(Failure::NotRunnable(" over three axes")),
    }
}

/// `(batch, channels, length)` as an image of height 1; images as they are.
fn as_image(input: &Tensor) -> Outcome {
    match input.rank() {
        3 => Ok(input.unsqueeze(2)?),
        4 => Ok(input.clone()),
        _ => Err(Failure::NotRunnable(" over three axes")),
    }
}

fn as_before(result: Tensor, rank: usize) -> Outcome {
    if rank == 3 { Ok(result.squeeze(2)?) } else { Ok(result) }
}

/// `value` on both sides of the last two axes.
fn padded(image: Tensor, (height, width): (usize, usize), value: f32) -> Outcome {
    let along = |image: Tensor, axis: usize, count: usize| -> Outcome {
        if count == 0 {
            return Ok(image);
        }
        let mut shape = image.dims().to_vec();
        shape[axis] = count;
        let edge = Tensor::full(value, shape, &Device::Cpu)?;
        Ok(Tensor::cat(&[&edge, &image, &edge], axis)?)
    };
    along(along(image, 2, height)?, 3, width)
}

pub(super) fn max_pool(kernel: &[u64], stride: &[u64], padding: &[u64], input: &Tensor) -> Outcome {
    let image = padded(as_image(input)?, pair(padding, 0)?, f32::NEG_INFINITY)?;
    as_before(image.max_pool2d_with_stride(pair(kernel, 1)?, pair(stride, 1)?)?, input.rank())
}

pub(super) fn avg_pool(kernel: &[u64], stride: &[u64], padding: &[u64], input: &Tensor) -> Outcome {
    let image = padded(as_image(input)?, pair(padding, 0)?, 0.0)?;
    as_before(image.avg_pool2d_with_stride(pair(kernel, 1)?, pair(stride, 1)?)?, input.rank())
}

pub(super) fn upsample(scale: u64, input: &Tensor) -> Outcome {
    let image = as_image(input)?;
    let scale = scale as usize;
    let (height, width) = (image.dim(2)?, image.dim(3)?);
    let height = if input.rank() == 3 { height } else { height * scale };
    as_before(image.upsample_nearest2d(height, width * scale)?, input.rank())
}
