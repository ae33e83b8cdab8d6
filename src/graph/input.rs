//! What an input of a model may be.

use super::shape::{self, Kind};
use super::{Dim, DimsText};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::tensor::Dtype;

/// What an input of this shape and type gives, or an error that says what it must be.
pub(super) fn check_input(name: &str, shape: &[Dim], dtype: Dtype, max: Option<u64>) -> Result<Kind> {
    let wrong = |key, value: String, must: &str| {
        Err(GraphError::Value { layer: format!("input {name}"), key, value, must: must.into() }.into())
    };
    let inner = shape.get(1..).unwrap_or(&[]);
    if shape.first() != Some(&Dim::Batch) || inner.contains(&Dim::Batch) {
        return wrong("shape", DimsText(shape).to_string(), "\"batch\" and then numbers");
    }
    if inner.iter().any(|dim| matches!(dim, Dim::Known(0) | Dim::UpTo(0) | Dim::Target(0))) {
        return wrong("shape", DimsText(shape).to_string(), "of sizes of at least 1");
    }
    if !shape::countable(shape) {
        let what = format!("one example of {}", DimsText(shape));
        return Err(GraphError::Overflow { layer: format!("input {name}"), what }.into());
    }
    match (shape::kind_of(dtype, max), max) {
        (None, _) => wrong("dtype", dtype.to_string(), "f32, or i64 for ids"),
        (Some(Kind::Float), Some(max)) => wrong("max", max.to_string(), "left out for numbers"),
        (Some(_), Some(0)) => wrong("max", "0".into(), "at least 1"),
        (Some(kind), _) => Ok(kind),
    }
}
