use super::{Exit, Fault, PlanError, quoted};
use crate::tensor::{Dtype, Shape, ShapeText};

/// A match cannot be fitted or initialised as the rules say, a plan falls short of the coverage that was asked for, or a
/// plan that was read is not one that can be run.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The text of a plan is no JSON of this form.
    #[error("plan: {place}: {problem}")]
    Syntax {
        /// Where in the file, as `line 12 column 7`, or in which part of the plan.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// The plan was written in another format.
    #[error("plan: format {found}, expected {expected}")]
    Version {
        /// What it says.
        found: u32,
        /// What can be read.
        expected: u32,
    },
    /// The plan means the bits of another generator.
    #[error("plan: generator {found}, expected {expected}")]
    Generator {
        /// What it says.
        found: String,
        /// What can be run.
        expected: &'static str,
    },
    /// One name stands twice where names are unique.
    #[error("plan: {what} {name} stands twice")]
    Twice {
        /// `tensor`, `source`, `file`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A count of the plan disagrees with what it counts.
    #[error("plan: {what}: expected {expected}, found {found}")]
    Count {
        /// What is counted.
        what: String,
        /// What the entries amount to.
        expected: u64,
        /// What is written.
        found: u64,
    },
    /// An expression yields another type or shape than its target has.
    #[error(
        "tensor {name}: expected {expected_dtype} {}, found {found_dtype} {}",
        ShapeText(expected),
        ShapeText(found)
    )]
    Yields {
        /// The target.
        name: String,
        /// The target's type.
        expected_dtype: Dtype,
        /// The target's shape.
        expected: Shape,
        /// The expression's type.
        found_dtype: Dtype,
        /// The expression's shape.
        found: Shape,
    },
    /// An operation of an expression does not fit its inputs.
    #[error("tensor {name}: {source}")]
    Expression {
        /// The target.
        name: String,
        /// What the operation says.
        source: Box<super::Error>,
    },
    /// The pieces of an initialisation do not fill its first axis.
    #[error("initialisation: expected {expected} rows, found parts of {found} rows")]
    Parts {
        /// The rows of the shape.
        expected: u64,
        /// The rows of the parts.
        found: u64,
    },
    /// A count of whole numbers in a type that does not hold them, or along an axis that is not there.
    #[error(
        "a count in {dtype} {} along axis {axis:?}: no integer type that holds it, or no such axis",
        ShapeText(shape)
    )]
    Uncountable {
        /// The type.
        dtype: Dtype,
        /// The shape.
        shape: Shape,
        /// The axis.
        axis: Option<usize>,
    },
    /// A scheme has a parameter that is no number, or out of its range.
    #[error("tensor {name}: {problem}")]
    Scheme {
        /// The target.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// An expression mentions a source that the plan does not have.
    #[error("tensor {name}: source {index}, found {sources} sources")]
    NoSource {
        /// The target or the list.
        name: String,
        /// The index.
        index: usize,
        /// How many there are.
        sources: usize,
    },
    /// Two expressions describe one source tensor differently.
    #[error("source tensor {tensor}: described as {a_dtype} {} and as {b_dtype} {}", ShapeText(a), ShapeText(b))]
    SourceDisagrees {
        /// The source tensor.
        tensor: String,
        /// One type.
        a_dtype: Dtype,
        /// One shape.
        a: Shape,
        /// The other type.
        b_dtype: Dtype,
        /// The other shape.
        b: Shape,
    },
    /// A tie stands inside an expression.
    #[error("a tie to {to} inside an expression; a tie is a whole value")]
    TieInside {
        /// Its owner.
        to: String,
    },
    /// A tie names no target.
    #[error("tensor {name}: tied to {to}, which is no tensor of the plan")]
    TieMissing {
        /// The tied one.
        name: String,
        /// Its owner.
        to: String,
    },
    /// A tie names another tied one, which is not written.
    #[error("tensor {name}: tied to {to}, which is itself tied")]
    TieToTied {
        /// The tied one.
        name: String,
        /// Its owner.
        to: String,
    },
    /// The action contradicts the value.
    #[error("tensor {name}: action {found}, expected {expected} by its value")]
    Action {
        /// The target.
        name: String,
        /// What the value is.
        expected: &'static str,
        /// What is written.
        found: &'static str,
    },
    /// A file beside the weights would leave the directory or replace a file of xfer's own.
    #[error("plan: file {name:?}: {problem}")]
    Companion {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The tokenizer has more tokens than the embedding has rows.
    #[error("tensor {name}: expected at least {tokens} rows for the tokens of {tokenizer}, found {rows}")]
    TooManyTokens {
        /// The embedding.
        name: String,
        /// The tokenizer, as written.
        tokenizer: String,
        /// Its tokens.
        tokens: u64,
        /// The rows of the target.
        rows: u64,
    },
    /// Rows are to be matched by token, but the source has no tokenizer.
    #[error("tensor {name}: rows are matched by token, but {reference} has no tokenizer that can be read")]
    NoSourceVocabulary {
        /// The embedding.
        name: String,
        /// The source.
        reference: String,
    },
    /// A `vocab` rule says no embedding, and there are several or none.
    #[error("vocab: expected one embedding, found {}: {}", names.len(), if names.is_empty() { "none in the architecture".into() } else { names.join(", ") })]
    WhichVocabulary {
        /// The embeddings.
        names: Vec<String>,
    },
    /// The names of a head's classes are not as many as its rows.
    #[error("labels of {head}: expected {rows} names, found {labels}")]
    LabelCount {
        /// The head.
        head: String,
        /// Its rows.
        rows: u64,
        /// The names.
        labels: u64,
    },
    /// An `adapt` rule cannot turn the source's rows into the target's.
    #[error("tensor {name}: `{rule}` cannot make {expected} rows of {found}{why}")]
    Adapt {
        /// The target.
        name: String,
        /// The rule.
        rule: String,
        /// The target's rows.
        expected: u64,
        /// The source's rows.
        found: u64,
        /// Further numbers, or nothing.
        why: String,
    },
    /// An `adapt` rule for a tensor that it cannot act on.
    #[error(
        "tensor {name}: expected {}, found {}: the adapt rule `{rule}` cannot act on it",
        ShapeText(expected),
        ShapeText(found)
    )]
    CannotAdapt {
        /// The target.
        name: String,
        /// The key of the rule.
        rule: &'static str,
        /// The target's shape.
        expected: Shape,
        /// The source's shape.
        found: Shape,
    },
    /// An `adapt` rule none of whose tensors has a source.
    #[error("{place} `{pattern}`: no tensor that it matches has a source to adapt (first {name})")]
    NothingToAdapt {
        /// Where it was written.
        place: String,
        /// The pattern.
        pattern: String,
        /// The first target.
        name: String,
    },
    /// Positions that are the cells of an image, and a rule that interpolates along one line.
    #[error(
        "tensor {name}: `positions: interpolate` acts along one line, but {found} and {rows} positions are {from} × {from} and {to} × {to} cells of an image and {tokens} more"
    )]
    PositionsOfGrid {
        /// The target.
        name: String,
        /// The source's positions.
        found: u64,
        /// The target's positions.
        rows: u64,
        /// How many stand before the cells.
        tokens: u64,
        /// The side of the source's grid.
        from: u64,
        /// The side of the target's grid.
        to: u64,
    },
    /// An `adapt` rule whose operation this version lacks.
    #[error("tensor {name}: the adapt rule `{rule}` has to act on it, and is not available in this version")]
    NoOperation {
        /// The target.
        name: String,
        /// The rule.
        rule: &'static str,
    },
    /// `lsuv` without a model that can run.
    #[error("tensor {name}: `lsuv` ({by}) runs the model on a batch, and a listing has no graph")]
    LsuvWithoutGraph {
        /// The target.
        name: String,
        /// What asked for it.
        by: String,
    },
    /// `lsuv` for one tensor by its name, and it is none that is scaled.
    #[error("tensor {name}: `lsuv` ({by}) scales weights of linear and convolutional layers outside heads and ties")]
    NotScalable {
        /// The target.
        name: String,
        /// What asked for it.
        by: String,
    },
    /// An assignment of a plan cannot be scaled as it says.
    #[error("tensor {name}: `lsuv`: {problem}")]
    LsuvMark {
        /// The target.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// `match` without anything to match.
    #[error("tensor {name}: `match` ({by}) has no transferred sibling layer to take statistics from")]
    NoSiblings {
        /// The target.
        name: String,
        /// What asked for it.
        by: String,
    },
    /// A scheme does not fit the tensor that a rule gives it to.
    #[error("tensor {name}: {by}: {source}")]
    Unresolved {
        /// The target.
        name: String,
        /// What asked for it.
        by: String,
        /// What the scheme lacks.
        source: Box<super::Error>,
    },
    /// A fact that planning needs was not measured.
    #[error("the moments of {tensor} are needed and were not measured")]
    NoEvidence {
        /// The source tensor.
        tensor: String,
    },
    /// The config's `dtype` names no type.
    #[error("config: {source}")]
    ConfigDtype {
        /// What is wrong.
        source: Box<super::Error>,
    },
    /// Fewer parameters were found than asked for.
    #[error(
        "coverage: found {found} of {total} parameters outside heads ({:.1} %), expected at least {:.1} %{}",
        percent(*found, *total),
        minimum * 100.0,
        if mismatched.is_empty() { String::new() } else { format!("; mismatched: {}", few(mismatched)) }
    )]
    LowCoverage {
        /// Parameters with a source.
        found: u64,
        /// Parameters outside heads.
        total: u64,
        /// The least share.
        minimum: f64,
        /// Tensors whose sources do not fit, each with both shapes.
        mismatched: Vec<String>,
    },
    /// With `--strict`, new tensors that nothing declares.
    #[error("strict: {count} new tensors are not declared: {}", few(names))]
    UndeclaredNew {
        /// How many.
        count: usize,
        /// Patterns that cover them exactly.
        names: Vec<String>,
        /// The flags that declare them.
        lines: Vec<String>,
    },
    /// With `--strict`, unused source tensors that nothing declares.
    #[error("strict: {count} unused source tensors are not declared: {}", few(names))]
    UndeclaredUnused {
        /// How many.
        count: usize,
        /// Patterns that cover them exactly.
        names: Vec<String>,
        /// The flags that declare them.
        lines: Vec<String>,
    },
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 100.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The first names of a list, and how many more there are.
pub(super) fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(", and {} more", names.len() - SHOWN));
    }
    text
}

impl From<FitError> for super::Error {
    fn from(error: FitError) -> Self {
        super::Error::Plan(PlanError::Fit(error))
    }
}

impl Fault for FitError {
    fn exit(&self) -> Exit {
        match self {
            FitError::LsuvWithoutGraph { .. } | FitError::NotScalable { .. } => Exit::Usage,
            FitError::LowCoverage { .. } | FitError::UndeclaredNew { .. } | FitError::UndeclaredUnused { .. } => {
                Exit::Contract
            }
            FitError::NoEvidence { .. } => Exit::Machine,
            FitError::Syntax { .. }
            | FitError::Version { .. }
            | FitError::LsuvMark { .. }
            | FitError::Generator { .. }
            | FitError::Twice { .. }
            | FitError::Count { .. }
            | FitError::Yields { .. }
            | FitError::Expression { .. }
            | FitError::Parts { .. }
            | FitError::Uncountable { .. }
            | FitError::Scheme { .. }
            | FitError::NoSource { .. }
            | FitError::SourceDisagrees { .. }
            | FitError::TieInside { .. }
            | FitError::TieMissing { .. }
            | FitError::TieToTied { .. }
            | FitError::Action { .. }
            | FitError::Companion { .. }
            | FitError::TooManyTokens { .. }
            | FitError::NoSourceVocabulary { .. }
            | FitError::WhichVocabulary { .. }
            | FitError::LabelCount { .. }
            | FitError::Adapt { .. }
            | FitError::CannotAdapt { .. }
            | FitError::NothingToAdapt { .. }
            | FitError::PositionsOfGrid { .. }
            | FitError::NoOperation { .. }
            | FitError::NoSiblings { .. }
            | FitError::Unresolved { .. }
            | FitError::ConfigDtype { .. } => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            FitError::Version { .. } | FitError::Generator { .. } => {
                vec!["make the plan again with this version: `xfer init … --dry-run --plan FILE`".into()]
            }
            FitError::TooManyTokens { tokens, .. } => {
                vec![format!("`--set vocab_size={tokens}`, or more to leave padding rows")]
            }
            FitError::NoSourceVocabulary { .. } => {
                vec!["put the source's tokenizer.json or vocab.txt beside its weights".into()]
            }
            FitError::WhichVocabulary { names } => {
                names.iter().map(|name| format!("`\"vocab\": {{ …, \"match\": \"{name}\" }}`")).collect()
            }
            FitError::LsuvWithoutGraph { .. } => vec![
                "--arch with a Hugging Face config or native layers, which can run".into(),
                "--init orthogonal needs no graph".into(),
            ],
            FitError::NotScalable { name, .. }
            | FitError::NoSiblings { name, .. }
            | FitError::Unresolved { name, .. } => vec![format!("--init {}", quoted(&format!("{name}=auto")))],
            FitError::NoOperation { name, .. } => vec![format!("--reinit {}", quoted(name))],
            FitError::CannotAdapt { name, .. } => {
                vec![
                    "`positions` acts on the rows of a table of positions, `heads` on query, key and value projections, `rows` on rows of a vocabulary or of class names".into(),
                    format!("--reinit {}", quoted(name)),
                ]
            }
            FitError::NothingToAdapt { pattern, .. } => {
                vec![format!("leave the rule out, or write `?{pattern}`, which may match nothing that has a source")]
            }
            FitError::PositionsOfGrid { .. } => {
                vec!["where the positions do lie on one line, say so by adding `\"prefix\": [0, 0]` to the rule".into()]
            }
            FitError::LowCoverage { found, total, .. } => vec![
                "compare the names of both sides: `xfer inspect SRC`, `xfer arch ARCH`; say the difference with --map"
                    .into(),
                format!("`--min-coverage {:.2}` accepts it", floor_hundredth(*found, *total)),
            ],
            FitError::UndeclaredNew { lines, .. } | FitError::UndeclaredUnused { lines, .. } => lines.clone(),
            FitError::Expression { source, .. } | FitError::ConfigDtype { source } => source.hints(),
            FitError::Syntax { .. }
            | FitError::LsuvMark { .. }
            | FitError::Twice { .. }
            | FitError::Count { .. }
            | FitError::Yields { .. }
            | FitError::Parts { .. }
            | FitError::Uncountable { .. }
            | FitError::Scheme { .. }
            | FitError::NoSource { .. }
            | FitError::SourceDisagrees { .. }
            | FitError::TieInside { .. }
            | FitError::TieMissing { .. }
            | FitError::TieToTied { .. }
            | FitError::Action { .. }
            | FitError::Companion { .. }
            | FitError::LabelCount { .. }
            | FitError::Adapt { .. }
            | FitError::NoEvidence { .. } => Vec::new(),
        }
    }
}

/// The share rounded down to hundredths, so that the flag that quotes it accepts it.
fn floor_hundredth(part: u64, whole: u64) -> f64 {
    percent(part, whole).floor() / 100.0
}
