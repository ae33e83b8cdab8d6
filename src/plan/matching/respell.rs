//! A checkpoint in another spelling and layout of its family, for `convert --to`.

use super::catalog::stored_unit;
use super::dialects::{Respelling, family_of, find_dialects, paths};
use crate::checkpoint::Listing;
use crate::error::{PlanError, Result};
use crate::family::{Config, Dialect, Family};
use crate::plan::Value;
use crate::tensor::TensorInfo;

/// How today's spelling of Hugging Face is called beside the dialects.
const PLAIN: &str = "hf";

/// A tensor in the new spelling.
pub(in crate::plan) struct Respelt {
    /// Type and shape, under the new name.
    pub info: TensorInfo,
    /// Its value.
    pub value: Value,
    /// The stored tensors that it is made of, by their places in the listing.
    pub tensors: Vec<usize>,
    /// The dialect that its name is of, or that it was read from; `None` where the name stays.
    pub dialect: Option<&'static str>,
}

/// Every tensor as it is stored.
pub(in crate::plan) fn as_stored(listing: &Listing) -> Vec<Respelt> {
    let one = |(id, info): (usize, &TensorInfo)| {
        let unit = stored_unit(0, id, info);
        Respelt { info: unit.info, value: unit.value, tensors: unit.tensors, dialect: None }
    };
    listing.tensors.iter().enumerate().map(one).collect()
}

/// Every tensor in the dialect called `to`, or in today's spelling for `hf`; in an order of its own. An error where no family
/// is recognised, or the family has no such dialect.
pub(in crate::plan) fn respell(listing: &Listing, to: &str) -> Result<Vec<Respelt>> {
    let Some((family, config)) = family_of(listing) else {
        return Err(PlanError::NoFamily { to: to.into() }.into());
    };
    let wanted = wanted(family, to)?;
    let names = || listing.tensors.iter().map(|tensor| tensor.name.as_str());
    let is_wanted = |found: &Dialect| wanted.is_some_and(|wanted| wanted.name == found.name);
    let shaped = || listing.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
    let mut read = find_dialects(family, shaped)?;
    let has_wanted = read.iter().any(|(_, found)| is_wanted(found));
    read.retain(|(_, found)| !is_wanted(found));
    let mut write = Vec::new();
    if let Some(dialect) = wanted.filter(|_| !has_wanted || !read.is_empty()) {
        write.extend(read.iter().map(|(path, _)| (path.clone(), dialect)));
        if read.is_empty() {
            write.extend(paths(dialect, names())?.into_iter().map(|path| (path, dialect)));
        }
    }
    let config = config.unwrap_or_else(|| Config(serde_json::Map::new()));
    let units = listing.tensors.iter().enumerate().map(|(id, info)| stored_unit(0, id, info)).collect();
    let units = Respelling { family, config, read, write }.apply(units)?;
    let one = |unit: super::dialects::Unit| Respelt {
        info: TensorInfo { name: unit.name, ..unit.info },
        value: unit.value,
        tensors: unit.tensors,
        dialect: unit.dialect,
    };
    Ok(units.into_iter().map(one).collect())
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
