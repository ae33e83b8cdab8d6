//! What the sources offer: every stored tensor, and what their dialects make of them, by all the names they go by.

use smallvec::SmallVec;

use crate::arch::Architecture;
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::{Config, Family};
use crate::hash::HashMap;
use crate::name::last;
use crate::plan::inputs::SourceView;
use crate::plan::matching::adapter::base::Base;
use crate::plan::matching::adapter::{Adapter, Merged};
use crate::plan::matching::known::{self, Layouts};
use crate::plan::matching::unit::Unit;
use crate::plan::matching::{dialects, stored};
use crate::plan::names::{modern_norm, plain};
use crate::plan::quantized::Quantized;
use crate::plan::value::Value;
use crate::tensor::{Name, TensorInfo};

/// How a candidate got a name that is not the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    Dialect(&'static str),
    /// `gamma` and `beta` as `weight` and `bias`.
    Norm,
    /// Codes by the name of the weight that they stand for.
    Weight,
}

/// Something that may fill a target tensor.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub source: usize,
    /// The stored tensors that it is made of.
    pub tensors: SmallVec<[usize; 1]>,
    /// The stored name, where it goes by one.
    pub stored: Option<Name>,
    /// The name in the target's spelling, where that is another.
    pub spelt: Option<(Name, Spelling)>,
    pub value: Value,
    pub info: TensorInfo,
    /// These names without wrappers, in the same order.
    pub plain: SmallVec<[Name; 1]>,
    /// Whether it holds codes that nothing can be made of.
    pub opaque: bool,
}

impl Candidate {
    /// All its names, the stored one first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.stored.iter().chain(self.spelt.as_ref().map(|(name, _)| name))
    }

    /// How it is called in messages.
    pub(crate) fn shown(&self) -> &str {
        self.names().next().map_or("", Name::as_str)
    }

    /// Whether taking it for this target reads a `gamma` or `beta` as `weight` or `bias`.
    pub(crate) fn is_old_norm(&self, target: &str) -> bool {
        let is_old = |name: &str| matches!(last(name), "gamma" | "beta");
        self.stored.as_deref().is_some_and(is_old) && !is_old(target)
    }
}

/// Candidates by a name: one as a rule.
pub(crate) type ByName = HashMap<Name, SmallVec<[usize; 1]>>;

/// Everything on offer.
#[derive(Default)]
pub(crate) struct Catalog {
    pub candidates: Vec<Candidate>,
    pub by_stored: ByName,
    /// By stored name without wrappers, where it has some.
    by_wrapped: ByName,
    /// By the name in the target's spelling.
    pub by_spelt: ByName,
    /// By that without wrappers.
    pub by_plain_spelt: ByName,
    /// The family of each source with its config, where recognised.
    pub families: Vec<Option<(&'static dyn Family, Option<Config>)>>,
    pub dialects: Vec<Vec<String>>,
    pub warnings: Vec<String>,
}

impl Catalog {
    /// What these sources offer to this target.
    pub(crate) fn of(sources: &[SourceView], quantized: &[Quantized], target: &Architecture) -> Result<Catalog> {
        let mut catalog = Catalog::default();
        let adapters = Adapter::all(sources)?;
        for ((source, view), quantized) in sources.iter().enumerate().zip(quantized) {
            if adapters.iter().any(|(_, adapter, _)| *adapter == source) {
                // it offers nothing but what it does to its base
                catalog.families.push(None);
                catalog.dialects.push(Vec::new());
                continue;
            }
            let on = adapters.iter().find(|(base, _, _)| *base == source);
            let on = on.map(|(_, place, adapter)| (*place, &sources[*place], adapter));
            catalog.add(source, (view, quantized), on, target)?;
        }
        let stored = catalog.candidates.iter().filter(|candidate| candidate.stored.is_some()).count();
        catalog.by_stored.reserve(stored);
        for (id, candidate) in catalog.candidates.iter().enumerate() {
            let mut plain = candidate.plain.iter();
            if let (Some(stored), Some(plain)) =
                (&candidate.stored, candidate.stored.as_ref().and_then(|_| plain.next()))
            {
                catalog.by_stored.entry(stored.clone()).or_default().push(id);
                if stored != plain {
                    catalog.by_wrapped.entry(plain.clone()).or_default().push(id);
                }
            }
            if let (Some((spelt, _)), Some(plain)) = (&candidate.spelt, plain.next()) {
                catalog.by_spelt.entry(spelt.clone()).or_default().push(id);
                catalog.by_plain_spelt.entry(plain.clone()).or_default().push(id);
            }
        }
        Ok(catalog)
    }

    /// The candidates of this stored name, in order.
    pub(crate) fn stored(&self, name: &Name) -> SmallVec<[usize; 1]> {
        self.by_stored.get(name).cloned().unwrap_or_default()
    }

    /// The candidates whose stored name is this one without wrappers, in order.
    pub(crate) fn plain(&self, name: &Name) -> SmallVec<[usize; 1]> {
        let mut ids = self.stored(name);
        if let Some(wrapped) = self.by_wrapped.get(name) {
            ids.extend_from_slice(wrapped);
            ids.sort_unstable();
        }
        ids
    }

    fn add(
        &mut self,
        source: usize,
        (view, quantized): (&SourceView, &Quantized),
        adapter: Option<(usize, &SourceView, &Adapter)>,
        target: &Architecture,
    ) -> Result<()> {
        let family = dialects::family_of(view.listing);
        let respellings = dialects::respellings(view.listing, family.as_ref(), target)?;
        let own = |name: &str| family.as_ref().is_some_and(|(family, _)| family.name() == name);
        self.dialects.push(match &family {
            Some((family, _)) => {
                let names = || view.listing.tensors.iter().map(|one| (one.name.as_str(), one.shape.as_slice()));
                let mut found: Vec<String> = dialects::find_dialects(*family, names)?
                    .into_iter()
                    .map(|(_, dialect)| dialect.name.into())
                    .collect();
                let others = respellings.iter().filter(|other| !own(other.family.name()));
                found.extend(others.flat_map(|other| other.read.iter().map(|(_, dialect)| dialect.name.to_string())));
                found
            }
            None => respellings.iter().flat_map(|one| one.read.iter().map(|(_, d)| d.name.to_string())).collect(),
        });
        let units = stored::numbers(source, view.listing, quantized);
        let Merged { mut units, mut brought, warnings } = match adapter {
            Some((place, view_of_adapter, adapter)) => {
                let layouts = Layouts::of(view.listing, family.as_ref().map(|(family, _)| *family))?;
                let ties = known::stored_ties(view.listing, family.as_ref());
                let base = Base { layouts: &layouts, is_known: family.is_some(), ties: &ties };
                adapter.merge(place, view_of_adapter.listing, units, &base)?
            }
            None => Merged { units, ..Merged::default() },
        };
        self.warnings.extend(warnings);
        self.families.push(family);
        for respelling in &respellings {
            units = respelling.apply(units)?;
            brought = respelling.apply(brought)?;
        }
        self.candidates.reserve_exact(units.len());
        for unit in units {
            let first = unit.tensors.first().filter(|_| unit.single);
            let own_name = first.and_then(|id| view.listing.tensors.get(*id)).map(|tensor| tensor.name.clone());
            self.candidates.push(candidate(source, own_name, unit, view.listing));
        }
        if let Some((place, view_of_adapter, _)) = adapter {
            for unit in brought {
                let own_name = Some(unit.info.name.clone()).filter(|_| unit.single);
                self.candidates.push(candidate(place, own_name, unit, view_of_adapter.listing));
            }
        }
        Ok(())
    }
}

fn candidate(source: usize, stored: Option<Name>, unit: Unit, listing: &Listing) -> Candidate {
    let spelt = match (&stored, unit.dialect) {
        (Some(stored), Some(dialect)) if *stored != unit.name => Some((unit.name, Spelling::Dialect(dialect))),
        (Some(stored), _) => modern_norm(stored)
            // beside a `weight` of its own a `gamma` is something else
            .filter(|modern| listing.position(modern).is_none())
            .map(|modern| (modern.into(), Spelling::Norm)),
        (None, Some(dialect)) => Some((unit.name, Spelling::Dialect(dialect))),
        (None, None) => Some((unit.name, Spelling::Weight)),
    };
    let plain = stored.iter().chain(spelt.as_ref().map(|(name, _)| name)).map(plain).collect();
    let (tensors, value, info, opaque) = (unit.tensors, unit.value, unit.info, unit.opaque);
    Candidate { source, tensors, stored, spelt, value, info, plain, opaque }
}
