//! Self-attention (Vaswani et al., arXiv:1706.03762), grouped (Ainslie et al., arXiv:2305.13245) and rotary (Su et al., arXiv:2104.09864).

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{ops, rotary_emb};

use super::distances;
use super::failure::{Failure, Tap};
use super::layers::{Outcome, blocked, projected, rms_norm};
use crate::graph::{Attention, AttentionKind, Projections, Rope, RopeScaling};

/// softmax(scale · q kᵀ) v over heads, projected. The last input that there can be is the mask of the keys.
pub(super) fn attention(attention: &Attention, inputs: &[Tensor], weights: &[Tensor], tap: &mut Tap) -> Outcome {
    if let AttentionKind::Rope(Rope { scaling: RopeScaling::NotRunnable(detail), .. }) = &attention.kind {
        return Err(Failure::NotRunnable(detail));
    }
    if attention.out_width.is_some() {
        return Err(Failure::NotRunnable(" with heads that together are not as wide as its output's projection takes"));
    }
    let input = &inputs[0];
    let memory = if attention.cross { &inputs[1] } else { input };
    let (batch, length, _) = input.dims3()?;
    let head = attention.head_dim as usize;
    let Pieces { q, k, v, projections, out, rest } = pieces(attention, input, memory, weights, tap)?;
    let norms = if attention.norms.is_some() { rest } else { &[] };
    let q = placed(attention, across(normed(attention, q, attention.heads, norms.first())?)?)?;
    let k = placed(attention, across(normed(attention, k, attention.kv_heads, norms.get(1))?)?)?;
    let (k, v) = (repeated(attention, k)?, repeated(attention, across(split(attention, v, attention.kv_heads)?)?)?);
    let scores = q.matmul(&k.transpose(2, 3)?.contiguous()?)?;
    let scores = match &attention.kind {
        AttentionKind::Disentangled(kind) => {
            let table = projected_table(attention, &inputs[1], &projections)?;
            let scale = attention.scale.unwrap_or(distances::scale(*kind, head));
            ((scores + distances::scores(*kind, &q, &k, &table)?)? * scale)?
        }
        AttentionKind::Relative(buckets) => {
            let scale = attention.scale.unwrap_or(1.0 / (head as f64).sqrt());
            let keys = k.dim(2)?;
            let table = rest.last().ok_or(Failure::NotRunnable(": it has no table of distances"))?;
            (scores * scale)?.broadcast_add(&distances::bias(*buckets, !attention.causal, table, (length, keys))?)?
        }
        AttentionKind::Plain | AttentionKind::Rope(_) => {
            (scores * attention.scale.unwrap_or(1.0 / (head as f64).sqrt()))?
        }
    };
    let scores = masked(attention, scores, inputs.get(attention.mask_place()))?;
    let mixed = ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
    let mixed = mixed.transpose(1, 2)?.contiguous()?.reshape((batch, length, ()))?;
    let place = weights.len() - out.len() - rest.len();
    projected(attention.layout, &mixed, out, &mut |input, product| tap(place, input, product))
}

/// `(batch, length, width)` as `(batch, length, heads, head)`.
fn split(attention: &Attention, x: Tensor, heads: u64) -> Result<Tensor> {
    let (batch, length, _) = x.dims3()?;
    x.reshape((batch, length, heads as usize, attention.head_dim as usize))
}

/// Heads before positions.
fn across(x: Tensor) -> Result<Tensor> {
    x.transpose(1, 2)?.contiguous()
}

/// The distances as queries and as keys: `(heads, 2 * span, head)` each, by the projections of contents or by its own.
fn projected_table(
    attention: &Attention,
    table: &Tensor,
    [query, key]: &[&[Tensor]; 2],
) -> std::result::Result<distances::Table, Failure> {
    let rows = table.dim(0)?;
    let shape = (rows, attention.heads as usize, attention.head_dim as usize);
    let heads = |weights: &[Tensor]| -> Outcome {
        let product = projected(attention.layout, table, weights, &mut |_, product| Ok(product))?;
        Ok(product.reshape(shape)?.transpose(0, 1)?.contiguous()?)
    };
    Ok(distances::Table { queries: heads(query)?, keys: heads(key)? })
}

/// q, k and v in the width of their heads, the weights that project distances, the output's, and what stands after them:
/// those of norms, or the table of a relative bias.
struct Pieces<'a> {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    /// Of distances, to queries and to keys.
    projections: [&'a [Tensor]; 2],
    out: &'a [Tensor],
    rest: &'a [Tensor],
}

fn pieces<'a>(
    attention: &Attention,
    input: &Tensor,
    memory: &Tensor,
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
    let mut linear = |of: &Tensor, (place, layer): (usize, &[Tensor])| {
        projected(attention.layout, of, layer, &mut |input, product| tap(place, input, product))
    };
    let (heads, head) = (attention.heads as usize, attention.head_dim as usize);
    let mut projections: [&[Tensor]; 2] = [&[], &[]];
    let (q, k, v) = match attention.projections {
        Projections::Separate { .. } => {
            let (query, key) = (next(attention.bias), next(attention.bias && attention.key_bias));
            let value = next(attention.bias);
            projections = [query.1, key.1];
            if let AttentionKind::Disentangled(kind) = &attention.kind {
                let [keys, queries] = kind.own_projections();
                projections[1] = keys.map_or(projections[1], |_| next(attention.bias).1);
                projections[0] = queries.map_or(projections[0], |_| next(attention.bias).1);
            }
            (linear(input, query)?, linear(memory, key)?, linear(memory, value)?)
        }
        Projections::Fused { .. } => {
            let fused = linear(input, next(attention.bias))?;
            let (rows, keys) = (heads * head, attention.kv_heads as usize * head);
            let piece = |start, len| fused.narrow(D::Minus1, start, len);
            (piece(0, rows)?, piece(rows, keys)?, piece(rows + keys, keys)?)
        }
        Projections::PerHead { .. } => {
            let (batch, length, _) = input.dims3()?;
            let fused = linear(input, next(attention.bias))?.reshape((batch, length, heads, 3 * head))?;
            let piece = |place| fused.narrow(D::Minus1, place * head, head)?.reshape((batch, length, heads * head));
            (piece(0)?, piece(1)?, piece(2)?)
        }
    };
    let (_, out) = next(attention.out_bias);
    Ok(Pieces { q, k, v, projections, out, rest })
}

/// Split into heads, with an RMS norm of each head or of all together, where there is one.
fn normed(attention: &Attention, x: Tensor, heads: u64, weight: Option<&Tensor>) -> Result<Tensor> {
    let (Some(norms), Some(weight)) = (&attention.norms, weight) else { return split(attention, x, heads) };
    let norm = |x: &Tensor| rms_norm(x, norms.eps, norms.centred, std::slice::from_ref(weight));
    if norms.whole { split(attention, norm(&x)?, heads) } else { norm(&split(attention, x, heads)?) }
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
    let AttentionKind::Rope(rope) = &attention.kind else { return Ok(heads) };
    let (cos, sin) = tables(rope, heads.dim(2)?)?;
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
        (0..half).map(|i| scaled(i, rope.theta.powf(-(2.0 * i as f64) / rope.rotary as f64), rope, length)).collect();
    let longer = attention_factor(&rope.scaling);
    let table = |f: fn(f64) -> f64| {
        let angle = |index: usize| (index / half) as f64 * frequencies[index % half];
        let values: Vec<f32> = (0..length * half).map(|index| (f(angle(index)) * longer) as f32).collect();
        Tensor::from_vec(values, (length, half), &Device::Cpu)
    };
    Ok((table(f64::cos)?, table(f64::sin)?))
}

/// What cosines and sines are multiplied by.
#[expect(clippy::disallowed_methods, reason = "as of the tables that it is for")]
fn attention_factor(scaling: &RopeScaling) -> f64 {
    match *scaling {
        RopeScaling::Yarn { attention: Some(attention), .. } | RopeScaling::Long { attention, .. } => attention,
        RopeScaling::Yarn { factor, scales, .. } if factor > 1.0 => {
            let [above, below] = scales.map(|scale| 0.1 * scale * factor.ln() + 1.0);
            above / below
        }
        RopeScaling::Yarn { .. }
        | RopeScaling::Unscaled
        | RopeScaling::Linear { .. }
        | RopeScaling::Llama3 { .. }
        | RopeScaling::NotRunnable(_) => 1.0,
    }
}

/// The share of a frequency, by its number, that YaRN divides: 0 up to that of `fast` turns, 1 from that of `slow` ones on.
#[expect(clippy::disallowed_methods, reason = "as of the tables that it is for")]
fn divided(number: usize, rope: &Rope, [fast, slow]: [f64; 2], original: f64, truncated: bool) -> f64 {
    let width = rope.rotary as f64;
    let turning = |turns: f64| width * (original / (turns * std::f64::consts::TAU)).ln() / (2.0 * rope.theta.ln());
    let (low, high) = (turning(fast), turning(slow));
    let (low, high) = if truncated { (low.floor(), high.ceil()) } else { (low, high) };
    let (low, high) = (low.max(0.0), high.min(width - 1.0));
    let high = if low == high { high + 0.001 } else { high };
    ((number as f64 - low) / (high - low)).clamp(0.0, 1.0)
}

/// The frequency of this number after scaling, for a text of this length.
fn scaled(number: usize, frequency: f64, rope: &Rope, length: usize) -> f64 {
    match rope.scaling {
        RopeScaling::Unscaled | RopeScaling::NotRunnable(_) => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Llama3 { factor, low, high, original } => {
            let turns = original * frequency / std::f64::consts::TAU;
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            frequency * (kept + (1.0 - kept) / factor)
        }
        RopeScaling::Yarn { factor, fast, slow, original, truncated, attention: _, scales: _ } => {
            let divided = divided(number, rope, [fast, slow], original, truncated);
            frequency * (divided / factor + (1.0 - divided))
        }
        RopeScaling::Long { ref short, ref long, original, attention: _ } => {
            let factors = if length as f64 > original { long } else { short };
            frequency / factors.get(number).copied().unwrap_or(1.0)
        }
    }
}

/// The least number where attention must not go: a finite one, so that a row of nothing but padding is uniform and not NaN.
fn masked(attention: &Attention, scores: Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (batch, _, length, keys) = scores.dims4()?;
    let mut away = Vec::new();
    if let Some(mask) = mask {
        away.push(blocked(mask)?.reshape((batch, 1, 1, keys))?);
    }
    if attention.causal || attention.window.is_some() {
        let window = attention.window.and_then(|window| usize::try_from(window).ok()).unwrap_or(usize::MAX);
        let unseen = |query: usize, key: usize| (attention.causal && key > query) || query.abs_diff(key) >= window;
        let unseen: Vec<u8> = (0..length * keys).map(|at| u8::from(unseen(at / keys, at % keys))).collect();
        away.push(Tensor::from_vec(unseen, (1, 1, length, keys), &Device::Cpu)?);
    }
    let least = Tensor::full(f32::MIN, scores.dims(), &Device::Cpu)?;
    away.into_iter().try_fold(scores, |scores, away| {
        away.to_dtype(DType::U8)?.broadcast_as(least.dims())?.where_cond(&least, &scores)
    })
}
