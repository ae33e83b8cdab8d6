//! The block quantisations of ggml: each a few bytes of scales and packed integers that make a fixed number of floats. Products and
//! sums are taken in f32 in the order of ggml's own `dequantize_row_*`, so that the bits are the same.
//!
//! Every decoder gets slices of exactly the lengths that its `Block` states; indices below are constants of the layout.

use half::f16;

/// One block quantisation.
#[derive(Debug)]
pub(in crate::checkpoint) struct Block {
    /// The number of the type in a file.
    pub(super) number: u32,
    /// What it is called.
    pub(in crate::checkpoint) name: &'static str,
    /// How many elements a block holds.
    pub(in crate::checkpoint) elements: u64,
    /// How many bytes it takes.
    pub(in crate::checkpoint) bytes: u64,
    decode: fn(&[u8], &mut [f32]),
}

impl PartialEq for Block {
    fn eq(&self, other: &Block) -> bool {
        self.number == other.number
    }
}

/// The quantisations that are read.
pub(super) const BLOCKS: &[Block] = &[
    Block { number: 2, name: "Q4_0", elements: 32, bytes: 18, decode: q4_0 },
    Block { number: 3, name: "Q4_1", elements: 32, bytes: 20, decode: q4_1 },
    Block { number: 6, name: "Q5_0", elements: 32, bytes: 22, decode: q5_0 },
    Block { number: 7, name: "Q5_1", elements: 32, bytes: 24, decode: q5_1 },
    Block { number: 8, name: "Q8_0", elements: 32, bytes: 34, decode: q8_0 },
    Block { number: 10, name: "Q2_K", elements: 256, bytes: 84, decode: q2_k },
    Block { number: 11, name: "Q3_K", elements: 256, bytes: 110, decode: q3_k },
    Block { number: 12, name: "Q4_K", elements: 256, bytes: 144, decode: q4_k },
    Block { number: 13, name: "Q5_K", elements: 256, bytes: 176, decode: q5_k },
    Block { number: 14, name: "Q6_K", elements: 256, bytes: 210, decode: q6_k },
    Block { number: 15, name: "Q8_K", elements: 256, bytes: 292, decode: q8_k },
    Block { number: 20, name: "IQ4_NL", elements: 32, bytes: 18, decode: iq4_nl },
    Block { number: 23, name: "IQ4_XS", elements: 256, bytes: 136, decode: iq4_xs },
    Block { number: 34, name: "TQ1_0", elements: 256, bytes: 54, decode: tq1_0 },
    Block { number: 35, name: "TQ2_0", elements: 256, bytes: 66, decode: tq2_0 },
    Block { number: 39, name: "MXFP4", elements: 32, bytes: 17, decode: mxfp4 },
];

/// Quantisations that exist and are not read, for their names.
pub(super) const UNREAD: &[(u32, &str)] = &[
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (29, "IQ1_M"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

impl Block {
    /// The bytes of `elements` elements, which are whole blocks; the number is smaller than that of their floats.
    pub(in crate::checkpoint) fn bytes_of(&self, elements: u64) -> u64 {
        (elements / self.elements).saturating_mul(self.bytes)
    }

    /// Turns whole blocks into floats.
    pub(in crate::checkpoint) fn dequantize(&self, packed: &[u8], floats: &mut [f32]) {
        let blocks = packed.chunks_exact(self.bytes as usize);
        for (block, out) in blocks.zip(floats.chunks_exact_mut(self.elements as usize)) {
            (self.decode)(block, out);
        }
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Sixteen bytes hold 32 numbers of four bits: the low halves come first.
fn nibbles(qs: &[u8]) -> impl Iterator<Item = u8> + '_ {
    qs.iter().map(|q| q & 0xF).chain(qs.iter().map(|q| q >> 4))
}

fn q4_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for (y, q) in out.iter_mut().zip(nibbles(&block[2..])) {
        *y = f32::from(i16::from(q) - 8) * d;
    }
}

fn q4_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (y, q) in out.iter_mut().zip(nibbles(&block[4..])) {
        *y = f32::from(q) * d + m;
    }
}

/// The fifth bits of 32 numbers.
fn fifth_bits(block: &[u8], at: usize) -> impl Iterator<Item = u8> {
    let bits = u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    (0..32).map(move |place| ((bits >> place) & 1) as u8)
}

fn q5_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for ((y, q), high) in out.iter_mut().zip(nibbles(&block[6..])).zip(fifth_bits(block, 2)) {
        *y = f32::from(i16::from(q | high << 4) - 16) * d;
    }
}

fn q5_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for ((y, q), high) in out.iter_mut().zip(nibbles(&block[8..])).zip(fifth_bits(block, 4)) {
        *y = f32::from(q | high << 4) * d + m;
    }
}

fn q8_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for (y, q) in out.iter_mut().zip(&block[2..]) {
        *y = f32::from(*q as i8) * d;
    }
}

fn q8_k(block: &[u8], out: &mut [f32]) {
    let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    for (y, q) in out.iter_mut().zip(&block[4..260]) {
        *y = d * f32::from(*q as i8);
    }
}

/// Element `i` of 256 numbers of two bits: 32 bytes hold 128 of them, the lowest bits first.
fn two_bits(qs: &[u8], i: usize) -> u8 {
    (qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3
}

fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scales, qs) = (&block[..16], &block[16..80]);
    let (d, min) = (half_at(block, 80), half_at(block, 82));
    for (i, y) in out.iter_mut().enumerate() {
        let scale = scales[i / 16];
        let (dl, ml) = (d * f32::from(scale & 0xF), min * f32::from(scale >> 4));
        *y = dl * f32::from(two_bits(qs, i)) - ml;
    }
}

/// Scale `group` of sixteen, of six bits each: four low bits in the first eight bytes, two high ones in the last four.
fn six_bit_scale(scales: &[u8], group: usize) -> u8 {
    let low = (scales[group % 8] >> (group / 8 * 4)) & 0xF;
    let high = (scales[8 + group % 4] >> (group / 4 * 2)) & 3;
    low | high << 4
}

fn q3_k(block: &[u8], out: &mut [f32]) {
    let (mask, qs, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half_at(block, 108);
    for (i, y) in out.iter_mut().enumerate() {
        let dl = d * f32::from(i16::from(six_bit_scale(scales, i / 16)) - 32);
        // four is taken off where the bit is not set
        let high = (mask[i % 32] >> (i / 32)) & 1;
        *y = dl * f32::from(i16::from(two_bits(qs, i)) - if high == 0 { 4 } else { 0 });
    }
}

/// Scale and minimum of group `j` of eight, of six bits each, in twelve bytes.
fn scale_and_min(j: usize, scales: &[u8]) -> (u8, u8) {
    if j < 4 {
        return (scales[j] & 63, scales[j + 4] & 63);
    }
    let scale = (scales[j + 4] & 0xF) | (scales[j - 4] >> 6) << 4;
    let min = (scales[j + 4] >> 4) | (scales[j] >> 6) << 4;
    (scale, min)
}

/// Element `i` of 256 numbers of four bits: 32 bytes hold 64 of them, the low halves first.
fn four_bits(qs: &[u8], i: usize) -> u8 {
    (qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4)) & 0xF
}

fn q4_k(block: &[u8], out: &mut [f32]) {
    let (d, min) = (half_at(block, 0), half_at(block, 2));
    let (scales, qs) = (&block[4..16], &block[16..144]);
    for (i, y) in out.iter_mut().enumerate() {
        let (scale, m) = scale_and_min(i / 32, scales);
        *y = d * f32::from(scale) * f32::from(four_bits(qs, i)) - min * f32::from(m);
    }
}

fn q5_k(block: &[u8], out: &mut [f32]) {
    let (d, min) = (half_at(block, 0), half_at(block, 2));
    let (scales, high, qs) = (&block[4..16], &block[16..48], &block[48..176]);
    for (i, y) in out.iter_mut().enumerate() {
        let (scale, m) = scale_and_min(i / 32, scales);
        let q = four_bits(qs, i) | ((high[i % 32] >> (i / 32)) & 1) << 4;
        *y = d * f32::from(scale) * f32::from(q) - min * f32::from(m);
    }
}

fn q6_k(block: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half_at(block, 208);
    for (i, y) in out.iter_mut().enumerate() {
        let (half, place) = (i / 128, i % 128);
        let low = (low[half * 64 + place % 64] >> (place / 64 * 4)) & 0xF;
        let high = (high[half * 32 + place % 32] >> (place / 32 * 2)) & 3;
        let q = i16::from(low | high << 4) - 32;
        *y = d * f32::from(scales[i / 16] as i8) * f32::from(q);
    }
}

/// The sixteen values of the non-linear quantisations.
const NON_LINEAR: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

fn iq4_nl(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for (y, q) in out.iter_mut().zip(nibbles(&block[2..])) {
        *y = d * f32::from(NON_LINEAR[usize::from(q)]);
    }
}

fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    let high = u16::from_le_bytes([block[2], block[3]]);
    let (low, qs) = (&block[4..8], &block[8..136]);
    for (group, (out, qs)) in out.chunks_exact_mut(32).zip(qs.chunks_exact(16)).enumerate() {
        let scale = (low[group / 2] >> (group % 2 * 4)) & 0xF | (((high >> (2 * group)) & 3) as u8) << 4;
        let dl = d * f32::from(i16::from(scale) - 32);
        for (y, q) in out.iter_mut().zip(nibbles(qs)) {
            *y = dl * f32::from(NON_LINEAR[usize::from(q)]);
        }
    }
}

/// One of five (of four) digits to the base three in a byte: 0, 1 or 2.
fn ternary(byte: u8, power: u8) -> u8 {
    ((u16::from(byte.wrapping_mul(power)) * 3) >> 8) as u8
}

fn tq1_0(block: &[u8], out: &mut [f32]) {
    const POWERS: [u8; 5] = [1, 3, 9, 27, 81];
    let (wide, narrow, last) = (&block[..32], &block[32..48], &block[48..52]);
    let d = half_at(block, 52);
    let digits = |bytes: &'_ [u8], count: usize| {
        let of_power = |power: u8| bytes.iter().map(move |byte| ternary(*byte, power)).collect::<Vec<u8>>();
        POWERS.iter().take(count).flat_map(|power| of_power(*power)).collect::<Vec<u8>>()
    };
    let all = [digits(wide, 5), digits(narrow, 5), digits(last, 4)].concat();
    for (y, digit) in out.iter_mut().zip(all) {
        *y = f32::from(i16::from(digit) - 1) * d;
    }
}

fn tq2_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 64);
    for (i, y) in out.iter_mut().enumerate() {
        *y = f32::from(i16::from(two_bits(&block[..64], i)) - 1) * d;
    }
}

/// Twice the values of E2M1.
const TWICE_E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

fn mxfp4(block: &[u8], out: &mut [f32]) {
    // half of 2^(e − 127), as the values are doubled; the two smallest are subnormal
    let bits = match block[0] {
        e @ 0..=1 => 0x0020_0000 << e,
        e => u32::from(e - 1) << 23,
    };
    let d = f32::from_bits(bits);
    for (y, q) in out.iter_mut().zip(nibbles(&block[1..])) {
        *y = f32::from(TWICE_E2M1[usize::from(q)]) * d;
    }
}
