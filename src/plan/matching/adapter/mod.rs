//! A low-rank adapter (Hu et al., arXiv:2106.09685) as PEFT saves it, on top of its base, merged as PEFT's `merge_and_unload` merges it.

pub(super) mod base;
mod config;
pub(crate) mod error;
mod find;
mod key;
mod merge;
mod parts;
mod pattern;

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use crate::checkpoint::Listing;
use crate::error::Result;
use crate::hash::HashMap;
use crate::plan::inputs::SourceView;
use crate::plan::matching::adapter::base::Base;
use crate::plan::matching::adapter::config::Config;
use crate::plan::matching::adapter::error::AdapterError;
use crate::plan::matching::adapter::find::Names;
use crate::plan::matching::adapter::key::{Key, Part};
use crate::plan::matching::adapter::merge::Change;
use crate::plan::matching::adapter::parts::Keys;
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::matching::unit::Unit;
use crate::plan::value::Value;
use crate::tensor::TensorInfo;

/// An adapter, tensor by tensor.
pub(crate) struct Adapter {
    name: String,
    config: Config,
    /// What it does to each module's weight, bias or other tensor of the base, by the name that the adapter has for it.
    changes: BTreeMap<String, Change>,
}

/// What came out of a merge.
#[derive(Default)]
pub(crate) struct Merged {
    /// The tensors of the base, changed.
    pub units: Vec<Unit>,
    /// Whole tensors that the adapter has and the base has not, by their places in the adapter's listing.
    pub brought: Vec<Unit>,
    pub warnings: Vec<String>,
}

impl Adapter {
    /// Every adapter among the sources: its base, itself, and what it says. An adapter without one base is an error.
    pub(crate) fn all(sources: &[SourceView]) -> Result<Vec<(usize, usize, Adapter)>> {
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
        let config = Config::parse(&view.name, view.adapter.as_deref().unwrap_or_default())?;
        let keys = Keys::of(view)?;
        let mut changes: BTreeMap<String, Change> = BTreeMap::new();
        for (module, parts) in &keys.modules {
            parts.change(module, &config, &view.name, &mut changes)?;
        }
        let modules: Vec<&str> =
            keys.modules.iter().filter(|(_, parts)| parts.down.is_some()).map(|(module, _)| module.as_str()).collect();
        config.require_patterns_match(&modules)?;
        for (name, info) in keys.whole {
            changes.entry(name).or_default().whole = Some(info);
        }
        Ok(Adapter { name: view.name.clone(), config, changes })
    }

    /// The tensors of the base with all changes made. A change that finds no tensor of the base is an error.
    pub(crate) fn merge(&self, place: usize, listing: &Listing, units: Vec<Unit>, base: &Base) -> Result<Merged> {
        let mut merged = Merged { units, ..Merged::default() };
        self.require_no_holes(&merged.units)?;
        let names = Names::of(&merged.units);
        // whole tensors first: of two names of a tied matrix each may add a product to it
        let (whole, rest): (Vec<_>, Vec<_>) = self.changes.iter().partition(|(_, change)| change.whole.is_some());
        for (name, change) in &whole {
            self.replace((place, listing), (name, change), &names, &mut merged, base)?;
        }
        for (name, change) in whole.into_iter().chain(rest).filter(|(_, change)| !change.is_whole()) {
            let found = names.find(name, None);
            let tied = self.tied(name, found, &names, &merged.units, base);
            if tied.is_empty() {
                return Err(self.no_base(name, change).into());
            }
            merged.warnings.extend(self.tied_warning(name, change, &tied, &merged.units));
            for id in tied {
                change.apply(place, &mut merged.units[id], base, self.config.fan_in_fan_out, &self.name)?;
            }
        }
        self.require_all_brought(&merged)?;
        Ok(merged)
    }

    /// The units that share the values of a changed one: itself, and where the model ties it, its other names.
    fn tied(&self, name: &str, found: Option<usize>, names: &Names, units: &[Unit], base: &Base) -> Vec<usize> {
        let own = found.map_or(name, |id| units[id].name.as_str());
        let owner = |name: &str| {
            let tie = base.ties.iter().find(|(alias, _)| find::is_same(alias, name));
            tie.map_or(name.to_string(), |(_, owner)| owner.clone())
        };
        let root = owner(own);
        let mut all: Vec<usize> = found.into_iter().collect();
        let aliases =
            base.ties.iter().filter(|(_, owner)| find::is_same(owner, &root)).map(|(alias, _)| alias.as_str());
        for other in std::iter::once(root.as_str()).chain(aliases) {
            all.extend(names.find(other, None).filter(|id| !all.contains(id)));
        }
        all
    }

    fn tied_warning(&self, name: &str, change: &Change, tied: &[usize], units: &[Unit]) -> Option<String> {
        let others: Vec<&str> = tied.iter().map(|id| units[*id].name.as_str()).filter(|other| *other != name).collect();
        let is_new = others.iter().any(|other| !find::is_same(other, name));
        is_new.then(|| {
            let (stored, others) = (change.shown(), others.join(" and "));
            format!(
                "source {}: {stored} changes {name}, which is tied to {others}: both change, as merge_and_unload does",
                self.name
            )
        })
    }

    fn no_base(&self, name: &str, change: &Change) -> AdapterError {
        let (tensor, wanted) = (change.shown().to_string(), name.to_string());
        AdapterError::NoBase { name: self.name.clone(), tensor, wanted }
    }

    /// Puts a whole tensor in the place of the base's.
    fn replace(
        &self,
        (place, listing): (usize, &Listing),
        (name, change): (&str, &Change),
        names: &Names,
        merged: &mut Merged,
        base: &Base,
    ) -> Result<()> {
        let found = names.find(name, change.whole.as_ref().map(|info| &info.shape));
        match found {
            Some(id) => {
                if change.is_whole() {
                    // a module that was trained whole is a copy: what was tied to it stays as it was
                    self.keep_alias(id, names, merged, base);
                }
                change.replace(place, &mut merged.units[id]);
                Ok(())
            }
            None if !change.is_whole() => {
                for id in self.tied(name, found, names, &merged.units, base) {
                    change.replace(place, &mut merged.units[id]);
                }
                Ok(())
            }
            None if self.may_bring(name, base) => {
                merged.brought.push(brought(place, listing, name, change)?);
                Ok(())
            }
            None => Err(self.no_base(name, change).into()),
        }
    }

    /// Where the base stores a tie once and the adapter replaces the owner alone, the other name keeps the value of the base.
    fn keep_alias(&self, owner: usize, names: &Names, merged: &mut Merged, base: &Base) {
        let name = merged.units[owner].name.to_string();
        if !self.config.is_saved_whole(&name) || self.config.ensure_weight_tying {
            return;
        }
        let lacking: Vec<String> = base
            .ties
            .iter()
            .filter(|(alias, tied)| find::is_same(tied, &name) && names.find(alias, None).is_none())
            .filter(|(alias, _)| !self.changes.keys().any(|key| find::is_same(key, alias)))
            .map(|(alias, _)| alias.clone())
            .collect();
        for alias in lacking {
            let unit = merged.units[owner].clone();
            // the stored tensor is already that of the owner
            let tensors = SmallVec::new();
            merged.units.push(Unit { name: alias.into(), tensors, single: false, dialect: Some("tied"), ..unit });
        }
    }

    /// Whether a whole tensor that the base lacks is a part of the model all the same: a head of its own, or the embeddings of a tied base.
    fn may_bring(&self, name: &str, base: &Base) -> bool {
        const EMBEDDINGS: &[&str] = &["lm_head", "embed_tokens", "embed_out", "wte", "word_embeddings"];
        let module = name.rsplit_once('.').map_or("", |(module, _)| module);
        let is_alias = base.ties.iter().any(|(alias, _)| find::is_same(alias, name));
        let is_bias = self.config.has_biases && name.ends_with(".bias");
        self.config.is_saved_whole(name)
            || is_alias
            || is_bias
            || EMBEDDINGS.contains(&module.rsplit('.').next().unwrap_or_default())
    }

    /// An error where the config names a module that was trained whole and no tensor of it is there.
    fn require_all_brought(&self, merged: &Merged) -> Result<()> {
        let brought: Vec<&str> = merged.brought.iter().map(|unit| unit.name.as_str()).collect();
        for module in &self.config.modules_to_save {
            let is_it = |name: &str| config::names_module(module, name);
            let is_there = self.changes.iter().any(|(name, change)| change.is_whole() && is_it(name));
            let has_base = merged.units.iter().any(|unit| is_it(&unit.name)) || brought.iter().any(|name| is_it(name));
            if !is_there && has_base {
                let (name, module) = (self.name.clone(), module.clone());
                return Err(AdapterError::NotSaved { name, module }.into());
            }
        }
        Ok(())
    }

    /// An error where the adapter has a pair for some layers of a block and none for another, though its config targets it.
    fn require_no_holes(&self, units: &[Unit]) -> Result<()> {
        let Some(targets) = self.config.plain_targets() else { return Ok(()) };
        let adapted: Vec<&str> = self
            .changes
            .iter()
            .filter(|(_, change)| change.low_rank.is_some())
            .filter_map(|(name, _)| name.strip_suffix(".weight"))
            .collect();
        let masked: std::collections::BTreeSet<String> = adapted.iter().map(|module| find::masked(module)).collect();
        for unit in units {
            let Some(module) = unit.name.strip_suffix(".weight") else { continue };
            let last = module.rsplit('.').next().unwrap_or(module);
            if !targets.contains(&last) || adapted.iter().any(|known| find::is_same(known, module)) {
                continue;
            }
            if let Some(other) = masked.iter().find(|known| find::is_same(known, &find::masked(module))) {
                let (name, module, other) = (self.name.clone(), module.to_string(), other.clone());
                return Err(AdapterError::Hole { name, module, other }.into());
            }
        }
        Ok(())
    }
}

fn brought(place: usize, listing: &Listing, name: &str, change: &Change) -> Result<Unit> {
    let missing = || AdapterError::Half { tensor: name.into(), wanted: change.shown().into() };
    let info = change.whole.as_ref().ok_or_else(missing)?;
    let id = listing.position(&info.name).ok_or_else(missing)?;
    let value = Value::stored(place, info);
    let info = TensorInfo { name: name.into(), ..info.clone() };
    Ok(Unit { name: name.into(), tensors: smallvec![id], value, info, single: true, dialect: None, opaque: false })
}

/// Marks which tensors of an adapter the target reads; why the others are not read.
pub(crate) fn mark(
    sources: &[SourceView],
    resolutions: &[Match],
    used: &mut [Vec<bool>],
    reasons: &mut [HashMap<usize, String>],
) {
    if sources.iter().all(|source| source.adapter.is_none()) {
        return;
    }
    for resolution in resolutions {
        let Origin::Found { value, .. } = &resolution.origin else { continue };
        for leaf in value.sources() {
            let Some(view) = sources.get(leaf.source).filter(|view| view.adapter.is_some()) else { continue };
            if let Some(place) = view.listing.position(leaf.tensor)
                && let Some(used) = used.get_mut(leaf.source).and_then(|used| used.get_mut(place))
            {
                *used = true;
            }
        }
    }
    replaced(sources, resolutions, reasons);
    for (source, view) in sources.iter().enumerate().filter(|(_, view)| view.adapter.is_some()) {
        let (Some(used), Some(reasons)) = (used.get_mut(source), reasons.get_mut(source)) else { continue };
        for (place, info) in view.listing.tensors.iter().enumerate() {
            let Some(used) = used.get_mut(place).filter(|used| !**used) else { continue };
            match Key::parse(&info.name).map(|key| key.part) {
                Ok(Part::Whole | Part::Saved) => {
                    reasons.entry(place).or_insert_with(|| "the target does not take what it replaces".into());
                }
                // listed with the tensor of the base that it changes
                _ => *used = true,
            }
        }
    }
}

/// Why a tensor of the base is not read although a target is found by its name: the adapter has a tensor that replaces it.
fn replaced(sources: &[SourceView], resolutions: &[Match], reasons: &mut [HashMap<usize, String>]) {
    for resolution in resolutions {
        let Origin::Found { value, .. } = &resolution.origin else { continue };
        for (source, tensor) in &resolution.tensors {
            let Some(view) = sources.get(*source).filter(|view| view.adapter.is_none()) else { continue };
            let Some(info) = view.listing.tensors.get(*tensor) else { continue };
            let is_read = value.sources().any(|leaf| leaf.source == *source && *leaf.tensor == info.name);
            if !is_read && let Some(reasons) = reasons.get_mut(*source) {
                reasons.entry(*tensor).or_insert_with(|| "the adapter replaces it".into());
            }
        }
    }
}
