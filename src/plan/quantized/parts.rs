//! The names of what stands next to quantised weights, library by library.

use crate::checkpoint::Listing;
use crate::name::{join, last, parent};
use crate::plan::names::is_known_buffer;
use crate::tensor::{Dtype, TensorInfo};

/// Whether numbers of this type can stand for others.
pub(crate) fn may_be_codes(dtype: Dtype) -> bool {
    is_code(dtype) || matches!(dtype, Dtype::I8 | Dtype::U8 | Dtype::I16 | Dtype::U16 | Dtype::I32 | Dtype::U32)
}

/// Whether numbers of this type are too coarse to be weights without a scale.
pub(crate) fn is_code(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::F4
            | Dtype::F6E2m3
            | Dtype::F6E3m2
            | Dtype::F8E4m3
            | Dtype::F8E5m2
            | Dtype::F8E8m0
            | Dtype::F8E4m3fnuz
            | Dtype::F8E5m2fnuz
    )
}

/// Whether it is a number of 8 bits with a sign and an exponent of its own.
pub(crate) fn is_float8(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F8E4m3 | Dtype::F8E5m2 | Dtype::F8E4m3fnuz | Dtype::F8E5m2fnuz)
}

/// Last components of what stands next to codes and is never a weight.
const PARTS: &[&str] = &[
    "scale_weight", "scale_input", "SCB", "scales", "qzeros", "g_idx", "absmax", "quant_map", "nested_absmax",
    "nested_quant_map", "weight_format", "scaled_fp8", "comfy_quant", "zeros", "zero", "scale", "biases", "codebooks",
    "perm", "in_perm", "out_perm", "row_offsets", "bitmask", "tables", "tables2", "lookup_table",
];

/// Endings of the last components of the same.
const ENDINGS: &[&str] = &[
    "_scale", "_scale_inv", "_scale_2", "_scales", "_zero_point", "_zeros", "_g_idx", "_shape", "_shift", ":scale",
    "_scale_ub", "_quant_map", "_absmax",
];

/// Whether a tensor of this name stands next to a quantised weight, or could.
pub(crate) fn is_part(name: &str) -> bool {
    let last = last(name);
    PARTS.contains(&last) || ENDINGS.iter().any(|ending| last.ends_with(ending)) || name.contains(".quant_state.")
}

/// Last components of scales of activations and caches, and of marks: a model in floats has no use for them.
const ACTIVATIONS: &[&str] = &[
    "input_scale", "input_scale_ub", "input_zero_point", "input_global_scale", "output_scale", "output_zero_point",
    "activation_scale", "act_scale", "scale_input", "scale_output", "k_scale", "v_scale", "q_scale", "prob_scale",
    "kv_scale", "k_zero_point", "v_zero_point", "weight_format", "comfy_quant", "scaled_fp8",
];

/// Whether a tensor of this name scales activations or a cache, or is a mark.
pub(crate) fn is_of_activations(name: &str) -> bool {
    ACTIVATIONS.contains(&last(name))
}

/// How one library names a weight, its scale and its zero point, as endings of a path; what else may stand there, which makes it more
/// than a product.
pub(crate) struct Spelling {
    /// The name that the weight has in a float model.
    pub name: String,
    /// Names of its scale, with what it is multiplied by.
    pub scales: Vec<(String, f64)>,
    /// The name of its zero point.
    pub zero_point: String,
    /// What makes it more than a product.
    pub others: Vec<String>,
}

/// The names of the weights of Keras.
const KERAS: &[&str] = &["kernel", "_kernel", "embeddings", "_embeddings"];

/// `SCB` is the largest magnitude of a row, for which bitsandbytes stores 127.
const PER_127: f64 = 1.0 / 127.0;

/// How the weight of this name, and what stands next to it, are called.
pub(crate) fn spelling(tensor: &TensorInfo) -> Spelling {
    let name = tensor.name.as_str();
    // quanto
    if let Some(weight) = name.strip_suffix("._data") {
        return Spelling {
            name: weight.into(),
            scales: vec![(format!("{weight}._scale"), 1.0)],
            zero_point: format!("{weight}._zeropoint"),
            others: vec![format!("{weight}._shift")],
        };
    }
    let (path, leaf) = (parent(name), last(name));
    // torchao
    if let Some(weight) = leaf.strip_prefix('_').and_then(|leaf| leaf.strip_suffix("_qdata")) {
        let beside = |ending: &str| join(path, &format!("_{weight}_{ending}"));
        return Spelling {
            name: join(path, weight),
            scales: vec![(beside("scale"), 1.0)],
            zero_point: beside("zero_point"),
            others: ["per_tensor_scale", "act_pre_scale", "scale_and_zero", "block_scale"].map(beside).into(),
        };
    }
    let own = |ending: &str| format!("{name}_{ending}");
    let beside = |leaf: &str| join(path, leaf);
    // Keras divides by its scales
    if KERAS.contains(&leaf.rsplit('/').next().unwrap_or(leaf)) {
        let others = ["scale", "zero", "zero_point"].map(own).into();
        return Spelling { name: name.into(), scales: Vec::new(), zero_point: own("zero_point"), others };
    }
    let mut scales = vec![(own("scale_inv"), 1.0), (own("scale"), 1.0)];
    if leaf == "weight" {
        scales.push((beside("scale_weight"), 1.0));
        match tensor.dtype {
            Dtype::I8 => scales.push((beside("SCB"), PER_127)),
            // DeepSeek's own spelling; next to a norm's weight in floats a `scale` is something else
            dtype if is_float8(dtype) => scales.push((beside("scale"), 1.0)),
            _ => {}
        }
    }
    let mut others: Vec<String> = ["scale_2", "global_scale", "g_idx", "shift", "scales"].map(own).into();
    if !is_float8(tensor.dtype) {
        others.extend(["scale", "zero", "zero_point"].map(beside));
    }
    others.extend(["g_idx", "pre_quant_scale", "input_quantizer._pre_quant_scale", "scales", "biases"].map(beside));
    others.extend(["absmax", "quant_map", "nested_absmax"].map(|part| format!("{name}.{part}")));
    others.extend(BITSANDBYTES.map(|(kind, _)| format!("{name}.quant_state.bitsandbytes__{kind}")));
    Spelling { name: name.into(), scales, zero_point: own("zero_point"), others }
}

/// The kinds of bitsandbytes' 4 bits, and how they are shown.
pub(crate) const BITSANDBYTES: [(&str, &str); 2] = [("nf4", "bitsandbytes nf4"), ("fp4", "bitsandbytes fp4")];

/// Codes that stand for a weight of another name: their last component, what must stand next to them, the method.
const CODES: &[(&str, &[&str], &str)] = &[
    ("qweight", &["g_idx"], "gptq"),
    ("qweight", &["qzeros"], "awq or gptq"),
    ("qweight", &["weight_scales"], "eetq"),
    ("qweight", &[], "a packed method"),
    ("weight_packed", &["weight_global_scale"], "compressed-tensors nvfp4"),
    ("weight_packed", &[], "compressed-tensors"),
    ("W_q", &[], "hqq"),
    ("codes", &["codebooks"], "aqlm"),
    ("Qidxs", &[], "quip#"),
    ("B", &["s"], "marlin"),
    ("dense_weights", &[], "spqr"),
    ("indices", &["centroids.weight"], "vptq"),
    ("compressed", &["bitmask"], "compressed-tensors sparse"),
    ("weight._data._data", &[], "quanto"),
];

/// The name of the weight that a tensor holds the codes of, and the method; `None` where it is none of the known ones.
pub(crate) fn stands_for(listing: &Listing, tensor: &TensorInfo) -> Option<(String, &'static str)> {
    let (path, leaf) = (parent(&tensor.name), last(&tensor.name));
    // gpt_oss
    if let Some(name) = tensor.name.strip_suffix("_blocks") {
        let has_scales = listing.position(&format!("{name}_scales")).is_some();
        return (has_scales && tensor.dtype == Dtype::U8).then(|| (name.to_string(), "mxfp4"));
    }
    if let Some(name) = tensor.name.strip_suffix("._data._data") {
        return Some((name.to_string(), "quanto"));
    }
    let has = |other: &&str| listing.position(&join(path, other)).is_some();
    let is_codes =
        may_be_codes(tensor.dtype) || matches!(tensor.dtype, Dtype::I64 | Dtype::Bool) || leaf == "compressed";
    let known = CODES.iter().find(|(codes, others, _)| *codes == leaf && others.iter().all(has) && is_codes)?;
    Some((join(path, "weight"), known.2))
}

/// Whether a tensor of a method that nobody knows may be the codes of its module's weight: whole numbers of some size, where the module
/// has no `weight` and something else in floats.
pub(crate) fn may_stand_for_weight(listing: &Listing, tensor: &TensorInfo, is_announced: bool) -> bool {
    let is_codes = may_be_codes(tensor.dtype) || (is_announced && tensor.dtype == Dtype::I64);
    let path = parent(&tensor.name);
    is_codes
        && !tensor.shape.is_empty()
        && !path.is_empty()
        && !is_known_buffer(&tensor.name)
        && listing.position(&join(path, "weight")).is_none()
}
