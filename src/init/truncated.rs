//! Normals within bounds, by rejection: exact tails for any interval, no inverse of the normal distribution, and each value still a
//! function of its element's index. (The inverse in 32 bits is what puts outliers at ±2 into `torch.nn.init.trunc_normal_`, pytorch #155588.)

use pulp::NullaryFnOnce;

use super::draws::{Normals, bounds_within, by_groups, normals, within};
use super::elementary::{cos_sin, ln_f64, radius};
use super::generator::Generator;
use super::philox::LANES;
use crate::instructions::widest;

/// After so many redraws the nearest value within the bounds is taken. Every proposal is accepted with a probability of 0.4 or more, so this is
/// less likely than 1e-21, except where rounding to 32 bits leaves only a few values between the bounds.
const ATTEMPTS: u16 = 96;

/// A normal restricted to an interval, and the proposals that suit it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Truncated {
    mean: f32,
    std: f32,
    lowest: f32,
    highest: f32,
    proposal: Proposal,
}

/// What is drawn before it is accepted or rejected (Robert 1995).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Proposal {
    /// Only one value is left: the mean, or the bound next to it.
    Point,
    /// The normal itself: the interval holds about half of it or more.
    Normal,
    /// Uniform over an interval that contains the mean. Bounds, and the lower one in deviations from the mean.
    Around { low: f64, width: f64, from: f64, deviations: f64 },
    /// Uniform over a narrow interval beside the mean: `near` is the bound next to it, `step` the signed width, both absolute; the rest in deviations.
    Narrow { near: f64, step: f64, distance: f64, deviations: f64 },
    /// Exponential over a long interval beside the mean: `unit` is the signed deviation; the rest in deviations.
    Tail { near: f64, unit: f64, distance: f64, deviations: f64, rate: f64 },
}

/// √(2π): a wider interval around the mean holds about half of the normal.
const WIDE: f64 = 2.506_628_274_631_000_7;
/// So many deviations away, everything lies at the bound, and squares are no numbers any more.
const FARTHEST: f64 = 1e100;

impl Truncated {
    /// Bounds and mean are absolute; the interval must have been checked.
    pub(super) fn new(mean: f64, std: f64, low: f64, high: f64) -> Truncated {
        let (lowest, highest) = bounds_within(low, high).unwrap_or((mean as f32, mean as f32));
        let proposal = match lowest == highest || std == 0.0 {
            true => Proposal::Point,
            false => Proposal::new(mean, std, low, high),
        };
        Truncated { mean: mean as f32, std: std as f32, lowest, highest, proposal }
    }

    /// The elements from `first`.
    pub(super) fn fill(&self, generator: &Generator, first: u64, out: &mut [f32]) {
        match self.proposal {
            Proposal::Point => out.fill(self.within(self.mean)),
            Proposal::Normal => widest(Wide { truncated: self, generator, first, out }),
            Proposal::Around { .. } | Proposal::Narrow { .. } | Proposal::Tail { .. } => {
                for (value, element) in out.iter_mut().zip(first..) {
                    *value = self.far(generator, element);
                }
            }
        }
    }

    /// What few elements come to: every candidate of the first redraw was rejected.
    #[cold]
    fn redraw_again(&self, generator: &Generator, element: u64) -> f32 {
        let mut last = self.mean;
        for attempt in 2..=ATTEMPTS {
            let words = generator.redraw(element, attempt);
            for pair in [0, 2] {
                let (radius, (cosine, sine)) = (radius(words[pair]), cos_sin(words[pair + 1]));
                for z in [radius * cosine, radius * sine] {
                    last = self.mean + self.std * z;
                    if self.accepts(last) {
                        return last;
                    }
                }
            }
        }
        self.within(last)
    }

    /// An element of an interval that holds little of the normal.
    fn far(&self, generator: &Generator, element: u64) -> f32 {
        let mut last = f64::from(self.lowest);
        for attempt in 1..=ATTEMPTS {
            let [a, b, c, d] = generator.redraw(element, attempt);
            let (value, log_acceptance) = self.proposal.propose(unit(a, b));
            last = value;
            if ln_f64(unit(c, d)) <= log_acceptance {
                break;
            }
        }
        self.within(last as f32)
    }

    fn within(&self, value: f32) -> f32 {
        within(value, self.lowest, self.highest)
    }

    #[inline(always)]
    fn accepts(&self, value: f32) -> bool {
        (self.lowest..=self.highest).contains(&value)
    }
}

/// The draws from an interval that holds about half of the normal or more, in the instructions of whoever calls them.
struct Wide<'a> {
    truncated: &'a Truncated,
    generator: &'a Generator,
    first: u64,
    out: &'a mut [f32],
}

impl NullaryFnOnce for Wide<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Wide { truncated, generator, first, out } = self;
        by_groups(first, out, &Normals { generator, mean: truncated.mean, std: truncated.std });
        // sixteen redraws go side by side; which ones meet makes no difference to a value
        let mut waiting = [(0usize, 0u64); LANES];
        let mut count = 0;
        for at in 0..out.len() {
            if truncated.accepts(out[at]) {
                continue;
            }
            waiting[count] = (at, first + at as u64);
            count += 1;
            if count == LANES {
                redraw(truncated, generator, &waiting, count, out);
                count = 0;
            }
        }
        redraw(truncated, generator, &waiting, count, out);
    }
}

#[inline(always)]
fn redraw(
    truncated: &Truncated,
    generator: &Generator,
    waiting: &[(usize, u64); LANES],
    count: usize,
    out: &mut [f32],
) {
    if count == 0 {
        return;
    }
    let mut elements = [0; LANES];
    for lane in 0..LANES {
        elements[lane] = waiting[lane].1;
    }
    let candidates = normals(&generator.redraws(&elements, 1));
    for (lane, (at, element)) in waiting.iter().take(count).enumerate() {
        let drawn = candidates.iter().map(|word| truncated.mean + truncated.std * word[lane]);
        let first_accepted = drawn.into_iter().find(|value| truncated.accepts(*value));
        out[*at] = first_accepted.unwrap_or_else(|| truncated.redraw_again(generator, *element));
    }
}

impl Proposal {
    fn new(mean: f64, std: f64, low: f64, high: f64) -> Proposal {
        let (from, to) = ((low - mean) / std, (high - mean) / std);
        if from <= 0.0 && to >= 0.0 {
            return match to - from >= WIDE {
                true => Proposal::Normal,
                false => Proposal::Around { low, width: high - low, from, deviations: to - from },
            };
        }
        let (near, step, unit, distance) =
            if from > 0.0 { (low, high - low, std, from) } else { (high, low - high, -std, -to) };
        if distance > FARTHEST {
            return Proposal::Point;
        }
        let deviations = to - from;
        let rate = (distance + (distance * distance + 4.0).sqrt()) / 2.0;
        match rate * deviations < 2.0 {
            true => Proposal::Narrow { near, step, distance, deviations },
            false => Proposal::Tail { near, unit, distance, deviations, rate },
        }
    }

    /// A candidate from a uniform number in (0, 1), and the logarithm of the probability with which it is accepted.
    fn propose(&self, u: f64) -> (f64, f64) {
        match *self {
            Proposal::Point | Proposal::Normal => (0.0, f64::NEG_INFINITY),
            Proposal::Around { low, width, from, deviations } => {
                let x = from + deviations * u;
                (low + width * u, -0.5 * x * x)
            }
            Proposal::Narrow { near, step, distance, deviations } => {
                let t = deviations * u;
                (near + step * u, -0.5 * t * (t + 2.0 * distance))
            }
            Proposal::Tail { near, unit, distance, deviations, rate } => {
                let t = -ln_f64(u) / rate;
                let beyond = distance - rate + t;
                let log_acceptance = if t <= deviations { -0.5 * beyond * beyond } else { f64::NEG_INFINITY };
                (near + unit * t, log_acceptance)
            }
        }
    }
}

/// A number in (0, 1) from 52 bits.
fn unit(high: u32, low: u32) -> f64 {
    let bits = (u64::from(high) << 20) | u64::from(low >> 12);
    (bits as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
}
