use crate::error::{Error, Exit, Fault, quoted};
use crate::tensor::{Dtype, Shape, ShapeText};

/// A match cannot be fitted or initialised as the rules say, a plan falls short of the coverage that was asked for, or a
/// plan that was read is not one that can be run.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error("plan: {place}: {problem}")]
    Syntax { place: String, problem: String },
    #[error("plan: format {found}, expected {expected}")]
    Version { found: u32, expected: u32 },
    #[error("plan: generator {found}, expected {expected}")]
    Generator { found: String, expected: &'static str },
    #[error("plan: {what} {name} appears twice")]
    Twice { what: &'static str, name: String },
    #[error("plan: {what}: expected {expected}, found {found}")]
    Count { what: String, expected: u64, found: u64 },
    #[error(
        "tensor {name}: expected {expected_dtype} {}, found {found_dtype} {}",
        ShapeText(expected),
        ShapeText(found)
    )]
    Yields { name: String, expected_dtype: Dtype, expected: Shape, found_dtype: Dtype, found: Shape },
    #[error("tensor {name}: {source}")]
    Expression { name: String, source: Box<Error> },
    #[error("initialisation: expected {expected} rows, found parts of {found} rows")]
    Parts { expected: u64, found: u64 },
    /// A count of whole numbers in a type that does not hold them, or along an axis that is not there.
    #[error(
        "a count in {dtype} {} along axis {axis:?}: no integer type that contains it, or no such axis",
        ShapeText(shape)
    )]
    Uncountable { dtype: Dtype, shape: Shape, axis: Option<usize> },
    /// A scheme has a parameter that is not a number, or out of its range.
    #[error("tensor {name}: {problem}")]
    Scheme { name: String, problem: String },
    #[error("tensor {name}: source {index}, found {sources} sources")]
    NoSource { name: String, index: usize, sources: usize },
    #[error("source tensor {tensor}: described as {a_dtype} {} and as {b_dtype} {}", ShapeText(a), ShapeText(b))]
    SourceDisagrees { tensor: String, a_dtype: Dtype, a: Shape, b_dtype: Dtype, b: Shape },
    #[error("a tie to {to} inside an expression; a tie is a whole value")]
    TieInside { to: String },
    #[error("tensor {name}: tied to {to}, which is not a tensor of the plan")]
    TieMissing { name: String, to: String },
    /// A tie names another tied one, which is not written.
    #[error("tensor {name}: tied to {to}, which is itself tied")]
    TieToTied { name: String, to: String },
    #[error("tensor {name}: action {found}, expected {expected} by its value")]
    Action { name: String, expected: &'static str, found: &'static str },
    #[error("plan: file {name:?}: {problem}")]
    Companion { name: String, problem: &'static str },
    #[error("tensor {name}: expected at least {tokens} rows for the tokens of {tokenizer}, found {rows}")]
    TooManyTokens { name: String, tokenizer: String, tokens: u64, rows: u64 },
    /// Rows are to be matched by token, but the source has no tokenizer.
    #[error("tensor {name}: rows are matched by token, but {reference} has no tokenizer that can be read")]
    NoSourceVocabulary { name: String, reference: String },
    /// A `vocab` rule says no embedding, and there are several or none.
    #[error("vocab: expected one embedding, found {}: {}", names.len(), if names.is_empty() { "none in the architecture".into() } else { names.join(", ") })]
    WhichVocabulary { names: Vec<String> },
    #[error("labels of {head}: expected {rows} names, found {labels}")]
    LabelCount { head: String, rows: u64, labels: u64 },
    #[error("tensor {name}: `{rule}` cannot make {expected} rows of {found}{why}")]
    Adapt { name: String, rule: String, expected: u64, found: u64, why: String },
    #[error(
        "tensor {name}: expected {}, found {}: the adapt rule `{rule}` cannot act on it",
        ShapeText(expected),
        ShapeText(found)
    )]
    CannotAdapt { name: String, rule: &'static str, expected: Shape, found: Shape },
    #[error("{place} `{pattern}`: no tensor that it matches has a source to adapt (first {name})")]
    NothingToAdapt { place: String, pattern: String, name: String },
    /// Positions that are the cells of an image, and a rule that interpolates along one line.
    #[error(
        "tensor {name}: `positions: interpolate` acts along one line, but {found} and {rows} positions are {from} × {from} and {to} × {to} cells of an image and {tokens} more"
    )]
    PositionsOfGrid { name: String, found: u64, rows: u64, tokens: u64, from: u64, to: u64 },
    #[error("tensor {name}: the adapt rule `{rule}` has to act on it, and is not available in this version")]
    NoOperation { name: String, rule: &'static str },
    #[error("tensor {name}: `lsuv` ({by}) runs the model on a batch, and a listing has no graph")]
    LsuvWithoutGraph { name: String, by: String },
    /// `lsuv` for one tensor by its name, and it is none that is scaled.
    #[error("tensor {name}: `lsuv` ({by}) scales weights of linear and convolutional layers outside heads and ties")]
    NotScalable { name: String, by: String },
    #[error("tensor {name}: `lsuv`: {problem}")]
    LsuvMark { name: String, problem: &'static str },
    #[error("tensor {name}: `match` ({by}) has no transferred sibling layer to take statistics from")]
    NoSiblings { name: String, by: String },
    #[error("tensor {name}: {by}: {source}")]
    Unresolved { name: String, by: String, source: Box<Error> },
    #[error("the moments of {tensor} are needed and were not measured")]
    NoEvidence { tensor: String },
    #[error("config: {source}")]
    ConfigDtype { source: Box<Error> },
    #[error(
        "coverage: found {found} of {total} parameters outside heads ({:.1} %), expected at least {:.1} %{}",
        percent(*found, *total),
        minimum * 100.0,
        if mismatched.is_empty() { String::new() } else { format!("; mismatched: {}", few(mismatched)) }
    )]
    LowCoverage { found: u64, total: u64, minimum: f64, mismatched: Vec<String> },
    /// With `--strict`, new tensors that nothing declares.
    #[error("strict: {count} new tensors are not declared: {}", few(names))]
    UndeclaredNew { count: usize, names: Vec<String>, lines: Vec<String> },
    /// With `--strict`, unused source tensors that nothing declares.
    #[error("strict: {count} unused source tensors are not declared: {}", few(names))]
    UndeclaredUnused { count: usize, names: Vec<String>, lines: Vec<String> },
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 100.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The first names of a list, and how many more there are.
pub(in crate::plan) fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(", and {} more", names.len() - SHOWN));
    }
    text
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
                vec!["put the source's tokenizer.json or vocab.txt next to its weights".into()]
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
                vec!["if the positions lie on one line, add `\"prefix\": [0, 0]` to the rule".into()]
            }
            FitError::LowCoverage { found, total, .. } => vec![
                "compare the names of both sides: `xfer inspect SRC`, `xfer arch ARCH`; state the difference with --map"
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
