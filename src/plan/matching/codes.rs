//! Numbers that stand for others are never passed on raw: a target is filled from codes that were dequantised, from codes of its own
//! listed type together with what stands next to them, or by a rule that casts them; anything else breaks the contract.

use std::collections::BTreeMap;

use crate::adapt::codes::number;
use crate::arch::Architecture;
use crate::graph::{Parameter, ParameterId};
use crate::hash::HashMap;
use crate::plan::assignment::Step;
use crate::plan::error::PlanError;
use crate::plan::fit::error::FitError;
use crate::plan::inputs::SourceView;
use crate::plan::matching::hints::rule_flag;
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::names::is_known_buffer;
use crate::plan::quantized::Quantized;
use crate::plan::quantized::error::QuantizedError;
use crate::plan::quantized::parts::is_code;
use crate::plan::quantized::weight::{QuantizedWeight, Reading};
use crate::plan::value::{Value, raw_codes};
use crate::tensor::{Dtype, Role, TensorInfo};

/// A target that would be filled with codes.
#[derive(Debug)]
pub(crate) struct Problem {
    target: ParameterId,
    source: usize,
    tensor: usize,
    kind: Kind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// They are a quantised weight, and its reading says what it is.
    Weight,
    /// They are whole numbers of no known method.
    Whole,
    Unlisted(String),
}

/// What is judged.
struct Judge<'a> {
    sources: &'a [SourceView<'a>],
    target: &'a Architecture,
    quantized: &'a [Quantized],
}

/// Takes the codes away from every target that must not have them; what those are.
pub(crate) fn refuse(
    sources: &[SourceView],
    target: &Architecture,
    quantized: &[Quantized],
    resolutions: &mut [Match],
) -> Vec<Problem> {
    let judge = Judge { sources, target, quantized };
    let mut problems: Vec<Problem> = Vec::new();
    let mut copies = Vec::new();
    for (id, (parameter, resolution)) in target.parameters.iter().zip(resolutions.iter()).enumerate() {
        match judge.verdict(parameter, resolution) {
            Verdict::Fine => {}
            Verdict::Copy(source, tensor) => copies.push((id, source, tensor)),
            Verdict::Codes(source, tensor, kind) => problems.push(Problem { target: id, source, tensor, kind }),
        }
    }
    problems.extend(judge.incomplete(&copies, resolutions));
    for problem in &problems {
        let Some(resolution) = resolutions.get_mut(problem.target) else { continue };
        // nothing else could stand in a parameter of codes
        if matches!(problem.kind, Kind::Unlisted(_)) {
            continue;
        }
        resolution.origin = Origin::New;
        resolution.step = Step::None;
        resolution.reason = "its source contains codes".into();
        // the violation speaks for it: it is not a hole, and --strict asks for no word about it
        (resolution.contested, resolution.declared, resolution.opaque) = (true, true, false);
    }
    problems
}

/// What a target's value is made of.
enum Verdict {
    Fine,
    /// Codes, byte for byte, of a weight with this tensor.
    Copy(usize, usize),
    Codes(usize, usize, Kind),
}

impl Judge<'_> {
    fn verdict(&self, parameter: &Parameter, resolution: &Match) -> Verdict {
        let Origin::Found { value, info } = &resolution.origin else { return Verdict::Fine };
        let unreadable = |(source, tensor): &(usize, usize)| {
            let weight = self.quantized.get(*source)?.of_codes(*tensor)?;
            (!matches!(weight.reading, Reading::Product { .. })).then_some((*source, *tensor))
        };
        if resolution.opaque
            && let Some((source, tensor)) =
                resolution.tensors.iter().find_map(unreadable).or(resolution.tensors.first().copied())
        {
            return Verdict::Codes(source, tensor, Kind::Weight);
        }
        if value.dequantizes() && is_packed(info, parameter) {
            let first = resolution.tensors.first().copied().unwrap_or_default();
            return Verdict::Codes(first.0, first.1, Kind::Whole);
        }
        let mut verdict = Verdict::Fine;
        raw_codes(value, false, &mut |leaf, is_cast| {
            if let (Verdict::Fine, Value::Source { source, tensor, dtype, .. }) = (&verdict, leaf) {
                let is_said = is_cast && resolution.step == Step::Map;
                let is_whole = matches!(value, Value::Source { .. });
                if let Some(tensor) = self.sources.get(*source).and_then(|view| view.listing.position(tensor)) {
                    verdict = self.of_leaf(parameter, (*source, tensor, *dtype), is_said, is_whole);
                }
            }
        });
        verdict
    }

    /// What codes are to the target that they fill: cast by a rule, copied whole, or neither.
    fn of_leaf(
        &self,
        parameter: &Parameter,
        (source, tensor, dtype): (usize, usize, Dtype),
        is_said: bool,
        is_whole: bool,
    ) -> Verdict {
        let weight = self.own_weight(source, tensor);
        let refused = |kind| Verdict::Codes(source, tensor, kind);
        match (weight.map(|weight| &weight.reading), parameter.dtype) {
            (Some(Reading::Other { .. }), _) if is_said => refused(Kind::Weight),
            _ if is_said => Verdict::Fine,
            (Some(_), Some(listed)) if is_whole && listed == dtype => Verdict::Copy(source, tensor),
            (Some(Reading::Unscaled(_)), None) => refused(Kind::Weight),
            (Some(_), None) if is_whole && self.lists_all(parameter, source, tensor) => Verdict::Copy(source, tensor),
            (Some(_), _) => refused(Kind::Weight),
            (None, listed) => match wrong_type(parameter, dtype, listed, &self.name(source, tensor)) {
                true if self.quantized.get(source).is_some_and(|all| all.of_part(tensor).is_some()) => {
                    refused(Kind::Weight)
                }
                true => refused(Kind::Whole),
                false => Verdict::Fine,
            },
        }
    }

    fn info(&self, source: usize, tensor: usize) -> Option<&TensorInfo> {
        self.sources.get(source)?.listing.tensors.get(tensor)
    }

    fn name(&self, source: usize, tensor: usize) -> String {
        self.info(source, tensor).map_or_else(String::new, |info| info.name.to_string())
    }

    /// The quantised weight whose codes have its own name.
    fn own_weight(&self, source: usize, tensor: usize) -> Option<&QuantizedWeight> {
        let weight = self.quantized.get(source)?.of_codes(tensor)?;
        (self.info(source, tensor)?.name == weight.name).then_some(weight)
    }

    /// Whether the target has everything that stands next to the codes.
    fn lists_all(&self, parameter: &Parameter, source: usize, tensor: usize) -> bool {
        let (Some(weight), Some(view)) = (self.own_weight(source, tensor), self.sources.get(source)) else {
            return false;
        };
        let mut names = weight.names_beside(view.listing, &parameter.name).peekable();
        let is_target = |name: &String| self.target.parameters.iter().any(|parameter| parameter.name == *name);
        names.peek().is_some() && names.all(|name| is_target(&name))
    }

    /// Copies of codes whose scales are not copied with them.
    fn incomplete(&self, copies: &[(ParameterId, usize, usize)], resolutions: &[Match]) -> Vec<Problem> {
        if copies.is_empty() {
            return Vec::new();
        }
        let parameters = self.target.parameters.iter().enumerate();
        let ids: HashMap<&str, ParameterId> = parameters.map(|(id, parameter)| (parameter.name.as_str(), id)).collect();
        let is_copied = |name: &str, source: usize, part: usize| {
            let found = ids.get(name).and_then(|id| Some((resolutions.get(*id)?, self.target.parameters.get(*id)?)));
            let stored = self.info(source, part);
            found.zip(stored).is_some_and(|((resolution, parameter), stored)| match &resolution.origin {
                Origin::Found { value: Value::Source { source: of, tensor, shape, .. }, .. } => {
                    *of == source && *tensor == stored.name && *shape == parameter.shape
                }
                Origin::Found { .. } | Origin::New | Origin::Tied(_) => false,
            })
        };
        let mut problems = Vec::new();
        for (target, source, tensor) in copies.iter().copied() {
            let Some((weight, view)) = self.own_weight(source, tensor).zip(self.sources.get(source)) else { continue };
            let Some(parameter) = self.target.parameters.get(target) else { continue };
            let names = weight.names_beside(view.listing, &parameter.name).zip(&weight.parts);
            let missing = names.filter(|(name, part)| !is_copied(name, source, **part)).map(|(name, _)| name).next();
            problems.extend(missing.map(|name| Problem { target, source, tensor, kind: Kind::Unlisted(name) }));
        }
        problems
    }
}

/// Whether numbers of this type, of no known method, are not what a parameter holds.
fn wrong_type(parameter: &Parameter, dtype: Dtype, listed: Option<Dtype>, name: &str) -> bool {
    let is_learned = match parameter.role {
        Role::Linear
        | Role::Conv { .. }
        | Role::ConvTranspose { .. }
        | Role::Embedding
        | Role::Position
        | Role::Norm
        | Role::Bias
        | Role::Token => !is_known_buffer(name) && !is_known_buffer(&parameter.name),
        Role::Buffer | Role::Unknown => false,
    };
    let is_narrow = matches!(dtype, Dtype::I8 | Dtype::U8);
    match listed {
        Some(listed) if is_code(dtype) || is_code(listed) => listed != dtype,
        Some(listed) if listed.is_float() => is_learned || is_narrow,
        Some(_) => false,
        None => is_learned || is_code(dtype),
    }
}

/// Whether so many times as many numbers along the last axis say that each of the codes holds several.
fn is_packed(found: &TensorInfo, parameter: &Parameter) -> bool {
    let (Some((found, leads)), Some((wanted, others))) = (found.shape.split_last(), parameter.shape.split_last())
    else {
        return false;
    };
    leads == others && *found > 0 && [2, 4, 8].iter().any(|times| found.checked_mul(*times) == Some(*wanted))
}

/// One violation for each kind and source; none for another name of a tensor that has a source after all.
pub(crate) fn violations(
    sources: &[SourceView],
    target: &Architecture,
    quantized: &[Quantized],
    problems: &[Problem],
    resolutions: &[Match],
) -> Vec<PlanError> {
    let judge = Judge { sources, target, quantized };
    let is_open = |problem: &&Problem| match resolutions.get(problem.target).map(|one| &one.origin) {
        Some(Origin::Tied(owner)) => !resolutions.get(*owner).is_some_and(Match::is_found),
        Some(Origin::Found { .. } | Origin::New) | None => true,
    };
    let mut groups: BTreeMap<(usize, String), Vec<&Problem>> = BTreeMap::new();
    let mut order = Vec::new();
    for problem in problems.iter().filter(is_open) {
        let key = (problem.source, judge.label(problem));
        if !groups.contains_key(&key) {
            order.push(key.clone());
        }
        groups.entry(key).or_default().push(problem);
    }
    let groups = order.iter().filter_map(|key| groups.get(key));
    groups.filter_map(|group| judge.error(group)).map(PlanError::from).collect()
}

impl Judge<'_> {
    /// What problems of one violation have in common.
    fn label(&self, problem: &Problem) -> String {
        let weight = self.quantized.get(problem.source).and_then(|all| all.of_part(problem.tensor));
        match (&problem.kind, weight.map(|weight| &weight.reading)) {
            (Kind::Weight, Some(Reading::Other { method, bits })) => format!("{method} {bits:?}"),
            (Kind::Weight, Some(Reading::Unscaled(expected))) => format!("unscaled {}", expected.is_some()),
            (Kind::Weight, Some(Reading::Misfit { .. })) => "misfit".into(),
            (Kind::Unlisted(_), _) => "unlisted".into(),
            (Kind::Weight, Some(Reading::Product { .. }) | None) | (Kind::Whole, _) => "whole".into(),
        }
    }

    fn error(&self, group: &[&Problem]) -> Option<QuantizedError> {
        let first = group.first()?;
        let view = self.sources.get(first.source)?;
        let target = self.target.parameters.get(first.target)?.name.to_string();
        let tensor = self.info(first.source, first.tensor)?.clone();
        let (count, source_name) = (group.len(), view.reference.clone());
        let weight = self.quantized.get(first.source).and_then(|all| all.of_part(first.tensor));
        Some(match (&first.kind, weight.map(|weight| &weight.reading)) {
            (Kind::Unlisted(part), _) => {
                QuantizedError::Unlisted { target, count, source_name, tensor, part: part.clone() }
            }
            (Kind::Weight, Some(Reading::Other { method, bits })) => {
                let (method, bits) = (method.clone(), *bits);
                QuantizedError::Method { target, count, source_name, tensor, method, bits }
            }
            (Kind::Weight, Some(Reading::Unscaled(Some(scale)))) => {
                QuantizedError::ScaleMissing { target, count, source_name, tensor, scale: scale.clone() }
            }
            (Kind::Weight, Some(Reading::Unscaled(None))) => {
                QuantizedError::Unscaled { target, count, source_name, tensor, rules: self.rules(group) }
            }
            (Kind::Weight, Some(Reading::Misfit { scale })) => {
                let scale = self.info(first.source, *scale)?.clone();
                let stated = self.quantized.get(first.source).is_some_and(Quantized::states_blocks);
                QuantizedError::ScaleShape { target, count, source_name, tensor, scale, stated }
            }
            (Kind::Weight, Some(Reading::Product { .. }) | None) | (Kind::Whole, _) => {
                QuantizedError::Whole { target, count, source_name, tensor, rules: self.rules(group) }
            }
        })
    }

    /// Rules that take the numbers as they are, where their type can be cast and their shapes agree.
    fn rules(&self, group: &[&Problem]) -> Vec<String> {
        let mut rules = Vec::new();
        for problem in group {
            let (Some(parameter), Some(info)) =
                (self.target.parameters.get(problem.target), self.info(problem.source, problem.tensor))
            else {
                continue;
            };
            if number(info.dtype).is_none() || parameter.shape != info.shape {
                continue;
            }
            let from = match self.sources {
                [_] => info.name.to_string(),
                _ => {
                    format!("{}:{}", self.sources.get(problem.source).map_or("", |view| view.name.as_str()), info.name)
                }
            };
            let rule = rule_flag(&parameter.name, &from, "|cast(f32)");
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        rules
    }
}

/// Low coverage of a source that is quantised in a form that is not read is that, and nothing that a lower bound would accept.
pub(crate) fn instead_of_coverage(sources: &[SourceView], quantized: &[Quantized], violations: &mut Vec<PlanError>) {
    let is_low = |error: &PlanError| matches!(error, PlanError::Fit(FitError::LowCoverage { .. }));
    let has_codes = |error: &PlanError| matches!(error, PlanError::Quantized(_));
    if !violations.iter().any(is_low) {
        return;
    }
    if !violations.iter().any(has_codes) {
        let unread = sources.iter().zip(quantized).find_map(|(view, quantized)| {
            let (method, bits) = quantized.method()?;
            let first = quantized.weights.first()?;
            let tensor = view.listing.tensors.get(first.codes)?.clone();
            Some(QuantizedError::Source { source_name: view.reference.clone(), tensor, method, bits })
        });
        let Some(unread) = unread else { return };
        violations.insert(0, unread.into());
    }
    violations.retain(|error| !is_low(error));
}
