//! A checkpoint in another spelling and layout of its family, for `convert --to`.

use std::collections::BTreeSet;

use crate::adapt::Op;
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::{Config, Dialect, Family, HUGGING_FACE as PLAIN};
use crate::graph::Layout;
use crate::plan::error::PlanError;
use crate::plan::matching::dialects::{family_of, find_dialects, paths, refuse_undetermined};
use crate::plan::matching::known::{Layouts, ties_of};
use crate::plan::matching::respelling::Respelling;
use crate::plan::matching::stored;
use crate::plan::matching::stored_layout::Stored;
use crate::plan::matching::unit::Unit;
use crate::plan::quantized::Quantized;
use crate::plan::value::{Value, apply_one};
use crate::tensor::TensorInfo;

/// A tensor in the new spelling.
pub(crate) struct Respelt {
    /// Type and shape, under the new name.
    pub info: TensorInfo,
    pub value: Value,
    /// The stored tensors that it is made of, by their places in the listing.
    pub tensors: Vec<usize>,
    /// The dialect that its name is of, or that it was read from; `None` where the name stays.
    pub dialect: Option<&'static str>,
}

/// Every tensor as it is stored; codes as the numbers that they stand for where `numbers` says so.
pub(crate) fn as_stored(listing: &Listing, numbers: Option<&Quantized>) -> Vec<Respelt> {
    let one = |unit: Unit| Respelt {
        info: TensorInfo { name: unit.name, ..unit.info },
        value: unit.value,
        tensors: unit.tensors.into_vec(),
        dialect: None,
    };
    stored::converted(listing, numbers).into_iter().map(one).collect()
}

/// Every tensor in the dialect called `to`, or in today's spelling for `hf`; in an order of its own. An error where no family
/// is recognised, where the family has no such dialect, and without a config, which layouts are read from.
pub(crate) fn respell(listing: &Listing, to: &str, numbers: Option<&Quantized>) -> Result<Vec<Respelt>> {
    let Some((family, config)) = family_of(listing) else {
        return Err(PlanError::NoFamily { to: to.into() }.into());
    };
    let wanted = wanted(family, to)?;
    let Some(config) = config else {
        return Err(PlanError::NoConfig { to: to.into(), family: family.name() }.into());
    };
    refuse_undetermined(family, listing, |_| false)?;
    let layouts = Layouts::of(listing, Some(family))?;
    let tensors = || listing.tensors.iter().map(|one| (one.name.as_str(), one.shape.as_slice()));
    let is_wanted = |found: &Dialect| wanted.is_some_and(|wanted| wanted.name == found.name);
    let mut read = find_dialects(family, tensors)?;
    let has_wanted = read.iter().any(|(_, found)| is_wanted(found));
    read.retain(|(_, found)| !is_wanted(found));
    let is_read = !read.is_empty();
    let units = stored::converted(listing, numbers);
    let mut units = Respelling { family, config: config.clone(), read, write: Vec::new() }.apply(units)?;
    if let Some(dialect) = wanted.filter(|dialect| dialect.stores_ties) {
        add_ties(family, &config, dialect, &mut units);
    }
    let mut write = Vec::new();
    if let Some(dialect) = wanted.filter(|_| !has_wanted || is_read) {
        let places = paths(dialect, units.iter().map(|unit| unit.name.as_str()))?;
        // what was saved from the body alone fits only with the prefix that it lacks
        let places = if places.is_empty() { BTreeSet::from([String::new()]) } else { places };
        write.extend(places.into_iter().map(|path| (path, dialect)));
    }
    let mut units = Respelling { family, config, read: Vec::new(), write }.apply(units)?;
    for unit in &mut units {
        lay_out(unit, listing, &layouts, wanted)?;
    }
    let one = |unit: Unit| Respelt {
        info: TensorInfo { name: unit.name, ..unit.info },
        value: unit.value,
        tensors: unit.tensors.into_vec(),
        dialect: unit.dialect,
    };
    Ok(units.into_iter().map(one).collect())
}

/// The other names of what the config ties, for a dialect that stores both.
fn add_ties(family: &'static dyn Family, config: &Config, dialect: &'static Dialect, units: &mut Vec<Unit>) {
    for (alias, owner) in ties_of(family, config) {
        let named = |name: &str| units.iter().find(|unit| unit.name == *name);
        if let (Some(owner), None) = (named(&owner), named(&alias)) {
            let copy =
                Unit { name: alias.as_str().into(), single: false, dialect: Some(dialect.name), ..owner.clone() };
            units.push(copy);
        }
    }
}

/// A matrix that no rule of a dialect made, as the wanted dialect stores it.
fn lay_out(unit: &mut Unit, listing: &Listing, layouts: &Layouts, wanted: Option<&'static Dialect>) -> Result<()> {
    let [id] = unit.tensors.as_slice() else { return Ok(()) };
    let stored = listing.tensors.get(*id).and_then(|stored| layouts.layout(&stored.name));
    let layout = wanted.and_then(|dialect| dialect.layout).unwrap_or(Layout::InOut);
    let is_other = matches!(stored, Some(Stored::Family(stored)) if stored != layout);
    if unit.dialect.is_none() && unit.info.shape.len() == 2 && is_other {
        let made = apply_one(vec![(unit.value.clone(), unit.info.clone())], &Op::Transpose)?;
        (unit.value, unit.info) = made;
        unit.dialect = Some(wanted.map_or(PLAIN, |dialect| dialect.name));
    }
    Ok(())
}

fn wanted(family: &'static dyn Family, to: &str) -> Result<Option<&'static Dialect>> {
    if to == PLAIN {
        return Ok(None);
    }
    let known = || std::iter::once(PLAIN).chain(family.dialects().iter().map(|dialect| dialect.name)).collect();
    let found = family.dialects().iter().find(|dialect| dialect.name == to);
    let unknown = || PlanError::NoDialect { to: to.into(), family: family.name(), known: known() };
    Ok(Some(found.ok_or_else(unknown)?))
}
