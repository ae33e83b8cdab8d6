//! Results as JSON text.

use std::io::Write;

use serde::Serialize;

/// On one line, which ends.
pub(super) fn line(value: &impl Serialize) -> String {
    text(|out| serde_json::to_writer(out, value))
}

/// Over many lines, of which the last ends.
pub(super) fn pretty(value: &impl Serialize) -> String {
    text(|out| serde_json::to_writer_pretty(out, value))
}

/// Through the writer that files and the screen are written through, so that no type is compiled for two of them.
fn text(write: impl FnOnce(&mut dyn Write) -> serde_json::Result<()>) -> String {
    let mut text = Vec::new();
    // plain data into memory, and JSON is UTF-8
    let written = write(&mut text);
    debug_assert!(written.is_ok());
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}
