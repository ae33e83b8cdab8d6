//! A plan as JSON: one line for each entry of a list, so that a review or a `diff` sees tensors; and the digest that
//! names it. Both leave nothing to chance: fields stand in the order of their declaration, and no map is hashed.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::error::Result;
use crate::plan::assignment::Assignment;
use crate::plan::document::{Companion, Content, FORMAT, Plan, PlannedBatch, PlannedSource, Target, Unused};
use crate::plan::evidence::{Answer, Question};
use crate::plan::fit::error::FitError;
use crate::plan::validate;

/// What the digest covers: everything but where things lay when the plan was made.
#[derive(Serialize)]
struct Canonical<'a> {
    xfer_plan: u32,
    seed: u64,
    generator: &'a str,
    sources: Vec<PlannedSource>,
    target: &'a Target,
    assignments: &'a [Assignment],
    max_shard_size: u64,
    companions: Vec<Cow<'a, Companion>>,
    unused: &'a [Unused],
    dropped: &'a [Unused],
    warnings: &'a [String],
    evidence: &'a [(Question, Answer)],
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<PlannedBatch>,
}

impl<'a> Canonical<'a> {
    fn of(plan: &'a Plan) -> Canonical<'a> {
        Canonical {
            xfer_plan: plan.xfer_plan,
            seed: plan.seed,
            generator: &plan.generator,
            sources: plan.sources.iter().cloned().map(without_location).collect(),
            target: &plan.target,
            assignments: &plan.assignments,
            max_shard_size: plan.max_shard_size,
            companions: plan.companions.iter().map(companion_without_location).collect(),
            unused: &plan.unused,
            dropped: &plan.dropped,
            warnings: &plan.warnings,
            evidence: &plan.evidence,
            batch: plan.batch.clone().map(batch_without_location),
        }
    }
}

fn without_location(source: PlannedSource) -> PlannedSource {
    PlannedSource { location: String::new(), ..source }
}

fn companion_without_location(companion: &Companion) -> Cow<'_, Companion> {
    match &companion.content {
        Content::File { digest, .. } => {
            let content = Content::File { location: String::new(), digest: digest.clone() };
            Cow::Owned(Companion { name: companion.name.clone(), content })
        }
        Content::Text(_) | Content::Source { .. } => Cow::Borrowed(companion),
    }
}

fn batch_without_location(batch: PlannedBatch) -> PlannedBatch {
    match batch {
        PlannedBatch::File { digest, .. } => PlannedBatch::File { location: String::new(), digest },
        batch @ PlannedBatch::Random { .. } => batch,
    }
}

impl Plan {
    /// The blake3 digest of the plan in hex, `location`s left out.
    pub(crate) fn hash(&self) -> String {
        // blake3 is fast over whole blocks, and serde writes a word at a time
        let mut hasher = BufWriter::with_capacity(1 << 16, blake3::Hasher::new());
        // plain data into a hasher: neither a type nor a writer that could fail
        let written = serde_json::to_writer(&mut hasher as &mut dyn Write, &Canonical::of(self));
        let flushed = hasher.flush();
        debug_assert!(written.is_ok() && flushed.is_ok());
        hasher.get_ref().finalize().to_hex().to_string()
    }

    /// Writes the plan as JSON, reading back equal: a line at a time, for there may be a hundred thousand.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let Plan {
            xfer_plan,
            seed,
            generator,
            sources,
            target,
            assignments,
            max_shard_size,
            companions,
            unused,
            dropped,
            warnings,
            evidence,
            batch,
        } = self;
        let mut fields = Fields { out, before: "{" };
        fields.line("xfer_plan", xfer_plan)?;
        fields.line("seed", seed)?;
        fields.line("generator", generator)?;
        fields.list("sources", sources)?;
        fields.line("target", target)?;
        fields.list("assignments", assignments)?;
        fields.line("max_shard_size", max_shard_size)?;
        fields.list("companions", companions)?;
        fields.list("unused", unused)?;
        fields.list("dropped", dropped)?;
        fields.list("warnings", warnings)?;
        fields.list("evidence", evidence)?;
        if let Some(batch) = batch {
            fields.line("batch", batch)?;
        }
        out.write_all(b"\n}\n")
    }

    /// Checks everything that must hold of a plan, whoever made it; the first error in the plan's order.
    pub(crate) fn check(&self) -> Result<()> {
        validate::validate(self)
    }

    /// Reads and validates a plan that was written, perhaps edited: versions, shapes of every expression against its target,
    /// names unique, ties resolvable. An error says which assignment and what.
    pub(crate) fn from_json(text: &str) -> Result<Plan> {
        let plan: Plan = serde_json::from_str(text).map_err(misread)?;
        if plan.xfer_plan != FORMAT {
            return Err(FitError::Version { found: plan.xfer_plan, expected: FORMAT }.into());
        }
        plan.check()?;
        Ok(plan)
    }
}

/// Each entry of a plan stands on a line of its own, so that the line says which.
fn misread(error: serde_json::Error) -> FitError {
    let place = format!("line {} column {}", error.line(), error.column());
    let full = error.to_string();
    let problem = full.strip_suffix(&format!(" at {place}")).unwrap_or(&full).into();
    FitError::Syntax { place, problem }
}

/// The fields of the outermost object.
struct Fields<'a> {
    out: &'a mut dyn Write,
    /// What stands before the next field.
    before: &'static str,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) -> io::Result<()> {
        write!(self.out, "{}\n  \"{name}\": ", std::mem::replace(&mut self.before, ","))
    }

    fn line<T: Serialize>(&mut self, name: &str, value: &T) -> io::Result<()> {
        self.name(name)?;
        Ok(serde_json::to_writer(&mut *self.out, value)?)
    }

    /// Each item on a line of its own.
    fn list<T: Serialize>(&mut self, name: &str, items: &[T]) -> io::Result<()> {
        self.name(name)?;
        for (index, item) in items.iter().enumerate() {
            self.out.write_all(if index == 0 { b"[\n    " } else { b",\n    " })?;
            serde_json::to_writer(&mut *self.out, item)?;
        }
        self.out.write_all(if items.is_empty() { b"[]" } else { b"\n  ]" })
    }
}
