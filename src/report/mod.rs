//! A plan and its outcome, for machines (`xfer.json`) and for people. The JSON depends on nothing but plan and data: no time,
//! host, thread count or path, so that `diff -r` of two runs finds nothing.

pub(crate) mod collapse;
pub mod comparison;
mod coverage;
pub mod diagnosis;
pub(crate) mod difference;
pub mod explain;
pub(crate) mod inspection;
mod json;
pub mod mismatched;
pub mod page;
pub mod text;
mod tree;
pub(crate) mod verification;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

pub use coverage::{Counts, Coverage};
pub(crate) use mismatched::MismatchedModule;

use crate::lsuv::Visit;
use crate::plan::{
    Action, Assignment, Companion, Content, FORMAT, Initialisation, Mismatch, PinnedFile, Plan, PlannedSource, Step,
    Target, Unused, Value,
};
use crate::tensor::{Dtype, Name, Shape, TensorInfo};
use crate::threads::side_by_side;
use crate::transfer::Outcome;

/// What `xfer.json` holds. Fields may be added, never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of xfer that wrote it.
    pub xfer: String,
    /// The hash of the plan.
    pub plan: String,
    /// The seed of every draw.
    pub seed: u64,
    /// The generator whose bits are meant.
    pub generator: String,
    /// Where the weights came from.
    pub sources: Vec<ReportedSource>,
    /// What they became.
    pub target: Target,
    /// How much of the target was transferred.
    pub coverage: Coverage,
    /// Every target tensor.
    pub tensors: Vec<ReportedTensor>,
    /// As above, for people, collapsed where shape and reason agree.
    pub groups: Groups,
    /// Modules that are new although they had a source, because it does not fit.
    #[serde(default)]
    pub mismatched: Vec<MismatchedModule>,
    /// Every file beside the weights.
    #[serde(default)]
    pub companions: Vec<ReportedFile>,
    /// Source tensors that nothing used.
    pub unused: Vec<Unused>,
    /// Buffers of the sources that the target does not name.
    pub dropped: Vec<Unused>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A source, without anything that depends on where this run happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportedSource {
    /// The name that rules use.
    pub name: String,
    /// `org/name`, or the last component of a path.
    pub reference: String,
    /// The commit of a Hub repository.
    pub commit: Option<String>,
    /// The format.
    pub format: String,
    /// The family, where recognised.
    pub family: Option<String>,
    /// The dialects that were recognised.
    pub dialects: Vec<String>,
    /// Its files.
    pub files: Vec<PinnedFile>,
    /// The dictionary that was read of files that nest them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
}

/// A file beside the weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedFile {
    /// Its name in the output directory; may contain `/`.
    pub name: String,
    /// `blake3:…` of the whole file.
    pub digest: String,
}

/// A source tensor that a target was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The source's name.
    pub source: String,
    /// The tensor.
    pub tensor: Name,
    /// `blake3:…` of its bytes; `None` in a dry run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
}

/// One target tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportedTensor {
    /// Its key in the `state_dict`.
    pub name: Name,
    /// As written.
    pub dtype: Dtype,
    /// As written.
    pub shape: Shape,
    /// What happened.
    pub action: Action,
    /// The expression.
    pub value: Value,
    /// The source tensors in it.
    pub from: Vec<Origin>,
    /// The operations in it, innermost first.
    pub ops: Vec<String>,
    /// The step of matching that answered.
    pub step: Step,
    /// How what is new in it was drawn.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub init: Option<Initialisation>,
    /// Why.
    pub reason: Cow<'static, str>,
    /// Candidates that lost.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub runners_up: Vec<String>,
    /// Rows without a source.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub new_rows: u64,
    /// What was measured at its layer, where it was scaled by `lsuv`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lsuv: Option<Visit>,
    /// That it had a source and is new all the same, because its module could not be transferred as a whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mismatched: Option<Mismatch>,
    /// `blake3:…` of its bytes; `None` in a dry run and for a tied one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Names of the tensors, collapsed for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// Initialised ones.
    pub new: Vec<String>,
    /// Those of the initialised ones that are mismatched.
    #[serde(default)]
    pub mismatched: Vec<String>,
    /// Adapted ones.
    pub adapted: Vec<String>,
    /// Copied ones.
    pub copied: Vec<String>,
}

impl Report {
    /// Its name in an output directory.
    pub(crate) const FILE: &'static str = "xfer.json";

    /// The report of a plan; without outcomes (a dry run) it has no digests.
    pub fn of(plan: &Plan, outcomes: Option<&[Outcome]>) -> Report {
        let tensor = |(i, assignment)| reported(plan, assignment, outcomes.and_then(|all| all.get(i)));
        let tensors = || plan.assignments.iter().enumerate().map(tensor).collect();
        let (tensors, (hash, groups)) = side_by_side(tensors, || (plan.hash(), groups(plan)));
        let mut warnings = plan.warnings.clone();
        warnings.extend(plan.assignments.iter().zip(outcomes.unwrap_or(&[])).filter_map(non_finite_warning));
        Report {
            xfer: env!("CARGO_PKG_VERSION").into(),
            plan: hash,
            seed: plan.seed,
            generator: plan.generator.clone(),
            sources: plan.sources.iter().map(ReportedSource::of).collect(),
            target: plan.target.clone(),
            coverage: Coverage::of(plan),
            tensors,
            groups,
            mismatched: mismatched::modules(plan),
            companions: plan.companions.iter().map(ReportedFile::of).collect(),
            unused: plan.unused.clone(),
            dropped: plan.dropped.clone(),
            warnings,
        }
    }

    /// As above, with what was measured where weights were scaled, by the index of the assignment.
    pub(crate) fn with_visits(mut self, visits: &BTreeMap<usize, Visit>) -> Report {
        for (index, visit) in visits {
            let Some(tensor) = self.tensors.get_mut(*index) else { continue };
            tensor.lsuv = Some(*visit);
            if visit.factor == 1.0 && visit.before == visit.after {
                self.warnings.push(format!("{}: dead or not finite, and left as it was drawn", tensor.name));
            }
        }
        self
    }

    /// Writes it as it stands in `xfer.json`.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        out.write_all(b"\n")
    }
}

impl Report {
    /// The plan as far as a report holds it: sources and expressions, and neither the size of shards nor the content of files.
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            xfer_plan: FORMAT,
            seed: self.seed,
            generator: self.generator.clone(),
            sources: self.sources.iter().map(ReportedSource::planned).collect(),
            target: self.target.clone(),
            assignments: self.tensors.iter().map(ReportedTensor::assignment).collect(),
            max_shard_size: u64::MAX,
            companions: Vec::new(),
            unused: self.unused.clone(),
            dropped: self.dropped.clone(),
            warnings: Vec::new(),
            evidence: Vec::new(),
            batch: None,
        }
    }
}

impl ReportedFile {
    fn of(companion: &Companion) -> ReportedFile {
        let digest = match &companion.content {
            Content::Text(text) => crate::digest::of(text.as_bytes()),
            Content::Source { digest, .. } | Content::File { digest, .. } => digest.clone(),
        };
        ReportedFile { name: companion.name.clone(), digest }
    }
}

impl ReportedTensor {
    /// Whether it counts as mismatched: it is new although its module has a source.
    pub(crate) fn is_mismatched(&self) -> bool {
        self.action == Action::New && self.mismatched.is_some()
    }

    fn assignment(&self) -> Assignment {
        let target = TensorInfo::new(self.name.clone(), self.dtype, self.shape.clone());
        Assignment {
            action: self.action,
            runners_up: self.runners_up.clone(),
            init: self.init.clone(),
            new_rows: self.new_rows,
            mismatched: self.mismatched.clone(),
            ..Assignment::new(target, self.value.clone(), self.step, self.reason.clone())
        }
    }
}

impl ReportedSource {
    fn planned(&self) -> PlannedSource {
        PlannedSource {
            name: self.name.clone(),
            reference: self.reference.clone(),
            location: String::new(),
            commit: self.commit.clone(),
            format: self.format.clone(),
            family: self.family.clone(),
            dialects: self.dialects.clone(),
            files: self.files.clone(),
            key: self.key.clone(),
        }
    }

    fn of(source: &crate::plan::PlannedSource) -> ReportedSource {
        ReportedSource {
            name: source.name.clone(),
            reference: source.reference.clone(),
            commit: source.commit.clone(),
            format: source.format.clone(),
            family: source.family.clone(),
            dialects: source.dialects.clone(),
            files: source.files.clone(),
            key: source.key.clone(),
        }
    }
}

fn non_finite_warning((assignment, outcome): (&Assignment, &Outcome)) -> Option<String> {
    (outcome.non_finite > 0).then(|| {
        format!("{}: {} elements are NaN or infinite, as in the source", assignment.target.name, outcome.non_finite)
    })
}

fn reported(plan: &Plan, assignment: &Assignment, outcome: Option<&Outcome>) -> ReportedTensor {
    let mut from = Vec::new();
    let mut ops = Vec::new();
    walk(&assignment.value, &mut |value| match value {
        Value::Source { source, tensor, .. } => {
            let name = plan.sources.get(*source).map(|s| s.name.clone()).unwrap_or_default();
            let digest = outcome.and_then(|o| {
                o.inputs.iter().find(|i| i.source == *source && i.tensor == *tensor).map(|i| i.digest.clone())
            });
            let origin = Origin { source: name, tensor: tensor.clone(), digest };
            if !from.contains(&origin) {
                // one as a rule, where a list would make room for four
                if from.is_empty() {
                    from.reserve_exact(1);
                }
                from.push(origin);
            }
        }
        Value::Apply { op, .. } => ops.push(op.name().to_string()),
        Value::Init { .. } | Value::Count { .. } | Value::Computed { .. } | Value::Tied { .. } => {}
    });
    ReportedTensor {
        name: assignment.target.name.clone(),
        dtype: assignment.target.dtype,
        shape: assignment.target.shape.clone(),
        action: assignment.action,
        value: assignment.value.clone(),
        from,
        ops,
        step: assignment.step,
        init: assignment.init.clone(),
        reason: assignment.reason.clone(),
        runners_up: assignment.runners_up.clone(),
        new_rows: assignment.new_rows,
        lsuv: None,
        mismatched: assignment.mismatched.clone(),
        digest: outcome.and_then(|o| o.digest.clone()),
    }
}

/// Visits a tree, inputs before the operation over them.
fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    if let Value::Apply { inputs, .. } = value {
        for input in inputs {
            walk(input, visit);
        }
    }
    visit(value);
}

fn groups(plan: &Plan) -> Groups {
    let lines = |belongs: &dyn Fn(&&Assignment) -> bool| {
        let items = plan.assignments.iter().filter(belongs);
        collapse::collapse(items.map(|a| (a.target.name.as_str(), (&a.target.shape, a.target.dtype, &a.reason))))
            .into_iter()
            .map(|line| line.name)
            .collect()
    };
    Groups {
        new: lines(&|one| one.action == Action::New),
        mismatched: lines(&|one| mismatched::is_mismatched(one)),
        adapted: lines(&|one| one.action == Action::Adapted),
        copied: lines(&|one| one.action == Action::Copied),
    }
}
