//! Why an operation of a dialect does not fit a stored tensor, where the source itself shows it: the tensor is empty, or the same
//! tensor has another shape in other layers.

use crate::error::Error;
use crate::plan::damage_error::DamageError;
use crate::plan::error::PlanError;
use crate::plan::matching::blocks::places;
use crate::plan::matching::unit::Unit;
use crate::plan::value::SourceTensor;
use crate::tensor::elements;

/// The damage of one of these inputs, or the error of the operation where none is to be seen.
pub(crate) fn explain<'a>(error: Error, inputs: &[&Unit], all: impl Iterator<Item = &'a Unit> + Clone) -> Error {
    let damaged = inputs.iter().flat_map(|unit| unit.value.sources()).find_map(|tensor| damage(tensor, all.clone()));
    damaged.map_or(error, |damage| PlanError::from(damage).into())
}

fn damage<'a>(odd: SourceTensor, all: impl Iterator<Item = &'a Unit>) -> Option<DamageError> {
    let SourceTensor { tensor, shape, .. } = odd;
    if elements(shape) == Some(0) {
        return Some(DamageError::EmptyStored { tensor: tensor.to_string(), found: shape.clone(), more: 0 });
    }
    let mut others = all.flat_map(|unit| unit.value.sources());
    let like = others.find(|other| other.shape != shape && are_layers(tensor, other.tensor))?;
    Some(DamageError::OddStored {
        tensor: tensor.to_string(),
        expected: like.shape.clone(),
        like: like.tensor.to_string(),
        found: shape.clone(),
    })
}

/// Whether two names are those of one tensor in two layers of a block.
fn are_layers(a: &str, b: &str) -> bool {
    places(a).zip(places(b)).any(|(a, b)| a.path == b.path && a.tail == b.tail && a.index != b.index)
}
