use crate::error::{Exit, Fault};
use crate::tensor::TensorInfo;

/// Numbers that stand for others would be passed on as they are. Each names the first target of several.
#[derive(Debug, thiserror::Error)]
pub enum QuantizedError {
    #[error(
        "{} quantised by {}: take the full-precision repository (stored in {source_name} as {tensor})",
        are(target, *count), of(method, *bits)
    )]
    Method { target: String, count: usize, source_name: String, tensor: TensorInfo, method: String, bits: Option<u64> },
    #[error("{source_name} is quantised by {}: take the full-precision repository ({tensor} contains codes)", of(method, *bits))]
    Source { source_name: String, tensor: TensorInfo, method: String, bits: Option<u64> },
    /// Floats of 8 bits or fewer without a scale, and nothing says how they were made.
    #[error(
        "{} stored in {source_name} as {tensor} without a scale, and nothing there states how it was quantised",
        are(target, *count)
    )]
    Unscaled { target: String, count: usize, source_name: String, tensor: TensorInfo, rules: Vec<String> },
    #[error("{} stored in {source_name} as {tensor}, and its scale {scale} is missing", are(target, *count))]
    ScaleMissing { target: String, count: usize, source_name: String, tensor: TensorInfo, scale: String },
    #[error("{} stored in {source_name} as {tensor}, and {scale} is no scale of blocks of one size of it", are(target, *count))]
    ScaleShape {
        target: String,
        count: usize,
        source_name: String,
        tensor: TensorInfo,
        scale: TensorInfo,
        stated: bool,
    },
    #[error(
        "{} stored in {source_name} as {tensor}, whole numbers that were not dequantised, where the target has floats",
        are(target, *count)
    )]
    Whole { target: String, count: usize, source_name: String, tensor: TensorInfo, rules: Vec<String> },
    #[error("{} copied as {tensor}, the codes of {source_name}, without {part}, by which they are read", are(target, *count))]
    Unlisted { target: String, count: usize, source_name: String, tensor: TensorInfo, part: String },
    #[error("{tensor} contains codes{}: {problem}", of_method(method))]
    Conversion { tensor: TensorInfo, method: Option<(String, Option<u64>)>, problem: String, remedies: Vec<String> },
    /// A plan casts codes to floats, and no rule says so.
    #[error(
        "tensor {target}: {tensor} is cast to {to} without a dequantize, and no map rule states that its codes are the values"
    )]
    Cast { target: String, tensor: TensorInfo, to: crate::tensor::Dtype },
}

fn are(target: &str, count: usize) -> String {
    match count {
        0 | 1 => format!("tensor {target} is"),
        more => format!("tensor {target} and {} more are", more - 1),
    }
}

fn of(method: &str, bits: Option<u64>) -> String {
    bits.map_or(method.to_string(), |bits| format!("{method}, {bits} bit"))
}

fn of_method(method: &Option<(String, Option<u64>)>) -> String {
    method.as_ref().map_or_else(String::new, |(method, bits)| format!(" of {}", of(method, *bits)))
}

impl Fault for QuantizedError {
    fn exit(&self) -> Exit {
        match self {
            QuantizedError::Cast { .. } => Exit::Input,
            QuantizedError::Method { .. }
            | QuantizedError::Source { .. }
            | QuantizedError::Unscaled { .. }
            | QuantizedError::ScaleMissing { .. }
            | QuantizedError::ScaleShape { .. }
            | QuantizedError::Whole { .. }
            | QuantizedError::Unlisted { .. }
            | QuantizedError::Conversion { .. } => Exit::Contract,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            QuantizedError::Unscaled { rules, .. } | QuantizedError::Whole { rules, .. } => rules.clone(),
            QuantizedError::ScaleMissing { .. } => {
                vec!["the file is incomplete: fetch it again, or take the full-precision repository".into()]
            }
            QuantizedError::ScaleShape { stated: true, .. } => {
                vec!["the file is damaged, or states another size of block: take the full-precision repository".into()]
            }
            QuantizedError::ScaleShape { stated: false, .. } => {
                vec!["state \"weight_block_size\" in the \"quantization_config\" of the source's config.json".into()]
            }
            QuantizedError::Unlisted { target, part, .. } => {
                vec![format!("list {part} too; or leave \"dtype\" out of `{target}`, so that it is dequantised")]
            }
            QuantizedError::Conversion { remedies, .. } => remedies.clone(),
            QuantizedError::Method { .. } | QuantizedError::Source { .. } | QuantizedError::Cast { .. } => Vec::new(),
        }
    }
}
