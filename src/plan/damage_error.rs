use crate::error::{Exit, Fault};
use crate::ranges;
use crate::tensor::{Shape, ShapeText};

/// A source is damaged: its tensors cannot all be those of one model.
#[derive(Debug, thiserror::Error)]
pub enum DamageError {
    /// A source tensor without elements, and a target that has some.
    #[error(
        "tensor {target}: expected {}, found {}{} in {reference}: the source tensor is empty{}",
        ShapeText(expected),
        ShapeText(found),
        of(target, tensor),
        and_more(*more)
    )]
    Empty { target: String, tensor: String, expected: Shape, found: Shape, reference: String, more: usize },
    /// A source tensor without elements, where it is not known for which target.
    #[error("source tensor {tensor}: found {}, which is empty{}", ShapeText(found), and_more(*more))]
    EmptyStored { tensor: String, found: Shape, more: usize },
    /// One source tensor has another shape than the same one in another layer, and cannot be laid out.
    #[error("source tensor {tensor}: expected {} as {like}, found {}", ShapeText(expected), ShapeText(found))]
    OddStored { tensor: String, expected: Shape, like: String, found: Shape },
    #[error(
        "tensor {target}: expected {} as in layers {} of the source, found {}{}{}",
        ShapeText(expected),
        ranges::set(intact),
        ShapeText(found),
        of(target, tensor),
        others(layers)
    )]
    OddLayer {
        target: String,
        tensor: String,
        expected: Shape,
        found: Shape,
        intact: Vec<u64>,
        layers: Vec<u64>,
        names: Vec<String>,
    },
    #[error("tensor {target} has no source, while the bias of the same layer, {bias}, has one{}", and_more(*more))]
    WeightMissing { target: String, bias: String, more: usize },
}

fn of(target: &str, tensor: &str) -> String {
    if target == tensor { String::new() } else { format!(" for {tensor}") }
}

fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

fn others(layers: &[u64]) -> String {
    match layers {
        [] | [_] => String::new(),
        layers => format!(" (not as expected in layers {})", ranges::set(layers)),
    }
}

/// Layers as people write them: `{0-2, 4}`.
/// What is known of checkpoints without weights.
const GATHER: &str = "a checkpoint that DeepSpeed ZeRO-3 saved without gathering has no weights: set \
                      stage3_gather_16bit_weights_on_model_save, or consolidate it with zero_to_fp32.py";

/// What is known of checkpoints with layers of two kinds.
const COMPARE: &str = "the source may be damaged, or of two models: compare its layers with `xfer inspect SRC`";

/// More lines than this nobody types.
const MOST_LINES: usize = 8;

impl Fault for DamageError {
    fn exit(&self) -> Exit {
        Exit::Contract
    }

    fn hints(&self) -> Vec<String> {
        match self {
            DamageError::Empty { target, .. } => {
                vec![GATHER.into(), format!("--new '{target}' initialises it")]
            }
            DamageError::EmptyStored { .. } => vec![GATHER.into()],
            DamageError::OddStored { .. } => vec![COMPARE.into()],
            DamageError::OddLayer { names, .. } => {
                let lines = names.iter().take(MOST_LINES).map(|name| format!("--new '{name}' initialises it"));
                std::iter::once(COMPARE.into()).chain(lines).collect()
            }
            DamageError::WeightMissing { target, .. } => {
                let layer = target.rsplit_once('.').map_or("", |(layer, _)| layer);
                let pattern = if layer.is_empty() { target.clone() } else { format!("{layer}.*") };
                vec![
                    "look for the weight under another name: `xfer inspect SRC`".into(),
                    format!("--reinit '{pattern}' initialises the layer"),
                ]
            }
        }
    }
}
