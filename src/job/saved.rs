//! Plans and reports that were written before.

use std::path::Path;

use crate::error::Result;
use crate::job::error::JobError;
use crate::plan::Plan;
use crate::report::Report;
use crate::source::error::SourceError;
use crate::source::read_local;

/// The longest plan or report; a hundred thousand tensors take some ten megabytes.
const LONGEST: u64 = 1 << 30;

/// Reads a plan file.
pub fn read_plan(path: &Path) -> Result<Plan> {
    Plan::from_json(&text(path)?)
}

/// The report of an output directory, of a report file, or of a plan that was not carried out yet.
pub(crate) fn report_of(path: &Path) -> Result<Report> {
    let file = if path.is_dir() { path.join(Report::FILE) } else { path.to_path_buf() };
    if path.is_dir() && !file.exists() {
        return Err(JobError::NoReport { path: path.to_path_buf() }.into());
    }
    let text = text(&file)?;
    if is_plan(&text) {
        return Ok(Report::of(&Plan::from_json(&text)?, None));
    }
    serde_json::from_str(&text).map_err(|e| {
        JobError::Unreadable { path: file, what: format!("neither a plan nor a report of xfer: {e}") }.into()
    })
}

/// The report of an output directory, as it stands there.
pub(crate) fn report_in(directory: &Path) -> Result<Report> {
    let file = directory.join(Report::FILE);
    let text = match text(&file) {
        Err(error) if matches!(error.downcast_ref(), Some(SourceError::MissingPath { .. })) => {
            return Err(JobError::NoReport { path: directory.to_path_buf() }.into());
        }
        other => other?,
    };
    serde_json::from_str(&text)
        .map_err(|e| JobError::Unreadable { path: file, what: format!("no report of xfer: {e}") }.into())
}

/// The text of a plan or report.
pub(crate) fn text(path: &Path) -> Result<String> {
    String::from_utf8(read_local(path, LONGEST)?).map_err(|error| {
        let what = format!("no text: {}", error.utf8_error());
        JobError::Unreadable { path: path.to_path_buf(), what }.into()
    })
}

fn is_plan(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.get("xfer_plan").is_some())
}
