//! How a new tensor, or the new rows of one, are drawn (design.md section 6). Strongest first: `--init PATTERN=S`; the file's
//! `init` rules, the last match; `init` on a native layer; `--init S` alone; `auto`.

mod automatic;
pub(super) mod buffer;
mod drawn;
pub(super) mod siblings;
#[cfg(test)]
mod tests;

use crate::adapt::Op;
use crate::arch::{Architecture, InitRule};
use crate::error::Result;
use crate::graph::{Layout, Parameter, ParameterId};
use crate::init::{Cut, CutUnit, Fans, Formula, Gain, LayerFacts, Resolved, Scheme, SchemeSpec};
use crate::plan::assignment::{Exact, Initialisation, Lsuv};
use crate::plan::fit::error::FitError;
use crate::plan::initialize::drawn::{Drawn, Initial};
use crate::plan::initialize::siblings::Siblings;
use crate::plan::value::{InitPart, Value};
use crate::tensor::{Dtype, Role};

/// Says how tensors are drawn.
pub(crate) struct Initializer<'a> {
    target: &'a Architecture,
    pub siblings: Siblings,
    /// Names of the dialects that the sources are spelt in.
    dialects: Vec<String>,
}

/// One answer to the question of the scheme, and who gave it.
struct Answered<'a> {
    spec: &'a SchemeSpec,
    by: String,
    /// A pattern that reaches several tensors: those that the scheme makes no sense for fall to weaker answers.
    is_broad: bool,
}

impl<'a> Initializer<'a> {
    /// What a dialect of a source does without is 0.
    pub(crate) fn new(target: &'a Architecture, siblings: Siblings, dialects: &[Vec<String>]) -> Initializer<'a> {
        Initializer { target, siblings, dialects: dialects.concat() }
    }

    /// The dialect of a source that does without a tensor.
    fn absent(&self, parameter: &Parameter) -> Option<&'static str> {
        let all = self.target.blocks.iter().flat_map(|block| block.family.dialects());
        let mut spelt = all.filter(|dialect| self.dialects.iter().any(|name| name == dialect.name));
        Some(spelt.find(|dialect| dialect.lacks(&parameter.name))?.name)
    }

    /// A fresh tensor for target `id`, or an error where a rule asks for what cannot be.
    pub(crate) fn initial(&self, id: ParameterId) -> Result<Initial> {
        self.drawn(id, false)
    }

    /// As above, for new rows of a tensor whose others are transferred: those are never scaled, so `lsuv` does not apply.
    pub(crate) fn initial_rows(&self, id: ParameterId) -> Result<Initial> {
        self.drawn(id, true)
    }

    fn drawn(&self, id: ParameterId, are_rows: bool) -> Result<Initial> {
        let Some(parameter) = self.target.parameters.get(id) else {
            return Err(FitError::NoEvidence { tensor: format!("parameter {id}") }.into());
        };
        if parameter.role == Role::Buffer {
            return Ok(buffer::computed(parameter));
        }
        let mut passed_over = None;
        for answer in self.answers(parameter) {
            if matches!(answer.spec, SchemeSpec::Lsuv { .. })
                && (are_rows || answer.is_broad && !is_scalable(parameter))
            {
                passed_over = Some(answer.spec.to_string());
                continue;
            }
            match self.draw(parameter, &answer) {
                Ok(drawn) => return Ok(assemble(parameter, drawn)),
                Err(error) if answer.is_broad && has_no_fans(parameter) && is_about_the_layer(&error) => {
                    passed_over = Some(answer.spec.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        let mut drawn = self.automatic(parameter)?;
        if let Some(scheme) = passed_over {
            drawn.by = format!("{} ({scheme} does not apply to it)", drawn.by);
        }
        Ok(assemble(parameter, drawn))
    }

    /// Whether a rule of the user, by pattern or by layer, says how target `id` is drawn.
    pub(crate) fn is_said(&self, id: ParameterId) -> bool {
        self.target.parameters.get(id).is_some_and(|parameter| {
            let patterns = self.target.rules.init.iter().filter_map(|rule| rule.target.as_ref());
            parameter.layer_init.is_some() || patterns.into_iter().any(|s| s.pattern.matches(&parameter.name).is_some())
        })
    }

    /// Every answer but `auto`, strongest first.
    fn answers(&self, parameter: &'a Parameter) -> Vec<Answered<'a>> {
        let rules = &self.target.rules;
        let (file, flags) = rules.init.split_at(rules.init_from_file.min(rules.init.len()));
        let by_pattern = |rules: &'a [InitRule]| {
            rules.iter().rev().filter_map(|rule| {
                let selector =
                    rule.target.as_ref().filter(|target| target.pattern.matches(&parameter.name).is_some())?;
                let is_broad = !selector.pattern.is_plain();
                Some(Answered { spec: &rule.scheme, by: format!("{} {}", selector.place, selector.text), is_broad })
            })
        };
        let of_layer = parameter.layer_init.as_ref().map(|spec| Answered {
            spec,
            by: "init of the layer".into(),
            is_broad: false,
        });
        let general = rules.init.iter().rev().filter(|rule| rule.target.is_none() && is_general(parameter));
        let general = general.map(|rule| Answered { spec: &rule.scheme, by: "--init".into(), is_broad: false });
        by_pattern(flags).chain(by_pattern(file)).chain(of_layer).chain(general).collect()
    }

    fn draw(&self, parameter: &Parameter, answer: &Answered) -> Result<Drawn> {
        let name = || parameter.name.clone();
        match answer.spec {
            SchemeSpec::Auto => self.automatic(parameter),
            SchemeSpec::Match => self.siblings.drawn(parameter, &answer.by),
            SchemeSpec::Lsuv { tolerance, target } => {
                self.lsuv(parameter, answer, Lsuv { target: *target, tolerance: *tolerance })
            }
            SchemeSpec::Formula(formula) => {
                let resolved = per_part(parameter, |facts| formula.resolve(facts)).map_err(|source| {
                    FitError::Unresolved { name: name().to_string(), by: answer.by.clone(), source: Box::new(source) }
                })?;
                Ok(drawn(resolved, answer.spec.to_string(), answer.by.clone()))
            }
        }
    }

    /// Orthonormal, and marked to be scaled.
    fn lsuv(&self, parameter: &Parameter, answer: &Answered, lsuv: Lsuv) -> Result<Drawn> {
        let (name, by) = (|| parameter.name.clone(), || answer.by.clone());
        if self.target.graph.is_none() {
            return Err(FitError::LsuvWithoutGraph { name: name().to_string(), by: by() }.into());
        }
        if !is_scalable(parameter) {
            return Err(FitError::NotScalable { name: name().to_string(), by: by() }.into());
        }
        let formula = Formula::Orthogonal { gain: Gain::Factor(1.0) };
        let resolved = per_part(parameter, |facts| formula.resolve(facts)).map_err(|source| FitError::Unresolved {
            name: name().to_string(),
            by: by(),
            source: Box::new(source),
        })?;
        // what comes out is known once it was measured
        Ok(Drawn { std: None, lsuv: Some(lsuv), ..drawn(resolved, answer.spec.to_string(), by()) })
    }

    fn automatic(&self, parameter: &Parameter) -> Result<Drawn> {
        if let Some(dialect) = self.absent(parameter) {
            let scheme = Scheme::Constant { value: 0.0 };
            let parts = vec![part(axis_of_parts(parameter).0, &scheme)];
            let by = format!("the {dialect} dialect, which does without it");
            return Ok(Drawn { parts, scheme: words(&scheme), std: None, by, lsuv: None });
        }
        if let Some(family) = &parameter.init {
            let std = std_of(&family.scheme);
            let (parts, by) = match parameter.zero_row {
                None => (vec![part(axis_of_parts(parameter).0, &family.scheme)], family.by.clone()),
                Some(row) => (around(parameter, &family.scheme, row), format!("{}, row {row} of padding 0", family.by)),
            };
            return Ok(Drawn { parts, scheme: words(&family.scheme), std, by, lsuv: None });
        }
        let (formula, by) = automatic::choose(parameter);
        let resolved = per_part(parameter, |facts| formula.resolve(facts)).map_err(|source| FitError::Unresolved {
            name: parameter.name.to_string(),
            by: by.clone(),
            source: Box::new(source),
        })?;
        Ok(drawn(resolved, SchemeSpec::Formula(formula).to_string(), by))
    }
}

/// What `--init S` without a pattern reaches: new linear and convolutional weights outside heads and embeddings.
pub(crate) fn is_general(parameter: &Parameter) -> bool {
    match parameter.role {
        Role::Linear | Role::Conv { .. } | Role::ConvTranspose { .. } => !parameter.head,
        Role::Embedding | Role::Position | Role::Norm | Role::Bias | Role::Token | Role::Buffer | Role::Unknown => {
            false
        }
    }
}

/// What `lsuv` scales: weights of linear and convolutional layers outside heads and ties.
fn is_scalable(parameter: &Parameter) -> bool {
    is_general(parameter) && parameter.tied_to.is_none()
}

fn has_no_fans(parameter: &Parameter) -> bool {
    match parameter.role {
        Role::Norm | Role::Bias => true,
        Role::Unknown => parameter.shape.len() < 2,
        Role::Linear
        | Role::Conv { .. }
        | Role::ConvTranspose { .. }
        | Role::Embedding
        | Role::Position
        | Role::Token
        | Role::Buffer => false,
    }
}

fn is_about_the_layer(error: &crate::error::Error) -> bool {
    matches!(error.downcast_ref(), Some(FitError::Unresolved { .. }))
}

/// The stored axis that the parts divide, by its size, and whether that is axis 1 of an `(in, out)` matrix.
fn axis_of_parts(parameter: &Parameter) -> (u64, bool) {
    let rows = parameter.shape.first().copied().unwrap_or(1);
    let parts = parameter.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    match (parameter.layout, parameter.shape.as_slice()) {
        (Layout::InOut, [_, outputs]) if parameter.parts.len() > 1 && parts == *outputs => (*outputs, true),
        _ => (rows, false),
    }
}

/// Resolves a formula for each piece of a parameter: its own fans, its own shape in the layout of `(out, in, …)`.
fn per_part(parameter: &Parameter, resolve: impl Fn(LayerFacts) -> Result<Resolved>) -> Result<Vec<(u64, Resolved)>> {
    let groups = match parameter.role {
        Role::Conv { groups } | Role::ConvTranspose { groups } => groups,
        Role::Linear
        | Role::Embedding
        | Role::Position
        | Role::Norm
        | Role::Bias
        | Role::Token
        | Role::Buffer
        | Role::Unknown => 1,
    };
    let (rows, is_second_axis) = axis_of_parts(parameter);
    let is_matrix = parameter.layout == Layout::InOut && parameter.shape.len() == 2;
    let mut shape = parameter.shape.clone();
    if is_matrix {
        shape.reverse();
    }
    let pieces = match parameter.parts.as_slice() {
        [] => vec![(rows, fans_by_rank(parameter))],
        [only] => vec![(rows, Some(only.fans))],
        several => several.iter().map(|part| (part.rows, Some(part.fans))).collect(),
    };
    let is_whole = pieces.len() == 1;
    pieces
        .into_iter()
        .map(|(rows, fans)| {
            let mut shape = shape.clone();
            if let Some(first) = shape.first_mut().filter(|_| !is_whole && (is_second_axis || !is_matrix)) {
                *first = rows;
            }
            Ok((rows, resolve(LayerFacts { fans, shape: &shape, groups })?))
        })
        .collect()
}

/// PyTorch's fans of a stored `(out, in, …)`, for a tensor whose module is not known.
fn fans_by_rank(parameter: &Parameter) -> Option<Fans> {
    let (Role::Unknown, [outputs, inputs, field @ ..]) = (parameter.role, parameter.shape.as_slice()) else {
        return None;
    };
    let field = field.iter().fold(1u64, |product, size| product.saturating_mul(*size));
    Some(Fans { fan_in: inputs.saturating_mul(field), fan_out: outputs.saturating_mul(field) })
}

fn part(rows: u64, scheme: &Scheme) -> InitPart {
    InitPart { rows, scheme: scheme.clone() }
}

/// A table drawn by a scheme but for one row of zeros; the others have the bits that they had without it.
fn around(parameter: &Parameter, scheme: &Scheme, row: u64) -> Vec<InitPart> {
    let after = axis_of_parts(parameter).0.saturating_sub(row).saturating_sub(1);
    let parts = [part(row, scheme), part(1, &Scheme::Constant { value: 0.0 }), part(after, scheme)];
    parts.into_iter().filter(|part| part.rows > 0).collect()
}

fn drawn(resolved: Vec<(u64, Resolved)>, scheme: String, by: String) -> Drawn {
    let mut deviations: Vec<Option<f64>> = resolved.iter().map(|(_, resolved)| resolved.std).collect();
    deviations.dedup();
    let std = if let [std] = deviations.as_slice() { *std } else { None };
    let parts = resolved.into_iter().map(|(rows, resolved)| InitPart { rows, scheme: resolved.scheme }).collect();
    Drawn { parts, scheme, std, by, lsuv: None }
}

/// The expression. Elementwise schemes fill the stored shape; one that sees a matrix sees it as `(out, in)`, and so do pieces
/// of the outputs of an `(in, out)` matrix whose schemes differ.
fn assemble(parameter: &Parameter, drawn: Drawn) -> Initial {
    let Drawn { mut parts, scheme, std, by, lsuv } = drawn;
    let is_matrix = parameter.layout == Layout::InOut && parameter.shape.len() == 2;
    let is_alike = parts.windows(2).all(|pair| matches!(pair, [a, b] if a.scheme == b.scheme));
    let sees_axes = parts.iter().any(|part| sees_axes(&part.scheme));
    let mut shape = parameter.shape.clone();
    let is_transposed = is_matrix && (sees_axes || !is_alike);
    if is_transposed {
        shape.reverse();
    }
    let rows = shape.first().copied().unwrap_or(1);
    if let ([first, ..], true) = (parts.as_mut_slice(), is_alike && (!sees_axes || drawn_whole(parameter))) {
        first.rows = rows;
        parts.truncate(1);
    }
    let exact = match parts.iter().all(|part| part.scheme.exact_anywhere()) {
        true => Exact::Anywhere,
        false => Exact::Processor,
    };
    let fresh = Value::Init { shape, first: 0, parts };
    let value = match is_transposed {
        true => Value::Apply { op: Op::Transpose, inputs: vec![fresh] },
        false => fresh,
    };
    Initial { value, dtype: Dtype::F32, init: Initialisation { scheme, std, by, exact }, lsuv }
}

/// Whether a parameter is one piece.
fn drawn_whole(parameter: &Parameter) -> bool {
    parameter.parts.len() <= 1
}

/// Whether a scheme's values depend on which axis is which.
fn sees_axes(scheme: &Scheme) -> bool {
    match scheme {
        Scheme::Normal { .. } | Scheme::Uniform { .. } | Scheme::TruncatedNormal { .. } | Scheme::Constant { .. } => {
            false
        }
        Scheme::Identity
        | Scheme::Dirac { .. }
        | Scheme::Sinusoids
        | Scheme::Sparse { .. }
        | Scheme::Orthogonal { .. } => true,
    }
}

/// A resolved scheme as people write it.
fn words(scheme: &Scheme) -> String {
    let formula = match *scheme {
        Scheme::Normal { mean, std } => Formula::Normal { mean, std },
        Scheme::Uniform { low, high } => Formula::Uniform { low, high },
        Scheme::TruncatedNormal { mean, std, low, high } => {
            let cut = Cut { low, high, unit: CutUnit::Absolute };
            Formula::TruncatedNormal { mean, std, cut, correct_std: false }
        }
        Scheme::Constant { value } => Formula::Constant { value },
        Scheme::Identity => Formula::Identity,
        // no one writes it: a family does
        Scheme::Sinusoids => return scheme.name().to_string(),
        Scheme::Dirac { groups } => Formula::Dirac { groups: Some(groups) },
        Scheme::Sparse { sparsity, std } => Formula::Sparse { sparsity, std },
        Scheme::Orthogonal { gain } => Formula::Orthogonal { gain: Gain::Factor(gain) },
    };
    formula.to_string()
}

/// The deviation of an uncut scheme.
fn std_of(scheme: &Scheme) -> Option<f64> {
    match scheme {
        Scheme::Normal { std, .. } | Scheme::TruncatedNormal { std, .. } => Some(*std),
        Scheme::Uniform { low, high } => Some((high - low) / 12f64.sqrt()),
        Scheme::Constant { .. }
        | Scheme::Identity
        | Scheme::Dirac { .. }
        | Scheme::Sinusoids
        | Scheme::Sparse { .. }
        | Scheme::Orthogonal { .. } => None,
    }
}
