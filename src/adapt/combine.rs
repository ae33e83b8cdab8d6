//! What a weight was taken apart into, put together again: weight norm (Salimans and Kingma, arXiv:1602.07868) and low-rank adapters (Hu
//! et al., arXiv:2106.09685).

use ndarray::{Array, Array1, Array2, ArrayView1, Axis, Dimension, IntoDimension};

use super::float::{Float, Real};
use super::{Block, Demand, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Dtype, Rows, TensorInfo};

const WEIGHT_NORM: &str = "weight_norm";
const LOW_RANK: &str = "low_rank";
const MEAN_COVARIANCE: &str = "mean_covariance";

/// All elements of a block in f64.
fn values(op: &'static str, block: &Block) -> Result<Vec<f64>> {
    let float = Float::of(block.info.dtype).ok_or_else(|| AdaptError::NotFloat { op, input: block.info.clone() })?;
    let mut values = vec![0.0; block.bytes.len() / float.bytes()];
    f64::decode(float, block.bytes, &mut values);
    Ok(values)
}

/// All elements of a block in f64, as an array of this shape.
fn array<D: Dimension>(op: &'static str, block: &Block, shape: impl IntoDimension<Dim = D>) -> Result<Array<f64, D>> {
    let (shape, values) = (shape.into_dimension(), values(op, block)?);
    let bytes = |elements: usize| block.info.dtype.bytes_of(elements as u64);
    let (expected, found) = (bytes(shape.size())?, block.bytes.len() as u64);
    Array::from_shape_vec(shape, values).map_err(|_| AdaptError::Supplied { op, expected, found }.into())
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
    let asked = inputs::size(WEIGHT_NORM, rows.start)?..inputs::size(WEIGHT_NORM, rows.end)?;
    let sizes = |axes: &[u64]| inputs::size(WEIGHT_NORM, axes.iter().product());
    let (outer, inner) = (sizes(&info.shape[..axis])?, sizes(&info.shape[axis + 1..])?);
    // along axis 0 only the rows that are asked for are here
    let size = if axis == 0 { asked.len() } else { sizes(&info.shape[axis..=axis])? };
    let first = if axis == 0 && g.info.rows() == 1 { asked.start } else { 0 };
    let mut weight = array(WEIGHT_NORM, v, (outer, size, inner))?;
    for (mut slice, scale) in weight.axis_iter_mut(Axis(1)).zip(&values(WEIGHT_NORM, g)?[first..]) {
        let norm = slice.iter().fold(0.0, |sum, value| sum + value * value).sqrt();
        slice.mapv_inplace(|value| scale * value / norm);
    }
    let (made, _) = weight.into_raw_vec_and_offset();
    let row = inputs::size(WEIGHT_NORM, info.row_elements()?)?;
    let here = if axis == 0 { 0..made.len() } else { asked.start * row..asked.end * row };
    encode(info.dtype, &made[here], out);
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
    let size = |size: u64| inputs::size(LOW_RANK, size);
    let (first, count, rank) = (size(rows.start)?, size(rows.end - rows.start)?, size(a.info.rows())?);
    let mut sum = array(LOW_RANK, w, (count, size(w.info.row_elements()?)?))?;
    let a = array(LOW_RANK, a, (rank, size(a.info.row_elements()?)?))?;
    let b = array(LOW_RANK, b, (if turned { size(b.info.rows())? } else { count }, rank))?;
    for (row, mut sums) in sum.rows_mut().into_iter().enumerate() {
        let mut delta = Array1::zeros(sums.len());
        // in the order of the rank: a `dot` adds in the order of its blocks, which depend on the processor
        for r in 0..rank {
            match turned {
                false => delta.scaled_add(b[(row, r)], &a.row(r)),
                true => delta.scaled_add(a[(r, first + row)], &b.column(r)),
            }
        }
        sums.scaled_add(scale, &delta);
    }
    encode(w.info.dtype, &sum.into_raw_vec_and_offset().0, out);
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
    let count = inputs::size(MEAN_COVARIANCE, x.info.rows())?;
    let width = inputs::size(MEAN_COVARIANCE, x.info.row_elements()?)?;
    if width == 0 {
        return Ok(());
    }
    // one row at a time: a whole vocabulary in f64 would take up to four times its bytes
    let rows = || x.bytes.chunks_exact(width * float.bytes());
    let mut row = vec![0.0; width];
    let mut mean = Array1::zeros(width);
    for bytes in rows() {
        f64::decode(float, bytes, &mut row);
        mean += &ArrayView1::from(&row);
    }
    mean /= count as f64;
    let made = out.len() / width / size_of::<f32>();
    let draws = array(MEAN_COVARIANCE, z, (made, count))?;
    let factor = (scale / count as f64).sqrt();
    let mut made = Array2::zeros((made, width));
    for (bytes, draws) in rows().zip(draws.columns()) {
        f64::decode(float, bytes, &mut row);
        let apart = &ArrayView1::from(&row) - &mean;
        made.rows_mut().into_iter().zip(draws).for_each(|(mut sums, draw)| sums.scaled_add(*draw, &apart));
    }
    made *= factor;
    made += &mean;
    encode(Dtype::F32, &made.into_raw_vec_and_offset().0, out);
    Ok(())
}
