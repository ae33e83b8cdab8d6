//! Planning: (listings, architecture, evidence) → `Plan`, a pure value. It reads no tensor data; what it must know of
//! data it asks for beforehand as questions, and the answers stand in the plan.

mod assemble;
mod assignment;
mod companions;
mod compatibility;
mod configs;
mod convert;
mod coverage;
mod damage;
pub(crate) mod damage_error;
mod document;
mod draft;
mod dtype;
pub(crate) mod error;
mod evidence;
mod fit;
mod format;
mod initialize;
mod inputs;
mod matching;
mod names;
mod patterns;
mod quantized;
mod selectors;
mod structure;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tied_names;
mod unused;
mod validate;
mod value;
mod warnings;

use crate::arch::Architecture;
use crate::error::Result;
pub(crate) use crate::plan::assignment::{Assignment, Exact, Initialisation, Lsuv, Mismatch, Step};
pub(crate) use crate::plan::companions::is_companion;
pub(crate) use crate::plan::convert::convert;
pub(crate) use crate::plan::document::{Companion, Content, FORMAT, Plan, PlannedBatch, PlannedSource, Target, Unused};
use crate::plan::draft::Draft;
pub(crate) use crate::plan::draft::Planned;
pub(crate) use crate::plan::evidence::{Answer, Question};
pub(crate) use crate::plan::inputs::{Conversion, SourceView};
pub use crate::plan::inputs::{DtypeChoice, Options};
pub(crate) use crate::plan::matching::dialects::recognise;
pub(crate) use crate::plan::names::unwrapped;
pub(crate) use crate::plan::tied_names::tied_names;
pub(crate) use crate::plan::value::{Action, InitPart, Value};
pub(crate) use crate::source::PinnedFile;

/// Decides everything. `answer` measures the facts about data that this needs. Pure: the same arguments give the same plan. No source
/// (`--from none`) is an empty slice.
pub(crate) fn plan(
    sources: &[SourceView],
    target: &Architecture,
    options: &Options,
    answer: impl FnOnce(&[Question]) -> Result<Vec<(Question, Answer)>>,
) -> Result<Planned> {
    let draft = Draft::new(sources, target, options)?;
    let evidence = answer(&draft.questions())?;
    draft.plan(evidence)
}
