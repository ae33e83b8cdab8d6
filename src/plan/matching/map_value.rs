//! The value that the operations of a map rule make of its sources.

use crate::adapt::{NamedOp, Op};
use crate::arch::MapRule;
use crate::error::{Error, Result};
use crate::plan::error::PlanError;
use crate::plan::value::{Typed, apply, apply_one};

/// The value of one target of one rule.
pub(crate) struct Making<'a> {
    pub rule: &'a MapRule,
    pub slot: usize,
    pub target: &'a str,
}

impl Making<'_> {
    /// Concatenation (where the operations do not join), the operations in order, the split (where they do not).
    pub(crate) fn run(&self, mut values: Vec<Typed>, sizes: &[Option<u64>]) -> Result<Typed> {
        let joins = |op: &NamedOp| match op {
            NamedOp::Concat { .. } | NamedOp::Stack => true,
            NamedOp::One(op) => op.joins(),
            NamedOp::Split { .. } | NamedOp::SplitSizes { .. } => false,
        };
        if values.len() > 1 && !self.rule.ops.iter().any(joins) {
            values = vec![self.fit(apply(values, &[]))?];
        }
        let mut is_split = self.rule.to.len() == 1;
        for op in &self.rule.ops {
            values = match op {
                NamedOp::One(op) if op.joins() => vec![self.fit(apply_one(values, op))?],
                NamedOp::One(op) => {
                    values.into_iter().map(|value| self.fit(apply_one(vec![value], op))).collect::<Result<_>>()?
                }
                NamedOp::Concat { axis } => vec![self.fit(apply_one(values, &Op::Concat { axis: *axis }))?],
                NamedOp::Stack => vec![self.fit(apply_one(values, &Op::Stack))?],
                NamedOp::Split { axis, parts } => {
                    is_split = true;
                    let size = self.size(&values, *axis)?;
                    let pieces = equal_pieces(size, *parts)
                        .ok_or_else(|| self.uneven(*axis, size, format!("{parts} equal pieces")))?;
                    self.cut(values, *axis, &pieces)?
                }
                NamedOp::SplitSizes { axis, sizes } => {
                    is_split = true;
                    self.cut(values, *axis, sizes)?
                }
            };
        }
        if !is_split {
            let size = self.size(&values, 0)?;
            let stated: Option<Vec<u64>> = sizes.iter().copied().collect();
            let sum = |sizes: &Vec<u64>| sizes.iter().try_fold(0u64, |sum, size| sum.checked_add(*size));
            let parts = sizes.len() as u64;
            let pieces = stated
                .filter(|sizes| sum(sizes) == Some(size))
                .or_else(|| equal_pieces(size, parts))
                .ok_or_else(|| self.uneven(0, size, format!("the {parts} targets")))?;
            values = self.cut(values, 0, &pieces)?;
        }
        let pieces = values.len() as u64;
        match <[Typed; 1]>::try_from(values) {
            Ok([value]) => Ok(value),
            Err(_) => Err(self.wrong_pieces(pieces)),
        }
    }

    pub(crate) fn fit(&self, made: Result<Typed>) -> Result<Typed> {
        made.map_err(|error| {
            let (rule, target) = (self.rule.text.clone(), self.target.to_string());
            PlanError::MapDoesNotFit { rule, target, problem: Box::new(error) }.into()
        })
    }

    pub(crate) fn wrong_pieces(&self, pieces: u64) -> Error {
        let (rule, target, targets) = (self.rule.text.clone(), self.target.to_string(), self.rule.to.len() as u64);
        PlanError::MapPieces { rule, target, pieces, targets }.into()
    }

    pub(crate) fn uneven(&self, axis: usize, size: u64, pieces: String) -> Error {
        let (rule, target) = (self.rule.text.clone(), self.target.to_string());
        PlanError::MapSplit { rule, target, axis, size, pieces }.into()
    }

    /// The size of an axis; 0 where there is none, which no piece fits.
    pub(crate) fn size(&self, values: &[Typed], axis: usize) -> Result<u64> {
        match values {
            [(_, info)] => Ok(info.shape.get(axis).copied().unwrap_or(0)),
            _ => Err(self.wrong_pieces(values.len() as u64)),
        }
    }

    pub(crate) fn cut(&self, mut values: Vec<Typed>, axis: usize, pieces: &[u64]) -> Result<Vec<Typed>> {
        let size = self.size(&values, axis)?;
        if pieces.len() != self.rule.to.len() {
            return Err(self.wrong_pieces(pieces.len() as u64));
        }
        let sum = |pieces: &[u64]| pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(*piece));
        let start = pieces.get(..self.slot).and_then(sum);
        let (Some(start), Some(len), true) = (start, pieces.get(self.slot), sum(pieces) == Some(size)) else {
            return Err(self.uneven(axis, size, format!("{pieces:?}")));
        };
        let Some(value) = values.pop() else { return Err(self.wrong_pieces(0)) };
        Ok(vec![self.fit(apply_one(vec![value], &Op::Narrow { axis, start, len: *len }))?])
    }
}

/// `None` where the size is not a multiple.
fn equal_pieces(size: u64, parts: u64) -> Option<Vec<u64>> {
    let count = usize::try_from(parts).ok().filter(|count| (1..=65_536).contains(count))?;
    size.is_multiple_of(parts).then(|| vec![size / parts; count])
}
