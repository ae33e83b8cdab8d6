//! What an output directory is, against what its report says that it is.

use std::fmt::Write;

use serde::Serialize;

use super::collapse::collapse;
use super::json;
use crate::tensor::{Dtype, Shape, ShapeText};
use crate::text::Text;

/// What `xfer verify` found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Whether nothing differs.
    pub same: bool,
    /// Tensors whose bytes were read and compared with their digests.
    pub tensors: u64,
    /// New tensors whose values were drawn again from the seed.
    pub drawn: u64,
    /// Files beside the weights that were read and compared with their digests.
    pub files: u64,
    /// Everything that differs.
    pub findings: Vec<Finding>,
    /// What could not be proved, and why.
    pub notes: Vec<String>,
}

/// A difference between an output and its report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// A tensor of the report is not there.
    Missing { tensor: String },
    /// A tensor is there that the report does not name, or calls tied.
    Extra { tensor: String },
    /// A tensor has another element type.
    Dtype { tensor: String, expected: Dtype, found: Dtype },
    /// A tensor has another shape.
    Shape { tensor: String, expected: Shape, found: Shape },
    /// A tensor has other bytes.
    Bytes {
        tensor: String,
        /// `blake3:…` in the report; `None` where it has none.
        expected: Option<String>,
        /// `blake3:…` of the file's.
        found: String,
    },
    /// A new tensor is not what seed, name and scheme give.
    Drawn {
        tensor: String,
        /// `blake3:…` of what they give.
        expected: String,
        /// `blake3:…` in the report.
        found: String,
    },
    /// A file beside the weights is missing or another.
    File {
        file: String,
        /// `blake3:…` in the report.
        expected: String,
        /// `blake3:…` of the file; `None` where there is none.
        found: Option<String>,
    },
    /// The weights cannot be read at all.
    Weights { problem: String },
    /// The report contradicts itself.
    Report {
        place: String,
        /// What the rest of it says.
        expected: String,
        /// What stands there.
        found: String,
    },
}

impl Finding {
    /// What it is about: a tensor, a file, a place in the report.
    fn subject(&self) -> &str {
        match self {
            Finding::Missing { tensor }
            | Finding::Extra { tensor }
            | Finding::Dtype { tensor, .. }
            | Finding::Shape { tensor, .. }
            | Finding::Bytes { tensor, .. }
            | Finding::Drawn { tensor, .. } => tensor,
            Finding::File { file, .. } => file,
            Finding::Weights { .. } => "weights",
            Finding::Report { place, .. } => place,
        }
    }

    /// What is wrong with it, in words.
    fn words(&self) -> String {
        match self {
            Finding::Missing { .. } => "missing".into(),
            Finding::Extra { .. } => "not in the report".into(),
            Finding::Dtype { expected, found, .. } => format!("expected {expected}, found {found}"),
            Finding::Shape { expected, found, .. } => {
                format!("expected {}, found {}", ShapeText(expected), ShapeText(found))
            }
            Finding::Bytes { expected: Some(_), .. } => "other bytes than the report's digest".into(),
            Finding::Bytes { expected: None, .. } => "the report has no digest of it".into(),
            Finding::Drawn { .. } => "the report's digest is not that of the values which the seed gives".into(),
            Finding::File { found: Some(_), .. } => "other bytes than the report's digest".into(),
            Finding::File { found: None, .. } => "missing".into(),
            Finding::Weights { problem } => problem.clone(),
            Finding::Report { expected, found, .. } => {
                format!("the report states {found}, its tensors give {expected}")
            }
        }
    }
}

impl Verification {
    /// One JSON object and a newline.
    pub fn to_json(&self) -> String {
        json::line(self)
    }

    /// For people; `place` is what was verified.
    pub fn to_text(&self, place: &str) -> Text {
        let mut out = Text::default();
        let _ = writeln!(
            out,
            "{place}: {} tensors and {} files read, {} tensors drawn again from the seed",
            self.tensors, self.files, self.drawn
        );
        if self.same {
            let _ = writeln!(out, "everything matches the report");
            return out;
        }
        let lines = collapse(self.findings.iter().map(|finding| (finding.subject(), finding.words())));
        let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0).min(72);
        out.blank();
        out.line("different");
        for line in &lines {
            let times = if line.count > 1 { format!(" × {}", line.count) } else { String::new() };
            let _ = writeln!(out, "  {:<width$}  {}{times}", line.name, line.key);
        }
        out
    }
}
