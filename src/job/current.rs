//! Whether DIR already is what the plan makes: the same plan, and source and output still hash to what the report says.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::sources::{self, Opened};
use crate::checkpoint::{self, OpenOptions, Reader};
use crate::error::Result;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::report::{Report, ReportedTensor};
use crate::save::{self, Layout};
use crate::source::{Access, Reference, Source, read_local};
use crate::transfer;

/// The report of DIR where that says to be what the plan makes, else `None`.
pub(crate) fn claimed(plan: &Plan, out: &Path) -> Option<Report> {
    let text = super::saved::text(&out.join(Report::FILE)).ok()?;
    let report: Report = serde_json::from_str(&text).ok()?;
    let is_claimed = report.plan == plan.hash() && report.xfer == env!("CARGO_PKG_VERSION");
    (is_claimed && describes(&report, plan)).then_some(report)
}

/// Whether DIR is what its report says, and so are the sources. Two reads, no write.
pub(crate) fn is_up_to_date(
    report: &Report,
    plan: &Plan,
    opened: &[Opened],
    access: &Access,
    out: &Path,
    threads: usize,
    progress: &dyn Progress,
) -> Result<bool> {
    let Some(written) = open_output(out, access, progress) else { return Ok(false) };
    Ok(companions_agree(plan, opened, out, progress)?
        && outputs_agree(report, &written, threads, progress)?
        && inputs_agree(report, opened, threads, progress)?)
}

/// Whether DIR has the weight files of a layout, and its index: names, shapes, types and offsets.
pub(crate) fn is_laid_out(layout: &Layout, out: &Path) -> bool {
    layout.files.iter().all(|file| save::is_laid_out(file, &out.join(&file.name)))
        && layout.index.as_ref().is_none_or(|index| is_text(&out.join(Layout::INDEX), index))
}

/// Whether what a report says of each tensor is what the plan says.
fn describes(report: &Report, plan: &Plan) -> bool {
    let planned = Report::of(plan, None);
    let is_same = |(a, b): (&ReportedTensor, &ReportedTensor)| {
        (&a.name, a.dtype, &a.shape, a.action, &a.value) == (&b.name, b.dtype, &b.shape, b.action, &b.value)
    };
    report.tensors.len() == planned.tensors.len() && report.tensors.iter().zip(&planned.tensors).all(is_same)
}

fn is_text(path: &Path, text: &str) -> bool {
    read_local(path, text.len() as u64).is_ok_and(|found| found == text.as_bytes())
}

/// Whether DIR holds nothing but files that the plan makes, and not all of them, as far as that shows without its tensors: their bytes
/// are compared before DIR is replaced.
pub(crate) fn only_lacks(
    plan: &Plan,
    layout: &Layout,
    opened: &[Opened],
    out: &Path,
    progress: &dyn Progress,
) -> Result<bool> {
    let Some(found) = out.is_dir().then(|| save::files_in(out)).transpose()?.flatten() else { return Ok(false) };
    let mut made: BTreeSet<&str> = layout.files.iter().map(|file| file.name.as_str()).collect();
    made.extend(plan.companions.iter().map(|companion| companion.name.as_str()));
    made.extend(layout.index.as_ref().map(|_| Layout::INDEX));
    made.insert(Report::FILE);
    if found.len() >= made.len() || !found.iter().all(|name| made.contains(name.as_str())) {
        return Ok(false);
    }
    for name in &found {
        let path = out.join(name);
        let is_made = if let Some(file) = layout.files.iter().find(|file| file.name == *name) {
            save::is_laid_out(file, &path)
        } else if let Some(companion) = plan.companions.iter().find(|companion| companion.name == *name) {
            let expected = sources::content(&companion.content, opened, progress)?;
            read_local(&path, expected.len() as u64).is_ok_and(|found| found == expected)
        } else if name == Report::FILE {
            claimed(plan, out).is_some()
        } else {
            layout.index.as_ref().is_some_and(|index| is_text(&path, index))
        };
        if !is_made {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a file could be the only one of a layout: its length and all that is known before its tensors say so.
pub(crate) fn may_be(layout: &Layout, path: &Path) -> bool {
    matches!(layout.files.as_slice(), [file] if save::is_laid_out(file, path))
}

/// Whether the checksums in a file of the layout are right.
pub(crate) fn sums_agree(layout: &Layout, path: &Path, progress: &dyn Progress) -> Result<bool> {
    for file in &layout.files {
        if !save::sums_agree(file, path, progress)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the tensors of a file hash to what a report says.
pub(crate) fn is_file(
    report: &Report,
    access: &Access,
    path: &Path,
    threads: usize,
    progress: &dyn Progress,
) -> Result<bool> {
    match open_output(path, access, progress) {
        Some(written) => outputs_agree(report, &written, threads, progress),
        None => Ok(false),
    }
}

/// An output that cannot be opened is not up to date, whatever the reason.
fn open_output(out: &Path, access: &Access, progress: &dyn Progress) -> Option<Arc<dyn Reader>> {
    let source = Source::open(&Reference::Path(out.to_path_buf()), access, progress).ok()?;
    Some(checkpoint::open(&source, &OpenOptions::default(), progress).ok()?.reader)
}

fn companions_agree(plan: &Plan, opened: &[Opened], out: &Path, progress: &dyn Progress) -> Result<bool> {
    for companion in &plan.companions {
        let expected = sources::content(&companion.content, opened, progress)?;
        if !read_local(&out.join(&companion.name), expected.len() as u64).is_ok_and(|found| found == expected) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn outputs_agree(report: &Report, written: &Arc<dyn Reader>, threads: usize, progress: &dyn Progress) -> Result<bool> {
    let expected: Vec<(usize, &str, &str)> =
        report.tensors.iter().filter_map(|t| Some((0, t.name.as_str(), t.digest.as_deref()?))).collect();
    // a PyTorch file lists the other names of ties too
    let listing = written.listing();
    if expected.len() != listing.tensors.len().saturating_sub(listing.ties.len()) {
        return Ok(false);
    }
    agree(&expected, std::slice::from_ref(written), threads, progress)
}

fn inputs_agree(report: &Report, opened: &[Opened], threads: usize, progress: &dyn Progress) -> Result<bool> {
    let mut expected = BTreeSet::new();
    for origin in report.tensors.iter().flat_map(|t| &t.from) {
        let source = opened.iter().position(|o| o.argument.name == origin.source);
        let (Some(source), Some(digest)) = (source, &origin.digest) else { return Ok(false) };
        expected.insert((source, origin.tensor.as_str(), digest.as_str()));
    }
    agree(&Vec::from_iter(expected), &sources::readers(opened), threads, progress)
}

/// Whether tensors (which source, its name there) are there and have these digests.
fn agree(
    expected: &[(usize, &str, &str)],
    readers: &[Arc<dyn Reader>],
    threads: usize,
    progress: &dyn Progress,
) -> Result<bool> {
    let has = |(source, name): (usize, &str)| readers.get(source).is_some_and(|r| r.listing().position(name).is_some());
    let tensors: Vec<(usize, &str)> = expected.iter().map(|(source, name, _)| (*source, *name)).collect();
    if !tensors.iter().all(|tensor| has(*tensor)) {
        return Ok(false);
    }
    let found = transfer::digests(&tensors, readers, threads, progress)?;
    Ok(found.iter().zip(expected).all(|(found, (_, _, expected))| found == expected))
}
