//! What must hold of a plan before it is run, whoever wrote it.

use crate::error::Result;
use crate::hash::{HashMap, HashSet};
use crate::init::Generator;
use crate::plan::assignment::{Assignment, Lsuv, Step};
use crate::plan::document::{Companion, Content, Plan};
use crate::plan::evidence::{Answer, Question};
use crate::plan::fit::error::FitError;
use crate::plan::quantized::error::QuantizedError;
use crate::plan::value::{Action, InitPart, Value, raw_codes};
use crate::tensor::{Dtype, Shape, TensorInfo};
use crate::threads::side_by_side;

/// Files of the output that are no companions.
const OWN_FILES: &[&str] = &["xfer.json", "model.safetensors", "model.safetensors.index.json"];

/// Checks everything that an edited plan can get wrong, or gives the first error in the plan's order.
pub(crate) fn validate(plan: &Plan) -> Result<()> {
    if plan.generator != Generator::VERSION {
        return Err(FitError::Generator { found: plan.generator.clone(), expected: Generator::VERSION }.into());
    }
    if plan.max_shard_size == 0 {
        return Err(FitError::Count { what: "max_shard_size, at least".into(), expected: 1, found: 0 }.into());
    }
    let values = || check_assignments(&plan.assignments, plan.sources.len());
    let (names, values) = side_by_side(|| check_names(plan), values);
    names.and(values)?;
    check_lists(plan)?;
    check_totals(plan)
}

fn check_names(plan: &Plan) -> Result<()> {
    unique("source", plan.sources.iter().map(|source| source.name.as_str()))?;
    unique("tensor", plan.assignments.iter().map(|assignment| assignment.target.name.as_str()))?;
    unique("file", plan.companions.iter().map(|companion| companion.name.as_str()))?;
    plan.companions.iter().try_for_each(|companion| check_companion(companion, plan.sources.len()))
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = HashSet::with_capacity_and_hasher(names.size_hint().0, Default::default());
    for name in names {
        if !seen.insert(name) {
            return Err(FitError::Twice { what, name: name.to_string() }.into());
        }
    }
    Ok(())
}

fn check_companion(companion: &Companion, sources: usize) -> Result<()> {
    let name = companion.name.as_str();
    let problem = if name.is_empty() || name.starts_with('/') || name.contains('\\') || name.contains('\0') {
        Some("no relative path with `/`")
    } else if name.split('/').any(|part| part.is_empty() || part == "." || part == ".." || part.contains(':')) {
        Some("it leaves the directory, or could")
    } else if OWN_FILES.contains(&name) || name.ends_with(".safetensors") && !name.contains('/') {
        Some("xfer writes a file of this name itself")
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(FitError::Companion { name: name.to_string(), problem }.into());
    }
    match &companion.content {
        Content::Source { source, .. } => check_source(name, *source, sources),
        Content::Text(_) | Content::File { .. } => Ok(()),
    }
}

fn check_source(name: &str, index: usize, sources: usize) -> Result<()> {
    if index < sources { Ok(()) } else { Err(FitError::NoSource { name: name.to_string(), index, sources }.into()) }
}

/// The type and shape by which each source tensor was first described.
type Described<'a> = HashMap<(usize, &'a str), (Dtype, &'a Shape)>;

fn check_assignments(assignments: &[Assignment], sources: usize) -> Result<()> {
    // only ties look for others
    let has_ties = assignments.iter().any(|assignment| matches!(assignment.value, Value::Tied { .. }));
    let known = if has_ties { assignments } else { &[] };
    let by_name: HashMap<&str, &Assignment> = known.iter().map(|a| (a.target.name.as_str(), a)).collect();
    let mut described = Described::with_capacity_and_hasher(assignments.len(), Default::default());
    for assignment in assignments {
        match &assignment.value {
            Value::Tied { to } => check_tie(assignment, to, &by_name)?,
            Value::Source { .. }
            | Value::Init { .. }
            | Value::Count { .. }
            | Value::Computed { .. }
            | Value::Apply { .. } => {
                check_leaves(assignment, sources, &mut described)?;
                check_yield(assignment)?;
                check_codes(assignment)?;
            }
        }
        check_words(assignment)?;
        check_lsuv(assignment)?;
    }
    Ok(())
}

fn check_tie(assignment: &Assignment, to: &str, by_name: &HashMap<&str, &Assignment>) -> Result<()> {
    let name = assignment.target.name.clone();
    let owner = by_name.get(to).ok_or_else(|| FitError::TieMissing { name: name.to_string(), to: to.to_string() })?;
    if matches!(owner.value, Value::Tied { .. }) {
        return Err(FitError::TieToTied { name: name.to_string(), to: to.to_string() }.into());
    }
    same(&assignment.target, &owner.target)
}

/// Whether an expression yields what its target is, or an error with both.
pub(crate) fn check_yield(assignment: &Assignment) -> Result<()> {
    let found = assignment.value.info().map_err(|source| FitError::Expression {
        name: assignment.target.name.to_string(),
        source: Box::new(source),
    })?;
    same(&assignment.target, &found)?;
    assignment.target.bytes().map(|_| ())
}

fn same(target: &TensorInfo, found: &TensorInfo) -> Result<()> {
    if target.dtype == found.dtype && target.shape == found.shape {
        return Ok(());
    }
    Err(FitError::Yields {
        name: target.name.to_string(),
        expected_dtype: target.dtype,
        expected: target.shape.clone(),
        found_dtype: found.dtype,
        found: found.shape.clone(),
    }
    .into())
}

fn check_leaves<'a>(assignment: &'a Assignment, sources: usize, described: &mut Described<'a>) -> Result<()> {
    let name = assignment.target.name.as_str();
    let mut result = Ok(());
    assignment.value.leaves(&mut |leaf| {
        if result.is_ok() {
            result = match leaf {
                Value::Source { source, tensor, dtype, shape } => check_source(name, *source, sources)
                    .and_then(|()| describe(described, *source, tensor, *dtype, shape)),
                Value::Init { shape, first, parts } => check_init(name, shape, *first)
                    .and_then(|()| parts.iter().try_for_each(|part| check_part(name, shape, part))),
                Value::Tied { to } => Err(FitError::TieInside { to: to.clone() }.into()),
                Value::Count { .. } | Value::Computed { .. } | Value::Apply { .. } => Ok(()),
            };
        }
    });
    result
}

fn describe<'a>(
    described: &mut Described<'a>,
    source: usize,
    tensor: &'a str,
    dtype: Dtype,
    shape: &'a Shape,
) -> Result<()> {
    let (a_dtype, a) = *described.entry((source, tensor)).or_insert((dtype, shape));
    if a_dtype == dtype && a == shape {
        return Ok(());
    }
    let (a, b) = (a.clone(), shape.clone());
    Err(FitError::SourceDisagrees { tensor: tensor.to_string(), a_dtype, a, b_dtype: dtype, b }.into())
}

fn check_init(name: &str, shape: &Shape, first: u64) -> Result<()> {
    let info = TensorInfo::new(name, Dtype::F32, shape.clone());
    info.bytes()?;
    match first.checked_add(info.elements()?) {
        Some(_) => Ok(()),
        None => Err(scheme_error(name, format!("first element {first} and its shape exceed 64 bits"))),
    }
}

fn scheme_error(name: &str, problem: String) -> crate::error::Error {
    FitError::Scheme { name: name.to_string(), problem }.into()
}

/// Whether the scheme of a piece can fill the piece's shape.
fn check_part(name: &str, shape: &Shape, part: &InitPart) -> Result<()> {
    let mut shape = shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = part.rows;
    }
    part.scheme.check(&shape).map_err(|error| scheme_error(name, error.to_string()))
}

/// Whether action, initialisation and the count of new rows say what the value is.
fn check_words(assignment: &Assignment) -> Result<()> {
    let name = || assignment.target.name.clone();
    let expected = assignment.value.action();
    if assignment.action != expected {
        return Err(FitError::Action {
            name: name().to_string(),
            expected: word(expected),
            found: word(assignment.action),
        }
        .into());
    }
    let most = match expected {
        Action::Adapted => assignment.target.rows(),
        Action::Copied | Action::Tied | Action::New => 0,
    };
    if assignment.new_rows > most {
        let what = format!("new_rows of {}, at most", name());
        return Err(FitError::Count { what, expected: most, found: assignment.new_rows }.into());
    }
    Ok(())
}

/// Whether what is to be scaled was drawn whole, in a type that can be, and to numbers that can be reached.
fn check_lsuv(assignment: &Assignment) -> Result<()> {
    let Some(Lsuv { target, tolerance }) = assignment.lsuv else { return Ok(()) };
    let is_positive = |number: f64| number > 0.0 && number.is_finite();
    let problem = match assignment.action {
        Action::New if !assignment.target.dtype.is_float() => "only floats can be scaled",
        Action::New if !is_positive(tolerance) => "its tolerance must be above 0",
        Action::New if !target.is_none_or(is_positive) => "its target must be above 0",
        Action::New => return Ok(()),
        Action::Copied | Action::Adapted | Action::Tied => "only what is new may be scaled",
    };
    Err(FitError::LsuvMark { name: assignment.target.name.to_string(), problem }.into())
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Copied => "copied",
        Action::Adapted => "adapted",
        Action::Tied => "tied",
        Action::New => "new",
    }
}

fn check_lists(plan: &Plan) -> Result<()> {
    let sources = plan.sources.len();
    for entry in plan.unused.iter().chain(&plan.dropped) {
        check_source(&entry.tensor.name, entry.source, sources)?;
    }
    for (question, answer) in &plan.evidence {
        match (question, answer) {
            (Question::Equal { source, a, .. }, Answer::Equal(_)) => check_source(a, *source, sources)?,
            (Question::Moments { source, tensor }, Answer::Moments { .. }) => check_source(tensor, *source, sources)?,
            (Question::Values { source, tensor }, Answer::Values(_)) => check_source(tensor, *source, sources)?,
            (Question::Equal { .. }, Answer::Moments { .. } | Answer::Values(_))
            | (Question::Moments { .. }, Answer::Equal(_) | Answer::Values(_))
            | (Question::Values { .. }, Answer::Equal(_) | Answer::Moments { .. }) => {
                let problem = "the answer is to another question".to_string();
                return Err(FitError::Syntax { place: "evidence".into(), problem }.into());
            }
        }
    }
    Ok(())
}

fn check_totals(plan: &Plan) -> Result<()> {
    let expected = plan.assignments.len() as u64;
    if plan.target.tensors != expected {
        let what = "tensors of the target".to_string();
        return Err(FitError::Count { what, expected, found: plan.target.tensors }.into());
    }
    let most = plan
        .assignments
        .iter()
        .filter(|assignment| assignment.action != Action::Tied)
        .try_fold(0u64, |sum, assignment| {
            Ok::<_, crate::error::Error>(sum.saturating_add(assignment.target.elements()?))
        })?;
    if plan.target.parameters > most {
        let what = "parameters of the target, at most".to_string();
        return Err(FitError::Count { what, expected: most, found: plan.target.parameters }.into());
    }
    Ok(())
}

/// Whether an expression passes no codes on as floats: only a `map` rule may cast them.
fn check_codes(assignment: &Assignment) -> Result<()> {
    if assignment.step == Step::Map || !assignment.target.dtype.is_float() {
        return Ok(());
    }
    let mut found = None;
    raw_codes(&assignment.value, false, &mut |leaf, _| {
        if let Value::Source { tensor, dtype, shape, .. } = leaf {
            found.get_or_insert_with(|| TensorInfo::new(tensor.clone(), *dtype, shape.clone()));
        }
    });
    match found {
        Some(tensor) => {
            let (target, to) = (assignment.target.name.to_string(), assignment.target.dtype);
            Err(QuantizedError::Cast { target, tensor, to }.into())
        }
        None => Ok(()),
    }
}
