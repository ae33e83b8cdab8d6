//! Which source tensor each target tensor's value comes from, before it is made to fit. Decides from names, shapes, dtypes
//! and the two architectures alone; reads no data and resizes nothing.

use std::collections::HashMap;

use super::{Answer, Question, SourceView, Step, Value};
use crate::arch::{Architecture, DepthItem};
use crate::error::{PlanError, Result};
use crate::graph::ParameterId;
use crate::tensor::TensorInfo;

/// Where one target tensor's value comes from, before it is made to fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The target.
    pub target: ParameterId,
    /// Its origin.
    pub origin: Origin,
    /// The step that answered.
    pub step: Step,
    /// Why, in words.
    pub reason: String,
    /// Further candidates that lost, in words.
    pub runners_up: Vec<String>,
    /// Whether a rule, a depth item or `--reinit` says that it is new.
    pub declared: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// No source.
    New,
    /// Another name of this target parameter, which owns the tie.
    Tied(ParameterId),
    /// An expression over source tensors with the layout operations already applied, and what it yields.
    Found {
        /// The expression.
        value: Value,
        /// Name, type and shape of its result.
        info: TensorInfo,
    },
}

/// The source layers that were chosen for one repeated block of the target.
#[derive(Clone, Debug, PartialEq)]
pub struct ChosenDepth {
    /// The target's block, as `bert.encoder.layer`.
    pub path: String,
    /// The source.
    pub source: usize,
    /// The block there, as it is stored.
    pub source_path: String,
    /// How many layers it has there.
    pub source_layers: u64,
    /// One item for each layer of the target.
    pub items: Vec<DepthItem>,
    /// Whether no rule said so: `first` was implied, or every layer is its namesake.
    pub implied: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Matching {
    /// One for each parameter, in the order of the target's.
    pub matches: Vec<Match>,
    /// What breaks the contract: ambiguities, holes, renames, new layers, ties that differ.
    pub violations: Vec<PlanError>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Which tensors are used, by source and tensor.
    pub used: Vec<Vec<bool>>,
    /// Why a tensor that is not used is not, where matching knows it, by source and tensor.
    pub unused_reasons: Vec<HashMap<usize, String>>,
    /// The family of each source, where recognised.
    pub families: Vec<Option<String>>,
    /// The dialects of each source, in order of the family blocks.
    pub dialects: Vec<Vec<String>>,
    /// What was chosen for each repeated block.
    pub depth: Vec<ChosenDepth>,
}

/// Finds the origin of every target tensor. A pattern that matches nothing, arithmetic on a block with a depth rule, or a
/// rule whose operations do not fit is an error; what breaks the coverage contract is a violation.
pub fn match_all(sources: &[SourceView], target: &Architecture, _evidence: &[(Question, Answer)]) -> Result<Matching> {
    let mut matching = Matching {
        used: sources.iter().map(|source| vec![false; source.listing.tensors.len()]).collect(),
        unused_reasons: vec![HashMap::new(); sources.len()],
        families: vec![None; sources.len()],
        dialects: vec![Vec::new(); sources.len()],
        ..Matching::default()
    };
    let mut names = HashMap::new();
    for (source, view) in sources.iter().enumerate() {
        for (tensor, info) in view.listing.tensors.iter().enumerate() {
            names.entry(info.name.as_str()).or_insert((source, tensor, info));
        }
    }
    for (id, parameter) in target.parameters.iter().enumerate() {
        let (origin, step, reason) = match (parameter.tied_to, names.get(parameter.name.as_str())) {
            (Some(owner), _) => (Origin::Tied(owner), Step::Tie, "tied"),
            (None, Some((source, tensor, info))) => {
                matching.used[*source][*tensor] = true;
                let value = Value::Source {
                    source: *source,
                    tensor: info.name.clone(),
                    dtype: info.dtype,
                    shape: info.shape.clone(),
                };
                (Origin::Found { value, info: (*info).clone() }, Step::Name, "the same name")
            }
            (None, None) => (Origin::New, Step::None, "no source"),
        };
        matching.matches.push(Match {
            target: id,
            origin,
            step,
            reason: reason.to_string(),
            runners_up: Vec::new(),
            declared: false,
        });
    }
    Ok(matching)
}

/// The facts about data that matching will need: whether both stored copies of a tie are equal.
pub fn tie_questions(_sources: &[SourceView], _target: &Architecture) -> Result<Vec<Question>> {
    Ok(Vec::new())
}

/// Whether a tensor of this name is state without learning that models recompute: `position_ids`, `rotary_emb.inv_freq`,
/// `num_batches_tracked`, `relative_position_index` and their like.
pub fn is_known_buffer(name: &str) -> bool {
    const LAST: &[&str] = &[
        "position_ids",
        "num_batches_tracked",
        "relative_position_index",
        "relative_coords_table",
        "attn_mask",
        "masked_bias",
        "token_type_ids",
    ];
    const LAST_TWO: &[&str] =
        &["rotary_emb.inv_freq", "rotary_emb.original_inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached"];
    let is_tail = |tail: &str| name.strip_suffix(tail).is_some_and(|head| head.is_empty() || head.ends_with('.'));
    LAST.iter().chain(LAST_TWO).any(|tail| is_tail(tail))
}
