//! Whether DIR already is what the plan makes: the same plan, and source and output still hash to what the report says.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::sources::{self, Opened};
use crate::checkpoint::{self, OpenOptions, Reader};
use crate::error::Result;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::report::Report;
use crate::save::Layout;
use crate::source::{Access, Reference, Source};
use crate::transfer;

/// The report of DIR where that says to be what the plan makes, else `None`.
pub fn claimed(plan: &Plan, out: &Path) -> Option<Report> {
    let text = std::fs::read_to_string(out.join(Report::FILE)).ok()?;
    let report: Report = serde_json::from_str(&text).ok()?;
    (report.plan == plan.hash() && report.xfer == env!("CARGO_PKG_VERSION")).then_some(report)
}

/// Whether DIR is what its report says, and so are the sources. Two reads, no write.
pub fn is_up_to_date(
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

/// Whether a file could be the only one of a layout: its length and its header say so.
pub fn may_be(layout: &Layout, path: &Path) -> bool {
    let [file] = layout.files.as_slice() else { return false };
    let has_length = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == file.bytes);
    // the checksums of an archive stand among what is known beforehand
    if !file.sums.is_empty() {
        return has_length;
    }
    let mut header = vec![0; file.header.len()];
    let read = |header: &mut [u8]| File::open(path)?.read_exact(header);
    has_length && read(&mut header).is_ok() && header == file.header
}

/// Whether the tensors of a file hash to what a report says.
pub fn is_file(report: &Report, access: &Access, path: &Path, threads: usize, progress: &dyn Progress) -> Result<bool> {
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
        if std::fs::read(out.join(&companion.name)).ok().as_ref() != Some(&expected) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn outputs_agree(report: &Report, written: &Arc<dyn Reader>, threads: usize, progress: &dyn Progress) -> Result<bool> {
    let expected: Vec<(usize, &str, &str)> =
        report.tensors.iter().filter_map(|t| Some((0, t.name.as_str(), t.digest.as_deref()?))).collect();
    if expected.len() != written.listing().tensors.len() {
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
