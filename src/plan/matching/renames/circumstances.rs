//! What is known of a source beside the names in its layers: how positions enter, and around what norms are stored.

use crate::arch::Architecture;
use crate::checkpoint::Listing;
use crate::graph::{AttentionKind, Layer};
use crate::hash::HashSet;
use crate::name::{join, last, parent};
use crate::plan::matching::renames::pairing::Circumstances;

/// Parts of names of learned positions, which take the place of rotary ones.
const POSITIONS: &[&str] = &[
    "embed_positions", "pos_embed", "position_embed", "positional_embed", "positions_embed", "rel_embeddings",
    "rel_pos", "relative_attention_bias", "relative_position", "wpe",
];

/// What holds of a target and a source. Positions are rotary where something says so, and may be where nothing else is learned of
/// positions and norms have no biases, as in Llama and its kind.
pub(crate) fn circumstances(target: &Architecture, source: &Listing) -> Circumstances {
    let nodes = || target.graph.iter().flat_map(|graph| &graph.nodes);
    let by_graph = nodes().any(|node| match &node.layer {
        Layer::Attention(attention) => matches!(attention.kind, AttentionKind::Rope(_)),
        _ => false,
    });
    let centred = nodes().any(|node| matches!(node.layer, Layer::RmsNorm { centred: true, .. }));
    let stored = || source.tensors.iter().map(|tensor| tensor.name.as_str());
    let targets = || target.parameters.iter().map(|parameter| parameter.name.as_str());
    let says_rotary = |text: &str| ["rope", "rotary", "inv_freq"].iter().any(|word| text.contains(word));
    let configs =
        [source.config.clone(), target.config.as_ref().and_then(|config| serde_json::to_string(&config.0).ok())];
    let is_said = configs.iter().flatten().any(|config| says_rotary(config)) || stored().any(says_rotary);
    let is_position = |name: &str| POSITIONS.iter().any(|word| name.contains(word));
    let may_be = || !stored().chain(targets()).any(is_position) && has_norms_without_bias(source);
    Circumstances { rotary: by_graph || is_said || may_be(), centred }
}

fn has_norms_without_bias(source: &Listing) -> bool {
    let names: HashSet<&str> = source.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let has = |module: &str, end: &str| names.contains(join(module, end).as_str());
    source.tensors.iter().filter(|tensor| tensor.shape.len() == 1).any(|tensor| {
        let module = parent(&tensor.name);
        matches!(last(&tensor.name), "weight" | "scale" | "gamma") && !has(module, "bias") && !has(module, "beta")
    })
}
