//! Why one tensor has the value that it has.

use std::fmt::Write;

use super::text::measured;
use super::{Report, ReportedTensor};
use crate::error::{Exit, Fault, Result, nearest};
use crate::plan::{Action, Step, Value};
use crate::tensor::ShapeText;
use crate::text::Text;

/// A report or plan has no tensor of this name.
#[derive(Debug, thiserror::Error)]
#[error("there is no tensor {name}")]
struct NoSuchTensor {
    name: String,
    nearest: Option<String>,
}

impl Fault for NoSuchTensor {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        self.nearest.iter().map(|near| format!("the nearest name is {near}")).collect()
    }
}

/// Finds a tensor of the report by its target name, or an error with the nearest name.
pub fn find<'a>(report: &'a Report, name: &str) -> Result<&'a ReportedTensor> {
    report.tensors.iter().find(|tensor| tensor.name == name).ok_or_else(|| {
        let near = nearest(name, report.tensors.iter().map(|tensor| tensor.name.as_str()));
        NoSuchTensor { name: name.to_string(), nearest: near.map(str::to_string) }.into()
    })
}

/// The step, the rule, the expression and the candidates that lost.
pub fn render(report: &Report, tensor: &ReportedTensor) -> Text {
    let mut out = Text::default();
    let _ = writeln!(out, "{} {} {}: {}", tensor.name, tensor.dtype, ShapeText(&tensor.shape), verb(tensor.action));
    let _ = writeln!(out, "  why        {} (step: {})", tensor.reason, step(tensor.step));
    let _ = writeln!(out, "  value      {}", expression(report, &tensor.value));
    for origin in &tensor.from {
        let digest = origin.digest.as_deref().unwrap_or("not read yet");
        let _ = writeln!(out, "  from       {}:{} {digest}", origin.source, origin.tensor);
    }
    if let Some(init) = &tensor.init {
        let std = init.std.map(|std| format!(", std {std:.6}")).unwrap_or_default();
        let _ = writeln!(out, "  new values {}{std}, chosen by {}", init.scheme, init.by);
    }
    if let Some(visit) = tensor.lsuv {
        let _ = writeln!(out, "  scaled     {}", measured(visit));
    }
    if tensor.new_rows > 0 {
        let _ = writeln!(out, "  new rows   {}", tensor.new_rows);
    }
    if let Some(mismatch) = &tensor.mismatched {
        let found = ShapeText(&mismatch.found);
        let _ = writeln!(out, "  mismatched found {found}; the module {} is newly initialised", mismatch.module);
    }
    for loser in &tensor.runners_up {
        let _ = writeln!(out, "  instead of {loser}");
    }
    if let Some(digest) = &tensor.digest {
        let _ = writeln!(out, "  digest     {digest}");
    }
    out
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Copied => "copied",
        Action::Adapted => "adapted",
        Action::Tied => "tied",
        Action::New => "new",
    }
}

fn step(step: Step) -> &'static str {
    match step {
        Step::Map => "a map rule",
        Step::Name => "the same name",
        Step::Wrapper => "the same name without wrappers",
        Step::Dialect => "a dialect of the family",
        Step::Prefix => "a leading path added or removed",
        Step::Suffix => "the suffix of a repeated module",
        Step::Sequence => "the place in the order of a sequence",
        Step::Tie => "the owner of a tie",
        Step::None => "none answered",
    }
}

/// The tree as a call: `gather(source:embeddings.weight, init[100, 384])`.
fn expression(report: &Report, value: &Value) -> String {
    match value {
        Value::Source { source, tensor, shape, .. } => {
            let name = report.sources.get(*source).map_or("?", |s| s.name.as_str());
            format!("{name}:{tensor}{}", ShapeText(shape))
        }
        Value::Init { shape, .. } => format!("init{}", ShapeText(shape)),
        Value::Count { shape, axis: Some(axis), .. } => format!("index{} along axis {axis}", ShapeText(shape)),
        Value::Computed { shape, .. } => format!("computed{}", ShapeText(shape)),
        Value::Count { shape, axis: None, .. } => format!("zeros{}", ShapeText(shape)),
        Value::Apply { op, inputs } => {
            let inputs: Vec<String> = inputs.iter().map(|input| expression(report, input)).collect();
            format!("{}({})", op.name(), inputs.join(", "))
        }
        Value::Tied { to } => format!("another name of {to}"),
    }
}
