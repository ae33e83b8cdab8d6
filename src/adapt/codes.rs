//! Types of 8 bits as the numbers that their bits denote: what a cast and a dequantisation start from.

use crate::tensor::Dtype;

/// How a byte of this type is a number, or `None` where it is not one.
pub(crate) fn number(dtype: Dtype) -> Option<fn(u8) -> f32> {
    match dtype {
        Dtype::I8 => Some(|byte| f32::from(byte as i8)),
        Dtype::U8 => Some(f32::from),
        Dtype::F8E4m3 => Some(e4m3),
        Dtype::F8E5m2 => Some(|byte| half::f16::from_bits(u16::from(byte) << 8).to_f32()),
        Dtype::F8E8m0 => Some(e8m0),
        Dtype::F8E4m3fnuz => Some(|byte| fnuz(byte, 3, 8)),
        Dtype::F8E5m2fnuz => Some(|byte| fnuz(byte, 2, 16)),
        _ => None,
    }
}

/// Two to the power of an exponent that is stored with 127 added; 255 is NaN (OCP Microscaling Formats, version 1.0).
pub(super) fn e8m0(byte: u8) -> f32 {
    match byte {
        255 => f32::NAN,
        // 2^-127 is not a normal f32
        0 => f32::from_bits(1 << 22),
        exponent => f32::from_bits(u32::from(exponent) << 23),
    }
}

/// Four bits of exponent, three of mantissa, no infinity (OCP 8-bit floating point, version 1.0).
fn e4m3(byte: u8) -> f32 {
    match byte & 0x7f {
        0x7f => f32::NAN,
        _ => small(byte, 3, 7),
    }
}

/// The types of AMD's first accelerators: no infinity, no negative zero, whose bits are NaN.
fn fnuz(byte: u8, mantissa: u32, bias: i32) -> f32 {
    if byte == 0x80 { f32::NAN } else { small(byte, mantissa, bias) }
}

/// A sign, an exponent and so many bits of mantissa.
fn small(byte: u8, bits: u32, bias: i32) -> f32 {
    let (exponent, mantissa) = (i32::from((byte & 0x7f) >> bits), f32::from(byte & ((1 << bits) - 1)));
    let unit = (1u32 << bits) as f32;
    // 2^(exponent − bias) as bits: every one is a normal f32
    let power = |exponent: i32| f32::from_bits(((exponent - bias + 127) as u32) << 23);
    let magnitude = match exponent {
        0 => mantissa / unit * power(1),
        _ => (1.0 + mantissa / unit) * power(exponent),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}
