//! Normal and uniform draws, a group of sixty-four at a time: fixed arrays and no branches, so that compilers make vector code of them.

use pulp::NullaryFnOnce;

use super::elementary::{cos_sin, radius};
use super::generator::{FIRST_DRAW, GROUP, Generator};
use super::philox::{LANES, Lanes};
use crate::instructions::widest;

/// No standard normal that is drawn here is larger: √(−2 ln 2⁻³²) is 6.6604.
pub(super) const LARGEST_NORMAL: f32 = 6.67;

/// How the values of groups are made. A trait and no closure, because only a function can be inlined always, and one that is not
/// keeps to the instructions that the program was compiled for.
pub(super) trait Groups<T> {
    fn make(&self, group: u64, values: &mut [T; GROUP]);

    /// The values of groups that follow each other.
    #[inline(always)]
    fn make_all(&self, mut group: u64, values: &mut [[T; GROUP]]) {
        for values in values {
            self.make(group, values);
            group += 1;
        }
    }
}

/// Groups whose words are made before any of their values: a processor then overlaps what is alike, and waits less.
const BATCH: usize = 8;

/// Values that follow each other.
enum Values<'a, T> {
    /// Of one group, from this one of its values.
    Part(&'a mut [T], usize),
    Whole(&'a mut [[T; GROUP]]),
}

/// Makes every group that `out` touches, whose first value is that of element `first`, and keeps the values that belong to it.
#[inline(always)]
pub(super) fn by_groups<T: Copy + Default>(first: u64, out: &mut [T], groups: &impl Groups<T>) {
    let mut group = first / GROUP as u64;
    let offset = (first % GROUP as u64) as usize;
    let (head, rest) = out.split_at_mut(if offset == 0 { 0 } else { (GROUP - offset).min(out.len()) });
    let (whole, tail) = rest.as_chunks_mut::<GROUP>();
    let mut one = [[T::default(); GROUP]];
    // a loop, because what makes the groups is large and becomes part of this function wherever it is named
    for mut piece in [Values::Part(head, offset), Values::Whole(whole), Values::Part(tail, 0)] {
        let values = match &mut piece {
            Values::Part(part, _) => &mut one[usize::from(part.is_empty())..],
            Values::Whole(values) => &mut **values,
        };
        groups.make_all(group, values);
        group += values.len() as u64;
        if let Values::Part(part, from) = piece {
            part.copy_from_slice(&one.as_flattened()[from..from + part.len()]);
        }
    }
}

/// The standard normals that four words of sixteen counters make: `[word][lane]`.
#[inline(always)]
pub(super) fn normals(words: &[Lanes; 4]) -> [[f32; LANES]; 4] {
    let [[a, b], [c, d]] = [pairs(&words[0], &words[1]), pairs(&words[2], &words[3])];
    [a, b, c, d]
}

/// Two normals of each lane. Written out above, for a loop over both halves is only unrolled where compilers are told to try hardest.
#[inline(always)]
fn pairs(radii: &Lanes, angles: &Lanes) -> [[f32; LANES]; 2] {
    let [mut cosines, mut sines] = [[0f32; LANES]; 2];
    for lane in 0..LANES {
        let radius = radius(radii[lane]);
        let (cosine, sine) = cos_sin(angles[lane]);
        cosines[lane] = radius * cosine;
        sines[lane] = radius * sine;
    }
    [cosines, sines]
}

/// N(mean, std²), group by group.
#[derive(Clone, Copy)]
pub(super) struct Normals<'a> {
    pub generator: &'a Generator,
    pub mean: f32,
    pub std: f32,
}

impl Groups<f32> for Normals<'_> {
    #[inline(always)]
    fn make(&self, group: u64, values: &mut [f32; GROUP]) {
        self.values_of(&self.generator.group(group, FIRST_DRAW), values);
    }

    #[inline(always)]
    fn make_all(&self, mut group: u64, values: &mut [[f32; GROUP]]) {
        let mut words = [[[0u32; LANES]; 4]; BATCH];
        for batch in values.chunks_mut(BATCH) {
            for words in words.iter_mut().take(batch.len()) {
                *words = self.generator.group(group, FIRST_DRAW);
                group += 1;
            }
            for (values, words) in batch.iter_mut().zip(&words) {
                self.values_of(words, values);
            }
        }
    }
}

impl Normals<'_> {
    /// The values that the words of a group make.
    #[inline(always)]
    fn values_of(&self, words: &[Lanes; 4], values: &mut [f32; GROUP]) {
        for (value, normal) in values.iter_mut().zip(normals(words).as_flattened()) {
            *value = self.mean + self.std * normal;
        }
    }
}

/// N(mean, std²) for the elements from `first`.
pub(super) fn normal(generator: &Generator, mean: f64, std: f64, first: u64, out: &mut [f32]) {
    let (mean, std) = (mean as f32, std as f32);
    widest(Fill { groups: Normals { generator, mean, std }, first, out });
}

/// The elements from `first`, in the instructions of whoever calls it.
struct Fill<'a, G> {
    groups: G,
    first: u64,
    out: &'a mut [f32],
}

impl<G: Groups<f32>> NullaryFnOnce for Fill<'_, G> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        by_groups(self.first, self.out, &self.groups);
    }
}

/// U(low, high) for the elements from `first`: symmetric about the middle, 32 bits there and 24 at the bounds, never outside `[low, high)`.
pub(super) fn uniform(generator: &Generator, low: f64, high: f64, first: u64, out: &mut [f32]) {
    let Some((lowest, highest)) = bounds_within(low, high) else { return };
    let below = highest.next_down();
    let highest = if f64::from(highest) == high && below >= lowest { below } else { highest };
    let (middle, half) = (low / 2.0 + high / 2.0, high / 2.0 - low / 2.0);
    match middle == 0.0 {
        true => {
            let groups = Symmetric { generator, half: half as f32, lowest, highest };
            widest(Fill { groups, first, out });
        }
        false => {
            let groups = Between { generator, middle, half, lowest, highest };
            widest(Fill { groups, first, out });
        }
    }
}

/// Uniform about zero.
struct Symmetric<'a> {
    generator: &'a Generator,
    half: f32,
    lowest: f32,
    highest: f32,
}

impl Groups<f32> for Symmetric<'_> {
    #[inline(always)]
    fn make(&self, group: u64, values: &mut [f32; GROUP]) {
        for (value, unit) in values.iter_mut().zip(&units(self.generator, group)) {
            *value = within(self.half * unit, self.lowest, self.highest);
        }
    }
}

/// Uniform about another middle, which f32 might not hold.
struct Between<'a> {
    generator: &'a Generator,
    middle: f64,
    half: f64,
    lowest: f32,
    highest: f32,
}

impl Groups<f32> for Between<'_> {
    #[inline(always)]
    fn make(&self, group: u64, values: &mut [f32; GROUP]) {
        for (value, unit) in values.iter_mut().zip(&units(self.generator, group)) {
            *value = within((self.middle + self.half * f64::from(*unit)) as f32, self.lowest, self.highest);
        }
    }
}

/// One group uniform on [−1, 1].
#[inline(always)]
fn units(generator: &Generator, group: u64) -> [f32; GROUP] {
    let mut units = [0f32; GROUP];
    for (unit, word) in units.iter_mut().zip(generator.group(group, FIRST_DRAW).as_flattened()) {
        *unit = *word as i32 as f32 * (1.0 / 2_147_483_648.0);
    }
    units
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
