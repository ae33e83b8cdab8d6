//! Facts about data that planning asks for, measured by pieces.

use std::sync::Arc;

use super::scratch::{PIECE, Scratch, size};
use super::stored::Stored;
use crate::adapt::float::{Float, Real, TILE, non_finite};
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::plan::{Answer, Question};
use crate::progress::Progress;
use crate::transfer::error::TransferError;

pub(super) fn answer(question: &Question, readers: &[Arc<dyn Reader>], progress: &dyn Progress) -> Result<Answer> {
    let mut scratch = Scratch::new(PIECE, progress);
    match question {
        Question::Equal { source, a, b } => {
            let (a, b) = (Stored::find(readers, *source, a)?, Stored::find(readers, *source, b)?);
            equal(&a, &b, &mut scratch).map(Answer::Equal)
        }
        Question::Moments { source, tensor } => moments(&Stored::find(readers, *source, tensor)?, &mut scratch),
        Question::Values { source, tensor } => values(&Stored::find(readers, *source, tensor)?, &mut scratch),
    }
}

/// The bytes that a question reads, for the progress; a tensor that is not there counts nothing.
pub(super) fn bytes(question: &Question, readers: &[Arc<dyn Reader>]) -> u64 {
    let of = |source: usize, tensor: &str| {
        Stored::find(readers, source, tensor).and_then(|stored| stored.info.bytes()).unwrap_or(0)
    };
    match question {
        Question::Equal { source, a, .. } => of(*source, a),
        Question::Moments { source, tensor } => of(*source, tensor).saturating_mul(2),
        Question::Values { source, tensor } => of(*source, tensor),
    }
}

fn equal(a: &Stored, b: &Stored, scratch: &mut Scratch) -> Result<bool> {
    if a.info.dtype != b.info.dtype || a.info.shape != b.info.shape {
        return Ok(false);
    }
    let len = a.info.bytes()?;
    if a.is_same_place(b) {
        scratch.progress.advance(len);
        return Ok(true);
    }
    for start in (0..len).step_by(PIECE as usize) {
        scratch.progress.interrupted()?;
        let span = start..(start + PIECE).min(len);
        let mut left = scratch.take(size(span.end - span.start)?)?;
        let mut right = scratch.take(left.len())?;
        a.read(span.clone(), &mut left, scratch)?;
        b.read(span.clone(), &mut right, scratch)?;
        let same = left[..] == right[..];
        scratch.give(left);
        scratch.give(right);
        scratch.progress.advance(span.end - span.start);
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The mean, then the mean square distance from it: two passes, so that a large mean does not drown a small deviation.
fn moments(stored: &Stored, scratch: &mut Scratch) -> Result<Answer> {
    let count = stored.info.elements()?;
    let float = match Float::of(stored.info.dtype) {
        Some(float) if count > 0 => float,
        _ => return Err(TransferError::NoMoments { tensor: stored.info.clone() }.into()),
    };
    let mean = sum(stored, float, scratch, |x| x)? / count as f64;
    let variance = sum(stored, float, scratch, |x| (x - mean) * (x - mean))? / count as f64;
    Ok(Answer::Moments { mean, std: variance.sqrt() })
}

/// Every element in f64.
fn values(stored: &Stored, scratch: &mut Scratch) -> Result<Answer> {
    let mut values = Vec::new();
    if let Some(float) = Float::of(stored.info.dtype) {
        let mut bytes = scratch.take(size(stored.info.bytes()?)?)?;
        stored.read(0..stored.info.bytes()?, &mut bytes, scratch)?;
        values.resize(bytes.len() / float.bytes(), 0.0);
        f64::decode(float, &bytes, &mut values);
        scratch.give(bytes);
    }
    scratch.progress.advance(stored.info.bytes()?);
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(Answer::Values(values)),
        count => Err(TransferError::InfiniteMoments { tensor: stored.info.clone(), count: count as u64 }.into()),
    }
}

/// The sum of `f` of every element, in order, in f64.
fn sum(stored: &Stored, float: Float, scratch: &mut Scratch, f: impl Fn(f64) -> f64) -> Result<f64> {
    let len = stored.info.bytes()?;
    let (mut total, mut infinite) = (0f64, 0);
    let mut tile = [0f64; TILE];
    for start in (0..len).step_by(PIECE as usize) {
        scratch.progress.interrupted()?;
        let span = start..(start + PIECE).min(len);
        let mut bytes = scratch.take(size(span.end - span.start)?)?;
        stored.read(span.clone(), &mut bytes, scratch)?;
        infinite += non_finite(stored.info.dtype, &bytes).total();
        for piece in bytes.chunks(TILE * float.bytes()) {
            let tile = &mut tile[..piece.len() / float.bytes()];
            f64::decode(float, piece, tile);
            total = tile.iter().fold(total, |total, x| total + f(*x));
        }
        scratch.give(bytes);
        scratch.progress.advance(span.end - span.start);
    }
    match infinite {
        0 => Ok(total),
        count => Err(TransferError::InfiniteMoments { tensor: stored.info.clone(), count }.into()),
    }
}
