//! `map` rules. All apply at once to the original names, never chained; the last whose target matches wins.

use super::dialects::{apply, apply_one};
use super::names::last;
use crate::adapt::{NamedOp, Op};
use crate::arch::{Bindings, MapRule, Pattern};
use crate::error::{Error, PlanError, Result, nearest};
use crate::graph::Parameter;
use crate::hash::HashMap;
use crate::order;
use crate::plan::quantized::Quantized;
use crate::plan::{SourceView, Value};
use crate::tensor::{Shape, TensorInfo};

/// What the rules say of one target.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ruled {
    /// Nothing: no rule matches.
    No,
    /// It is new.
    New {
        /// The rule.
        rule: usize,
    },
    /// The rule names what no source has; the other steps go on.
    Missing {
        /// The rule.
        rule: usize,
        /// The name.
        name: String,
    },
    /// A name that several sources have.
    Ambiguous {
        /// The rule.
        rule: usize,
        /// The name.
        name: String,
        /// The sources, by number.
        sources: Vec<usize>,
    },
    /// Its value.
    Found {
        /// The rule.
        rule: usize,
        /// The expression.
        value: Value,
        /// What it yields.
        info: TensorInfo,
        /// What it reads, by source and tensor.
        tensors: Vec<(usize, usize)>,
    },
}

/// A target that a rule is asked about.
struct Asked<'a> {
    target: &'a str,
    /// The same by way of its depth.
    lookup: &'a str,
    bindings: &'a Bindings,
    /// Its block, where that has a depth rule.
    ruled: Option<&'a str>,
}

/// What a rule comes to for a target.
enum Applied {
    Sources(Vec<(usize, usize)>),
    Said(Ruled),
}

/// The rules, found by the names that they may match, and what the sources hold.
pub(super) struct Rules<'a> {
    rules: &'a [MapRule],
    sources: &'a [SourceView<'a>],
    quantized: &'a [Quantized],
    plain: HashMap<&'a str, Vec<(usize, usize)>>,
    by_last: HashMap<&'a str, Vec<(usize, usize)>>,
    open: Vec<(usize, usize)>,
    names: HashMap<&'a str, Vec<(usize, usize)>>,
    shapes: HashMap<&'a str, &'a Shape>,
    /// By rule, whether each of its targets matched something, and whether its sources ever did; else the first name they spelt.
    matched: Vec<Vec<bool>>,
    sourced: Vec<bool>,
    missing: Vec<Option<String>>,
}

impl<'a> Rules<'a> {
    /// The rules over these sources and targets.
    pub fn new(
        rules: &'a [MapRule],
        sources: &'a [SourceView<'a>],
        quantized: &'a [Quantized],
        targets: &'a [Parameter],
    ) -> Rules<'a> {
        let mut all = Rules {
            rules,
            sources,
            quantized,
            plain: HashMap::default(),
            by_last: HashMap::default(),
            open: Vec::new(),
            names: HashMap::default(),
            shapes: HashMap::default(),
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
            all.shapes = targets.iter().map(|parameter| (parameter.name.as_str(), &parameter.shape)).collect();
            for (source, view) in sources.iter().enumerate() {
                for (tensor, info) in view.listing.tensors.iter().enumerate() {
                    all.names.entry(&info.name).or_default().push((source, tensor));
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
        order::sort_by_key(&mut found, |(rule, slot, _)| (*rule, *slot));
        found
    }

    /// What the rules say of a target under the names that its depth gives it. `ruled` is the block that has a depth rule.
    pub fn decide(&mut self, target: &str, lookup: &str, ruled: Option<&str>) -> Result<Ruled> {
        let matching = self.matching(target);
        let winner = matching.len().checked_sub(1);
        let mut decided = Ruled::No;
        for (at, (rule, slot, bindings)) in matching.into_iter().enumerate() {
            self.matched[rule][slot] = true;
            let wins = Some(at) == winner;
            if !wins && self.sourced[rule] {
                continue;
            }
            let asked = Asked { target, lookup, bindings: &bindings, ruled: ruled.filter(|_| wins) };
            let said = match self.apply(rule, slot, &asked)? {
                Applied::Said(said) => said,
                Applied::Sources(_) if !wins => Ruled::No,
                Applied::Sources(tensors) => {
                    let (value, info) = self.value(&self.rules[rule], slot, &asked, &tensors)?;
                    Ruled::Found { rule, value, info, tensors }
                }
            };
            match &said {
                Ruled::Missing { name, .. } => {
                    self.missing[rule].get_or_insert_with(|| name.clone());
                }
                _ => self.sourced[rule] = true,
            }
            if wins {
                decided = said;
            }
        }
        Ok(decided)
    }

    /// The stored tensors that a rule names for a target, or what it says instead.
    fn apply(&self, id: usize, slot: usize, asked: &Asked) -> Result<Applied> {
        let rule = &self.rules[id];
        let Some(from) = &rule.from else { return Ok(Applied::Said(Ruled::New { rule: id })) };
        let calculates = from.iter().map(|(_, pattern)| pattern).chain(&rule.to).any(Pattern::has_arithmetic);
        if let Some(block) = asked.ruled.filter(|_| calculates) {
            return Err(PlanError::ArithmeticAndDepth { rule: rule.text.clone(), block: block.into() }.into());
        }
        // a literal layer in the rule means that layer; one that the pattern leaves open goes through depth
        let through_depth = rule.to[slot].matches(asked.lookup);
        let bindings = through_depth.as_ref().unwrap_or(asked.bindings);
        let mut found = Vec::new();
        for (source, pattern) in from {
            let Some(name) = pattern.substitute(bindings) else {
                return Ok(Applied::Said(Ruled::Missing { rule: id, name: pattern.text.clone() }));
            };
            match self.find(rule, source.as_deref(), &name)?.as_slice() {
                [] => return Ok(Applied::Said(Ruled::Missing { rule: id, name })),
                [one] => found.push(*one),
                several => {
                    let sources = several.iter().map(|(source, _)| *source).collect();
                    return Ok(Applied::Said(Ruled::Ambiguous { rule: id, name, sources }));
                }
            }
        }
        Ok(Applied::Sources(found))
    }

    /// The stored tensors of a name, in one source or in any.
    fn find(&self, rule: &MapRule, source: Option<&str>, name: &str) -> Result<Vec<(usize, usize)>> {
        let all = self.names.get(name).map_or(&[][..], Vec::as_slice);
        let Some(wanted) = source else { return Ok(all.to_vec()) };
        let Some(source) = self.sources.iter().position(|view| view.name == wanted) else {
            let known = self.sources.iter().map(|view| view.name.clone()).collect();
            let (place, rule) = (rule.place.clone(), rule.text.clone());
            return Err(PlanError::UnknownSource { place, rule, name: wanted.into(), known }.into());
        };
        Ok(all.iter().filter(|(of, _)| *of == source).copied().collect())
    }

    fn value(
        &self,
        rule: &MapRule,
        slot: usize,
        asked: &Asked,
        found: &[(usize, usize)],
    ) -> Result<(Value, TensorInfo)> {
        let dequantizes = |op: &NamedOp| matches!(op, NamedOp::One(Op::Dequantize { .. }));
        let is_explicit = rule.ops.iter().any(dequantizes);
        let inputs = found.iter().map(|(source, tensor)| {
            let (listing, quantized) = (self.sources[*source].listing, &self.quantized[*source]);
            let info = &listing.tensors[*tensor];
            // a rule speaks of weights, not of their codes, unless it says itself how codes are read
            let weight = quantized.of_codes(*tensor).filter(|_| !is_explicit);
            if let Some(numbers) = weight.and_then(|weight| quantized.numbers(*source, listing, weight)) {
                return (numbers.value, numbers.info);
            }
            let (tensor, dtype, shape) = (info.name.clone(), info.dtype, info.shape.clone());
            (Value::Source { source: *source, tensor, dtype, shape }, info.clone())
        });
        let making = Making { rule, slot, target: asked.target };
        let sizes: Vec<Option<u64>> = rule
            .to
            .iter()
            .map(|to| self.shapes.get(to.substitute(asked.bindings)?.as_str())?.first().copied())
            .collect();
        making.run(inputs.collect(), &sizes)
    }

    /// The first rule that matches nothing, as an error.
    pub fn check(&self, targets: &[&str]) -> Result<()> {
        for (id, rule) in self.rules.iter().enumerate().filter(|(_, rule)| !rule.optional) {
            if let Some(slot) = self.matched[id].iter().position(|matched| !matched) {
                let pattern = rule.to[slot].text.clone();
                let nearest = super::selectors::nearest_name(&pattern, targets.iter().copied()).map(str::to_string);
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

/// The value of one target of one rule.
struct Making<'a> {
    rule: &'a MapRule,
    slot: usize,
    target: &'a str,
}

type Typed = (Value, TensorInfo);

impl Making<'_> {
    /// Concatenation (where the operations do not join), the operations in order, the split (where they do not).
    fn run(&self, mut values: Vec<Typed>, sizes: &[Option<u64>]) -> Result<Typed> {
        let joins = |op: &NamedOp| match op {
            NamedOp::Concat { .. } | NamedOp::Stack => true,
            NamedOp::One(op) => op.joins(),
            NamedOp::Split { .. } | NamedOp::SplitSizes { .. } => false,
        };
        if values.len() > 1 && !self.rule.ops.iter().any(joins) {
            values = vec![self.fit(apply(values, &[]))?];
        }
        let mut is_split = self.rule.to.len() == 1;
        for op in &self.rule.ops {
            values = match op {
                NamedOp::One(op) if op.joins() => vec![self.fit(apply_one(values, op))?],
                NamedOp::One(op) => {
                    values.into_iter().map(|value| self.fit(apply_one(vec![value], op))).collect::<Result<_>>()?
                }
                NamedOp::Concat { axis } => vec![self.fit(apply_one(values, &Op::Concat { axis: *axis }))?],
                NamedOp::Stack => vec![self.fit(apply_one(values, &Op::Stack))?],
                NamedOp::Split { axis, parts } => {
                    is_split = true;
                    let size = self.size(&values, *axis)?;
                    let pieces = equal_pieces(size, *parts)
                        .ok_or_else(|| self.uneven(*axis, size, format!("{parts} equal pieces")))?;
                    self.cut(values, *axis, &pieces)?
                }
                NamedOp::SplitSizes { axis, sizes } => {
                    is_split = true;
                    self.cut(values, *axis, sizes)?
                }
            };
        }
        if !is_split {
            let size = self.size(&values, 0)?;
            let stated: Option<Vec<u64>> = sizes.iter().copied().collect();
            let sum = |sizes: &Vec<u64>| sizes.iter().try_fold(0u64, |sum, size| sum.checked_add(*size));
            let parts = sizes.len() as u64;
            let pieces = stated
                .filter(|sizes| sum(sizes) == Some(size))
                .or_else(|| equal_pieces(size, parts))
                .ok_or_else(|| self.uneven(0, size, format!("the {parts} targets")))?;
            values = self.cut(values, 0, &pieces)?;
        }
        let pieces = values.len() as u64;
        match <[Typed; 1]>::try_from(values) {
            Ok([value]) => Ok(value),
            Err(_) => Err(self.wrong_pieces(pieces)),
        }
    }

    fn fit(&self, made: Result<Typed>) -> Result<Typed> {
        made.map_err(|error| {
            let (rule, target) = (self.rule.text.clone(), self.target.to_string());
            PlanError::MapDoesNotFit { rule, target, problem: Box::new(error) }.into()
        })
    }

    fn wrong_pieces(&self, pieces: u64) -> Error {
        let (rule, target, targets) = (self.rule.text.clone(), self.target.to_string(), self.rule.to.len() as u64);
        PlanError::MapPieces { rule, target, pieces, targets }.into()
    }

    fn uneven(&self, axis: usize, size: u64, pieces: String) -> Error {
        let (rule, target) = (self.rule.text.clone(), self.target.to_string());
        PlanError::MapSplit { rule, target, axis, size, pieces }.into()
    }

    /// The size of an axis; 0 where there is none, which no piece fits.
    fn size(&self, values: &[Typed], axis: usize) -> Result<u64> {
        match values {
            [(_, info)] => Ok(info.shape.get(axis).copied().unwrap_or(0)),
            _ => Err(self.wrong_pieces(values.len() as u64)),
        }
    }

    /// This target's piece.
    fn cut(&self, mut values: Vec<Typed>, axis: usize, pieces: &[u64]) -> Result<Vec<Typed>> {
        let size = self.size(&values, axis)?;
        if pieces.len() != self.rule.to.len() {
            return Err(self.wrong_pieces(pieces.len() as u64));
        }
        let sum = |pieces: &[u64]| pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(*piece));
        let start = pieces.get(..self.slot).and_then(sum);
        let (Some(start), Some(len), true) = (start, pieces.get(self.slot), sum(pieces) == Some(size)) else {
            return Err(self.uneven(axis, size, format!("{pieces:?}")));
        };
        let Some(value) = values.pop() else { return Err(self.wrong_pieces(0)) };
        Ok(vec![self.fit(apply_one(vec![value], &Op::Narrow { axis, start, len: *len }))?])
    }
}

/// `None` where the size is no multiple.
fn equal_pieces(size: u64, parts: u64) -> Option<Vec<u64>> {
    let count = usize::try_from(parts).ok().filter(|count| (1..=65_536).contains(count))?;
    size.is_multiple_of(parts).then(|| vec![size / parts; count])
}
