//! Plans and reports that were written before.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, JobError, Result};
use crate::plan::Plan;
use crate::report::Report;

/// Reads a plan file.
pub fn read_plan(path: &Path) -> Result<Plan> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    Plan::from_json(&text)
}

/// The report of an output directory, of a report file, or of a plan that was not carried out yet.
pub fn report_of(path: &Path) -> Result<Report> {
    let file = if path.is_dir() { path.join(Report::FILE) } else { path.to_path_buf() };
    if path.is_dir() && !file.exists() {
        return Err(JobError::NoReport { path: path.to_path_buf() }.into());
    }
    let text = std::fs::read_to_string(&file).map_err(|e| Error::io("read", &file, e))?;
    if is_plan(&text) {
        return Ok(Report::of(&Plan::from_json(&text)?, None));
    }
    serde_json::from_str(&text).map_err(|e| {
        JobError::Unreadable { path: file, what: format!("neither a plan nor a report of xfer: {e}") }.into()
    })
}

/// The report of an output directory, as it stands there.
pub fn report_in(directory: &Path) -> Result<Report> {
    let file = directory.join(Report::FILE);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(JobError::NoReport { path: directory.to_path_buf() }.into());
        }
        Err(error) => return Err(Error::io("read", &file, error)),
    };
    serde_json::from_str(&text)
        .map_err(|e| JobError::Unreadable { path: file, what: format!("no report of xfer: {e}") }.into())
}

fn is_plan(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.get("xfer_plan").is_some())
}
