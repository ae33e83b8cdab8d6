//! What cannot be used although it was matched: a tensor whose value cannot be produced, and with it every other tensor of its
//! module. A bias that is copied beside a newly initialised weight would be worse than a new one.

use std::collections::BTreeMap;

use crate::arch::Architecture;
use crate::graph::ParameterId;
use crate::name::{last, template};
use crate::plan::assignment::Mismatch;
use crate::plan::fit::fitted::Fitted;
use crate::plan::fit::modules::Modules;
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::matching::ties;
use crate::plan::selectors::is_declared;
use crate::tensor::ShapeText;

/// Warnings about mismatched tensors at most.
const MOST_WARNINGS: usize = 8;

/// The mismatched tensors of a target. Those that are declared new are none.
#[derive(Default)]
pub(crate) struct Mismatches {
    by_target: BTreeMap<ParameterId, Mismatch>,
}

impl Mismatches {
    /// Makes every tensor of a mismatched module new: what was fitted for it is withdrawn, with the reason. A tie follows its owner, and
    /// what stands beside the other name of a mismatched owner is withdrawn too.
    pub(crate) fn withdraw(target: &Architecture, matches: &[Match], fits: &mut [Option<Fitted>]) -> Mismatches {
        let mut mismatches = Mismatches::default();
        let causes = causes(target, matches, fits);
        if causes.is_empty() {
            return mismatches;
        }
        let modules = Modules::of(target);
        for (id, (cause, reason)) in &causes {
            let is_declared = is_declared(target, *cause);
            let name = modules.name(*id);
            for member in modules.members(*id) {
                let Some(fitted) = fits.get_mut(*member).and_then(Option::as_mut) else { continue };
                let found = match fitted {
                    Fitted::Mismatched { found, .. } => found.clone(),
                    Fitted::Value { .. } => {
                        target.parameters.get(*member).map(|one| one.shape.clone()).unwrap_or_default()
                    }
                    Fitted::New { .. } => continue,
                };
                if let Fitted::Value { .. } = fitted {
                    *fitted = Fitted::New { reason: reason.clone() };
                }
                if !is_declared {
                    mismatches.by_target.entry(*member).or_insert_with(|| Mismatch { module: name.clone(), found });
                }
            }
        }
        mismatches
    }

    /// What is to be reported of a target, where it is mismatched.
    pub(crate) fn get(&self, id: ParameterId) -> Option<&Mismatch> {
        self.by_target.get(&id)
    }

    /// What the user is told while the command runs; the report has all of it.
    pub(crate) fn warnings(&self, target: &Architecture) -> Vec<String> {
        let lines = self.lines(target);
        let more = lines.len().saturating_sub(MOST_WARNINGS);
        let warning = |line: &String| format!("mismatched: {line}; newly initialised with the rest of its module");
        let mut warnings: Vec<String> = lines.iter().take(MOST_WARNINGS).map(warning).collect();
        if more > 0 {
            warnings.push(format!("mismatched: {more} more, which the report lists"));
        }
        warnings
    }

    /// One line for the tensors of each layer template whose shapes differ alike, in the target's order.
    pub(crate) fn lines(&self, target: &Architecture) -> Vec<String> {
        let mut order: Vec<(&str, usize, String)> = Vec::new();
        let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (id, mismatch) in &self.by_target {
            let Some(parameter) = target.parameters.get(*id).filter(|one| one.shape != mismatch.found) else {
                continue;
            };
            let shapes = format!("expected {}, found {}", ShapeText(&parameter.shape), ShapeText(&mismatch.found));
            let place = *known.entry((template(&parameter.name), shapes.clone())).or_insert_with(|| {
                order.push((&parameter.name, 0, shapes));
                order.len() - 1
            });
            if let Some((_, count, _)) = order.get_mut(place) {
                *count += 1;
            }
        }
        let line = |(name, count, shapes): (&str, usize, String)| match count {
            1 => format!("{name} ({shapes})"),
            _ => format!("{name} and {} more like it ({shapes})", count - 1),
        };
        order.into_iter().map(line).collect()
    }
}

/// The tensors whose modules are to be withdrawn: the mismatched ones and the other names of mismatched owners, each with the mismatched
/// tensor and the reason for its companions.
fn causes(
    target: &Architecture,
    matches: &[Match],
    fits: &[Option<Fitted>],
) -> BTreeMap<ParameterId, (ParameterId, String)> {
    let mut causes = BTreeMap::new();
    for (id, fitted) in fits.iter().enumerate() {
        let Some(Fitted::Mismatched { reason, .. }) = fitted else { continue };
        let name = target.parameters.get(id).map_or("", |parameter| parameter.name.as_str());
        causes.insert(id, (id, format!("new with its module, whose {} is {reason}", last(name))));
    }
    if causes.is_empty() {
        return causes;
    }
    for (alias, found) in matches.iter().enumerate() {
        let Origin::Tied(owner) = found.origin else { continue };
        if let Some(cause) = causes.get(&ties::owner(target, owner)).cloned() {
            causes.insert(alias, cause);
        }
    }
    causes
}
