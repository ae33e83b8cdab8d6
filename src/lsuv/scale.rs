//! The pass itself, as a hook of the graph.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Device, Tensor};

use super::pass::{Done, Pass, Store, Visit};
use super::targets::Targets;
use super::variance::{of_channels, variance};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{Dim, Graph, Hook, Layer, Node, Parameter, ParameterId};
use crate::lsuv::error::LsuvError;
use crate::plan::{Action, Assignment, Lsuv, Plan};
use crate::progress::Progress;

/// An output that varies less than this does not vary: scaling it would enlarge what rounding left.
const DEAD: f64 = 1e-12;

/// Scales the marked weights as their layers are reached.
pub(super) struct Scaler<'a> {
    pass: &'a Pass<'a>,
    plan: &'a Plan,
    parameters: &'a [Parameter],
    store: &'a dyn Store,
    targets: Targets,
    masks: Masks,
    /// Weights whose first use is over.
    seen: BTreeSet<ParameterId>,
    done: Done,
    progress: &'a dyn Progress,
}

impl<'a> Scaler<'a> {
    pub(crate) fn new(
        pass: &'a Pass<'a>,
        graph: &Graph,
        store: &'a dyn Store,
        progress: &'a dyn Progress,
    ) -> Scaler<'a> {
        let parameters = &pass.architecture.parameters;
        Scaler {
            pass,
            plan: pass.plan,
            parameters,
            store,
            targets: Targets::new(pass.plan, graph, parameters),
            masks: Masks::of(graph),
            seen: BTreeSet::new(),
            done: Done::default(),
            progress,
        }
    }

    /// What was done, or an error where a marked weight was never reached.
    pub(crate) fn done(mut self) -> Result<Done> {
        for (index, assignment) in self.plan.assignments.iter().enumerate() {
            let Some(Lsuv { target, .. }) = assignment.lsuv else { continue };
            if self.done.visits.contains_key(&index) {
                continue;
            }
            let name = assignment.target.name.clone();
            if !self.may_be_dead(&name) {
                return Err(LsuvError::NotReached { name: name.to_string() }.into());
            }
            let visit = Visit { target: target.unwrap_or(1.0), before: None, after: None, factor: 1.0 };
            self.done.visits.insert(index, visit);
        }
        Ok(self.done)
    }

    fn may_be_dead(&self, name: &str) -> bool {
        self.pass.allow_dead.iter().any(|selector| selector.pattern.matches(name).is_some())
    }

    fn measure(&self, node: &Node, output: &Tensor) -> Result<f64> {
        Ok(variance(output, self.masks.over(node, output)).map_err(|error| failed(node, error))?)
    }

    /// Scales a weight and what it gave, or says why it cannot be.
    fn scale(&mut self, site: &Site, lsuv: Lsuv, product: Tensor) -> Result<Tensor> {
        let Site { node, index, name, .. } = *site;
        let target = lsuv.target.unwrap_or_else(|| self.targets.target(site.weight, name));
        let before = self.measure(node, &product)?;
        let problem = match before {
            before if !before.is_finite() => Some(LsuvError::NonFinite { name: name.into() }),
            before if before < DEAD => Some(LsuvError::Dead { name: name.into(), variance: before }),
            _ => None,
        };
        if let Some(problem) = problem {
            if !self.may_be_dead(name) {
                return Err(problem.into());
            }
            let before = Some(before).filter(|before| before.is_finite());
            self.done.visits.insert(index, Visit { target, before, after: before, factor: 1.0 });
            return Ok(product);
        }
        let factor = (target / before).sqrt();
        let rewritten = self.store.scale(name, factor)?;
        let product = product.affine(rewritten.factor, 0.0).map_err(|error| failed(node, error))?;
        let after = self.measure(node, &product)?;
        let is_within = (after - target).abs() <= lsuv.tolerance * target;
        if !is_within && !self.may_be_dead(name) {
            let tolerance = lsuv.tolerance;
            return Err(LsuvError::OutsideTolerance { name: name.into(), target, after, tolerance }.into());
        }
        if let Some(digest) = rewritten.digest {
            self.done.digests.insert(index, digest);
        }
        let after = Some(after).filter(|after| after.is_finite());
        self.done.visits.insert(index, Visit { target, before: Some(before), after, factor });
        Ok(product)
    }

    /// A norm without running statistics of its own normalises by the batch, as it will in its first step of training.
    fn by_batch(&self, node: &Node, eps: f64, input: &Tensor) -> Result<Tensor> {
        let tensor = |place: usize| -> Result<Tensor> {
            let parameter = node.parameters.get(place).and_then(|id| self.parameters.get(*id));
            self.store.tensor(parameter.map_or("", |parameter| parameter.name.as_str()))
        };
        let (scale, shift) = (tensor(0)?, tensor(1)?);
        let normalise = || {
            let (mean, variance) = of_channels(input)?;
            let mut axes = vec![1; input.rank()];
            axes[1] = mean.len();
            let over = |values: Vec<f32>| Tensor::from_vec(values, axes.clone(), &Device::Cpu);
            let deviation = (over(variance)? + eps)?.sqrt()?;
            let normed = input.broadcast_sub(&over(mean)?)?.broadcast_div(&deviation)?;
            normed.broadcast_mul(&scale.reshape(axes.clone())?)?.broadcast_add(&shift.reshape(axes.clone())?)
        };
        Ok(normalise().map_err(|error| failed(node, error))?)
    }

    /// Whether the running mean of a batch norm is new.
    fn is_new(&self, node: &Node) -> bool {
        let parameter = node.parameters.get(2).and_then(|id| self.parameters.get(*id));
        let assignment = parameter.and_then(|parameter| self.store.assignment(&parameter.name));
        assignment.is_some_and(|(_, assignment)| assignment.action == Action::New)
    }
}

/// Where a weight is used.
struct Site<'a> {
    node: &'a Node,
    weight: ParameterId,
    index: usize,
    name: &'a str,
}

impl Hook for Scaler<'_> {
    fn product(&mut self, node: &Node, weight: ParameterId, _input: &Tensor, product: Tensor) -> Result<Tensor> {
        self.progress.interrupted()?;
        let name = self.parameters.get(weight).map_or("", |parameter| parameter.name.as_str());
        let Some((index, assignment)) = self.store.assignment(name) else { return Ok(product) };
        if !self.seen.insert(weight) {
            return Ok(product);
        }
        let Assignment { lsuv, action, .. } = assignment;
        match lsuv {
            Some(lsuv) => self.scale(&Site { node, weight, index, name }, *lsuv, product),
            None => {
                if self.targets.wants(name, *action) {
                    let variance = self.measure(node, &product)?;
                    self.targets.measured(name, variance);
                }
                Ok(product)
            }
        }
    }

    fn after(&mut self, node: &Node, inputs: &[Tensor], output: Tensor) -> Result<Tensor> {
        match (&node.layer, inputs) {
            (Layer::Input { .. }, _) => {
                self.masks.fed(node, &output).map_err(|error| failed(node, error))?;
                Ok(output)
            }
            (Layer::BatchNorm { eps }, [input, ..]) if self.is_new(node) => self.by_batch(node, *eps, input),
            _ => Ok(output),
        }
    }
}

fn failed(node: &Node, source: candle_core::Error) -> GraphError {
    GraphError::Compute { layer: format!("{} {}", node.layer.kind(), node.name), source: Box::new(source) }
}

/// The inputs that tell attention which positions are padding.
struct Masks {
    /// By the input's name: its axes, and of each position whether it is not a padding, once it was fed.
    inputs: BTreeMap<String, (Vec<Dim>, Vec<bool>)>,
}

impl Masks {
    fn of(graph: &Graph) -> Masks {
        let attentions = graph.nodes.iter().filter(|node| matches!(node.layer, Layer::Attention(_)));
        let masks = attentions.filter_map(|node| match &node.layer {
            Layer::Attention(attention) => graph.nodes.get(*node.inputs.get(attention.mask_place())?),
            _ => None,
        });
        let inputs = masks.filter(|node| matches!(node.layer, Layer::Input { .. }));
        Masks { inputs: inputs.map(|node| (node.name.clone(), (node.output.clone(), Vec::new()))).collect() }
    }

    fn fed(&mut self, node: &Node, value: &Tensor) -> candle_core::Result<()> {
        if let Some((_, keep)) = self.inputs.get_mut(&node.name) {
            let values = value.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            *keep = values.into_iter().map(|value| value != 0.0).collect();
        }
        Ok(())
    }

    /// Which positions of an output `(batch, length, width)` count, where a mask of these axes says so.
    fn over(&self, node: &Node, output: &Tensor) -> Option<&[bool]> {
        let ([_, _, _], Layer::Linear { .. } | Layer::Conv1D { .. } | Layer::Attention(_)) =
            (node.output.as_slice(), &node.layer)
        else {
            return None;
        };
        let fits = |axes: &[Dim], keep: &[bool]| {
            node.output.get(..2) == Some(axes) && output.dims().iter().take(2).product::<usize>() == keep.len()
        };
        self.inputs.values().find(|(axes, keep)| fits(axes, keep)).map(|(_, keep)| keep.as_slice())
    }
}
