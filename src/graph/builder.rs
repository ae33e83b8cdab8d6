//! The one way to make parameters and nodes: declared together, under a path.

use super::{Dim, Graph, Layer, NodeId, Parameter, ParameterId};
use crate::error::Result;
use crate::init::{Scheme, SchemeSpec};
use crate::tensor::{Dtype, Shape};

/// What a user of the builder may say about a layer beside its kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Whether it belongs to a head.
    pub head: bool,
    /// The scheme of its weights.
    pub init: Option<SchemeSpec>,
    /// The size of the input's last axis (or channels) that the file states; checked against what is inferred.
    pub input_size: Option<u64>,
}

/// Declares parameters and nodes together, under a path.
#[derive(Default)]
pub struct Builder {}

impl Builder {
    /// An empty model.
    pub fn new() -> Builder {
        Builder::default()
    }
    /// The current path; empty at the top.
    pub fn path(&self) -> &str {
        todo!()
    }
    /// Runs `build` one component deeper; an empty name adds nothing.
    pub fn under<T>(&mut self, _name: &str, _build: impl FnOnce(&mut Builder) -> Result<T>) -> Result<T> {
        todo!()
    }
    /// Runs `build` inside a residual branch: its nodes carry the number of the branch.
    pub fn branch<T>(&mut self, _build: impl FnOnce(&mut Builder) -> Result<T>) -> Result<T> {
        todo!()
    }
    /// Runs `build` inside a head: its parameters count as head.
    pub fn head<T>(&mut self, _build: impl FnOnce(&mut Builder) -> Result<T>) -> Result<T> {
        todo!()
    }
    /// An input of the model. `shape` has the batch first.
    pub fn input(&mut self, _name: &str, _shape: Vec<Dim>, _dtype: Dtype, _max: Option<u64>) -> Result<NodeId> {
        todo!()
    }
    /// A layer called `name` below the path, taking these inputs: infers its result's shape and declares its parameters
    /// (`{path}.{name}.weight`, …). An unnamed layer with weights, a shape that does not fit (both shapes and both layers named),
    /// an overflow or two parameters of one name is an error.
    pub fn layer(&mut self, _name: &str, _layer: Layer, _inputs: &[NodeId]) -> Result<NodeId> {
        todo!()
    }
    /// The same with what a file says beside the kind.
    pub fn layer_as(&mut self, _name: &str, _layer: Layer, _inputs: &[NodeId], _said: Said) -> Result<NodeId> {
        todo!()
    }
    /// The shape of a node's result.
    pub fn shape(&self, _node: NodeId) -> &[Dim] {
        todo!()
    }
    /// A tensor of the `state_dict` that is not learned and that no node uses.
    pub fn buffer(&mut self, _name: &str, _shape: Shape, _dtype: Dtype) -> Result<ParameterId> {
        todo!()
    }
    /// The parameter of this full name, or `None`.
    pub fn find(&self, _name: &str) -> Option<ParameterId> {
        todo!()
    }
    /// Changes a declared parameter (a family sets its init rule, a role, a dtype floor).
    pub fn parameter_mut(&mut self, _id: ParameterId) -> &mut Parameter {
        todo!()
    }
    /// Makes `name` another name of `owner`, both full names of declared parameters of one shape; a loop is an error.
    pub fn tie(&mut self, _name: &str, _owner: &str) -> Result<()> {
        todo!()
    }
    /// Declares `scheme` as the family's rule for all parameters declared so far below the path that have no rule yet and satisfy `of`.
    pub fn init_rule(&mut self, _scheme: Scheme, _by: &str, _of: impl Fn(&Parameter) -> bool) {
        todo!()
    }
    /// The finished model. Sets `followed_by` of every weight from the activation that directly consumes its node.
    pub fn finish(self, _outputs: Vec<(String, NodeId)>) -> Result<(Vec<Parameter>, Graph)> {
        todo!()
    }
}
