//! Bytes of a checkpoint as tensors to compute with.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use crate::adapt::float::{Float, Real};
use crate::batch::error::BatchError;
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::tensor::error::TensorError;
use crate::tensor::{Dtype, TensorInfo};

/// Whether values are whole numbers that can be ids.
pub(super) fn is_whole(dtype: Dtype) -> bool {
    width(dtype).is_some()
}

/// Bytes of a whole number, and whether it has a sign.
fn width(dtype: Dtype) -> Option<(usize, bool)> {
    match dtype {
        Dtype::Bool | Dtype::U8 => Some((1, false)),
        Dtype::I8 => Some((1, true)),
        Dtype::U16 => Some((2, false)),
        Dtype::I16 => Some((2, true)),
        Dtype::U32 => Some((4, false)),
        Dtype::I32 => Some((4, true)),
        Dtype::U64 => Some((8, false)),
        Dtype::I64 => Some((8, true)),
        _ => None,
    }
}

/// All bytes of a tensor.
pub(super) fn read(reader: &dyn Reader, index: usize, info: &TensorInfo) -> Result<Vec<u8>> {
    let overflow = || TensorError::Overflow { shape: info.shape.clone(), dtype: info.dtype };
    let len = usize::try_from(info.bytes()?).map_err(|_| overflow())?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| overflow())?;
    bytes.resize(len, 0);
    reader.read(index, 0..info.rows(), &mut bytes)?;
    Ok(bytes)
}

/// Floats in f32, whole numbers in i64 (the largest for what does not fit); packed and complex types are an error.
pub(crate) fn tensor_of(info: &TensorInfo, bytes: &[u8]) -> Result<Tensor> {
    let shape: Vec<usize> = info.shape.iter().map(|size| usize::try_from(*size).unwrap_or(usize::MAX)).collect();
    let tensor = match (Float::of(info.dtype), width(info.dtype)) {
        (Some(float), _) => {
            let mut values = vec![0f32; bytes.len() / float.bytes()];
            f32::decode(float, bytes, &mut values);
            Tensor::from_vec(values, shape, &Device::Cpu)
        }
        (None, Some((width, is_signed))) => {
            let values: Vec<i64> = bytes.chunks_exact(width).map(|bytes| whole(bytes, is_signed)).collect();
            Tensor::from_vec(values, shape, &Device::Cpu)
        }
        (None, None) => {
            return Err(BatchError::Type { array: info.clone(), expected: "floats or whole numbers" }.into());
        }
    };
    let failed = |source| GraphError::Compute { layer: format!("tensor {info}"), source: Box::new(source) };
    Ok(tensor.map_err(failed)?)
}

/// The elements of a tensor of whole numbers, row-major.
pub(super) fn whole_numbers(tensor: &Tensor) -> Result<Vec<i64>> {
    let failed = |source| GraphError::Compute { layer: "labels".into(), source: Box::new(source) };
    Ok(tensor.flatten_all().and_then(|flat| flat.to_vec1::<i64>()).map_err(failed)?)
}

fn whole(bytes: &[u8], is_signed: bool) -> i64 {
    let is_negative = is_signed && bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut wide = [if is_negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    match is_signed {
        true => i64::from_le_bytes(wide),
        false => i64::try_from(u64::from_le_bytes(wide)).unwrap_or(i64::MAX),
    }
}

/// An array of numbers in f32 or of ids in i64, as its input is declared.
pub(super) fn array(reader: &dyn Reader, index: usize, info: &TensorInfo, dtype: Dtype) -> Result<Tensor> {
    let are_ids = dtype == Dtype::I64;
    let array = || info.clone();
    if info.shape.first().is_none_or(|rows| *rows == 0) {
        return Err(BatchError::Empty { array: array() }.into());
    }
    if are_ids != is_whole(info.dtype) {
        let expected = if are_ids { "whole numbers" } else { "floats" };
        return Err(BatchError::Type { array: array(), expected }.into());
    }
    let bytes = read(reader, index, info)?;
    match crate::adapt::float::non_finite(info.dtype, &bytes).total() {
        0 => tensor_of(info, &bytes),
        count => Err(BatchError::NonFinite { array: array(), count }.into()),
    }
}

/// One array for each input of the model, examples first: numbers in f32, ids in i64.
pub(crate) type Batch = BTreeMap<String, Tensor>;
