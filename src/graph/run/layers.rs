//! The plain layers on candle, made of operations whose results and gradients were found sound.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::ops;

use super::failure::Failure;
use crate::graph::{Layout, Nonlinearity, PositionIds, Use};

/// What a layer gave.
pub(super) type Outcome = std::result::Result<Tensor, Failure>;

type Candle = candle_core::Result<Tensor>;

pub(super) fn fill(input: &Tensor, value: u64) -> Candle {
    Tensor::full(i64::try_from(value).unwrap_or(i64::MAX), input.dims(), &Device::Cpu)
}

/// `x Wᵀ + b` over the last axis, whatever the rank; `tap` sees `x Wᵀ`.
pub(super) fn linear(input: &Tensor, weights: &[Tensor], tap: &mut dyn FnMut(&Tensor, Tensor) -> Outcome) -> Outcome {
    let weight = &weights[0];
    let (out, width) = weight.dims2()?;
    let mut shape = input.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = out;
    }
    let product = tap(input, input.reshape(((), width))?.matmul(&weight.t()?)?.reshape(shape)?)?;
    match weights.get(1) {
        Some(bias) => Ok(product.broadcast_add(bias)?),
        None => Ok(product),
    }
}

/// As above, with a weight in this layout.
pub(super) fn projected(
    layout: Layout,
    input: &Tensor,
    weights: &[Tensor],
    tap: &mut dyn FnMut(&Tensor, Tensor) -> Outcome,
) -> Outcome {
    let [weight, rest @ ..] = weights else { return linear(input, weights, tap) };
    match layout {
        Layout::InOut => linear(input, &[std::slice::from_ref(&weight.t()?), rest].concat(), tap),
        Layout::OutIn | Layout::Unknown => linear(input, weights, tap),
    }
}

/// The last position of each row, or the last whose id is wanted (the first where none is).
pub(super) fn last(input: &Tensor, ids: Option<&Tensor>, wanted: &dyn Fn(i64) -> bool) -> Candle {
    let (batch, length) = (input.dim(0)?, input.dim(1)?);
    let Some(ids) = ids else { return input.narrow(1, length - 1, 1)?.squeeze(1) };
    let rows = ids.to_vec2::<i64>()?;
    let place = |ids: &Vec<i64>| ids.iter().rposition(|id| wanted(*id)).unwrap_or(0);
    let flat: Vec<u32> = rows.iter().enumerate().map(|(row, ids)| (row * length + place(ids)) as u32).collect();
    let positions = input.flatten(0, 1)?;
    positions.index_select(&Tensor::from_vec(flat, batch, &Device::Cpu)?, 0)
}

/// 0 at the positions that the mask leaves out, whatever stood there.
pub(super) fn masked(input: &Tensor, mask: &Tensor) -> Candle {
    let kept = mask.unsqueeze(2)?.ne(0i64)?.broadcast_as(input.dims())?;
    kept.where_cond(input, &input.zeros_like()?)
}

/// The mean over the positions that the mask keeps.
pub(super) fn masked_mean(input: &Tensor, mask: &Tensor) -> Candle {
    let kept = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
    input.broadcast_mul(&kept)?.sum(1)?.broadcast_div(&kept.sum(1)?)
}

pub(super) fn shift_right(ids: &Tensor, first: u64) -> Candle {
    let (batch, length) = ids.dims2()?;
    let start = Tensor::full(i64::try_from(first).unwrap_or(i64::MAX), (batch, 1), &Device::Cpu)?;
    Tensor::cat(&[&start, &ids.narrow(1, 0, length - 1)?], 1)
}

pub(super) fn weighted_sum(inputs: &[Tensor], weight: &Tensor) -> Candle {
    let shares = ops::softmax(weight, D::Minus1)?;
    let part = |(place, input): (usize, &Tensor)| input.broadcast_mul(&shares.narrow(0, place, 1)?);
    let mut parts = inputs.iter().enumerate().map(part);
    let first = parts.next().unwrap_or_else(|| weight.zeros_like())?;
    parts.try_fold(first, |sum, part| sum + part?)
}

pub(super) fn embedding(ids: &Tensor, weights: &[Tensor], dim: u64) -> Candle {
    let mut shape = ids.dims().to_vec();
    shape.push(dim as usize);
    weights[0].index_select(&ids.flatten_all()?, 0)?.reshape(shape)
}

/// The rows of a table of positions, added.
pub(super) fn positions(ids: PositionIds, inputs: &[Tensor], weights: &[Tensor]) -> Candle {
    let (input, table) = (&inputs[0], &weights[0]);
    match (ids, inputs.get(1)) {
        (PositionIds::Counted { padding }, Some(ids)) => {
            let mut rows = Vec::new();
            for ids in ids.to_vec2::<i64>()? {
                let mut next = padding as u32;
                rows.extend(ids.iter().map(|id| match *id == padding as i64 {
                    true => padding as u32,
                    false => {
                        next += 1;
                        next
                    }
                }));
            }
            let count = rows.len();
            let rows = table.index_select(&Tensor::from_vec(rows, count, &Device::Cpu)?, 0)?;
            input + rows.reshape(input.dims())?
        }
        (ids, _) => input.broadcast_add(&table.narrow(0, ids.reserved() as usize, input.dim(1)?)?),
    }
}

pub(super) fn parameter(usage: Use, input: &Tensor, weights: &[Tensor]) -> Candle {
    match usage {
        Use::None => Ok(input.clone()),
        Use::Add => input.broadcast_add(&weights[0]),
        Use::Multiply => input.broadcast_mul(&weights[0]),
        Use::Prepend => {
            let (batch, _, width) = input.dims3()?;
            let rows = weights[0].reshape((1, (), width))?;
            Tensor::cat(&[&rows.repeat((batch, 1, 1))?, input], 1)
        }
    }
}

pub(super) fn reshape(input: &Tensor, shape: &[u64]) -> Candle {
    let axes: Vec<usize> = std::iter::once(input.dim(0)?).chain(shape.iter().map(|size| *size as usize)).collect();
    input.reshape(axes)
}

/// Scale and shift along the last axis.
fn affine(normed: &Tensor, weights: &[Tensor]) -> Candle {
    let scaled = normed.broadcast_mul(&weights[0])?;
    match weights.get(1) {
        Some(bias) => scaled.broadcast_add(bias),
        None => Ok(scaled),
    }
}

/// Zero mean and unit population variance along the last axis.
fn standardised(input: &Tensor, eps: f64) -> Candle {
    let centred = input.broadcast_sub(&input.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + eps)?.sqrt()?)
}

pub(super) fn layer_norm(input: &Tensor, eps: f64, weights: &[Tensor]) -> Candle {
    affine(&standardised(input, eps)?, weights)
}

/// With the weight as scale, or 1 + weight where it is centred.
pub(super) fn rms_norm(input: &Tensor, eps: f64, centred: bool, weights: &[Tensor]) -> Candle {
    let square = input.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = input.broadcast_div(&(square + eps)?.sqrt()?)?;
    if centred { normed.broadcast_mul(&(&weights[0] + 1.0)?) } else { affine(&normed, weights) }
}

/// A vector over the channels of `(batch, channels, …)`, ready to broadcast.
pub(super) fn over_channels(vector: &Tensor, rank: usize) -> Candle {
    let mut shape = vec![1; rank];
    shape[1] = vector.elem_count();
    vector.reshape(shape)
}

pub(super) fn batch_norm(input: &Tensor, eps: f64, weights: &[Tensor]) -> Candle {
    let over = |index: usize| over_channels(&weights[index], input.rank());
    let (mean, deviation) = (over(2)?, (over(3)? + eps)?.sqrt()?);
    input.broadcast_sub(&mean)?.broadcast_div(&deviation)?.broadcast_mul(&over(0)?)?.broadcast_add(&over(1)?)
}

/// A batch norm as it acts in training: each channel of `(batch, channels, …)` by the mean and the population variance of the batch.
/// The result, the means and the variances; gradients flow through all three.
pub(crate) fn batch_norm_in_training(
    input: &Tensor,
    eps: f64,
    weight: &Tensor,
    bias: &Tensor,
) -> candle_core::Result<(Tensor, Tensor, Tensor)> {
    let over = |vector: &Tensor| over_channels(vector, input.rank());
    let channels = input.transpose(0, 1)?.flatten_from(1)?;
    let mean = channels.mean(1)?;
    let variance = channels.broadcast_sub(&mean.unsqueeze(1)?)?.sqr()?.mean(1)?;
    let normed = input.broadcast_sub(&over(&mean)?)?.broadcast_div(&(over(&variance)? + eps)?.sqrt()?)?;
    Ok((normed.broadcast_mul(&over(weight)?)?.broadcast_add(&over(bias)?)?, mean, variance))
}

pub(super) fn group_norm(input: &Tensor, groups: u64, eps: f64, weights: &[Tensor]) -> Candle {
    let over = |index: usize| over_channels(&weights[index], input.rank());
    let grouped = input.reshape((input.dim(0)?, groups as usize, ()))?;
    let normed = standardised(&grouped, eps)?.reshape(input.dims())?;
    normed.broadcast_mul(&over(0)?)?.broadcast_add(&over(1)?)
}

pub(super) fn activation(nonlinearity: Nonlinearity, input: &Tensor) -> Candle {
    match nonlinearity {
        Nonlinearity::Relu => input.relu(),
        Nonlinearity::LeakyRelu => leaky_relu(input, 0.01),
        Nonlinearity::Gelu => input.gelu_erf(),
        Nonlinearity::GeluTanh => input.gelu(),
        Nonlinearity::Silu => input.silu(),
        Nonlinearity::Tanh => input.tanh(),
        Nonlinearity::Sigmoid => ops::sigmoid(input),
        Nonlinearity::Elu => input.elu(1.0),
        Nonlinearity::Selu => selu(input),
        Nonlinearity::Softmax => ops::softmax(input, D::Minus1),
    }
}

/// By parts, because a slope above 1 makes `max(x, slope · x)` wrong.
pub(super) fn leaky_relu(input: &Tensor, slope: f64) -> Candle {
    input.relu()? - (input.neg()?.relu()? * slope)?
}

/// Klambauer et al., arXiv:1706.02515: λ · elu(x, α).
fn selu(input: &Tensor) -> Candle {
    input.elu(1.673_263_242_354_377_2)? * 1.050_700_987_355_480_5
}

/// 1 where the mask says 0, so that it can choose.
pub(super) fn blocked(mask: &Tensor) -> Candle {
    mask.to_dtype(DType::F32)?.eq(0f32)
}
