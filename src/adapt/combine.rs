//! What a weight was taken apart into, put together again: weight norm (Salimans and Kingma, arXiv:1602.07868) and low-rank adapters (Hu
//! et al., arXiv:2106.09685).

use super::float::{Float, Real};
use super::{Block, Demand, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Dtype, Rows, TensorInfo};

const WEIGHT_NORM: &str = "weight_norm";
const LOW_RANK: &str = "low_rank";
const MEAN_COVARIANCE: &str = "mean_covariance";

/// All elements of a block in f64.
fn values(block: &Block) -> Vec<f64> {
    let Some(float) = Float::of(block.info.dtype) else { return Vec::new() };
    let mut values = vec![0.0; block.bytes.len() / float.bytes()];
    f64::decode(float, block.bytes, &mut values);
    values
}

/// Numbers into a buffer of this type, rounded once.
fn encode(dtype: Dtype, values: &[f64], out: &mut [u8]) {
    let Some(float) = Float::of(dtype) else { return };
    match float {
        Float::F64 => f64::encode(float, values, out),
        _ => {
            let values: Vec<f32> = values.iter().map(|value| (*value as f32).canonical()).collect();
            f32::encode(float, &values, out);
        }
    }
}

/// `g · v / ‖v‖`, the norm over all axes but `axis`.
pub(super) fn weight_norm_out(axis: usize, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let (g, v) = inputs::two(WEIGHT_NORM, infos)?;
    inputs::float(WEIGHT_NORM, g)?;
    inputs::float(WEIGHT_NORM, v)?;
    let size = inputs::axis_size(WEIGHT_NORM, v, axis)?;
    if g.elements()? != size || g.shape.iter().filter(|size| **size != 1).count() > 1 {
        return Err(AdaptError::Shapes { op: WEIGHT_NORM, first: g.clone(), other: v.clone() }.into());
    }
    v.row_bytes()?;
    let mut out = inputs::result(v, v.dtype, v.shape.clone())?;
    out.name = g.name.clone();
    Ok(out)
}

/// Row by row along axis 0; along another axis every row needs all.
pub(super) fn weight_norm_demand(axis: usize, infos: &[&TensorInfo], rows: &Rows) -> Result<Vec<Demand>> {
    let (g, _) = inputs::two(WEIGHT_NORM, infos)?;
    Ok(match axis {
        0 if g.rows() == 1 => vec![Demand::Whole, Demand::rows(rows.clone())],
        0 => vec![Demand::rows(rows.clone()); 2],
        _ => vec![Demand::Whole; 2],
    })
}

pub(super) fn weight_norm(axis: usize, blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    let [g, v] = blocks else { return Ok(()) };
    let info = v.info;
    let (scales, values) = (values(g), values(v));
    let inner: u64 = info.shape.get(axis + 1..).unwrap_or(&[]).iter().product();
    let size = info.shape.get(axis).copied().unwrap_or(1).max(1);
    // along axis 0 only the rows that are asked for are here
    let first = if axis == 0 && g.info.rows() == 1 { rows.start } else { 0 };
    let index = |at: usize| ((at as u64 / inner.max(1)) % size) as usize;
    let mut squares = vec![0.0; scales.len() + first as usize];
    values.iter().enumerate().for_each(|(at, value)| {
        let place = index(at) + first as usize;
        squares[place] += value * value;
    });
    let row = inputs::size(WEIGHT_NORM, info.row_elements()?)?;
    let skip = if axis == 0 { 0 } else { inputs::size(WEIGHT_NORM, rows.start)? * row };
    let count = inputs::size(WEIGHT_NORM, rows.end - rows.start)? * row;
    let made: Vec<f64> = (skip..skip + count)
        .map(|at| {
            let place = index(at) + first as usize;
            scales[place] * values[at] / squares[place].sqrt()
        })
        .collect();
    encode(info.dtype, &made, out);
    Ok(())
}

/// `w + scale · b a`: `w` `(out, …)`, `a` `(rank, …)`, `b` `(out, rank)`; or, turned, `w` `(in, out)` with `a` `(rank, in)` and `b` `(out, rank)`.
pub(super) fn low_rank_out(scale: f64, turned: bool, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let [w, a, b] = infos else {
        return Err(AdaptError::Inputs { op: LOW_RANK, expected: "three", found: infos.len() }.into());
    };
    infos.iter().try_for_each(|info| inputs::float(LOW_RANK, info).map(|_| ()))?;
    if !scale.is_finite() {
        return Err(AdaptError::NotFinite { op: LOW_RANK, parameter: "scale", value: scale }.into());
    }
    let (rank, rest) = (inputs::axis_size(LOW_RANK, a, 0)?, w.row_elements()?);
    let (rows, columns) = if turned { (a.row_elements()?, b.rows()) } else { (b.rows(), a.row_elements()?) };
    if w.rows() != rows || rest != columns || w.shape.len() < 2 {
        return Err(AdaptError::Shapes {
            op: LOW_RANK,
            first: (*w).clone(),
            other: if turned { (*a).clone() } else { (*b).clone() },
        }
        .into());
    }
    if b.row_elements()? != rank {
        return Err(AdaptError::Shapes { op: LOW_RANK, first: (*a).clone(), other: (*b).clone() }.into());
    }
    inputs::result(w, w.dtype, w.shape.clone())
}

pub(super) fn low_rank_demand(turned: bool, rows: &Rows) -> Vec<Demand> {
    let w = Demand::rows(rows.clone());
    if turned { vec![w, Demand::Whole, Demand::Whole] } else { vec![w, Demand::Whole, Demand::rows(rows.clone())] }
}

pub(super) fn low_rank(scale: f64, turned: bool, blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    let [w, a, b] = blocks else { return Ok(()) };
    let (mut sum, a_values, b_values) = (values(w), values(a), values(b));
    let rank = inputs::size(LOW_RANK, a.info.rows())?;
    let width = inputs::size(LOW_RANK, w.info.row_elements()?)?;
    let a_width = inputs::size(LOW_RANK, a.info.row_elements()?)?;
    let first = inputs::size(LOW_RANK, rows.start)?;
    for (row, sums) in sum.chunks_mut(width.max(1)).enumerate() {
        let mut delta = vec![0.0; sums.len()];
        for r in 0..rank {
            match turned {
                false => {
                    let factor = b_values[row * rank + r];
                    delta.iter_mut().zip(&a_values[r * a_width..]).for_each(|(sum, a)| *sum += factor * a);
                }
                true => {
                    let factor = a_values[r * a_width + first + row];
                    delta.iter_mut().enumerate().for_each(|(column, sum)| *sum += factor * b_values[column * rank + r]);
                }
            }
        }
        sums.iter_mut().zip(delta).for_each(|(sum, delta)| *sum += scale * delta);
    }
    encode(w.info.dtype, &sum, out);
    Ok(())
}

/// Rows that are distributed as those of the first input are: `mean + √scale · Σ zᵢ (xᵢ − mean) / √n`, which for independent standard normals
/// `z`, the second input `(rows, n)`, is N(mean, scale · covariance).
pub(super) fn covariance_out(scale: f64, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let (x, z) = inputs::two(MEAN_COVARIANCE, infos)?;
    inputs::float(MEAN_COVARIANCE, x)?;
    inputs::float(MEAN_COVARIANCE, z)?;
    if !(scale.is_finite() && scale >= 0.0) {
        return Err(AdaptError::NotFinite { op: MEAN_COVARIANCE, parameter: "scale", value: scale }.into());
    }
    let rows = inputs::axis_size(MEAN_COVARIANCE, x, 0)?;
    if rows == 0 {
        return Err(AdaptError::NoRows { op: MEAN_COVARIANCE, input: x.clone() }.into());
    }
    if z.shape.len() != 2 || z.shape.get(1) != Some(&rows) {
        return Err(AdaptError::Shapes { op: MEAN_COVARIANCE, first: x.clone(), other: z.clone() }.into());
    }
    let shape = z.shape.iter().take(1).chain(x.shape.iter().skip(1)).copied().collect();
    inputs::result(x, Dtype::F32, shape)
}

pub(super) fn covariance_demand(rows: &Rows) -> Vec<Demand> {
    vec![Demand::Whole, Demand::rows(rows.clone())]
}

pub(super) fn covariance(scale: f64, blocks: &[Block], out: &mut [u8]) -> Result<()> {
    let [x, z] = blocks else { return Ok(()) };
    let Some(float) = Float::of(x.info.dtype) else { return Ok(()) };
    let (count, width) = (x.info.rows() as f64, inputs::size(MEAN_COVARIANCE, x.info.row_elements()?)?);
    if width == 0 {
        return Ok(());
    }
    let rows = || x.bytes.chunks_exact(width * float.bytes());
    let mut row = vec![0.0; width];
    let mut mean = vec![0.0; width];
    for bytes in rows() {
        f64::decode(float, bytes, &mut row);
        mean.iter_mut().zip(&row).for_each(|(sum, value)| *sum += value);
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    let draws = values(z);
    let wide = inputs::size(MEAN_COVARIANCE, x.info.rows())?;
    let factor = (scale / count).sqrt();
    let mut made = vec![0.0; draws.len() / wide * width];
    for (at, bytes) in rows().enumerate() {
        f64::decode(float, bytes, &mut row);
        for (sums, draws) in made.chunks_mut(width).zip(draws.chunks(wide)) {
            let z = draws[at];
            sums.iter_mut().zip(&row).zip(&mean).for_each(|((sum, value), mean)| *sum += z * (value - mean));
        }
    }
    for sums in made.chunks_mut(width) {
        sums.iter_mut().zip(&mean).for_each(|(sum, mean)| *sum = mean + factor * *sum);
    }
    encode(Dtype::F32, &made, out);
    Ok(())
}
