//! Buffers without a source are computed, never drawn: running statistics, counters and indices start in a known state.

use crate::graph::Parameter;
use crate::name::last;
use crate::plan::assignment::{Exact, Initialisation};
use crate::plan::initialize::drawn::Initial;
use crate::plan::value::Value;
use crate::tensor::Dtype;

/// The value of a buffer, and what is known of it.
pub(crate) fn computed(parameter: &Parameter) -> Initial {
    let last = last(&parameter.name);
    match parameter.dtype.filter(|dtype| !dtype.is_float()) {
        Some(dtype) => counted(parameter, dtype, last),
        None => constant(parameter, last),
    }
}

/// `position_ids` counts along its last axis (transformers); counters and type ids start at zero.
fn counted(parameter: &Parameter, dtype: Dtype, last: &str) -> Initial {
    let axis = (last == "position_ids").then(|| parameter.shape.len().checked_sub(1)).flatten();
    let scheme = if axis.is_some() { "index" } else { "zeros" };
    let value = Value::Count { dtype, shape: parameter.shape.clone(), axis };
    Initial { value, dtype, init: initialisation(scheme, last), lsuv: None }
}

fn constant(parameter: &Parameter, last: &str) -> Initial {
    let (value, scheme) = if last == "running_var" { (1.0, "ones") } else { (0.0, "zeros") };
    let value = Value::constant(&parameter.shape, value);
    Initial { value, dtype: Dtype::F32, init: initialisation(scheme, last), lsuv: None }
}

fn initialisation(scheme: &str, last: &str) -> Initialisation {
    let by = if is_known_buffer(last) { "auto: buffer" } else { "auto: buffer of unknown meaning" };
    Initialisation { scheme: scheme.into(), std: None, by: by.into(), exact: Exact::Anywhere }
}

/// Whether the state that a buffer of this name starts in is known.
pub(crate) fn is_known_buffer(last: &str) -> bool {
    ["running_mean", "running_var", "num_batches_tracked", "position_ids", "token_type_ids"].contains(&last)
}
