//! `verify`: an output directory against its own report.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::saved::report_in;
use super::sources::{COMPANION_LIMIT, digest};
use crate::checkpoint::{self, OpenOptions, Reader};
use crate::error::{Exit, Result};
use crate::init::Generator;
use crate::plan::{Action, Assignment, Exact, Plan, Target};
use crate::progress::Progress;
use crate::report::verification::{Finding, Verification};
use crate::report::{Counts, MismatchedModule, Origin, Report};
use crate::save::Layout;
use crate::source::error::SourceError;
use crate::source::{Access, Reference, Source, read_local};
use crate::tensor::TensorInfo;
use crate::transfer;

/// Proves that DIR is what its `xfer.json` says: every tensor and file is there with its bytes and no tensor more, the report's
/// sums are those of its tensors, and new values are those that seed, name and scheme give where that is promised on every
/// processor. An error where DIR has no report; what differs is a finding.
pub fn verify(directory: &Path, access: &Access, threads: usize, progress: &dyn Progress) -> Result<Verification> {
    let source = Source::open(&Reference::Path(directory.to_path_buf()), access, progress)?;
    let report = report_in(directory)?;
    let mut found =
        Verification { same: false, tensors: 0, drawn: 0, files: 0, findings: Vec::new(), notes: Vec::new() };
    let plan = report.plan();
    let is_sound = contradictions(&report, &plan, &mut found);
    files(directory, &report, &mut found)?;
    match checkpoint::open(&source, &OpenOptions::default(), progress) {
        Ok(opened) => {
            found.notes.extend(opened.notes);
            weights(&report, &opened.reader, threads, &mut found, progress)?;
        }
        // what stands there is no checkpoint (any more); that it cannot be reached is another matter
        Err(error) if error.exit() == Exit::Input => {
            found.findings.push(Finding::Weights { problem: error.to_string() });
        }
        Err(error) => return Err(error),
    }
    if is_sound {
        draw_again(&report, plan, threads, &mut found, progress)?;
    }
    found.same = found.findings.is_empty();
    Ok(found)
}

/// Where the report contradicts itself; whether its expressions can be computed.
fn contradictions(report: &Report, plan: &Plan, found: &mut Verification) -> bool {
    let again = Report::of(plan, None);
    let mut differ = |place: String, expected: String, stands: String| {
        if expected != stands {
            found.findings.push(Finding::Report { place, expected, found: stands });
        }
    };
    for (axis, expected, stands) in [
        ("tensors", again.coverage.tensors, report.coverage.tensors),
        ("parameters", again.coverage.parameters, report.coverage.parameters),
    ] {
        for ((word, expected), (_, stands)) in counts(expected).into_iter().zip(counts(stands)) {
            differ(format!("coverage.{axis}.{word}"), expected.to_string(), stands.to_string());
        }
    }
    for (word, expected, stands) in [
        ("new", &again.groups.new, &report.groups.new),
        ("mismatched", &again.groups.mismatched, &report.groups.mismatched),
        ("adapted", &again.groups.adapted, &report.groups.adapted),
        ("copied", &again.groups.copied, &report.groups.copied),
    ] {
        differ(format!("groups.{word}"), expected.join(", "), stands.join(", "));
    }
    let names =
        |modules: &[MismatchedModule]| modules.iter().map(|one| one.module.clone()).collect::<Vec<_>>().join(", ");
    differ("mismatched".into(), names(&again.mismatched), names(&report.mismatched));
    for (expected, stands) in again.tensors.iter().zip(&report.tensors) {
        let origins = |from: &[Origin]| from.iter().map(|o| format!("{}:{}", o.source, o.tensor)).collect::<Vec<_>>();
        let name = &stands.name;
        differ(format!("{name}: from"), origins(&expected.from).join(", "), origins(&stands.from).join(", "));
        differ(format!("{name}: ops"), expected.ops.join(", "), stands.ops.join(", "));
    }
    if plan.generator != Generator::VERSION {
        let (theirs, ours) = (&plan.generator, Generator::VERSION);
        found.notes.push(format!("new values are not drawn again: they are of {theirs}, this version has {ours}"));
        return false;
    }
    match plan.check() {
        Ok(()) => true,
        Err(error) => {
            let (place, expected) = ("tensors".to_string(), "expressions that yield what is written".to_string());
            found.findings.push(Finding::Report { place, expected, found: error.to_string() });
            false
        }
    }
}

fn counts(counts: Counts) -> [(&'static str, u64); 5] {
    let Counts { copied, adapted, tied, new, mismatched } = counts;
    [("copied", copied), ("adapted", adapted), ("tied", tied), ("new", new), ("mismatched", mismatched)]
}

fn files(directory: &Path, report: &Report, found: &mut Verification) -> Result<()> {
    for file in &report.companions {
        let path = directory.join(&file.name);
        let bytes = match read_local(&path, COMPANION_LIMIT) {
            Ok(bytes) => Some(digest(&bytes)),
            Err(error) => match error.downcast_ref() {
                Some(SourceError::MissingPath { .. } | SourceError::DanglingLink { .. }) => None,
                _ => return Err(error),
            },
        };
        found.files += u64::from(bytes.is_some());
        if bytes.as_ref() != Some(&file.digest) {
            let (file, expected) = (file.name.clone(), file.digest.clone());
            found.findings.push(Finding::File { file, expected, found: bytes });
        }
    }
    Ok(())
}

fn weights(
    report: &Report,
    reader: &Arc<dyn Reader>,
    threads: usize,
    found: &mut Verification,
    progress: &dyn Progress,
) -> Result<()> {
    let listing = reader.listing();
    let mut hashed = Vec::new();
    let mut named = BTreeSet::new();
    for tensor in report.tensors.iter().filter(|tensor| tensor.action != Action::Tied) {
        named.insert(tensor.name.as_str());
        let there = listing.position(&tensor.name).and_then(|index| listing.tensors.get(index));
        match there {
            None => found.findings.push(Finding::Missing { tensor: tensor.name.to_string() }),
            Some(there) => {
                let differences = differences(there, &TensorInfo::new("", tensor.dtype, tensor.shape.clone()));
                if differences.is_empty() {
                    hashed.push((tensor.name.as_str(), &tensor.digest));
                }
                found.findings.extend(differences);
            }
        }
    }
    let extra = listing.tensors.iter().filter(|tensor| !named.contains(tensor.name.as_str()));
    found.findings.extend(extra.map(|tensor| Finding::Extra { tensor: tensor.name.to_string() }));
    let tensors: Vec<(usize, &str)> = hashed.iter().map(|(name, _)| (0, *name)).collect();
    let digests = transfer::digests(&tensors, std::slice::from_ref(reader), threads, progress)?;
    found.tensors = digests.len() as u64;
    for ((name, expected), digest) in hashed.into_iter().zip(digests) {
        if expected.as_ref() != Some(&digest) {
            let tensor = name.to_string();
            found.findings.push(Finding::Bytes { tensor, expected: expected.clone(), found: digest });
        }
    }
    Ok(())
}

fn differences(there: &TensorInfo, expected: &TensorInfo) -> Vec<Finding> {
    let mut differences = Vec::new();
    let tensor = || there.name.clone();
    if there.dtype != expected.dtype {
        differences.push(Finding::Dtype { tensor: tensor().to_string(), expected: expected.dtype, found: there.dtype });
    }
    if there.shape != expected.shape {
        let (expected, found) = (expected.shape.clone(), there.shape.clone());
        differences.push(Finding::Shape { tensor: tensor().to_string(), expected, found });
    }
    differences
}

/// Draws again what no source has a part in and every processor gives the same.
fn draw_again(
    report: &Report,
    plan: Plan,
    threads: usize,
    found: &mut Verification,
    progress: &dyn Progress,
) -> Result<()> {
    let is_anywhere = |a: &Assignment| a.init.as_ref().is_none_or(|init| init.exact == Exact::Anywhere);
    let is_drawn = |a: &Assignment| a.action == Action::New && is_anywhere(a);
    let (tensors, assignments): (Vec<_>, Vec<_>) =
        report.tensors.iter().zip(plan.assignments).filter(|(tensor, a)| tensor.lsuv.is_none() && is_drawn(a)).unzip();
    let target = Target { tensors: assignments.len() as u64, ..plan.target };
    let part = Plan { assignments, target, sources: Vec::new(), ..plan };
    // an overflow that was allowed then is no fault now
    let options = transfer::Options { threads, allow_overflow: true };
    let outcomes = transfer::rehearse(&part, &Layout::of(&part)?, &[], options, progress)?;
    for (tensor, outcome) in tensors.into_iter().zip(outcomes) {
        let (Some(expected), Some(stands)) = (outcome.digest, &tensor.digest) else { continue };
        found.drawn += 1;
        if expected != *stands {
            let (tensor, found_digest) = (tensor.name.clone(), stands.clone());
            found.findings.push(Finding::Drawn { tensor: tensor.to_string(), expected, found: found_digest });
        }
    }
    Ok(())
}
