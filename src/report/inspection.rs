//! What a checkpoint holds, from its headers.

use std::fmt::Write;

use serde::Serialize;

use super::collapse::collapse;
use super::json;
use super::text::{count, figures};
use super::tree::Tree;
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::plan::recognise;
use crate::source::PinnedFile;
use crate::tensor::{Dtype, Shape, ShapeText};
use crate::text::Text;
use crate::transfer::Statistics;

/// What `xfer inspect` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    pub format: String,
    /// The family, where recognised.
    pub family: Option<String>,
    /// The dialects, where they are not the family's own, with commas.
    pub dialect: Option<String>,
    pub files: Vec<PinnedFile>,
    pub tensors: Vec<InspectedTensor>,
    /// Elements of all tensors.
    pub parameters: u64,
    pub bytes: u64,
    /// The header's metadata.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// What was passed over.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// Whether the tensors have statistics.
    #[serde(skip)]
    pub has_stats: bool,
}

/// One tensor.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedTensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Shape,
    pub bytes: u64,
    /// What its values are like, where that was asked for and they are numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<Statistics>,
}

/// Characters of a value of the metadata that are shown to people.
const SHOWN: usize = 200;

/// The beginning of a text that is long: alphabets and templates of chats lie in metadata.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} characters; --json has them)", &text[..end], text.chars().count()),
        None => text.to_string(),
    }
}

impl Inspection {
    pub(crate) fn of(listing: &Listing, files: &[PinnedFile], notes: &[String]) -> Result<Inspection> {
        let mut tensors = Vec::with_capacity(listing.tensors.len());
        let (mut parameters, mut bytes) = (0u64, 0u64);
        for tensor in &listing.tensors {
            let length = tensor.bytes()?;
            parameters = parameters.saturating_add(tensor.elements()?);
            bytes = bytes.saturating_add(length);
            tensors.push(InspectedTensor {
                name: tensor.name.to_string(),
                dtype: tensor.dtype,
                shape: tensor.shape.clone(),
                bytes: length,
                stats: None,
            });
        }
        let (family, dialects) = recognise(listing)?.unzip();
        let metadata = listing.metadata.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        Ok(Inspection {
            format: listing.format.to_string(),
            family,
            dialect: dialects.filter(|names| !names.is_empty()).map(|names| names.join(", ")),
            files: files.to_vec(),
            tensors,
            parameters,
            bytes,
            metadata,
            notes: notes.to_vec(),
            has_stats: false,
        })
    }

    /// One JSON object and a newline.
    pub fn to_json(&self) -> String {
        json::line(self)
    }

    /// For people.
    pub fn to_text(&self) -> Text {
        let mut out = Text::default();
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
            let _ = writeln!(out, "metadata {key} {}", shortened(&value.to_string()));
        }
        if self.has_stats {
            self.list_statistics(&mut out);
            return out;
        }
        let leaves = collapse(self.tensors.iter().map(|t| (t.name.as_str(), (t.shape.as_slice(), t.dtype, t.bytes))));
        out.append(
            &Tree::of(leaves.iter().map(|line| {
                let (shape, dtype, bytes) = line.key;
                let times = line.count as u64;
                let elements = shape.iter().fold(1u64, |product, size| product.saturating_mul(*size));
                let repeated = if times > 1 { format!(" × {times}") } else { String::new() };
                let words = format!("{} {dtype}{repeated}", ShapeText(shape));
                (line.name.as_str(), words, elements.saturating_mul(times), bytes.saturating_mul(times))
            }))
            .to_text(),
        );
        out
    }

    /// One line for each tensor: no two are alike.
    fn list_statistics(&self, out: &mut Text) {
        let width = self.tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0).min(72);
        for tensor in &self.tensors {
            let shape = format!("{} {}", ShapeText(&tensor.shape), tensor.dtype);
            let words = tensor.stats.as_ref().map_or_else(|| "no numbers by themselves".to_string(), spell);
            let _ = writeln!(out, "  {:<width$}  {shape}  {words}", tensor.name);
        }
    }
}

fn spell(stats: &Statistics) -> String {
    let Statistics { mean, std, min, max, nan, infinite } = stats;
    let named = [("mean", mean), ("std", std), ("min", min), ("max", max)];
    let mut words: Vec<String> =
        named.iter().filter_map(|(name, value)| Some(format!("{name} {}", figures((**value)?)))).collect();
    words.extend(
        [("NaN", nan), ("infinite", infinite)].iter().filter(|(_, n)| **n > 0).map(|(w, n)| format!("{n} {w}")),
    );
    if words.is_empty() { "empty".into() } else { words.join(", ") }
}
