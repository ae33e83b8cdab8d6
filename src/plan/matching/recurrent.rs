//! Recurrent layers of Keras and ONNX in PyTorch's layout: one matrix for the inputs and one for the hidden state, `(gates · units, in)`,
//! and the gates in PyTorch's order. What PyTorch cannot compute, or cannot be told, is an error.

use crate::adapt::{Op, Run};
use crate::checkpoint::kernel::{Cell, Form, Part, Recurrent};
use crate::error::{Error, Result};
use crate::graph::{Layout, Parameter};
use crate::name::{is_index, last};
use crate::plan::error::PlanError;
use crate::plan::matching::kernels::Turning;
use crate::plan::matching::stored_layout::{Framework, Stored};
use crate::plan::matching::tracked::Tracked;
use crate::plan::value::{Typed, Value, apply_one};
use crate::tensor::{Role, Shape, elements};

/// Which parameter of PyTorch's `LSTM`, `GRU`, `RNN` or of their cells.
#[derive(Clone, Copy, PartialEq)]
struct Target {
    is_weight: bool,
    is_hidden: bool,
    is_reverse: bool,
}

impl Target {
    /// `weight_ih_l0`, `bias_hh_l1_reverse`, `weight_hh`; `None` for any other name.
    fn of(name: &str) -> Option<Target> {
        let leaf = last(name);
        let (is_weight, rest) = match (leaf.strip_prefix("weight_"), leaf.strip_prefix("bias_")) {
            (Some(rest), _) => (true, rest),
            (None, rest) => (false, rest?),
        };
        let (is_hidden, rest) = match (rest.strip_prefix("ih"), rest.strip_prefix("hh")) {
            (Some(rest), _) => (false, rest),
            (None, rest) => (true, rest?),
        };
        let (layer, is_reverse) = match rest.strip_suffix("_reverse") {
            Some(layer) => (layer, true),
            None => (rest, false),
        };
        let is_known = layer.is_empty() && !is_reverse || layer.strip_prefix("_l").is_some_and(is_index);
        is_known.then_some(Target { is_weight, is_hidden, is_reverse })
    }

    fn takes(self, part: Part) -> bool {
        match part {
            Part::Input => self.is_weight && !self.is_hidden,
            Part::Hidden => self.is_weight && self.is_hidden,
            Part::Bias => !self.is_weight,
        }
    }
}

/// For each of PyTorch's gates (i, f, g, o; r, z, n) the place of the same gate in the source.
fn order(recurrent: Recurrent) -> &'static [u64] {
    match (recurrent.form, recurrent.cell) {
        (Form::Keras, Cell::Lstm) => &[0, 1, 2, 3],
        (Form::Onnx, Cell::Lstm) => &[0, 2, 3, 1],
        (_, Cell::Gru { .. }) => &[1, 0, 2],
        (_, Cell::Simple) => &[0],
    }
}

/// A stored value in the layout of its target, and words for what was done; as it is where nothing is to be done.
pub(crate) fn laid_out(turning: &Turning, made: Typed) -> Result<(Typed, &'static str)> {
    match turning.stored {
        Stored::Recurrent(recurrent) => arrange(turning, *recurrent, made),
        _ => turning.turn(made),
    }
}

/// A variable of a recurrent layer as PyTorch has it, and words for what was done.
fn arrange(turning: &Turning, recurrent: Recurrent, made: Typed) -> Result<(Typed, &'static str)> {
    let gates = Gates { turning, recurrent };
    let is_whole = matches!(made.0, Value::Source { .. });
    let tracked = Tracked::of(&made.0);
    let is_stated = tracked.is_some_and(|tracked| tracked.is_rearranged || tracked.is_stated) || gates.is_cut(&made);
    let Some(target) = Target::of(&turning.parameter.name) else { return gates.elsewhere(is_stated, made) };
    gates.check(target, is_whole, is_stated)?;
    if recurrent.form == Form::Onnx && !is_whole {
        return match is_stated {
            true => Ok((made, "its operations state the layout")),
            false => Err(gates.refuse("its directions and gates are arranged only by a rule without operations")),
        };
    }
    let shape = turning.parameter.shape.clone();
    let made = match (recurrent.form, recurrent.part) {
        (Form::Onnx, _) => gates.direction(target, made)?,
        (Form::Keras, Part::Input | Part::Hidden) => gates.turned(made)?,
        (Form::Keras, Part::Bias) => gates.bias(target, made)?,
    };
    if is_stated || made.1.shape != shape {
        return Ok((made, ""));
    }
    Ok((reordered(made, order(recurrent))?, "gates in the order of PyTorch"))
}

struct Gates<'a> {
    turning: &'a Turning<'a>,
    recurrent: Recurrent,
}

impl Gates<'_> {
    fn refuse(&self, why: &'static str) -> Error {
        let (target, source_name) = (self.turning.parameter.name.to_string(), self.turning.name.to_string());
        let cell = match self.recurrent.cell {
            Cell::Lstm => "LSTM",
            Cell::Gru { .. } => "GRU",
            Cell::Simple => "RNN",
        };
        PlanError::GateOrder { target, source_name, cell, why }.into()
    }

    /// What PyTorch cannot compute, and what does not belong together.
    fn check(&self, target: Target, is_whole: bool, is_stated: bool) -> Result<()> {
        let Recurrent { form, cell, part } = self.recurrent;
        if !target.takes(part) && is_whole {
            return Err(self.refuse("it is not what this parameter multiplies or adds"));
        }
        match cell {
            Cell::Gru { reset_after: Some(false) } => Err(self.refuse(
                "its reset gate acts before the product with the hidden state (`reset_after=False`), which PyTorch's GRU does not compute",
            )),
            Cell::Gru { reset_after: None } if !is_stated => Err(self.refuse(
                "it has no bias, and the file does not state whether its reset gate acts after the product (`reset_after`), as PyTorch's does",
            )),
            Cell::Lstm | Cell::Simple if (form, part) == (Form::Keras, Part::Bias) && target.is_hidden && is_whole => {
                Err(self.refuse("it has one bias, which is PyTorch's bias_ih; PyTorch adds bias_hh to it, which is then zero"))
            }
            Cell::Gru { .. } | Cell::Lstm | Cell::Simple => Ok(()),
        }
    }

    /// Whether operations of a rule took a part of it, so that the gates are the rule's own business.
    fn is_cut(&self, made: &Typed) -> bool {
        let stored = made.0.sources().next().map(|first| first.shape);
        let whole = stored.and_then(|shape| match (self.recurrent.part, shape.as_slice()) {
            (Part::Bias, [_, gates]) => Some(*gates),
            _ => elements(shape),
        });
        elements(&made.1.shape) < whole
    }

    /// For a target that is not a recurrent layer of PyTorch.
    fn elsewhere(&self, is_stated: bool, made: Typed) -> Result<(Typed, &'static str)> {
        let is_arranged = order(self.recurrent).is_sorted() && self.recurrent.form == Form::Keras;
        match (is_arranged || is_stated, self.recurrent.part) {
            (true, Part::Bias) => Ok((made, "")),
            (true, Part::Input | Part::Hidden) if self.recurrent.form == Form::Keras => {
                self.as_kernel(self.turning.parameter).turn(made)
            }
            (true, _) => Ok((made, "its operations state the layout")),
            (false, _) => Err(self.refuse(
                "the order of its gates is not PyTorch's, and the target is not a `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0` or `bias_hh_l0`, whose order is known",
            )),
        }
    }

    fn as_kernel<'p>(&'p self, parameter: &'p Parameter) -> Turning<'p> {
        Turning { parameter, name: self.turning.name, stored: &Stored::Kernel(Framework::Keras) }
    }

    /// A matrix of Keras, `(in, gates · units)`, as `(gates · units, in)`.
    fn turned(&self, made: Typed) -> Result<Typed> {
        let parameter = Parameter { role: Role::Linear, layout: Layout::OutIn, ..self.turning.parameter.clone() };
        Ok(self.as_kernel(&parameter).turn(made)?.0)
    }

    /// Keras has one bias, and two rows of it where the reset gate acts after the product.
    fn bias(&self, target: Target, made: Typed) -> Result<Typed> {
        match (made.1.shape.as_slice(), &made.0) {
            ([2, gates], Value::Source { .. }) => {
                let shape = [*gates].into();
                let row = Op::Narrow { axis: 0, start: u64::from(target.is_hidden), len: 1 };
                apply_one(vec![apply_one(vec![made], &row)?], &Op::Reshape { shape })
            }
            _ => Ok(made),
        }
    }

    /// One direction of a tensor of ONNX, and of a bias the half for the inputs or for the hidden state.
    fn direction(&self, target: Target, made: Typed) -> Result<Typed> {
        let direction = u64::from(target.is_reverse);
        let (directions, rest) = match made.1.shape.as_slice() {
            [directions, rest @ ..] if direction < *directions && !rest.is_empty() => (*directions, Shape::from(rest)),
            _ => return Err(self.refuse("it has no such direction")),
        };
        let mut made = made;
        if directions > 1 {
            made = apply_one(vec![made], &Op::Narrow { axis: 0, start: direction, len: 1 })?;
        }
        made = apply_one(vec![made], &Op::Reshape { shape: rest.clone() })?;
        match (self.recurrent.part, rest.as_slice()) {
            (Part::Bias, [both]) => {
                let len = both / 2;
                apply_one(vec![made], &Op::Narrow { axis: 0, start: if target.is_hidden { len } else { 0 }, len })
            }
            _ => Ok(made),
        }
    }
}

/// Blocks of axis 0 in another order.
fn reordered(made: Typed, order: &[u64]) -> Result<Typed> {
    let units = made.1.rows() / (order.len() as u64).max(1);
    if order.is_sorted() || units.saturating_mul(order.len() as u64) != made.1.rows() {
        return Ok(made);
    }
    let runs = order.iter().map(|gate| Run { input: 0, start: gate.saturating_mul(units), step: 1, len: units });
    apply_one(vec![made], &Op::Gather { axis: 0, runs: runs.collect() })
}
