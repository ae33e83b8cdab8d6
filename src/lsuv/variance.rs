//! The variance of what a layer gave, over the whole batch.

use candle_core::{Result, Tensor};

/// The population variance of all elements in f64, in two passes. `keep` says of every position of `(batch, length, …)` whether it
/// counts; NaN where none does.
pub(super) fn variance(output: &Tensor, keep: Option<&[bool]>) -> Result<f64> {
    let values = output.flatten_all()?.to_vec1::<f32>()?;
    let Some(keep) = keep else { return Ok(of(&values)) };
    let width = values.len().checked_div(keep.len()).unwrap_or(0).max(1);
    let kept = values.chunks(width).zip(keep).filter(|(_, keep)| **keep);
    Ok(of(&kept.flat_map(|(values, _)| values.iter().copied()).collect::<Vec<f32>>()))
}

fn of(values: &[f32]) -> f64 {
    moments(values.iter().copied()).1
}

/// Mean and population variance in f64, in order.
fn moments(values: impl Iterator<Item = f32> + Clone) -> (f64, f64) {
    let (mut sum, mut count) = (0f64, 0u64);
    for value in values.clone() {
        sum += f64::from(value);
        count += 1;
    }
    let mean = sum / count as f64;
    let squares = values.fold(0f64, |squares, value| {
        let distance = f64::from(value) - mean;
        squares + distance * distance
    });
    (mean, squares / count as f64)
}

/// Mean and population variance of each channel of `(batch, channels, …)`.
pub(super) fn of_channels(input: &Tensor) -> Result<(Vec<f32>, Vec<f32>)> {
    let channels = input.dim(1)?;
    let values = input.transpose(0, 1)?.flatten_all()?.to_vec1::<f32>()?;
    let each = values.len().checked_div(channels).unwrap_or(0).max(1);
    let found = values.chunks(each).map(|channel| moments(channel.iter().copied()));
    Ok(found.map(|(mean, variance)| (mean as f32, variance as f32)).unzip())
}
