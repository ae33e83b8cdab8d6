//! How a conversion takes quantised weights along: as the numbers that they stand for, or unchanged with all that belongs to them.

use std::collections::BTreeSet;

use crate::checkpoint::Listing;
use crate::error::Result;
use crate::name::last;
use crate::plan::inputs::SourceView;
use crate::plan::quantized::Quantized;
use crate::plan::quantized::error::QuantizedError;
use crate::plan::quantized::weight::{QuantizedWeight, Reading};

/// The quantised weights of a source that is converted.
pub(crate) struct Carriage {
    quantized: Quantized,
    is_dequantized: bool,
    /// How many are carried over as they are, and the first.
    carried: Option<(usize, String)>,
}

impl Carriage {
    /// What is stated to be quantised and is a product throughout is dequantised, and so is a product that is spelt otherwise; other
    /// codes stay as they are, or are an error where they cannot.
    pub(crate) fn of(source: &SourceView, is_respelt: bool, chosen: &[bool]) -> Result<Carriage> {
        let listing = source.listing;
        let quantized = Quantized::of(listing);
        let is_chosen = |id: usize| chosen.get(id).copied().unwrap_or(false);
        let own: Vec<&QuantizedWeight> = quantized.weights.iter().filter(|weight| is_chosen(weight.codes)).collect();
        let is_other = |weight: &&&QuantizedWeight| matches!(weight.reading, Reading::Other { .. });
        let is_stated = quantized.announced.is_some();
        if let (Some(weight), true) = (own.iter().find(is_other), is_respelt) {
            let problem = "they have no spelling in another dialect";
            return Err(refusal(listing, weight, problem.into(), vec![FULL.into()]));
        }
        let is_dequantized =
            !own.is_empty() && (is_stated || is_respelt) && !own.iter().any(|weight| is_other(&weight));
        let mut carried = None;
        for weight in &own {
            match &weight.reading {
                Reading::Unscaled(Some(_)) | Reading::Misfit { .. } if is_dequantized => {
                    return Err(damage(source, &quantized, weight));
                }
                Reading::Product { .. } if is_dequantized => {}
                Reading::Product { .. } | Reading::Unscaled(_) | Reading::Misfit { .. } | Reading::Other { .. } => {
                    let (count, _) = carried.get_or_insert_with(|| (0, weight.name.to_string()));
                    *count += 1;
                }
            }
        }
        if !is_dequantized {
            complete(listing, &own, &is_chosen)?;
        }
        Ok(Carriage { quantized, is_dequantized, carried })
    }

    /// The weights that are dequantised, where any are.
    pub(crate) fn numbers(&self) -> Option<&Quantized> {
        self.is_dequantized.then_some(&self.quantized)
    }

    /// Whether codes are carried over as they are.
    pub(crate) fn carries(&self) -> bool {
        self.carried.is_some() && !self.is_dequantized
    }

    /// Whether these tensors belong to codes that stay as they are, so that none of them is cast.
    pub(crate) fn keeps(&self, tensors: &[usize]) -> bool {
        !self.is_dequantized && tensors.iter().any(|tensor| self.quantized.is_aside(*tensor))
    }

    /// Whether a tensor has no use in the result.
    pub(crate) fn is_left_behind(&self, tensor: usize) -> bool {
        self.is_dequantized && self.quantized.activations.contains(&tensor)
    }

    /// Whether a tensor is read for a weight that is chosen.
    pub(crate) fn is_read(&self, tensor: usize, chosen: &[bool]) -> bool {
        let weight = self.numbers().and_then(|quantized| quantized.of_part(tensor));
        weight.is_some_and(|weight| chosen.get(weight.codes).copied().unwrap_or(false))
    }

    /// What the user should know of codes that stay.
    pub(crate) fn report(&self) -> Option<String> {
        let (count, first) = self.carried.as_ref()?;
        let method = match self.quantized.method() {
            Some((method, Some(bits))) => format!(" ({method}, {bits} bit)"),
            Some((method, None)) => format!(" ({method})"),
            None => String::new(),
        };
        let weights = if *count == 1 { "weight is" } else { "weights are" };
        Some(format!(
            "{count} quantised {weights} carried over unchanged, with what stands next to them{method}: {first}{}",
            if *count > 1 { " is the first" } else { "" }
        ))
    }
}

/// What there is of such a model in floats.
const FULL: &str = "take the full-precision repository";

/// An error where a part of a weight is not chosen with its codes, with the flags that choose all such parts.
fn complete(listing: &Listing, weights: &[&QuantizedWeight], is_chosen: &impl Fn(usize) -> bool) -> Result<()> {
    let name = |id: usize| listing.name(id);
    let missing = |weight: &&QuantizedWeight| weight.parts.iter().copied().filter(|part| !is_chosen(*part)).collect();
    let all: Vec<(&QuantizedWeight, Vec<usize>)> = weights.iter().map(|weight| (*weight, missing(weight))).collect();
    let Some((weight, part)) = all.iter().find_map(|(weight, parts)| Some((*weight, *parts.first()?))) else {
        return Ok(());
    };
    let ends: BTreeSet<&str> = all.iter().flat_map(|(_, parts)| parts).map(|part| last(name(*part))).collect();
    let flags = ends.into_iter().map(|end| format!("--only '**.{end}'")).collect();
    Err(refusal(listing, weight, format!("{} belongs to them, and no --only names it", name(part)), flags))
}

fn refusal(listing: &Listing, weight: &QuantizedWeight, problem: String, remedies: Vec<String>) -> crate::error::Error {
    let method = match &weight.reading {
        Reading::Other { method, bits } => Some((method.clone(), *bits)),
        Reading::Product { .. } | Reading::Unscaled(_) | Reading::Misfit { .. } => None,
    };
    match listing.tensors.get(weight.codes).cloned() {
        Some(tensor) => QuantizedError::Conversion { tensor, method, problem, remedies }.into(),
        None => crate::source::error::SourceError::NoSource.into(),
    }
}

/// Codes of a source that is to be dequantised, without a scale that fits.
fn damage(source: &SourceView, quantized: &Quantized, weight: &QuantizedWeight) -> crate::error::Error {
    let listing = source.listing;
    let info = |id: usize| listing.tensors.get(id).cloned();
    let (target, count, source_name) = (weight.name.to_string(), 1, source.reference.clone());
    match (info(weight.codes), &weight.reading) {
        (Some(tensor), Reading::Misfit { scale }) if info(*scale).is_some() => {
            let scale = info(*scale).unwrap_or_else(|| tensor.clone());
            let stated = quantized.states_blocks();
            QuantizedError::ScaleShape { target, count, source_name, tensor, scale, stated }.into()
        }
        (Some(tensor), Reading::Unscaled(Some(scale))) => {
            QuantizedError::ScaleMissing { target, count, source_name, tensor, scale: scale.clone() }.into()
        }
        _ => refusal(listing, weight, "they cannot be read".into(), vec![FULL.into()]),
    }
}
