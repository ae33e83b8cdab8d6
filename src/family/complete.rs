//! Keys that a config does not state, taken from the weights that belong to it where these contradict the default.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::aliases;
use super::asked::{Asked, AskedKey};
use super::config::{Config, Reader};
use super::model::{Class, Family, Inputs};
use super::recognise::is_wrapper;
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::error::FamilyError;
use crate::graph::Builder;
use crate::tensor::{Shape, ShapeText};

/// A config with the keys that it did not state and that its weights decide.
pub(crate) struct Completed {
    pub config: Config,
    /// What was taken, key by key, in words.
    pub choices: Vec<String>,
}

/// Whose weights a config is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    /// Those that it belongs to: what it states is true of them.
    Own,
    /// Those of a source, of which it may state a change; what follows from such a change is left alone.
    Source,
}

/// Completes a config by the weights that belong to it. `None` where nothing is missing, where the default of everything that is missing
/// agrees with the weights, and where these do not have the family's names. Where the weights contradict a default and several
/// values fit them, it is an error that names the key.
pub(crate) fn complete(
    family: &'static dyn Family,
    config: &Config,
    weights: &Listing,
    whose: Weights,
) -> Result<Option<Completed>> {
    let stored = Stored::of(family, weights);
    let Some(mut best) = Built::of(family, config).filter(|built| stored.has_names_of(built)) else {
        return Ok(None);
    };
    let mut completed = Completed { config: config.clone(), choices: Vec::new() };
    // each round settles one key, which then is no longer missing
    while stored.penalty(&best) > 0 {
        let Some(choice) = Choice::best(family, &completed.config, &best, &stored, whose)? else { break };
        completed.choices.push(choice.words(family));
        completed.config.0.insert(choice.key, choice.value);
        best = choice.built;
    }
    Ok(Some(completed).filter(|completed| !completed.choices.is_empty()))
}

/// What a family makes of a config.
struct Built {
    /// Names without wrappers and base prefix; the shape, and whether another tensor owns the value.
    tensors: BTreeMap<String, (Shape, bool)>,
    keys: Vec<(String, AskedKey)>,
}

impl Built {
    fn of(family: &'static dyn Family, config: &Config) -> Option<Built> {
        let (asked, mut at) = (Asked::default(), Builder::new());
        let reader = Reader::new(family.name(), config, &asked).ok()?;
        family.declare(reader, &Inputs::default(), &Class::OfConfig, &mut at).ok()?;
        let one = |parameter: &crate::graph::Parameter| {
            let name = plain(family, &parameter.name).to_string();
            (name, (parameter.shape.clone(), parameter.tied_to.is_some()))
        };
        Some(Built { tensors: at.parameters().iter().map(one).collect(), keys: asked.keys() })
    }

    /// What is built of the config with one key stated.
    fn with(family: &'static dyn Family, config: &Config, key: &str, value: &Value) -> Option<Built> {
        let mut config = config.clone();
        config.0.insert(key.into(), value.clone());
        Built::of(family, &config)
    }

    /// The names that two configs do not have alike.
    fn differing<'a>(&'a self, other: &'a Built) -> impl Iterator<Item = &'a str> {
        let changed = self.tensors.iter().filter(|(name, known)| other.tensors.get(*name) != Some(known));
        let added = other.tensors.keys().filter(|name| !self.tensors.contains_key(*name));
        changed.map(|(name, _)| name).chain(added).map(String::as_str)
    }
}

/// A name without what stands around a model and without its base prefix.
fn plain<'a>(family: &'static dyn Family, name: &'a str) -> &'a str {
    let mut rest = name;
    while let Some((first, inner)) = rest.split_once('.') {
        if first != family.base_prefix() && !is_wrapper(first) {
            break;
        }
        rest = inner;
    }
    rest
}

/// What is stored.
struct Stored {
    tensors: BTreeMap<String, Shape>,
    /// Whether a class with a head was saved, so that what is missing of the head is missing.
    has_head_class: bool,
}

impl Stored {
    fn of(family: &'static dyn Family, weights: &Listing) -> Stored {
        let tensors = weights.tensors.iter().map(|one| (plain(family, &one.name).to_string(), one.shape.clone()));
        let prefix = format!("{}.", family.base_prefix());
        let has_head_class = weights.tensors.iter().any(|one| one.name.starts_with(&prefix));
        Stored { tensors: tensors.collect(), has_head_class }
    }

    /// Whether most of what is built has its name here.
    fn has_names_of(&self, built: &Built) -> bool {
        let owned = || built.tensors.iter().filter(|(_, (_, is_tied))| !is_tied);
        let known = owned().filter(|(name, _)| self.tensors.contains_key(*name)).count();
        known * 2 > owned().count() || known * 2 > self.tensors.len()
    }

    /// How much of what is built is not what is stored: axes of another size, names on either side alone.
    fn penalty(&self, built: &Built) -> usize {
        let missing = |name: &str, is_tied: bool| !is_tied && (self.has_head_class || !name.starts_with("lm_head"));
        let of_built = built.tensors.iter().map(|(name, (shape, is_tied))| match self.tensors.get(name) {
            Some(stored) => axes(shape, stored),
            None => usize::from(missing(name, *is_tied)) * 2,
        });
        let of_stored = self.tensors.keys().filter(|name| !built.tensors.contains_key(*name)).count() * 2;
        of_built.sum::<usize>() + of_stored
    }

    /// Whether a name is built as it is stored; a tied one may be missing.
    fn agrees(&self, name: &str, built: &Built) -> bool {
        match (built.tensors.get(name), self.tensors.get(name)) {
            (Some((shape, _)), Some(stored)) => shape == stored,
            (Some((_, is_tied)), None) => *is_tied,
            (None, stored) => stored.is_none(),
        }
    }
}

/// How many axes differ.
fn axes(a: &Shape, b: &Shape) -> usize {
    if a.len() != b.len() { a.len().max(b.len()) } else { a.iter().zip(b.iter()).filter(|(a, b)| a != b).count() }
}

/// A value for a missing key.
struct Choice {
    key: String,
    value: Value,
    default: Value,
    /// A stored tensor that the default contradicts.
    evidence: (String, Shape),
    built: Built,
}

impl Choice {
    fn words(&self, family: &'static dyn Family) -> String {
        let (name, shape) = &self.evidence;
        format!(
            "config key `{}` is not stated: it is {} by {name} {}, where the default of {} is {}",
            self.key,
            self.value,
            ShapeText(shape),
            family.name(),
            self.default
        )
    }

    /// The value of a missing key that brings what is built nearest to what is stored; `None` where none brings it nearer.
    fn best(
        family: &'static dyn Family,
        config: &Config,
        now: &Built,
        stored: &Stored,
        whose: Weights,
    ) -> Result<Option<Choice>> {
        let before = stored.penalty(now);
        let mut found: Vec<(usize, Choice)> = Vec::new();
        let is_free = |key: &str, asked: &AskedKey| whose == Weights::Own || !(asked.derived || OWN.contains(&key));
        for (key, asked) in now.keys.iter().filter(|(key, asked)| is_free(key, asked)) {
            let Some(default) = asked.default.clone() else { continue };
            for value in candidates(family, config, (key, asked, &default), now, stored) {
                let Some(built) = Built::with(family, config, key, &value) else { continue };
                let after = stored.penalty(&built);
                // what the key decides must be as it is stored, as far as no other missing key decides it too
                let changed: Vec<&str> = now.differing(&built).collect();
                let contradicted = changed.iter().find(|name| !stored.agrees(name, now));
                let evidence = contradicted.or(changed.first()).map(|name| {
                    let shape = stored.tensors.get(*name).cloned().unwrap_or_default();
                    (name.to_string(), shape)
                });
                let worse = changed.iter().any(|name| stored.agrees(name, now) && !stored.agrees(name, &built));
                if let Some(evidence) = evidence.filter(|_| after < before && !worse) {
                    let (key, default) = (key.clone(), default.clone());
                    found.push((after, Choice { key, value, default, evidence, built }));
                }
            }
        }
        let Some(least) = found.iter().map(|(penalty, _)| *penalty).min() else { return Ok(None) };
        found.retain(|(penalty, _)| *penalty == least);
        // choices that explain different tensors follow one after the other; of several for one tensor none is known to be right
        let first = found.first().map(|(_, choice)| choice.evidence.0.clone());
        found.retain(|(_, choice)| Some(&choice.evidence.0) == first.as_ref());
        if found.len() > 1 {
            return Err(undecided(family, &found));
        }
        Ok(found.into_iter().next().map(|(_, choice)| choice))
    }
}

/// Several values of one key that fit the weights equally well.
fn undecided(family: &'static dyn Family, found: &[(usize, Choice)]) -> crate::error::Error {
    let other = |choice: &Choice| found.first().is_some_and(|(_, first)| first.key != choice.key);
    let value = |(_, choice): &(usize, Choice)| match other(choice) {
        true => format!("{}={}", choice.key, choice.value),
        false => choice.value.to_string(),
    };
    let values = found.iter().map(value).collect::<Vec<_>>().join(" or ");
    let (key, default, tensor) = found.first().map_or(Default::default(), |(_, choice)| {
        (choice.key.clone(), choice.default.to_string(), choice.evidence.0.clone())
    });
    FamilyError::Unstated { family: family.name(), key, default, tensor, values }.into()
}

/// Values of a missing key that may be what the weights were made with.
fn candidates(
    family: &'static dyn Family,
    config: &Config,
    (key, asked, default): (&str, &AskedKey, &Value),
    now: &Built,
    stored: &Stored,
) -> Vec<Value> {
    match default {
        Value::Bool(flag) => vec![Value::Bool(!flag)],
        Value::Number(number) if number.is_u64() => {
            let default = number.as_u64().unwrap_or(0);
            sizes(family, config, (key, default), now, stored).into_iter().map(Value::from).collect()
        }
        _ => asked.alternatives.clone(),
    }
}

/// Sizes that the axes of stored tensors, or the numbers of stored layers, amount to.
fn sizes(
    family: &'static dyn Family,
    config: &Config,
    (key, default): (&str, u64),
    now: &Built,
    stored: &Stored,
) -> BTreeSet<u64> {
    let tried = [default.saturating_mul(2), default / 2, default + 1, default + 2, 1, 2, 3, 4, 8];
    let mut probes: Vec<(u64, Built)> = Vec::new();
    for size in tried.into_iter().filter(|size| *size > 0 && *size != default) {
        let Some(built) = Built::with(family, config, key, &size.into()) else { continue };
        let has_effect = now.differing(&built).next().is_some();
        probes.push((size, built));
        // a key that changes nothing at two values is about no shape
        if !has_effect && probes.len() > 1 && default > 0 {
            break;
        }
    }
    let mut found = BTreeSet::new();
    for (size, probe) in &probes {
        let first = Some((default, now)).filter(|_| default > 0).into_iter();
        let others = first.chain(probes.iter().filter(|(other, _)| other > size).map(|(other, built)| (*other, built)));
        for (other, built) in others {
            for name in built.differing(probe) {
                found.extend(solved(name, (other, built), (*size, probe), stored));
                found.extend(numbered(name, stored));
            }
        }
    }
    found.remove(&default);
    found
}

/// The size at which every axis of a tensor that differs at two sizes is as it is stored, proportional or with a remainder.
fn solved(name: &str, (a, first): (u64, &Built), (b, second): (u64, &Built), stored: &Stored) -> Vec<u64> {
    let (Some((first, _)), Some((second, _)), Some(wanted)) =
        (first.tensors.get(name), second.tensors.get(name), stored.tensors.get(name))
    else {
        return Vec::new();
    };
    if first.len() != wanted.len() || second.len() != wanted.len() {
        return Vec::new();
    }
    let axes = first.iter().zip(second.iter()).zip(wanted.iter()).filter(|((first, second), _)| first != second);
    axes.flat_map(|((first, second), wanted)| {
        let [a, b, first, second, wanted] = [a, b, *first, *second, *wanted].map(i128::from);
        // size · slope + rest, and product / size
        let line = exact((wanted - first).checked_mul(b - a), second - first).and_then(|step| step.checked_add(a));
        let product = a.checked_mul(first).filter(|product| b.checked_mul(second) == Some(*product));
        let inverse = product.and_then(|product| exact(Some(product), wanted));
        [line, inverse]
    })
    .flatten()
    .filter_map(|size| u64::try_from(size).ok().filter(|size| *size > 0))
    .collect()
}

fn exact(number: Option<i128>, by: i128) -> Option<i128> {
    number.filter(|number| by != 0 && number % by == 0).map(|number| number / by)
}

/// How many layers are stored beside the one that a name stands in, for each place that numbers it.
fn numbered(name: &str, stored: &Stored) -> Vec<u64> {
    let mut counts = Vec::new();
    for (at, part) in name.match_indices('.').map(|(at, _)| (at, name[at + 1..].split('.').next().unwrap_or_default()))
    {
        if part.parse::<u64>().is_err() {
            continue;
        }
        let path = &name[..=at];
        let after = stored.tensors.range(path.to_string()..).take_while(|(name, _)| name.starts_with(path));
        let layers = after.filter_map(|(name, _)| name[path.len()..].split('.').next()?.parse::<u64>().ok());
        counts.extend(layers.max().and_then(|last| last.checked_add(1)));
    }
    counts
}

/// A key that an architecture's config does not state, and whose default is not what the source has.
pub(crate) struct Divergence {
    pub key: String,
    /// What is taken where nothing is stated; `None` where that is nothing.
    pub default: Option<Value>,
    /// The value in the source's config.
    pub source: Value,
    /// Whether another name or shape follows from the source's value.
    pub changes_tensors: bool,
}

/// Keys that are about the task, the tokenizer, or new weights alone, and not about the body.
const OWN: &[&str] =
    &["architectures", "id2label", "num_labels", "pad_token_id", "eos_token_id", "decoder_start_token_id"];

/// Keys that a config leaves to a default and that the config of a source of this family states otherwise.
pub(crate) fn divergences(family: &'static dyn Family, config: &Config, source: &Config) -> Vec<Divergence> {
    let (Some(now), Some(theirs)) = (Built::of(family, config), Built::of(family, source)) else { return Vec::new() };
    let value = |config: &Config, key: &str| {
        aliases::names(family.name(), key).find_map(|name| config.0.get(name).filter(|value| !value.is_null())).cloned()
    };
    let states =
        |config: &Config, key: &str| aliases::names(family.name(), key).any(|name| config.0.contains_key(name));
    let rope = ["rope_parameters", "rope_scaling"];
    let mut found = Vec::new();
    for (key, asked) in &now.keys {
        let is_new = key.starts_with("initializer") || key == "init_std" || OWN.contains(&key.as_str());
        let is_inside =
            (key.starts_with("rope") || key.ends_with("_theta")) && rope.iter().any(|key| states(config, key));
        if is_new || is_inside || states(config, key) {
            continue;
        }
        let Some(stated) = value(source, key).filter(|stated| asked.default.as_ref() != Some(stated)) else { continue };
        if asked.derived && derived_default(family, source, key).as_ref() == Some(&stated) {
            continue;
        }
        let with = Built::with(family, config, key, &stated);
        let changes_tensors = with.map_or(asked.default.is_some(), |with| now.differing(&with).next().is_some());
        // what is stated as it would be anyway, or is about what the source has none of
        if asked.default.is_some() || theirs.keys.iter().any(|(known, _)| known == key) {
            found.push(Divergence {
                key: key.clone(),
                default: asked.default.clone(),
                source: stated,
                changes_tensors,
            });
        }
    }
    found
}

/// The default that a key would have in a config, where it follows from others.
fn derived_default(family: &'static dyn Family, config: &Config, key: &str) -> Option<Value> {
    let mut without = config.clone();
    aliases::names(family.name(), key).for_each(|name| drop(without.0.shift_remove(name)));
    Built::of(family, &without)?.keys.into_iter().find(|(known, _)| known == key)?.1.default
}

/// Whether a config leaves a size to its default that does not follow from others.
pub(crate) fn lacks_size(family: &'static dyn Family, config: &Config) -> bool {
    let is_size = |asked: &AskedKey| !asked.derived && asked.default.as_ref().is_some_and(Value::is_u64);
    Built::of(family, config).is_some_and(|built| built.keys.iter().any(|(_, asked)| is_size(asked)))
}
