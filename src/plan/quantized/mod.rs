//! What a source stores of weights that were quantised: which tensors hold codes, what stands next to them, and whether the numbers
//! that they stand for are a plain product. Pure, from the listing alone.

pub(super) mod announced;
mod blocks;
pub(crate) mod error;
mod listed;
pub(super) mod parts;
pub(super) mod weight;

use std::collections::BTreeSet;

use crate::adapt::Op;
use crate::checkpoint::Listing;
use crate::family::Config;
use crate::hash::HashMap;
use crate::name::{join, last, parent};
use crate::plan::configs;
use crate::plan::dtype::dominant;
use crate::plan::quantized::announced::Announcement;
use crate::plan::quantized::blocks::Blocks;
use crate::plan::quantized::weight::{QuantizedWeight, Reading, elements};
use crate::plan::value::{Value, apply_one};
use crate::tensor::{Dtype, ShapeText, TensorInfo};

/// The quantised weights of one source.
#[derive(Debug, Default)]
pub(crate) struct Quantized {
    pub announced: Option<Announcement>,
    pub weights: Vec<QuantizedWeight>,
    /// Scales whose weights are stored in floats: the scale, the weight.
    pub idle: Vec<(usize, usize)>,
    /// Scales of activations and caches, and marks.
    pub activations: BTreeSet<usize>,
    /// The float type that dequantised weights have.
    dtype: Option<Dtype>,
    by_tensor: HashMap<usize, usize>,
}

impl Quantized {
    /// Reads a listing. Of a source without any such number nothing is looked at twice.
    pub(crate) fn of(listing: &Listing) -> Quantized {
        let announced = Announcement::of(listing);
        if announced.is_none() && !listing.tensors.iter().any(|tensor| parts::may_be_codes(tensor.dtype)) {
            return Quantized::default();
        }
        let weights = listed::weights(listing, announced.as_ref());
        let mut quantized = Quantized { announced, weights, ..Quantized::default() };
        quantized.settle_scales(listing);
        quantized.index(listing);
        quantized
    }

    /// Whether the source states the size of its blocks.
    pub(crate) fn states_blocks(&self) -> bool {
        self.announced.as_ref().is_some_and(|announced| !announced.blocks.is_empty())
    }

    /// What the user should know of weights that are used: scales that are not applied, and methods that are known from names alone.
    pub(crate) fn notes(
        &self,
        listing: &Listing,
        is_used: impl Fn(usize) -> bool,
        is_dequantized: impl Fn(usize) -> bool,
    ) -> Vec<String> {
        let name = |id: usize| listing.name(id);
        let mut notes = Vec::new();
        let mut idle = self.idle.iter().filter(|(scale, weight)| is_used(*weight) && !is_used(*scale));
        if let Some((scale, weight)) = idle.next() {
            let (scale, weight) = (name(*scale), name(*weight));
            notes.push(match idle.count() {
                0 => format!("{scale} is not applied: {weight} is stored in floats already"),
                more => format!("{scale} and {more} more scales are not applied: {weight} and the others are stored in floats already"),
            });
        }
        let is_product = |weight: &&QuantizedWeight| matches!(weight.reading, Reading::Product { .. });
        let mut by_name = self.weights.iter().filter(is_product).filter(|weight| is_dequantized(weight.codes));
        if let (None, Some(first)) = (&self.announced, by_name.next()) {
            let scale = first.parts.first().map_or("", |scale| name(*scale));
            let weights = by_name.count() + 1;
            notes.push(format!(
                "{weights} weight{} by the names next to {} ({scale} of {}): the source does not state how it was quantised",
                if weights == 1 { " is dequantised" } else { "s are dequantised" },
                if weights == 1 { "it" } else { "them" },
                first.name
            ));
        }
        notes
    }

    /// Whether anything of it is quantised.
    pub(crate) fn is_any(&self) -> bool {
        !self.weights.is_empty()
    }

    /// The weight whose codes a tensor holds.
    pub(crate) fn of_codes(&self, tensor: usize) -> Option<&QuantizedWeight> {
        self.weights.get(*self.by_tensor.get(&tensor)?).filter(|weight| weight.codes == tensor)
    }

    /// The weight that a tensor is a part of, its codes or what stands next to them.
    pub(crate) fn of_part(&self, tensor: usize) -> Option<&QuantizedWeight> {
        self.weights.get(*self.by_tensor.get(&tensor)?)
    }

    /// How a source is called that is quantised in a form that is not read.
    pub(crate) fn method(&self) -> Option<(String, Option<u64>)> {
        let other = self.weights.iter().find_map(|weight| match &weight.reading {
            Reading::Other { method, bits } => Some((method.clone(), *bits)),
            Reading::Product { .. } | Reading::Unscaled(_) | Reading::Misfit { .. } => None,
        });
        let unread = || self.announced.as_ref().filter(|announced| !announced.is_product);
        other.or_else(|| unread().map(|announced| (announced.method.clone(), announced.bits)))
    }

    /// The numbers that the codes stand for, with what was done in words; `None` where they are no product.
    pub(crate) fn numbers(&self, source: usize, listing: &Listing, weight: &QuantizedWeight) -> Option<Numbers> {
        let Reading::Product { scale, factor, zero, block } = &weight.reading else { return None };
        let stored = |id: usize| {
            let info = listing.tensors.get(id)?;
            Some((Value::stored(source, info), info.clone()))
        };
        let (codes, mut scaled) = (stored(weight.codes)?, stored(*scale)?);
        let how = words(&codes.1, &scaled.1, zero.is_some(), block);
        if *factor != 1.0 {
            scaled = apply_one(vec![scaled], &Op::Cast { dtype: Dtype::F32 }).ok()?;
            scaled = apply_one(vec![scaled], &Op::Affine { scale: *factor, offset: 0.0 }).ok()?;
        }
        let inputs = [codes, scaled].into_iter().chain(zero.and_then(stored)).collect();
        let mut made = apply_one(inputs, &Op::Dequantize { block: block.clone() }).ok()?;
        if let Some(dtype) = self.dtype.filter(|dtype| *dtype != Dtype::F32) {
            made = apply_one(vec![made], &Op::Cast { dtype }).ok()?;
        }
        let info = TensorInfo { name: weight.name.clone(), ..made.1 };
        Some(Numbers { value: made.0, info, how })
    }

    /// Whether a tensor belongs to a quantised weight or to the activations around it.
    pub(crate) fn is_aside(&self, tensor: usize) -> bool {
        self.of_part(tensor).is_some() || self.activations.contains(&tensor)
    }

    /// Why a tensor that nothing uses is not missed: it stands next to codes that are used, or scales what floats do not scale.
    pub(crate) fn aside(&self, tensor: usize, is_used: impl Fn(usize) -> bool) -> Option<String> {
        if self.activations.contains(&tensor) {
            return Some("a scale of activations or of a cache".into());
        }
        if self.idle.iter().any(|(scale, weight)| *scale == tensor && is_used(*weight)) {
            return Some("the scale of a weight that is stored in floats already, and not applied".into());
        }
        let weight = self.of_part(tensor).filter(|weight| is_used(weight.codes))?;
        Some(match weight.codes == tensor {
            true => format!("the codes of {}, which are not read", weight.name),
            false => format!("it stands next to the codes of {}", weight.name),
        })
    }

    /// The blocks of all scales, once all of them are known.
    fn settle_scales(&mut self, listing: &Listing) {
        let shape = |id: usize| listing.tensors.get(id).map_or(&[][..], |info| info.shape.as_slice());
        let pair = |weight: &QuantizedWeight| match &weight.reading {
            Reading::Product { scale, .. } => Some((shape(weight.codes), shape(*scale))),
            Reading::Unscaled(_) | Reading::Misfit { .. } | Reading::Other { .. } => None,
        };
        let stated = self.announced.as_ref().map_or(&[][..], |announced| &announced.blocks);
        let blocks = Blocks::of(stated, self.weights.iter().filter_map(pair));
        for weight in &mut self.weights {
            let Reading::Product { scale, zero, block, .. } = &mut weight.reading else { continue };
            let scale = *scale;
            let found = blocks.block(shape(weight.codes), shape(scale));
            let zero_fits = zero.is_none_or(|zero| elements(shape(zero)) == elements(shape(scale)));
            match found.filter(|_| zero_fits) {
                Some(found) => *block = found,
                None => weight.reading = Reading::Misfit { scale },
            }
        }
    }

    fn index(&mut self, listing: &Listing) {
        for (at, weight) in self.weights.iter().enumerate() {
            for tensor in std::iter::once(&weight.codes).chain(&weight.parts) {
                self.by_tensor.entry(*tensor).or_insert(at);
            }
        }
        if !self.is_any() {
            return;
        }
        for (id, tensor) in listing.tensors.iter().enumerate().filter(|(id, _)| !self.by_tensor.contains_key(id)) {
            if parts::is_of_activations(&tensor.name) {
                self.activations.insert(id);
            } else if let Some(weight) = float_weight(listing, tensor) {
                self.idle.push((id, weight));
            }
        }
        let is_free = |id: &usize| !self.by_tensor.contains_key(id) && !self.activations.contains(id);
        let others = listing.tensors.iter().enumerate().filter(|(id, _)| is_free(id)).map(|(_, tensor)| tensor);
        self.dtype = config_dtype(listing).or_else(|| dominant(others));
    }
}

/// The numbers that codes stand for.
pub(crate) struct Numbers {
    pub value: Value,
    /// Type and shape, under the name of the weight.
    pub info: TensorInfo,
    pub how: String,
}

fn words(codes: &TensorInfo, scale: &TensorInfo, has_zero: bool, block: &[u64]) -> String {
    let less = if has_zero { " less their zero points" } else { "" };
    let over = match elements(&scale.shape) {
        1 => String::new(),
        _ => format!(" in blocks of {}", ShapeText(block)),
    };
    format!("dequantised: {}{less} times {}{over}", codes.dtype, last(&scale.name))
}

/// The float type that a config says the model has.
fn config_dtype(listing: &Listing) -> Option<Dtype> {
    let serde_json::Value::Object(config) = serde_json::from_str(listing.config.as_deref()?).ok()? else { return None };
    configs::config_dtype(&Config(config)).ok().flatten().filter(|dtype| dtype.is_float())
}

/// The weight in floats that a scale stands next to.
fn float_weight(listing: &Listing, scale: &TensorInfo) -> Option<usize> {
    let beside = |ending: &str| scale.name.strip_suffix(ending).map(str::to_string);
    let weight = ["_scale_inv", "_scale"].into_iter().find_map(beside).or_else(|| {
        let of_module = ["scale_weight", "SCB"].contains(&last(&scale.name));
        of_module.then(|| join(parent(&scale.name), "weight"))
    })?;
    let id = listing.position(&weight)?;
    listing.tensors.get(id).is_some_and(|weight| weight.dtype.is_float()).then_some(id)
}
