//! How a stored variable relates to the layer that owns it, where the file itself states the layer: the archives of Keras 3, and the
//! graphs of ONNX. What names alone say is not stated here.

/// What a file states about one of its tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// Where the file stores it, if that is not its name; rules may use both.
    pub stored: Option<String>,
    /// How it is laid out, where that is not as in PyTorch.
    pub kernel: Option<Kernel>,
}

/// How a variable is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// What each axis is to the layer.
    Axes(Vec<Axis>),
    /// A variable of a recurrent layer.
    Recurrent(Recurrent),
}

/// What an axis of a kernel is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Inputs are summed along it.
    In,
    /// Outputs lie along it.
    Out,
    /// Height, width, depth or time.
    Space,
    /// Outputs of each input of a depthwise convolution.
    Multiplier,
}

/// A variable of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurrent {
    /// Whose order of gates and axes it has.
    pub form: Form,
    pub cell: Cell,
    /// Which of its variables it is.
    pub part: Part,
}

/// Whose layout a recurrent layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `(in, gates · units)`: an LSTM's gates are i, f, c, o and a GRU's z, r, h.
    Keras,
    /// `(directions, gates · units, in)`: an LSTM's gates are i, o, f, c and a GRU's z, r, h.
    Onnx,
}

/// The kind of a recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Four gates.
    Lstm,
    /// Three gates. PyTorch computes a GRU whose reset gate acts after the product; `None` where the file does not state it.
    Gru {
        /// Keras' `reset_after`, ONNX's `linear_before_reset`.
        reset_after: Option<bool>,
    },
    Simple,
}

/// Which variable of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What multiplies the inputs.
    Input,
    /// What multiplies the hidden state.
    Hidden,
    /// What is added.
    Bias,
}
