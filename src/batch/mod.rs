//! The batch that a model is run on: read from a file, or drawn from what the architecture declares.

mod answers;
pub(crate) mod error;
mod random;
#[cfg(test)]
mod tests;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Tensor;

use crate::batch::error::BatchError;
use crate::checkpoint::{self, Reader};
use crate::error::{Result, nearest};
use crate::graph::error::GraphError;
use crate::graph::{Dim, Extent, Graph, Layer, Node};
use crate::plan::PlannedBatch;
use crate::progress::Progress;
use crate::source::error::SourceError;
use crate::source::{Access, Bytes, Reference, Source, local_file};
use crate::tensor::Dtype;

pub(crate) use answers::Answers;
pub(crate) use values::Batch;
use values::array;
pub(crate) use values::tensor_of;

/// The longest file of a batch, which is held in memory.
const LONGEST: u64 = 64 << 30;
/// How a random batch is asked for.
const RANDOM: &str = "random:";

/// `--data` as it was typed, pinned: a file by its digest, `random:64` by its count.
pub(crate) fn pin(typed: &str) -> Result<PlannedBatch> {
    match typed.strip_prefix(RANDOM) {
        Some(count) => match count.parse::<u64>() {
            Ok(rows) if rows > 0 => Ok(PlannedBatch::Random { rows }),
            Ok(_) | Err(_) => Err(BatchError::Count { text: typed.to_string() }.into()),
        },
        None => Ok(PlannedBatch::File { location: typed.to_string(), digest: digest(Path::new(typed))? }),
    }
}

fn digest(path: &Path) -> Result<String> {
    const PIECE: u64 = 1 << 20;
    let file = local_file(path)?;
    if file.len() > LONGEST {
        let name = path.display().to_string();
        return Err(SourceError::TooLong { file: name, limit: LONGEST, bytes: file.len() }.into());
    }
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; file.len().min(PIECE) as usize];
    let mut at = 0;
    while at < file.len() {
        let count = (file.len() - at).min(PIECE);
        let piece = piece.get_mut(..count as usize).unwrap_or_default();
        file.read_at(at, piece)?;
        hasher.update(piece);
        at += count;
    }
    Ok(crate::digest::text(hasher.finalize()))
}

/// The batch, proven to be the one that was pinned. An array that is not an input, has a type that its input cannot take, holds no
/// example or holds NaN is an error; shapes are checked when the model runs.
pub(crate) fn open(
    batch: &PlannedBatch,
    graph: &Graph,
    seed: u64,
    access: &Access,
    progress: &dyn Progress,
) -> Result<Batch> {
    match arrays(batch, access, progress)? {
        Arrays::Drawn { rows } => random::draw(graph, rows, seed),
        Arrays::Stored(reader) => read(reader.as_ref(), graph),
    }
}

/// The batch, and its `labels` or `targets` where the file has them: as many as there are examples.
pub(crate) fn with_answers(
    batch: &PlannedBatch,
    graph: &Graph,
    seed: u64,
    access: &Access,
    progress: &dyn Progress,
) -> Result<(Batch, Option<Answers>)> {
    match arrays(batch, access, progress)? {
        Arrays::Drawn { rows } => Ok((random::draw(graph, rows, seed)?, None)),
        Arrays::Stored(reader) => {
            let inputs = read(reader.as_ref(), graph)?;
            graph.check(&inputs)?;
            let answers = answers::read(reader.as_ref(), rows(&inputs))?;
            Ok((inputs, answers))
        }
    }
}

/// The sizes that a batch gives to the free axes of a graph.
pub(crate) fn extent(batch: &Batch, graph: &Graph) -> Extent {
    let free = inputs(graph).filter_map(|(node, _)| Some((node, batch.get(&node.name)?))).flat_map(|(node, array)| {
        let axes = node.output.iter().zip(array.dims());
        axes.filter(|(dim, _)| matches!(dim, Dim::UpTo(_) | Dim::Target(_)))
            .map(|(_, size)| *size as u64)
            .collect::<Vec<u64>>()
    });
    Extent { examples: rows(batch), length: free.max().unwrap_or(1) }
}

/// These examples of a batch, in this order.
pub(crate) fn rows_of(batch: &Batch, examples: &[u32]) -> Result<Batch> {
    let choose = |(name, array): (&String, &Tensor)| {
        let rows = Tensor::from_slice(examples, examples.len(), array.device())?;
        Ok((name.clone(), array.index_select(&rows, 0)?))
    };
    let chosen: candle_core::Result<Batch> = batch.iter().map(choose).collect();
    Ok(chosen.map_err(|source| GraphError::Compute { layer: "batch".into(), source: Box::new(source) })?)
}

/// Where the arrays of a batch are.
enum Arrays {
    Drawn { rows: u64 },
    Stored(Arc<dyn Reader>),
}

fn arrays(batch: &PlannedBatch, access: &Access, progress: &dyn Progress) -> Result<Arrays> {
    let (location, expected) = match batch {
        PlannedBatch::Random { rows } => return Ok(Arrays::Drawn { rows: *rows }),
        PlannedBatch::File { location, digest } => (location, digest),
    };
    let path = PathBuf::from(location);
    let found = digest(&path)?;
    if found != *expected {
        return Err(BatchError::Changed { path, expected: expected.clone(), found }.into());
    }
    let source = Source::open(&Reference::Path(path), access, progress)?;
    // a batch is not a model: `train-00001-of-00004.safetensors` is all of it
    let options = checkpoint::OpenOptions { part: true, ..checkpoint::OpenOptions::default() };
    Ok(Arrays::Stored(checkpoint::open(&source, &options, progress)?.reader))
}

/// How many examples a batch holds: the rows of its first array.
pub(crate) fn rows(batch: &Batch) -> u64 {
    batch.values().next().and_then(|array| array.dims().first().copied()).unwrap_or(0) as u64
}

fn inputs(graph: &Graph) -> impl Iterator<Item = (&Node, Dtype)> {
    graph.nodes.iter().filter_map(|node| match node.layer {
        Layer::Input { dtype, .. } => Some((node, dtype)),
        _ => None,
    })
}

fn read(reader: &dyn Reader, graph: &Graph) -> Result<Batch> {
    let mut batch = Batch::new();
    for (index, info) in reader.listing().tensors.iter().enumerate() {
        let input = inputs(graph).find(|(node, _)| node.name == info.name);
        match input {
            Some((_, dtype)) => {
                batch.insert(info.name.to_string(), array(reader, index, info, dtype)?);
            }
            None if answers::is_answer(&info.name) => {}
            None => return Err(unknown(&info.name, graph)),
        }
    }
    Ok(batch)
}

fn unknown(name: &str, graph: &Graph) -> crate::error::Error {
    let names: Vec<&str> = inputs(graph).map(|(node, _)| node.name.as_str()).collect();
    let near = nearest(name, names.iter().copied()).map(str::to_string);
    BatchError::Unknown { name: name.into(), inputs: names.join(", "), nearest: near }.into()
}
