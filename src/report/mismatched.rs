//! Modules that had a source and are new all the same, for machines and for people: grouped by layer, with both shapes.

use serde::{Deserialize, Serialize};

use super::collapse::{Line, collapse};
use crate::hash::HashMap;
use crate::plan::{Action, Assignment, Plan};
use crate::tensor::{Name, Shape, ShapeText};

/// A module whose source does not fit, so that all of it is newly initialised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MismatchedModule {
    /// The path of a layer, or the name of a bare parameter.
    pub module: String,
    /// Its tensors that have a source.
    pub tensors: Vec<MismatchedTensor>,
}

/// A tensor of such a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MismatchedTensor {
    /// Its key in the `state_dict`.
    pub name: Name,
    /// The target's shape.
    pub expected: Shape,
    /// The shape that was found; the same where the tensor is new only because of its module.
    pub found: Shape,
}

/// The mismatched modules of a plan, in its order.
pub(super) fn modules(plan: &Plan) -> Vec<MismatchedModule> {
    let mut modules: Vec<MismatchedModule> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::default();
    for (assignment, mismatch) in plan.assignments.iter().filter_map(|one| Some((one, one.mismatched.as_ref()?))) {
        if !is_mismatched(assignment) {
            continue;
        }
        let place = *places.entry(&mismatch.module).or_insert_with(|| {
            modules.push(MismatchedModule { module: mismatch.module.clone(), tensors: Vec::new() });
            modules.len() - 1
        });
        let (name, expected) = (assignment.target.name.clone(), assignment.target.shape.clone());
        if let Some(module) = modules.get_mut(place) {
            module.tensors.push(MismatchedTensor { name, expected, found: mismatch.found.clone() });
        }
    }
    modules
}

/// Whether an assignment counts as mismatched; one that was given a source by hand no longer does.
pub(super) fn is_mismatched(assignment: &Assignment) -> bool {
    assignment.action == Action::New && assignment.mismatched.is_some()
}

/// One line for the modules of each layer template that are mismatched alike: `encoder.layer.{0-11}.output.dense × 12 weight: expected
/// [768, 3072], found [768, 1536]`.
pub(crate) fn lines(modules: &[MismatchedModule]) -> Vec<String> {
    let described = modules.iter().map(|module| (module.module.as_str(), shapes(module)));
    let line = |line: Line<String>| match line.count {
        1 => format!("{}  {}", line.name, line.key),
        count => format!("{} × {count}  {}", line.name, line.key),
    };
    collapse(described).into_iter().map(line).collect()
}

fn shapes(module: &MismatchedModule) -> String {
    let shapes = module.tensors.iter().map(|tensor| {
        let last = tensor.name.strip_prefix(module.module.as_str()).unwrap_or(&tensor.name).trim_start_matches('.');
        let (expected, found) = (ShapeText(&tensor.expected), ShapeText(&tensor.found));
        match (last, tensor.expected == tensor.found) {
            (last, true) => format!("{last} with it"),
            ("", false) => format!("expected {expected}, found {found}"),
            (last, false) => format!("{last}: expected {expected}, found {found}"),
        }
    });
    shapes.collect::<Vec<_>>().join("; ")
}

/// What is to be said after an output is written, where any modules are mismatched: `2 mismatched modules were newly initialised`.
pub fn summary(modules: &[MismatchedModule]) -> Option<String> {
    match modules.len() {
        0 => None,
        1 => Some("1 mismatched module was newly initialised".into()),
        count => Some(format!("{count} mismatched modules were newly initialised")),
    }
}
