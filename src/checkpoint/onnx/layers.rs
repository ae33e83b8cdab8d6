//! The names of layers for tensors that an exporter made anonymous, as `onnx::MatMul_2159`: PyTorch folds the transposition of a linear
//! layer's weight and forgets its name. The node that uses the tensor, or the bias that is added to its product, tells it.

use std::collections::BTreeMap;

use super::graph::{Model, Node};
use crate::hash::{HashMap, HashSet};

/// How the names of such tensors begin.
const ANONYMOUS: &str = "onnx::";

/// What an anonymous tensor is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    /// The name that the module gives it.
    pub(super) name: String,
    /// Whether it is stored as `(in, out)`, while the module keeps `(out, in)`.
    pub(super) is_transposed: bool,
}

/// Stored names to layers. A tensor that several nodes use, and a name that is taken, stay as they are.
pub(super) fn recover(model: &Model) -> BTreeMap<String, Layer> {
    let mut uses: HashMap<&str, Vec<(&Node, usize)>> = HashMap::default();
    for node in &model.nodes {
        for (place, input) in node.inputs.iter().enumerate() {
            uses.entry(input).or_default().push((node, place));
        }
    }
    let names: HashSet<&str> = model.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut layers = BTreeMap::new();
    let mut given: HashMap<String, usize> = HashMap::default();
    for name in names.iter().filter(|name| name.starts_with(ANONYMOUS)) {
        let Some([(node, place)]) = uses.get(name).map(Vec::as_slice) else { continue };
        if let Some(layer) = layer(node, *place, &uses, &names) {
            *given.entry(layer.name.clone()).or_default() += 1;
            layers.insert((*name).to_string(), layer);
        }
    }
    layers.retain(|_, layer: &mut Layer| !names.contains(layer.name.as_str()) && given.get(&layer.name) == Some(&1));
    layers
}

type Uses<'a> = HashMap<&'a str, Vec<(&'a Node, usize)>>;

fn layer(node: &Node, place: usize, uses: &Uses, names: &HashSet<&str>) -> Option<Layer> {
    let (part, is_transposed) = match (node.operator.as_str(), place) {
        ("MatMul", 1) => ("weight", true),
        ("Conv" | "ConvTranspose", 1) => ("weight", false),
        ("Conv" | "ConvTranspose", 2) => ("bias", false),
        _ => return None,
    };
    let module = match part {
        "weight" => added_bias(node, uses, names).or_else(|| module(&node.name)),
        _ => module(&node.name),
    };
    Some(Layer { name: format!("{}.{part}", module?), is_transposed })
}

/// The module whose bias is added to the product of a node.
fn added_bias(node: &Node, uses: &Uses, names: &HashSet<&str>) -> Option<String> {
    let [(add, place)] = uses.get(node.outputs.first()?.as_str())?.as_slice() else { return None };
    let other = add.inputs.get(1usize.checked_sub(*place)?)?;
    let is_bias = add.operator == "Add" && names.contains(other.as_str()) && !other.starts_with(ANONYMOUS);
    other.strip_suffix(".bias").filter(|_| is_bias).map(str::to_string)
}

/// The module in the name of a node: `/layer1/layer1.0/conv1/Conv` is `layer1.0.conv1`, as containers repeat themselves.
fn module(node: &str) -> Option<String> {
    let (scopes, _) = node.strip_prefix('/')?.rsplit_once('/')?;
    let mut parts: Vec<&str> = Vec::new();
    for scope in scopes.split('/') {
        if parts.last().is_some_and(|last| scope.strip_prefix(last).is_some_and(|rest| rest.starts_with('.'))) {
            parts.pop();
        }
        parts.push(scope);
    }
    Some(parts.join("."))
}
