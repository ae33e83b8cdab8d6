//! Buffers without a source are computed, never drawn.

use super::Initial;
use crate::graph::Parameter;
use crate::init::Scheme;
use crate::plan::{Exact, InitPart, Initialisation, Value, names};
use crate::tensor::Dtype;

/// The value of a buffer that starts in a known state: running statistics, counters, indices.
pub(super) fn computed(parameter: &Parameter) -> Initial {
    let value = if names::last(&parameter.name) == "running_var" { 1.0 } else { 0.0 };
    let rows = parameter.shape.first().copied().unwrap_or(1);
    let parts = vec![InitPart { rows, scheme: Scheme::Constant { value } }];
    Initial {
        value: Value::Init { shape: parameter.shape.clone(), first: 0, parts },
        dtype: Dtype::F32,
        init: Initialisation {
            scheme: if value == 1.0 { "ones" } else { "zeros" }.into(),
            std: None,
            by: "auto: buffer".into(),
            exact: Exact::Anywhere,
        },
    }
}
