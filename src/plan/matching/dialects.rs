//! The families and dialects of both sides, and names and values carried from one spelling to the other.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::names::{below, cuts, is_around, join, last};
use super::unreadable;
use crate::adapt::Op;
use crate::arch::{Architecture, Bindings, Pattern};
use crate::checkpoint::Listing;
use crate::error::{Error, PlanError, Result};
use crate::family::{self, Config, Dialect, Family, Rule};
use crate::hash::{HashMap, HashSet};
use crate::plan::Value;
use crate::tensor::{Name, TensorInfo};

/// A value on its way from the source's spelling to the target's.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Its name in the spelling reached so far.
    pub name: Name,
    /// The stored tensors that it is made of.
    pub tensors: SmallVec<[usize; 1]>,
    /// The expression.
    pub value: Value,
    /// What it yields.
    pub info: TensorInfo,
    /// Whether it is one stored tensor, which may also go by its stored name.
    pub single: bool,
    /// The dialect that respelt it.
    pub dialect: Option<&'static str>,
    /// Whether it holds codes that no operation applies to: it goes by its name alone.
    pub opaque: bool,
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
        let spelt = |name: &str| target.parameters.iter().any(|parameter| parameter.name == *name);
        refuse_undetermined(family, source, spelt)?;
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

/// An error for a layout of the family that nothing determines, unless the target is spelt so too.
pub(super) fn refuse_undetermined(
    family: &'static dyn Family,
    source: &Listing,
    spelt: impl Fn(&str) -> bool,
) -> Result<()> {
    for layout in family.undetermined() {
        let markers = Templates::parse(layout.markers.iter().enumerate().map(|(id, text)| (id, 0, *text)))?;
        let found = source.tensors.iter().find(|tensor| markers.path(&tensor.name).is_some());
        if let Some(tensor) = found.filter(|tensor| !spelt(&tensor.name)) {
            let (by, why, remedy) = (layout.by, layout.why, layout.remedy);
            return Err(PlanError::LayoutRefused { by, source_name: tensor.name.to_string(), why, remedy }.into());
        }
    }
    Ok(())
}

/// A name of the family's own as a dialect has it, where the dialect has another name for it.
pub(in crate::plan) fn spelt(dialect: &Dialect, name: &str) -> Result<Option<String>> {
    for rule in dialect.rules {
        if let ([ours], [theirs]) = (rule.ours, rule.theirs)
            && let Some(bindings) = Pattern::parse(ours)?.matches(name)
        {
            return Ok(Pattern::parse(theirs)?.substitute(&bindings));
        }
    }
    Ok(None)
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
        let mut templates = Templates { by_last: HashMap::default(), any: Vec::new() };
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
            let sides = |rule: &Rule| Sides::new(rule.theirs, rule.ours, (rule.read)(&self.config));
            let places = Places { from: path, to: self.place(path, dialect), body: "" };
            units = respell(units, &places, dialect, sides)?;
        }
        for (path, dialect) in &self.write {
            let sides = |rule: &Rule| Sides::new(rule.ours, rule.theirs, (rule.write)(&self.config));
            let places = Places { from: path, to: path, body: self.family.base_prefix() };
            units = respell(units, &places, dialect, sides)?;
        }
        Ok(units)
    }

    /// Where the family's own names stand that a dialect at this path becomes: a wrapper such as `module` around names that become
    /// whole, with the prefix of the body, is left out, for no model has it there.
    fn place<'p>(&self, path: &'p str, dialect: &Dialect) -> &'p str {
        let is_whole = |name: &&str| below(name, self.family.base_prefix()).is_some();
        let is_whole = dialect.rules.iter().flat_map(|rule| rule.ours).any(is_whole);
        if is_whole && is_around(path) { "" } else { path }
    }
}

/// Where names are looked for, and where they stand afterwards.
struct Places<'a> {
    from: &'a str,
    to: &'a str,
    /// The prefix that a name may lack, of what was saved from the body alone.
    body: &'static str,
}

/// What one application of a rule takes: for each member of a family of tensors (one where the rule has none), its inputs.
struct Group {
    bindings: Bindings,
    members: BTreeMap<u64, Vec<Option<usize>>>,
}

/// One direction of a rule.
struct Sides {
    from: &'static [&'static str],
    to: &'static [&'static str],
    ops: Vec<Vec<Op>>,
    /// The wildcard that only one side has: its tensors are the layers of one tensor on the other.
    stacked: Option<&'static str>,
}

impl Sides {
    fn new(from: &'static [&'static str], to: &'static [&'static str], ops: Vec<Vec<Op>>) -> Sides {
        let has = |texts: &[&str]| texts.iter().any(|text| text.contains(EXPERT));
        Sides { from, to, ops, stacked: (has(from) != has(to)).then_some("e") }
    }

    /// Whether many tensors become one.
    fn gathers(&self) -> bool {
        self.stacked.is_some() && self.from.iter().any(|text| text.contains(EXPERT))
    }
}

/// The wildcard that counts the members of a stack.
const EXPERT: &str = "{e}";

/// All rules of a dialect at once over the units below a path. What a rule lacks an input for stays as it is. A name that no rule
/// has is tried below the body's prefix.
fn respell(
    mut units: Vec<Unit>,
    places: &Places,
    dialect: &'static Dialect,
    sides: impl Fn(&Rule) -> Sides,
) -> Result<Vec<Unit>> {
    let rules: Vec<Sides> = dialect.rules.iter().map(sides).collect();
    let from = rules
        .iter()
        .enumerate()
        .flat_map(|(rule, sides)| sides.from.iter().enumerate().map(move |(slot, text)| (rule, slot, *text)));
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
            Err(error @ (Error::Adapt(_) | Error::Plan(PlanError::HeadRows { .. }))) => {
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

/// A rule with what its wildcards stand for.
struct Application<'a> {
    units: &'a [Unit],
    sides: &'a Sides,
    bindings: &'a Bindings,
    path: &'a str,
    dialect: &'static str,
}

impl Application<'_> {
    /// What these units become, one for each name of the other side, and for each layer of a stack.
    fn results(&self, inputs: &[usize]) -> Result<Vec<Unit>> {
        if let Some(opaque) = self.opaque(inputs) {
            return Ok(opaque);
        }
        let first = inputs.first().map(|id| &self.units[*id].info);
        let layers = match (self.sides.stacked, first) {
            (Some(_), Some(info)) => info.shape.first().copied().unwrap_or(0).min(MOST_LAYERS),
            _ => 1,
        };
        let mut results = Vec::new();
        for layer in 0..layers {
            let mut bindings = self.bindings.clone();
            if let Some(wildcard) = self.sides.stacked {
                bindings.0.insert(wildcard.to_string(), layer.to_string());
            }
            for slot in 0..self.sides.to.len() {
                let parts = inputs.iter().map(|id| self.part(*id, layer)).collect::<Result<Vec<_>>>()?;
                results.extend(self.result(slot, &bindings, parts, inputs)?);
            }
        }
        Ok(results)
    }

    /// Where an input is codes that nothing can be made of, the names of what would be made.
    fn opaque(&self, inputs: &[usize]) -> Option<Vec<Unit>> {
        let codes = inputs.iter().map(|id| &self.units[*id]).find(|unit| unit.opaque)?;
        let layers = match self.sides.stacked.filter(|_| !self.sides.gathers()) {
            Some(_) => codes.info.rows().min(MOST_LAYERS),
            None => 1,
        };
        let mut units = Vec::new();
        for layer in 0..layers {
            let mut bindings = self.bindings.clone();
            bindings.0.extend(self.sides.stacked.map(|wildcard| (wildcard.to_string(), layer.to_string())));
            for to in self.sides.to {
                let Some(name) = Pattern::parse(to).ok().and_then(|to| to.substitute(&bindings)) else { continue };
                let made = self.unit(&name, codes.value.clone(), codes.info.clone(), inputs, false);
                units.push(Unit { opaque: true, ..made });
            }
        }
        Some(units)
    }

    /// A unit's value, or one layer of it where the rule takes it apart.
    fn part(&self, id: usize, layer: u64) -> Result<(Value, TensorInfo)> {
        let unit = &self.units[id];
        let whole = (unit.value.clone(), unit.info.clone());
        match self.sides.stacked {
            Some(_) => {
                let shape = unit.info.shape.get(1..).unwrap_or(&[]).to_vec();
                let one = apply_one(vec![whole], &Op::Narrow { axis: 0, start: layer, len: 1 })?;
                apply_one(vec![one], &Op::Reshape { shape: shape.into() })
            }
            None => Ok(whole),
        }
    }

    /// All members as one: each is made as the rule says, and is a layer of the stack.
    fn gathered(&self, members: &[Vec<usize>]) -> Result<Vec<Unit>> {
        let all: Vec<usize> = members.iter().flatten().copied().collect();
        if let Some(opaque) = self.opaque(&all) {
            return Ok(opaque);
        }
        let mut results = Vec::new();
        for slot in 0..self.sides.to.len() {
            let layer = |inputs: &Vec<usize>| {
                let parts = inputs.iter().map(|id| (self.units[*id].value.clone(), self.units[*id].info.clone()));
                apply(parts.collect(), self.ops(slot))
            };
            let layers = members.iter().map(layer).collect::<Result<Vec<_>>>()?;
            let stack = vec![apply_one(layers, &Op::Stack)?];
            let Some(name) = Pattern::parse(self.sides.to[slot])?.substitute(self.bindings) else { continue };
            results.extend(stack.into_iter().map(|(value, info)| self.unit(&name, value, info, &all, false)));
        }
        Ok(results)
    }

    fn ops(&self, slot: usize) -> &[Op] {
        self.sides.ops.get(slot).map_or(&[], Vec::as_slice)
    }

    fn result(
        &self,
        slot: usize,
        bindings: &Bindings,
        mut parts: Vec<(Value, TensorInfo)>,
        inputs: &[usize],
    ) -> Result<Option<Unit>> {
        let (to, ops) = (self.sides.to, self.ops(slot));
        let Some(name) = Pattern::parse(to[slot])?.substitute(bindings) else { return Ok(None) };
        if let Some(Op::RopePermute { heads: 0, .. }) = ops.first() {
            let source_name = inputs.first().map(|id| self.units[*id].name.to_string()).unwrap_or_default();
            return Err(PlanError::HeadsUnknown { dialect: self.dialect, source_name }.into());
        }
        self.check_rows(slot, inputs)?;
        // several names of one tensor are its equal pieces where nothing else is said
        if let ([(_, info)], true, true) = (parts.as_slice(), to.len() > 1, ops.is_empty()) {
            let len = info.shape.first().copied().unwrap_or(0) / to.len() as u64;
            let piece = Op::Narrow { axis: 0, start: len.saturating_mul(slot as u64), len };
            parts = vec![apply_one(parts, &piece)?];
        }
        let (value, info) = match (parts.as_slice(), ops) {
            ([(_, info)], [Op::Reshape { shape }]) if shape.is_empty() => {
                let shape = info.shape.get(1..).unwrap_or_default().to_vec();
                apply(parts, &[Op::Reshape { shape: shape.into() }])?
            }
            _ => apply(parts, ops)?,
        };
        let single = to.len() == 1 && self.sides.stacked.is_none() && matches!(inputs, [id] if self.units[*id].single);
        Ok(Some(self.unit(&name, value, info, inputs, single)))
    }

    /// An error where the rows of the heads that the config states are not those of the tensor: operations on rows would take others.
    fn check_rows(&self, slot: usize, inputs: &[usize]) -> Result<()> {
        let taken = |ops: &Vec<Op>| match ops.first() {
            Some(Op::RopePermute { heads, rotary, to: _ }) => heads.checked_mul(*rotary),
            Some(Op::Narrow { axis: 0, len, start: _ }) => Some(*len),
            Some(Op::Gather { axis: 0, runs }) => runs.iter().try_fold(0u64, |sum, run| sum.checked_add(run.len)),
            _ => None,
        };
        let lists: &[Vec<Op>] =
            if self.sides.to.len() > 1 { &self.sides.ops } else { self.sides.ops.get(slot..=slot).unwrap_or_default() };
        let Some(expected) = lists.iter().map(taken).try_fold(0u64, |sum, len| sum.checked_add(len?)) else {
            return Ok(());
        };
        let stored: Vec<&Unit> = inputs.iter().filter_map(|id| self.units.get(*id)).collect();
        let found = stored.iter().fold(0u64, |sum, unit| sum.saturating_add(unit.info.rows()));
        match stored.first().filter(|_| !lists.is_empty() && self.sides.stacked.is_none() && found != expected) {
            Some(unit) => {
                let (dialect, source_name) = (self.dialect, unit.name.to_string());
                Err(PlanError::HeadRows { dialect, source_name, expected, found }.into())
            }
            None => Ok(()),
        }
    }

    fn unit(&self, name: &str, value: Value, info: TensorInfo, inputs: &[usize], single: bool) -> Unit {
        Unit {
            name: join(self.path, name).into(),
            tensors: inputs.iter().flat_map(|id| self.units[*id].tensors.iter().copied()).collect(),
            value,
            info,
            single,
            dialect: Some(self.dialect),
            opaque: false,
        }
    }
}

/// The most layers that a stack is taken apart into.
const MOST_LAYERS: u64 = 1 << 16;

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
