//! `map` rules. All apply at once to the original names, never chained; the last that matches and whose source exists wins.

use crate::arch::{Bindings, MapRule, Pattern};
use crate::error::{Error, Result, nearest};
use crate::graph::{Layout, Parameter};
use crate::hash::HashMap;
use crate::name::last;
use crate::plan::error::PlanError;
use crate::plan::inputs::SourceView;
use crate::plan::matching::map_value::Making;
use crate::plan::matching::unbound::Unbound;
use crate::plan::selectors::nearest_name;
use crate::plan::value::Typed;

/// What the rules say of one target.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ruled {
    No,
    New {
        rule: usize,
    },
    /// The rule names what no source has; the other steps go on.
    Missing {
        rule: usize,
        name: String,
    },
    /// A name that several sources have.
    Ambiguous {
        rule: usize,
        name: String,
        sources: Vec<usize>,
    },
    Found {
        rule: usize,
        /// The place of the target among those of the rule.
        slot: usize,
        /// What it reads, by source and tensor.
        tensors: Vec<(usize, usize)>,
        /// The rows and the outputs of each target of the rule, where the target model has it.
        sizes: Vec<Option<SplitSizes>>,
    },
}

/// A target that a rule is asked about.
struct RuleTarget<'a> {
    target: &'a str,
    /// The name after its depth rule.
    lookup: &'a str,
    bindings: &'a Bindings,
    /// Its block, where that has a depth rule.
    ruled: Option<&'a str>,
}

/// What a rule comes to for a target.
enum Applied {
    Sources(Vec<(usize, usize)>),
    Ruled(Ruled),
}

/// The sizes by which one tensor is split into several targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SplitSizes {
    /// The first axis.
    pub rows: u64,
    /// The axis of the outputs: the last of `(in, out)`.
    pub outputs: u64,
}

/// A stored tensor of a rule, as a value.
pub(crate) type Leaf<'a> = &'a dyn Fn((usize, usize)) -> Result<Typed>;

/// The rules, found by the names that they may match, and what the sources hold.
pub(crate) struct Rules<'a> {
    rules: &'a [MapRule],
    sources: &'a [SourceView<'a>],
    plain: HashMap<&'a str, Vec<(usize, usize)>>,
    by_last: HashMap<&'a str, Vec<(usize, usize)>>,
    open: Vec<(usize, usize)>,
    names: HashMap<&'a str, Vec<(usize, usize)>>,
    unbound: Unbound<'a>,
    parameters: HashMap<&'a str, &'a Parameter>,
    /// By rule, whether each of its targets matched something, and whether its sources ever did; else the first name they spelt.
    matched: Vec<Vec<bool>>,
    sourced: Vec<bool>,
    missing: Vec<Option<String>>,
}

impl<'a> Rules<'a> {
    /// The rules over these sources and targets.
    pub(crate) fn new(rules: &'a [MapRule], sources: &'a [SourceView<'a>], targets: &'a [Parameter]) -> Rules<'a> {
        let mut all = Rules {
            rules,
            sources,
            plain: HashMap::default(),
            by_last: HashMap::default(),
            open: Vec::new(),
            names: HashMap::default(),
            unbound: Unbound::new(sources),
            parameters: HashMap::default(),
            matched: rules.iter().map(|rule| vec![false; rule.to.len()]).collect(),
            sourced: vec![false; rules.len()],
            missing: vec![None; rules.len()],
        };
        for (rule, slot, pattern) in self::targets(rules) {
            let end = last(&pattern.text);
            if pattern.is_plain() {
                all.plain.entry(&pattern.text).or_default().push((rule, slot));
            } else if end.contains(['{', '}', '*']) {
                all.open.push((rule, slot));
            } else {
                all.by_last.entry(end).or_default().push((rule, slot));
            }
        }
        if !rules.is_empty() {
            all.parameters = targets.iter().map(|parameter| (parameter.name.as_str(), parameter)).collect();
            for (source, view) in sources.iter().enumerate() {
                for (tensor, info) in view.listing.tensors.iter().enumerate() {
                    all.names.entry(&info.name).or_default().push((source, tensor));
                }
                // an archive of Keras names its layers, and its file their places: both are names of one tensor
                for (name, variable) in &view.listing.variables {
                    if let (Some(stored), Some(tensor)) = (&variable.stored, view.listing.position(name)) {
                        all.names.entry(stored).or_default().push((source, tensor));
                    }
                }
            }
        }
        all
    }

    /// Every rule's target that matches, in order of the rules.
    fn matching(&self, target: &str) -> Vec<(usize, usize, Bindings)> {
        let likely = [self.plain.get(target), self.by_last.get(last(target)), Some(&self.open)];
        let mut found: Vec<(usize, usize, Bindings)> = likely
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|(rule, slot)| Some((*rule, *slot, self.rules[*rule].to[*slot].matches(target)?)))
            .collect();
        found.sort_by_key(|(rule, slot, _)| (*rule, *slot));
        found
    }

    /// What the rules say of a target under the names that its depth gives it. `ruled` is the block that has a depth rule.
    pub(crate) fn decide(&mut self, target: &str, lookup: &str, ruled: Option<&str>) -> Result<Ruled> {
        let mut decided: Option<Ruled> = None;
        let mut missing = Ruled::No;
        for (rule, slot, bindings) in self.matching(target).into_iter().rev() {
            self.matched[rule][slot] = true;
            if decided.is_some() && self.sourced[rule] {
                continue;
            }
            let asked = RuleTarget { target, lookup, bindings: &bindings, ruled: ruled.filter(|_| decided.is_none()) };
            let said = match self.apply(rule, slot, &asked) {
                // which of several it is does not matter where another rule wins
                Err(error) if decided.is_some() && is_not_unique(&error) => {
                    self.sourced[rule] = true;
                    continue;
                }
                Err(error) => return Err(error),
                Ok(Applied::Ruled(said)) => said,
                Ok(Applied::Sources(tensors)) => {
                    let sizes = self.sizes(&self.rules[rule], &asked);
                    Ruled::Found { rule, slot, tensors, sizes }
                }
            };
            match said {
                Ruled::Missing { ref name, .. } => {
                    self.missing[rule].get_or_insert_with(|| name.clone());
                    missing = said;
                }
                said => {
                    self.sourced[rule] = true;
                    decided.get_or_insert(said);
                }
            }
        }
        Ok(decided.unwrap_or(missing))
    }

    /// The stored tensors that a rule names for a target, or what it says instead.
    fn apply(&self, id: usize, slot: usize, asked: &RuleTarget) -> Result<Applied> {
        let rule = &self.rules[id];
        let Some(from) = &rule.from else { return Ok(Applied::Ruled(Ruled::New { rule: id })) };
        let calculates = from.iter().map(|(_, pattern)| pattern).chain(&rule.to).any(Pattern::has_arithmetic);
        if let Some(block) = asked.ruled.filter(|_| calculates) {
            return Err(PlanError::ArithmeticAndDepth { rule: rule.text.clone(), block: block.into() }.into());
        }
        // a literal layer in the rule means that layer; one that the pattern leaves open goes through depth
        let through_depth = rule.to[slot].matches(asked.lookup);
        let bindings = through_depth.as_ref().unwrap_or(asked.bindings);
        let mut found = Vec::new();
        for (source, pattern) in from {
            let source = source.as_deref().map(|source| self.source(rule, source)).transpose()?;
            let Some(named) = self.named(rule, asked.target, (source, pattern), bindings)? else {
                return Ok(Applied::Ruled(Ruled::Missing { rule: id, name: pattern.text.clone() }));
            };
            match named.tensors.as_slice() {
                [] => return Ok(Applied::Ruled(Ruled::Missing { rule: id, name: named.name })),
                [one] => found.push(*one),
                several => {
                    let sources = several.iter().map(|(source, _)| *source).collect();
                    return Ok(Applied::Ruled(Ruled::Ambiguous { rule: id, name: named.name, sources }));
                }
            }
        }
        Ok(Applied::Sources(found))
    }

    /// The stored tensors that a source pattern names under these bindings; `None` where arithmetic leaves the integers.
    fn named(
        &self,
        rule: &MapRule,
        target: &str,
        (source, pattern): (Option<usize>, &Pattern),
        bindings: &Bindings,
    ) -> Result<Option<Named>> {
        let is_wanted = |of: usize| source.is_none_or(|wanted| wanted == of);
        if pattern.wildcards().iter().all(|key| bindings.0.contains_key(*key)) {
            let Some(name) = pattern.substitute(bindings) else { return Ok(None) };
            let all = self.names.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            return Ok(Some(Named { tensors: all.iter().copied().filter(|(of, _)| is_wanted(*of)).collect(), name }));
        }
        let Some(open) = pattern.bound(bindings) else { return Ok(None) };
        match self.unbound.find(&open, is_wanted) {
            Ok(tensors) => Ok(Some(Named { tensors, name: pattern.text.clone() })),
            Err([first, second]) => {
                let (rule, from, target) = (rule.text.clone(), pattern.text.clone(), target.to_string());
                Err(PlanError::MapNotUnique { rule, from, target, first, second }.into())
            }
        }
    }

    fn source(&self, rule: &MapRule, wanted: &str) -> Result<usize> {
        self.sources.iter().position(|view| view.name == wanted).ok_or_else(|| {
            let known = self.sources.iter().map(|view| view.name.clone()).collect();
            let (place, rule) = (rule.place.clone(), rule.text.clone());
            PlanError::UnknownSource { place, rule, name: wanted.into(), known }.into()
        })
    }

    /// The sizes of each target of a rule.
    fn sizes(&self, rule: &MapRule, asked: &RuleTarget) -> Vec<Option<SplitSizes>> {
        let sizes = |to: &Pattern| {
            let parameter = self.parameters.get(to.substitute(asked.bindings)?.as_str())?;
            let rows = *parameter.shape.first()?;
            let outputs = match (parameter.layout, parameter.shape.as_slice()) {
                (Layout::InOut, [_, outputs]) => *outputs,
                _ => rows,
            };
            Some(SplitSizes { rows, outputs })
        };
        rule.to.iter().map(sizes).collect()
    }

    /// The value of what was found for a target.
    pub(crate) fn value(
        &self,
        target: &str,
        (rule, slot): (usize, usize),
        tensors: &[(usize, usize)],
        sizes: &[Option<u64>],
        leaf: Leaf,
    ) -> Result<Typed> {
        let rule = &self.rules[rule];
        let inputs = tensors.iter().map(|tensor| leaf(*tensor)).collect::<Result<Vec<_>>>()?;
        Making { rule, slot, target }.run(inputs, sizes)
    }

    /// The first rule that matches nothing, as an error.
    pub(crate) fn check(&self, targets: &[&str]) -> Result<()> {
        for (id, rule) in self.rules.iter().enumerate().filter(|(_, rule)| !rule.optional) {
            if let Some(slot) = self.matched[id].iter().position(|matched| !matched) {
                let pattern = rule.to[slot].text.clone();
                let nearest = nearest_name(&pattern, targets.iter().copied()).map(str::to_string);
                return Err(PlanError::MatchesNothing {
                    place: rule.place.clone(),
                    pattern,
                    of: "target tensor",
                    nearest,
                }
                .into());
            }
            if let (false, Some(name), false) = (self.sourced[id], &self.missing[id], self.sources.is_empty()) {
                let stored = self.sources.iter().flat_map(|view| view.listing.tensors.iter().map(|t| t.name.as_str()));
                let nearest = nearest(name, stored).map(str::to_string);
                let (place, rule, name) = (rule.place.clone(), rule.text.clone(), name.clone());
                return Err(PlanError::MapNamesNothing { place, rule, name, nearest }.into());
            }
        }
        Ok(())
    }
}

fn targets(rules: &[MapRule]) -> impl Iterator<Item = (usize, usize, &Pattern)> {
    rules.iter().enumerate().flat_map(|(id, rule)| rule.to.iter().enumerate().map(move |(slot, to)| (id, slot, to)))
}

/// The stored tensors of a name, and the name.
struct Named {
    name: String,
    tensors: Vec<(usize, usize)>,
}

fn is_not_unique(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(PlanError::MapNotUnique { .. }))
}
