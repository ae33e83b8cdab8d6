//! How sources lay out the weights of their layers, and what turns them into the layout of the target's module. Names and classes decide;
//! a shape decides only between two layouts of which one cannot be, and where both can be it is an error.

use crate::adapt::{Op, Run};
use crate::checkpoint::kernel::Axis;
use crate::error::Result;
use crate::graph::{Layout, Parameter};
use crate::plan::error::PlanError;
use crate::plan::matching::stored_layout::{Framework, Stored, is_kernel, leaf};
use crate::plan::matching::tracked::{Atom, Tracked};
use crate::plan::value::{Typed, apply_one};
use crate::tensor::{Role, Shape, elements};

/// What the target's module takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Module {
    /// A matrix, `(out, in)` or `(in, out)`.
    Matrix { in_out: bool },
    /// `(out, in / groups, …)`.
    Convolution,
    /// `(in, out / groups, …)`.
    Transposed,
}

impl Module {
    /// The module of a parameter, and whether its layout is known; `None` for what has neither inputs nor outputs.
    fn of(parameter: &Parameter) -> Option<(Module, bool)> {
        let is_known = parameter.layout != Layout::Unknown;
        let module = match parameter.role {
            Role::Linear | Role::Embedding => Module::Matrix { in_out: parameter.layout == Layout::InOut },
            Role::Conv { .. } => Module::Convolution,
            Role::ConvTranspose { .. } => Module::Transposed,
            Role::Unknown if parameter.shape.len() == 2 => Module::Matrix { in_out: false },
            Role::Unknown if parameter.shape.len() > 2 => Module::Convolution,
            Role::Unknown | Role::Position | Role::Norm | Role::Bias | Role::Token | Role::Buffer => return None,
        };
        Some((module, is_known))
    }

    /// The place of an axis in the module's order.
    fn rank(self, axis: Axis, is_depthwise: bool) -> usize {
        match (self, axis) {
            (Module::Matrix { in_out }, Axis::In) => usize::from(!in_out),
            (Module::Matrix { in_out }, Axis::Out | Axis::Multiplier) => usize::from(in_out),
            (Module::Matrix { .. }, Axis::Space) => 0,
            (Module::Convolution, Axis::In) => usize::from(!is_depthwise),
            (Module::Convolution, Axis::Out) => 0,
            (Module::Transposed, Axis::In) => 0,
            (Module::Transposed, Axis::Out) => 1,
            (Module::Convolution | Module::Transposed, Axis::Multiplier) => 1,
            (Module::Convolution | Module::Transposed, Axis::Space) => 2,
        }
    }
}

/// One reading of a stored tensor.
enum Reading {
    Raw,
    /// What each atom is, in stored order, and whether the taps run in the other direction.
    Axes {
        axes: Vec<Axis>,
        is_flipped: bool,
    },
}

/// A value under one reading.
struct Turned {
    made: Typed,
    /// Whether its axes had to be exchanged.
    is_permuted: bool,
}

/// A stored value on its way into a target.
pub(crate) struct Turning<'a> {
    pub parameter: &'a Parameter,
    pub name: &'a str,
    pub stored: &'a Stored,
}

impl Turning<'_> {
    /// The value in the layout of the target, and words for what was done; as it is where nothing is to be done.
    pub(crate) fn turn(&self, made: Typed) -> Result<(Typed, &'static str)> {
        if self.parameter.role == Role::Bias || *self.stored == Stored::Bias {
            return Ok((flattened(self.parameter, made)?, ""));
        }
        let Some((module, is_known)) = Module::of(self.parameter) else { return Ok((made, "")) };
        let tracked = match Tracked::of(&made.0) {
            Some(tracked) if tracked.is_stated || (tracked.is_permuted && !(is_known && self.is_certain(module))) => {
                return Ok((made, "its operations state the layout"));
            }
            Some(tracked) => tracked,
            None if made.1.elements().is_ok_and(|elements| elements == 0) => return Ok((made, "")),
            None => return Err(self.mixed(&made.1.shape)),
        };
        if !is_known && self.keeps_convention() {
            return Ok((made, ""));
        }
        if let (false, Stored::Family(layout)) = (is_known, self.stored) {
            let stored = if *layout == Layout::InOut { "(in, out)" } else { "(out, in)" };
            return Err(self.layout_unknown(stored));
        }
        self.by_reading(module, is_known, &tracked, made)
    }

    /// Whether the source itself states the axes, so that they are followed through a rule's permutations.
    fn is_certain(&self, module: Module) -> bool {
        match self.stored {
            Stored::Unstated => false,
            // of the two that it may be a permutation chooses one, and whether its taps are turned around follows
            Stored::Named => module == Module::Transposed,
            _ => true,
        }
    }

    /// Whether the target, which states no layout, has the convention of the source: it was listed from such a file.
    fn keeps_convention(&self) -> bool {
        let is_name_of_kernels = is_kernel(leaf(&self.parameter.name));
        match self.stored {
            Stored::Kernel(_) | Stored::Depthwise | Stored::Unstated | Stored::Named => {
                is_name_of_kernels || self.parameter.name == self.name
            }
            Stored::Axes(axes) => is_name_of_kernels || axes.as_slice() == [Axis::Out, Axis::In],
            Stored::Family(_) | Stored::Recurrent(_) | Stored::Bias => false,
        }
    }

    fn by_reading(
        &self,
        module: Module,
        is_known: bool,
        tracked: &Tracked,
        made: Typed,
    ) -> Result<(Typed, &'static str)> {
        let mut atoms: Vec<Atom> = tracked.axes.iter().flatten().cloned().collect();
        atoms.sort_by(|a, b| a.place.cmp(&b.place));
        let (readings, are_rivals) = self.readings(module, &atoms);
        let mut results = Vec::new();
        for reading in &readings {
            let result = self.apply(module, reading, &atoms, tracked, made.clone())?;
            // of two layouts a rule that permutes means the one that it permutes to the target's
            let is_meant = |result: &Turned| !(are_rivals && tracked.is_permuted && result.is_permuted);
            results.extend(result.filter(is_meant).map(|result| result.made));
        }
        let Some(first) = results.first().cloned() else { return Err(self.mixed(&made.1.shape)) };
        let mut fitting: Vec<Typed> =
            results.into_iter().filter(|(_, info)| info.shape == self.parameter.shape).collect();
        if !are_rivals {
            fitting.truncate(1);
        }
        // nothing says that the axes are not already the target's
        if (!is_known || *self.stored == Stored::Named) && made.1.shape == self.parameter.shape {
            fitting.push(made.clone());
        }
        let chosen = match fitting.as_slice() {
            [] => first,
            [fits, others @ ..]
                if others.iter().all(|other| other.0 == fits.0) || elements(&fits.1.shape) == Some(1) =>
            {
                fits.clone()
            }
            _ => {
                return Err(match (is_known, self.stored) {
                    (false, Stored::Axes(_) | Stored::Kernel(_)) => self.layout_unknown("(in, out)"),
                    _ => self.unstated(made.1.shape.len()),
                });
            }
        };
        let words = match (chosen.0 == made.0, tracked.is_permuted) {
            (false, _) => "turned to the layout of the target's module",
            (true, true) => "its operations turn it to the layout of the target's module",
            (true, false) => "",
        };
        Ok((chosen, words))
    }

    /// What the stored tensor may be for such a module, and whether these readings exclude each other.
    fn readings(&self, module: Module, atoms: &[Atom]) -> (Vec<Reading>, bool) {
        let plain = |axes| Reading::Axes { axes, is_flipped: false };
        let spaces = |last: [Axis; 2]| {
            let spaces = atoms.len().saturating_sub(2);
            std::iter::repeat_n(Axis::Space, spaces).chain(last.into_iter().take(atoms.len())).collect::<Vec<_>>()
        };
        let (into_out, depthwise) = ([Axis::In, Axis::Out], [Axis::In, Axis::Multiplier]);
        match (self.stored, module) {
            (Stored::Axes(axes), _) => {
                let of = |atom: &Atom| axes.get(atom.axis()).copied().unwrap_or(Axis::Out);
                (vec![plain(atoms.iter().map(of).collect())], false)
            }
            (Stored::Family(Layout::InOut), _) => (vec![plain(self.split(atoms, into_out))], false),
            (Stored::Family(_), _) => (vec![plain(self.split(atoms, [Axis::Out, Axis::In]))], false),
            (Stored::Depthwise, _) => (vec![plain(spaces(depthwise))], false),
            (Stored::Kernel(_) | Stored::Named, Module::Matrix { .. }) => {
                (vec![plain(self.split(atoms, into_out))], false)
            }
            (Stored::Unstated, Module::Matrix { .. }) => {
                (vec![plain(self.split(atoms, into_out)), plain(self.split(atoms, [Axis::Out, Axis::In]))], true)
            }
            // both give the same values where both fit
            (Stored::Kernel(_) | Stored::Unstated | Stored::Named, Module::Convolution) => {
                (vec![plain(spaces(into_out)), plain(spaces(depthwise))], false)
            }
            (Stored::Kernel(Framework::Keras) | Stored::Unstated, Module::Transposed) => {
                (vec![plain(spaces([Axis::Out, Axis::In]))], false)
            }
            // Flax correlates with the kernel unless `transpose_kernel` is set, where PyTorch convolves
            (Stored::Kernel(Framework::Flax) | Stored::Named, Module::Transposed) => {
                let flipped = Reading::Axes { axes: spaces(into_out), is_flipped: true };
                (vec![flipped, plain(spaces([Axis::Out, Axis::In]))], true)
            }
            (Stored::Recurrent(_) | Stored::Bias, _) => (vec![Reading::Raw], false),
        }
    }

    /// The atoms as two groups, of which the second has as many elements as the target says; all but the last and the last where none has.
    fn split(&self, atoms: &[Atom], [first, second]: [Axis; 2]) -> Vec<Axis> {
        let is_in_out = self.parameter.layout == Layout::InOut;
        let (outputs, inputs) = match (self.parameter.shape.as_slice(), is_in_out) {
            ([outputs, inputs], false) | ([inputs, outputs], true) => (*outputs, *inputs),
            _ => (0, 0),
        };
        let wanted = if first == Axis::In { (inputs, outputs) } else { (outputs, inputs) };
        let product = |atoms: &[Atom]| atoms.iter().try_fold(1u64, |product, atom| product.checked_mul(atom.size));
        let fits = |at: &usize| {
            let (before, after) = atoms.split_at(*at);
            (product(before), product(after)) == (Some(wanted.0), Some(wanted.1))
        };
        let at = (0..=atoms.len()).find(fits).unwrap_or(atoms.len().saturating_sub(1));
        (0..atoms.len()).map(|place| if place < at { first } else { second }).collect()
    }

    /// The value under one reading, or `None` where an axis holds both inputs and outputs in an order that the module does not have.
    fn apply(
        &self,
        module: Module,
        reading: &Reading,
        atoms: &[Atom],
        tracked: &Tracked,
        made: Typed,
    ) -> Result<Option<Turned>> {
        let Reading::Axes { axes: kinds, is_flipped } = reading else {
            return Ok(Some(Turned { made, is_permuted: false }));
        };
        let is_depthwise = kinds.contains(&Axis::Multiplier);
        let kind = |atom: &Atom| {
            let place = atoms.iter().position(|known| known.place == atom.place);
            place.and_then(|place| kinds.get(place)).copied().unwrap_or(Axis::Out)
        };
        // an axis of one index may stand anywhere
        let ranks = |axis: &[Atom]| -> Vec<usize> {
            axis.iter().filter(|atom| atom.size != 1).map(|atom| module.rank(kind(atom), is_depthwise)).collect()
        };
        let rank_of_empty = |axis: &[Atom]| axis.first().map_or(0, |atom| module.rank(kind(atom), is_depthwise));
        let by_axis: Vec<Vec<usize>> = tracked.axes.iter().map(|axis| ranks(axis)).collect();
        let in_order = by_axis.concat().is_sorted()
            && (matches!(module, Module::Matrix { .. }) || self.keeps_places(tracked, &rank_of_empty));
        let mut made = made;
        if !in_order {
            if by_axis.iter().any(|ranks| ranks.windows(2).any(|pair| pair[0] != pair[1])) {
                return Ok(None);
            }
            let mut order: Vec<usize> = (0..tracked.axes.len()).collect();
            let rank = |axis: &usize| {
                let of_first = || tracked.axes.get(*axis).map_or(0, |atoms| rank_of_empty(atoms));
                by_axis.get(*axis).and_then(|ranks| ranks.first().copied()).unwrap_or_else(of_first)
            };
            order.sort_by_key(rank);
            let op = if order == [1, 0] { Op::Transpose } else { Op::Permute { order } };
            made = apply_one(vec![made], &op)?;
        }
        if *is_flipped && !tracked.is_rearranged {
            made = flipped(made)?;
        }
        let made = self.grouped(module, is_depthwise, made)?;
        Ok(Some(Turned { made, is_permuted: !in_order }))
    }

    /// Whether the axes of a convolution's kernel stand where they belong, those of one index too.
    fn keeps_places(&self, tracked: &Tracked, rank: &dyn Fn(&[Atom]) -> usize) -> bool {
        tracked.axes.iter().map(|axis| rank(axis)).is_sorted()
    }

    /// Several axes of inputs or of outputs as the one that the module has.
    fn grouped(&self, module: Module, is_depthwise: bool, made: Typed) -> Result<Typed> {
        let (shape, wanted) = (&made.1.shape, &self.parameter.shape);
        let fits = match (module, wanted.as_slice()) {
            (_, _) if shape == wanted => false,
            (Module::Matrix { .. }, [rows, columns]) => {
                let ends = (0..=shape.len()).any(|at| {
                    let (before, after) = shape.split_at(at);
                    (elements(before), elements(after)) == (Some(*rows), Some(*columns))
                });
                ends && shape.len() != 2
            }
            (Module::Convolution, [outputs, 1, space @ ..]) => match shape.as_slice() {
                [inputs, multiplier, rest @ ..] => {
                    is_depthwise && rest == space && inputs.checked_mul(*multiplier) == Some(*outputs)
                }
                _ => false,
            },
            _ => false,
        };
        match fits {
            true => apply_one(vec![made], &Op::Reshape { shape: wanted.clone() }),
            false => Ok(made),
        }
    }

    fn layout_unknown(&self, stored: &'static str) -> crate::error::Error {
        let (target, source_name) = (self.parameter.name.to_string(), self.name.to_string());
        PlanError::LayoutUnknown { target, source_name, stored }.into()
    }

    fn unstated(&self, axes: usize) -> crate::error::Error {
        let (target, source_name) = (self.parameter.name.to_string(), self.name.to_string());
        let is_transposed = matches!(self.parameter.role, Role::ConvTranspose { .. });
        PlanError::KernelUnstated { target, source_name, shape: self.parameter.shape.clone(), axes, is_transposed }
            .into()
    }

    /// The error for operations after which inputs and outputs cannot be told apart.
    fn mixed(&self, found: &Shape) -> crate::error::Error {
        let (target, source_name) = (self.parameter.name.to_string(), self.name.to_string());
        PlanError::KernelMixed { target, source_name, found: found.clone() }.into()
    }
}

/// A bias of several axes as the vector that the target has.
fn flattened(parameter: &Parameter, made: Typed) -> Result<Typed> {
    let is_vector = parameter.shape.len() == 1 && made.1.shape.len() > 1;
    match is_vector && elements(&made.1.shape) == elements(&parameter.shape) {
        true => apply_one(vec![made], &Op::Reshape { shape: parameter.shape.clone() }),
        false => Ok(made),
    }
}

/// A kernel whose taps run in the other direction along every axis but the first two.
fn flipped(mut made: Typed) -> Result<Typed> {
    for axis in 2..made.1.shape.len() {
        let size = made.1.shape.get(axis).copied().unwrap_or(1);
        if size > 1 {
            let run = Run { input: 0, start: size - 1, step: -1, len: size };
            made = apply_one(vec![made], &Op::Gather { axis, runs: vec![run].into() })?;
        }
    }
    Ok(made)
}
