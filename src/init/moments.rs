//! The mean and deviation of a normal that was cut, by numerical integration in f64 with our own exponential.

use super::elementary::exp;

/// The deviation of a standard normal cut at ±2, as Keras, JAX and TensorFlow write it.
pub(super) const TRUNCATED_AT_TWO: f64 = 0.879_625_661_034_239_8;

/// The mean and deviation of a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) std: f64,
}

/// The exponent of the density, relative to its maximum, beyond which nothing is integrated: e⁻⁷² is 5e-32.
const DEEPEST: f64 = 72.0;
/// Bounds are taken to lie within this, so that their squares are numbers.
const FARTHEST: f64 = 1e150;
/// How many pieces the interval is cut into, each integrated by a rule of order 20.
const PIECES: u32 = 16;

/// Nodes and weights of the Gauss–Legendre rule with ten points on [−1, 1]; the other five are their mirror images.
const GAUSS: [(f64, f64); 5] = [
    (0.148_874_338_981_631_22, 0.295_524_224_714_752_87),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];

/// The moments of a standard normal restricted to `[low, high]`; a point has its own mean and deviation 0.
pub(super) fn truncated_moments(low: f64, high: f64) -> Moments {
    let (low, high) = (low.clamp(-FARTHEST, FARTHEST), high.clamp(-FARTHEST, FARTHEST));
    let densest = 0f64.max(low).min(high);
    let reach = 2.0 * DEEPEST / (densest.abs() + (densest * densest + 2.0 * DEEPEST).sqrt());
    // offsets from the densest point, so that neither far tails nor narrow intervals lose digits
    let (low, high) = ((low - densest).max(-reach), (high - densest).min(reach));
    let half = (high - low) / f64::from(2 * PIECES);
    let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
    for piece in 0..PIECES {
        let middle = low + half * f64::from(2 * piece + 1);
        for (node, weight) in GAUSS.iter().flat_map(|(node, weight)| [(*node, *weight), (-*node, *weight)]) {
            let t = middle + half * node;
            let density = weight * exp(-t * (t / 2.0 + densest));
            mass += density;
            first += density * t;
            second += density * t * t;
        }
    }
    if half == 0.0 || mass == 0.0 {
        return Moments { mean: densest, std: 0.0 };
    }
    let mean = first / mass;
    Moments { mean: densest + mean, std: (second / mass - mean * mean).max(0.0).sqrt() }
}
