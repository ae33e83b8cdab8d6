//! What the names of Keras and Flax say of a stored tensor: `kernel`, `recurrent_kernel`, `vars/0`, and where such names are theirs.

use std::collections::BTreeMap;

use crate::checkpoint::kernel::{Cell, Form, Kernel, Part, Recurrent, Variable};
use crate::checkpoint::{CheckpointFormat as Format, Listing};
use crate::hash::HashMap;
use crate::name::is_index;
use crate::plan::matching::stored_layout::{Framework, Stored, leaf};
use crate::tensor::TensorInfo;

/// Whose names a source has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Naming {
    /// Those of PyTorch, or of a format that states its layouts.
    #[default]
    Other,
    Of(Framework),
    /// A `kernel` may be of Keras or Flax.
    Unstated,
}

/// What is known of the kernels of a source.
#[derive(Default)]
pub(crate) struct Kernels {
    naming: Naming,
    variables: BTreeMap<String, Variable>,
    /// Recurrent layers by the path of their variables.
    cells: HashMap<String, Cell>,
}

impl Kernels {
    /// What names and file of a source say.
    pub(crate) fn of(source: &Listing) -> Kernels {
        let naming = naming(source);
        let cells = if naming == Naming::Of(Framework::Keras) { cells(source) } else { HashMap::default() };
        Kernels { naming, variables: source.variables.clone(), cells }
    }

    /// How the tensor of this name is stored, or `None` where nothing is known of it.
    pub(crate) fn layout(&self, name: &str) -> Option<Stored> {
        match self.variables.get(name).and_then(|variable| variable.kernel.as_ref()) {
            Some(Kernel::Axes(axes)) => return Some(Stored::Axes(axes.clone())),
            Some(Kernel::Recurrent(recurrent)) => return Some(Stored::Recurrent(*recurrent)),
            None => {}
        }
        let framework = match self.naming {
            Naming::Other => return None,
            Naming::Unstated => {
                return match leaf(name) {
                    "kernel" => Some(Stored::Named),
                    "bias" => Some(Stored::Bias),
                    _ => None,
                };
            }
            Naming::Of(framework) => framework,
        };
        let (path, leaf) = (parent(name), leaf(name));
        if let (Some(cell), Some(part)) = (self.cells.get(path), part(leaf)) {
            return Some(Stored::Recurrent(Recurrent { form: Form::Keras, cell: *cell, part }));
        }
        match leaf {
            "kernel" | "pointwise_kernel" | "recurrent_kernel" => Some(Stored::Kernel(framework)),
            "depthwise_kernel" => Some(Stored::Depthwise),
            "bias" => Some(Stored::Bias),
            _ if framework == Framework::Keras && is_variable(path, leaf) => Some(Stored::Unstated),
            _ => None,
        }
    }
}

/// `layers/dense/vars/0`: a variable that is called by its place.
fn is_variable(path: &str, leaf: &str) -> bool {
    is_index(leaf) && path.rsplit('/').next() == Some("vars")
}

fn part(leaf: &str) -> Option<Part> {
    match leaf {
        "kernel" | "0" => Some(Part::Input),
        "recurrent_kernel" | "1" => Some(Part::Hidden),
        "bias" | "2" => Some(Part::Bias),
        _ => None,
    }
}

/// Who named the tensors of a source: its format or metadata, else names that only Keras has.
fn naming(source: &Listing) -> Naming {
    let stated = source.metadata.iter().find(|(key, _)| key == "format").map(|(_, value)| value.as_str());
    match (source.format, stated) {
        (Format::Hdf5, _) => return Naming::Of(Framework::Keras),
        (Format::Msgpack, _) => return Naming::Of(Framework::Flax),
        (Format::Safetensors | Format::Npz | Format::Npy, Some("flax" | "jax")) => return Naming::Of(Framework::Flax),
        (Format::Safetensors | Format::Npz | Format::Npy, Some("tf" | "keras")) => return Naming::Of(Framework::Keras),
        (Format::Safetensors | Format::Npz | Format::Npy, None) => {}
        (Format::Safetensors | Format::Npz | Format::Npy, Some(_))
        | (Format::PyTorch | Format::Gguf | Format::Onnx, _) => return Naming::Other,
    }
    let is_of_keras = |name: &str| matches!(leaf(name), "recurrent_kernel" | "depthwise_kernel" | "moving_variance");
    match source.tensors.iter().any(|tensor| is_of_keras(&tensor.name)) {
        true => Naming::Of(Framework::Keras),
        false => Naming::Unstated,
    }
}

/// The path before the last component.
fn parent(name: &str) -> &str {
    name.rfind(['.', '/']).and_then(|end| name.get(..end)).unwrap_or_default()
}

/// The recurrent layers of Keras: their gates are as many as the columns of the recurrent kernel hold its rows.
fn cells(source: &Listing) -> HashMap<String, Cell> {
    let mut layers: HashMap<&str, Vec<(Part, &TensorInfo)>> = HashMap::default();
    for tensor in &source.tensors {
        let (path, leaf) = (parent(&tensor.name), leaf(&tensor.name));
        // a variable that is called by its place is one of a cell only within one
        let is_of_cell = !is_variable(path, leaf) || path.ends_with("cell/vars");
        if let Some(part) = part(leaf).filter(|_| is_of_cell) {
            layers.entry(path).or_default().push((part, tensor));
        }
    }
    let cell = |variables: &[(Part, &TensorInfo)]| {
        let shape = |wanted: Part| {
            variables.iter().find(|(part, _)| *part == wanted).map(|(_, tensor)| tensor.shape.as_slice())
        };
        let (Some([_, columns]), Some([units, gates])) = (shape(Part::Input), shape(Part::Hidden)) else { return None };
        match (gates.checked_div(*units)?, columns == gates && gates.is_multiple_of(*units)) {
            (4, true) => Some(Cell::Lstm),
            (3, true) => Some(Cell::Gru { reset_after: shape(Part::Bias).map(|bias| bias.len() == 2) }),
            (1, true) => Some(Cell::Simple),
            (_, _) => None,
        }
    };
    layers.into_iter().filter_map(|(path, variables)| Some((path.to_string(), cell(&variables)?))).collect()
}
