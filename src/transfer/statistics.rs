//! What the values of a tensor are like, in one pass and in f64.

use serde::Serialize;

use super::number::{Number, read, run, runs};
use super::scratch::Scratch;
use super::stored::Stored;
use crate::adapt::float::TILE;
use crate::error::Result;

/// Moments and extremes of the finite values of a tensor (of a complex one: of all parts), and how many are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// The mean; `None` where no value is finite.
    pub mean: Option<f64>,
    /// The population standard deviation.
    pub std: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// How many are NaN.
    pub nan: u64,
    /// How many are infinite.
    pub infinite: u64,
}

/// Sums of tiles, merged: a large mean does not drown a small deviation.
/// Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
#[derive(Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, tile: &[f64]) {
        if tile.is_empty() {
            return;
        }
        let count = tile.len() as f64;
        // divided first, so that a sum of large values does not overflow
        let mean = tile.iter().fold(0.0, |sum, x| sum + x / count);
        let squares = tile.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        let (total, apart) = (self.count + count, mean - self.mean);
        self.squares += squares + apart * apart * (self.count * count / total);
        self.mean += apart * (count / total);
        self.count = total;
    }
}

/// The statistics, or `None` for a type whose elements are no numbers by themselves.
pub(super) fn statistics(stored: &Stored, scratch: &mut Scratch) -> Result<Option<Statistics>> {
    let Some(number) = Number::of(stored.info.dtype) else { return Ok(None) };
    let mut moments = Moments::default();
    let (mut nan, mut infinite) = (0, 0);
    let mut extremes: Option<(f64, f64)> = None;
    let mut values = Vec::new();
    for elements in runs(stored.info, run(&[stored])?)? {
        scratch.progress.interrupted()?;
        let bytes = read(stored, &elements, scratch)?;
        scratch.progress.advance(bytes.len() as u64);
        number.decode(&bytes, &mut values);
        scratch.give(bytes);
        nan += values.iter().filter(|x| x.is_nan()).count() as u64;
        infinite += values.iter().filter(|x| x.is_infinite()).count() as u64;
        values.retain(|x| x.is_finite());
        for tile in values.chunks(TILE) {
            moments.add(tile);
            let (low, high) = extremes.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
            extremes = Some(tile.iter().fold((low, high), |(low, high), x| (low.min(*x), high.max(*x))));
        }
    }
    let has_values = moments.count > 0.0;
    Ok(Some(Statistics {
        mean: has_values.then_some(moments.mean).filter(|x| x.is_finite()),
        std: has_values.then(|| (moments.squares / moments.count).sqrt()).filter(|x| x.is_finite()),
        min: extremes.map(|(low, _)| low),
        max: extremes.map(|(_, high)| high),
        nan,
        infinite,
    }))
}
