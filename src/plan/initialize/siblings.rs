//! `match`: a new layer is drawn like its siblings that were transferred. Siblings are the tensors whose names differ in
//! indices alone (`encoder.layer.{i}.output.dense.weight`), and for new rows the tensor's own rows. All their elements are
//! pooled; weights and biases alike become N(mean, std²) of the pool, so that a norm's scale stays around one. Where all
//! elements are equal, so are the new ones.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapt::Op;
use crate::arch::Architecture;
use crate::error::Result;
use crate::graph::Parameter;
use crate::init::{Scheme, SchemeSpec};
use crate::name::template;
use crate::plan::assignment::Assignment;
use crate::plan::evidence::{Answer, Question};
use crate::plan::fit::error::FitError;
use crate::plan::initialize::drawn::Drawn;
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::value::{InitPart, Value};
use crate::tensor::{Name, Role, elements};

/// A source tensor whose moments count, with its elements.
type Leaf = (usize, Name, u64);

/// Mean and deviation by source tensor.
type Moments<'a> = BTreeMap<(usize, &'a str), (f64, f64)>;

/// What was transferred, by layer template.
#[derive(Debug)]
pub(crate) struct Siblings {
    by_template: BTreeMap<String, BTreeSet<Leaf>>,
}

/// How `Initialisation` names the scheme.
const MATCH: &str = "match";

/// Stands for what is drawn until the siblings are measured. Validation refuses it.
const UNMEASURED: Scheme = Scheme::Normal { mean: f64::NAN, std: f64::NAN };

fn is_unmeasured(scheme: &Scheme) -> bool {
    matches!(scheme, Scheme::Normal { std, .. } if std.is_nan())
}

impl Siblings {
    /// What was matched whole and with no value changed.
    pub(crate) fn of(target: &Architecture, matches: &[Match]) -> Siblings {
        let mut by_template: BTreeMap<String, BTreeSet<Leaf>> = BTreeMap::new();
        // nothing else looks at them
        let matches = if are_asked_for(target) { matches } else { &[] };
        for (parameter, found) in target.parameters.iter().zip(matches) {
            if let Some(leaves) = leaves(parameter, found) {
                by_template.entry(template(&parameter.name)).or_default().extend(leaves);
            }
        }
        Siblings { by_template }
    }

    /// How a target is drawn like its siblings once they are measured, or an error where it has none.
    pub(crate) fn drawn(&self, parameter: &Parameter, by: &str) -> Result<Drawn> {
        let Some(leaves) = self.leaves(&parameter.name) else {
            return Err(FitError::NoSiblings { name: parameter.name.to_string(), by: by.to_string() }.into());
        };
        let rows = parameter.shape.first().copied().unwrap_or(1);
        let siblings = if leaves.len() == 1 { "1 sibling".into() } else { format!("{} siblings", leaves.len()) };
        Ok(Drawn {
            parts: vec![InitPart { rows, scheme: UNMEASURED }],
            scheme: MATCH.into(),
            std: None,
            by: format!("{by}: {siblings}"),
            lsuv: None,
        })
    }

    /// What must be measured for these assignments.
    pub(crate) fn questions(&self, assignments: &[Assignment]) -> Vec<Question> {
        let drawn = assignments.iter().filter(|assignment| is_drawn_so(assignment));
        let leaves = drawn.filter_map(|assignment| self.leaves(&assignment.target.name)).flatten();
        let tensors: BTreeSet<(usize, &Name)> = leaves.map(|(source, tensor, _)| (*source, tensor)).collect();
        let question = |(source, tensor): (usize, &Name)| Question::Moments { source, tensor: tensor.to_string() };
        tensors.into_iter().map(question).collect()
    }

    /// Gives these assignments the schemes that the moments of their siblings say, or an error where some were not measured.
    pub(crate) fn measured(&self, assignments: &mut [Assignment], evidence: &[(Question, Answer)]) -> Result<()> {
        let moments = evidence.iter().filter_map(|entry| match entry {
            (Question::Moments { source, tensor }, Answer::Moments { mean, std }) => {
                Some(((*source, tensor.as_str()), (*mean, *std)))
            }
            _ => None,
        });
        let moments: Moments = moments.collect();
        for assignment in assignments.iter_mut().filter(|assignment| is_drawn_so(assignment)) {
            let Some(leaves) = self.leaves(&assignment.target.name) else { continue };
            let (mean, std) = pooled(leaves, &moments)?;
            let scheme = if std > 0.0 { Scheme::Normal { mean, std } } else { Scheme::Constant { value: mean } };
            fill(&mut assignment.value, &scheme);
            if let Some(init) = &mut assignment.init {
                init.std = Some(std);
            }
        }
        Ok(())
    }

    fn leaves(&self, name: &str) -> Option<&BTreeSet<Leaf>> {
        self.by_template.get(&template(name)).filter(|leaves| !leaves.is_empty())
    }
}

fn is_drawn_so(assignment: &Assignment) -> bool {
    assignment.init.as_ref().is_some_and(|init| init.scheme == MATCH)
}

/// Mean and deviation of all elements together: the variance within plus that between the tensors.
fn pooled(leaves: &BTreeSet<Leaf>, moments: &Moments) -> Result<(f64, f64)> {
    let mut known = Vec::with_capacity(leaves.len());
    for (source, tensor, elements) in leaves {
        let Some((mean, std)) = moments.get(&(*source, tensor.as_str())) else {
            return Err(FitError::NoEvidence { tensor: tensor.to_string() }.into());
        };
        known.push((*elements as f64, *mean, *std));
    }
    let count: f64 = known.iter().map(|(count, _, _)| count).sum();
    let mean = known.iter().map(|(n, mean, _)| n * mean).sum::<f64>() / count;
    let variance = known.iter().map(|(n, m, std)| n * (std * std + (m - mean) * (m - mean))).sum::<f64>() / count;
    Ok((mean, variance.sqrt()))
}

fn fill(value: &mut Value, scheme: &Scheme) {
    match value {
        Value::Init { parts, .. } => {
            parts.iter_mut().filter(|part| is_unmeasured(&part.scheme)).for_each(|part| part.scheme = scheme.clone());
        }
        Value::Apply { inputs, .. } => inputs.iter_mut().for_each(|input| fill(input, scheme)),
        Value::Source { .. } | Value::Count { .. } | Value::Computed { .. } | Value::Tied { .. } => {}
    }
}

/// The source tensors of a match that keeps every element as it is, or `None` where it has none.
fn leaves(parameter: &Parameter, found: &Match) -> Option<Vec<Leaf>> {
    let Origin::Found { value, info } = &found.origin else { return None };
    let has_rows = parameter.head || [Role::Embedding, Role::Position].contains(&parameter.role);
    let fits = info.shape == parameter.shape || has_rows && info.shape.get(1..) == parameter.shape.get(1..);
    let mut leaves = Vec::new();
    (fits && info.dtype.is_float() && collect(value, &mut leaves)).then_some(leaves)
}

fn collect(value: &Value, leaves: &mut Vec<Leaf>) -> bool {
    match value {
        Value::Source { source, tensor, shape, .. } => match elements(shape) {
            Some(count) if count > 0 => {
                leaves.push((*source, tensor.clone(), count));
                true
            }
            Some(_) | None => false,
        },
        Value::Apply { op, inputs } => rearranges(op) && inputs.iter().all(|input| collect(input, leaves)),
        Value::Init { .. } | Value::Count { .. } | Value::Computed { .. } | Value::Tied { .. } => false,
    }
}

/// Whether the result holds every element of the inputs, each once.
fn rearranges(op: &Op) -> bool {
    match op {
        Op::Transpose
        | Op::Permute { .. }
        | Op::Reshape { .. }
        | Op::Concat { .. }
        | Op::Stack
        | Op::RopePermute { .. } => true,
        Op::Narrow { .. }
        | Op::Gather { .. }
        | Op::Cast { .. }
        | Op::Affine { .. }
        | Op::Lerp { .. }
        | Op::MeanHeads { .. }
        | Op::MeanRows
        | Op::WeightNorm { .. }
        | Op::LowRank { .. }
        | Op::Dequantize { .. }
        | Op::MeanCovariance { .. }
        | Op::ResizeRows { .. } => false,
    }
}

/// Whether any rule asks for the statistics of siblings.
pub(crate) fn are_asked_for(target: &Architecture) -> bool {
    let by_rule = target.rules.init.iter().any(|rule| rule.scheme == SchemeSpec::Match);
    by_rule || target.parameters.iter().any(|parameter| parameter.layer_init.as_deref() == Some(&SchemeSpec::Match))
}
