//! Whether DIR already is what the plan makes: the same plan, and source and output still hash to what the report says.

use std::path::Path;
use std::sync::Arc;

use super::sources::{self, Opened};
use crate::checkpoint::{self, OpenOptions, Reader};
use crate::error::Result;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::report::{Report, ReportedTensor};
use crate::source::{Access, Reference, Source};

/// The report of DIR where it is up to date, else `None`. Two reads, no write.
pub fn up_to_date(
    plan: &Plan,
    opened: &[Opened],
    access: &Access,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Option<Report>> {
    let Ok(text) = std::fs::read_to_string(out.join(Report::FILE)) else { return Ok(None) };
    let Ok(report) = serde_json::from_str::<Report>(&text) else { return Ok(None) };
    if report.plan != plan.hash() || report.xfer != env!("CARGO_PKG_VERSION") {
        return Ok(None);
    }
    let Some(written) = open_output(out, access, progress) else { return Ok(None) };
    let whole = companions_agree(plan, opened, out, progress)?
        && outputs_agree(&report, written.as_ref(), progress)?
        && inputs_agree(&report, opened, progress)?;
    Ok(whole.then_some(report))
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

fn outputs_agree(report: &Report, written: &dyn Reader, progress: &dyn Progress) -> Result<bool> {
    let with_digest: Vec<(&ReportedTensor, &String)> =
        report.tensors.iter().filter_map(|t| Some((t, t.digest.as_ref()?))).collect();
    if with_digest.len() != written.listing().tensors.len() {
        return Ok(false);
    }
    for (tensor, expected) in with_digest {
        let Some(index) = written.listing().position(&tensor.name) else { return Ok(false) };
        if digest(written, index, progress)? != *expected {
            return Ok(false);
        }
    }
    Ok(true)
}

fn inputs_agree(report: &Report, opened: &[Opened], progress: &dyn Progress) -> Result<bool> {
    let mut checked = std::collections::BTreeSet::new();
    for origin in report.tensors.iter().flat_map(|t| &t.from) {
        if !checked.insert((&origin.source, &origin.tensor)) {
            continue;
        }
        let Some(source) = opened.iter().find(|o| o.argument.name == origin.source) else { return Ok(false) };
        let reader = source.checkpoint.reader.as_ref();
        let Some(index) = reader.listing().position(&origin.tensor) else { return Ok(false) };
        if Some(digest(reader, index, progress)?) != origin.digest {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `blake3:…` of a whole tensor in its stored type, read in pieces.
fn digest(reader: &dyn Reader, tensor: usize, progress: &dyn Progress) -> Result<String> {
    const PIECE: u64 = 1 << 20;
    let mut hasher = blake3::Hasher::new();
    if let Some(info) = reader.listing().tensors.get(tensor) {
        let row = info.row_bytes()?;
        let rows = PIECE.checked_div(row).unwrap_or(info.rows()).max(1);
        let mut first = 0;
        while first < info.rows() {
            progress.interrupted()?;
            let last = info.rows().min(first.saturating_add(rows));
            let mut piece = vec![0; usize::try_from((last - first).saturating_mul(row)).unwrap_or(usize::MAX)];
            reader.read(tensor, first..last, &mut piece)?;
            hasher.update(&piece);
            first = last;
        }
    }
    Ok(format!("blake3:{}", hasher.finalize().to_hex()))
}
