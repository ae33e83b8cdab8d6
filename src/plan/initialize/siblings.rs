//! `match`: a new layer is drawn like its siblings that were transferred. Siblings are the tensors whose names differ in
//! indices alone (`encoder.layer.{i}.output.dense.weight`), and for new rows the tensor's own rows. All their elements are
//! pooled; weights and biases alike become N(mean, std²) of the pool, so that a norm's scale stays around one. Where all
//! elements are equal, so are the new ones.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::adapt::Op;
use crate::arch::Architecture;
use crate::error::Result;
use crate::graph::Parameter;
use crate::init::{Scheme, SchemeSpec};
use crate::name::template;
use crate::plan::evidence::{Answer, Question};
use crate::plan::fit::error::FitError;
use crate::plan::initialize::drawn::Drawn;
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::value::{InitPart, Value};
use crate::tensor::{Name, Role, elements};

/// A source tensor whose moments count, with its elements.
type Leaf = (usize, Name, u64);

/// What was transferred, by layer template, and what was measured of it.
#[derive(Debug)]
pub(crate) struct Siblings {
    by_template: BTreeMap<String, BTreeSet<Leaf>>,
    moments: Moments,
}

#[derive(Debug)]
enum Moments {
    /// Mean and deviation by source tensor.
    Known(BTreeMap<(usize, String), (f64, f64)>),
    /// Nothing is known yet: what is asked for is written down, and supposed to be N(0, 1).
    Asked(RefCell<BTreeSet<(usize, String)>>),
}

impl Siblings {
    /// What was matched whole and with no value changed, and what was measured of it.
    pub(crate) fn new(target: &Architecture, matches: &[Match], evidence: &[(Question, Answer)]) -> Siblings {
        let moments = evidence.iter().filter_map(|entry| match entry {
            (Question::Moments { source, tensor }, Answer::Moments { mean, std }) => {
                Some(((*source, tensor.clone()), (*mean, *std)))
            }
            (
                Question::Moments { .. } | Question::Equal { .. } | Question::Values { .. },
                Answer::Equal(_) | Answer::Moments { .. } | Answer::Values(_),
            ) => None,
        });
        // nothing else looks at them
        let by_template = match are_asked_for(target) {
            true => by_template(target, matches),
            false => BTreeMap::new(),
        };
        Siblings { by_template, moments: Moments::Known(moments.collect()) }
    }

    /// The same before anything was measured.
    pub(crate) fn asking(target: &Architecture, matches: &[Match]) -> Siblings {
        Siblings { by_template: by_template(target, matches), moments: Moments::Asked(RefCell::default()) }
    }

    /// What must be measured: everything that was asked for since.
    pub(crate) fn questions(&self) -> Vec<Question> {
        match &self.moments {
            Moments::Known(_) => Vec::new(),
            Moments::Asked(asked) => {
                let question =
                    |(source, tensor): &(usize, String)| Question::Moments { source: *source, tensor: tensor.clone() };
                asked.borrow().iter().map(question).collect()
            }
        }
    }

    /// How a target is drawn like its siblings, or an error where it has none or they were not measured.
    pub(crate) fn drawn(&self, parameter: &Parameter, by: &str) -> Result<Drawn> {
        let leaves = self.by_template.get(&template(&parameter.name)).filter(|leaves| !leaves.is_empty());
        let Some(leaves) = leaves else {
            return Err(FitError::NoSiblings { name: parameter.name.to_string(), by: by.to_string() }.into());
        };
        let (mean, std) = self.pooled(leaves)?;
        let scheme = if std > 0.0 { Scheme::Normal { mean, std } } else { Scheme::Constant { value: mean } };
        let rows = parameter.shape.first().copied().unwrap_or(1);
        let siblings = if leaves.len() == 1 { "1 sibling".into() } else { format!("{} siblings", leaves.len()) };
        Ok(Drawn {
            parts: vec![InitPart { rows, scheme }],
            scheme: "match".into(),
            std: Some(std),
            by: format!("{by}: {siblings}"),
            lsuv: None,
        })
    }

    /// Mean and deviation of all elements together: the variance within plus that between the tensors.
    fn pooled(&self, leaves: &BTreeSet<Leaf>) -> Result<(f64, f64)> {
        let mut known = Vec::with_capacity(leaves.len());
        for (source, tensor, elements) in leaves {
            let (mean, std) = self.measured(*source, tensor)?;
            known.push((*elements as f64, mean, std));
        }
        let count: f64 = known.iter().map(|(count, _, _)| count).sum();
        let mean = known.iter().map(|(n, mean, _)| n * mean).sum::<f64>() / count;
        let variance = known.iter().map(|(n, m, std)| n * (std * std + (m - mean) * (m - mean))).sum::<f64>() / count;
        Ok((mean, variance.sqrt()))
    }

    fn measured(&self, source: usize, tensor: &str) -> Result<(f64, f64)> {
        let key = (source, tensor.to_string());
        match &self.moments {
            Moments::Known(moments) => {
                moments.get(&key).copied().ok_or_else(|| FitError::NoEvidence { tensor: key.1 }.into())
            }
            Moments::Asked(asked) => {
                asked.borrow_mut().insert(key);
                Ok((0.0, 1.0))
            }
        }
    }
}

/// The source tensors of everything that was transferred, by layer template.
fn by_template(target: &Architecture, matches: &[Match]) -> BTreeMap<String, BTreeSet<Leaf>> {
    let mut by_template: BTreeMap<String, BTreeSet<Leaf>> = BTreeMap::new();
    for (parameter, found) in target.parameters.iter().zip(matches) {
        if let Some(leaves) = leaves(parameter, found) {
            by_template.entry(template(&parameter.name)).or_default().extend(leaves);
        }
    }
    by_template
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
