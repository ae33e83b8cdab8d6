//! How many processes a model was split over, as DeepSpeed and Megatron state it beside the weights.

use super::pickle::{Id, Node, Values};
use crate::checkpoint::pieces::WORLDS;
use crate::checkpoint::pieces::error::PartError;
use crate::error::Result;

/// Classes of tensors of which each process holds a piece.
const PIECES: &[(&str, &str)] = &[
    ("torch.distributed.tensor.DTensor", "a distributed model, as its DTensors show"),
    ("torch.distributed._tensor.api.DTensor", "a distributed model, as its DTensors show"),
    ("torch.distributed._tensor.DTensor", "a distributed model, as its DTensors show"),
    ("torch.distributed.tensor._api.DTensor", "a distributed model, as its DTensors show"),
    ("torch.distributed._shard.sharded_tensor.api.ShardedTensor", "an FSDP checkpoint, as its ShardedTensors show"),
];

/// The sizes that are stated, as pairs of metadata.
pub(super) fn stated(values: &Values) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let top = items(values, values.root);
    let arguments = top.iter().find(|(key, _)| values.text(*key) == Some("args"));
    let nested = arguments.map(|(_, arguments)| attributes(values, *arguments)).unwrap_or_default();
    for (key, value) in top.iter().chain(&nested) {
        let Some(key) = values.text(*key).filter(|key| WORLDS.iter().any(|(known, _)| known == key)) else { continue };
        if let Node::Int(size) = values.get(*value) {
            found.push((key.to_string(), size.to_string()));
        }
    }
    found
}

/// An error where the values hold tensors of which this file has only a piece.
pub(super) fn refuse_pieces(values: &Values, file: &str) -> Result<()> {
    let class = |node: &Node| match node {
        Node::Global(name) => PIECES.iter().find(|(class, _)| **class == **name),
        _ => None,
    };
    match values.all().find_map(|(_, node)| class(node)) {
        Some((_, of)) => {
            let remedy = "gather it first: accelerate merge-weights DIR OUT, or for verl: \
                          python -m verl.model_merger merge --backend fsdp --local_dir DIR --target_dir OUT";
            Err(PartError::Rank { file: file.into(), of, count: None, remedy }.into())
        }
        None => Ok(()),
    }
}

fn items(values: &Values, id: Id) -> Vec<(Id, Id)> {
    match values.get(id) {
        Node::Dict(items) => items.clone(),
        Node::Object(object) => object.items.clone(),
        _ => Vec::new(),
    }
}

/// The attributes of an object such as `argparse.Namespace`.
fn attributes(values: &Values, id: Id) -> Vec<(Id, Id)> {
    match values.get(id) {
        Node::Object(object) => object.state.map(|state| items(values, state)).unwrap_or_default(),
        Node::Dict(items) => items.clone(),
        _ => Vec::new(),
    }
}
