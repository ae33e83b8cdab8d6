//! The value that a map rule gives a target: its operations, and around them what the layouts of both sides need.

use crate::adapt::{NamedOp, Op};
use crate::error::Result;
use crate::graph::{Layout, Parameter};
use crate::plan::error::PlanError;
use crate::plan::matching::kernels::Turning;
use crate::plan::matching::known::Layouts;
use crate::plan::matching::map::SplitSizes;
use crate::plan::matching::matches::Origin;
use crate::plan::matching::pass::Pass;
use crate::plan::matching::recurrent::laid_out;
use crate::plan::matching::stored_layout::Stored;
use crate::plan::value::{Typed, apply_one};
use crate::tensor::{Role, Shape, TensorInfo, elements};

/// A rule that found its sources for a target.
pub(crate) struct Ruling<'a, 'p> {
    pub pass: &'a Pass<'p>,
    pub parameter: &'a Parameter,
    pub layouts: &'a [&'a Layouts],
    /// The rule, and the place of the target among its targets.
    pub rule: usize,
    pub slot: usize,
    /// What it reads, by source and tensor.
    pub tensors: &'a [(usize, usize)],
    pub sizes: &'a [Option<SplitSizes>],
}

impl Ruling<'_, '_> {
    /// The value, and words for what was done beside the rule's own operations.
    pub(crate) fn value(&self) -> Result<(Typed, &'static str)> {
        let rule = &self.pass.target.rules.map[self.rule];
        let stored: Vec<Option<Stored>> = self.tensors.iter().map(|tensor| self.layout(*tensor)).collect();
        let Some(first) = stored.iter().flatten().next() else { return Ok((self.base()?, "")) };
        let joins_or_splits = self.tensors.len() > 1 || rule.to.len() > 1;
        if rule.ops.is_empty() && joins_or_splits {
            return self.in_pieces();
        }
        let made = self.base()?;
        let name = self.pass.stored(self.tensors[0].0, self.tensors[0].1).1.name;
        if stored.iter().flatten().any(|other| other != first) {
            let (target, source_name) = (self.parameter.name.to_string(), name.to_string());
            return Err(PlanError::KernelMixed { target, source_name, found: made.1.shape }.into());
        }
        laid_out(&Turning { parameter: self.parameter, name: &name, stored: first }, made)
    }

    /// The rule's value; the codes of a quantised weight as they are, for a target that lists them so.
    fn base(&self) -> Result<Typed> {
        let rule = &self.pass.target.rules.map[self.rule];
        let codes = match (self.tensors, rule.ops.is_empty() && rule.to.len() == 1) {
            ([(source, tensor)], true) => self.pass.codes_of(self.parameter, *source, *tensor),
            (_, _) => None,
        };
        match codes {
            Some(Origin::Found { value, info }) => Ok((value, info)),
            Some(Origin::New | Origin::Tied(_)) | None => self.made(None),
        }
    }

    fn layout(&self, (source, tensor): (usize, usize)) -> Option<Stored> {
        let (_, info) = self.pass.stored(source, tensor);
        self.layouts.get(source)?.layout(&info.name)
    }

    /// The rule's value; `turned` brings each source to the layout `(out, in)` before they are joined or split.
    fn made(&self, turned: Option<&Parameter>) -> Result<Typed> {
        let ops = &self.pass.target.rules.map[self.rule].ops;
        let is_explicit = ops.iter().any(|op| matches!(op, NamedOp::One(Op::Dequantize { .. })));
        let leaf = |(source, tensor)| {
            let made = self.pass.weight(source, tensor, is_explicit);
            match (turned, self.layout((source, tensor))) {
                (Some(parameter), Some(stored)) => {
                    let name = made.1.name.clone();
                    let parameter = piece(parameter, &made.1);
                    Ok(laid_out(&Turning { parameter: &parameter, name: &name, stored: &stored }, made)?.0)
                }
                (_, _) => Ok(made),
            }
        };
        let sizes = self
            .sizes
            .iter()
            .map(|sizes| sizes.map(|SplitSizes { rows, outputs }| if turned.is_some() { outputs } else { rows }));
        let sizes: Vec<Option<u64>> = sizes.collect();
        self.pass.rules.value(&self.parameter.name, (self.rule, self.slot), self.tensors, &sizes, &leaf)
    }

    /// Outputs lie along the first axis of `(out, in)`, where several tensors are joined and one is split.
    fn in_pieces(&self) -> Result<(Typed, &'static str)> {
        let is_in_out = self.parameter.layout == Layout::InOut && self.parameter.role == Role::Linear;
        let mut shape = self.parameter.shape.clone();
        let mut parameter = self.parameter.clone();
        if is_in_out {
            shape.reverse();
            parameter.layout = Layout::OutIn;
        }
        parameter.shape = shape;
        let mut made = self.made(Some(&parameter))?;
        if is_in_out && made.1.shape.len() == 2 {
            made = apply_one(vec![made], &Op::Transpose)?;
        }
        Ok((made, "its pieces are turned to the layout of the target's module"))
    }
}

/// The parameter that one of several sources, or the source of several targets, would fill: all axes but the first are the target's.
fn piece(parameter: &Parameter, info: &TensorInfo) -> Parameter {
    let rest = parameter.shape.get(1..).unwrap_or_default();
    let rows = match (elements(&info.shape), elements(rest)) {
        (Some(all), Some(row)) if row > 0 && all.is_multiple_of(row) => all / row,
        _ => return parameter.clone(),
    };
    let shape: Shape = std::iter::once(rows).chain(rest.iter().copied()).collect();
    Parameter { shape, ..parameter.clone() }
}
