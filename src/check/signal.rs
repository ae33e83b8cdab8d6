//! How the signal and its gradient change over the depth of a model.

use super::layer::Layer;

/// Below this a standard deviation counts as this, so that a signal that is gone altogether has a logarithm.
const SMALLEST: f64 = 1e-38;

/// Decades of the signal that reaches a weight, from the first weight to the last.
///
/// The signal is what a weight acts on and not what it gives: a last layer of zeros at the end of a branch, or a head of zeros, gives
/// nothing and loses nothing.
pub(super) fn forward(layers: &[Layer]) -> Option<f64> {
    let points = layers.iter().enumerate().filter_map(|(depth, layer)| Some((depth, layer.input_std?)));
    decades(&points.collect::<Vec<_>>(), layers.len())
}

/// Decades of the gradient at what a weight gave, from the last weight back to the first. A gradient of exactly zero is left out:
/// something behind the weight is zero, as a branch's last layer may well be.
pub(super) fn backward(layers: &[Layer]) -> Option<f64> {
    let gradients = layers.iter().enumerate().filter_map(|(depth, layer)| Some((depth, layer.gradient_std?)));
    let points: Vec<(usize, f64)> = gradients.filter(|(_, std)| *std > 0.0).collect();
    decades(&points, layers.len()).map(|decades| -decades)
}

/// The slope of log₁₀ of the deviations over the depth, by least squares, times the whole depth.
fn decades(points: &[(usize, f64)], layers: usize) -> Option<f64> {
    if points.len() < 2 {
        return None;
    }
    let count = points.len() as f64;
    let logarithm = |std: f64| logarithm(std.max(SMALLEST));
    let x = points.iter().map(|(depth, _)| *depth as f64).sum::<f64>() / count;
    let y = points.iter().map(|(_, std)| logarithm(*std)).sum::<f64>() / count;
    let across: f64 = points.iter().map(|(depth, std)| (*depth as f64 - x) * (logarithm(*std) - y)).sum();
    let along: f64 = points.iter().map(|(depth, _)| (*depth as f64 - x) * (*depth as f64 - x)).sum();
    Some(across / along * (layers.saturating_sub(1)) as f64)
}

#[expect(clippy::disallowed_methods, reason = "a diagnosis is not a value of a model")]
fn logarithm(value: f64) -> f64 {
    value.log10()
}
