//! The quantised weights of a listing, found one kind of codes after the other: codes with names of their own, codes under the name of
//! their weight, and modules of a method that nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Listing;
use crate::name::{join, last, parent};
use crate::plan::quantized::announced::Announcement;
use crate::plan::quantized::parts::{self, Spelling};
use crate::plan::quantized::weight::{QuantizedWeight, Reading, elements};
use crate::tensor::{Dtype, Name, TensorInfo};

/// Every quantised weight of a listing; the blocks of their scales are not known yet.
pub(crate) fn weights(listing: &Listing, announced: Option<&Announcement>) -> Vec<QuantizedWeight> {
    let mut listed = Listed { listing, announced, claimed: BTreeSet::new(), weights: Vec::new() };
    listed.named_codes();
    listed.own_codes();
    listed.unknown_modules();
    listed.weights
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

    /// Everything else of a module that is not a bias, or that goes by the name of the codes.
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
            None if zero.is_none()
                && others.is_empty()
                && !parts::is_code(codes.dtype)
                && !self.is_announced_codes(codes) =>
            {
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
        let (codes, scale) = (self.listing.name(example.0), example.1.map_or("", |scale| self.listing.name(scale)));
        let ends = (scale.strip_prefix(codes), scale.strip_prefix(parent(codes)));
        for weight in &mut self.weights {
            if weight.reading == Reading::Unscaled(None) {
                let own = self.listing.name(weight.codes);
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
