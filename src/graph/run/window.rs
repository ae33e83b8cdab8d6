//! Layers that slide a window over the spatial axes of `(batch, channels, …)`: one, two or three of them.

use candle_core::{Device, Tensor};

use super::convolution::{Convolve, Product};
use super::failure::Tap;
use super::geometry::Geometry;
use super::layers::{Outcome, over_channels};
use super::pool::MaxPool;
use crate::graph::Convolution;

/// A list of one to three numbers, with `filler` before it.
fn three(list: &[u64], filler: usize) -> [usize; 3] {
    let mut all = [filler; 3];
    for (place, value) in all.iter_mut().rev().zip(list.iter().rev()) {
        *place = usize::try_from(*value).unwrap_or(usize::MAX);
    }
    all
}

fn spatial(tensor: &Tensor) -> [usize; 3] {
    let axes: Vec<u64> = tensor.dims().iter().skip(2).map(|size| *size as u64).collect();
    three(&axes, 1)
}

/// Places of a window along each axis.
fn steps(
    size: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    padding: [usize; 3],
    dilation: [usize; 3],
) -> [usize; 3] {
    std::array::from_fn(|axis| {
        let extent = dilation[axis] * (kernel[axis] - 1) + 1;
        (size[axis] + 2 * padding[axis]).checked_sub(extent).map_or(0, |room| room / stride[axis] + 1)
    })
}

/// `(batch, channels, …)` with the last of three sizes, as many as `rank` asks for.
fn shape(batch: usize, channels: usize, size: [usize; 3], rank: usize) -> Vec<usize> {
    [batch, channels].into_iter().chain(size[5 - rank..].iter().copied()).collect()
}

fn with_bias(input: &Tensor, result: Tensor, weights: &[Tensor], tap: &mut Tap) -> Outcome {
    let result = tap(0, input, result)?;
    match weights.get(1) {
        Some(bias) => Ok(result.broadcast_add(&over_channels(bias, result.rank())?)?),
        None => Ok(result),
    }
}

pub(super) fn convolution(convolution: &Convolution, input: &Tensor, weights: &[Tensor], tap: &mut Tap) -> Outcome {
    let (batch, channels, groups) = (input.dim(0)?, input.dim(1)?, convolution.groups as usize);
    let (kernel, stride) = (three(&convolution.kernel, 1), three(&convolution.stride, 1));
    let (padding, dilation) = (three(&convolution.padding, 0), three(&convolution.dilation, 1));
    let size = spatial(input);
    let result = steps(size, kernel, stride, padding, dilation);
    let (inputs, outputs) = (channels / groups, convolution.out as usize / groups);
    let geometry = Geometry { batch, groups, inputs, outputs, size, result, kernel, stride, padding, dilation };
    let shapes = [
        input.dims().to_vec(),
        weights[0].dims().to_vec(),
        shape(batch, convolution.out as usize, result, input.rank()),
    ];
    let convolve = Convolve { geometry, product: Product::Result, shapes };
    with_bias(input, convolve.of(input, &weights[0])?, weights, tap)
}

/// The convolution whose input is this one's result, backwards.
pub(super) fn transposed(convolution: &Convolution, input: &Tensor, weights: &[Tensor], tap: &mut Tap) -> Outcome {
    let (batch, channels, groups) = (input.dim(0)?, input.dim(1)?, convolution.groups as usize);
    let (kernel, stride) = (three(&convolution.kernel, 1), three(&convolution.stride, 1));
    let (padding, dilation) = (three(&convolution.padding, 0), three(&convolution.dilation, 1));
    let result = spatial(input);
    let size = std::array::from_fn(|axis| {
        let whole = (result[axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1;
        whole.saturating_sub(2 * padding[axis])
    });
    let (inputs, outputs) = (convolution.out as usize / groups, channels / groups);
    let geometry = Geometry { batch, groups, inputs, outputs, size, result, kernel, stride, padding, dilation };
    let shapes =
        [shape(batch, convolution.out as usize, size, input.rank()), weights[0].dims().to_vec(), input.dims().to_vec()];
    let convolve = Convolve { geometry, product: Product::Input, shapes };
    with_bias(input, convolve.of(input, &weights[0])?, weights, tap)
}

/// Each channel on its own.
fn pooling(
    kernel: &[u64],
    stride: &[u64],
    padding: &[u64],
    input: &Tensor,
) -> candle_core::Result<(Geometry, Vec<usize>)> {
    let (batch, channels) = (input.dim(0)?, input.dim(1)?);
    let (kernel, stride, padding) = (three(kernel, 1), three(stride, 1), three(padding, 0));
    let (size, dilation) = (spatial(input), [1; 3]);
    let result = steps(size, kernel, stride, padding, dilation);
    let geometry =
        Geometry { batch, groups: channels, inputs: 1, outputs: 1, size, result, kernel, stride, padding, dilation };
    Ok((geometry, shape(batch, channels, result, input.rank())))
}

pub(super) fn max_pool(kernel: &[u64], stride: &[u64], padding: &[u64], input: &Tensor) -> Outcome {
    let (geometry, result) = pooling(kernel, stride, padding, input)?;
    Ok(input.contiguous()?.apply_op1(MaxPool { geometry, result })?)
}

/// A convolution of each channel by a kernel of equal weights.
pub(super) fn avg_pool(kernel: &[u64], stride: &[u64], padding: &[u64], input: &Tensor) -> Outcome {
    let (geometry, result) = pooling(kernel, stride, padding, input)?;
    let elements: usize = geometry.kernel.iter().product();
    let weights = [geometry.groups, 1].into_iter().chain(geometry.kernel[5 - input.rank()..].iter().copied());
    let weights: Vec<usize> = weights.collect();
    let kernel = Tensor::full(1.0 / elements as f32, weights.clone(), &Device::Cpu)?;
    let shapes = [input.dims().to_vec(), weights, result];
    Ok(Convolve { geometry, product: Product::Result, shapes }.of(input, &kernel)?)
}

/// Every element `scale` times along each spatial axis.
pub(super) fn upsample(scale: u64, input: &Tensor) -> Outcome {
    let scale = scale as usize;
    let mut enlarged = input.clone();
    for axis in 2..input.rank() {
        let size = enlarged.dim(axis)?;
        let mut dims = enlarged.dims().to_vec();
        dims.insert(axis + 1, scale);
        let repeated = enlarged.unsqueeze(axis + 1)?.broadcast_as(dims)?;
        let mut dims = enlarged.dims().to_vec();
        dims[axis] = size * scale;
        enlarged = repeated.reshape(dims)?;
    }
    Ok(enlarged)
}
