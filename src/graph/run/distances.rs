//! Scores that look at distances: T5's learned bias (arXiv:1910.10683), DeBERTa's disentangled attention (arXiv:2006.03654).

use candle_core::{Device, Result, Tensor};

use crate::graph::{Buckets, Disentangled};

/// The table of distances in the width of the heads.
pub(super) struct Table {
    pub queries: Tensor,
    pub keys: Tensor,
}

/// `(1, heads, queries, keys)` of T5's `compute_bias`.
pub(super) fn bias(
    buckets: Buckets,
    both_sides: bool,
    table: &Tensor,
    (queries, keys): (usize, usize),
) -> Result<Tensor> {
    let bucket = |at: usize| bucket(buckets, both_sides, at % keys, at / keys);
    let rows = Tensor::from_vec((0..queries * keys).map(bucket).collect::<Vec<u32>>(), queries * keys, &Device::Cpu)?;
    table.index_select(&rows, 0)?.reshape((1, queries, keys, ()))?.permute((0, 3, 1, 2))?.contiguous()
}

/// transformers' `_relative_position_bucket`, in f32 as there.
#[expect(
    clippy::disallowed_methods,
    reason = "activations reach an output through `lsuv` alone, which promises its bits for one type of processor"
)]
fn bucket(Buckets { buckets, max_distance }: Buckets, both_sides: bool, key: usize, query: usize) -> u32 {
    let side = if both_sides { buckets / 2 } else { buckets };
    let first = if both_sides && key > query { side } else { 0 };
    let distance = if both_sides { key.abs_diff(query) } else { query.saturating_sub(key) } as u64;
    let exact = side / 2;
    let bucket = if distance < exact {
        distance
    } else {
        let share = (distance as f32 / exact as f32).ln() / ((max_distance as f64 / exact as f64).ln() as f32);
        (exact + (share * (side - exact) as f32) as u64).min(side - 1)
    };
    (first + bucket) as u32
}

/// What scores are multiplied by where nothing else is said: one over the root of the width times the number of terms.
pub(super) fn scale(kind: Disentangled, head: usize) -> f64 {
    let terms = 1 + usize::from(kind.content_to_position) + usize::from(kind.position_to_content);
    1.0 / ((head * terms) as f64).sqrt()
}

/// What distances add to the products of `q` and `k`, `(batch, heads, length, head)` both, before they are scaled.
pub(super) fn scores(kind: Disentangled, q: &Tensor, k: &Tensor, table: &Table) -> Result<Tensor> {
    let (batch, heads, length, _) = q.dims4()?;
    // the row of the table for what a query sees at a key
    let row = |query: usize, key: usize| {
        let place = kind.span as i64 + distance(kind, query as i64 - key as i64);
        place.clamp(0, 2 * kind.span as i64 - 1) as u32
    };
    let rows = |of: &dyn Fn(usize, usize) -> u32| {
        let all: Vec<u32> = (0..length * length).map(|at| of(at / length, at % length)).collect();
        let one = Tensor::from_vec(all, (1, 1, length, length), &Device::Cpu)?;
        one.broadcast_as((batch, heads, length, length))?.contiguous()
    };
    let against = |contents: &Tensor, distances: &Tensor| {
        contents.contiguous()?.broadcast_matmul(&distances.unsqueeze(0)?.transpose(2, 3)?.contiguous()?)
    };
    let mut sum = q.zeros_like()?.narrow(3, 0, 1)?.broadcast_as((batch, heads, length, length))?.contiguous()?;
    if kind.content_to_position {
        sum = (sum + against(q, &table.keys)?.gather(&rows(&row)?, 3)?)?;
    }
    if kind.position_to_content {
        let turned = against(k, &table.queries)?.gather(&rows(&|key, query| row(query, key))?, 3)?;
        sum = (sum + turned.transpose(2, 3)?.contiguous()?)?;
    }
    Ok(sum)
}

/// transformers' `make_log_bucket_position`, in f32 as there; the distance itself where there are no buckets.
#[expect(
    clippy::disallowed_methods,
    reason = "activations reach an output through `lsuv` alone, which promises its bits for one type of processor"
)]
fn distance(kind: Disentangled, distance: i64) -> i64 {
    let Some(most) = kind.max_distance else { return distance };
    let middle = kind.span as i64 / 2;
    if distance.abs() <= middle {
        return distance;
    }
    let share = (distance.abs() as f32 / middle as f32).ln() / ((most as f32 - 1.0) / middle as f32).ln();
    ((share * (middle - 1) as f32).ceil() as i64 + middle) * distance.signum()
}
