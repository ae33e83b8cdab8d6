//! A model in memory, ready to run: its architecture, and every parameter as a variable that gradients can reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Tensor, Var};

use crate::arch::Architecture;
use crate::batch::tensor_of;
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{Graph, Parameter};
use crate::lsuv::error::LsuvError;
use crate::lsuv::{Rewritten, Store};
use crate::plan::{Assignment, Plan, Value};
use crate::progress::Progress;
use crate::tensor::Name;
use crate::tensor::error::TensorError;
use crate::transfer;
use crate::transfer::error::TransferError;

/// A model in memory. Floats are in f32 whatever their type in the plan.
pub struct Model {
    pub architecture: Architecture,
    /// Where its values came from.
    pub plan: Plan,
    variables: BTreeMap<Name, Var>,
    indices: BTreeMap<Name, usize>,
}

impl Model {
    /// Produces every value of the plan. A model without a graph cannot run and is an error.
    pub(crate) fn load(
        architecture: Architecture,
        plan: Plan,
        readers: &[Arc<dyn Reader>],
        progress: &dyn Progress,
    ) -> Result<Model> {
        if architecture.graph.is_none() {
            return Err(GraphError::None.into());
        }
        let (mut variables, mut indices) = (BTreeMap::new(), BTreeMap::new());
        for (index, assignment) in plan.assignments.iter().enumerate() {
            progress.interrupted()?;
            let name = assignment.target.name.clone();
            if !matches!(assignment.value, Value::Tied { .. }) {
                variables.insert(name.clone(), variable(plan.seed, assignment, readers)?);
            }
            indices.insert(name, index);
        }
        Ok(Model { architecture, plan, variables, indices })
    }

    pub(crate) fn graph(&self) -> Result<&Graph> {
        Ok(self.architecture.graph.as_ref().ok_or(GraphError::None)?)
    }

    /// The variable of a parameter, by its name or that of a tie; `None` where the plan has none.
    pub(crate) fn variable(&self, name: &str) -> Option<&Var> {
        self.variables.get(self.owner(name))
    }

    /// The value of a parameter, for `graph::run`.
    pub(crate) fn weight(&self, parameter: &Parameter) -> Result<Tensor> {
        self.tensor(&parameter.name)
    }

    fn owner<'a>(&'a self, name: &'a str) -> &'a str {
        match self.indices.get(name).and_then(|index| self.plan.assignments.get(*index)) {
            Some(Assignment { value: Value::Tied { to }, .. }) => to,
            Some(_) | None => name,
        }
    }
}

fn variable(seed: u64, assignment: &Assignment, readers: &[Arc<dyn Reader>]) -> Result<Var> {
    let target = &assignment.target;
    let overflow = || TensorError::Overflow { shape: target.shape.clone(), dtype: target.dtype };
    let len = usize::try_from(target.bytes()?).map_err(|_| overflow())?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| overflow())?;
    bytes.resize(len, 0);
    transfer::produce(seed, assignment, readers, 0..target.rows(), &mut bytes)?;
    let failed = |source| GraphError::Compute { layer: format!("parameter {}", target.name), source: Box::new(source) };
    Ok(Var::from_tensor(&tensor_of(target, &bytes)?).map_err(failed)?)
}

impl Store for Model {
    fn assignment(&self, name: &str) -> Option<(usize, &Assignment)> {
        let index = *self.indices.get(self.owner(name))?;
        self.plan.assignments.get(index).map(|assignment| (index, assignment))
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        let missing = || TransferError::Missing { source_index: 0, tensor: name.into() };
        Ok(self.variable(name).ok_or_else(missing)?.as_tensor().clone())
    }

    fn scale(&self, name: &str, factor: f64) -> Result<Rewritten> {
        let missing = || TransferError::Missing { source_index: 0, tensor: name.into() };
        let variable = self.variable(name).ok_or_else(missing)?;
        let scaled = (variable.as_tensor() * factor).and_then(|scaled| {
            variable.set(&scaled)?;
            scaled.flatten_all()?.to_vec1::<f32>()
        });
        let failed = |source| GraphError::Compute { layer: format!("parameter {name}"), source: Box::new(source) };
        let count = scaled.map_err(failed)?.iter().filter(|value| !value.is_finite()).count() as u64;
        if count > 0 {
            let dtype = crate::tensor::Dtype::F32;
            return Err(LsuvError::Overflow { name: name.into(), factor, count, dtype }.into());
        }
        Ok(Rewritten { factor: f64::from(factor as f32), digest: None })
    }
}
