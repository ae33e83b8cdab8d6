//! Tensors from what a pickle says of them: the few functions of PyTorch that build tensors, understood and not called.

use super::element;
use super::pickle::{Id, Node, Object, Values};
use crate::checkpoint::torch::error::StoredProblem;
use crate::tensor::Dtype;

/// A storage as a pickle refers to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StorageReference {
    /// What it is called in the file.
    pub(super) key: String,
    /// PyTorch's name of its element type.
    pub(super) dtype: &'static str,
    pub(super) element: u64,
    /// How many elements it should have.
    pub(super) elements: u64,
    /// The element at which a view begins (before PyTorch 0.4 a tensor's storage could be a view of another).
    pub(super) view: u64,
}

/// A tensor as a pickle describes it; numbers count elements.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Described {
    pub(super) storage: StorageReference,
    pub(super) dtype: Dtype,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) stride: Vec<u64>,
}

/// More axes than any library counts.
const AXES: usize = 64;
/// How often a builder may wrap another one.
const WRAPPED: usize = 8;

/// How to understand a builder.
#[derive(Clone, Copy)]
enum Builder {
    /// Storage, offset, sizes, strides; the element type is the storage's, or stands at this place.
    Plain { dtype: Option<usize>, metadata: Option<usize> },
    /// The first argument is the tensor.
    First,
    /// A builder, a class, and the builder's arguments.
    Typed,
    /// Nothing that can be carried; why.
    NotPlain(&'static str),
}

const BUILDERS: &[(&str, Builder)] = &[
    ("torch._utils._rebuild_tensor", Builder::Plain { dtype: None, metadata: None }),
    ("torch._utils._rebuild_tensor_v2", Builder::Plain { dtype: None, metadata: Some(6) }),
    ("torch._utils._rebuild_tensor_v3", Builder::Plain { dtype: Some(6), metadata: Some(7) }),
    ("torch._utils._rebuild_parameter", Builder::First),
    ("torch._utils._rebuild_parameter_with_state", Builder::First),
    ("torch.nn.parameter.Parameter", Builder::First),
    ("torch._tensor._rebuild_from_type", Builder::Typed),
    ("torch._tensor._rebuild_from_type_v2", Builder::Typed),
    ("torch.tensor._rebuild_from_type", Builder::Typed),
    ("torch.tensor._rebuild_from_type_v2", Builder::Typed),
    ("torch._utils._rebuild_qtensor", Builder::NotPlain("quantised")),
    ("torch._utils._rebuild_sparse_tensor", Builder::NotPlain("sparse")),
    ("torch._utils._rebuild_sparse_csr_tensor", Builder::NotPlain("sparse")),
    ("torch._utils._rebuild_nested_tensor", Builder::NotPlain("nested")),
    ("torch._utils._rebuild_meta_tensor_no_storage", Builder::NotPlain("on the meta device, without values")),
    ("torch._utils._rebuild_wrapper_subclass", Builder::NotPlain("a subclass that wraps other tensors")),
    ("torch._utils._rebuild_device_tensor_from_numpy", Builder::NotPlain("kept as an array of NumPy")),
    ("torch._utils._rebuild_device_tensor_from_cpu_tensor", Builder::NotPlain("kept for another device")),
    ("torch._utils._rebuild_xla_tensor", Builder::NotPlain("kept as an array of NumPy")),
];

/// Whether a value is a tensor, be it one that cannot be read.
pub(super) fn is_tensor(values: &Values, id: Id) -> bool {
    values.object(id).is_some_and(|(name, _)| builder(name).is_some())
}

/// The tensor that a value is, or why it cannot be read; `None` where it is none.
pub(super) fn tensor(values: &Values, id: Id) -> Option<Result<Described, StoredProblem>> {
    let (name, object) = values.object(id)?;
    builder(name)?;
    Some(build(values, name, object.arguments, 0))
}

fn builder(name: &str) -> Option<Builder> {
    BUILDERS.iter().find(|(known, _)| *known == name).map(|(_, builder)| *builder)
}

fn build(values: &Values, name: &str, arguments: Id, depth: usize) -> Result<Described, StoredProblem> {
    let wrong = |what| StoredProblem::Arguments { global: name.into(), what };
    let arguments = values.sequence(arguments).ok_or_else(|| wrong("no arguments"))?;
    let unknown = || StoredProblem::Builder(name.into());
    match builder(name).ok_or_else(unknown)? {
        _ if depth > WRAPPED => Err(wrong("itself, again and again")),
        Builder::NotPlain(kind) => Err(StoredProblem::NotPlain { kind, global: name.into() }),
        Builder::Plain { dtype, metadata } => plain(values, name, arguments, dtype, metadata),
        Builder::First => {
            let first = arguments.first().and_then(|first| values.object(*first));
            let (inner, object) = first.ok_or_else(|| wrong("no tensor"))?;
            build(values, inner, object.arguments, depth + 1)
        }
        Builder::Typed => match arguments {
            [function, _, inner, ..] => {
                let function = values.global(*function).ok_or_else(|| wrong("no builder"))?;
                build(values, function, *inner, depth + 1)
            }
            _ => Err(wrong("too few arguments")),
        },
    }
}

fn plain(
    values: &Values,
    name: &str,
    arguments: &[Id],
    dtype: Option<usize>,
    metadata: Option<usize>,
) -> Result<Described, StoredProblem> {
    let wrong = |what| StoredProblem::Arguments { global: name.into(), what };
    let [reference, offset, shape, stride, ..] = arguments else { return Err(wrong("too few arguments")) };
    let storage = storage(values, *reference).ok_or_else(|| wrong("no storage"))?;
    let offset = whole(values, *offset).ok_or_else(|| wrong("an offset that is not an integer"))?;
    let shape = wholes(values, *shape).ok_or_else(|| wrong("sizes that are no whole numbers"))?;
    let stride = wholes(values, *stride).ok_or_else(|| wrong("strides that are no whole numbers"))?;
    if shape.len() != stride.len() {
        return Err(wrong("another number of strides than of sizes"));
    }
    let flags = metadata.and_then(|place| arguments.get(place)).map(|id| values.get(*id));
    if let Some(Node::Dict(flags)) = flags
        && flags.iter().any(|(_, flag)| *values.get(*flag) == Node::Bool(true))
    {
        return Err(StoredProblem::NotPlain { kind: "stored conjugated or negated", global: name.into() });
    }
    let dtype_name = match dtype {
        None => storage.dtype,
        Some(place) => {
            let global = arguments.get(place).and_then(|id| values.global(*id));
            global.and_then(|global| global.strip_prefix("torch.")).ok_or_else(|| wrong("no element type"))?
        }
    };
    let dtype = element::dtype(dtype_name).ok_or_else(|| StoredProblem::Dtype(dtype_name.into()))?;
    Ok(Described { storage, dtype, offset, shape, stride })
}

/// The storage that a persistent reference means: `('storage', class, key, device, elements[, view])`.
pub(super) fn storage(values: &Values, id: Id) -> Option<StorageReference> {
    let Node::Persistent(reference) = values.get(id) else { return None };
    let [kind, class, key, _, elements, view @ ..] = values.sequence(*reference)? else { return None };
    let key = match values.get(*key) {
        Node::Text(text) => text.to_string(),
        Node::Int(number) => number.to_string(),
        _ => return None,
    };
    let (dtype, element) = element::storage(values.global(*class)?)?;
    let elements = whole(values, *elements)?;
    let view = match view.first().map(|view| values.sequence(*view)) {
        Some(Some([_, offset, ..])) => whole(values, *offset)?,
        _ => 0,
    };
    (values.text(*kind)? == "storage").then_some(StorageReference { key, dtype, element, elements, view })
}

fn whole(values: &Values, id: Id) -> Option<u64> {
    match values.get(id) {
        Node::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn wholes(values: &Values, id: Id) -> Option<Vec<u64>> {
    let ids = match values.object(id) {
        // `torch.Size` of a tuple
        Some(("torch.Size", Object { arguments, .. })) => values.sequence(*values.sequence(*arguments)?.first()?)?,
        _ => values.sequence(id)?,
    };
    if ids.len() > AXES {
        return None;
    }
    ids.iter().map(|id| whole(values, *id)).collect()
}
