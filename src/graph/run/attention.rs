//! Self-attention (Vaswani et al., arXiv:1706.03762), grouped (Ainslie et al., arXiv:2305.13245) and rotary (Su et al., arXiv:2104.09864).

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{ops, rotary_emb};

use super::layers::{blocked, linear};
use crate::graph::{Attention, AttentionKind, Projections};

/// softmax(q kᵀ / √d) v over heads, projected. The second input is the mask.
pub(super) fn attention(attention: &Attention, inputs: &[Tensor], weights: &[Tensor]) -> Result<Tensor> {
    let input = &inputs[0];
    let (batch, length, _) = input.dims3()?;
    let head = attention.head_dim as usize;
    let (q, k, v, out) = projected(attention, input, weights)?;
    let split = |x: Tensor, heads: u64| x.reshape((batch, length, heads as usize, head))?.transpose(1, 2)?.contiguous();
    let q = placed(attention, split(q, attention.heads)?)?;
    let k = repeated(attention, placed(attention, split(k, attention.kv_heads)?)?)?;
    let v = repeated(attention, split(v, attention.kv_heads)?)?;
    let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? / (head as f64).sqrt())?;
    let scores = masked(attention, scores, inputs.get(1))?;
    let mixed = ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
    linear(&mixed.transpose(1, 2)?.contiguous()?.reshape((batch, length, ()))?, out)
}

/// q, k, v in the width of their heads, and the output's weights.
fn projected<'a>(
    attention: &Attention,
    input: &Tensor,
    weights: &'a [Tensor],
) -> Result<(Tensor, Tensor, Tensor, &'a [Tensor])> {
    let each = if attention.bias { 2 } else { 1 };
    let mut layers = weights.chunks(each);
    let mut next = || layers.next().unwrap_or(&[]);
    match attention.projections {
        Projections::Separate { .. } => {
            let (q, k, v) = (linear(input, next())?, linear(input, next())?, linear(input, next())?);
            Ok((q, k, v, next()))
        }
        Projections::Fused { .. } => {
            let fused = linear(input, next())?;
            let rows = (attention.heads * attention.head_dim) as usize;
            let keys = (attention.kv_heads * attention.head_dim) as usize;
            let piece = |start, len| fused.narrow(D::Minus1, start, len);
            Ok((piece(0, rows)?, piece(rows, keys)?, piece(rows + keys, keys)?, next()))
        }
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

/// Rotated by its position, where the attention is rotary (halves: dimension i goes with i + d/2).
#[expect(clippy::disallowed_methods, reason = "the bits of activations reach no output")]
fn placed(attention: &Attention, heads: Tensor) -> Result<Tensor> {
    match attention.kind {
        AttentionKind::Plain => Ok(heads),
        AttentionKind::Rope { theta } => {
            let (length, half) = (heads.dim(2)?, attention.head_dim as usize / 2);
            let angle = |index: usize| {
                let (position, i) = (index / half, index % half);
                position as f64 * theta.powf(-(2.0 * i as f64) / attention.head_dim as f64)
            };
            let table = |f: fn(f64) -> f64| {
                let values: Vec<f32> = (0..length * half).map(|index| f(angle(index)) as f32).collect();
                Tensor::from_vec(values, (length, half), &Device::Cpu)
            };
            rotary_emb::rope_slow(&heads, &table(f64::cos)?, &table(f64::sin)?)
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
    if attention.causal {
        let later: Vec<u8> = (0..length * length).map(|index| u8::from(index % length > index / length)).collect();
        away.push(Tensor::from_vec(later, (1, 1, length, length), &Device::Cpu)?);
    }
    let least = Tensor::full(f32::MIN, scores.dims(), &Device::Cpu)?;
    away.into_iter().try_fold(scores, |scores, away| {
        away.to_dtype(DType::U8)?.broadcast_as(least.dims())?.where_cond(&least, &scores)
    })
}
