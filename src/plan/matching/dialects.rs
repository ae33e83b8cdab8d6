//! The families and dialects of both sides, and names and values carried from one spelling to the other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::names::{below, cuts, join, last};
use crate::adapt::Op;
use crate::arch::{Architecture, Bindings, Pattern};
use crate::checkpoint::Listing;
use crate::error::{PlanError, Result};
use crate::family::{self, Config, Dialect, Family, Rule};
use crate::plan::Value;
use crate::tensor::TensorInfo;

/// A value on its way from the source's spelling to the target's.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Its name in the spelling reached so far.
    pub name: String,
    /// The stored tensors that it is made of.
    pub tensors: Vec<usize>,
    /// The expression.
    pub value: Value,
    /// What it yields.
    pub info: TensorInfo,
    /// Whether it is one stored tensor, which may also go by its stored name.
    pub single: bool,
    /// The dialect that respelt it.
    pub dialect: Option<&'static str>,
}

/// A family that source and target may have in common, and how the source is to be respelt for the target.
pub(super) struct Respelling {
    /// The family.
    pub family: &'static dyn Family,
    /// The config that its operations look at.
    pub config: Config,
    /// The source's dialects with the paths at which they stand.
    pub read: Vec<(String, &'static Dialect)>,
    /// The target's.
    pub write: Vec<(String, &'static Dialect)>,
}

/// The family of a source as recognised, with its config.
pub(super) fn family_of(source: &Listing) -> Option<(&'static dyn Family, Option<Config>)> {
    family::recognise(source)
}

/// The family of a checkpoint and the dialects in which it is spelt, each once; `None` where no family is recognised.
pub fn recognise(listing: &Listing) -> Result<Option<(String, Vec<String>)>> {
    let Some((family, _)) = family_of(listing) else { return Ok(None) };
    let found = find_dialects(family, || listing.tensors.iter().map(|one| (one.name.as_str(), one.shape.as_slice())))?;
    let mut dialects: Vec<String> = Vec::new();
    for (_, dialect) in found {
        if !dialects.iter().any(|known| known == dialect.name) {
            dialects.push(dialect.name.into());
        }
    }
    Ok(Some((family.name().into(), dialects)))
}

/// What is to be respelt, family by family: the source's own and those of the target's blocks.
pub(super) fn respellings(
    source: &Listing,
    own: Option<&(&'static dyn Family, Option<Config>)>,
    target: &Architecture,
) -> Result<Vec<Respelling>> {
    // a config of the target says nothing of how the source is laid out
    let mut families: Vec<(&'static dyn Family, Option<Config>)> = own.cloned().into_iter().collect();
    for block in &target.blocks {
        if !families.iter().any(|(family, _)| family.name() == block.family.name()) {
            families.push((block.family, None));
        }
    }
    let mut all = Vec::new();
    for (family, config) in families {
        let read =
            find_dialects(family, || source.tensors.iter().map(|one| (one.name.as_str(), one.shape.as_slice())))?;
        let write =
            find_dialects(family, || target.parameters.iter().map(|one| (one.name.as_str(), one.shape.as_slice())))?;
        let names =
            |found: &[(String, &Dialect)]| found.iter().map(|(_, dialect)| dialect.name).collect::<HashSet<_>>();
        if names(&read) != names(&write) {
            let config = config.unwrap_or_else(|| Config(serde_json::Map::new()));
            all.push(Respelling { family, config, read, write });
        }
    }
    Ok(all)
}

/// The dialects whose markers stand among the names and shapes, with the path before the marker; the first of the family for each path.
pub(super) fn find_dialects<'a, I: Iterator<Item = (&'a str, &'a [u64])>>(
    family: &'static dyn Family,
    names: impl Fn() -> I,
) -> Result<Vec<(String, &'static Dialect)>> {
    let mut found: Vec<(String, &'static Dialect)> = Vec::new();
    for dialect in family.dialects() {
        let markers = Templates::parse(dialect.markers.iter().enumerate().map(|(id, text)| (id, 0, *text)))?;
        for (name, _) in names().filter(|(_, shape)| (dialect.marker_shape)(shape)) {
            let path = markers.path(name).filter(|path| !found.iter().any(|(known, _)| known == path));
            found.extend(path.map(|path| (path.to_string(), dialect)));
        }
    }
    Ok(found)
}

/// The paths below which names fit the family's own side of a dialect, each once, in order.
pub(super) fn paths<'a>(dialect: &Dialect, names: impl Iterator<Item = &'a str>) -> Result<BTreeSet<String>> {
    let ours = dialect.rules.iter().enumerate();
    let ours = ours.flat_map(|(id, rule)| rule.ours.iter().enumerate().map(move |(slot, text)| (id, slot, *text)));
    let templates = Templates::parse(ours)?;
    Ok(names.filter_map(|name| templates.path(name)).map(str::to_string).collect())
}

/// Templates, found by the last component of a name where that is plain text.
pub(super) struct Templates {
    by_last: HashMap<String, Vec<(usize, usize, Pattern)>>,
    any: Vec<(usize, usize, Pattern)>,
}

impl Templates {
    /// Each template with the number of its rule and its place there.
    pub fn parse<'a>(texts: impl IntoIterator<Item = (usize, usize, &'a str)>) -> Result<Templates> {
        let mut templates = Templates { by_last: HashMap::new(), any: Vec::new() };
        for (rule, slot, text) in texts {
            let entry = (rule, slot, Pattern::parse(text)?);
            let end = last(text);
            if end.contains(['{', '}', '*']) {
                templates.any.push(entry);
            } else {
                templates.by_last.entry(end.to_string()).or_default().push(entry);
            }
        }
        Ok(templates)
    }

    fn likely(&self, name: &str) -> impl Iterator<Item = &(usize, usize, Pattern)> {
        self.by_last.get(last(name)).into_iter().flatten().chain(&self.any)
    }

    /// The first template that a name fits: its rule, its place there, what the wildcards stand for.
    fn first(&self, name: &str) -> Option<(usize, usize, Bindings)> {
        let fits = |(rule, slot, pattern): &(usize, usize, Pattern)| Some((*rule, *slot, pattern.matches(name)?));
        self.likely(name).filter_map(fits).min_by_key(|(rule, slot, _)| (*rule, *slot))
    }

    /// The shortest path below which the name fits a template.
    pub fn path<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.likely(name).next()?;
        let whole = std::iter::once(("", name));
        whole.chain(cuts(name)).find(|(_, rest)| self.first(rest).is_some()).map(|(path, _)| path)
    }
}

impl Respelling {
    /// The units respelt: first from the source's dialects into the family's own spelling, then into the target's.
    pub fn apply(&self, mut units: Vec<Unit>) -> Result<Vec<Unit>> {
        for (path, dialect) in &self.read {
            let sides = |rule: &Rule| (rule.theirs, rule.ours, (rule.read)(&self.config));
            units = respell(units, path, "", dialect, sides)?;
        }
        for (path, dialect) in &self.write {
            let sides = |rule: &Rule| (rule.ours, rule.theirs, (rule.write)(&self.config));
            units = respell(units, path, self.family.base_prefix(), dialect, sides)?;
        }
        Ok(units)
    }
}

/// What one application of a rule takes.
struct Group {
    bindings: Bindings,
    inputs: Vec<Option<usize>>,
}

type Sides = (&'static [&'static str], &'static [&'static str], Vec<Vec<Op>>);

/// All rules of a dialect at once over the units below a path. What a rule lacks an input for stays as it is. A name that no rule
/// has is tried below `body`, for what was saved from the body alone.
fn respell(
    mut units: Vec<Unit>,
    path: &str,
    body: &str,
    dialect: &'static Dialect,
    sides: impl Fn(&Rule) -> Sides,
) -> Result<Vec<Unit>> {
    let rules: Vec<Sides> = dialect.rules.iter().map(sides).collect();
    let from = rules
        .iter()
        .enumerate()
        .flat_map(|(rule, (from, _, _))| from.iter().enumerate().map(move |(slot, text)| (rule, slot, *text)));
    let templates = Templates::parse(from)?;
    // by rule and what its wildcards stand for
    let mut groups: BTreeMap<(usize, Vec<String>), Group> = BTreeMap::new();
    for (id, unit) in units.iter().enumerate() {
        let found = below(&unit.name, path)
            .and_then(|name| templates.first(name).or_else(|| templates.first(&join(body, name))));
        let Some((rule, slot, bindings)) = found else { continue };
        let key = (rule, bindings.0.values().cloned().collect());
        let group = || Group { bindings, inputs: vec![None; rules[rule].0.len()] };
        groups.entry(key).or_insert_with(group).inputs[slot] = Some(id);
    }
    let mut made = Vec::new();
    for ((rule, _), Group { bindings, inputs }) in groups {
        let (_, to, ops) = &rules[rule];
        let Some(inputs) = inputs.into_iter().collect::<Option<Vec<usize>>>() else { continue };
        let results = results(&units, &inputs, to, ops, &bindings, path, dialect.name)?;
        match (inputs.as_slice(), <[Unit; 1]>::try_from(results)) {
            ([input], Ok([result])) => units[*input] = result,
            (_, Ok([result])) => made.push(result),
            (_, Err(results)) => made.extend(results),
        }
    }
    units.extend(made);
    Ok(units)
}

fn results(
    units: &[Unit],
    inputs: &[usize],
    to: &[&str],
    ops: &[Vec<Op>],
    bindings: &Bindings,
    path: &str,
    dialect: &'static str,
) -> Result<Vec<Unit>> {
    let mut results = Vec::new();
    for (slot, text) in to.iter().enumerate() {
        let Some(name) = Pattern::parse(text)?.substitute(bindings) else { continue };
        let parts: Vec<(Value, TensorInfo)> =
            inputs.iter().map(|id| (units[*id].value.clone(), units[*id].info.clone())).collect();
        let ops = ops.get(slot).map_or(&[][..], Vec::as_slice);
        if let Some(Op::RopePermute { heads: 0, .. }) = ops.first() {
            let source_name = inputs.first().map(|id| units[*id].name.clone()).unwrap_or_default();
            return Err(PlanError::HeadsUnknown { dialect, source_name }.into());
        }
        let (value, info) = apply(parts, ops)?;
        results.push(Unit {
            name: join(path, &name),
            tensors: inputs.iter().flat_map(|id| units[*id].tensors.iter().copied()).collect(),
            value,
            info,
            single: to.len() == 1 && inputs.len() == 1 && units[inputs[0]].single,
            dialect: Some(dialect),
        });
    }
    Ok(results)
}

/// The operations in order; the first takes all values together, the others the one result.
pub(super) fn apply(mut inputs: Vec<(Value, TensorInfo)>, ops: &[Op]) -> Result<(Value, TensorInfo)> {
    let mut ops = ops.iter();
    if inputs.len() != 1 {
        let concat = Op::Concat { axis: 0 };
        let op = ops.next().unwrap_or(&concat);
        inputs = vec![apply_one(inputs, op)?];
    }
    let mut result = inputs.remove(0);
    for op in ops {
        result = apply_one(vec![result], op)?;
    }
    Ok(result)
}

/// One operation over all of these values.
pub(super) fn apply_one(inputs: Vec<(Value, TensorInfo)>, op: &Op) -> Result<(Value, TensorInfo)> {
    let (values, infos): (Vec<Value>, Vec<TensorInfo>) = inputs.into_iter().unzip();
    let info = op.out(&infos)?;
    Ok((Value::Apply { op: op.clone(), inputs: values }, info))
}
