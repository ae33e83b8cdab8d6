//! PyTorch's names of element types and of the storages that hold them.

use crate::tensor::Dtype;

/// An element type by the name that it has in `torch`.
const DTYPES: &[(&str, Dtype)] = &[
    ("float64", Dtype::F64),
    ("float32", Dtype::F32),
    ("float16", Dtype::F16),
    ("bfloat16", Dtype::Bf16),
    ("int64", Dtype::I64),
    ("int32", Dtype::I32),
    ("int16", Dtype::I16),
    ("int8", Dtype::I8),
    ("uint64", Dtype::U64),
    ("uint32", Dtype::U32),
    ("uint16", Dtype::U16),
    ("uint8", Dtype::U8),
    ("bool", Dtype::Bool),
    ("complex64", Dtype::C64),
    ("float8_e4m3fn", Dtype::F8E4m3),
    ("float8_e5m2", Dtype::F8E5m2),
    ("float8_e4m3fnuz", Dtype::F8E4m3fnuz),
    ("float8_e5m2fnuz", Dtype::F8E5m2fnuz),
    ("float8_e8m0fnu", Dtype::F8E8m0),
];

/// Storages, their element types, and how many bytes an element has.
const STORAGES: &[(&str, &str, u64)] = &[
    ("DoubleStorage", "float64", 8),
    ("FloatStorage", "float32", 4),
    ("HalfStorage", "float16", 2),
    ("BFloat16Storage", "bfloat16", 2),
    ("LongStorage", "int64", 8),
    ("IntStorage", "int32", 4),
    ("ShortStorage", "int16", 2),
    ("CharStorage", "int8", 1),
    ("ByteStorage", "uint8", 1),
    ("BoolStorage", "bool", 1),
    ("ComplexFloatStorage", "complex64", 8),
    ("ComplexDoubleStorage", "complex128", 16),
    ("UntypedStorage", "uint8", 1),
    ("_UntypedStorage", "uint8", 1),
    ("QInt8Storage", "qint8", 1),
    ("QUInt8Storage", "quint8", 1),
    ("QInt32Storage", "qint32", 4),
    ("QUInt4x2Storage", "quint4x2", 1),
    ("QUInt2x4Storage", "quint2x4", 1),
];

/// The element type that `torch` calls `name`, or `None` for one that cannot be carried.
pub(in crate::checkpoint) fn dtype(name: &str) -> Option<Dtype> {
    DTYPES.iter().find(|(known, _)| *known == name).map(|(_, dtype)| *dtype)
}

/// The element type and the bytes of an element of a storage class, as `torch.cuda.FloatStorage`; its module says nothing.
pub(super) fn storage(class: &str) -> Option<(&'static str, u64)> {
    let name = class.rsplit('.').next().unwrap_or(class);
    STORAGES.iter().find(|(known, ..)| *known == name).map(|(_, dtype, bytes)| (*dtype, *bytes))
}
