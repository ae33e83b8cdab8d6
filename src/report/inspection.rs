//! What a checkpoint holds, from its headers.

use std::fmt::Write;

use serde::Serialize;

use super::collapse::collapse;
use super::text::count;
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family;
use crate::source::PinnedFile;
use crate::tensor::{Dtype, Shape, ShapeText};

/// What `xfer inspect` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The format.
    pub format: String,
    /// The family, where recognised.
    pub family: Option<String>,
    /// The dialect, where it is not the family's own.
    pub dialect: Option<String>,
    /// The files.
    pub files: Vec<PinnedFile>,
    /// Every tensor.
    pub tensors: Vec<InspectedTensor>,
    /// Elements of all tensors.
    pub parameters: u64,
    /// Bytes of all tensors.
    pub bytes: u64,
    /// The header's metadata.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// What was passed over.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// One tensor.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedTensor {
    /// Its key.
    pub name: String,
    /// Its type.
    pub dtype: Dtype,
    /// Its axes.
    pub shape: Shape,
    /// Its length.
    pub bytes: u64,
}

impl Inspection {
    /// The inspection of a listing.
    pub fn of(listing: &Listing, files: &[PinnedFile], notes: &[String]) -> Result<Inspection> {
        let mut tensors = Vec::with_capacity(listing.tensors.len());
        let (mut parameters, mut bytes) = (0u64, 0u64);
        for tensor in &listing.tensors {
            let length = tensor.bytes()?;
            parameters = parameters.saturating_add(tensor.elements()?);
            bytes = bytes.saturating_add(length);
            tensors.push(InspectedTensor {
                name: tensor.name.clone(),
                dtype: tensor.dtype,
                shape: tensor.shape.clone(),
                bytes: length,
            });
        }
        let family = family::recognise(listing).map(|(family, _)| family);
        let metadata = listing.metadata.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        Ok(Inspection {
            format: listing.format.to_string(),
            family: family.map(|f| f.name().to_string()),
            dialect: None,
            files: files.to_vec(),
            tensors,
            parameters,
            bytes,
            metadata,
            notes: notes.to_vec(),
        })
    }

    /// One JSON object and a newline.
    pub fn to_json(&self) -> String {
        format!("{}\n", serde_json::to_string(self).unwrap_or_default())
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{}: {} tensors, {} parameters, {} bytes",
            self.format,
            self.tensors.len(),
            count(self.parameters),
            self.bytes
        );
        if let Some(family) = &self.family {
            let dialect = self.dialect.as_deref().map(|d| format!(" ({d})")).unwrap_or_default();
            let _ = writeln!(out, "family {family}{dialect}");
        }
        for file in &self.files {
            let _ = writeln!(out, "file {} {} bytes {}", file.name, file.bytes, file.pin);
        }
        for (key, value) in &self.metadata {
            let _ = writeln!(out, "metadata {key} {value}");
        }
        let lines = collapse(self.tensors.iter().map(|t| (t.name.as_str(), (t.shape.as_slice(), t.dtype))));
        let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0).min(72);
        for line in &lines {
            let times = if line.count > 1 { format!(" × {}", line.count) } else { String::new() };
            let _ = writeln!(out, "  {:<width$}  {} {}{times}", line.name, ShapeText(line.key.0), line.key.1);
        }
        out
    }
}
