//! A `state_dict` as `torch.save` writes it since PyTorch 1.6: a pickle that names storages, and a storage for each tensor. It loads with
//! `torch.load(weights_only=True)`.

use super::archive::{self, Entry};
use super::weights::{Item, WeightFile};
use crate::error::Result;
use crate::save::error::SaveError;
use crate::tensor::{Dtype, TensorInfo};

/// The folder that all entries stand in. PyTorch calls it as the file; a name of its own gives the same bytes under every name.
const ROOT: &str = "archive";

/// The file of these tensors, and of the names that are other names of them.
pub(super) fn file(name: &str, items: &[Item], ties: &[(&TensorInfo, &str)]) -> Result<WeightFile> {
    let mut entries = vec![
        entry("data.pkl", pickle(items, ties)?),
        entry("byteorder", b"little".to_vec()),
        entry("version", b"3\n".to_vec()),
    ];
    for (number, item) in items.iter().enumerate() {
        entries.push(Entry {
            name: format!("{ROOT}/data/{number}"),
            bytes: Vec::new(),
            tensor: Some((item.assignment, item.bytes)),
        });
    }
    archive::file(name, entries)
}

fn entry(name: &str, bytes: Vec<u8>) -> Entry {
    Entry { name: format!("{ROOT}/{name}"), bytes, tensor: None }
}

/// The storage class of a type, or `None` where PyTorch has none by name.
fn storage(dtype: Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::Bool => "BoolStorage",
        Dtype::U8 => "ByteStorage",
        Dtype::I8 => "CharStorage",
        Dtype::I16 => "ShortStorage",
        Dtype::I32 => "IntStorage",
        Dtype::I64 => "LongStorage",
        Dtype::F16 => "HalfStorage",
        Dtype::Bf16 => "BFloat16Storage",
        Dtype::F32 => "FloatStorage",
        Dtype::F64 => "DoubleStorage",
        Dtype::C64 => "ComplexFloatStorage",
        Dtype::F4
        | Dtype::F6E2m3
        | Dtype::F6E3m2
        | Dtype::F8E5m2
        | Dtype::F8E4m3
        | Dtype::F8E8m0
        | Dtype::F8E4m3fnuz
        | Dtype::F8E5m2fnuz
        | Dtype::U16
        | Dtype::U32
        | Dtype::U64 => return None,
    })
}

/// `OrderedDict` of tensors, protocol 2.
fn pickle(items: &[Item], ties: &[(&TensorInfo, &str)]) -> Result<Vec<u8>> {
    let mut out = Pickle(vec![0x80, 2]);
    out.global("collections", "OrderedDict").empty().reduce();
    out.0.push(b'(');
    let mut place = std::collections::BTreeMap::new();
    for (number, item) in items.iter().enumerate() {
        out.tensor(item.info, item.info, number)?;
        place.insert(item.info.name.as_str(), number);
    }
    for (info, owner) in ties {
        if let Some(number) = place.get(owner) {
            out.tensor(info, items[*number].info, *number)?;
        }
    }
    out.0.extend(*b"u.");
    Ok(out.0)
}

struct Pickle(Vec<u8>);

impl Pickle {
    fn global(&mut self, module: &str, name: &str) -> &mut Pickle {
        self.0.extend(format!("c{module}\n{name}\n").bytes());
        self
    }

    /// An empty tuple.
    fn empty(&mut self) -> &mut Pickle {
        self.0.push(b')');
        self
    }

    fn reduce(&mut self) -> &mut Pickle {
        self.0.push(b'R');
        self
    }

    fn text(&mut self, text: &str) -> &mut Pickle {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Pickle {
        match i32::try_from(number) {
            Ok(small) => {
                self.0.push(b'J');
                self.0.extend(small.to_le_bytes());
            }
            Err(_) => {
                // eight bytes and a sign
                self.0.extend([0x8A, 9]);
                self.0.extend(number.to_le_bytes());
                self.0.push(0);
            }
        }
        self
    }

    fn numbers(&mut self, numbers: &[u64]) -> &mut Pickle {
        self.0.push(b'(');
        numbers.iter().for_each(|number| {
            self.number(*number);
        });
        self.0.push(b't');
        self
    }

    /// `name: _rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict())`.
    fn tensor(&mut self, info: &TensorInfo, stored: &TensorInfo, number: usize) -> Result<()> {
        let class = storage(stored.dtype).ok_or_else(|| SaveError::NoSuchType {
            format: "PyTorch's format",
            tensor: info.name.to_string(),
            dtype: stored.dtype,
        })?;
        self.text(&info.name).global("torch._utils", "_rebuild_tensor_v2");
        self.0.extend(*b"((");
        self.text("storage").global("torch", class).text(&number.to_string()).text("cpu").number(stored.elements()?);
        self.0.extend(*b"tQ");
        self.number(0).numbers(&info.shape).numbers(&strides(&info.shape));
        self.0.push(0x89);
        self.global("collections", "OrderedDict").empty().reduce();
        self.0.extend(*b"tR");
        Ok(())
    }
}

/// Those of a contiguous tensor, which PyTorch counts as if an empty axis had one element.
fn strides(shape: &[u64]) -> Vec<u64> {
    let mut stride = 1u64;
    let mut strides: Vec<u64> = shape
        .iter()
        .rev()
        .map(|size| {
            let this = stride;
            stride = stride.saturating_mul((*size).max(1));
            this
        })
        .collect();
    strides.reverse();
    strides
}
