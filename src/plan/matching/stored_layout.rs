//! How a stored tensor is laid out, as far as its source states it.

use crate::checkpoint::kernel::{Axis, Recurrent};
use crate::graph::Layout;

/// How a stored tensor is laid out, as far as its source states it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stored {
    /// A matrix of a family that has it in more than one layout.
    Family(Layout),
    /// The layer that owns it is known, and so is each axis.
    Axes(Vec<Axis>),
    /// A `kernel` of Keras or Flax, `(…, in, out)`; the target's module says what its axes are.
    Kernel(Framework),
    /// The kernel of a depthwise convolution, `(…, in, multiplier)`.
    Depthwise,
    /// A `kernel` in a file that does not state whose: Keras and Flax have it as `(…, in, out)`, another may have it as PyTorch.
    Named,
    /// A tensor whose file states neither the class of its layer nor whether it is `(in, out)` or `(out, in)`.
    Unstated,
    /// A bias, which may have several axes.
    Bias,
    /// A variable of a recurrent layer.
    Recurrent(Recurrent),
}

/// Who wrote a `kernel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framework {
    Keras,
    Flax,
}

/// The last component of a name of Keras or Flax: `dense/kernel:0` of Keras, `Dense_0.kernel` of Flax, `linear.kernel.value` of NNX.
pub(crate) fn leaf(name: &str) -> &str {
    let mut parts = name.rsplit(['.', '/']);
    let last = parts.next().unwrap_or(name);
    let last = match last {
        "value" | "raw_value" => parts.next().unwrap_or(last),
        _ => last,
    };
    last.split(':').next().unwrap_or(last)
}

/// Whether a last component is that of a kernel.
pub(crate) fn is_kernel(leaf: &str) -> bool {
    matches!(leaf, "kernel" | "depthwise_kernel" | "pointwise_kernel" | "recurrent_kernel")
}
