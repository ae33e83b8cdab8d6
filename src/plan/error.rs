use super::fit::error::few;
use crate::error::{Error, Exit, Fault, quoted};
use crate::plan::damage_error::DamageError;
use crate::plan::fit::error::FitError;
use crate::plan::quantized::error::QuantizedError;
use crate::ranges;
use crate::tensor::{Shape, ShapeText};

/// A plan cannot be made, or breaks the coverage contract.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// What was matched cannot be fitted, or a plan that was read cannot be run.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// Numbers that stand for others would be passed on as they are.
    #[error(transparent)]
    Quantized(#[from] QuantizedError),
    /// The source is damaged.
    #[error(transparent)]
    Damage(#[from] DamageError),
    #[error("{place} `{pattern}` matches no {of}")]
    MatchesNothing { place: String, pattern: String, of: &'static str, nearest: Option<String> },
    #[error("--to {to}: no family is recognised in the source")]
    NoFamily { to: String },
    /// Layouts follow from a config, and there is none.
    #[error("--to {to}: the layout of {family} follows from its config, and the source has none")]
    NoConfig { to: String, family: &'static str },
    #[error("--to {to}: {family} has no such dialect")]
    NoDialect { to: String, family: &'static str, known: Vec<&'static str> },
    #[error("{place} `{rule}`: there is no source tensor `{name}`")]
    MapNamesNothing { place: String, rule: String, name: String, nearest: Option<String> },
    #[error("map rule `{rule}` for {target}: `{from}` matches both `{first}` and `{second}`")]
    MapNotUnique { rule: String, from: String, target: String, first: String, second: String },
    /// The source of a map rule has another shape than its target, and nothing adapts it.
    #[error(
        "tensor {target}: {rule}: expected {}, found {} for {from}{}",
        ShapeText(expected),
        ShapeText(found),
        stored_as(stored)
    )]
    MapShape { rule: String, target: String, from: String, expected: Shape, found: Shape, stored: Option<Shape> },
    #[error("{place} `{rule}`: there is no source `{name}`")]
    UnknownSource { place: String, rule: String, name: String, known: Vec<String> },
    #[error("map rule `{rule}` calculates with an index of `{block}`, for which there is a depth rule too")]
    ArithmeticAndDepth { rule: String, block: String },
    #[error("map rule `{rule}` for {target}: {problem}")]
    MapDoesNotFit { rule: String, target: String, problem: Box<Error> },
    #[error("map rule `{rule}` for {target}: {pieces} pieces for {targets} targets")]
    MapPieces { rule: String, target: String, pieces: u64, targets: u64 },
    #[error("map rule `{rule}` for {target}: axis {axis} of size {size} does not split into {pieces}")]
    MapSplit { rule: String, target: String, axis: usize, size: u64, pieces: String },
    #[error("{place} `{block}={list}`: no source has a block that corresponds to {block}")]
    DepthWithoutSource { place: String, list: String, block: String },
    #[error("depth expand of {block}: a listing does not state where its residual branches end")]
    ExpandWithoutGraph { block: String },
    /// A dialect orders the rows of each head in another way, and nothing says how many heads there are.
    #[error(
        "{source_name} is laid out by heads in the {dialect} dialect, and no config of the source states how many there are"
    )]
    HeadsUnknown { dialect: &'static str, source_name: String },
    /// A dialect orders the rows of each head in another way, and the tensor has another number of rows than the heads of the config.
    #[error(
        "{source_name}: expected {expected} rows of the heads that the source's config states, found {found} ({dialect} dialect)"
    )]
    HeadRows { dialect: &'static str, source_name: String, expected: u64, found: u64 },
    #[error("`{key}` next to the weights has no counterpart in a config of {family}")]
    DescriptionKey { key: String, family: &'static str },
    #[error("tensor {tensor}: expected {expected} by the config that is written, found {found}")]
    ConfigDoesNotFit { tensor: String, expected: String, found: String },
    #[error("{source_name} is laid out by {by}: {why}")]
    LayoutRefused { by: &'static str, source_name: String, why: &'static str, remedy: &'static str },
    /// A layout that changes values, and a target that does not say its own.
    #[error(
        "{target}: the source stores `{source_name}` as {stored}, and the listing does not state how the target stores it"
    )]
    LayoutUnknown { target: String, source_name: String, stored: &'static str },
    /// A kernel that may be laid out in two ways, and a file that does not state in which.
    #[error(
        "tensor {target}: `{source_name}` fits {} in two layouts, and its file does not state which it has",
        ShapeText(shape)
    )]
    KernelUnstated { target: String, source_name: String, shape: Shape, axes: usize, is_transposed: bool },
    #[error(
        "tensor {target}: the operations of its rule leave inputs and outputs of the kernel `{source_name}` mixed in {}",
        ShapeText(found)
    )]
    KernelMixed { target: String, source_name: String, found: Shape },
    #[error("tensor {target}: `{source_name}` belongs to a {cell}: {why}")]
    GateOrder { target: String, source_name: String, cell: &'static str, why: &'static str },
    #[error("whether {a} and {b} are equal was not measured")]
    Unmeasured { a: String, b: String },
    /// Several sources fit alike, or several targets.
    #[error("{target}{} ambiguous: {}", and_more(*count), fits(rivals))]
    Ambiguous { target: String, count: usize, rivals: Vec<String>, rules: Vec<String> },
    #[error(
        "the layers of {} have other indices in the source, and their order fits in several ways: {} may come from {}",
        sequence(path),
        targets.join(", "),
        sources.join(", ")
    )]
    Order { path: String, source_path: String, targets: Vec<String>, sources: Vec<String>, is_longer: bool },
    #[error(
        "{block}.*.{tail} is missing in layers {} of the source and found in {}",
        ranges::set(missing),
        ranges::set(found)
    )]
    Hole { block: String, tail: String, missing: Vec<u64>, found: Vec<u64> },
    /// Tensors of a repeated block without a source, beside unused ones.
    #[error(
        "{count} tensors {} have no source (first {first}), while {unused} of the source {} stay unused (first {first_unused}): a likely rename",
        if block.is_empty() { "outside of repeated blocks".into() } else { format!("of {block}") },
        if block.is_empty() { "outside of its blocks" } else { "in the same block" }
    )]
    Rename {
        block: String,
        count: usize,
        first: String,
        unused: usize,
        first_unused: String,
        rules: Vec<String>,
        open: Vec<String>,
    },
    #[error(
        "{count} norms and biases of layers that are transferred have no target: {} (first {first}): the layers compute \
         something else without them",
        few(names)
    )]
    LostStructure {
        count: usize,
        names: Vec<String>,
        first: String,
        lines: Vec<String>,
        open: Option<(String, String)>,
    },
    /// More layers than the source has, and no word about them.
    #[error(
        "layers {} of {block} are wholly new: the target has {target_layers}, the source {source_layers}",
        ranges::set(layers)
    )]
    NewLayers { block: String, layers: Vec<u64>, target_layers: u64, source_layers: u64 },
    #[error(
        "{owner} and {alias} are one tensor in the target, but `{stored_owner}` and `{stored_alias}` differ in the source"
    )]
    TieDiffers { owner: String, alias: String, stored_owner: String, stored_alias: String },
    #[error("depth expand of {block} is impossible: {why}")]
    ExpandImpossible { block: String, why: String },
    #[error("buffer {target} is in no source, and neither its name nor its module determines how it is computed")]
    BufferWithoutSource { target: String },
    /// The source of a buffer has another size, and its formula is not known.
    #[error("buffer {target}: expected {expected}, found {found}, and its formula is not known")]
    BufferOfAnotherSize { target: String, expected: String, found: String },
}

fn sequence(path: &str) -> String {
    if path.is_empty() { "the model".into() } else { path.into() }
}

/// How to say which layers of a sequence correspond; none of the lines chooses for the user.
fn order_hints(path: &str, source_path: &str, is_longer: bool) -> Vec<String> {
    let below = |path: &str| if path.is_empty() { "INDEX.*".to_string() } else { format!("{path}.INDEX.*") };
    let (to, from) = (below(path), below(source_path));
    let one = match is_longer {
        true => format!("state which layer has no source: `--new '{to}'` with its index"),
        false => format!("state which layer of the source is left out: `--unused '{from}'` with its index"),
    };
    vec![one, format!("or state the source of each layer: `--map '{to}={from}'` with both indices")]
}

fn and_more(count: usize) -> String {
    if count > 1 { format!(" and {} more are", count - 1) } else { " is".into() }
}

fn fits(rivals: &[String]) -> String {
    rivals.iter().map(|rival| format!("`{rival}`")).collect::<Vec<_>>().join(" and ") + " fit alike"
}

/// The stored shape, where it is another.
fn stored_as(stored: &Option<Shape>) -> String {
    stored.as_ref().map(|shape| format!(", stored as {}", ShapeText(shape))).unwrap_or_default()
}

impl PlanError {
    /// Whether it is a likely rename.
    pub(crate) fn is_rename(&self) -> bool {
        matches!(self, PlanError::Rename { .. })
    }
}

impl Fault for PlanError {
    fn exit(&self) -> Exit {
        match self {
            PlanError::Fit(error) => error.exit(),
            PlanError::Quantized(error) => error.exit(),
            PlanError::Damage(error) => error.exit(),
            PlanError::MatchesNothing { .. }
            | PlanError::NoFamily { .. }
            | PlanError::NoConfig { .. }
            | PlanError::NoDialect { .. }
            | PlanError::MapNamesNothing { .. }
            | PlanError::MapNotUnique { .. }
            | PlanError::MapShape { .. }
            | PlanError::UnknownSource { .. }
            | PlanError::ArithmeticAndDepth { .. }
            | PlanError::MapDoesNotFit { .. }
            | PlanError::MapPieces { .. }
            | PlanError::MapSplit { .. }
            | PlanError::DepthWithoutSource { .. }
            | PlanError::ExpandWithoutGraph { .. }
            | PlanError::LayoutUnknown { .. }
            | PlanError::HeadRows { .. }
            | PlanError::LayoutRefused { .. }
            | PlanError::DescriptionKey { .. }
            | PlanError::ConfigDoesNotFit { .. }
            | PlanError::KernelUnstated { .. }
            | PlanError::KernelMixed { .. }
            | PlanError::GateOrder { .. }
            | PlanError::HeadsUnknown { .. } => Exit::Input,
            PlanError::Unmeasured { .. } => Exit::Machine,
            PlanError::Ambiguous { .. }
            | PlanError::Order { .. }
            | PlanError::Hole { .. }
            | PlanError::Rename { .. }
            | PlanError::LostStructure { .. }
            | PlanError::NewLayers { .. }
            | PlanError::TieDiffers { .. }
            | PlanError::ExpandImpossible { .. }
            | PlanError::BufferWithoutSource { .. }
            | PlanError::BufferOfAnotherSize { .. } => Exit::Contract,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            PlanError::Fit(error) => error.hints(),
            PlanError::Quantized(error) => error.hints(),
            PlanError::Damage(error) => error.hints(),
            PlanError::MatchesNothing { nearest, .. } | PlanError::MapNamesNothing { nearest, .. } => {
                let near = nearest.iter().map(|name| format!("did you mean `{name}`?"));
                near.chain(["with `?` in front a pattern may match nothing".to_string()]).collect()
            }
            PlanError::NoFamily { .. } | PlanError::NoConfig { .. } => {
                vec!["put the model's config.json next to the weights".into()]
            }
            PlanError::NoDialect { known, .. } => vec![format!("the dialects are {}", known.join(", "))],
            PlanError::UnknownSource { known, .. } => vec![format!("the sources are {}", known.join(", "))],
            PlanError::ArithmeticAndDepth { .. } => {
                vec!["write {i} without arithmetic, it goes through the depth rule; or leave the depth rule out".into()]
            }
            PlanError::DepthWithoutSource { block, .. } => {
                vec![format!("a map rule for {block}.{{i}}.** states which block of the source it is")]
            }
            PlanError::ExpandWithoutGraph { block } => vec![flag("--depth", &format!("{block}=interleave"))],
            PlanError::HeadsUnknown { .. } => {
                vec!["put its config.json or params.json next to the weights, with head numbers and width".into()]
            }
            PlanError::HeadRows { .. } => {
                vec![
                    "correct num_attention_heads, num_key_value_heads and head_dim in the config next to the weights"
                        .into(),
                ]
            }
            PlanError::DescriptionKey { .. } | PlanError::ConfigDoesNotFit { .. } => {
                vec!["put a config.json of transformers next to the weights, which then is written as it is".into()]
            }
            PlanError::LayoutRefused { remedy, .. } => vec![(*remedy).into()],
            PlanError::LayoutUnknown { target, .. } => {
                vec![format!(
                    "add \"module\" to `{target}` in the listing: \"Linear\" for (out, in), \"Conv1D\" for (in, out)"
                )]
            }
            PlanError::Ambiguous { rules, .. } => rules.clone(),
            PlanError::Rename { rules, open, .. } => rules.iter().chain(open).cloned().collect(),
            PlanError::LostStructure { lines, open, .. } => {
                let first = match lines.is_empty() {
                    true => None,
                    false => {
                        Some("choose an architecture that has them, or declare that they are left out:".to_string())
                    }
                };
                let open = open.iter().map(|(lost, missing)| {
                    format!("`{lost}` has the shape of `{missing}`, which has no source: first state with map rules which is which")
                });
                first.into_iter().chain(lines.iter().cloned()).chain(open).collect()
            }
            PlanError::KernelUnstated { target, source_name, shape, axes, is_transposed } => {
                kernel_hints(&format!("{target}={source_name}"), shape, *axes, *is_transposed)
            }
            PlanError::KernelMixed { .. } => {
                vec!["reshape so that inputs and outputs stay on separate axes, or leave the operations out: the kernel is turned without them".into()]
            }
            PlanError::GateOrder { .. } => Vec::new(),
            PlanError::Order { path, source_path, is_longer, .. } => order_hints(path, source_path, *is_longer),
            PlanError::Hole { block, tail, missing, .. } => missing_layers(block, tail, missing),
            PlanError::NewLayers { block, .. } => {
                ["first", "stack", "expand"].iter().map(|list| flag("--depth", &format!("{block}={list}"))).collect()
            }
            PlanError::TieDiffers { owner, stored_owner, stored_alias, .. } => {
                [stored_owner, stored_alias].map(|stored| flag("--map", &format!("{owner}={stored}"))).to_vec()
            }
            PlanError::ExpandImpossible { block, .. } => {
                ["interleave", "stack"].iter().map(|list| flag("--depth", &format!("{block}={list}"))).collect()
            }
            PlanError::BufferWithoutSource { target } if target.ends_with("position_ids") => {
                vec![format!("add \"dtype\": \"i64\" to `{target}` in the listing, so that it can be counted")]
            }
            PlanError::BufferOfAnotherSize { target, .. } | PlanError::BufferWithoutSource { target } => {
                buffer_hints(target)
            }
            PlanError::MapDoesNotFit { problem, .. } => problem.hints(),
            PlanError::MapNotUnique { first, second, .. } => {
                vec![format!("name one of the two in a separate rule: `{first}` or `{second}`")]
            }
            PlanError::MapShape { target, .. } => {
                vec![format!("a later rule makes it new: {}", flag("--map", &format!("{target}=null")))]
            }
            PlanError::MapPieces { .. } | PlanError::MapSplit { .. } | PlanError::Unmeasured { .. } => Vec::new(),
        }
    }
}

/// A flag with its value as one word of a shell.
fn flag(name: &str, value: &str) -> String {
    format!("{name} {}", quoted(value))
}

/// Flags that state a layout by the operations after this rule.
/// The rules that would decide, each with the layout that it assumes. None is a flag to paste: only the user knows which layout the file has.
fn kernel_hints(rule: &str, shape: &Shape, axes: usize, is_transposed: bool) -> Vec<String> {
    let rows = shape.first().copied().unwrap_or(1);
    let spaces: String = (0..shape.len().saturating_sub(2)).map(|axis| format!(", {axis}")).collect();
    let (last, before) = (shape.len().saturating_sub(1), shape.len().saturating_sub(2));
    let hint = |operations: String, when: &str| format!("the map rule `{rule}|{operations}` is right {when}");
    let in_place = (0..shape.len()).map(|axis| axis.to_string()).collect::<Vec<_>>().join(", ");
    let as_it_is = hint(format!("permute({in_place})"), "where it has PyTorch's layout, and is taken as it is");
    let exchanged = format!("permute({last}, {before}{spaces})");
    match (shape.len(), axes) {
        (2, 2) => {
            vec![hint("transpose".into(), "where it is (in, out), as the kernel of a Dense layer is"), as_it_is]
        }
        (2, _) => vec![
            hint(format!("reshape({rows}, {rows})|transpose"), "where inputs come first, as in a Dense layer"),
            hint(format!("reshape({rows}, {rows})|permute(0, 1)"), "where outputs come first"),
        ],
        (_, _) if is_transposed => vec![
            hint(exchanged, "where it is (…, out, in), as with `transpose_kernel=True` of Flax"),
            hint(
                format!("permute({before}, {last}{spaces})"),
                "where it is (…, in, out), as Flax has it without; its taps are then turned around",
            ),
        ],
        (_, _) => vec![hint(exchanged, "where it is (…, in, out), as Keras and Flax have it"), as_it_is],
    }
}

fn missing_layers(block: &str, tail: &str, missing: &[u64]) -> Vec<String> {
    let names = missing.iter().map(|layer| match (block, tail) {
        ("", tail) => format!("{layer}.{tail}"),
        (block, tail) => format!("{block}.{layer}.{tail}"),
    });
    names.map(|name| flag("--new", &name)).collect()
}

/// What a buffer is computed from, where its name says what that is, and what does without.
fn buffer_hints(target: &str) -> Vec<String> {
    let key = match target.rsplit('.').next() {
        Some("relative_position_index") => Some("\"window_size\": [HEIGHT, WIDTH]"),
        Some("relative_coords_table") => Some("\"pretrained_window_sizes\": [SIZE_OF_EACH_STAGE]"),
        Some("inv_freq" | "original_inv_freq") => Some("\"rope_theta\": BASE"),
        _ => None,
    };
    let stated = key.map(|key| format!("state its sizes in the listing: \"config\": {{ {key} }}"));
    let others = [
        format!("leave `{target}` out of the listing where the model computes it"),
        format!("{} makes it zeros", flag("--new", target)),
    ];
    stated.into_iter().chain(others).collect()
}
