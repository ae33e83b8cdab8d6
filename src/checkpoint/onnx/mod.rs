//! ONNX: the initialisers of a model and the constants within it, from the wire format itself, so that no data are read to list
//! them. Weights in files beside the model are read there.

mod graph;
mod kernels;
mod layers;
mod wire;

use crate::checkpoint::file_format::CheckpointFormat;
use std::collections::BTreeMap;
use std::sync::Arc;

use self::graph::Tensor;
use self::layers::Layer;
use super::arrays::{Array, FileContents, Order};
use super::cursor::Cursor;
use super::kernel::Variable;
use super::part::{Beside, Part};
use super::safetensors::stays_inside;
use super::zip::{EntryBytes, Packing};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::format_error::FormatError;
use crate::error::Result;
use crate::hash::HashMap;
use crate::source::Bytes;
use crate::tensor::{Dtype, TensorInfo};

/// The numbers of element types, and what they are here; those that are listed without one cannot be carried.
const TYPES: &[(u64, &str, Option<Dtype>)] = &[
    (1, "float", Some(Dtype::F32)),
    (2, "uint8", Some(Dtype::U8)),
    (3, "int8", Some(Dtype::I8)),
    (4, "uint16", Some(Dtype::U16)),
    (5, "int16", Some(Dtype::I16)),
    (6, "int32", Some(Dtype::I32)),
    (7, "int64", Some(Dtype::I64)),
    (8, "strings", None),
    (9, "bool", Some(Dtype::Bool)),
    (10, "float16", Some(Dtype::F16)),
    (11, "double", Some(Dtype::F64)),
    (12, "uint32", Some(Dtype::U32)),
    (13, "uint64", Some(Dtype::U64)),
    (14, "complex64", Some(Dtype::C64)),
    (15, "complex128", None),
    (16, "bfloat16", Some(Dtype::Bf16)),
    (17, "float8e4m3fn", Some(Dtype::F8E4m3)),
    (18, "float8e4m3fnuz", Some(Dtype::F8E4m3fnuz)),
    (19, "float8e5m2", Some(Dtype::F8E5m2)),
    (20, "float8e5m2fnuz", Some(Dtype::F8E5m2fnuz)),
    (21, "uint4", None),
    (22, "int4", None),
    (23, "float4e2m1", None),
    (24, "float8e8m0", Some(Dtype::F8E8m0)),
    (25, "uint2", None),
    (26, "int2", None),
    (27, "float6e2m3", None),
    (28, "float6e3m2", None),
];
/// The type of texts, which are no weights.
const STRINGS: u64 = 8;

/// Reads the model; data of initialisers are not touched, except numbers of variable length.
pub(super) fn open(file: Arc<dyn Bytes>, beside: Beside) -> Result<Part> {
    let mut cursor = Cursor::new(file.as_ref(), "ONNX");
    let mut model = graph::read(&mut cursor)?;
    model.metadata.sort_unstable();
    let layers = layers::recover(&model);
    let mut kernels = kernels::of(&model);
    kernels.retain(|name, _| !layers.contains_key(name));
    let mut notes: Vec<String> =
        layers.iter().take(1).map(|(stored, layer)| note(stored, layer, layers.len())).collect();
    if model.has_sparse {
        notes.push("stepped over sparse initialisers".into());
    }
    let mut opening = Opening { file: &file, beside, files: BTreeMap::new() };
    let (mut arrays, mut constants) = (Vec::new(), 0u64);
    let names = distinct_names(&model.tensors);
    for (tensor, name) in model.tensors.into_iter().zip(names) {
        match opening.array(tensor, name, &layers)? {
            Listed::Array(array) => arrays.push(*array),
            Listed::Texts(name) => notes.push(format!("skipped `{name}`: it contains texts")),
            Listed::Arithmetic => constants += 1,
        }
    }
    if constants > 0 {
        notes.push(format!("stepped over {constants} integer constants of the graph"));
    }
    if arrays.is_empty() {
        return Err(FormatError::Empty { file: file.name().into() }.into());
    }
    let (digest, files) = (cursor.digest(), opening.files);
    let found = FileContents { format: CheckpointFormat::Onnx, arrays, metadata: model.metadata, digest, notes };
    let variables = kernels.into_iter().map(|(name, kernel)| (name, Variable { stored: None, kernel: Some(kernel) }));
    let mut part = found.into_part_stating(file.as_ref(), variables.collect())?;
    part.beside = files.into_iter().collect();
    Ok(part)
}

fn note(stored: &str, layer: &Layer, count: usize) -> String {
    let turned = if layer.is_transposed { ", transposed back" } else { "" };
    format!("{count} anonymous tensors have the names of their layers, as {stored} is {}{turned}", layer.name)
}

/// The stored names; where two graphs have tensors of one name, their paths stand before it.
fn distinct_names(tensors: &[Tensor]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::default();
    for tensor in tensors {
        *counts.entry(&tensor.name).or_default() += 1;
    }
    let name = |tensor: &Tensor| match counts.get(tensor.name.as_str()) {
        Some(1) | None => tensor.name.clone(),
        Some(_) => format!("{}{}", tensor.path, tensor.name),
    };
    tensors.iter().map(name).collect()
}

enum Listed {
    Array(Box<(TensorInfo, Array)>),
    Texts(String),
    /// A shape, an axis, an index.
    Arithmetic,
}

struct Opening<'a> {
    file: &'a Arc<dyn Bytes>,
    beside: Beside<'a>,
    files: BTreeMap<String, Arc<dyn Bytes>>,
}

impl Opening<'_> {
    fn array(&mut self, tensor: Tensor, name: String, layers: &BTreeMap<String, Layer>) -> Result<Listed> {
        let refuse =
            |found: String| FormatError::Elements { file: self.file.name().into(), tensor: name.clone(), found };
        let dtype = match TYPES.iter().find(|(number, ..)| *number == tensor.data_type) {
            Some((STRINGS, ..)) => return Ok(Listed::Texts(name)),
            Some((.., Some(dtype))) => *dtype,
            Some((_, called, None)) => return Err(refuse((*called).into()).into()),
            None => return Err(refuse(format!("the unknown type {}", tensor.data_type)).into()),
        };
        if tensor.is_constant && !dtype.is_float() {
            return Ok(Listed::Arithmetic);
        }
        let mut shape = Vec::with_capacity(tensor.dims.len());
        for size in &tensor.dims {
            let size = u64::try_from(*size).map_err(|_| CheckpointError::Number {
                file: self.file.name().into(),
                tensor: name.clone(),
                field: "dims",
                number: size.to_string(),
            })?;
            shape.push(size);
        }
        let mut info = TensorInfo::new(name, dtype, shape);
        let mut array = self.data(&tensor, &info)?;
        if let Some(layer) = layers.get(&tensor.name).filter(|layer| !layer.is_transposed || info.shape.len() == 2) {
            info.name = crate::tensor::Name::from(&layer.name);
            if layer.is_transposed {
                // rows of the one are columns of the other
                info.shape.reverse();
                array.order = Order::Columns { is_big_endian: false };
            }
        }
        Ok(Listed::Array(Box::new((info, array))))
    }

    fn data(&mut self, tensor: &Tensor, info: &TensorInfo) -> Result<Array> {
        let verbatim = |(offset, bytes)| Array::verbatim(self.file.clone(), offset, bytes);
        if tensor.is_external {
            return self.external(tensor, info);
        }
        match (tensor.raw, tensor.typed.as_slice()) {
            (Some(range), []) if tensor.numbers.is_empty() => Ok(verbatim(range)),
            (None, [(_, offset, bytes)]) if tensor.numbers.is_empty() => Ok(verbatim((*offset, *bytes))),
            (None, []) => Ok(Array::in_memory(self.file.name(), numbers(&tensor.numbers, info.dtype))),
            _ => {
                let what = "a tensor has its data twice";
                let offset = tensor.raw.map_or(0, |(offset, _)| offset);
                Err(FormatError::Invalid { file: self.file.name().into(), format: "ONNX", offset, what }.into())
            }
        }
    }

    /// Data in a file of the same directory.
    fn external(&mut self, tensor: &Tensor, info: &TensorInfo) -> Result<Array> {
        let index = self.file.name().to_string();
        let value = |key: &str| tensor.external.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        let location = value("location").unwrap_or_default();
        if !stays_inside(location) {
            return Err(CheckpointError::ShardOutside { index, shard: location.into() }.into());
        }
        let number = |field: &'static str| match value(field).map(|text| (text, text.parse::<u64>())) {
            None => Ok(None),
            Some((_, Ok(number))) => Ok(Some(number)),
            Some((text, Err(_))) => {
                let (file, tensor, number) = (index.clone(), info.name.clone(), text.to_string());
                Err(CheckpointError::Number { file, tensor: tensor.to_string(), field, number })
            }
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        if !self.files.contains_key(location) {
            self.files.insert(location.into(), (self.beside)(location)?);
        }
        match self.files.get(location) {
            Some(file) => {
                let bytes = length.unwrap_or_else(|| file.len().saturating_sub(offset));
                let place = EntryBytes { offset, bytes, packing: Packing::Stored };
                Ok(Array { file: file.clone(), place, skip: 0, order: Order::Rows })
            }
            None => Err(CheckpointError::MissingShard { by: index, shard: location.into(), tensors: None }.into()),
        }
    }
}

/// Numbers as elements of a type, of which each takes the low bytes.
fn numbers(numbers: &[u64], dtype: Dtype) -> Vec<u8> {
    let bytes = dtype.unit().1 as usize;
    numbers.iter().flat_map(|number| number.to_le_bytes().into_iter().take(bytes)).collect()
}
