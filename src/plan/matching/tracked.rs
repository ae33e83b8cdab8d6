//! Where the axes of a stored tensor are after the operations of a rule, so that what a kernel still lacks for its target's layout is
//! known: an explicit `transpose` is never followed by a second one, and a `reshape` never hides the need for the first.

use crate::adapt::Op;
use crate::plan::value::Value;
use crate::tensor::{Shape, TensorInfo};

/// A stored axis, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Atom {
    /// The stored axis, and behind it which part of it.
    pub place: Vec<usize>,
    /// How many indices it has.
    pub size: u64,
}

impl Atom {
    /// The stored axis that it is, or is part of.
    pub(crate) fn axis(&self) -> usize {
        self.place.first().copied().unwrap_or(0)
    }
}

/// The axes of a value by the stored axes that they are made of, outermost first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tracked {
    /// For each axis its atoms, in row-major order.
    pub axes: Vec<Vec<Atom>>,
    pub is_permuted: bool,
    /// Whether a permutation that changes nothing states that the axes are as the target has them.
    pub is_stated: bool,
    /// Whether indices of an axis were chosen, joined or reordered.
    pub is_rearranged: bool,
}

impl Tracked {
    /// The axes of a value, or `None` where an operation mixes them.
    pub(crate) fn of(value: &Value) -> Option<Tracked> {
        match value {
            Value::Source { shape, .. } => Some(Tracked::stored(shape)),
            Value::Init { .. } | Value::Count { .. } | Value::Computed { .. } | Value::Tied { .. } => None,
            Value::Apply { op, inputs } => {
                let out = value.info().ok()?;
                Tracked::after(op, inputs, &out)
            }
        }
    }

    fn stored(shape: &Shape) -> Tracked {
        let axes = shape.iter().enumerate().map(|(axis, size)| vec![Atom { place: vec![axis], size: *size }]);
        Tracked { axes: axes.collect(), is_permuted: false, is_stated: false, is_rearranged: false }
    }

    fn after(op: &Op, inputs: &[Value], out: &TensorInfo) -> Option<Tracked> {
        let input = |place: usize| Tracked::of(inputs.get(place)?);
        match op {
            Op::Transpose => input(0)?.permuted(&[1, 0]),
            Op::Permute { order } => input(0)?.permuted(order),
            Op::Reshape { shape } => input(0)?.reshaped(shape),
            Op::Narrow { axis, .. } => input(0)?.resized(*axis, out),
            Op::Gather { axis, .. } => {
                let tracked = input(0)?.resized(*axis, out)?;
                Some(Tracked { is_rearranged: true, ..tracked })
            }
            Op::Concat { axis } => {
                let all: Vec<Tracked> = inputs.iter().map(Tracked::of).collect::<Option<_>>()?;
                let alike = |other: &Tracked| other.order() == all.first().map(Tracked::order).unwrap_or_default();
                let first = all.first().filter(|_| all.iter().all(alike))?.clone().resized(*axis, out)?;
                Some(Tracked { is_rearranged: true, ..first })
            }
            Op::RopePermute { .. } | Op::MeanHeads { .. } | Op::ResizeRows { .. } | Op::MeanRows => {
                let tracked = input(0)?.resized(0, out)?;
                Some(Tracked { is_rearranged: true, ..tracked })
            }
            Op::Cast { .. } | Op::Affine { .. } | Op::Lerp { .. } | Op::LowRank { .. } | Op::Dequantize { .. } => {
                input(0)
            }
            Op::WeightNorm { .. } => input(1),
            Op::Stack | Op::MeanCovariance { .. } => None,
        }
    }

    /// The places of the atoms in row-major order.
    fn order(&self) -> Vec<Vec<Vec<usize>>> {
        self.axes.iter().map(|axis| axis.iter().map(|atom| atom.place.clone()).collect()).collect()
    }

    fn permuted(self, order: &[usize]) -> Option<Tracked> {
        let is_same = order.iter().copied().eq(0..self.axes.len());
        let axes = order.iter().map(|axis| self.axes.get(*axis).cloned()).collect::<Option<Vec<_>>>()?;
        Some(Tracked { axes, is_permuted: self.is_permuted || !is_same, is_stated: self.is_stated || is_same, ..self })
    }

    /// One axis with another number of indices.
    fn resized(mut self, axis: usize, out: &TensorInfo) -> Option<Tracked> {
        let size = *out.shape.get(axis)?;
        let atoms = self.axes.get_mut(axis)?;
        let before: u64 = atoms.iter().map(|atom| atom.size).product();
        if before == size {
            return Some(self);
        }
        if before != 1 {
            atoms.retain(|atom| atom.size != 1);
        }
        let is_one = atoms.len() == 1 || atoms.iter().all(|atom| atom.size == 1);
        let place = atoms.first().filter(|_| is_one)?.place.clone();
        *atoms = vec![Atom { place, size }];
        Some(self)
    }

    fn reshaped(self, shape: &Shape) -> Option<Tracked> {
        let mut atoms: std::collections::VecDeque<Atom> = self.axes.iter().flatten().cloned().collect();
        let mut axes: Vec<Vec<Atom>> = Vec::with_capacity(shape.len());
        for size in shape.iter() {
            let (mut left, mut axis) = (*size, Vec::new());
            while left > 1 {
                let atom = atoms.pop_front()?;
                if atom.size == 0 {
                    return None;
                }
                if left.is_multiple_of(atom.size) {
                    left /= atom.size;
                    axis.push(atom);
                } else if atom.size.is_multiple_of(left) {
                    let part = |at: usize, size| Atom { place: [atom.place.as_slice(), &[at]].concat(), size };
                    atoms.push_front(part(1, atom.size / left));
                    axis.push(part(0, left));
                    left = 1;
                } else {
                    return None;
                }
            }
            axes.push(axis);
        }
        if let (Some(last), true) = (axes.last_mut(), atoms.iter().all(|atom| atom.size == 1)) {
            last.extend(atoms);
        }
        Some(Tracked { axes, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dtype;

    fn after(shape: &[u64], ops: &[Op]) -> Option<Tracked> {
        let source = Value::Source { source: 0, tensor: "x".into(), dtype: Dtype::F32, shape: shape.into() };
        let apply = |value, op: &Op| Value::Apply { op: op.clone(), inputs: vec![value] };
        Tracked::of(&ops.iter().fold(source, apply))
    }

    fn axes(tracked: &Tracked) -> Vec<Vec<usize>> {
        tracked.axes.iter().map(|axis| axis.iter().map(Atom::axis).collect()).collect()
    }

    #[test]
    fn axes_are_followed_through_reshape_and_permute() {
        let merged = after(&[8, 2, 4], &[Op::Reshape { shape: [8, 8].into() }]).unwrap();
        assert_eq!(axes(&merged), [vec![0], vec![1, 2]]);
        let turned = after(&[8, 2, 4], &[Op::Reshape { shape: [8, 8].into() }, Op::Transpose]).unwrap();
        assert_eq!((axes(&turned), turned.is_permuted), (vec![vec![1, 2], vec![0]], true));
        let split = after(&[8, 24], &[Op::Reshape { shape: [8, 3, 2, 4].into() }]).unwrap();
        assert_eq!(axes(&split), [vec![0], vec![1], vec![1], vec![1]]);
        let layer = [Op::Narrow { axis: 0, start: 1, len: 1 }, Op::Reshape { shape: [6, 5].into() }];
        assert_eq!(axes(&after(&[3, 6, 5], &layer).unwrap()), [vec![0, 1], vec![2]]);
        assert_eq!(after(&[6, 8], &[Op::Reshape { shape: [16, 3].into() }]), None);
        assert!(after(&[4, 4], &[Op::Permute { order: vec![0, 1] }]).unwrap().is_stated);
    }
}
