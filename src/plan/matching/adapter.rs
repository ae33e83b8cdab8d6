//! A low-rank adapter (Hu et al., arXiv:2106.09685) as PEFT saves it, on top of its base: `W + alpha / rank · B A`, and whole modules that it
//! brings along.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::dialects::{Unit, apply_one};
use crate::adapt::Op;
use crate::checkpoint::Listing;
use crate::error::{AdapterError, Result};
use crate::plan::{SourceView, Value};
use crate::tensor::{Name, TensorInfo};

/// What PEFT puts before every name.
const PREFIX: &str = "base_model.model.";

/// An adapter, tensor by tensor.
pub(super) struct Adapter {
    name: String,
    /// For each module of the base, the two factors; and whole tensors, by their name in the base.
    changes: BTreeMap<String, Change>,
}

/// What is done to one tensor of the base.
enum Change {
    /// The sum with a product.
    LowRank { down: TensorInfo, up: TensorInfo, scale: f64, turned: bool },
    /// It is replaced.
    Whole(TensorInfo),
}

impl Adapter {
    /// Every adapter among the sources: its base, itself, and what it says. An adapter without one base is an error.
    pub fn all(sources: &[SourceView]) -> Result<Vec<(usize, usize, Adapter)>> {
        let is_adapter = |view: &SourceView| view.adapter.is_some();
        let bases: Vec<usize> = (0..sources.len()).filter(|id| !is_adapter(&sources[*id])).collect();
        let adapters: Vec<usize> = (0..sources.len()).filter(|id| is_adapter(&sources[*id])).collect();
        match (bases.as_slice(), adapters.as_slice()) {
            (_, []) => Ok(Vec::new()),
            ([base], [place]) => Ok(vec![(*base, *place, Adapter::read(&sources[*place])?)]),
            (_, [place, ..]) => Err(AdapterError::Base {
                name: sources[*place].name.clone(),
                bases: bases.len(),
                adapters: adapters.len(),
            }
            .into()),
        }
    }

    fn read(view: &SourceView) -> Result<Adapter> {
        let text = view.adapter.as_deref().unwrap_or_default();
        let config: Map<String, Json> = serde_json::from_str(text)
            .map_err(|error| AdapterError::Config { name: view.name.clone(), what: error.to_string() })?;
        let config = Said { name: &view.name, config };
        config.check()?;
        let mut adapter = Adapter { name: view.name.clone(), changes: BTreeMap::new() };
        let tensors = &view.listing.tensors;
        for info in tensors {
            let stored = info.name.strip_prefix(PREFIX).unwrap_or(&info.name);
            let stored = stored.replace(".modules_to_save.default.", ".").replace(".modules_to_save.", ".");
            if let Some(module) = factor(&stored, &["lora_A", "lora_embedding_A"]) {
                let (up, is_embedding) = partner(view.listing, info)?;
                let scale = config.scale(module, info.rows())?;
                let turned = is_embedding || config.flag("fan_in_fan_out");
                let change = Change::LowRank { down: info.clone(), up, scale, turned };
                adapter.changes.insert(format!("{module}.weight"), change);
            } else if factor(&stored, &["lora_B", "lora_embedding_B"]).is_none() {
                if stored.contains("lora_magnitude_vector") {
                    return Err(config.unsupported("use_dora", "true"));
                }
                adapter.changes.insert(stored, Change::Whole(info.clone()));
            }
        }
        Ok(adapter)
    }

    /// The units of the base with all changes made. A change that finds no tensor of the base is an error.
    pub fn apply(&self, place: usize, mut units: Vec<Unit>) -> Result<Vec<Unit>> {
        let by_name: BTreeMap<Name, usize> =
            units.iter().enumerate().map(|(id, unit)| (unit.name.clone(), id)).collect();
        for (name, change) in &self.changes {
            let id = find(&by_name, name).ok_or_else(|| AdapterError::NoBase {
                name: self.name.clone(),
                tensor: change.stored().to_string(),
                wanted: name.clone(),
            })?;
            let unit = &mut units[id];
            // codes that nothing can be made of stay what they are, and are refused under their own name
            if !unit.info.dtype.is_float() {
                continue;
            }
            let of = |info: &TensorInfo| {
                let (tensor, dtype, shape) = (info.name.clone(), info.dtype, info.shape.clone());
                (Value::Source { source: place, tensor, dtype, shape }, info.clone())
            };
            let (value, info) = match change {
                Change::Whole(info) => of(info),
                Change::LowRank { down, up, scale, turned } => {
                    let inputs = vec![(unit.value.clone(), unit.info.clone()), of(down), of(up)];
                    apply_one(inputs, &Op::LowRank { scale: *scale, turned: *turned })?
                }
            };
            unit.value = value;
            unit.info = TensorInfo { name: unit.info.name.clone(), ..info };
        }
        Ok(units)
    }
}

impl Change {
    fn stored(&self) -> &str {
        match self {
            Change::Whole(info) | Change::LowRank { down: info, .. } => &info.name,
        }
    }
}

/// The base's tensor of a name: this one, or the only one of which one name ends the other (a body with or without its prefix).
fn find(by_name: &BTreeMap<Name, usize>, name: &str) -> Option<usize> {
    if let Some(id) = by_name.get(name) {
        return Some(*id);
    }
    let ends = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.ends_with('.'));
    let mut alike = by_name.iter().filter(|(known, _)| ends(known, name) || ends(name, known));
    match (alike.next(), alike.next()) {
        (Some((_, id)), None) => Some(*id),
        _ => None,
    }
}

/// The module of a factor's name: `x` of `x.lora_A.weight`, `x.lora_A.default.weight` and `x.lora_embedding_A`.
fn factor<'a>(name: &'a str, kinds: &[&str]) -> Option<&'a str> {
    kinds.iter().find_map(|kind| name.find(&format!(".{kind}")).and_then(|at| name.get(..at)))
}

/// The other factor, and whether it is an embedding's.
fn partner(listing: &Listing, down: &TensorInfo) -> Result<(TensorInfo, bool)> {
    let is_embedding = down.name.contains("lora_embedding_A");
    let wanted = down.name.replace("lora_embedding_A", "lora_embedding_B").replace("lora_A", "lora_B");
    let found = listing.position(&wanted).and_then(|at| listing.tensors.get(at));
    let missing = || AdapterError::Half { tensor: down.name.to_string(), wanted: wanted.clone() };
    Ok((found.ok_or_else(missing)?.clone(), is_embedding))
}

/// An `adapter_config.json`.
struct Said<'a> {
    name: &'a str,
    config: Map<String, Json>,
}

impl Said<'_> {
    fn check(&self) -> Result<()> {
        match self.config.get("peft_type").and_then(Json::as_str) {
            None | Some("LORA") => {}
            Some(other) => return Err(self.unsupported("peft_type", other)),
        }
        match self.flag("use_dora") {
            true => Err(self.unsupported("use_dora", "true")),
            false => Ok(()),
        }
    }

    fn unsupported(&self, key: &'static str, value: &str) -> crate::error::Error {
        AdapterError::Unsupported { name: self.name.to_string(), key, value: value.to_string() }.into()
    }

    fn flag(&self, key: &str) -> bool {
        self.config.get(key).and_then(Json::as_bool).unwrap_or(false)
    }

    /// `lora_alpha` over the rank, or over its root; a pattern whose end is the module's speaks first.
    fn scale(&self, module: &str, rank: u64) -> Result<f64> {
        let patterns = self.config.get("alpha_pattern").and_then(Json::as_object);
        let is_meant = |pattern: &str| module == pattern || module.ends_with(&format!(".{pattern}"));
        let own = patterns.and_then(|all| all.iter().find(|(pattern, _)| is_meant(pattern)).map(|(_, alpha)| alpha));
        let alpha = own.or_else(|| self.config.get("lora_alpha")).and_then(Json::as_f64);
        let missing = || AdapterError::Config { name: self.name.into(), what: "lora_alpha is missing".into() };
        let alpha = alpha.ok_or_else(missing)?;
        let rank = rank.max(1) as f64;
        Ok(alpha / if self.flag("use_rslora") { rank.sqrt() } else { rank })
    }
}

/// Marks what an adapter brings as used: it has its base, or planning would have stopped.
pub(super) fn mark(sources: &[SourceView], used: &mut [Vec<bool>]) {
    for (source, used) in sources.iter().zip(used) {
        if source.adapter.is_some() {
            used.iter_mut().for_each(|used| *used = true);
        }
    }
}
