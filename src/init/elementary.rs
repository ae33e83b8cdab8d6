//! Logarithm, exponential, sine and cosine from additions, multiplications, divisions and bit patterns only, so that their
//! bits are those of every processor, compiler and C library. The 32-bit polynomials are those of Cephes (S. Moshier); none uses a fused multiply-add.

/// √½ as the bits of an f32: mantissas are taken from [√½, √2).
const ROOT_HALF_BITS: u32 = 0x3F35_04F3;

const STEP: f32 = 1.0 / 2_147_483_648.0;

/// The radius √(−2 ln u) of a pair of normals, u ∈ (0, 1] being the upper 31 bits of `word`.
#[inline(always)]
pub(super) fn radius(word: u32) -> f32 {
    // a signed conversion, which every vector unit has; + ½ keeps zero away
    let u = ((word >> 1) as i32 as f32 + 0.5) * STEP;
    (-2.0 * ln(u)).sqrt()
}

/// The cosine and sine of an angle: the upper two bits of `word` are its quadrant, the others where it lies about the quadrant's middle.
#[inline(always)]
#[allow(clippy::excessive_precision, reason = "the decimals of Cephes' sinf and cosf")]
pub(super) fn cos_sin(word: u32) -> (f32, f32) {
    let x = ((word << 2) as i32 as f32) * (std::f32::consts::FRAC_PI_4 * STEP);
    let z = x * x;
    let sine = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * x + x;
    let cosine = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
    let (sine, cosine) = (sine.to_bits(), cosine.to_bits());
    // all ones in odd quadrants, where sine and cosine change places
    let odd = ((word << 1) as i32 >> 31) as u32;
    let change = (sine ^ cosine) & odd;
    let sign = |word: u32| word & 0x8000_0000;
    let (cosine, sine) = (cosine ^ change ^ sign(word.wrapping_add(0x4000_0000)), sine ^ change ^ sign(word));
    (f32::from_bits(cosine), f32::from_bits(sine))
}

/// The natural logarithm of a positive normal number; below one unit in the last place off.
#[inline(always)]
#[allow(clippy::excessive_precision, reason = "the decimals of Cephes' logf")]
pub(super) fn ln(value: f32) -> f32 {
    let shifted = value.to_bits().wrapping_sub(ROOT_HALF_BITS) as i32;
    let mantissa = f32::from_bits((shifted & 0x007F_FFFF).wrapping_add(ROOT_HALF_BITS as i32) as u32);
    let (exponent, x) = ((shifted >> 23) as f32, mantissa - 1.0);
    let z = x * x;
    let mut y = 7.0376836292e-2 * x - 1.1514610310e-1;
    y = y * x + 1.1676998740e-1;
    y = y * x - 1.2420140846e-1;
    y = y * x + 1.4249322787e-1;
    y = y * x - 1.6668057665e-1;
    y = y * x + 2.0000714765e-1;
    y = y * x - 2.4999993993e-1;
    y = y * x + 3.3333331174e-1;
    y = y * x * z;
    y += -2.12194440e-4 * exponent;
    y -= 0.5 * z;
    (x + y) + 0.693359375 * exponent
}

/// ln 2 in two parts, of which the first times any exponent is exact.
const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];

/// eˣ for −700 ≤ x ≤ 700 in f64, to about one unit in the last place: a Taylor series about the nearest multiple of ln 2.
pub(super) fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let half = if x < 0.0 { -0.5 } else { 0.5 };
    let k = (x * std::f64::consts::LOG2_E + half) as i64;
    let r = x - k as f64 * LN_2[0] - k as f64 * LN_2[1];
    let mut sum = 1.0;
    for n in (1..=14u32).rev() {
        sum = 1.0 + sum * r / f64::from(n);
    }
    sum * f64::from_bits(((1023 + k) as u64) << 52)
}

/// The natural logarithm of a positive normal number in f64, to about two units in the last place: 2 artanh((m − 1) / (m + 1)) as a series.
pub(super) fn ln_f64(value: f64) -> f64 {
    const ROOT_HALF_BITS: i64 = 0x3FE6_A09E_667F_3BCD;
    let shifted = value.to_bits() as i64 - ROOT_HALF_BITS;
    let exponent = (shifted >> 52) as f64;
    let mantissa = f64::from_bits(((shifted & 0x000F_FFFF_FFFF_FFFF) + ROOT_HALF_BITS) as u64);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let mut sum = 0.0;
    // s² ≤ 0.0295, so that term 11 is below 1e-18
    for n in (0..=11u32).rev() {
        sum = sum * z + 1.0 / f64::from(2 * n + 1);
    }
    exponent * LN_2[0] + (2.0 * s * sum + exponent * LN_2[1])
}

/// π / 2 in two parts, of which the first times any quarter turn that is counted here is exact.
const HALF_PI: [f64; 2] = [1.570_796_251_296_997, 7.549_789_954_891_882e-8];

/// The sine and the cosine of a number from 0 to 2²⁴, to about 1e-12: after whole quarter turns, Taylor's series.
pub(super) fn sin_cos(angle: f64) -> (f64, f64) {
    let quarters = (angle / (HALF_PI[0] + HALF_PI[1])).round();
    let x = (angle - quarters * HALF_PI[0]) - quarters * HALF_PI[1];
    let z = x * x;
    // 1 / n!, alternating, from the last term inwards
    let series = |first: u32| {
        (0..9).rev().fold(0.0, |sum: f64, term| 1.0 - z / f64::from((first + 2 * term) * (first + 2 * term + 1)) * sum)
    };
    let (sine, cosine) = (x * series(2), series(1));
    match quarters as i64 & 3 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}
