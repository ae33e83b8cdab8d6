//! The tensors of the staged output, read and changed in place.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use super::pass::{Rewritten, Store};
use crate::adapt::float::{Float, Real, non_finite};
use crate::batch::tensor_of;
use crate::error::Result;
use crate::lsuv::error::LsuvError;
use crate::plan::{Action, Assignment, Plan};
use crate::save::{Layout, Span, StagedFile, Staging};
use crate::tensor::error::TensorError;
use crate::transfer::error::TransferError;

/// Every written tensor of an output that is not published yet, by its name.
pub(crate) struct Staged<'a> {
    files: Vec<Arc<StagedFile>>,
    places: BTreeMap<&'a str, TensorSpan<'a>>,
}

#[derive(Clone, Copy)]
struct TensorSpan<'a> {
    file: usize,
    span: Span,
    assignment: &'a Assignment,
}

impl<'a> Staged<'a> {
    /// Opens the staged files again. `layout` must be the plan's.
    pub(crate) fn open(plan: &'a Plan, layout: &Layout, staging: &Staging) -> Result<Staged<'a>> {
        let files = layout.files.iter().map(|file| staging.reopen(&file.name)).collect::<Result<_>>()?;
        let spans = layout
            .files
            .iter()
            .enumerate()
            .flat_map(|(file, weights)| weights.spans.iter().map(move |span| (file, *span)));
        let mut places = BTreeMap::new();
        for (file, span) in spans {
            if let Some(assignment) = plan.assignments.get(span.assignment) {
                places.insert(assignment.target.name.as_str(), TensorSpan { file, span, assignment });
            }
        }
        for tied in plan.assignments.iter().filter(|assignment| assignment.action == Action::Tied) {
            if let crate::plan::Value::Tied { to } = &tied.value
                && let Some(owner) = places.get(to.as_str()).copied()
            {
                places.insert(tied.target.name.as_str(), owner);
            }
        }
        Ok(Staged { files, places })
    }

    fn read(&self, name: &str) -> Result<(TensorSpan<'a>, &StagedFile, Vec<u8>)> {
        let missing = || TransferError::Missing { source_index: 0, tensor: name.into() };
        let place = *self.places.get(name).ok_or_else(missing)?;
        let file = self.files.get(place.file).ok_or_else(missing)?;
        let target = &place.assignment.target;
        let overflow = || TensorError::Overflow { shape: target.shape.clone(), dtype: target.dtype };
        let len = usize::try_from(place.span.len).map_err(|_| overflow())?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| overflow())?;
        bytes.resize(len, 0);
        file.read_at(place.span.offset, &mut bytes)?;
        Ok((place, file, bytes))
    }
}

impl Store for Staged<'_> {
    fn assignment(&self, name: &str) -> Option<(usize, &Assignment)> {
        self.places.get(name).map(|place| (place.span.assignment, place.assignment))
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        let (place, _, bytes) = self.read(name)?;
        tensor_of(&place.assignment.target, &bytes)
    }

    fn scale(&self, name: &str, factor: f64) -> Result<Rewritten> {
        let (place, file, mut bytes) = self.read(name)?;
        let target = &place.assignment.target;
        let Some(float) = Float::of(target.dtype) else {
            return Err(TransferError::NoMoments { tensor: target.clone() }.into());
        };
        let mut values = vec![0f32; bytes.len() / float.bytes()];
        f32::decode(float, &bytes, &mut values);
        let before = norm(&values);
        values.iter_mut().for_each(|value| *value *= factor as f32);
        f32::encode(float, &values, &mut bytes);
        let count = non_finite(target.dtype, &bytes).total();
        if count > 0 {
            return Err(LsuvError::Overflow { name: name.into(), factor, count, dtype: target.dtype }.into());
        }
        file.write_at(place.span.offset, &bytes)?;
        f32::decode(float, &bytes, &mut values);
        Ok(Rewritten { factor: norm(&values) / before, digest: Some(crate::digest::of(&bytes)) })
    }
}

/// The Euclidean norm, summed in f64 in order.
pub(crate) fn norm(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt()
}
