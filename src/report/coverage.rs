//! How much of a target was transferred.

use serde::{Deserialize, Serialize};

use super::mismatched;
use crate::plan::{Action, Plan};
use crate::tensor::elements;

/// Counts by what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The bytes of one source tensor.
    pub copied: u64,
    /// Operations over source tensors.
    pub adapted: u64,
    /// Another name of a tensor that is written once.
    pub tied: u64,
    /// Initialised.
    pub new: u64,
    /// Those of the initialised ones that had a source which does not fit, and the rest of their modules.
    #[serde(default)]
    pub mismatched: u64,
}

impl Counts {
    pub(super) fn add(&mut self, action: Action, n: u64) {
        let count = match action {
            Action::Copied => &mut self.copied,
            Action::Adapted => &mut self.adapted,
            Action::Tied => &mut self.tied,
            Action::New => &mut self.new,
        };
        *count = count.saturating_add(n);
    }

    /// Initialised ones that had no source.
    pub(crate) fn plain_new(&self) -> u64 {
        self.new.saturating_sub(self.mismatched)
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.copied.saturating_add(self.adapted).saturating_add(self.tied).saturating_add(self.new)
    }
}

/// How much of the target was transferred. The new rows of an adapted tensor count as new parameters; a tied tensor's
/// parameters are its owner's and count zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// In tensors.
    pub tensors: Counts,
    /// In parameters.
    pub parameters: Counts,
}

impl Coverage {
    pub(super) fn of(plan: &Plan) -> Coverage {
        let mut coverage = Coverage::default();
        for assignment in &plan.assignments {
            let all = elements(&assignment.target.shape).unwrap_or(u64::MAX);
            coverage.tensors.add(assignment.action, 1);
            if mismatched::is_mismatched(assignment) {
                coverage.tensors.mismatched = coverage.tensors.mismatched.saturating_add(1);
                coverage.parameters.mismatched = coverage.parameters.mismatched.saturating_add(all);
            }
            if assignment.action == Action::Tied {
                continue;
            }
            let row = elements(assignment.target.shape.get(1..).unwrap_or(&[])).unwrap_or(u64::MAX);
            let new = match assignment.action {
                Action::Adapted => assignment.new_rows.saturating_mul(row).min(all),
                Action::Copied | Action::Tied | Action::New => 0,
            };
            coverage.parameters.add(assignment.action, all - new);
            coverage.parameters.add(Action::New, new);
        }
        coverage
    }
}
