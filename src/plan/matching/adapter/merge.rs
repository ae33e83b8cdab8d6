//! What is done to one tensor of the base, as an expression.

use crate::adapt::{Op, Run};
use crate::error::Result;
use crate::graph::Layout;
use crate::plan::matching::adapter::base::Base;
use crate::plan::matching::adapter::error::AdapterError;
use crate::plan::matching::stored_layout::Stored;
use crate::plan::matching::unit::Unit;
use crate::plan::value::{Typed, Value, apply_one};
use crate::tensor::{Dtype, TensorInfo};

/// What an adapter does to one tensor of the base, in this order.
#[derive(Default)]
pub(crate) struct Change {
    pub whole: Option<TensorInfo>,
    /// Some of its rows are replaced.
    pub tokens: Option<(Vec<u64>, TensorInfo)>,
    pub low_rank: Option<LowRank>,
    /// A vector times a scale is added.
    pub added: Option<(TensorInfo, f64)>,
}

/// Two factors and what they are multiplied by.
pub(crate) struct LowRank {
    pub down: TensorInfo,
    pub up: TensorInfo,
    pub scale: f64,
    /// Whether they are an embedding's, whose factors are turned.
    pub is_embedding: bool,
    /// The norms that the columns of the sum get (Liu et al., arXiv:2402.09353).
    pub magnitude: Option<TensorInfo>,
}

impl Change {
    /// Whether a whole tensor takes the place of the base's, and nothing is added.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.is_some() && self.low_rank.is_none() && self.tokens.is_none() && self.added.is_none()
    }

    /// A stored tensor that makes the change.
    pub(crate) fn shown(&self) -> &str {
        let low_rank = self.low_rank.as_ref().map(|low_rank| &low_rank.down);
        let tokens = self.tokens.as_ref().map(|(_, tokens)| tokens);
        let added = self.added.as_ref().map(|(added, _)| added);
        self.whole.as_ref().or(low_rank).or(tokens).or(added).map_or("", |info| info.name.as_str())
    }

    /// Puts the whole tensor in the place of the base's.
    pub(crate) fn replace(&self, place: usize, unit: &mut Unit) {
        let Some(whole) = &self.whole else { return };
        unit.value = Value::stored(place, whole);
        unit.info = TensorInfo { name: unit.info.name.clone(), ..whole.clone() };
    }

    /// Makes every other change to a tensor of the base; `place` is that of the adapter among the sources.
    pub(crate) fn apply(&self, place: usize, unit: &mut Unit, base: &Base, flag: bool, adapter: &str) -> Result<()> {
        let of = |info: &TensorInfo| (Value::stored(place, info), info.clone());
        // codes that no numbers can be made of stay what they are, and are refused under their own name
        if unit.opaque {
            return Ok(());
        }
        let name = unit.info.name.clone();
        let mut made = (unit.value.clone(), unit.info.clone());
        let shapes = |first: &TensorInfo, other: &TensorInfo| AdapterError::Shapes {
            name: adapter.into(),
            tensor: unit.name.to_string(),
            base: first.clone(),
            adapter: other.clone(),
        };
        if let Some((rows, tokens)) = &self.tokens {
            let fits = tokens.shape.get(1..) == made.1.shape.get(1..) && rows.iter().all(|row| *row < made.1.rows());
            if !fits {
                return Err(shapes(&made.1, tokens).into());
            }
            made = replaced(made, rows, of(tokens))?;
        }
        if let Some(low_rank) = &self.low_rank {
            if !made.1.dtype.is_float() {
                let (name, tensor, dtype) = (adapter.into(), unit.name.to_string(), made.1.dtype);
                return Err(AdapterError::Packed { name, tensor, dtype }.into());
            }
            let turned = low_rank.is_turned(&made.1, &unit.name, base, flag);
            let turned = turned.ok_or_else(|| shapes(&made.1, &low_rank.down))?;
            made = low_rank.added(made, turned, &of)?;
        }
        if let Some((added, scale)) = &self.added {
            if added.shape != made.1.shape {
                return Err(shapes(&made.1, added).into());
            }
            made = sum(made, of(added), *scale)?;
        }
        let (value, info) = made;
        unit.value = value;
        unit.info = TensorInfo { name, ..info };
        Ok(())
    }
}

impl LowRank {
    /// Whether the matrix is stored as (in, out), by its family and else by its shape; `None` where neither fits. As in PEFT the flag of the
    /// config does not outweigh the class of the module, and decides where that is not known.
    fn is_turned(&self, weight: &TensorInfo, name: &crate::tensor::Name, base: &Base, flag: bool) -> Option<bool> {
        let (rank, rest) = (self.down.rows(), weight.row_elements().ok()?);
        let (inputs, outputs) = (self.down.row_elements().ok()?, self.up.rows());
        if self.up.row_elements().ok()? != rank || weight.shape.len() < 2 {
            return None;
        }
        let fits = |turned: bool| match turned {
            true => weight.shape.len() == 2 && weight.rows() == inputs && rest == outputs,
            false => weight.rows() == outputs && rest == inputs,
        };
        match (fits(false), fits(true)) {
            _ if self.is_embedding => fits(true).then_some(true),
            (true, true)
                if matches!(base.layouts.layout(name), Some(Stored::Family(Layout::InOut) | Stored::Kernel(_))) =>
            {
                Some(true)
            }
            (true, true) if base.is_known => Some(false),
            (true, true) => Some(flag),
            (true, false) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        }
    }

    fn added(&self, weight: Typed, turned: bool, of: &dyn Fn(&TensorInfo) -> Typed) -> Result<Typed> {
        let stored = weight.1.dtype;
        let op = Op::LowRank { scale: self.scale, turned };
        let Some(magnitude) = &self.magnitude else {
            return apply_one(vec![weight, of(&self.down), of(&self.up)], &op);
        };
        // rounded once, after the norms
        let wide = stored.bits() >= Dtype::F32.bits();
        let weight = if wide { weight } else { apply_one(vec![weight], &Op::Cast { dtype: Dtype::F32 })? };
        let sum = apply_one(vec![weight, of(&self.down), of(&self.up)], &op)?;
        let axis = usize::from(turned);
        let made = apply_one(vec![of(magnitude), sum], &Op::WeightNorm { axis })?;
        if wide { Ok(made) } else { apply_one(vec![made], &Op::Cast { dtype: stored }) }
    }
}

/// A matrix with some of its rows replaced by those of another.
fn replaced(matrix: Typed, rows: &[u64], by: Typed) -> Result<Typed> {
    let by = match by.1.dtype == matrix.1.dtype {
        true => by,
        false => apply_one(vec![by], &Op::Cast { dtype: matrix.1.dtype })?,
    };
    // of a row that is named twice the last counts, as in `index_copy`
    let places: std::collections::BTreeMap<u64, u64> = rows.iter().copied().zip(0..).collect();
    let (mut runs, mut next) = (Vec::new(), 0);
    let run = |input: usize, start: u64, len: u64| Run { input, start, step: 1, len };
    for (row, place) in places {
        runs.extend((row > next).then(|| run(0, next, row - next)));
        runs.push(run(1, place, 1));
        next = row + 1;
    }
    let all = matrix.1.rows();
    runs.extend((all > next).then(|| run(0, next, all - next)));
    apply_one(vec![matrix, by], &Op::Gather { axis: 0, runs: runs.into() })
}

/// `a + scale · b`, rounded once.
fn sum(a: Typed, b: Typed, scale: f64) -> Result<Typed> {
    let stored = a.1.dtype;
    let wide = |one: (Value, TensorInfo)| match one.1.dtype {
        Dtype::F32 => Ok(one),
        _ => apply_one(vec![one], &Op::Cast { dtype: Dtype::F32 }),
    };
    let b = apply_one(vec![wide(b)?], &Op::Affine { scale, offset: 0.0 })?;
    let mean = apply_one(vec![wide(a)?, b], &Op::Lerp { t: 0.5 })?;
    let made = apply_one(vec![mean], &Op::Affine { scale: 2.0, offset: 0.0 })?;
    if stored == Dtype::F32 { Ok(made) } else { apply_one(vec![made], &Op::Cast { dtype: stored }) }
}
