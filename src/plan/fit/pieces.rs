//! Fused tensors: the query, key and value of an attention layer as one matrix, the gate and the projection of a gated layer. Each
//! piece must have the rows that the target keeps for it; a sum that happens to agree proves nothing.

use crate::adapt::Op;
use crate::plan::fit::subject::Subject;
use crate::plan::value::Value;
use crate::tensor::Shape;

/// A piece that does not fit: the source tensor, its shape, and the size that the target keeps for it.
pub(crate) struct OddPiece<'a> {
    pub tensor: &'a str,
    pub found: Shape,
    pub expected: u64,
}

/// The first piece of a fused value whose size is not the target's, or `None` where all fit or nothing is fused.
pub(crate) fn odd<'a>(subject: &Subject<'a>) -> Option<OddPiece<'a>> {
    let (axis, inputs) = concatenated(subject.value)?;
    let parts = &subject.parameter.parts;
    let total = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    if inputs.len() < 2 || inputs.len() != parts.len() || !subject.parameter.shape.contains(&total) {
        return None;
    }
    inputs.iter().zip(parts).find_map(|(input, part)| {
        let found = input.info().ok()?.shape;
        let is_odd = found.get(axis).is_some_and(|size| *size != part.rows);
        let first = input.sources().next().filter(|_| is_odd)?;
        Some(OddPiece { tensor: first.tensor, found, expected: part.rows })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Parameter, Part};
    use crate::init::Fans;
    use crate::tensor::{Dtype, Role, TensorInfo};

    /// The piece that does not fit, of a fused matrix that keeps these rows for each.
    fn odd_piece(kept: &[u64], found: &[u64], is_transposed: bool) -> Option<(String, u64)> {
        let source = |(at, rows): (usize, &u64)| Value::Source {
            source: 0,
            tensor: format!("piece.{at}").into(),
            dtype: Dtype::F32,
            shape: [*rows, 4].into(),
        };
        let inputs = found.iter().enumerate().map(source).collect();
        let mut value = Value::Apply { op: Op::Concat { axis: 0 }, inputs };
        let rows = kept.iter().sum();
        let mut parameter = Parameter::new("fused", [rows, 4], Role::Linear);
        if is_transposed {
            value = Value::Apply { op: Op::Transpose, inputs: vec![value] };
            parameter.shape.reverse();
        }
        parameter.parts =
            kept.iter().map(|rows| Part { rows: *rows, fans: Fans { fan_in: 4, fan_out: *rows } }).collect();
        let info = TensorInfo::new("fused", Dtype::F32, parameter.shape.clone());
        let subject = Subject { id: 0, parameter: &parameter, value: &value, info: &info };
        odd(&subject).map(|piece| (piece.tensor.to_string(), piece.expected))
    }

    #[test]
    fn a_piece_of_another_size_is_found_although_the_sum_agrees() {
        for is_transposed in [false, true] {
            assert_eq!(odd_piece(&[8, 4, 4], &[8, 4, 4], is_transposed), None);
            assert_eq!(odd_piece(&[8, 4, 4], &[8, 3, 5], is_transposed), Some(("piece.1".into(), 4)));
            assert_eq!(odd_piece(&[6, 6], &[5, 7], is_transposed), Some(("piece.0".into(), 6)));
        }
    }

    #[test]
    fn what_is_fused_of_other_pieces_than_the_target_keeps_is_not_judged() {
        assert_eq!(odd_piece(&[8, 4, 4], &[8, 8], false), None);
        assert_eq!(odd_piece(&[16], &[8, 8], false), None);
    }
}
