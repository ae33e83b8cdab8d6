//! How two checkpoints differ.

use std::fmt::Write;

use serde::Serialize;

use super::collapse::{Line, collapse};
use super::json;
use super::text::figures;
use crate::tensor::{Dtype, Shape, ShapeText, TensorInfo};
use crate::text::Text;
use crate::transfer::Difference;

/// What `xfer diff A B` prints. One tensor can be reshaped and retyped.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Differences {
    /// Whether nothing differs.
    pub same: bool,
    /// Tensors that both have under one name.
    pub common: u64,
    /// Tensors that only B has.
    pub added: Vec<TensorInfo>,
    pub removed: Vec<TensorInfo>,
    /// Tensors of two shapes.
    pub reshaped: Vec<Reshaped>,
    /// Tensors of two element types.
    pub retyped: Vec<Retyped>,
    /// Tensors of other values; `None` where they were not read.
    pub changed: Option<Vec<Changed>>,
    /// Tensors whose types have no values in common, as a packed type beside a float.
    pub incomparable: Vec<String>,
    /// How two dialects were compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A tensor of two shapes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reshaped {
    pub name: String,
    pub a: Shape,
    pub b: Shape,
}

/// A tensor of two element types.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retyped {
    pub name: String,
    pub a: Dtype,
    pub b: Dtype,
}

/// A tensor of other values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    pub name: String,
    /// How far apart they are.
    #[serde(flatten)]
    pub difference: Difference,
}

impl Differences {
    /// One JSON object and a newline.
    pub fn to_json(&self) -> String {
        json::line(self)
    }

    /// For people; A and B as they were typed.
    pub fn to_text(&self, a: &str, b: &str) -> Text {
        let mut out = Text::default();
        self.notes.iter().for_each(|note| out.line(note));
        if self.same {
            let what = if self.changed.is_some() { "name, shape, type and values" } else { "name, shape and type" };
            let _ = writeln!(out, "all {} tensors agree in {what}", self.common);
            return out;
        }
        let listed = |tensor: &TensorInfo| format!("{} {}", ShapeText(&tensor.shape), tensor.dtype);
        let removed = self.removed.iter().map(|t| (t.name.as_str(), listed(t)));
        section(&mut out, &format!("only in {a}"), removed);
        let added = self.added.iter().map(|t| (t.name.as_str(), listed(t)));
        section(&mut out, &format!("only in {b}"), added);
        let shapes = |t: &Reshaped| format!("{} in {a}, {} in {b}", ShapeText(&t.a), ShapeText(&t.b));
        section(&mut out, "reshaped", self.reshaped.iter().map(|t| (t.name.as_str(), shapes(t))));
        let types = |t: &Retyped| format!("{} in {a}, {} in {b}", t.a, t.b);
        section(&mut out, "retyped", self.retyped.iter().map(|t| (t.name.as_str(), types(t))));
        let changed = self.changed.iter().flatten().map(|t| (t.name.as_str(), apart(&t.difference)));
        section(&mut out, "other values", changed);
        let nothing = |name: &String| (name.clone(), "types without values in common".to_string());
        let incomparable: Vec<(String, String)> = self.incomparable.iter().map(nothing).collect();
        section(&mut out, "not compared", incomparable.iter().map(|(name, why)| (name.as_str(), why.clone())));
        let _ = writeln!(out, "{} tensors have one name in both", self.common);
        out
    }
}

fn apart(difference: &Difference) -> String {
    let Difference { elements, absolute, relative, non_finite } = difference;
    let mut words = format!("{elements} elements");
    if elements > non_finite {
        let _ = write!(words, ", at most {} apart ({} relative)", figures(*absolute), figures(*relative));
    }
    if *non_finite > 0 {
        let _ = write!(words, ", {non_finite} NaN or infinite on one side");
    }
    words
}

fn section<'a>(out: &mut Text, title: &str, items: impl Iterator<Item = (&'a str, String)>) {
    let lines: Vec<Line<String>> = collapse(items);
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}");
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0).min(72);
    for line in &lines {
        let times = if line.count > 1 { format!(" × {}", line.count) } else { String::new() };
        let _ = writeln!(out, "  {:<width$}  {}{times}", line.name, line.key);
    }
    out.blank();
}
