use super::damage::list;
use super::fit::few;
use super::{DamageError, Error, Exit, Fault, FitError, QuantizedError};
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
    /// A pattern matches nothing.
    #[error("{place} `{pattern}` matches no {of}")]
    MatchesNothing {
        /// Where it was written.
        place: String,
        /// The pattern.
        pattern: String,
        /// Of what: `target tensor`, `source tensor`, `repeated block of the target`.
        of: &'static str,
        /// The nearest name.
        nearest: Option<String>,
    },
    /// A checkpoint of no family cannot be spelt otherwise.
    #[error("--to {to}: no family is recognised in the source")]
    NoFamily {
        /// The dialect.
        to: String,
    },
    /// Layouts follow from a config, and there is none.
    #[error("--to {to}: the layout of {family} follows from its config, and the source has none")]
    NoConfig {
        /// The dialect.
        to: String,
        /// The family.
        family: &'static str,
    },
    /// A family has no such dialect.
    #[error("--to {to}: {family} has no such dialect")]
    NoDialect {
        /// The dialect.
        to: String,
        /// The family.
        family: &'static str,
        /// The dialects that it has.
        known: Vec<&'static str>,
    },
    /// A map rule's sources do not exist.
    #[error("{place} `{rule}`: no source tensor is called `{name}`")]
    MapNamesNothing {
        /// Where it was written.
        place: String,
        /// The rule.
        rule: String,
        /// The first name that it spells.
        name: String,
        /// The nearest name.
        nearest: Option<String>,
    },
    /// A wildcard that only the source of a map rule has stands for more than one thing.
    #[error("map rule `{rule}` for {target}: `{from}` matches both `{first}` and `{second}`")]
    MapNotUnique {
        /// The rule.
        rule: String,
        /// The source pattern.
        from: String,
        /// The target.
        target: String,
        /// One stored tensor that it matches.
        first: String,
        /// Another.
        second: String,
    },
    /// The source of a map rule has another shape than its target, and nothing adapts it.
    #[error(
        "tensor {target}: {rule}: expected {}, found {} for {from}{}",
        ShapeText(expected),
        ShapeText(found),
        stored_as(stored)
    )]
    MapShape {
        /// Which rule, in words.
        rule: String,
        /// The target.
        target: String,
        /// The stored tensor.
        from: String,
        /// The target's shape.
        expected: Shape,
        /// The shape after all operations.
        found: Shape,
        /// The stored shape, where operations made another of it.
        stored: Option<Shape>,
    },
    /// A map rule names a source that is not open.
    #[error("{place} `{rule}`: no source is called `{name}`")]
    UnknownSource {
        /// Where it was written.
        place: String,
        /// The rule.
        rule: String,
        /// The source's name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Arithmetic on an index whose layers a depth rule chooses.
    #[error("map rule `{rule}` calculates with an index of `{block}`, for which there is a depth rule too")]
    ArithmeticAndDepth {
        /// The rule.
        rule: String,
        /// The block's path.
        block: String,
    },
    /// A map rule's operations do not fit.
    #[error("map rule `{rule}` for {target}: {problem}")]
    MapDoesNotFit {
        /// The rule.
        rule: String,
        /// The target.
        target: String,
        /// What is wrong.
        problem: Box<Error>,
    },
    /// A map rule gives more or fewer pieces than it has targets.
    #[error("map rule `{rule}` for {target}: {pieces} pieces for {targets} targets")]
    MapPieces {
        /// The rule.
        rule: String,
        /// The target.
        target: String,
        /// How many pieces its operations make.
        pieces: u64,
        /// How many targets it has.
        targets: u64,
    },
    /// An axis does not come out even.
    #[error("map rule `{rule}` for {target}: axis {axis} of size {size} does not split into {pieces}")]
    MapSplit {
        /// The rule.
        rule: String,
        /// The target.
        target: String,
        /// The axis.
        axis: usize,
        /// Its size.
        size: u64,
        /// The pieces, in words.
        pieces: String,
    },
    /// A depth rule for a block that no source has.
    #[error("{place} `{block}={list}`: no source has a block that corresponds to {block}")]
    DepthWithoutSource {
        /// Where it was written.
        place: String,
        /// The list.
        list: String,
        /// The block's path.
        block: String,
    },
    /// `expand` needs to know the residual branches.
    #[error("depth expand of {block}: a listing does not say where its residual branches end")]
    ExpandWithoutGraph {
        /// The block's path.
        block: String,
    },
    /// A dialect orders the rows of each head in another way, and nothing says how many heads there are.
    #[error(
        "{source_name} is laid out by heads in the {dialect} dialect, and no config of the source says how many it has"
    )]
    HeadsUnknown {
        /// The dialect.
        dialect: &'static str,
        /// The source tensor.
        source_name: String,
    },
    /// A dialect orders the rows of each head in another way, and the tensor has another number of rows than the heads of the config.
    #[error(
        "{source_name}: expected {expected} rows of the heads that the source's config states, found {found} ({dialect} dialect)"
    )]
    HeadRows {
        /// The dialect.
        dialect: &'static str,
        /// The source tensor.
        source_name: String,
        /// The rows of the heads that the config states.
        expected: u64,
        /// The rows that are stored.
        found: u64,
    },
    /// A description of the source says something that a config of transformers does not carry.
    #[error("`{key}` beside the weights says something that no config of {family} carries")]
    DescriptionKey {
        /// The key.
        key: String,
        /// The family.
        family: &'static str,
    },
    /// The config that a description amounts to is not that of the weights.
    #[error("tensor {tensor}: expected {expected} by the config that is written, found {found}")]
    ConfigDoesNotFit {
        /// Its name as it is written.
        tensor: String,
        /// The shape that the model of the config has, or `none`.
        expected: String,
        /// The shape that is written, or `none`.
        found: String,
    },
    /// A layout that its names do not determine.
    #[error("{source_name} is laid out by {by}: {why}")]
    LayoutRefused {
        /// What wrote it.
        by: &'static str,
        /// The source tensor.
        source_name: String,
        /// Why it is not read.
        why: &'static str,
        /// What reads it.
        remedy: &'static str,
    },
    /// A layout that changes values, and a target that does not say its own.
    #[error(
        "{target}: the source stores `{source_name}` as {stored}, and the listing does not say how the target stores it"
    )]
    LayoutUnknown {
        /// The target.
        target: String,
        /// The source tensor.
        source_name: String,
        /// Its layout, in words.
        stored: &'static str,
    },
    /// A kernel that may be laid out in two ways, and a file that does not state in which.
    #[error(
        "tensor {target}: `{source_name}` fits {} in two layouts, and its file does not state which it has",
        ShapeText(shape)
    )]
    KernelUnstated {
        /// The target.
        target: String,
        /// The source tensor.
        source_name: String,
        /// The target's shape.
        shape: Shape,
        /// How many axes the source tensor has.
        axes: usize,
        /// Whether it is the kernel of a transposed convolution.
        is_transposed: bool,
    },
    /// Operations of a rule after which inputs and outputs of a kernel cannot be told apart.
    #[error(
        "tensor {target}: the operations of its rule leave inputs and outputs of the kernel `{source_name}` mixed in {}",
        ShapeText(found)
    )]
    KernelMixed {
        /// The target.
        target: String,
        /// The source tensor.
        source_name: String,
        /// The shape after the operations.
        found: Shape,
    },
    /// A variable of a recurrent layer that PyTorch's has no place for.
    #[error("tensor {target}: `{source_name}` belongs to a {cell}: {why}")]
    GateOrder {
        /// The target.
        target: String,
        /// The source tensor.
        source_name: String,
        /// The kind of cell.
        cell: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A fact about data is missing from the evidence.
    #[error("whether {a} and {b} are equal was not measured")]
    Unmeasured {
        /// One tensor.
        a: String,
        /// The other.
        b: String,
    },
    /// Several sources fit alike, or several targets.
    #[error("{target}{} ambiguous: {}", and_more(*count), fits(rivals))]
    Ambiguous {
        /// The first target.
        target: String,
        /// How many targets.
        count: usize,
        /// What fits it alike.
        rivals: Vec<String>,
        /// Rules that decide.
        rules: Vec<String>,
    },
    /// The layers of an `nn.Sequential` can be aligned with those of the source in several ways.
    #[error(
        "the layers of {} have other indices in the source, and their order fits in several ways: {} may come from {}",
        sequence(path),
        targets.join(", "),
        sources.join(", ")
    )]
    Order {
        /// The target's sequence.
        path: String,
        /// The source's.
        source_path: String,
        /// Tensors of the target that are not decided.
        targets: Vec<String>,
        /// Tensors of the source that they may come from.
        sources: Vec<String>,
        /// Whether the target has more layers.
        is_longer: bool,
    },
    /// A tensor is missing in some layers and found in others.
    #[error("{block}.*.{tail} is missing in layers {} of the source and found in {}", list(missing), list(found))]
    Hole {
        /// The block's path.
        block: String,
        /// The name below a layer.
        tail: String,
        /// Layers of the target without it.
        missing: Vec<u64>,
        /// Layers with it.
        found: Vec<u64>,
    },
    /// Tensors of a repeated block without a source, beside unused ones.
    #[error(
        "{count} tensors {} have no source (first {first}), while {unused} of the source {} stay unused (first {first_unused}): a likely rename",
        if block.is_empty() { "outside of repeated blocks".into() } else { format!("of {block}") },
        if block.is_empty() { "outside of its blocks" } else { "in the same block" }
    )]
    Rename {
        /// The block's path; empty for what stands outside of all blocks.
        block: String,
        /// How many targets.
        count: usize,
        /// The first target.
        first: String,
        /// How many source tensors.
        unused: usize,
        /// The first source tensor.
        first_unused: String,
        /// Rules that names prove.
        rules: Vec<String>,
        /// What names leave open, in sentences.
        open: Vec<String>,
    },
    /// Norms and biases that used layers compute with have no target.
    #[error(
        "{count} norms and biases of layers that are transferred have no target: {} (first {first}): the layers compute \
         something else without them",
        few(names)
    )]
    LostStructure {
        /// How many tensors.
        count: usize,
        /// Patterns that cover them exactly.
        names: Vec<String>,
        /// The first of them.
        first: String,
        /// The flags that declare them.
        lines: Vec<String>,
        /// The first of them that may be what a target without a source lacks, and that target.
        open: Option<(String, String)>,
    },
    /// More layers than the source has, and no word about them.
    #[error(
        "layers {} of {block} are wholly new: the target has {target_layers}, the source {source_layers}",
        list(layers)
    )]
    NewLayers {
        /// The block's path.
        block: String,
        /// The new layers.
        layers: Vec<u64>,
        /// How many the target has.
        target_layers: u64,
        /// How many the source has.
        source_layers: u64,
    },
    /// Two stored copies of what the target ties differ.
    #[error(
        "{owner} and {alias} are one tensor in the target, but `{stored_owner}` and `{stored_alias}` differ in the source"
    )]
    TieDiffers {
        /// The target that owns the tie.
        owner: String,
        /// Its other name.
        alias: String,
        /// The source of the one.
        stored_owner: String,
        /// The source of the other.
        stored_alias: String,
    },
    /// A layer that cannot start as the identity.
    #[error("depth expand of {block} is impossible: {why}")]
    ExpandImpossible {
        /// The block's path.
        block: String,
        /// Why.
        why: String,
    },
    /// A buffer that can neither be copied nor computed.
    #[error("buffer {target} is in no source, and neither its name nor what is beside it says how it is computed")]
    BufferWithoutSource {
        /// The target.
        target: String,
    },
    /// The source of a buffer has another size, and its formula is not known.
    #[error("buffer {target}: expected {expected}, found {found}, and nothing says how it is computed")]
    BufferOfAnotherSize {
        /// The target.
        target: String,
        /// Its shape.
        expected: String,
        /// That of its source.
        found: String,
    },
}

fn sequence(path: &str) -> String {
    if path.is_empty() { "the model".into() } else { path.into() }
}

/// How to say which layers of a sequence correspond; none of the lines chooses for the user.
fn order_hints(path: &str, source_path: &str, is_longer: bool) -> Vec<String> {
    let below = |path: &str| if path.is_empty() { "INDEX.*".to_string() } else { format!("{path}.INDEX.*") };
    let (to, from) = (below(path), below(source_path));
    let one = match is_longer {
        true => format!("say which layer has no source: `--new '{to}'` with its index"),
        false => format!("say which layer of the source is left out: `--unused '{from}'` with its index"),
    };
    vec![one, format!("or say for each layer which one it comes from: `--map '{to}={from}'` with both indices")]
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
    pub fn is_rename(&self) -> bool {
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
                vec!["put the model's config.json beside the weights".into()]
            }
            PlanError::NoDialect { known, .. } => vec![format!("the dialects are {}", known.join(", "))],
            PlanError::UnknownSource { known, .. } => vec![format!("the sources are {}", known.join(", "))],
            PlanError::ArithmeticAndDepth { .. } => {
                vec!["write {i} without arithmetic, it goes through the depth rule; or leave the depth rule out".into()]
            }
            PlanError::DepthWithoutSource { block, .. } => {
                vec![format!("a map rule for {block}.{{i}}.** says which block of the source it is")]
            }
            PlanError::ExpandWithoutGraph { block } => vec![flag("--depth", &format!("{block}=interleave"))],
            PlanError::HeadsUnknown { .. } => {
                vec!["put its config.json or params.json beside the weights, with head numbers and width".into()]
            }
            PlanError::HeadRows { .. } => {
                vec![
                    "correct num_attention_heads, num_key_value_heads and head_dim in the config beside the weights"
                        .into(),
                ]
            }
            PlanError::DescriptionKey { .. } | PlanError::ConfigDoesNotFit { .. } => {
                vec!["put a config.json of transformers beside the weights, which then is written as it is".into()]
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
                    format!("`{lost}` has the shape of `{missing}`, which has no source: say first which is which, by map rules")
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
                vec![format!("name one of the two in a rule of its own: `{first}` or `{second}`")]
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
    format!("{name} {}", super::quoted(value))
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
