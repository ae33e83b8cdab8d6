//! Moments of tensors in f64: the tensor library sums in f32, one after the other.

use candle_core::{Result, Tensor};

/// Mean and variance of all elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    mean: f64,
    variance: f64,
    /// Elements that are NaN or infinite.
    pub non_finite: u64,
}

impl Moments {
    /// The mean, where it is finite.
    pub(crate) fn mean(&self) -> Option<f64> {
        Some(self.mean).filter(|mean| mean.is_finite())
    }

    /// The population's standard deviation, where it is finite.
    pub(crate) fn std(&self) -> Option<f64> {
        Some(self.variance.sqrt()).filter(|std| std.is_finite())
    }
}

/// The moments of a tensor of f32.
pub(super) fn moments(tensor: &Tensor) -> Result<Moments> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let distance = |value: &f32| (f64::from(*value) - mean) * (f64::from(*value) - mean);
    let variance = values.iter().map(distance).sum::<f64>() / count;
    let non_finite = values.iter().filter(|value| !value.is_finite()).count() as u64;
    Ok(Moments { mean, variance, non_finite })
}

/// The root mean square of one tensor over that of another of its shape, where it is a finite number.
pub(super) fn ratio(over: &Tensor, under: &Tensor) -> Result<Option<f64>> {
    let square = |tensor: &Tensor| -> Result<f64> {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        Ok(values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum())
    };
    Ok(Some((square(over)? / square(under)?).sqrt()).filter(|ratio| ratio.is_finite()))
}
