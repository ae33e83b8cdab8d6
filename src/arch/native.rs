//! Native layers: a list of layers that run in order, built through the `Builder` under the paths that their names give.

use std::collections::BTreeMap;

use super::beside::Beside;
use super::depth;
use super::file_rules;
use super::json::Document;
use super::layers::Plain;
use super::node::{Node, Read, Wrong};
use super::{Architecture, FamilyBlock, Form, self_contained};
use crate::arch::error::{ArchError, Problem};
use crate::error::{Result, nearest};
use crate::family::Config;
use crate::graph::{Builder, Dim, Layer, LayerOptions, NodeId};
use crate::tensor::Dtype;

/// Builds a layers file that was checked against its table.
pub(crate) fn from_document(document: &Document, beside: &Beside) -> Result<Architecture> {
    let located = |wrong: Wrong| document.locate(wrong);
    let root = &document.root;
    let layers = root.get("layers").and_then(Node::list).unwrap_or_default();
    count(layers).map_err(located)?;
    let mut native = Native::new(document, beside, layers);
    let mut at = Builder::new();
    let inputs = native.inputs(root, &mut at)?;
    let start = if let [only] = inputs[..] { vec![only] } else { Vec::new() };
    let last = native.layers(layers, start, &mut at)?;
    let outputs = native.outputs(root, &last)?;
    let (parameters, graph) = at.finish(outputs)?;
    let mut architecture = Architecture::new(Form::Layers, parameters);
    architecture.graph = Some(graph);
    architecture.rules = file_rules::read(root).map_err(located)?;
    architecture.arch_json = Some(self_contained::layers(&document.root, &native.configs).into());
    architecture.blocks = native.blocks;
    Ok(architecture)
}

/// Refuses a file of too many layers, at the container that brings them over the limit.
fn count(layers: &[Node]) -> Read<u64> {
    let mut total = 0u64;
    for node in layers {
        let mut inside = 0u64;
        for key in ["layers", "shortcut"] {
            inside = inside.saturating_add(count(node.get(key).and_then(Node::list).unwrap_or_default())?);
        }
        let copies = node.maybe::<u64>("repeat")?.unwrap_or(1);
        total = total.saturating_add(inside.saturating_add(1).saturating_mul(copies));
        if total > depth::MOST_LAYERS {
            let problem = Problem::Limit { what: "layers", found: total, limit: depth::MOST_LAYERS };
            return Err(Wrong { at: node.get("repeat").map_or(node.at, |repeat| repeat.at), problem });
        }
    }
    Ok(total)
}

/// What is known while a file is built.
pub(crate) struct Native<'a> {
    document: &'a Document,
    pub beside: &'a Beside<'a>,
    /// Results by id, the innermost repeated block last.
    scopes: Vec<BTreeMap<String, Vec<NodeId>>>,
    /// Where each id of the file is said.
    said: BTreeMap<String, usize>,
    /// Ids of the containers that are being built.
    open: Vec<String>,
    /// The inputs of the file, by name.
    pub inputs: Vec<(String, NodeId)>,
    /// The family blocks so far.
    pub blocks: Vec<FamilyBlock>,
    /// Config files that were read, by the path as written.
    pub configs: BTreeMap<String, Config>,
}

/// The ids of layers and of the layers in them, with their places.
fn said_ids(layers: &[Node], said: &mut BTreeMap<String, usize>) {
    for node in layers {
        if let Some(id) = node.get("id").and_then(Node::text) {
            said.entry(id.to_string()).or_insert(node.at);
        }
        for key in ["layers", "shortcut"] {
            said_ids(node.get(key).and_then(Node::list).unwrap_or_default(), said);
        }
    }
}

impl<'a> Native<'a> {
    fn new(document: &'a Document, beside: &'a Beside<'a>, layers: &[Node]) -> Native<'a> {
        let mut said = BTreeMap::new();
        said_ids(layers, &mut said);
        Native {
            document,
            beside,
            scopes: vec![BTreeMap::new()],
            said,
            open: Vec::new(),
            inputs: Vec::new(),
            blocks: Vec::new(),
            configs: BTreeMap::new(),
        }
    }

    /// Puts this place on an error that has none yet.
    pub(crate) fn here<T>(&self, node: &Node, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error.downcast_ref() {
            Some(ArchError::Place { .. }) => error,
            _ if error.is_interruption() => error,
            _ => self.document.locate(Wrong::new(node.at, error)),
        })
    }

    /// Puts file, line and column on what is wrong at a byte.
    pub(crate) fn read<T>(&self, read: Read<T>) -> Result<T> {
        read.map_err(|wrong| self.document.locate(wrong))
    }

    fn inputs(&mut self, root: &Node, at: &mut Builder) -> Result<Vec<NodeId>> {
        for entry in root.get("inputs").and_then(Node::entries).unwrap_or_default() {
            let node = &entry.node;
            let axes = node.get("shape").and_then(Node::list).unwrap_or_default();
            let axes = self.read(axes.iter().map(axis).collect::<Read<Vec<_>>>())?;
            let dtype = match self.read(node.maybe::<String>("dtype"))?.as_deref() {
                Some("i64") => Dtype::I64,
                _ => Dtype::F32,
            };
            let max = self.read(node.maybe("max"))?;
            let input = self.here(node, at.input(&entry.key, axes, dtype, max))?;
            self.scope().insert(entry.key.clone(), vec![input]);
            self.inputs.push((entry.key.clone(), input));
        }
        Ok(self.inputs.iter().map(|(_, node)| *node).collect())
    }

    fn outputs(&self, root: &Node, last: &[NodeId]) -> Result<Vec<(String, NodeId)>> {
        let Some(named) = root.get("outputs").and_then(Node::entries).filter(|named| !named.is_empty()) else {
            return Ok(match last {
                [only] => vec![("output".into(), *only)],
                several => several.iter().enumerate().map(|(i, node)| (format!("output.{i}"), *node)).collect(),
            });
        };
        let mut outputs = Vec::new();
        for entry in named {
            match self.results("outputs", &entry.node, usize::MAX)?[..] {
                [only] => outputs.push((entry.key.clone(), only)),
                _ => return self.read(Err(entry.node.wrong_type(&entry.key, "the id of one result"))),
            }
        }
        Ok(outputs)
    }

    fn scope(&mut self) -> &mut BTreeMap<String, Vec<NodeId>> {
        if self.scopes.is_empty() {
            self.scopes.push(BTreeMap::new());
        }
        let innermost = self.scopes.len() - 1;
        &mut self.scopes[innermost]
    }

    /// The results that an id names, seen from a layer that begins at byte `user`.
    pub(crate) fn results(&self, key: &'static str, id: &Node, user: usize) -> Result<Vec<NodeId>> {
        let name = self.read(id.read::<String>(key))?;
        if let Some(found) = self.scopes.iter().rev().find_map(|scope| scope.get(&name)) {
            return Ok(found.clone());
        }
        let later = self.said.get(&name).is_some_and(|place| *place >= user) || self.open.contains(&name);
        let known: Vec<String> = self.scopes.iter().flat_map(|scope| scope.keys().cloned()).collect();
        let problem = if later {
            Problem::Loop { id: name }
        } else {
            let nearest = nearest(&name, known.iter().map(String::as_str)).map(str::to_string);
            Problem::UnknownId { key, id: name, nearest, known }
        };
        self.read(Err(Wrong { at: id.at, problem }))
    }

    /// The layers one after the other.
    pub(crate) fn layers(&mut self, layers: &[Node], start: Vec<NodeId>, at: &mut Builder) -> Result<Vec<NodeId>> {
        layers.iter().try_fold(start, |current, node| self.layer(node, current, at))
    }

    fn layer(&mut self, node: &Node, current: Vec<NodeId>, at: &mut Builder) -> Result<Vec<NodeId>> {
        let inputs = match node.get("from") {
            None => current,
            Some(from) => match from.list() {
                None => self.results("from", from, node.at)?,
                Some(ids) => {
                    let each = ids.iter().map(|id| self.results("from", id, node.at)).collect::<Result<Vec<_>>>()?;
                    each.concat()
                }
            },
        };
        let id = self.read(node.maybe::<String>("id"))?;
        self.open.extend(id.clone());
        let built = self.build(node, inputs, at);
        let outputs = self.here(node, built)?;
        if let Some(id) = id {
            self.open.pop();
            self.declare(node, id, &outputs)?;
        }
        Ok(outputs)
    }

    fn declare(&mut self, node: &Node, id: String, outputs: &[NodeId]) -> Result<()> {
        if self.scopes.iter().any(|scope| scope.contains_key(&id)) {
            let at = node.get("id").map_or(node.at, |id| id.at);
            return self.read(Err(Wrong { at, problem: Problem::IdTwice { id } }));
        }
        self.scope().insert(id, outputs.to_vec());
        Ok(())
    }

    fn build(&mut self, node: &Node, inputs: Vec<NodeId>, at: &mut Builder) -> Result<Vec<NodeId>> {
        let name = self.name(node)?;
        let head = node.get("role").is_some();
        let word = self.read(node.maybe::<String>("type"))?;
        match word.as_deref() {
            None => within(at, head, &name, |at| self.copies(node, inputs, at)),
            Some("residual") => within(at, head, &name, |at| self.residual(node, inputs, at)),
            Some(word) => match crate::family::by_name(word) {
                Some(family) => within(at, head, &name, |at| self.family_block(family, node, inputs, at)),
                None => self.plain(word, node, &name, head, inputs, at),
            },
        }
    }

    /// The name, whose dotted components must not be empty.
    fn name(&self, node: &Node) -> Result<String> {
        let name = self.read(node.maybe::<String>("name"))?.unwrap_or_default();
        match node.get("name") {
            Some(written) if !name.is_empty() && name.split('.').any(str::is_empty) => {
                self.read(Err(written.wrong_type("name", "components with dots between them")))
            }
            _ => Ok(name),
        }
    }

    fn copies(&mut self, node: &Node, inputs: Vec<NodeId>, at: &mut Builder) -> Result<Vec<NodeId>> {
        let layers = node.get("layers").and_then(Node::list).unwrap_or_default();
        let Some(copies) = self.read(node.maybe::<u64>("repeat"))? else { return self.layers(layers, inputs, at) };
        (0..copies).try_fold(inputs, |current, copy| {
            self.scopes.push(BTreeMap::new());
            let built = at.under(&copy.to_string(), |at| self.layers(layers, current, at));
            self.scopes.pop();
            built
        })
    }

    fn residual(&mut self, node: &Node, inputs: Vec<NodeId>, at: &mut Builder) -> Result<Vec<NodeId>> {
        let list = |key: &str| node.get(key).and_then(Node::list).unwrap_or_default();
        let mut sum = at.branch(|at| self.layers(list("layers"), inputs.clone(), at))?;
        sum.extend(self.layers(list("shortcut"), inputs, at)?);
        Ok(vec![at.layer("", Layer::Add, &sum)?])
    }

    fn plain(
        &self,
        word: &str,
        node: &Node,
        name: &str,
        head: bool,
        inputs: Vec<NodeId>,
        at: &mut Builder,
    ) -> Result<Vec<NodeId>> {
        let shapes: Vec<&[Dim]> = inputs.iter().map(|input| at.shape(*input)).collect();
        let layer = self.read(Plain { word, node, inputs: &shapes }.layer())?;
        let free = matches!(layer, Layer::Parameter { usage: crate::graph::Use::None, .. });
        if inputs.is_empty() && !free {
            return self.read(Err(self.nothing_before(node)));
        }
        let init = match node.get("init") {
            Some(scheme) => {
                let written = self.read(scheme.read::<String>("init"))?;
                Some(self.here(scheme, written.parse())?)
            }
            None => None,
        };
        let input_size = self.read(node.maybe("in"))?;
        Ok(vec![at.layer_with(
            name,
            layer,
            &inputs,
            LayerOptions { head, init, input_size, ..LayerOptions::default() },
        )?])
    }

    /// The problem of a layer that has nothing to take: no input of the file, or several of which none is named.
    pub(crate) fn nothing_before(&self, node: &Node) -> Wrong {
        let (what, key) = match self.inputs.is_empty() {
            true => ("the file".to_string(), "inputs"),
            false => (format!("the first layer, of {} inputs,", self.inputs.len()), "from"),
        };
        Wrong { at: node.at, problem: Problem::MissingKey { what, key } }
    }
}

fn axis(node: &Node) -> Read<Dim> {
    match node.text() {
        Some(_) => Ok(Dim::Batch),
        None => node.read("shape").map(Dim::Known),
    }
}

fn within<T>(at: &mut Builder, head: bool, name: &str, build: impl FnOnce(&mut Builder) -> Result<T>) -> Result<T> {
    match head {
        true => at.head(|at| at.under(name, build)),
        false => at.under(name, build),
    }
}
