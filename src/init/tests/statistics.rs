use super::*;

/// Φ(x) by Marsaglia's series (2004), to about 1e-15 for |x| < 7.
pub(super) fn normal_cdf(x: f64) -> f64 {
    if x.abs() > 7.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut sum, mut term, mut k) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() && k < 400.0 {
        k += 2.0;
        term *= x * x / k;
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

const DRAWS: usize = 1 << 20;
const EDGES: usize = 4096;

/// √n times the largest distance between the empirical distribution and `cdf`, at 4097 points from `low` to `high`, which hold every value.
fn kolmogorov_smirnov(values: &[f32], low: f64, high: f64, cdf: impl Fn(f64) -> f64) -> f64 {
    let width = (high - low) / EDGES as f64;
    let mut counts = vec![0u32; EDGES];
    for value in values {
        let bin = ((f64::from(*value) - low) / width).floor();
        assert!((0.0..=EDGES as f64).contains(&bin), "{value} lies outside {low}..{high}");
        counts[(bin as usize).min(EDGES - 1)] += 1;
    }
    let n = values.len() as f64;
    let (mut below, mut distance) = (0u64, 0f64);
    for (i, count) in counts.iter().enumerate() {
        below += u64::from(*count);
        distance = distance.max((below as f64 / n - cdf(low + width * (i + 1) as f64)).abs());
    }
    distance * n.sqrt()
}

/// Mean and the second to fourth central moments.
fn moments(values: &[f32]) -> [f64; 4] {
    let n = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
    let mut sums = [0f64; 3];
    for value in values {
        let d = f64::from(*value) - mean;
        let square = d * d;
        sums[0] += square;
        sums[1] += square * d;
        sums[2] += square * square;
    }
    [mean, sums[0] / n, sums[1] / n, sums[2] / n]
}

/// What 95 % of true samples stay below is 1.36; seeds are fixed, so that this either holds or does not.
const CRITICAL: f64 = 1.36;

#[test]
fn normal_draws_are_normal() {
    let values = drawn(1, "normal", &NORMAL, DRAWS);
    let [mean, variance, third, fourth] = moments(&values);
    let unit = 5.0 / (DRAWS as f64).sqrt();
    assert!(mean.abs() < unit, "mean {mean}");
    assert!((variance - 1.0).abs() < 2f64.sqrt() * unit, "variance {variance}");
    assert!(third.abs() < 15f64.sqrt() * unit, "third moment {third}");
    assert!((fourth - 3.0).abs() < 96f64.sqrt() * unit, "fourth moment {fourth}");
    let distance = kolmogorov_smirnov(&values, -7.0, 7.0, normal_cdf);
    assert!(distance < CRITICAL, "{distance}");
    let largest = values.iter().map(|value| value.abs()).fold(0.0, f32::max);
    assert!((4.4..6.67).contains(&largest), "{largest}");
}

#[test]
fn mean_and_deviation_are_applied() {
    let values = drawn(2, "shifted", &Scheme::Normal { mean: 3.0, std: 0.5 }, 1 << 17);
    let [mean, variance, ..] = moments(&values);
    assert!(
        (mean - 3.0).abs() < 5.0 * 0.5 / 362.0 && (variance.sqrt() / 0.5 - 1.0).abs() < 0.0098,
        "{mean} {variance}"
    );
}

#[test]
fn uniform_draws_are_uniform() {
    for (low, high) in [(-0.25, 0.25), (0.0, 1.0), (5.0, 9.0)] {
        let values = drawn(1, "uniform", &Scheme::Uniform { low, high }, DRAWS);
        let distance = kolmogorov_smirnov(&values, low, high, |x| (x - low) / (high - low));
        assert!(distance < CRITICAL, "{low}..{high}: {distance}");
        let [mean, variance, _, fourth] = moments(&values);
        let (width, unit) = (high - low, 5.0 / (DRAWS as f64).sqrt());
        assert!((mean - (low + high) / 2.0).abs() < width / 12f64.sqrt() * unit, "{mean}");
        assert!((variance * 12.0 / width.powi(2) - 1.0).abs() < 0.9 * unit, "{variance}");
        assert!((fourth * 80.0 / width.powi(4) - 1.0).abs() < 1.5 * unit, "{fourth}");
    }
}

#[test]
fn cut_draws_have_the_cut_distribution_whatever_the_interval() {
    // about the mean, wide and narrow; beside it; one-sided; far out, where an inverse in 32 bits has no value left
    for (i, (low, high)) in
        [(-2.0, 2.0), (-0.5, 0.7), (0.3, 0.6), (0.5, 9.0), (-9.0, -1.5), (4.0, 4.1), (0.0, 2.6)].into_iter().enumerate()
    {
        let count = if i == 0 { DRAWS } else { DRAWS / 32 };
        let scheme = Scheme::TruncatedNormal { mean: 0.0, std: 1.0, low, high };
        let values = drawn(4, &format!("cut {low} {high}"), &scheme, count);
        let (below, mass) = (normal_cdf(low), normal_cdf(high) - normal_cdf(low));
        let distance = kolmogorov_smirnov(&values, low, high, |x| (normal_cdf(x) - below) / mass);
        assert!(distance < CRITICAL, "{low}..{high}: {distance}");
        let expected = crate::init::moments::truncated_moments(low, high);
        let [mean, variance, ..] = moments(&values);
        let unit = 5.0 / (count as f64).sqrt();
        assert!((mean - expected.mean).abs() < expected.std * unit, "{low}..{high}: {mean}, expected {expected:?}");
        assert!((variance.sqrt() / expected.std - 1.0).abs() < 2.0 * unit, "{low}..{high}: {variance}, {expected:?}");
    }
}

#[test]
fn a_far_tail_is_exponential() {
    let scheme = Scheme::TruncatedNormal { mean: 1.0, std: 0.5, low: -30.0, high: -19.0 };
    let values = drawn(5, "tail", &scheme, 1 << 16);
    // forty deviations out: mean excess close to σ/40 · (1 − 1/1600 …)
    let excess = values.iter().map(|value| -19.0 - f64::from(*value)).sum::<f64>() / values.len() as f64;
    assert!((excess / (0.5 / 40.0) - 1.0).abs() < 0.02, "{excess}");
    assert!(values.iter().all(|value| (-30.0..=-19.0).contains(value)));
}

#[test]
fn an_absolute_cut_at_a_hundred_deviations_puts_no_outlier_at_the_bound() {
    // pytorch #155588: erfinv(±1) clamped to ±2
    let scheme = resolve("trunc_normal_(std=0.02)", Fans::linear(1, 1), &[1]).scheme;
    let values = drawn(0, "outliers", &scheme, DRAWS);
    let largest = values.iter().map(|value| value.abs()).fold(0.0, f32::max);
    assert!(largest < 0.15, "{largest}");
    assert_eq!(values, drawn(0, "outliers", &Scheme::Normal { mean: 0.0, std: 0.02 }, DRAWS));
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let (ma, mb) = (moments(a), moments(b));
    let covariance = a.iter().zip(b).map(|(x, y)| (f64::from(*x) - ma[0]) * (f64::from(*y) - mb[0])).sum::<f64>();
    covariance / a.len() as f64 / (ma[1] * mb[1]).sqrt() * (a.len() as f64).sqrt()
}

/// No correlation, neither of values nor of their squares, beyond 4.5 standard errors.
fn independent(a: &[f32], b: &[f32], what: &str) {
    let squares = |values: &[f32]| values.iter().map(|value| value * value).collect::<Vec<_>>();
    let (plain, squared) = (correlation(a, b), correlation(&squares(a), &squares(b)));
    assert!(plain.abs() < 4.5 && squared.abs() < 4.5, "{what}: {plain} {squared}");
}

#[test]
fn neighbouring_names_and_seeds_are_independent() {
    let count = 1 << 14;
    let by_name = |i: u64| drawn(0, &format!("encoder.layer.{i}.weight"), &NORMAL, count);
    let by_seed = |i: u64| drawn(i, "encoder.layer.0.weight", &NORMAL, count);
    for i in 0..16 {
        independent(&by_name(i), &by_name(i + 1), &format!("names {i}"));
        independent(&by_seed(i), &by_seed(i + 1), &format!("seeds {i}"));
        independent(&by_name(i + 1), &by_seed(i + 1), &format!("name and seed {i}"));
    }
    independent(&by_seed(0), &by_seed(1 << 32), "seeds that differ in their upper half");
    independent(&drawn(0, "a.weight", &NORMAL, count), &drawn(0, "a.bias", &NORMAL, count), "weight and bias");
}

#[test]
fn elements_of_one_tensor_are_independent() {
    let values = drawn(3, "lags", &NORMAL, 1 << 17);
    // 16: cosine and sine of one pair; 64: the next group
    for lag in [1, 2, 3, 15, 16, 17, 32, 48, 63, 64, 128, 256, 1024, 768] {
        independent(&values[..values.len() - lag], &values[lag..], &format!("lag {lag}"));
    }
}

#[test]
fn sixty_four_neighbours_are_equally_spread() {
    // the same position of every group, for each of the 64 positions
    let values = drawn(6, "positions", &NORMAL, 1 << 19);
    let groups = values.len() / 64;
    for position in 0..64 {
        let column: Vec<f32> = values.iter().skip(position).step_by(64).copied().collect();
        let [mean, variance, ..] = moments(&column);
        let unit = 1.0 / (groups as f64).sqrt();
        assert!(
            mean.abs() < 4.5 * unit && (variance - 1.0).abs() < 4.5 * 2f64.sqrt() * unit,
            "{position}: {mean} {variance}"
        );
    }
}
