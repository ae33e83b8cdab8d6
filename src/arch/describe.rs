//! What `xfer arch` prints: what a file expands to, layer by layer, repeated blocks in one line.

use std::fmt::Write;

use super::pattern::digits;
use super::{Architecture, Form, Rules};
use crate::graph::{DimsText, Graph, Layer, Parameter};
use crate::hash::HashMap;
use crate::ranges;
use crate::tensor::{Role, ShapeText};
use crate::text::Text;

/// The architecture as text: form, family, inputs and outputs, every parameter with shape, role, fans, initialisation and tie
/// (equal ones of a repeated block in one line), and the total.
pub fn describe(architecture: &Architecture) -> Text {
    let mut text = Text::default();
    let mut line = |words: String| text.line(words.trim_end());
    line(title(architecture));
    architecture.graph.as_ref().map(ends).unwrap_or_default().into_iter().for_each(&mut line);
    rules(&architecture.rules).into_iter().for_each(&mut line);
    line(String::new());
    table(&rows(architecture)).into_iter().for_each(&mut line);
    if !architecture.notes.is_empty() {
        line(String::new());
    }
    architecture.notes.iter().map(|note| format!("note: {note}")).for_each(&mut line);
    text
}

fn title(architecture: &Architecture) -> String {
    let mut title = match &architecture.name {
        Some(name) => format!("{name}: {}", architecture.form.name()),
        None => architecture.form.name().to_string(),
    };
    for block in &architecture.blocks {
        let at = if block.path.is_empty() { String::new() } else { format!(" at {}", block.path) };
        let _ = write!(title, ", {}{at}", block.family.name());
    }
    if architecture.form == Form::Listing {
        title.push_str(", no graph");
    }
    let tensors = architecture.parameters.len();
    let _ = write!(title, ", {} tensors, {} parameters", grouped(tensors as u128), grouped(total(architecture)));
    title
}

/// Elements of everything that is learned, ties once.
fn total(architecture: &Architecture) -> u128 {
    let learned = architecture.parameters.iter().filter(|p| p.tied_to.is_none() && p.role != Role::Buffer);
    learned.map(|p| p.shape.iter().fold(1u128, |product, size| product.saturating_mul(u128::from(*size)))).sum()
}

/// `1234567` as `1,234,567`.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn ends(graph: &Graph) -> Vec<String> {
    let inputs = graph.nodes.iter().filter_map(|node| match node.layer {
        Layer::Input { dtype, max, .. } => {
            let max = max.map(|max| format!(", below {}", grouped(u128::from(max)))).unwrap_or_default();
            Some(format!("input   {} {} {dtype}{max}", node.name, DimsText(&node.output)))
        }
        _ => None,
    });
    let outputs = graph.outputs.iter().filter_map(|(name, node)| {
        graph.nodes.get(*node).map(|node| format!("output  {name} {}", DimsText(&node.output)))
    });
    inputs.chain(outputs).collect()
}

fn rules(rules: &Rules) -> Vec<String> {
    let Rules { map, depth, adapt, vocab, labels, init, init_from_file: _, new, unused, reinit, dtype } = rules;
    let counts = [
        ("map", map.len()),
        ("depth", depth.len()),
        ("adapt", adapt.len()),
        ("vocab", usize::from(vocab.is_some())),
        ("labels", labels.len()),
        ("init", init.len()),
        ("new", new.len()),
        ("unused", unused.len()),
        ("reinit", reinit.len()),
    ];
    let said: Vec<String> =
        counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    let mut lines = Vec::new();
    if !said.is_empty() {
        lines.push(format!("rules   {}", said.join(", ")));
    }
    lines.extend(dtype.map(|dtype| format!("dtype   {dtype}")));
    lines
}

/// A line of the table before and after equal ones are merged: the components of the name, some a set of indices, and the rest.
struct Row {
    name: Vec<Component>,
    cells: [String; 4],
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Component {
    Text(String),
    Indices(Vec<u64>),
}

fn rows(architecture: &Architecture) -> Vec<Row> {
    let rows = architecture.parameters.iter().map(|parameter| Row {
        name: parameter.name.split('.').map(component).collect(),
        cells: [
            ShapeText(&parameter.shape).to_string(),
            role(parameter),
            fans(parameter),
            init(architecture, parameter),
        ],
    });
    let mut rows: Vec<Row> = rows.collect();
    let deepest = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for position in 0..deepest {
        rows = merge(rows, position);
    }
    rows
}

fn component(text: &str) -> Component {
    match digits(text) {
        Some(index) if index.to_string() == text => Component::Indices(vec![index]),
        _ => Component::Text(text.to_string()),
    }
}

/// Merges rows that differ in the indices at one position of the name alone, at the place of the first.
fn merge(rows: Vec<Row>, position: usize) -> Vec<Row> {
    let mut places: HashMap<(Vec<Component>, [String; 4]), usize> = HashMap::default();
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(Component::Indices(indices)) = row.name.get(position).cloned() else {
            merged.push(row);
            continue;
        };
        let mut key = row.name.clone();
        key[position] = Component::Indices(Vec::new());
        match places.entry((key, row.cells.clone())) {
            std::collections::hash_map::Entry::Occupied(first) => {
                if let Some(Component::Indices(known)) = merged[*first.get()].name.get_mut(position) {
                    known.extend(indices);
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push(row);
            }
        }
    }
    merged
}

/// The name with sets of indices as `{0-2, 4}`.
fn name(row: &Row) -> String {
    let component = |component: &Component| match component {
        Component::Text(text) => text.clone(),
        Component::Indices(indices) => ranges::one_or_set(indices),
    };
    row.name.iter().map(component).collect::<Vec<_>>().join(".")
}

fn role(parameter: &Parameter) -> String {
    let mut role = match parameter.role {
        Role::Linear => "linear".to_string(),
        Role::Conv { groups: 1 } => "conv".to_string(),
        Role::Conv { groups } => format!("conv, {groups} groups"),
        Role::ConvTranspose { groups: 1 } => "conv_transpose".to_string(),
        Role::ConvTranspose { groups } => format!("conv_transpose, {groups} groups"),
        Role::Embedding => "embedding".to_string(),
        Role::Position => "position".to_string(),
        Role::Norm => "norm".to_string(),
        Role::Bias => "bias".to_string(),
        Role::Token => "token".to_string(),
        Role::Buffer => "buffer".to_string(),
        Role::Unknown => "unknown".to_string(),
    };
    if parameter.head {
        role.push_str(", head");
    }
    if let Some(dtype) = parameter.dtype {
        let _ = write!(role, ", {dtype}");
    }
    role
}

/// `784 → 512`, or `3 × 4 → 4` for a fused matrix.
fn fans(parameter: &Parameter) -> String {
    let runs = parameter.parts.chunk_by(|a, b| a == b).filter_map(|run| {
        let part = run.first()?;
        let times = if run.len() > 1 { format!("{} × ", run.len()) } else { String::new() };
        Some(format!("{times}{} → {}", part.fans.fan_in, part.fans.fan_out))
    });
    runs.collect::<Vec<_>>().join(", ")
}

/// What a new tensor would be initialised by, as far as the file says it; strongest first, as in planning.
fn init(architecture: &Architecture, parameter: &Parameter) -> String {
    if let Some(owner) = parameter.tied_to.and_then(|id| architecture.parameters.get(id)) {
        return format!("tied to {}", owner.name);
    }
    let Rules { init, init_from_file, .. } = &architecture.rules;
    let matching = |rule: &&super::InitRule| {
        rule.target.as_ref().is_some_and(|target| target.pattern.matches(&parameter.name).is_some())
    };
    let (file, typed) = init.split_at((*init_from_file).min(init.len()));
    let by_rule = typed.iter().rev().find(matching).or_else(|| file.iter().rev().find(matching));
    match (by_rule, &parameter.layer_init, &parameter.init) {
        (Some(rule), _, _) => rule.scheme.to_string(),
        (None, Some(scheme), _) => scheme.to_string(),
        (None, None, Some(family)) => family.by.clone(),
        (None, None, None) if parameter.role == Role::Buffer => String::new(),
        (None, None, None) => match parameter.followed_by {
            Some(next) => format!("auto, before {}", Layer::Activation(next).kind()),
            None => "auto".to_string(),
        },
    }
}

fn table(rows: &[Row]) -> Vec<String> {
    let head = ["name", "shape", "role", "fans", "init"].map(str::to_string);
    let body = rows.iter().map(|row| {
        let [shape, role, fans, init] = row.cells.clone();
        [name(row), shape, role, fans, init]
    });
    let lines: Vec<[String; 5]> = std::iter::once(head).chain(body).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let padded = |line: &[String; 5]| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    lines.iter().map(padded).collect()
}
