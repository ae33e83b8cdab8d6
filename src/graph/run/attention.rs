//! Self-attention (Vaswani et al., arXiv:1706.03762), grouped (Ainslie et al., arXiv:2305.13245) and rotary (Su et al., arXiv:2104.09864).

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{ops, rotary_emb};

use super::layers::{Outcome, blocked, projected, rms_norm};
use super::{Failure, Tap};
use crate::graph::{Attention, AttentionKind, Projections, Rope, RopeScaling};

/// softmax(scale · q kᵀ) v over heads, projected. The second input is the mask.
pub(super) fn attention(attention: &Attention, inputs: &[Tensor], weights: &[Tensor], tap: &mut Tap) -> Outcome {
    if let AttentionKind::Rope(Rope { scaling: RopeScaling::NotRunnable(detail), .. }) = attention.kind {
        return Err(Failure::NotRunnable(detail));
    }
    let input = &inputs[0];
    let (batch, length, _) = input.dims3()?;
    let head = attention.head_dim as usize;
    let Pieces { q, k, v, out, norms } = pieces(attention, input, weights, tap)?;
    let split = |x: Tensor, heads: u64| x.reshape((batch, length, heads as usize, head));
    let across = |x: Tensor| x.transpose(1, 2)?.contiguous();
    let q = placed(attention, across(normed(attention, split(q, attention.heads)?, norms.first())?)?)?;
    let k = placed(attention, across(normed(attention, split(k, attention.kv_heads)?, norms.get(1))?)?)?;
    let (k, v) = (repeated(attention, k)?, repeated(attention, across(split(v, attention.kv_heads)?)?)?);
    let scale = attention.scale.unwrap_or(1.0 / (head as f64).sqrt());
    let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * scale)?;
    let scores = masked(attention, scores, inputs.get(1))?;
    let mixed = ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
    let mixed = mixed.transpose(1, 2)?.contiguous()?.reshape((batch, length, ()))?;
    projected(attention.layout, &mixed, out, &mut |input, product| {
        tap(weights.len() - out.len() - norms.len(), input, product)
    })
}

/// q, k and v in the width of their heads, the output's weights, and those of the norms.
struct Pieces<'a> {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: &'a [Tensor],
    norms: &'a [Tensor],
}

fn pieces<'a>(
    attention: &Attention,
    input: &Tensor,
    weights: &'a [Tensor],
    tap: &mut Tap,
) -> std::result::Result<Pieces<'a>, Failure> {
    let mut rest = weights;
    let mut next = |bias: bool| {
        let place = weights.len() - rest.len();
        let (layer, after) = rest.split_at((1 + usize::from(bias)).min(rest.len()));
        rest = after;
        (place, layer)
    };
    let mut linear = |(place, layer): (usize, &[Tensor])| {
        projected(attention.layout, input, layer, &mut |input, product| tap(place, input, product))
    };
    let (q, k, v) = match attention.projections {
        Projections::Separate { .. } => {
            (linear(next(attention.bias))?, linear(next(attention.bias))?, linear(next(attention.bias))?)
        }
        Projections::Fused { .. } => {
            let fused = linear(next(attention.bias))?;
            let rows = (attention.heads * attention.head_dim) as usize;
            let keys = (attention.kv_heads * attention.head_dim) as usize;
            let piece = |start, len| fused.narrow(D::Minus1, start, len);
            (piece(0, rows)?, piece(rows, keys)?, piece(rows + keys, keys)?)
        }
    };
    let (_, out) = next(attention.out_bias);
    Ok(Pieces { q, k, v, out, norms: rest })
}

/// Each head's RMS norm, where there is one.
fn normed(attention: &Attention, heads: Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
    match (&attention.norms, weight) {
        (Some(norms), Some(weight)) => rms_norm(&heads, norms.eps, norms.centred, std::slice::from_ref(weight)),
        _ => Ok(heads),
    }
}

/// Each key or value head as often as there are query heads to a group.
fn repeated(attention: &Attention, heads: Tensor) -> Result<Tensor> {
    let group = (attention.heads / attention.kv_heads) as usize;
    if group == 1 {
        return Ok(heads);
    }
    let (batch, kv, length, head) = heads.dims4()?;
    heads.unsqueeze(2)?.repeat((1, 1, group, 1, 1))?.reshape((batch, kv * group, length, head))
}

/// Rotated by its position, where the attention is rotary (halves: dimension i goes with i + rotary / 2).
fn placed(attention: &Attention, heads: Tensor) -> Result<Tensor> {
    let AttentionKind::Rope(rope) = attention.kind else { return Ok(heads) };
    let (cos, sin) = tables(&rope, heads.dim(2)?)?;
    let (rotary, all) = (rope.rotary as usize, attention.head_dim as usize);
    if rotary == all {
        return rotary_emb::rope_slow(&heads, &cos, &sin);
    }
    let turned = rotary_emb::rope_slow(&heads.narrow(D::Minus1, 0, rotary)?.contiguous()?, &cos, &sin)?;
    Tensor::cat(&[&turned, &heads.narrow(D::Minus1, rotary, all - rotary)?], D::Minus1)
}

/// Cosines and sines of every position's angles, `(length, rotary / 2)`.
#[expect(
    clippy::disallowed_methods,
    reason = "activations reach an output through `lsuv` alone, which promises its bits for one type of processor"
)]
fn tables(rope: &Rope, length: usize) -> Result<(Tensor, Tensor)> {
    let half = rope.rotary as usize / 2;
    let frequencies: Vec<f64> =
        (0..half).map(|i| scaled(rope.theta.powf(-(2.0 * i as f64) / rope.rotary as f64), rope.scaling)).collect();
    let table = |f: fn(f64) -> f64| {
        let angle = |index: usize| (index / half) as f64 * frequencies[index % half];
        let values: Vec<f32> = (0..length * half).map(|index| f(angle(index)) as f32).collect();
        Tensor::from_vec(values, (length, half), &Device::Cpu)
    };
    Ok((table(f64::cos)?, table(f64::sin)?))
}

/// A frequency after scaling.
fn scaled(frequency: f64, scaling: RopeScaling) -> f64 {
    match scaling {
        RopeScaling::Unscaled | RopeScaling::NotRunnable(_) => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Llama3 { factor, low, high, original } => {
            let turns = original * frequency / std::f64::consts::TAU;
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            frequency * (kept + (1.0 - kept) / factor)
        }
    }
}

/// The least number where attention must not go: a finite one, so that a row of nothing but padding is uniform and not NaN.
fn masked(attention: &Attention, scores: Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (batch, _, length, _) = scores.dims4()?;
    let mut away = Vec::new();
    if let Some(mask) = mask {
        away.push(blocked(mask)?.reshape((batch, 1, 1, length))?);
    }
    if attention.causal || attention.window.is_some() {
        let window = attention.window.and_then(|window| usize::try_from(window).ok()).unwrap_or(usize::MAX);
        let unseen = |query: usize, key: usize| {
            (attention.causal && key > query) || query.checked_sub(key).is_some_and(|back| back >= window)
        };
        let unseen: Vec<u8> = (0..length * length).map(|at| u8::from(unseen(at / length, at % length))).collect();
        away.push(Tensor::from_vec(unseen, (1, 1, length, length), &Device::Cpu)?);
    }
    let least = Tensor::full(f32::MIN, scores.dims(), &Device::Cpu)?;
    away.into_iter().try_fold(scores, |scores, away| {
        away.to_dtype(DType::U8)?.broadcast_as(least.dims())?.where_cond(&least, &scores)
    })
}
