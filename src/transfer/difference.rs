//! Two tensors of one shape, value by value, in bounded memory.

use serde::Serialize;

use super::number::{Number, integer, read, run, runs};
use super::scratch::Scratch;
use super::stored::Stored;
use crate::error::Result;
use crate::tensor::Dtype;

/// How the values of two tensors differ. Equal values are equal in whatever types (0 and −0 are), and so are NaN and NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Elements that differ; of types below a byte, the smallest whole pieces.
    pub elements: u64,
    /// The largest |a − b| of finite values.
    pub absolute: f64,
    /// The largest |a − b| / max(|a|, |b|) of finite values; 2 at most.
    pub relative: f64,
    /// Those of the elements that differ of which one at least is NaN or infinite.
    pub non_finite: u64,
}

impl Difference {
    fn note(&mut self, a: f64, b: f64) {
        if a == b || a.is_nan() && b.is_nan() {
            return;
        }
        self.elements += 1;
        if a.is_finite() && b.is_finite() {
            self.apart((a - b).abs().min(f64::MAX), a.abs().max(b.abs()));
        } else {
            self.non_finite += 1;
        }
    }

    fn apart(&mut self, distance: f64, size: f64) {
        self.absolute = self.absolute.max(distance);
        self.relative = self.relative.max(distance / size);
    }

    fn note_integers(&mut self, a: i128, b: i128) {
        if a != b {
            self.elements += 1;
            self.apart(a.abs_diff(b) as f64, a.unsigned_abs().max(b.unsigned_abs()) as f64);
        }
    }
}

/// What two types have in common.
#[derive(Clone, Copy)]
enum Common {
    Numbers(Number, Number),
    Integers {
        a: (usize, bool),
        b: (usize, bool),
    },
    /// This type without meaning of its own, of so many bytes a piece.
    Bytes(usize),
}

impl Common {
    fn of(a: Dtype, b: Dtype) -> Option<Common> {
        match (Number::of(a), Number::of(b)) {
            _ if (a == Dtype::C64) != (b == Dtype::C64) => None,
            (Some(Number::Integer { bytes: x, signed: s }), Some(Number::Integer { bytes: y, signed: t })) => {
                Some(Common::Integers { a: (x, s), b: (y, t) })
            }
            (Some(a), Some(b)) => Some(Common::Numbers(a, b)),
            (None, None) if a == b => Some(Common::Bytes(usize::try_from(a.unit().1).unwrap_or(1))),
            (None, _) | (_, None) => None,
        }
    }
}

/// How the values differ, or `None` where the types have nothing in common. The shapes are equal.
pub(super) fn difference(a: &Stored, b: &Stored, scratch: &mut Scratch) -> Result<Option<Difference>> {
    let Some(common) = Common::of(a.info.dtype, b.info.dtype) else { return Ok(None) };
    let mut found = Difference::default();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for elements in runs(a.info, run(&[a, b])?)? {
        scratch.progress.interrupted()?;
        let (x, y) = (read(a, &elements, scratch)?, read(b, &elements, scratch)?);
        scratch.progress.advance((x.len() + y.len()) as u64);
        // most tensors of two checkpoints are alike
        if a.info.dtype != b.info.dtype || x[..] != y[..] {
            match common {
                Common::Numbers(a, b) => {
                    a.decode(&x, &mut left);
                    b.decode(&y, &mut right);
                    left.iter().zip(&right).for_each(|(a, b)| found.note(*a, *b));
                }
                Common::Integers { a: (wide, signed), b: (other, other_signed) } => {
                    let pairs = x.chunks_exact(wide).zip(y.chunks_exact(other));
                    pairs.for_each(|(a, b)| found.note_integers(integer(a, signed), integer(b, other_signed)));
                }
                Common::Bytes(unit) => {
                    let differing = x.chunks(unit).zip(y.chunks(unit)).filter(|(a, b)| a != b);
                    found.elements += differing.count() as u64;
                }
            }
        }
        scratch.give(x);
        scratch.give(y);
    }
    Ok(Some(found))
}
