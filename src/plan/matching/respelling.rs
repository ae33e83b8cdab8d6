//! Names and values carried from one dialect of a family to another.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapt::error::AdaptError;
use crate::arch::Bindings;
use crate::error::{Error, Result};
use crate::family::{Config, Correspondence, Dialect, Family};
use crate::name::{below, join};
use crate::plan::error::PlanError;
use crate::plan::matching::application::{Application, Sides};
use crate::plan::matching::templates::Templates;
use crate::plan::matching::unit::Unit;
use crate::plan::matching::unreadable;
use crate::plan::names::is_around;

/// A family that source and target may have in common, and how the source is to be respelt for the target.
pub(crate) struct Respelling {
    pub family: &'static dyn Family,
    /// The config that its operations look at.
    pub config: Config,
    /// The source's dialects with the paths at which they stand.
    pub read: Vec<(String, &'static Dialect)>,
    pub write: Vec<(String, &'static Dialect)>,
}

impl Respelling {
    /// The units respelt: first from the source's dialects into the family's own spelling, then into the target's.
    pub(crate) fn apply(&self, mut units: Vec<Unit>) -> Result<Vec<Unit>> {
        for (path, dialect) in &self.read {
            let sides = |one: Correspondence| Sides::new(one.theirs, one.ours, (one.rule.read)(&self.config));
            let places = Prefixes { from: path, to: self.place(path, dialect), body: "" };
            units = respell(units, &places, dialect, sides)?;
        }
        for (path, dialect) in &self.write {
            let sides = |one: Correspondence| Sides::new(one.ours, one.theirs, (one.rule.write)(&self.config));
            let places = Prefixes { from: path, to: path, body: self.family.base_prefix() };
            units = respell(units, &places, dialect, sides)?;
        }
        Ok(units)
    }

    /// Where the family's own names stand that a dialect at this path becomes: a wrapper such as `module` around names that become
    /// whole, with the prefix of the body, is left out, for no model has it there.
    fn place<'p>(&self, path: &'p str, dialect: &Dialect) -> &'p str {
        let is_whole = |name: &&str| below(name, self.family.base_prefix()).is_some();
        let is_whole = dialect.rules.iter().copied().flatten().flat_map(|rule| rule.ours).any(is_whole);
        if is_whole && is_around(path) { "" } else { path }
    }
}

/// Where names are looked for, and where they stand afterwards.
pub(crate) struct Prefixes<'a> {
    pub from: &'a str,
    pub to: &'a str,
    /// The prefix that a name may lack, of what was saved from the body alone.
    pub body: &'static str,
}

/// What one application of a rule takes: for each member of a family of tensors (one where the rule has none), its inputs.
pub(crate) struct Group {
    pub bindings: Bindings,
    pub members: BTreeMap<u64, Vec<Option<usize>>>,
}

/// All rules of a dialect at once over the units below a path. What a rule lacks an input for stays as it is. A name that no rule
/// has is tried below the body's prefix.
fn respell(
    mut units: Vec<Unit>,
    places: &Prefixes,
    dialect: &'static Dialect,
    sides: impl Fn(Correspondence) -> Sides,
) -> Result<Vec<Unit>> {
    let rules: Vec<Sides> = dialect.correspondences().into_iter().map(sides).collect();
    let from = rules
        .iter()
        .enumerate()
        .flat_map(|(rule, sides)| sides.from.iter().enumerate().map(move |(slot, text)| (rule, slot, text.as_str())));
    let templates = Templates::parse(from)?;
    // by rule and what its wildcards stand for
    let mut groups: BTreeMap<(usize, Vec<String>), Group> = BTreeMap::new();
    for (id, unit) in units.iter().enumerate() {
        let found = below(&unit.name, places.from)
            .and_then(|name| templates.first(name).or_else(|| templates.first(&join(places.body, name))));
        let Some((rule, slot, mut bindings)) = found else { continue };
        let member = if rules[rule].gathers() { rules[rule].stacked.and_then(|e| bindings.0.remove(e)) } else { None };
        let Ok(member) = member.map_or(Ok(0), |member| member.parse::<u64>()) else { continue };
        let key = (rule, bindings.0.values().cloned().collect());
        let group = groups.entry(key).or_insert_with(|| Group { bindings, members: BTreeMap::new() });
        group.members.entry(member).or_insert_with(|| vec![None; rules[rule].from.len()])[slot] = Some(id);
    }
    let (mut made, mut gone) = (Vec::new(), BTreeSet::new());
    for ((rule, _), Group { bindings, members }) in groups {
        let sides = &rules[rule];
        let whole = members.keys().copied().eq(0..members.len() as u64);
        let members: Option<Vec<Vec<usize>>> =
            members.into_values().map(|inputs| inputs.into_iter().collect()).collect();
        let Some(members) = members.filter(|_| whole) else { continue };
        let application =
            Application { units: &units, sides, bindings: &bindings, path: places.to, dialect: dialect.name };
        let results = match sides.gathers() {
            true => application.gathered(&members),
            false => application.results(members.first().map_or(&[][..], Vec::as_slice)),
        };
        let results = match results {
            Ok(results) => results,
            Err(error) if is_about_the_layout(&error) => {
                let inputs: Vec<&Unit> = members.iter().flatten().map(|id| &units[*id]).collect();
                return Err(unreadable::explain(error, &inputs, units.iter().chain(&made)));
            }
            Err(error) => return Err(error),
        };
        if let [inputs] = members.as_slice()
            && let ([input], [_]) = (inputs.as_slice(), results.as_slice())
        {
            units[*input] = results.into_iter().next().unwrap_or_else(|| units[*input].clone());
            continue;
        }
        gone.extend(members.into_iter().flatten());
        made.extend(results);
    }
    let mut id = 0;
    units.retain(|_| {
        id += 1;
        !gone.contains(&(id - 1))
    });
    units.extend(made);
    Ok(units)
}

/// Whether a tensor of the source has another layout than its dialect gives it.
fn is_about_the_layout(error: &Error) -> bool {
    error.downcast_ref::<AdaptError>().is_some() || matches!(error.downcast_ref(), Some(PlanError::HeadRows { .. }))
}
