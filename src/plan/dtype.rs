//! The element type that each target is written in (design.md section 7), strongest first: `--dtype`; the file's `dtype`
//! rule; the tensor's own; the config's; the source's.

use std::collections::BTreeMap;

use crate::arch::Architecture;
use crate::error::Result;
use crate::graph::Parameter;
use crate::name::last;
use crate::plan::configs;
use crate::plan::inputs::{DtypeChoice, SourceView};
use crate::tensor::{Dtype, Role, TensorInfo};

/// A type, and whether the user asked for it in so many words (`--dtype` or the file's rule).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub dtype: Dtype,
    pub asked: bool,
    pub by: &'static str,
}

const FLAG: &str = "--dtype";

const RULE: &str = "the architecture's dtype rule";

const TENSOR: &str = "the type that the architecture specifies for it";

const CONFIG: &str = "the config's dtype";

const OWN: &str = "the source's type";

const FLOOR: &str = "the least type that keeps its precision";

/// Decides types.
pub(crate) struct Dtypes {
    /// `--dtype` or the rule, and which; `None` where neither says one.
    asked: Option<(Dtype, &'static str)>,
    /// `--dtype keep`.
    keep: bool,
    /// The float type that most elements of the sources have.
    dominant: Option<Dtype>,
}

impl Dtypes {
    /// Reads what was asked for, and counts the sources.
    pub(crate) fn new(choice: DtypeChoice, target: &Architecture, sources: &[SourceView]) -> Dtypes {
        let asked = match choice {
            DtypeChoice::To(dtype) => Some((dtype, FLAG)),
            DtypeChoice::Default => target.rules.dtype.map(|dtype| (dtype, RULE)),
            DtypeChoice::Keep => None,
        };
        let tensors = sources.iter().flat_map(|source| &source.listing.tensors);
        Dtypes { asked, keep: choice == DtypeChoice::Keep, dominant: dominant(tensors) }
    }

    /// The type of a target whose matched value has the type `found`, or which has no source.
    pub(crate) fn decide(
        &self,
        target: &Architecture,
        parameter: &Parameter,
        found: Option<Dtype>,
    ) -> Result<Decision> {
        if let Some(dtype) = found.filter(|dtype| !dtype.is_float()) {
            return Ok(Decision { dtype, asked: false, by: OWN });
        }
        if let Some(dtype) = parameter.dtype.filter(|dtype| !dtype.is_float()) {
            return Ok(Decision { dtype, asked: false, by: TENSOR });
        }
        let own = (found.or(self.dominant).unwrap_or(Dtype::F32), OWN);
        let (dtype, by) = match (self.asked, self.keep) {
            (Some(asked), _) => asked,
            (None, true) => own,
            (None, false) => self.stated(target, parameter)?.unwrap_or(own),
        };
        let floored = floor(parameter, dtype);
        let by = if floored == dtype { by } else { FLOOR };
        Ok(Decision { dtype: floored, asked: self.asked.is_some(), by })
    }

    /// What the architecture says of a tensor, by itself or by the config around it.
    fn stated(&self, target: &Architecture, parameter: &Parameter) -> Result<Option<(Dtype, &'static str)>> {
        if let Some(dtype) = parameter.dtype {
            return Ok(Some((dtype, TENSOR)));
        }
        match configs::config_of(target, &parameter.name) {
            // a config may state the type of codes, which are dequantised
            Some(config) => {
                Ok(configs::config_dtype(config)?.filter(|dtype| dtype.is_float()).map(|dtype| (dtype, CONFIG)))
            }
            None => Ok(None),
        }
    }
}

/// Batch-norm statistics (a variance underflows in f16), and what a family says so of, stay in f32 at least. A listing says no
/// floor: its statistics are known by name.
fn floor(parameter: &Parameter, dtype: Dtype) -> Dtype {
    let is_statistic =
        parameter.role == Role::Buffer && ["running_mean", "running_var"].contains(&last(&parameter.name));
    let floor = parameter.floor.or(is_statistic.then_some(Dtype::F32)).filter(|floor| floor.bits() > dtype.bits());
    floor.unwrap_or(dtype)
}

/// The float type that most elements have; of equals the wider.
pub(crate) fn dominant<'a>(tensors: impl Iterator<Item = &'a TensorInfo>) -> Option<Dtype> {
    let mut counts: BTreeMap<Dtype, u64> = BTreeMap::new();
    for tensor in tensors.filter(|tensor| tensor.dtype.is_float()) {
        let count = counts.entry(tensor.dtype).or_default();
        *count = count.saturating_add(tensor.elements().unwrap_or(u64::MAX));
    }
    counts.into_iter().max_by_key(|(dtype, count)| (*count, dtype.bits())).map(|(dtype, _)| dtype)
}

/// Whether some value of `from` has no equal in `to`.
pub(crate) fn narrows(from: Dtype, to: Dtype) -> bool {
    match (from, to) {
        _ if from == to => false,
        (Dtype::F16 | Dtype::Bf16, Dtype::F32 | Dtype::F64) | (Dtype::F32, Dtype::F64) => false,
        _ => true,
    }
}

/// The casts that nobody asked for and that lose precision, as warnings with their counts.
#[derive(Debug, Default)]
pub(crate) struct Narrowings(BTreeMap<(Dtype, Dtype), u64>);

impl Narrowings {
    pub(crate) fn note(&mut self, from: Dtype, decision: Decision) {
        if !decision.asked && from.is_float() && narrows(from, decision.dtype) {
            *self.0.entry((from, decision.dtype)).or_default() += 1;
        }
    }

    /// One line for each pair of types.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|((from, to), count)| {
                format!(
                    "{count} tensor{} narrowed from {from} to {to}, as the architecture specifies; `--dtype keep` preserves their types",
                    if *count == 1 { " is" } else { "s are" }
                )
            })
            .collect()
    }
}
