//! Arrays as `numpy.savez` writes them: one `.npy` for each in an archive without compression.

use super::archive::{self, Entry};
use super::weights::{Item, WeightFile};
use crate::error::Result;
use crate::save::error::SaveError;
use crate::tensor::Dtype;

/// The file of these arrays.
pub(super) fn file(name: &str, items: &[Item]) -> Result<WeightFile> {
    let mut entries = Vec::with_capacity(items.len());
    for item in items {
        let descr = descr(item.info.dtype).ok_or_else(|| SaveError::NoSuchType {
            format: "NumPy's format",
            tensor: item.info.name.to_string(),
            dtype: item.info.dtype,
        })?;
        entries.push(Entry {
            name: format!("{}.npy", item.info.name),
            bytes: header(descr, &item.info.shape),
            tensor: Some((item.assignment, item.bytes)),
        });
    }
    archive::file(name, entries)
}

/// NumPy's word for a type, or `None` where it has none.
fn descr(dtype: Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::Bool => "|b1",
        Dtype::U8 => "|u1",
        Dtype::I8 => "|i1",
        Dtype::U16 => "<u2",
        Dtype::I16 => "<i2",
        Dtype::U32 => "<u4",
        Dtype::I32 => "<i4",
        Dtype::U64 => "<u8",
        Dtype::I64 => "<i8",
        Dtype::F16 => "<f2",
        Dtype::F32 => "<f4",
        Dtype::F64 => "<f8",
        Dtype::C64 => "<c8",
        Dtype::Bf16
        | Dtype::F4
        | Dtype::F6E2m3
        | Dtype::F6E3m2
        | Dtype::F8E5m2
        | Dtype::F8E4m3
        | Dtype::F8E8m0
        | Dtype::F8E4m3fnuz
        | Dtype::F8E5m2fnuz => return None,
    })
}

/// Version 1 of the format: a literal of Python, padded so that the data are aligned to 64 bytes.
fn header(descr: &str, shape: &[u64]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    // a tuple of one keeps its comma, longer ones lose the last
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(text.bytes());
    header.resize(10 + length - 1, b' ');
    header.push(b'\n');
    header
}
