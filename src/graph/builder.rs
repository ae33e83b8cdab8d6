//! The one way to make parameters and nodes: declared together, under a path.

use std::collections::BTreeMap;

use super::input::check_input;
use super::node::called;
use super::shape::{self, Flow, Site};
use super::{Dim, FamilyInit, Graph, Layer, Node, NodeId, Nonlinearity, Parameter, ParameterId, parameters};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::init::{Scheme, SchemeSpec};
use crate::tensor::{Dtype, Name, ShapeText, TensorInfo};

/// Options of a layer that do not follow from its kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LayerOptions {
    /// Whether it belongs to a head.
    pub head: bool,
    pub init: Option<SchemeSpec>,
    /// The size of the input's last axis (or channels) that the file states; checked against what is inferred.
    pub input_size: Option<u64>,
    /// Parameters of another layer that this one uses as its own, each with the name that it would have below this layer. Shape and
    /// role must agree.
    pub shared: Vec<(&'static str, ParameterId)>,
}

/// The most nodes, and the most parameters: far more than any model has, and little enough to hold in memory.
const MOST: usize = 1_000_000;

/// Declares parameters and nodes together, under a path. Node ids and parameter ids belong to the builder that gave them.
pub struct Builder {
    /// The most nodes, and the most parameters.
    pub(super) most: usize,
    path: String,
    parameters: Vec<Parameter>,
    names: BTreeMap<Name, ParameterId>,
    nodes: Vec<Node>,
    /// For each node, whether it gives numbers or ids.
    flows: Vec<Flow>,
    inputs: BTreeMap<String, NodeId>,
    /// For each node, the parameters on whose results a following activation acts.
    before_output: Vec<Option<ParameterId>>,
    branches: usize,
    branch: Option<usize>,
    head: bool,
    again: bool,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            most: MOST,
            path: String::new(),
            parameters: Vec::new(),
            names: BTreeMap::new(),
            nodes: Vec::new(),
            flows: Vec::new(),
            inputs: BTreeMap::new(),
            before_output: Vec::new(),
            branches: 0,
            branch: None,
            head: false,
            again: false,
        }
    }
}

impl Builder {
    /// An empty model.
    pub(crate) fn new() -> Builder {
        Builder::default()
    }

    /// The current path; empty at the top.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// `name` below the current path.
    pub(crate) fn full_name(&self, name: &str) -> String {
        match (self.path.as_str(), name) {
            ("", name) => name.to_string(),
            (path, "") => path.to_string(),
            (path, name) => format!("{path}.{name}"),
        }
    }

    /// Runs `build` one component deeper (or several, dotted); an empty name adds nothing.
    pub(crate) fn under<T>(&mut self, name: &str, build: impl FnOnce(&mut Builder) -> Result<T>) -> Result<T> {
        let outer = self.path.len();
        self.path = self.full_name(name);
        let built = build(self);
        self.path.truncate(outer);
        built
    }

    /// Runs `build` inside a residual branch: its nodes carry the number of the branch, the innermost where branches nest.
    pub(crate) fn branch<T>(&mut self, build: impl FnOnce(&mut Builder) -> Result<T>) -> Result<T> {
        let outer = self.branch.replace(self.branches);
        self.branches += 1;
        let built = build(self);
        self.branch = outer;
        built
    }

    /// Runs `build` inside a head: its parameters count as head.
    pub(crate) fn head<T>(&mut self, build: impl FnOnce(&mut Builder) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.head, true);
        let built = build(self);
        self.head = outer;
        built
    }

    /// Runs `build` with every parameter that is declared already, in the same shape, used once more (ALBERT's layers).
    pub(crate) fn again<T>(&mut self, build: impl FnOnce(&mut Builder) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.again, true);
        let built = build(self);
        self.again = outer;
        built
    }

    /// An input of the model, by its name whatever the path. `shape` has the batch first, and only there; `dtype` is `F32`, or
    /// `I64` for ids, below `max` where that is stated.
    pub(crate) fn input(&mut self, name: &str, shape: Vec<Dim>, dtype: Dtype, max: Option<u64>) -> Result<NodeId> {
        self.input_or(name, shape, dtype, max, None)
    }

    /// As above, for an input that may be left out: it then is `default` everywhere.
    pub(crate) fn input_or(
        &mut self,
        name: &str,
        shape: Vec<Dim>,
        dtype: Dtype,
        max: Option<u64>,
        default: Option<i64>,
    ) -> Result<NodeId> {
        let kind = check_input(name, &shape, dtype, max)?;
        if self.inputs.contains_key(name) {
            return Err(GraphError::Duplicate { name: name.into() }.into());
        }
        let node =
            self.push(name.into(), Layer::Input { dtype, max, default }, &[], Vec::new(), Flow { shape, kind })?;
        self.inputs.insert(name.into(), node);
        Ok(node)
    }

    /// A layer called `name` below the path, taking these inputs: infers its result's shape and declares its parameters
    /// (`{path}.{name}.weight`, …). An unnamed layer with weights, a shape that does not fit (both shapes and both layers named),
    /// an overflow or two parameters of one name is an error.
    pub(crate) fn layer(&mut self, name: &str, layer: Layer, inputs: &[NodeId]) -> Result<NodeId> {
        self.layer_with(name, layer, inputs, LayerOptions::default())
    }

    /// A layer with options.
    pub(crate) fn layer_with(
        &mut self,
        name: &str,
        layer: Layer,
        inputs: &[NodeId],
        options: LayerOptions,
    ) -> Result<NodeId> {
        let full = if name.is_empty() { String::new() } else { self.full_name(name) };
        let inferred = self.infer(&full, &layer, inputs, &options)?;
        let rank = inputs.first().map_or(0, |node| self.shape(*node).len());
        let declared = parameters::of(&layer, inferred.width, rank, inputs.len());
        if full.is_empty() && !declared.is_empty() {
            let layer = called(&self.nodes, &full, &layer, inputs);
            return Err(GraphError::Unnamed { layer }.into());
        }
        let before_output = declared.iter().position(|parameter| parameter.before_output);
        let mut ids = Vec::with_capacity(declared.len());
        for parameter in declared {
            ids.push(self.declare(&full, parameter, &options)?);
        }
        let before_output = before_output.map(|index| ids[index]);
        let node = self.push(full, layer, inputs, ids, inferred.flow)?;
        self.before_output[node] = before_output;
        Ok(node)
    }

    /// The shape of a node's result.
    pub(crate) fn shape(&self, node: NodeId) -> &[Dim] {
        &self.nodes[node].output
    }

    /// How messages call a node: `linear hidden.fc`, `relu after linear hidden.fc`.
    pub(crate) fn describe(&self, node: NodeId) -> String {
        let Node { name, layer, inputs, .. } = &self.nodes[node];
        called(&self.nodes, name, layer, inputs)
    }

    /// The parameter of this full name, or `None`.
    pub(crate) fn find(&self, name: &str) -> Option<ParameterId> {
        self.names.get(name).copied()
    }

    /// Everything declared so far.
    pub(crate) fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Changes a declared parameter (a family sets its init rule, a role, a dtype floor); its name stays.
    pub(crate) fn parameter_mut(&mut self, id: ParameterId) -> &mut Parameter {
        &mut self.parameters[id]
    }

    /// Lets a row of a table below the path start at 0 (PyTorch's `padding_idx`); a row that it does not have means nothing.
    pub(crate) fn zero_row(&mut self, name: &str, row: Option<u64>) {
        let table = self.find(&self.full_name(name)).and_then(|id| self.parameters.get_mut(id));
        if let Some(table) = table {
            table.zero_row = row.filter(|row| table.shape.first().is_some_and(|rows| row < rows));
        }
    }

    /// Makes `name` another name of `owner`, both full names of declared parameters of one shape; a loop is an error. Where `owner`
    /// is itself tied, its own owner is meant.
    pub(crate) fn tie(&mut self, name: &str, owner: &str) -> Result<()> {
        let find = |missing: &str| {
            let known = || self.names.keys().map(Name::as_str);
            self.find(missing).ok_or_else(|| GraphError::tie_unknown(name, owner, missing, known()))
        };
        let (id, stated) = (find(name)?, find(owner)?);
        let root = self.parameters[stated].tied_to.unwrap_or(stated);
        if root == id {
            return Err(GraphError::TieLoop { name: name.into(), owner: owner.into() }.into());
        }
        if let Some(first) = self.parameters[id].tied_to {
            let first = self.parameters[first].name.clone();
            return Err(
                GraphError::TiedTwice { name: name.into(), first: first.to_string(), second: owner.into() }.into()
            );
        }
        let (shape, owner_shape) = (&self.parameters[id].shape, &self.parameters[root].shape);
        if shape != owner_shape {
            let (shape, owner_shape) = (ShapeText(shape).to_string(), ShapeText(owner_shape).to_string());
            return Err(GraphError::TieShapes { name: name.into(), shape, owner: owner.into(), owner_shape }.into());
        }
        for parameter in &mut self.parameters {
            if parameter.tied_to == Some(id) {
                parameter.tied_to = Some(root);
            }
        }
        self.parameters[id].tied_to = Some(root);
        Ok(())
    }

    /// Puts the parameters from `since` on into the order of their `rank`, equal ranks as they were declared: a `state_dict` follows
    /// the order of a module's attributes, and a graph that of their use.
    pub(crate) fn sort_parameters(&mut self, since: ParameterId, rank: impl Fn(&Parameter) -> usize) {
        let mut order: Vec<ParameterId> = (since..self.parameters.len()).collect();
        order.sort_by_key(|id| (rank(&self.parameters[*id]), *id));
        let mut moved: BTreeMap<ParameterId, ParameterId> = BTreeMap::new();
        moved.extend(order.iter().enumerate().map(|(place, id)| (*id, since + place)));
        let now = |id: &mut ParameterId| *id = moved.get(id).copied().unwrap_or(*id);
        let sorted: Vec<Parameter> = order.iter().map(|id| self.parameters[*id].clone()).collect();
        self.parameters.truncate(since);
        self.parameters.extend(sorted);
        for (id, parameter) in self.parameters.iter_mut().enumerate().skip(since) {
            self.names.insert(parameter.name.clone(), id);
            parameter.tied_to.iter_mut().for_each(now);
        }
        for (node, before_output) in self.nodes.iter_mut().zip(&mut self.before_output).rev() {
            if node.parameters.last().is_some_and(|id| *id < since) {
                break;
            }
            node.parameters.iter_mut().chain(before_output).for_each(now);
        }
    }

    /// Declares `scheme` as the family's rule for all parameters from `since` on that have no rule yet and satisfy `of`.
    pub(crate) fn init_rule(&mut self, since: ParameterId, scheme: Scheme, by: &str, of: impl Fn(&Parameter) -> bool) {
        for parameter in self.parameters.iter_mut().skip(since) {
            if parameter.init.is_none() && of(parameter) {
                parameter.init = Some(Box::new(FamilyInit { scheme: scheme.clone(), by: by.into() }));
            }
        }
    }

    /// The finished model. Sets `followed_by` of every weight from the activation that alone and directly consumes its layer
    /// (through dropout).
    pub(crate) fn finish(mut self, outputs: Vec<(String, NodeId)>) -> Result<(Vec<Parameter>, Graph)> {
        for (index, (name, _)) in outputs.iter().enumerate() {
            if outputs[..index].iter().any(|(other, _)| other == name) {
                return Err(GraphError::DuplicateOutput { name: name.clone() }.into());
            }
        }
        let following = self.following(&outputs);
        for (parameter, following) in self.before_output.iter().zip(following) {
            if let Some(id) = parameter {
                self.parameters[*id].followed_by = following;
            }
        }
        Ok((self.parameters, Graph { nodes: self.nodes, outputs }))
    }
}

/// The activation that a node's result goes into, so far as its users have been seen.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Unused,
    One(Nonlinearity),
    Other,
}

impl Builder {
    fn infer(&self, full: &str, layer: &Layer, inputs: &[NodeId], options: &LayerOptions) -> Result<shape::Inferred> {
        let site = Site {
            layer,
            here: &|| called(&self.nodes, full, layer, inputs),
            describe: &|node| self.describe(node),
            inputs: inputs.iter().map(|node| (*node, &self.flows[*node])).collect(),
        };
        let inferred = shape::infer(&site)?;
        match options.input_size {
            Some(stated) if stated != inferred.width => {
                Err(site.misfit(0, format!("{stated} inputs as its `in` states")))
            }
            _ => Ok(inferred),
        }
    }

    fn declare(&mut self, path: &str, declared: parameters::Declared, options: &LayerOptions) -> Result<ParameterId> {
        let parameters::Declared { mut parameter, weight, .. } = declared;
        let shared = options.shared.iter().find(|(name, _)| *name == parameter.name);
        if let Some((_, id)) = shared.filter(|(_, id)| self.parameters[*id].shape == parameter.shape) {
            return Ok(*id);
        }
        parameter.name =
            if parameter.name.is_empty() { path.into() } else { format!("{path}.{}", parameter.name).into() };
        parameter.head = self.head || options.head;
        parameter.layer_init = options.init.clone().filter(|_| weight).map(Box::new);
        self.insert(parameter)
    }

    fn insert(&mut self, parameter: Parameter) -> Result<ParameterId> {
        // the largest element type, so that no choice of dtype can overflow later
        if TensorInfo::new("", Dtype::F64, parameter.shape.clone()).bytes().is_err() {
            let what = format!("a tensor of {}", ShapeText(&parameter.shape));
            return Err(GraphError::Overflow { layer: parameter.name.to_string(), what }.into());
        }
        let id = self.parameters.len();
        if id >= self.most {
            return Err(GraphError::TooMany { limit: self.most }.into());
        }
        match self.names.get(parameter.name.as_str()) {
            Some(known) if self.again && self.parameters[*known].shape == parameter.shape => return Ok(*known),
            Some(_) => return Err(GraphError::Duplicate { name: parameter.name.to_string() }.into()),
            None => {}
        }
        self.names.insert(parameter.name.clone(), id);
        self.parameters.push(parameter);
        Ok(id)
    }

    fn push(
        &mut self,
        name: String,
        layer: Layer,
        inputs: &[NodeId],
        ids: Vec<ParameterId>,
        flow: Flow,
    ) -> Result<NodeId> {
        if self.nodes.len() >= self.most {
            return Err(GraphError::TooMany { limit: self.most }.into());
        }
        self.nodes.push(Node {
            name,
            layer,
            inputs: inputs.to_vec(),
            parameters: ids,
            output: flow.shape.clone(),
            branch: self.branch,
        });
        self.flows.push(flow);
        self.before_output.push(None);
        Ok(self.nodes.len() - 1)
    }

    /// For each node, the one activation that all its users are; users stand behind what they use, so one pass from the end.
    fn following(&self, outputs: &[(String, NodeId)]) -> Vec<Option<Nonlinearity>> {
        let mut next = vec![Next::Unused; self.nodes.len()];
        for (_, node) in outputs {
            next[*node] = Next::Other;
        }
        for (id, node) in self.nodes.iter().enumerate().rev() {
            let seen = match (&node.layer, node.layer.nonlinearity()) {
                (_, Some(nonlinearity)) => Next::One(nonlinearity),
                (Layer::Dropout, None) => next[id],
                (_, None) => Next::Other,
            };
            for input in &node.inputs {
                next[*input] = if next[*input] == Next::Unused || next[*input] == seen { seen } else { Next::Other };
            }
        }
        next.into_iter()
            .map(|next| if let Next::One(nonlinearity) = next { Some(nonlinearity) } else { None })
            .collect()
    }
}
