//! One rule of a dialect, applied to the tensors that it names.

use crate::adapt::Op;
use crate::arch::{Bindings, Pattern};
use crate::error::Result;
use crate::name::join;
use crate::plan::error::PlanError;
use crate::plan::matching::unit::Unit;
use crate::plan::value::{Typed, Value, apply, apply_one};
use crate::tensor::TensorInfo;

/// A rule with what its wildcards stand for.
pub(crate) struct Application<'a> {
    pub units: &'a [Unit],
    pub sides: &'a Sides,
    pub bindings: &'a Bindings,
    pub path: &'a str,
    pub dialect: &'static str,
}

impl Application<'_> {
    /// What these units become, one for each name of the other side, and for each layer of a stack.
    pub(crate) fn results(&self, inputs: &[usize]) -> Result<Vec<Unit>> {
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
    pub(crate) fn opaque(&self, inputs: &[usize]) -> Option<Vec<Unit>> {
        let codes = inputs.iter().map(|id| &self.units[*id]).find(|unit| unit.opaque)?;
        let layers = match self.sides.stacked.filter(|_| !self.sides.gathers()) {
            Some(_) => codes.info.rows().min(MOST_LAYERS),
            None => 1,
        };
        let mut units = Vec::new();
        for layer in 0..layers {
            let mut bindings = self.bindings.clone();
            bindings.0.extend(self.sides.stacked.map(|wildcard| (wildcard.to_string(), layer.to_string())));
            for to in &self.sides.to {
                let Some(name) = Pattern::parse(to).ok().and_then(|to| to.substitute(&bindings)) else { continue };
                let made = self.unit(&name, codes.value.clone(), codes.info.clone(), inputs, false);
                units.push(Unit { opaque: true, ..made });
            }
        }
        Some(units)
    }

    /// A unit's value, or one layer of it where the rule takes it apart.
    pub(crate) fn part(&self, id: usize, layer: u64) -> Result<Typed> {
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
    pub(crate) fn gathered(&self, members: &[Vec<usize>]) -> Result<Vec<Unit>> {
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
            let Some(name) = Pattern::parse(&self.sides.to[slot])?.substitute(self.bindings) else { continue };
            results.extend(stack.into_iter().map(|(value, info)| self.unit(&name, value, info, &all, false)));
        }
        Ok(results)
    }

    pub(crate) fn ops(&self, slot: usize) -> &[Op] {
        self.sides.ops.get(slot).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn result(
        &self,
        slot: usize,
        bindings: &Bindings,
        mut parts: Vec<Typed>,
        inputs: &[usize],
    ) -> Result<Option<Unit>> {
        let (to, ops) = (&self.sides.to, self.ops(slot));
        let Some(name) = Pattern::parse(&to[slot])?.substitute(bindings) else { return Ok(None) };
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
    pub(crate) fn check_rows(&self, slot: usize, inputs: &[usize]) -> Result<()> {
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

    pub(crate) fn unit(&self, name: &str, value: Value, info: TensorInfo, inputs: &[usize], single: bool) -> Unit {
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

/// One direction of a rule.
pub(crate) struct Sides {
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub ops: Vec<Vec<Op>>,
    /// The wildcard that only one side has: its tensors are the layers of one tensor on the other.
    pub stacked: Option<&'static str>,
}

impl Sides {
    pub(crate) fn new(from: Vec<String>, to: Vec<String>, ops: Vec<Vec<Op>>) -> Sides {
        let has = |texts: &[String]| texts.iter().any(|text| text.contains(EXPERT));
        let stacked = (has(&from) != has(&to)).then_some("e");
        Sides { from, to, ops, stacked }
    }

    pub(crate) fn gathers(&self) -> bool {
        self.stacked.is_some() && self.from.iter().any(|text| text.contains(EXPERT))
    }
}

/// The wildcard that counts the members of a stack.
pub(crate) const EXPERT: &str = "{e}";
