//! Float elements in memory: decoded by tiles to f32 (f64 for f64), computed, rounded once to nearest even.
//! No operation of std whose bits depend on the platform: only + − × ÷ and comparisons.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use pulp::NullaryFnOnce;

use crate::instructions::widest;
use crate::tensor::Dtype;

/// The element types that can be computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

impl Float {
    /// The float type that a dtype is, or `None`.
    pub(crate) fn of(dtype: Dtype) -> Option<Float> {
        match dtype {
            Dtype::F16 => Some(Float::F16),
            Dtype::Bf16 => Some(Float::Bf16),
            Dtype::F32 => Some(Float::F32),
            Dtype::F64 => Some(Float::F64),
            _ => None,
        }
    }

    /// Bytes of one element.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Float::F16 | Float::Bf16 => 2,
            Float::F32 => 4,
            Float::F64 => 8,
        }
    }
}

/// Elements decoded at a time: a tile of f64 is 8 KiB.
pub(crate) const TILE: usize = 1024;

/// What values are computed in: f32, or f64 where an f64 takes part.
pub(crate) trait Real: Copy + Default {
    /// Elements as numbers; `out` has as many as `bytes` holds.
    fn decode(from: Float, bytes: &[u8], out: &mut [Self]);
    /// Numbers as elements, rounded to nearest, ties to even.
    fn encode(to: Float, values: &[Self], out: &mut [u8]);
    /// A parameter in this precision.
    fn of(value: f64) -> Self;
    /// The value; any NaN as the one quiet NaN, for processors differ in which one they compute.
    fn canonical(self) -> Self;
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// The product.
    fn times(self, other: Self) -> Self;
    /// The quotient.
    fn over(self, other: Self) -> Self;
}

macro_rules! arithmetic {
    ($real:ident) => {
        fn canonical(self) -> Self {
            if self.is_nan() { $real::NAN } else { self }
        }
        fn plus(self, other: Self) -> Self {
            self + other
        }
        fn times(self, other: Self) -> Self {
            self * other
        }
        fn over(self, other: Self) -> Self {
            self / other
        }
    };
}

impl Real for f32 {
    fn decode(from: Float, bytes: &[u8], out: &mut [f32]) {
        match from {
            Float::F16 => {
                let mut halves = [f16::ZERO; TILE];
                for (bytes, out) in bytes.chunks(2 * TILE).zip(out.chunks_mut(TILE)) {
                    let halves = &mut halves[..out.len()];
                    each(bytes, halves, f16::from_le_bytes);
                    halves.convert_to_f32_slice(out);
                }
            }
            Float::Bf16 => each(bytes, out, |b: [u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
            Float::F32 => each(bytes, out, f32::from_le_bytes),
            Float::F64 => each(bytes, out, |b: [u8; 8]| f64::from_le_bytes(b) as f32),
        }
    }

    fn encode(to: Float, values: &[f32], out: &mut [u8]) {
        match to {
            Float::F16 => {
                let mut halves = [f16::ZERO; TILE];
                for (values, out) in values.chunks(TILE).zip(out.chunks_mut(2 * TILE)) {
                    let halves = &mut halves[..values.len()];
                    halves.convert_from_f32_slice(values);
                    put(halves, out, f16::to_le_bytes);
                }
            }
            Float::Bf16 => widest(Bf16s { values, out }),
            Float::F32 => put(values, out, f32::to_le_bytes),
            Float::F64 => put(values, out, |v| f64::from(v).to_le_bytes()),
        }
    }

    fn of(value: f64) -> f32 {
        value as f32
    }

    arithmetic!(f32);
}

impl Real for f64 {
    fn decode(from: Float, bytes: &[u8], out: &mut [f64]) {
        match from {
            Float::F16 => each(bytes, out, |b| f64::from(f16::from_le_bytes(b))),
            Float::Bf16 => each(bytes, out, |b| f64::from(bf16::from_le_bytes(b))),
            Float::F32 => each(bytes, out, |b| f64::from(f32::from_le_bytes(b))),
            Float::F64 => each(bytes, out, f64::from_le_bytes),
        }
    }

    fn encode(to: Float, values: &[f64], out: &mut [u8]) {
        match to {
            Float::F16 => put(values, out, |v| f16::from_f32(to_odd(v)).to_le_bytes()),
            Float::Bf16 => put(values, out, |v| bf16::from_f32(to_odd(v)).to_le_bytes()),
            Float::F32 => put(values, out, |v| (v as f32).to_le_bytes()),
            Float::F64 => put(values, out, f64::to_le_bytes),
        }
    }

    fn of(value: f64) -> f64 {
        value
    }

    arithmetic!(f64);
}

/// Rounds an f64 to f32 towards zero, with the last bit set where that was not exact ("round to odd"): rounded once more,
/// to a type at least two bits narrower, it gives what one rounding would. The `half` crate drops the low 32 bits of an
/// f64 instead, and so takes what lies just above a tie for the tie.
/// Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008.
fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    if value.is_nan() || f64::from(nearest) == value {
        return nearest;
    }
    let away = f64::from(nearest).abs() > value.abs();
    f32::from_bits((nearest.to_bits() - u32::from(away)) | 1)
}

/// f32 as bf16, without branches: what `bf16::from_f32` gives, in vectors.
struct Bf16s<'a> {
    values: &'a [f32],
    out: &'a mut [u8],
}

impl NullaryFnOnce for Bf16s<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        put(self.values, self.out, |value| {
            let bits = value.to_bits();
            let nearest = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
            let quiet = ((bits >> 16) | 0x0040) as u16;
            let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
            if is_nan { quiet } else { nearest }.to_le_bytes()
        });
    }
}

fn each<const N: usize, T>(bytes: &[u8], out: &mut [T], read: impl Fn([u8; N]) -> T) {
    for (element, out) in bytes.as_chunks::<N>().0.iter().zip(out) {
        *out = read(*element);
    }
}

#[inline(always)]
fn put<const N: usize, T: Copy>(values: &[T], out: &mut [u8], write: impl Fn(T) -> [u8; N]) {
    for (value, out) in values.iter().zip(out.as_chunks_mut::<N>().0) {
        *out = write(*value);
    }
}

/// `f` of every element.
pub(super) fn map<R: Real>(from: Float, bytes: &[u8], to: Float, out: &mut [u8], f: impl Fn(R) -> R) {
    let mut tile = [R::default(); TILE];
    for (bytes, out) in bytes.chunks(TILE * from.bytes()).zip(out.chunks_mut(TILE * to.bytes())) {
        let tile = &mut tile[..out.len() / to.bytes()];
        R::decode(from, bytes, tile);
        tile.iter_mut().for_each(|value| *value = f(*value));
        R::encode(to, tile, out);
    }
}

/// `f` of every two elements of one type.
pub(super) fn zip<R: Real>(float: Float, a: &[u8], b: &[u8], out: &mut [u8], f: impl Fn(R, R) -> R) {
    let step = TILE * float.bytes();
    let (mut left, mut right) = ([R::default(); TILE], [R::default(); TILE]);
    for ((a, b), out) in a.chunks(step).zip(b.chunks(step)).zip(out.chunks_mut(step)) {
        let len = out.len() / float.bytes();
        R::decode(float, a, &mut left[..len]);
        R::decode(float, b, &mut right[..len]);
        left.iter_mut().zip(&right).take(len).for_each(|(a, b)| *a = f(*a, *b));
        R::encode(float, &left[..len], out);
    }
}

/// How many elements are NaN, and how many infinite; none in a type that is not a float.
pub(crate) fn non_finite(dtype: Dtype, bytes: &[u8]) -> NonFinite {
    match Float::of(dtype) {
        None => NonFinite::default(),
        Some(Float::F16) => widest(Halves { bytes, infinity: 0x7c00 }),
        Some(Float::Bf16) => widest(Halves { bytes, infinity: 0x7f80 }),
        Some(Float::F32) => widest(Singles { bytes }),
        Some(Float::F64) => count_wide(bytes),
    }
}

/// Elements that are no finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NonFinite {
    pub nan: u64,
    pub infinite: u64,
}

impl NonFinite {
    pub(crate) fn total(self) -> u64 {
        self.nan + self.infinite
    }
}

/// How many elements became infinite on the way from `bytes` to `out`, element by element.
pub(crate) fn became_infinite(from: Dtype, bytes: &[u8], to: Dtype, out: &[u8]) -> u64 {
    let (Some(from), Some(to)) = (Float::of(from), Float::of(to)) else { return 0 };
    let (mut before, mut after) = ([0f64; TILE], [0f64; TILE]);
    let mut count = 0;
    for (bytes, out) in bytes.chunks(TILE * from.bytes()).zip(out.chunks(TILE * to.bytes())) {
        let len = out.len() / to.bytes();
        f64::decode(from, bytes, &mut before[..len]);
        f64::decode(to, out, &mut after[..len]);
        count += before.iter().zip(&after).take(len).filter(|(b, a)| a.is_infinite() && b.is_finite()).count() as u64;
    }
    count
}

/// Elements of two bytes, whose magnitude is that of infinity or above.
struct Halves<'a> {
    bytes: &'a [u8],
    infinity: u16,
}

impl NullaryFnOnce for Halves<'_> {
    type Output = NonFinite;

    #[inline(always)]
    fn call(self) -> NonFinite {
        let magnitude = |element: &[u8; 2]| u16::from_le_bytes(*element) & 0x7fff;
        let above = |element: &[u8; 2]| u16::from(magnitude(element) >= self.infinity);
        let some = |elements: &[[u8; 2]]| {
            // as many as 16 bits count; a loop, for `sum` may be a function of its own, which keeps to the fewest instructions
            let mut some = 0u16;
            for element in elements {
                some += above(element);
            }
            u64::from(some)
        };
        let infinite = |element: &&[u8; 2]| magnitude(element) == self.infinity;
        count(self.bytes, some, infinite)
    }
}

/// Elements of f32.
struct Singles<'a> {
    bytes: &'a [u8],
}

impl NullaryFnOnce for Singles<'_> {
    type Output = NonFinite;

    #[inline(always)]
    fn call(self) -> NonFinite {
        const INFINITY: u32 = 0x7f80_0000;
        let magnitude = |element: &[u8; 4]| u32::from_le_bytes(*element) & 0x7fff_ffff;
        let above = |element: &[u8; 4]| u32::from(magnitude(element) >= INFINITY);
        let some = |elements: &[[u8; 4]]| {
            let mut some = 0u32;
            for element in elements {
                some += above(element);
            }
            u64::from(some)
        };
        let infinite = |element: &&[u8; 4]| magnitude(element) == INFINITY;
        count(self.bytes, some, infinite)
    }
}

/// Counted in pieces, so that the loop of `some` is one of vectors; almost every piece has none.
#[inline(always)]
fn count<const N: usize>(
    bytes: &[u8],
    some: impl Fn(&[[u8; N]]) -> u64,
    infinite: impl Fn(&&[u8; N]) -> bool,
) -> NonFinite {
    let mut found = NonFinite::default();
    for piece in bytes.chunks(N << 12) {
        let (elements, _) = piece.as_chunks::<N>();
        let some = some(elements);
        if some > 0 {
            let infinite = elements.iter().filter(&infinite).count() as u64;
            found.infinite += infinite;
            found.nan += some - infinite;
        }
    }
    found
}

fn count_wide(bytes: &[u8]) -> NonFinite {
    let mut found = NonFinite::default();
    for element in bytes.as_chunks::<8>().0 {
        let value = f64::from_le_bytes(*element);
        found.nan += u64::from(value.is_nan());
        found.infinite += u64::from(value.is_infinite());
    }
    found
}
