//! The plan of a conversion: copies, casts, and what takes the layout of one dialect to that of another.

mod carriage;
mod config;
mod dialect;
pub(super) mod ties;
mod whole;

use std::collections::BTreeSet;

use crate::arch::Selector;
use crate::checkpoint::{Listing, natural_cmp};
use crate::error::Result;
use crate::family::{self, Dialect};
use crate::graph::Parameter;
use crate::init::Generator;
use crate::name::{last, parent};
use crate::plan::assignment::{Assignment, Step};
use crate::plan::convert::carriage::Carriage;
use crate::plan::convert::dialect::{Respelt, as_stored, respell};
use crate::plan::document::{FORMAT, Plan, PlannedSource, Target, Unused};
use crate::plan::dtype::dominant;
use crate::plan::evidence::{Answer, Question};
use crate::plan::fit::rows::cast;
use crate::plan::inputs::{Conversion, SourceView};
use crate::plan::matching::dialects::recognise;
use crate::plan::matching::known::described;
use crate::plan::selectors::{require, selects};
use crate::plan::value::Value;
use crate::tensor::{Dtype, TensorInfo};

/// Plans a conversion, tensor for tensor. A pattern that matches nothing is an error. `answer` measures whether both stored copies of a
/// tie are equal, and what the tables of a config hold.
pub(crate) fn convert(
    source: &SourceView,
    asked: &Conversion,
    answer: impl FnOnce(&[Question]) -> Result<Vec<(Question, Answer)>>,
) -> Result<Plan> {
    let listing = source.listing;
    let chosen = chosen(listing, &asked.only)?;
    let is_whole = |one: &Respelt| one.tensors.iter().all(|id| chosen.get(*id).copied().unwrap_or(false));
    let carriage = Carriage::of(source, asked.to.is_some(), &chosen)?;
    let mut respelt = match &asked.to {
        Some(to) => respell(listing, to, carriage.numbers())?,
        None => as_stored(listing, carriage.numbers()),
    };
    respelt.retain(is_whole);
    let to = asked.to.as_deref().filter(|_| asked.only.is_empty());
    let pairs = to.map_or(Ok(Vec::new()), |to| ties::pairs(listing, to, &respelt))?;
    let tables = to.map_or(Vec::new(), |_| ties::tables(listing));
    let questions: Vec<Question> = tables.into_iter().chain(pairs.iter().map(|pair| pair.question.clone())).collect();
    let evidence = answer(&questions)?;
    if asked.only.is_empty() {
        whole::require(source)?;
    }
    let mut dropped = match &asked.to {
        Some(_) => drop_buffers(listing, &mut respelt)?,
        None => Vec::new(),
    };
    let ties = ties::settle(listing, &pairs, &mut respelt, &evidence);
    dropped.extend(ties.dropped);
    if asked.to.as_deref() == Some(family::HUGGING_FACE) && asked.only.is_empty() {
        respelt.extend(absent(listing, &respelt)?);
    }
    respelt.sort_by(|a, b| natural_cmp(&a.info.name, &b.info.name));
    let kinds: Vec<(Dtype, &str)> = respelt.iter().map(|one| decide(&carriage, one, asked.dtype)).collect();
    let mut warnings: Vec<String> =
        carriage.report().into_iter().chain(warnings(&respelt, &kinds, asked.dtype)).collect();
    warnings.extend(ties.warnings);
    let assignments: Vec<Assignment> =
        respelt.into_iter().zip(kinds).map(|(one, (dtype, reason))| assignment(one, dtype, reason)).collect();
    let (family, dialects) = recognise(listing)?.unzip();
    let companions = match asked.with_companions {
        true => {
            let written = config::Written { asked, assignments: &assignments, tied: ties.tied, evidence: &evidence };
            let (files, notes) = config::files(source, &written, &carriage)?;
            warnings.extend(notes);
            warnings.extend(foreign(asked, listing, &assignments));
            files
        }
        false => Vec::new(),
    };
    let plan = Plan {
        xfer_plan: FORMAT,
        seed: 0,
        generator: Generator::VERSION.into(),
        sources: vec![PlannedSource::of(source, family.clone(), dialects.unwrap_or_default())],
        target: summary(&assignments, family),
        assignments,
        max_shard_size: asked.max_shard_size,
        companions,
        unused: unused(listing, &chosen, &carriage),
        dropped,
        warnings,
        evidence,
        batch: None,
    };
    plan.check()?;
    Ok(plan)
}

/// Which of the tensors are written; an error for a pattern that matches none.
fn chosen(listing: &Listing, only: &[Selector]) -> Result<Vec<bool>> {
    let stored: Vec<&str> = listing.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    only.iter().try_for_each(|selector| require(selector, "source tensor", &stored))?;
    let is_chosen = |name: &&str| only.is_empty() || selects(only, name);
    Ok(stored.iter().map(is_chosen).collect())
}

/// A config of transformers beside names that transformers does not have.
fn foreign(asked: &Conversion, listing: &Listing, assignments: &[Assignment]) -> Option<String> {
    let to = asked.to.as_deref().filter(|to| *to != family::HUGGING_FACE)?;
    let stored: BTreeSet<&str> = listing.tensors.iter().map(|tensor| parent(&tensor.name)).collect();
    let is_foreign = assignments.iter().any(|one| !stored.contains(parent(&one.target.name)));
    is_foreign.then(|| {
        format!(
            "the tensors are named and laid out as in the {to} dialect, which transformers does not load; config.json states the model \
             for `convert DIR OUT --to hf`"
        )
    })
}

/// Leaves out what the source's dialect stores and its model computes.
fn drop_buffers(listing: &Listing, respelt: &mut Vec<Respelt>) -> Result<Vec<Unused>> {
    let Some((family, _)) = family::recognise(listing) else { return Ok(Vec::new()) };
    let names = recognise(listing)?.map_or(Vec::new(), |(_, dialects)| dialects);
    let spelt: Vec<&Dialect> =
        family.dialects().iter().filter(|one| names.iter().any(|name| name == one.name)).collect();
    let mut dropped = Vec::new();
    respelt.retain(|one| match one.tensors.as_slice() {
        [id] if spelt.iter().any(|dialect| dialect.computes(&one.info.name)) => {
            let reason = "a buffer that the model computes".to_string();
            dropped.extend(listing.tensors.get(*id).map(|tensor| Unused { source: 0, tensor: tensor.clone(), reason }));
            false
        }
        _ => true,
    });
    Ok(dropped)
}

/// Zeros for what the dialect of the source does without and the model of the config has.
fn absent(listing: &Listing, respelt: &[Respelt]) -> Result<Vec<Respelt>> {
    let (Some((family, Some(config))), Some((_, names))) = (family::recognise(listing), recognise(listing)?) else {
        return Ok(Vec::new());
    };
    let is_spelt = |dialect: &&Dialect| names.iter().any(|name| name == dialect.name);
    let Some(dialect) = family.dialects().iter().find(|dialect| is_spelt(dialect) && !dialect.absent.is_empty()) else {
        return Ok(Vec::new());
    };
    let stored: BTreeSet<&str> = respelt.iter().map(|one| one.info.name.as_str()).collect();
    let dtype = dominant(respelt.iter().map(|one| &one.info)).unwrap_or(Dtype::F32);
    let lacking = |parameter: &&Parameter| dialect.lacks(&parameter.name) && !stored.contains(parameter.name.as_str());
    let zeros = |parameter: &Parameter| Respelt {
        info: TensorInfo::new(parameter.name.clone(), dtype, parameter.shape.clone()),
        value: cast(Value::constant(&parameter.shape, 0.0), Dtype::F32, dtype),
        tensors: Vec::new(),
        dialect: Some(dialect.name),
    };
    Ok(described(family, &config)?.iter().filter(lacking).map(zeros).collect())
}

fn unused(listing: &Listing, chosen: &[bool], carriage: &Carriage) -> Vec<Unused> {
    let reason = |(id, is_chosen): (usize, &bool)| match (is_chosen, carriage.is_left_behind(id)) {
        (_, true) => Some("a scale of activations or of a cache, which weights in floats do without"),
        (false, false) if !carriage.is_read(id, chosen) => Some("no --only names it"),
        (true | false, false) => None,
    };
    let left = chosen.iter().enumerate().filter_map(|one| Some((listing.tensors.get(one.0)?, reason(one)?)));
    left.map(|(tensor, reason)| Unused { source: 0, tensor: tensor.clone(), reason: reason.into() }).collect()
}

/// The type that a tensor is written in, and why it is that one.
fn decide(carriage: &Carriage, one: &Respelt, asked: Option<Dtype>) -> (Dtype, &'static str) {
    let tensor = &one.info;
    let Some(asked) = asked.filter(|asked| *asked != tensor.dtype) else { return (tensor.dtype, "as it is stored") };
    let is_statistic = ["running_mean", "running_var"].contains(&last(&tensor.name));
    match () {
        () if !tensor.dtype.is_float() => (tensor.dtype, "no float: never cast"),
        () if carriage.keeps(&one.tensors) => (tensor.dtype, "the scale of a packed tensor: never cast"),
        // a variance underflows in f16
        () if is_statistic && asked.bits() < Dtype::F32.bits() => {
            let dtype = if tensor.dtype == Dtype::F64 { Dtype::F32 } else { tensor.dtype };
            (dtype, "a batch-norm statistic: never narrower than f32")
        }
        () => (asked, "asked for by --dtype"),
    }
}

fn assignment(respelt: Respelt, dtype: Dtype, reason: &str) -> Assignment {
    let Respelt { info, value, dialect, tensors } = respelt;
    let (between, reason) = if tensors.is_empty() { (", ", "which does without it: zeros") } else { ("; ", reason) };
    let value = cast(value, info.dtype, dtype);
    let step = if dialect.is_some() { Step::Dialect } else { Step::Name };
    let reason = match dialect {
        Some(dialect) => format!("the {dialect} dialect{between}{reason}"),
        None => reason.to_string(),
    };
    Assignment::new(TensorInfo { dtype, ..info }, value, step, reason)
}

fn summary(assignments: &[Assignment], family: Option<String>) -> Target {
    let elements = assignments.iter().map(|assignment| assignment.target.elements().unwrap_or(u64::MAX));
    Target {
        form: "conversion".into(),
        family,
        tensors: assignments.len() as u64,
        parameters: elements.fold(0, u64::saturating_add),
    }
}

/// What was to be cast and is not.
fn warnings(respelt: &[Respelt], kinds: &[(Dtype, &str)], asked: Option<Dtype>) -> Vec<String> {
    const SHOWN: usize = 3;
    let Some(asked) = asked else { return Vec::new() };
    let kept: Vec<(&TensorInfo, &str)> = respelt
        .iter()
        .zip(kinds)
        .filter(|(_, (dtype, _))| *dtype != asked)
        .map(|(one, (_, reason))| (&one.info, *reason))
        .collect();
    if kept.is_empty() {
        return Vec::new();
    }
    let named: Vec<String> =
        kept.iter().take(SHOWN).map(|(tensor, why)| format!("{} ({}, {why})", tensor.name, tensor.dtype)).collect();
    let more = match kept.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let count = kept.len();
    let tensors = if count == 1 { "tensor is" } else { "tensors are" };
    vec![format!("{count} {tensors} not cast to {asked}: {}{more}", named.join(", "))]
}
