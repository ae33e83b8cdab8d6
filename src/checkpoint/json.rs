//! Where in a file its JSON is wrong.

use crate::checkpoint::error::CheckpointError;

/// The error of `serde_json` for `text`, which begins at byte `base` of `file`, with the offset in the file.
pub(super) fn json_error(file: &str, text: &str, base: u64, error: &serde_json::Error) -> CheckpointError {
    let line = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let offset = base + (line + error.column().saturating_sub(1)) as u64;
    let full = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    CheckpointError::Json { file: file.into(), offset, message: full.strip_suffix(&place).unwrap_or(&full).into() }
}
