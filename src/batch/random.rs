//! A batch drawn from the declared inputs: the same for the same seed and number of examples.

use candle_core::{Device, Tensor};

use super::values::Batch;
use crate::batch::error::BatchError;
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{Dim, Graph, Layer, Node};
use crate::init::{Generator, Scheme};
use crate::tensor::{Dtype, Shape, elements};

/// The length of sequences whose length is free.
const LENGTH: u64 = 128;
/// The most elements of one array: 16 GiB of numbers.
const MOST: u64 = 1 << 32;

/// Numbers from N(0, 1), ids uniformly below their `max`; an input with a default is left out.
pub(super) fn draw(graph: &Graph, rows: u64, seed: u64) -> Result<Batch> {
    let mut batch = Batch::new();
    for node in &graph.nodes {
        if let Layer::Input { dtype, max, default: None } = node.layer {
            batch.insert(node.name.clone(), array(node, dtype, max, rows, seed)?);
        }
    }
    Ok(batch)
}

fn array(node: &Node, dtype: Dtype, max: Option<u64>, rows: u64, seed: u64) -> Result<Tensor> {
    let name = || node.name.clone();
    let size = |dim: &Dim| match dim {
        Dim::Batch => rows,
        Dim::Known(size) => *size,
        Dim::UpTo(most) | Dim::Target(most) => LENGTH.min(*most),
    };
    let shape: Shape = node.output.iter().map(size).collect();
    let count = elements(&shape).filter(|count| *count <= MOST);
    let count = count.ok_or_else(|| BatchError::TooLarge { name: name(), rows })?;
    let mut values = vec![0f32; usize::try_from(count).unwrap_or(usize::MAX)];
    let fill = |scheme: Scheme, values: &mut [f32]| {
        Generator::new(seed, &format!("batch:{}", node.name)).fill(&scheme, &shape, 0, 0..count, values)
    };
    let axes: Vec<usize> = shape.iter().map(|size| usize::try_from(*size).unwrap_or(usize::MAX)).collect();
    let tensor = if dtype == Dtype::I64 {
        let max = max.ok_or_else(|| BatchError::Unbounded { name: name() })?;
        fill(Scheme::Uniform { low: 0.0, high: 1.0 }, &mut values)?;
        let id = |value: &f32| ((f64::from(*value) * max as f64) as u64).min(max.saturating_sub(1)) as i64;
        Tensor::from_vec(values.iter().map(id).collect::<Vec<i64>>(), axes, &Device::Cpu)
    } else {
        fill(Scheme::Normal { mean: 0.0, std: 1.0 }, &mut values)?;
        Tensor::from_vec(values, axes, &Device::Cpu)
    };
    let failed = |source| GraphError::Compute { layer: format!("input {}", node.name), source: Box::new(source) };
    Ok(tensor.map_err(failed)?)
}
