//! What a source has stored: each tensor, numbers of few bits with the scale beside them, and what an adapter adds.

use std::collections::BTreeMap;

use smallvec::smallvec;

use super::adapter::Adapter;
use super::dialects::{Unit, apply_one};
use crate::adapt::Op;
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::Config;
use crate::plan::{SourceView, Value, facts};
use crate::tensor::{Dtype, TensorInfo};

/// The units of a source, with what an adapter does to them.
pub(super) fn units(source: usize, view: &SourceView, adapter: Option<(usize, &Adapter)>) -> Result<Vec<Unit>> {
    let units = dequantized(source, view.listing);
    match adapter {
        Some((place, adapter)) => adapter.apply(place, units),
        None => Ok(units),
    }
}

/// A stored tensor as the first unit of every respelling.
fn stored_unit(source: usize, id: usize, info: &TensorInfo) -> Unit {
    let value = Value::Source { source, tensor: info.name.clone(), dtype: info.dtype, shape: info.shape.clone() };
    Unit { name: info.name.clone(), tensors: smallvec![id], value, info: info.clone(), single: true, dialect: None }
}

/// How a config says that weights were quantised.
struct Quantization {
    /// Rows and columns of a block, where it says so.
    block: Option<[u64; 2]>,
    /// What weights were before, and are again.
    dtype: Dtype,
}

/// The methods whose weights are one number of 8 bits each, with `weight_scale` or `weight_scale_inv` beside them.
const METHODS: &[&str] = &["fp8", "compressed-tensors", "fbgemm_fp8", "modelopt"];
/// What scales are called beside the weight `x`, and what else stands beside it that only activations need.
const SCALES: &[&str] = &["_scale_inv", "_scale"];

impl Quantization {
    fn of(listing: &Listing) -> Option<Quantization> {
        let serde_json::Value::Object(config) = serde_json::from_str(listing.config.as_deref()?).ok()? else {
            return None;
        };
        let said = config.get("quantization_config")?.as_object()?;
        let method = said.get("quant_method")?.as_str()?;
        if !METHODS.contains(&method) {
            return None;
        }
        let number = |place: usize| said.get("weight_block_size")?.as_array()?.get(place)?.as_u64().filter(|n| *n > 0);
        let block = number(0).zip(number(1)).map(|(rows, columns)| [rows, columns]);
        let stated = facts::config_dtype(&Config(config.clone())).ok().flatten();
        Some(Quantization { block, dtype: stated.filter(|dtype| dtype.is_float()).unwrap_or(Dtype::F32) })
    }

    /// The block of a weight that this scale is over: stated, or as the scale's shape says.
    fn block(&self, weight: &TensorInfo, scale: &TensorInfo) -> Option<[u64; 2]> {
        let [rows, columns] = weight.shape.as_slice() else { return None };
        Some(match scale.shape.as_slice() {
            [] | [1] | [1, 1] => [(*rows).max(1), (*columns).max(1)],
            [count] | [count, 1] if count == rows => [1, (*columns).max(1)],
            [high, wide] => self.block.unwrap_or([rows.div_ceil((*high).max(1)), columns.div_ceil((*wide).max(1))]),
            _ => return None,
        })
    }
}

/// Every stored tensor; where the config says how, weights of 8 bits are the numbers that they stand for, and their scales no tensors of
/// their own.
pub(super) fn dequantized(source: usize, listing: &Listing) -> Vec<Unit> {
    let stored = || listing.tensors.iter().enumerate();
    let Some(quantization) = Quantization::of(listing) else {
        return stored().map(|(id, info)| stored_unit(source, id, info)).collect();
    };
    let mut made: BTreeMap<usize, Unit> = BTreeMap::new();
    let mut scales = std::collections::BTreeSet::new();
    for (id, info) in stored().filter(|(_, info)| is_packed(info.dtype)) {
        let beside = |end: &&str| listing.position(&format!("{}{end}", info.name));
        let Some(scale) = SCALES.iter().find_map(beside) else { continue };
        if let Some(unit) = numbers(source, &quantization, (id, info), (scale, &listing.tensors[scale])) {
            made.insert(id, unit);
            scales.insert(scale);
        }
    }
    stored()
        .filter(|(id, _)| !scales.contains(id))
        .map(|(id, info)| made.remove(&id).unwrap_or_else(|| stored_unit(source, id, info)))
        .collect()
}

fn is_packed(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F8E4m3 | Dtype::F8E5m2 | Dtype::I8)
}

/// A weight times its scale, or `None` where the two do not fit: then they are carried as they are.
fn numbers(
    source: usize,
    quantization: &Quantization,
    (id, info): (usize, &TensorInfo),
    (scale_id, scale): (usize, &TensorInfo),
) -> Option<Unit> {
    let block = quantization.block(info, scale)?;
    let (weight, scale) = (stored_unit(source, id, info), stored_unit(source, scale_id, scale));
    let inputs = vec![(weight.value.clone(), weight.info.clone()), (scale.value, scale.info)];
    let mut made = apply_one(inputs, &Op::Dequantize { block }).ok()?;
    if quantization.dtype != Dtype::F32 {
        made = apply_one(vec![made], &Op::Cast { dtype: quantization.dtype }).ok()?;
    }
    let (value, info) = made;
    Some(Unit { value, info, tensors: smallvec![id, scale_id], ..weight })
}
