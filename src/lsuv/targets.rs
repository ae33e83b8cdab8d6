//! Which variance a new layer is to have: what its transferred siblings have, else 1, else 1/L at the end of each of L residual
//! branches, so that the sum of them all adds 1.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, Layer, Parameter, ParameterId};
use crate::name::template;
use crate::plan::{Action, Plan};
use crate::tensor::Role;

/// What is known of the targets so far.
pub(super) struct Targets {
    /// By template, the sum and the number of the variances that transferred weights have; only templates that are asked for.
    siblings: BTreeMap<String, (f64, u32)>,
    /// The last weights of residual branches.
    ends: BTreeSet<ParameterId>,
    branches: usize,
}

impl Targets {
    pub(crate) fn new(plan: &Plan, graph: &Graph, parameters: &[Parameter]) -> Targets {
        let marked = plan.assignments.iter().filter(|assignment| assignment.lsuv.is_some());
        let siblings = marked.map(|assignment| (template(&assignment.target.name), (0.0, 0))).collect();
        let branches: BTreeSet<usize> = graph.nodes.iter().filter_map(|node| node.branch).collect();
        Targets { siblings, ends: ends(graph, parameters), branches: branches.len() }
    }

    /// Whether a weight that was transferred tells what a new one is to have.
    pub(crate) fn wants(&self, name: &str, action: Action) -> bool {
        let is_transferred = match action {
            Action::Copied | Action::Adapted => true,
            Action::Tied | Action::New => false,
        };
        is_transferred && self.siblings.contains_key(&template(name))
    }

    /// What a transferred weight's output has.
    pub(crate) fn measured(&mut self, name: &str, variance: f64) {
        if let Some((sum, count)) = self.siblings.get_mut(&template(name))
            && variance.is_finite()
            && variance > 0.0
        {
            *sum += variance;
            *count += 1;
        }
    }

    /// What a new weight's output is to have.
    pub(crate) fn target(&self, weight: ParameterId, name: &str) -> f64 {
        match self.siblings.get(&template(name)) {
            Some((sum, count)) if *count > 0 => sum / f64::from(*count),
            Some(_) | None if self.ends.contains(&weight) => 1.0 / self.branches.max(1) as f64,
            Some(_) | None => 1.0,
        }
    }
}

/// The last weight of each residual branch; a branch that ends in a norm has none, for the norm undoes any factor.
fn ends(graph: &Graph, parameters: &[Parameter]) -> BTreeSet<ParameterId> {
    let mut last: BTreeMap<usize, Option<ParameterId>> = BTreeMap::new();
    for node in &graph.nodes {
        let Some(branch) = node.branch else { continue };
        match node.layer {
            Layer::LayerNorm { .. } | Layer::RmsNorm { .. } | Layer::BatchNorm { .. } | Layer::GroupNorm { .. } => {
                last.insert(branch, None);
            }
            _ => {
                let weight = node.parameters.iter().rev().find(|id| is_weight(parameters, **id));
                if let Some(weight) = weight {
                    last.insert(branch, Some(parameters.get(*weight).and_then(|p| p.tied_to).unwrap_or(*weight)));
                }
            }
        }
    }
    last.into_values().flatten().collect()
}

fn is_weight(parameters: &[Parameter], id: ParameterId) -> bool {
    parameters.get(id).is_some_and(|parameter| match parameter.role {
        Role::Linear | Role::Conv { .. } | Role::ConvTranspose { .. } => true,
        Role::Embedding | Role::Position | Role::Norm | Role::Bias | Role::Token | Role::Buffer | Role::Unknown => {
            false
        }
    })
}
