//! Whether the units of a layer are told apart: by their weights, and by the gradients that would change them.

use candle_core::{Device, Result, Tensor};
use faer::{Mat, Side};
use ndarray::{Array2, ArrayView1};

/// Two units whose weights have a larger cosine, and norms that differ by less than a thousandth, are copies of each other.
const SAME: f64 = 0.9999;
/// So many units are compared with each other; of a larger layer the first.
const MOST_UNITS: usize = 2048;
/// The smaller side up to which singular values are found.
const MOST_RANK: usize = 512;

/// The units of a layer, and which of them are copies.
pub(super) struct Units {
    /// By unit, the first unit that it is a copy of (often itself).
    leaders: Vec<usize>,
    norms: Vec<f64>,
    largest_cosine: Option<f64>,
}

impl Units {
    /// From weights `(units, inputs)` and, where there are biases, `(units)`.
    pub(crate) fn of(weights: &Tensor, bias: Option<&Tensor>) -> Result<Units> {
        let rows = match bias.filter(|bias| bias.dims() == [weights.dim(0).unwrap_or(0)]) {
            Some(bias) => Tensor::cat(&[weights, &bias.unsqueeze(1)?], 1)?,
            None => weights.clone(),
        };
        let count = rows.dim(0)?.min(MOST_UNITS);
        let rows = rows.narrow(0, 0, count)?.contiguous()?;
        let norms: Vec<f64> = matrix(&rows)?.rows().into_iter().map(norm).collect();
        let scale: Vec<f32> = norms.iter().map(|norm| if *norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 }).collect();
        let unit = rows.broadcast_mul(&Tensor::from_vec(scale, (count, 1), &Device::Cpu)?)?;
        let cosines = matrix(&unit.matmul(&unit.t()?)?)?;
        Ok(Units { leaders: leaders(&cosines, &norms), norms, largest_cosine: largest(&cosines) })
    }

    /// The largest cosine between two units, or `None` where there is only one, or all are zero.
    pub(crate) fn max_cosine(&self) -> Option<f64> {
        self.largest_cosine
    }

    /// The largest group of copies, and whether their gradients are copies too; `gradient` is `(units, inputs)`.
    pub(crate) fn copies(&self, gradient: Option<&Tensor>) -> Result<Copies> {
        let mut sizes = vec![0usize; self.leaders.len()];
        self.leaders.iter().for_each(|leader| sizes[*leader] += 1);
        let leader = (0..sizes.len()).max_by_key(|leader| (sizes[*leader], usize::MAX - leader)).unwrap_or(0);
        let units: Vec<usize> = (0..sizes.len()).filter(|unit| self.leaders[*unit] == leader).collect();
        let move_alike = match gradient {
            Some(gradient) => move_alike(gradient, &units)?,
            None => false,
        };
        let are_zero = self.norms.get(leader) == Some(&0.0);
        Ok(Copies { units: units.len(), of: sizes.len(), move_alike, are_zero })
    }
}

/// The largest group of units that are copies of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copies {
    /// How many.
    pub units: usize,
    /// Of how many.
    pub of: usize,
    /// Whether their gradients are copies too, or all zero, so that no step will tell them apart.
    pub move_alike: bool,
    /// Whether all their weights are zero.
    pub are_zero: bool,
}

fn matrix(tensor: &Tensor) -> Result<Array2<f32>> {
    Array2::from_shape_vec(tensor.dims2()?, tensor.flatten_all()?.to_vec1()?).map_err(candle_core::Error::wrap)
}

fn norm(row: ArrayView1<f32>) -> f64 {
    row.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt()
}

fn leaders(cosines: &Array2<f32>, norms: &[f64]) -> Vec<usize> {
    let mut leaders: Vec<usize> = Vec::with_capacity(norms.len());
    for unit in 0..norms.len() {
        let is_copy = |other: usize| {
            let (a, b) = (norms[unit], norms[other]);
            let both_zero = a == 0.0 && b == 0.0;
            both_zero || (f64::from(cosines[(unit, other)]) > SAME && (a - b).abs() <= 1e-3 * a.max(b))
        };
        let first = (0..unit).find(|other| leaders[*other] == *other && is_copy(*other));
        leaders.push(first.unwrap_or(unit));
    }
    leaders
}

fn largest(cosines: &Array2<f32>) -> Option<f64> {
    let pairs = cosines.indexed_iter().filter(|((unit, other), _)| other < unit).map(|(_, cosine)| *cosine);
    let largest = pairs.filter(|cosine| cosine.is_finite() && *cosine != 0.0).reduce(f32::max);
    largest.map(|cosine| f64::from(cosine).clamp(-1.0, 1.0))
}

fn move_alike(gradient: &Tensor, units: &[usize]) -> Result<bool> {
    let gradient = matrix(gradient)?;
    let rows = units.iter().filter(|unit| **unit < gradient.nrows()).map(|unit| gradient.row(*unit));
    let Some(first) = rows.clone().next() else { return Ok(false) };
    let size = gradient.rows().into_iter().map(norm).fold(0.0, f64::max);
    Ok({ rows }.all(|row| norm((&row - &first).view()) <= 1e-3 * size))
}

/// exp(H(σ/Σσ)) of the singular values of a tensor flattened to `(axis 0, the others)`; `None` where the smaller side is above
/// 512, or values are not finite or all zero.
pub(super) fn effective_rank(weight: &Tensor) -> Result<Option<f64>> {
    if weight.rank() < 2 {
        return Ok(None);
    }
    let rows = weight.flatten_from(1)?;
    let (high, wide) = rows.dims2()?;
    if high.min(wide) > MOST_RANK || high.min(wide) == 0 {
        return Ok(None);
    }
    let gram = if high <= wide { rows.matmul(&rows.t()?)? } else { rows.t()?.matmul(&rows)? };
    let gram = matrix(&gram)?;
    if gram.iter().any(|value| !value.is_finite()) {
        return Ok(None);
    }
    let matrix = Mat::from_fn(gram.nrows(), gram.ncols(), |i, j| f64::from(gram[(i, j)]));
    let Ok(squares) = matrix.self_adjoint_eigenvalues(Side::Lower) else { return Ok(None) };
    Ok(entropy_rank(squares.iter().map(|square| square.max(0.0).sqrt()).collect()))
}

#[expect(clippy::disallowed_methods, reason = "a diagnosis is not a value of a model")]
fn entropy_rank(singular: Vec<f64>) -> Option<f64> {
    let sum: f64 = singular.iter().sum();
    if sum <= 0.0 {
        return None;
    }
    let entropy: f64 = singular.iter().map(|value| value / sum).filter(|share| *share > 0.0).map(|p| -p * p.ln()).sum();
    Some(entropy.exp())
}
