//! Normal and uniform draws, a group of sixty-four at a time: fixed arrays and no branches, so that compilers make vector code of them.

use super::elementary::{cos_sin, radius};
use super::generator::{FIRST_DRAW, GROUP, Generator};
use super::philox::{LANES, Lanes};

/// No standard normal that is drawn here is larger: √(−2 ln 2⁻³²) is 6.6604.
pub(super) const LARGEST_NORMAL: f32 = 6.67;

/// Calls `make` for every group that `out` touches, whose first value is that of element `first`, and keeps the values that belong to it.
#[inline(always)]
pub(super) fn by_groups<T: Copy + Default>(first: u64, out: &mut [T], make: impl Fn(u64, &mut [T; GROUP])) {
    let mut group = first / GROUP as u64;
    let mut values = [T::default(); GROUP];
    let offset = (first % GROUP as u64) as usize;
    let (head, rest) = out.split_at_mut(if offset == 0 { 0 } else { (GROUP - offset).min(out.len()) });
    if !head.is_empty() {
        make(group, &mut values);
        head.copy_from_slice(&values[offset..offset + head.len()]);
        group += 1;
    }
    let (whole, tail) = rest.as_chunks_mut::<GROUP>();
    for chunk in whole {
        make(group, chunk);
        group += 1;
    }
    if !tail.is_empty() {
        make(group, &mut values);
        tail.copy_from_slice(&values[..tail.len()]);
    }
}

/// The standard normals that four words of sixteen counters make: `[word][lane]`.
#[inline(always)]
pub(super) fn normals(words: &[Lanes; 4]) -> [[f32; LANES]; 4] {
    let mut made = [[0f32; LANES]; 4];
    for pair in [0, 2] {
        for lane in 0..LANES {
            let radius = radius(words[pair][lane]);
            let (cosine, sine) = cos_sin(words[pair + 1][lane]);
            made[pair][lane] = radius * cosine;
            made[pair + 1][lane] = radius * sine;
        }
    }
    made
}

/// N(mean, std²) of one group.
#[inline(always)]
pub(super) fn normal_group(generator: &Generator, mean: f32, std: f32, group: u64, out: &mut [f32; GROUP]) {
    let made = normals(&generator.group(group, FIRST_DRAW));
    let (words, _) = out.as_chunks_mut::<LANES>();
    for (values, made) in words.iter_mut().zip(&made) {
        for lane in 0..LANES {
            values[lane] = mean + std * made[lane];
        }
    }
}

/// N(mean, std²) for the elements from `first`.
pub(super) fn normal(generator: &Generator, mean: f64, std: f64, first: u64, out: &mut [f32]) {
    let (mean, std) = (mean as f32, std as f32);
    by_groups(first, out, |group, values| normal_group(generator, mean, std, group, values));
}

/// U(low, high) for the elements from `first`: symmetric about the middle, 32 bits there and 24 at the bounds, never outside `[low, high)`.
pub(super) fn uniform(generator: &Generator, low: f64, high: f64, first: u64, out: &mut [f32]) {
    let Some((lowest, highest)) = bounds_within(low, high) else { return };
    let below = highest.next_down();
    let highest = if f64::from(highest) == high && below >= lowest { below } else { highest };
    let (middle, half) = (low / 2.0 + high / 2.0, high / 2.0 - low / 2.0);
    if middle == 0.0 {
        let half = half as f32;
        by_groups(first, out, |group, values| {
            uniform_group(generator, group, values, |t| within(half * t, lowest, highest));
        });
    } else {
        by_groups(first, out, |group, values| {
            uniform_group(generator, group, values, |t| within((middle + half * f64::from(t)) as f32, lowest, highest));
        });
    }
}

/// One group of `value(t)`, t uniform on [−1, 1].
#[inline(always)]
fn uniform_group(generator: &Generator, group: u64, out: &mut [f32; GROUP], value: impl Fn(f32) -> f32) {
    let words = generator.group(group, FIRST_DRAW);
    let (values, _) = out.as_chunks_mut::<LANES>();
    for (values, words) in values.iter_mut().zip(&words) {
        for lane in 0..LANES {
            values[lane] = value(words[lane] as i32 as f32 * (1.0 / 2_147_483_648.0));
        }
    }
}

/// `value`, or the bound that it passed. Neither bound may be −0, which `bounds_within` sees to: which zero `max` and `min` choose is
/// not defined, so `+ 0` takes −0 out of their way.
#[inline(always)]
pub(super) fn within(value: f32, lowest: f32, highest: f32) -> f32 {
    (value + 0.0).max(lowest).min(highest)
}

/// The smallest and the largest 32-bit float in `[low, high]`, or `None` where there is none. A point is rounded to the nearest.
pub(super) fn bounds_within(low: f64, high: f64) -> Option<(f32, f32)> {
    let (mut lowest, mut highest) = (low as f32, high as f32);
    if low < high {
        if f64::from(lowest) < low {
            lowest = lowest.next_up();
        }
        if f64::from(highest) > high {
            highest = highest.next_down();
        }
    }
    // + 0 turns −0 into 0, which a bound of zero should be
    (lowest <= highest).then_some((lowest + 0.0, highest + 0.0))
}
