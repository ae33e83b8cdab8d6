//! The plan of a conversion: copies, casts, and what takes the layout of one dialect to that of another.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::companions;
use super::fit::{cast, dominant, zeros};
use super::matching::{self, Respelt};
use super::{
    Assignment, Companion, Content, FORMAT, Plan, PlannedSource, SourceView, Step, Target, Unused, Value, facts, names,
};
use crate::adapt::Op;
use crate::arch::Selector;
use crate::checkpoint::{Listing, natural_cmp};
use crate::error::Result;
use crate::family::{self, Class, Config, Dialect, Inputs};
use crate::graph::{Builder, Parameter};
use crate::init::Generator;
use crate::order;
use crate::tensor::{Dtype, TensorInfo};

/// What is asked of a conversion.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// The type that floats become; `None` keeps each tensor's own.
    pub dtype: Option<Dtype>,
    /// The dialect in which tensors are spelt and laid out, `hf` for Hugging Face's own; `None` keeps names and layouts.
    pub to: Option<String>,
    /// Patterns of the source tensors that are written; all where there is none.
    pub only: Vec<Selector>,
    /// The largest size of a shard, in bytes.
    pub max_shard_size: u64,
    /// Whether files beside the weights go along.
    pub with_companions: bool,
}

/// Plans a conversion, tensor for tensor. A pattern that matches nothing is an error.
pub fn convert(source: &SourceView, asked: &Conversion) -> Result<Plan> {
    let listing = source.listing;
    let chosen = chosen(listing, &asked.only)?;
    let is_whole = |one: &Respelt| one.tensors.iter().all(|id| chosen.get(*id).copied().unwrap_or(false));
    let mut respelt = match &asked.to {
        Some(to) => matching::respell(listing, to)?,
        None => matching::as_stored(listing),
    };
    respelt.retain(is_whole);
    if asked.to.as_deref() == Some(family::HUGGING_FACE) && asked.only.is_empty() {
        respelt.extend(absent(listing, &respelt)?);
    }
    order::sort_by(&mut respelt, |a, b| natural_cmp(&a.info.name, &b.info.name));
    let kinds: Vec<(Dtype, &str)> = respelt.iter().map(|one| decide(source, &one.info, asked.dtype)).collect();
    let warnings = warnings(&respelt, &kinds, asked.dtype);
    let assignments: Vec<Assignment> =
        respelt.into_iter().zip(kinds).map(|(one, (dtype, reason))| assignment(one, dtype, reason)).collect();
    let (family, dialects) = matching::recognise(listing)?.unzip();
    let companions = if asked.with_companions { files(source, asked.to.as_deref(), &assignments) } else { Vec::new() };
    let plan = Plan {
        xfer_plan: FORMAT,
        seed: 0,
        generator: Generator::VERSION.into(),
        sources: vec![PlannedSource::of(source, family.clone(), dialects.unwrap_or_default())],
        target: summary(&assignments, family),
        assignments,
        max_shard_size: asked.max_shard_size,
        companions,
        unused: unused(listing, &chosen),
        dropped: Vec::new(),
        warnings,
        evidence: Vec::new(),
        batch: None,
    };
    plan.check()?;
    Ok(plan)
}

/// Which of the tensors are written; an error for a pattern that matches none.
fn chosen(listing: &Listing, only: &[Selector]) -> Result<Vec<bool>> {
    let stored: Vec<&str> = listing.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    only.iter().try_for_each(|selector| matching::require(selector, "source tensor", &stored))?;
    let is_chosen = |name: &&str| only.is_empty() || only.iter().any(|only| only.pattern.matches(name).is_some());
    Ok(stored.iter().map(is_chosen).collect())
}

/// Zeros for what the dialect of the source does without and the model of the config has.
fn absent(listing: &Listing, respelt: &[Respelt]) -> Result<Vec<Respelt>> {
    let (Some((family, Some(config))), Some((_, names))) = (family::recognise(listing), matching::recognise(listing)?)
    else {
        return Ok(Vec::new());
    };
    let is_spelt = |dialect: &&Dialect| names.iter().any(|name| name == dialect.name);
    let Some(dialect) = family.dialects().iter().find(|dialect| is_spelt(dialect) && !dialect.absent.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut builder = Builder::new();
    family.build(&config, &Inputs::default(), &Class::OfConfig, &mut builder)?;
    let stored: BTreeSet<&str> = respelt.iter().map(|one| one.info.name.as_str()).collect();
    let dtype = dominant(respelt.iter().map(|one| &one.info)).unwrap_or(Dtype::F32);
    let lacking = |parameter: &&Parameter| dialect.lacks(&parameter.name) && !stored.contains(parameter.name.as_str());
    let zeros = |parameter: &Parameter| Respelt {
        info: TensorInfo::new(parameter.name.clone(), dtype, parameter.shape.clone()),
        value: cast(zeros(&parameter.shape), Dtype::F32, dtype),
        tensors: Vec::new(),
        dialect: Some(dialect.name),
    };
    Ok(builder.parameters().iter().filter(lacking).map(zeros).collect())
}

fn unused(listing: &Listing, chosen: &[bool]) -> Vec<Unused> {
    let left = listing.tensors.iter().zip(chosen).filter(|(_, is_chosen)| !**is_chosen);
    let reason = "no --only names it";
    left.map(|(tensor, _)| Unused { source: 0, tensor: tensor.clone(), reason: reason.into() }).collect()
}

/// The type that a tensor is written in, and why it is that one.
fn decide(source: &SourceView, tensor: &TensorInfo, asked: Option<Dtype>) -> (Dtype, &'static str) {
    let Some(asked) = asked.filter(|asked| *asked != tensor.dtype) else { return (tensor.dtype, "as it is stored") };
    let is_statistic = ["running_mean", "running_var"].contains(&names::last(&tensor.name));
    match () {
        () if !tensor.dtype.is_float() => (tensor.dtype, "no float: never cast"),
        () if is_scale(source, &tensor.name) => (tensor.dtype, "the scale of a packed tensor: never cast"),
        // a variance underflows in f16
        () if is_statistic && asked.bits() < Dtype::F32.bits() => {
            let dtype = if tensor.dtype == Dtype::F64 { Dtype::F32 } else { tensor.dtype };
            (dtype, "a batch-norm statistic: never narrower than f32")
        }
        () => (asked, "asked for by --dtype"),
    }
}

/// Whether a tensor scales another that is no float: `x.weight_scale` beside a packed `x.weight`.
fn is_scale(source: &SourceView, name: &str) -> bool {
    const ENDINGS: &[&str] = &["_scale", "_scale_inv", "_scale_2", "_scales", "_zero_point"];
    let scaled = |ending: &&str| {
        let listing = source.listing;
        let tensor = listing.tensors.get(listing.position(name.strip_suffix(*ending)?)?)?;
        Some(!tensor.dtype.is_float())
    };
    ENDINGS.iter().filter_map(scaled).any(|is_packed| is_packed)
}

fn assignment(respelt: Respelt, dtype: Dtype, reason: &str) -> Assignment {
    let Respelt { info, value, dialect, tensors } = respelt;
    let (between, reason) = if tensors.is_empty() { (", ", "which does without it: zeros") } else { ("; ", reason) };
    let value = cast(value, info.dtype, dtype);
    let step = if dialect.is_some() { Step::Dialect } else { Step::Name };
    Assignment {
        target: TensorInfo { dtype, ..info },
        action: value.action(),
        value,
        step,
        reason: match dialect {
            Some(dialect) => format!("the {dialect} dialect{between}{reason}").into(),
            None => reason.to_string().into(),
        },
        runners_up: Vec::new(),
        init: None,
        new_rows: 0,
        head: false,
        lsuv: None,
    }
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

/// The config with the type that is written, and every file that can stand beside the weights.
fn files(source: &SourceView, to: Option<&str>, assignments: &[Assignment]) -> Vec<Companion> {
    // the metadata of a source amount to a config where its weights are spelt as that says
    let amounts = || {
        let (_, config) = family::recognise(source.listing).filter(|_| to == Some(family::HUGGING_FACE))?;
        Some(serde_json::to_string_pretty(&Json::Object(config?.0)).ok()? + "\n")
    };
    let text = source.listing.config.clone().or_else(amounts);
    let config = text.map(|text| Companion {
        name: "config.json".into(),
        content: Content::Text(config(&text, assignments).into()),
    });
    let carried = source.companions.iter().map(|(name, digest)| Companion {
        name: name.clone(),
        content: Content::Source { source: 0, name: name.clone(), digest: digest.clone() },
    });
    config.into_iter().chain(carried).collect()
}

/// A config stays as it is, byte for byte, unless it says another type than is written now.
fn config(text: &str, assignments: &[Assignment]) -> String {
    let Ok(Json::Object(mut config)) = serde_json::from_str::<Json>(text) else { return text.into() };
    let is_dequantized = assignments.iter().any(|assignment| is_dequantized(&assignment.value));
    if is_dequantized {
        config.shift_remove("quantization_config");
    }
    let written = dominant(assignments.iter().map(|assignment| &assignment.target));
    let is_cast = assignments.iter().any(|assignment| {
        let is_cast = |value: &Value| matches!(value, Value::Apply { op: Op::Cast { .. }, .. });
        is_cast(&assignment.value)
    });
    let stated = stated(&config);
    match written {
        Some(written) if is_dequantized || stated.map_or(is_cast, |stated| stated != written) => {
            companions::state_dtype(&mut config, written);
            serde_json::to_string_pretty(&Json::Object(config)).map_or_else(|_| text.into(), |text| text + "\n")
        }
        Some(_) | None => text.into(),
    }
}

fn is_dequantized(value: &Value) -> bool {
    match value {
        Value::Apply { op: Op::Dequantize { .. }, .. } => true,
        Value::Apply { inputs, .. } => inputs.iter().any(is_dequantized),
        _ => false,
    }
}

fn stated(config: &Map<String, Json>) -> Option<Dtype> {
    facts::config_dtype(&Config(config.clone())).ok().flatten()
}
