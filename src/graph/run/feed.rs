//! The batch, checked against the inputs that the graph declares.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{Dim, DimsText, Graph, Layer};
use crate::tensor::{Dtype, ShapeText};

/// What the arrays of a batch agree on: the number of examples, and the length for each bound of a sequence.
#[derive(Default)]
struct InputSizes {
    batch: Option<usize>,
    lengths: BTreeMap<Length, usize>,
}

/// A free axis: its bound, and whether it is the target's.
type Length = (u64, bool);

fn of(dim: Dim) -> Length {
    match dim {
        Dim::UpTo(most) => (most, false),
        Dim::Target(most) => (most, true),
        Dim::Batch | Dim::Known(_) => (0, false),
    }
}

/// The value of every input that is needed, at its node; missing optional ones are filled.
pub(super) fn inputs(graph: &Graph, uses: &[usize], batch: &BTreeMap<String, Tensor>) -> Result<Vec<Option<Tensor>>> {
    let mut values = vec![None; graph.nodes.len()];
    let mut sizes = InputSizes::default();
    let mut absent = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate().filter(|(id, _)| uses[*id] > 0) {
        let Layer::Input { dtype, max, default } = &node.layer else { continue };
        match (batch.get(&node.name), default) {
            (Some(array), _) => values[id] = Some(sizes.check(&node.name, &node.output, *dtype, *max, array)?),
            (None, Some(value)) => absent.push((id, *dtype, *value)),
            (None, None) => return Err(missing(&node.name, batch)),
        }
    }
    for (id, dtype, value) in absent {
        let node = &graph.nodes[id];
        let shape = sizes.shape(&node.output).ok_or_else(|| missing(&node.name, batch))?;
        values[id] = Some(filled(&node.name, &shape, dtype, value)?);
    }
    Ok(values)
}

fn missing(name: &str, batch: &BTreeMap<String, Tensor>) -> crate::error::Error {
    let names: Vec<String> = batch.keys().map(|name| format!("`{name}`")).collect();
    let found = if names.is_empty() { "nothing".to_string() } else { names.join(", ") };
    GraphError::NoInput { name: name.into(), found }.into()
}

fn filled(name: &str, shape: &[usize], dtype: Dtype, value: i64) -> Result<Tensor> {
    let stored = if dtype == Dtype::I64 { DType::I64 } else { DType::F32 };
    let filled = Tensor::full(value, shape, &Device::Cpu).and_then(|tensor| tensor.to_dtype(stored));
    let failed = |source| GraphError::Compute { layer: format!("input {name}"), source: Box::new(source) };
    Ok(filled.map_err(failed)?)
}

impl InputSizes {
    fn check(&mut self, name: &str, dims: &[Dim], dtype: Dtype, max: Option<u64>, array: &Tensor) -> Result<Tensor> {
        let stored = if dtype == Dtype::I64 { DType::I64 } else { DType::F32 };
        let fits = array.dtype() == stored
            && array.rank() == dims.len()
            && dims.iter().zip(array.dims()).all(|(dim, size)| self.agrees(*dim, *size));
        if !fits {
            let found: Vec<u64> = array.dims().iter().map(|size| *size as u64).collect();
            let found = format!("{} {}", array.dtype().as_str(), ShapeText(&found));
            let expected = format!("{dtype} {}", self.text(dims));
            return Err(GraphError::BatchShape { name: name.into(), expected, found }.into());
        }
        if let Some(max) = max {
            check_ids(name, array, max)?;
        }
        Ok(array.clone())
    }

    /// Whether an axis may have this size, which the other arrays must then have too.
    fn agrees(&mut self, dim: Dim, size: usize) -> bool {
        match dim {
            Dim::Batch => *self.batch.get_or_insert(size) == size,
            Dim::Known(known) => known == size as u64,
            Dim::UpTo(most) | Dim::Target(most) => {
                size >= 1 && size as u64 <= most && *self.lengths.entry(of(dim)).or_insert(size) == size
            }
        }
    }

    /// The axes that an array must have, as far as they are known by now.
    fn text(&self, dims: &[Dim]) -> String {
        let known = |dim: &Dim| match dim {
            Dim::Batch => self.batch.map_or(Dim::Batch, |size| Dim::Known(size as u64)),
            Dim::UpTo(_) | Dim::Target(_) => self.lengths.get(&of(*dim)).map_or(*dim, |size| Dim::Known(*size as u64)),
            Dim::Known(_) => *dim,
        };
        DimsText(&dims.iter().map(known).collect::<Vec<_>>()).to_string()
    }

    fn shape(&self, dims: &[Dim]) -> Option<Vec<usize>> {
        let size = |dim: &Dim| match dim {
            Dim::Batch => self.batch,
            Dim::UpTo(_) | Dim::Target(_) => self.lengths.get(&of(*dim)).copied(),
            Dim::Known(size) => usize::try_from(*size).ok(),
        };
        dims.iter().map(size).collect()
    }
}

fn check_ids(name: &str, array: &Tensor, max: u64) -> Result<()> {
    let failed = |source| GraphError::Compute { layer: format!("input {name}"), source: Box::new(source) };
    let ids = array.flatten_all().and_then(|ids| ids.to_vec1::<i64>()).map_err(failed)?;
    match ids.into_iter().find(|id| u64::try_from(*id).map_or(true, |id| id >= max)) {
        Some(id) => Err(GraphError::IdRange { name: name.into(), id, max }.into()),
        None => Ok(()),
    }
}
