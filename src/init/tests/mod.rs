#![allow(clippy::disallowed_methods, reason = "references to compare our own functions with")]

mod elementary;
mod fans;
mod formula;
mod generator;
mod matrices;
mod spec;
mod statistics;

use super::*;
use crate::error::{Error, Result};
use crate::init::error::InitError;

/// A scheme from its text.
fn spec(text: &str) -> SchemeSpec {
    text.parse().unwrap_or_else(|error: Error| panic!("{text}: {error} {:?}", error.hints()))
}

/// What is wrong with a text.
fn refusal(text: &str) -> Error {
    match text.parse::<SchemeSpec>() {
        Ok(spec) => panic!("`{text}` was read as {spec}"),
        Err(error) => error,
    }
}

/// A scheme for a layer of these fans.
fn resolve(text: &str, fans: Fans, shape: &[u64]) -> Resolved {
    match spec(text) {
        SchemeSpec::Formula(formula) => formula.resolve(LayerFacts { fans: Some(fans), shape, groups: 1 }).unwrap(),
        other => panic!("{other} has no formula"),
    }
}

/// The first `count` elements of a vector that long.
fn drawn(seed: u64, name: &str, scheme: &Scheme, count: usize) -> Vec<f32> {
    piece(seed, name, scheme, 0, count)
}

/// `count` elements from `first` of a long vector.
fn piece(seed: u64, name: &str, scheme: &Scheme, first: u64, count: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; count];
    let end = first + count as u64;
    Generator::new(seed, name).fill(scheme, &[end], 0, first..end, &mut out).unwrap();
    out
}

/// A whole tensor.
fn whole(name: &str, scheme: &Scheme, shape: &[u64]) -> Vec<f32> {
    filled(name, scheme, shape).unwrap()
}

/// A whole tensor, or why not.
fn filled(name: &str, scheme: &Scheme, shape: &[u64]) -> Result<Vec<f32>> {
    let elements = crate::tensor::elements(shape).unwrap();
    let mut out = vec![f32::NAN; elements as usize];
    Generator::new(0, name).fill(scheme, shape, 0, 0..elements, &mut out)?;
    Ok(out)
}

const NORMAL: Scheme = Scheme::Normal { mean: 0.0, std: 1.0 };
