//! What a source stores of weights that were quantised: which tensors hold codes, what stands next to them, and whether the numbers
//! that they stand for are a plain product. Pure, from the listing alone.

mod announced;
mod blocks;
mod parts;

use std::collections::{BTreeMap, BTreeSet};

use super::fit::dominant;
use super::matching::names::{join, last, parent};
use super::{Value, facts};
use crate::adapt::Op;
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::Config;
use crate::hash::HashMap;
use crate::tensor::{Dtype, Name, ShapeText, TensorInfo};
pub(crate) use announced::Announcement;
use blocks::Blocks;
use parts::Spelling;
pub(crate) use parts::is_code;

/// The quantised weights of one source.
#[derive(Debug, Default)]
pub(crate) struct Quantized {
    /// What it states of them.
    pub announced: Option<Announcement>,
    /// Each of them.
    pub weights: Vec<QuantizedWeight>,
    /// Scales whose weights are stored in floats: the scale, the weight.
    pub idle: Vec<(usize, usize)>,
    /// Scales of activations and caches, and marks.
    pub activations: BTreeSet<usize>,
    /// The float type that dequantised weights have.
    dtype: Option<Dtype>,
    by_tensor: HashMap<usize, usize>,
}

/// One weight that is stored as codes.
#[derive(Debug)]
pub(crate) struct QuantizedWeight {
    /// The name that it has in a float model.
    pub name: Name,
    /// The tensor with its codes.
    pub codes: usize,
    /// What stands next to them and belongs to them: scale, zero point, tables.
    pub parts: Vec<usize>,
    /// What can be made of it.
    pub reading: Reading,
}

impl QuantizedWeight {
    /// What stands next to the codes, as it is called next to a tensor of another name.
    pub fn names_beside<'a>(&'a self, listing: &'a Listing, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let stored = move |id: usize| listing.tensors.get(id).map_or("", |tensor| tensor.name.as_str());
        let codes = stored(self.codes);
        self.parts.iter().map(move |part| {
            let part = stored(*part);
            match (part.strip_prefix(codes), part.strip_prefix(parent(codes))) {
                (Some(end), _) => format!("{name}{end}"),
                (None, Some(end)) => join(parent(name), end.trim_start_matches('.')),
                (None, None) => part.to_string(),
            }
        })
    }
}

/// What can be made of codes.
#[derive(Debug, PartialEq)]
pub(crate) enum Reading {
    /// `(q − zero) · scale`.
    Product {
        /// The scale.
        scale: usize,
        /// What the scale is multiplied by first.
        factor: f64,
        /// The zero point.
        zero: Option<usize>,
        /// The elements that share a scale.
        block: Vec<u64>,
    },
    /// There is no scale. Where others of the source have one, or one is announced, its name.
    Unscaled(Option<String>),
    /// A scale whose shape does not fit, or fits several ways.
    Misfit {
        /// The scale.
        scale: usize,
    },
    /// Something else.
    Other {
        /// The method.
        method: String,
        /// Bits of a weight, where they are known.
        bits: Option<u64>,
    },
}

impl Quantized {
    /// Reads a listing. Of a source without any such number nothing is looked at twice.
    pub fn of(listing: &Listing) -> Quantized {
        let announced = Announcement::of(listing);
        if announced.is_none() && !listing.tensors.iter().any(|tensor| parts::may_be_codes(tensor.dtype)) {
            return Quantized::default();
        }
        let mut reading =
            Listed { listing, announced: announced.as_ref(), claimed: BTreeSet::new(), weights: Vec::new() };
        reading.named_codes();
        reading.own_codes();
        reading.unknown_modules();
        let Listed { weights, .. } = reading;
        let mut quantized = Quantized { announced, weights, ..Quantized::default() };
        quantized.settle_scales(listing);
        quantized.index(listing);
        quantized
    }

    /// Whether the source states the size of its blocks.
    pub fn states_blocks(&self) -> bool {
        self.announced.as_ref().is_some_and(|announced| !announced.blocks.is_empty())
    }

    /// What the user should know of weights that are used: scales that are not applied, and methods that are known from names alone.
    pub fn notes(
        &self,
        listing: &Listing,
        is_used: impl Fn(usize) -> bool,
        is_dequantized: impl Fn(usize) -> bool,
    ) -> Vec<String> {
        let name = |id: usize| listing.tensors.get(id).map_or("", |tensor| tensor.name.as_str());
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
    pub fn is_any(&self) -> bool {
        !self.weights.is_empty()
    }

    /// The weight whose codes a tensor holds.
    pub fn of_codes(&self, tensor: usize) -> Option<&QuantizedWeight> {
        self.weights.get(*self.by_tensor.get(&tensor)?).filter(|weight| weight.codes == tensor)
    }

    /// The weight that a tensor is a part of, its codes or what stands next to them.
    pub fn of_part(&self, tensor: usize) -> Option<&QuantizedWeight> {
        self.weights.get(*self.by_tensor.get(&tensor)?)
    }

    /// How a source is called that is quantised in a form that is not read.
    pub fn method(&self) -> Option<(String, Option<u64>)> {
        let other = self.weights.iter().find_map(|weight| match &weight.reading {
            Reading::Other { method, bits } => Some((method.clone(), *bits)),
            Reading::Product { .. } | Reading::Unscaled(_) | Reading::Misfit { .. } => None,
        });
        let unread = || self.announced.as_ref().filter(|announced| !announced.is_product);
        other.or_else(|| unread().map(|announced| (announced.method.clone(), announced.bits)))
    }

    /// The numbers that the codes stand for, with what was done in words; `None` where they are no product.
    pub fn numbers(&self, source: usize, listing: &Listing, weight: &QuantizedWeight) -> Option<Numbers> {
        let Reading::Product { scale, factor, zero, block } = &weight.reading else { return None };
        let stored = |id: usize| {
            let info = listing.tensors.get(id)?.clone();
            let (tensor, dtype, shape) = (info.name.clone(), info.dtype, info.shape.clone());
            Some((Value::Source { source, tensor, dtype, shape }, info))
        };
        let (codes, mut scaled) = (stored(weight.codes)?, stored(*scale)?);
        let how = words(&codes.1, &scaled.1, zero.is_some(), block);
        if *factor != 1.0 {
            scaled = applied(vec![scaled], Op::Cast { dtype: Dtype::F32 }).ok()?;
            scaled = applied(vec![scaled], Op::Affine { scale: *factor, offset: 0.0 }).ok()?;
        }
        let inputs = [codes, scaled].into_iter().chain(zero.and_then(stored)).collect();
        let mut made = applied(inputs, Op::Dequantize { block: block.clone() }).ok()?;
        if let Some(dtype) = self.dtype.filter(|dtype| *dtype != Dtype::F32) {
            made = applied(vec![made], Op::Cast { dtype }).ok()?;
        }
        let info = TensorInfo { name: weight.name.clone(), ..made.1 };
        Some(Numbers { value: made.0, info, how })
    }

    /// Whether a tensor belongs to a quantised weight or to the activations around it.
    pub fn is_aside(&self, tensor: usize) -> bool {
        self.of_part(tensor).is_some() || self.activations.contains(&tensor)
    }

    /// Why a tensor that nothing uses is not missed: it stands next to codes that are used, or scales what floats do not scale.
    pub fn aside(&self, tensor: usize, is_used: impl Fn(usize) -> bool) -> Option<String> {
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

fn elements(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |product, size| product.saturating_mul(*size))
}

/// The numbers that codes stand for.
pub(crate) struct Numbers {
    /// The expression.
    pub value: Value,
    /// Type and shape, under the name of the weight.
    pub info: TensorInfo,
    /// What was done, in words.
    pub how: String,
}

fn applied(inputs: Vec<(Value, TensorInfo)>, op: Op) -> Result<(Value, TensorInfo)> {
    let (inputs, infos): (Vec<Value>, Vec<TensorInfo>) = inputs.into_iter().unzip();
    let info = op.out(&infos)?;
    Ok((Value::Apply { op, inputs }, info))
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
    facts::config_dtype(&Config(config)).ok().flatten().filter(|dtype| dtype.is_float())
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

/// A listing while its quantised weights are found.
struct Listed<'a> {
    listing: &'a Listing,
    announced: Option<&'a Announcement>,
    /// Tensors that belong to a weight.
    claimed: BTreeSet<usize>,
    weights: Vec<QuantizedWeight>,
}

impl Listed<'_> {
    fn position(&self, name: &str) -> Option<usize> {
        self.listing.position(name)
    }

    fn add(&mut self, name: impl Into<Name>, codes: usize, parts: Vec<usize>, reading: Reading) {
        self.claimed.insert(codes);
        self.claimed.extend(&parts);
        self.weights.push(QuantizedWeight { name: name.into(), codes, parts, reading });
    }

    /// What a method is called, and its bits: as the source says, else as the tensors look.
    fn other(&self, method: &str, bits: Option<u64>) -> Reading {
        match self.announced {
            Some(announced) => Reading::Other { method: announced.method.clone(), bits: announced.bits.or(bits) },
            None => Reading::Other { method: method.into(), bits },
        }
    }

    /// Codes that have names of their own: `qweight`, `weight_packed`, …
    fn named_codes(&mut self) {
        for (id, tensor) in self.listing.tensors.iter().enumerate() {
            let Some((name, method)) = parts::stands_for(self.listing, tensor) else { continue };
            if self.position(&name).is_some() {
                continue;
            }
            let (method, bits) = match method {
                "awq or gptq" => self.packed_in_32(tensor),
                "gptq" => ("gptq", self.gptq_bits(tensor)),
                "mxfp4" | "compressed-tensors nvfp4" => (method, Some(4)),
                "eetq" => (method, Some(8)),
                _ => (method, None),
            };
            let reading = self.other(method, bits);
            let parts = self.siblings(id, tensor);
            self.add(name, id, parts, reading);
        }
    }

    /// Everything else of a module that is no bias, or that goes by the name of the codes.
    fn siblings(&self, id: usize, tensor: &TensorInfo) -> Vec<usize> {
        let path = parent(&tensor.name);
        let stem = tensor.name.strip_suffix("blocks");
        let is_part = |name: &str| match stem {
            Some(stem) => name.strip_prefix(stem).is_some_and(|rest| !rest.contains('.') && rest == "scales"),
            None => !path.is_empty() && parent(name) == path && last(name) != "bias",
        };
        // in natural order a module's tensors stand together
        let near = id.saturating_sub(MOST_PARTS)..(id + MOST_PARTS).min(self.listing.tensors.len());
        near.filter(|other| *other != id && self.listing.tensors.get(*other).is_some_and(|t| is_part(&t.name)))
            .collect()
    }

    /// Without `g_idx` the shapes tell: gptq packs rows, awq packs columns.
    fn packed_in_32(&self, codes: &TensorInfo) -> (&'static str, Option<u64>) {
        let scales = self.position(&join(parent(&codes.name), "scales"));
        let scales = scales.and_then(|id| self.listing.tensors.get(id)).map(|scales| scales.shape.as_slice());
        let (Some([_, out]), [_, columns]) = (scales, codes.shape.as_slice()) else { return ("a packed method", None) };
        match () {
            () if out == columns => ("gptq", self.gptq_bits(codes)),
            () => ("awq", columns.checked_mul(32).and_then(|bits| bits.checked_div(*out))),
        }
    }

    fn gptq_bits(&self, codes: &TensorInfo) -> Option<u64> {
        let index = self.position(&join(parent(&codes.name), "g_idx"))?;
        codes.rows().checked_mul(32)?.checked_div(self.listing.tensors.get(index)?.rows())
    }

    /// Codes under the name of the weight itself, and those whose spelling says which weight they are of.
    fn own_codes(&mut self) {
        for (id, tensor) in self.listing.tensors.iter().enumerate() {
            let may_be = parts::may_be_codes(tensor.dtype) && tensor.dtype != Dtype::F8E8m0;
            if !may_be || self.claimed.contains(&id) || parts::is_part(&tensor.name) {
                continue;
            }
            let spelling = parts::spelling(tensor);
            let is_other_name = spelling.name != tensor.name.as_str();
            if is_other_name && self.position(&spelling.name).is_some() {
                continue;
            }
            let ids = |names: &[String]| names.iter().filter_map(|name| self.position(name)).collect::<Vec<_>>();
            let others = ids(&spelling.others);
            let scale = spelling.scales.iter().find_map(|(name, factor)| Some((self.position(name)?, *factor)));
            let zero = self.position(&spelling.zero_point);
            let Some(reading) = self.reading(tensor, &spelling, scale, zero, &others) else { continue };
            let parts = scale.map(|(id, _)| id).into_iter().chain(zero).chain(others).collect();
            self.add(spelling.name, id, parts, reading);
        }
        self.expect_scales();
    }

    /// What codes with these numbers next to them are; `None` for whole numbers that nothing says to be codes.
    fn reading(
        &self,
        codes: &TensorInfo,
        spelling: &Spelling,
        scale: Option<(usize, f64)>,
        zero: Option<usize>,
        others: &[usize],
    ) -> Option<Reading> {
        let is_float8 = parts::is_float8(codes.dtype);
        let is_product = self.announced.is_none_or(|announced| announced.is_product) || is_float8;
        let reads = |scale: usize| {
            let of = |id: usize| self.listing.tensors.get(id).map(|info| info.dtype);
            let is_float = of(scale).is_some_and(Dtype::is_float);
            match codes.dtype {
                // of 4 bits two numbers are in one of these; a zero point, and a scale for a row at most, say that it is not so
                Dtype::U8 => is_float && zero.is_some() && self.has_few(codes, scale),
                Dtype::I8 => is_float,
                _ => is_float8 && (is_float || matches!(of(scale), Some(Dtype::F8E8m0 | Dtype::U8))),
            }
        };
        match scale {
            Some((scale, factor)) if is_product && others.is_empty() && reads(scale) => {
                Some(Reading::Product { scale, factor, zero, block: Vec::new() })
            }
            None if is_float8 && others.is_empty() => Some(Reading::Unscaled(None)),
            None if zero.is_none() && others.is_empty() && !is_code(codes.dtype) && !self.is_announced_codes(codes) => {
                None
            }
            None if codes.dtype == Dtype::I8 && others.is_empty() && is_product => Some(Reading::Unscaled(None)),
            Some(_) | None => {
                let (method, bits) = self.guess(codes, spelling);
                Some(self.other(&method, bits))
            }
        }
    }

    /// Whether a scale has one number, or one for each row.
    fn has_few(&self, codes: &TensorInfo, scale: usize) -> bool {
        let shape = self.listing.tensors.get(scale).map_or(&[][..], |scale| scale.shape.as_slice());
        let count = elements(shape);
        count == 1 || (count == codes.rows() && shape.first() == Some(&count))
    }

    /// Whether whole numbers are codes because the source says that its weights are.
    fn is_announced_codes(&self, tensor: &TensorInfo) -> bool {
        let is_weight = last(&tensor.name) == "weight" && tensor.shape.len() > 1;
        self.announced.is_some() && is_weight
    }

    /// The method that the names and types of tensors speak of, and its bits.
    fn guess(&self, codes: &TensorInfo, spelling: &Spelling) -> (String, Option<u64>) {
        let has = |name: String| self.position(&name).is_some();
        let path = parent(&codes.name);
        let kind = parts::BITSANDBYTES
            .into_iter()
            .find(|(kind, _)| has(format!("{}.quant_state.bitsandbytes__{kind}", codes.name)));
        match codes.dtype {
            Dtype::U8 if kind.is_some() => (kind.map_or("", |(_, shown)| shown).into(), Some(4)),
            Dtype::U8 if has(format!("{}.absmax", codes.name)) => ("bitsandbytes".into(), Some(4)),
            Dtype::U8 if has(format!("{}_scale_2", codes.name)) => ("nvfp4".into(), Some(4)),
            Dtype::U32 if has(join(path, "scales")) => ("mlx".into(), None),
            Dtype::I8 if has(format!("{}_scales", codes.name)) => ("eetq".into(), Some(8)),
            Dtype::I8 if codes.name.ends_with("kernel") || codes.name.ends_with("embeddings") => {
                ("keras".into(), Some(8))
            }
            _ if codes.name.ends_with("._data") => ("quanto".into(), None),
            _ if spelling.name != codes.name.as_str() => ("torchao".into(), None),
            Dtype::F4 => ("a method of 4-bit floats".into(), Some(4)),
            Dtype::F6E2m3 | Dtype::F6E3m2 => ("a method of 6-bit floats".into(), Some(6)),
            other => (format!("a method that is not recognised ({other} numbers)"), None),
        }
    }

    /// The name of the scale that codes without one lack, where other weights of the source have one.
    fn expect_scales(&mut self) {
        let has_scale = |weight: &&QuantizedWeight| matches!(weight.reading, Reading::Product { .. });
        let Some(example) =
            self.weights.iter().find(has_scale).map(|weight| (weight.codes, weight.parts.first().copied()))
        else {
            let stated = self.announced.is_some();
            for weight in self.weights.iter_mut().filter(|_| stated) {
                if weight.reading == Reading::Unscaled(None) {
                    weight.reading = Reading::Unscaled(Some(format!("{}_scale", weight.name)));
                }
            }
            return;
        };
        let name = |id: usize| self.listing.tensors.get(id).map_or("", |tensor| tensor.name.as_str());
        let (codes, scale) = (name(example.0), example.1.map_or("", name));
        let ends = (scale.strip_prefix(codes), scale.strip_prefix(parent(codes)));
        for weight in &mut self.weights {
            if weight.reading == Reading::Unscaled(None) {
                let own = self.listing.tensors.get(weight.codes).map_or("", |tensor| tensor.name.as_str());
                let expected = match ends {
                    (Some(end), _) => format!("{own}{end}"),
                    (None, Some(end)) => format!("{}{end}", parent(own)),
                    (None, None) => format!("{own}_scale"),
                };
                weight.reading = Reading::Unscaled(Some(expected));
            }
        }
    }

    /// Modules without a weight that hold whole numbers under names of a method that is not known.
    fn unknown_modules(&mut self) {
        let mut modules: BTreeMap<&str, usize> = BTreeMap::new();
        for (id, tensor) in self.listing.tensors.iter().enumerate() {
            if !self.claimed.contains(&id)
                && !parts::is_of_activations(&tensor.name)
                && parts::may_stand_for_weight(self.listing, tensor, self.announced.is_some())
            {
                modules.entry(parent(&tensor.name)).or_insert(id);
            }
        }
        for (path, id) in modules {
            let Some(tensor) = self.listing.tensors.get(id) else { continue };
            let parts = self.siblings(id, tensor);
            let has_float =
                parts.iter().any(|part| self.listing.tensors.get(*part).is_some_and(|t| t.dtype.is_float()));
            if has_float || self.announced.is_some() {
                let method =
                    format!("a method that is not recognised ({} numbers in {})", tensor.dtype, last(&tensor.name));
                let reading = self.other(&method, None);
                self.add(join(path, "weight"), id, parts, reading);
            }
        }
    }
}

/// More than the tensors of one module in any method.
const MOST_PARTS: usize = 12;
