//! Fused tensors: the query, key and value of an attention layer as one matrix, the gate and the projection of a gated layer. Each
//! piece must have the rows that the target keeps for it; a sum that happens to agree proves nothing.

use super::Subject;
use crate::adapt::Op;
use crate::plan::Value;
use crate::tensor::Shape;

/// A piece that does not fit: the source tensor, its shape, and the size that the target keeps for it.
pub(super) struct OddPiece<'a> {
    pub tensor: &'a str,
    pub found: Shape,
    pub expected: u64,
}

/// The first piece of a fused value whose size is not the target's, or `None` where all fit or nothing is fused.
pub(super) fn odd<'a>(subject: &Subject<'a>) -> Option<OddPiece<'a>> {
    let (axis, inputs) = concatenated(subject.value)?;
    let parts = &subject.parameter.parts;
    let total = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    if inputs.len() < 2 || inputs.len() != parts.len() || !subject.parameter.shape.contains(&total) {
        return None;
    }
    inputs.iter().zip(parts).find_map(|(input, part)| {
        let found = input.info().ok()?.shape;
        let is_odd = found.get(axis).is_some_and(|size| *size != part.rows);
        let (_, tensor) = input.first_source().filter(|_| is_odd)?;
        Some(OddPiece { tensor, found, expected: part.rows })
    })
}

/// The axis and the inputs of a concatenation, as a whole or transposed after it.
fn concatenated(value: &Value) -> Option<(usize, &[Value])> {
    match value {
        Value::Apply { op: Op::Concat { axis }, inputs } => Some((*axis, inputs)),
        Value::Apply { op: Op::Transpose, inputs } => concatenated(inputs.first()?),
        Value::Apply { .. }
        | Value::Source { .. }
        | Value::Init { .. }
        | Value::Count { .. }
        | Value::Computed { .. }
        | Value::Tied { .. } => None,
    }
}
