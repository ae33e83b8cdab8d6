//! What a model holds: tensors of graphs and of their subgraphs, and the nodes that name them.

use super::wire::{Content, field, number, text};
use crate::checkpoint::cursor::Cursor;
use crate::error::Result;

/// More graphs within graphs than any model has.
const DEPTH: usize = 32;
/// More axes than any library counts.
const AXES: usize = 64;
/// How long the names and paths of all tensors may be together, in bytes.
const NAMES_LIMIT: u64 = 256 << 20;
/// The most bytes of numbers of variable length that are read of one tensor.
const NUMBERS_LIMIT: u64 = 256 << 20;

/// A tensor as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// The names of the nodes and attributes down to its graph, for tensors whose names are not distinct.
    pub(super) path: String,
    pub(super) dims: Vec<i64>,
    pub(super) data_type: u64,
    /// Offset and length of the raw data, and of the typed data by their field.
    pub(super) raw: Option<(u64, u64)>,
    pub(super) typed: Vec<(u64, u64, u64)>,
    /// Numbers of variable length, decoded, and whether there were any.
    pub(super) numbers: Vec<u64>,
    pub(super) is_external: bool,
    pub(super) external: Vec<(String, String)>,
    pub(super) is_constant: bool,
}

/// What is kept of a node: enough to say which layer a tensor belongs to.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) operator: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// Its attributes that are whole numbers.
    pub(super) numbers: Vec<(String, u64)>,
}

/// A whole model.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) tensors: Vec<Tensor>,
    pub(super) nodes: Vec<Node>,
    pub(super) metadata: Vec<(String, String)>,
    /// Whether there are tensors with few elements that are not zero, which are not read.
    pub(super) has_sparse: bool,
    names: u64,
}

pub(super) fn read(cursor: &mut Cursor) -> Result<Model> {
    let mut model = Model::default();
    let end = cursor.left();
    while let Some((number, content)) = field(cursor, end)? {
        match (number, content) {
            (2, Content::Range { bytes, .. }) => model.metadata.push(("producer_name".into(), text(cursor, bytes)?)),
            (7, Content::Range { offset, bytes }) => graph(cursor, offset + bytes, &mut model, "", 0)?,
            (14, Content::Range { offset, bytes }) => {
                let pair = pair(cursor, offset + bytes)?;
                model.metadata.push(pair);
            }
            // a function is a list of nodes
            (25, Content::Range { offset, bytes }) => nodes(cursor, offset + bytes, 7, &mut model, "", 0)?,
            (_, content) => pass(cursor, content)?,
        }
    }
    Ok(model)
}

/// Moves over a field that says nothing about tensors.
fn pass(cursor: &mut Cursor, content: Content) -> Result<()> {
    match content {
        Content::Range { bytes, .. } => cursor.jump(bytes),
        Content::Number(_) => Ok(()),
    }
}

fn graph(cursor: &mut Cursor, end: u64, model: &mut Model, path: &str, depth: usize) -> Result<()> {
    nodes(cursor, end, 1, model, path, depth)
}

/// Reads the nodes, whose field has this number, and the tensors of a graph.
fn nodes(cursor: &mut Cursor, end: u64, node_field: u64, model: &mut Model, path: &str, depth: usize) -> Result<()> {
    if depth > DEPTH {
        return Err(cursor.invalid("graphs are nested too deep"));
    }
    while let Some((number, content)) = field(cursor, end)? {
        match (number, content) {
            (n, Content::Range { offset, bytes }) if n == node_field => {
                node(cursor, offset + bytes, model, path, depth)?;
            }
            (5, Content::Range { offset, bytes }) if node_field == 1 => {
                let tensor = tensor(cursor, offset + bytes)?;
                keep(cursor, model, tensor, path)?;
            }
            (15, content) if node_field == 1 => {
                model.has_sparse = true;
                pass(cursor, content)?;
            }
            (_, content) => pass(cursor, content)?,
        }
    }
    Ok(())
}

fn keep(cursor: &Cursor, model: &mut Model, tensor: Tensor, path: &str) -> Result<()> {
    model.names += (tensor.name.len() + path.len()) as u64;
    if model.names > NAMES_LIMIT {
        return Err(cursor.limit("the length of all names", model.names, NAMES_LIMIT));
    }
    model.tensors.push(Tensor { path: path.into(), ..tensor });
    Ok(())
}

/// Reads a node. Its attributes may stand before its name, so they are noted first and read afterwards.
fn node(cursor: &mut Cursor, end: u64, model: &mut Model, path: &str, depth: usize) -> Result<()> {
    let mut node = Node::default();
    let mut attributes = Vec::new();
    while let Some((number, content)) = field(cursor, end)? {
        match (number, content) {
            (1, Content::Range { bytes, .. }) => node.inputs.push(text(cursor, bytes)?),
            (2, Content::Range { bytes, .. }) => node.outputs.push(text(cursor, bytes)?),
            (3, Content::Range { bytes, .. }) => node.name = text(cursor, bytes)?,
            (4, Content::Range { bytes, .. }) => node.operator = text(cursor, bytes)?,
            (5, Content::Range { offset, bytes }) => {
                attributes.push((offset, bytes));
                cursor.jump(bytes)?;
            }
            (_, content) => pass(cursor, content)?,
        }
    }
    for (offset, bytes) in attributes {
        cursor.go(offset);
        let number = attribute(cursor, offset + bytes, &node, model, path, depth)?;
        node.numbers.extend(number);
    }
    cursor.go(end);
    model.nodes.push(node);
    Ok(())
}

/// Reads an attribute, and returns it where it is a whole number.
fn attribute(
    cursor: &mut Cursor,
    end: u64,
    node: &Node,
    model: &mut Model,
    path: &str,
    depth: usize,
) -> Result<Option<(String, u64)>> {
    let (mut name, mut whole) = (String::new(), None);
    while let Some((number, content)) = field(cursor, end)? {
        match (number, content) {
            (1, Content::Range { bytes, .. }) => name = text(cursor, bytes)?,
            (3, Content::Number(number)) => whole = Some(number),
            (5, Content::Range { offset, bytes }) if node.operator == "Constant" && name == "value" => {
                let found = tensor(cursor, offset + bytes)?;
                let name = node.outputs.first().cloned().unwrap_or_default();
                keep(cursor, model, Tensor { name, is_constant: true, ..found }, path)?;
            }
            (6 | 11, Content::Range { offset, bytes }) => {
                let below = format!("{path}{}/{name}/", node.name);
                if below.len() as u64 > NAMES_LIMIT / 4096 {
                    return Err(cursor.limit("the length of a path", below.len() as u64, NAMES_LIMIT / 4096));
                }
                graph(cursor, offset + bytes, model, &below, depth + 1)?;
            }
            (_, content) => pass(cursor, content)?,
        }
    }
    Ok(whole.map(|number| (name, number)))
}

fn tensor(cursor: &mut Cursor, end: u64) -> Result<Tensor> {
    let mut tensor = Tensor::default();
    while let Some((field_number, content)) = field(cursor, end)? {
        match (field_number, content) {
            (1, Content::Number(size)) => axis(cursor, &mut tensor, size)?,
            (1, Content::Range { offset, bytes }) => {
                while cursor.at() < offset + bytes {
                    let size = number(cursor, offset + bytes)?;
                    axis(cursor, &mut tensor, size)?;
                }
            }
            (2, Content::Number(data_type)) => tensor.data_type = data_type,
            (4 | 10, Content::Range { offset, bytes }) => {
                tensor.typed.push((field_number, offset, bytes));
                cursor.jump(bytes)?;
            }
            (5 | 7 | 11, Content::Number(value)) => tensor.numbers.push(value),
            (5 | 7 | 11, Content::Range { offset, bytes }) => {
                if bytes > NUMBERS_LIMIT {
                    return Err(cursor.limit("the length of a tensor's numbers", bytes, NUMBERS_LIMIT));
                }
                while cursor.at() < offset + bytes {
                    let value = number(cursor, offset + bytes)?;
                    tensor.numbers.push(value);
                }
            }
            (8, Content::Range { bytes, .. }) => tensor.name = text(cursor, bytes)?,
            (9, Content::Range { offset, bytes }) => {
                tensor.raw = Some((offset, bytes));
                cursor.jump(bytes)?;
            }
            (13, Content::Range { offset, bytes }) => {
                let pair = pair(cursor, offset + bytes)?;
                tensor.external.push(pair);
            }
            (14, Content::Number(location)) => tensor.is_external = location == 1,
            (_, content) => pass(cursor, content)?,
        }
    }
    Ok(tensor)
}

fn axis(cursor: &Cursor, tensor: &mut Tensor, size: u64) -> Result<()> {
    if tensor.dims.len() == AXES {
        return Err(cursor.invalid("a tensor has more than 64 axes"));
    }
    tensor.dims.push(size as i64);
    Ok(())
}

fn pair(cursor: &mut Cursor, end: u64) -> Result<(String, String)> {
    let (mut key, mut value) = (String::new(), String::new());
    while let Some((number, content)) = field(cursor, end)? {
        match (number, content) {
            (1, Content::Range { bytes, .. }) => key = text(cursor, bytes)?,
            (2, Content::Range { bytes, .. }) => value = text(cursor, bytes)?,
            (_, content) => pass(cursor, content)?,
        }
    }
    Ok((key, value))
}
