//! A target with the value that was matched for it.

use crate::arch::Architecture;
use crate::graph::{Parameter, ParameterId};
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::value::Value;
use crate::tensor::TensorInfo;

/// A target with the value that was matched for it.
pub(crate) struct Subject<'a> {
    pub id: ParameterId,
    pub parameter: &'a Parameter,
    pub value: &'a Value,
    pub info: &'a TensorInfo,
}

impl<'a> Subject<'a> {
    /// The target `id`, or `None` where nothing was found for it.
    pub(crate) fn of(target: &'a Architecture, matches: &'a [Match], id: ParameterId) -> Option<Subject<'a>> {
        match (target.parameters.get(id), &matches.get(id)?.origin) {
            (Some(parameter), Origin::Found { value, info }) => Some(Subject { id, parameter, value, info }),
            (_, Origin::Found { .. } | Origin::New | Origin::Tied(_)) => None,
        }
    }

    /// The source that it comes from, the first where there are several.
    pub(crate) fn source(&self) -> Option<usize> {
        self.value.sources().next().map(|first| first.source)
    }

    /// Rows of the source and of the target, or `None` where either is a scalar.
    pub(crate) fn sizes(&self) -> Option<(u64, u64)> {
        Some((*self.info.shape.first()?, *self.parameter.shape.first()?))
    }

    /// Whether all axes but the first agree, and there are rows on both sides.
    pub(crate) fn rest_fits(&self) -> bool {
        let rest = |shape: &'a [u64]| shape.get(1..).unwrap_or(&[]);
        self.info.shape.len() == self.parameter.shape.len()
            && rest(&self.info.shape) == rest(&self.parameter.shape)
            && self.sizes().is_some_and(|(found, rows)| found > 0 && rows > 0)
    }
}
