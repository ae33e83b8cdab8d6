//! The archives of Keras 3 (`.keras`): their `config.json` names every layer and its class, while the weights beside it are called by
//! their place, as `layers/dense/vars/0`. Here the two are brought together: names as Keras shows them, and what the axes are.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kernel::{Axis, Cell, Form, Kernel, Part, Recurrent, Variable};

/// More layers within layers than any model has.
const DEPTH: usize = 32;

/// The names and layouts of the variables of an archive, by where they are stored. What is of no class that is known is left out.
pub(super) fn variables(config: &Value) -> BTreeMap<String, (String, Variable)> {
    let mut found = Named { variables: BTreeMap::new() };
    found.layers(config, "", "", 0);
    found.variables
}

/// The axes of the kernels of `EinsumDense` layers by the names of these, wherever they stand in the config of a whole model.
pub(super) fn einsums(config: &Value) -> BTreeMap<String, Vec<Axis>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![config]);
    while let Some(value) = open.pop() {
        if let (Some("EinsumDense"), Some(name)) = (value.get("class_name").and_then(Value::as_str), layer_name(value))
        {
            found.extend(einsum(value).map(|axes| (name.to_string(), axes)));
        }
        match value {
            Value::Object(entries) => open.extend(entries.values()),
            Value::Array(elements) => open.extend(elements),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

struct Named {
    variables: BTreeMap<String, (String, Variable)>,
}

impl Named {
    /// The layers of a model: each is stored under its class in snake case, counted.
    fn layers(&mut self, model: &Value, stored: &str, name: &str, depth: usize) {
        let Some(layers) = model.pointer("/config/layers").and_then(Value::as_array).filter(|_| depth < DEPTH) else {
            return;
        };
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for layer in layers {
            let class = snake_case(class_name(layer));
            let count = seen.entry(class.clone()).or_default();
            let place = if *count == 0 { class } else { format!("{class}_{count}") };
            *count += 1;
            let below = layer_name(layer).unwrap_or(&place).to_string();
            self.layer(layer, &format!("{stored}layers/{place}/"), &format!("{name}{below}/"), depth + 1);
        }
    }

    /// One layer, stored and named under these paths.
    fn layer(&mut self, layer: &Value, stored: &str, name: &str, depth: usize) {
        if depth > DEPTH {
            return;
        }
        let inner = |key: &str| layer.pointer(&format!("/config/{key}")).filter(|inner| inner.is_object());
        match class_name(layer) {
            "Sequential" | "Functional" | "Model" => self.layers(layer, stored, name, depth),
            "Bidirectional" => {
                let backward = inner("backward_layer").or_else(|| inner("layer"));
                for (key, inner) in [("forward", inner("layer")), ("backward", backward)] {
                    let Some(inner) = inner else { continue };
                    let inner_name = layer_name(inner).unwrap_or("layer");
                    let plain = inner_name.strip_prefix("forward_").or(inner_name.strip_prefix("backward_"));
                    let below = format!("{name}{key}_{}/", plain.unwrap_or(inner_name));
                    self.layer(inner, &format!("{stored}{key}_layer/"), &below, depth + 1);
                }
            }
            "TimeDistributed" => {
                if let Some(inner) = inner("layer") {
                    self.layer(inner, &format!("{stored}layer/"), name, depth + 1);
                }
            }
            "RNN" => {
                if let Some(cell) = inner("cell") {
                    let below = format!("{name}{}/", layer_name(cell).unwrap_or("cell"));
                    self.layer(cell, &format!("{stored}cell/"), &below, depth + 1);
                }
            }
            "LSTM" | "GRU" | "SimpleRNN" => {
                let below = format!("{name}{}_cell/", snake_case(class_name(layer)));
                self.keep(layer, &format!("{stored}cell/"), &below, recurrent(layer));
            }
            "LSTMCell" | "GRUCell" | "SimpleRNNCell" => self.keep(layer, stored, name, recurrent(layer)),
            "MultiHeadAttention" => {
                let (into, out) = ([Axis::In, Axis::Out, Axis::Out], [Axis::Out]);
                for (place, below) in [("query_dense", "query"), ("key_dense", "key"), ("value_dense", "value")] {
                    self.keep(layer, &format!("{stored}{place}/"), &format!("{name}{below}/"), dense(layer, &into));
                }
                let axes = [Axis::In, Axis::In].into_iter().chain(out).collect::<Vec<_>>();
                let (place, below) = (format!("{stored}output_dense/"), format!("{name}attention_output/"));
                self.keep(layer, &place, &below, dense(layer, &axes));
            }
            _ => self.keep(layer, stored, name, plain(layer)),
        }
    }

    /// The variables of one layer, in the order in which it stores them.
    fn keep(&mut self, layer: &Value, stored: &str, name: &str, variables: Vec<(&'static str, Option<Kernel>)>) {
        // what a layer that was quantised or has an adapter stores is another list
        let is_plain = ["lora_rank", "quantization_mode", "quantization_config"]
            .iter()
            .all(|key| layer.pointer(&format!("/config/{key}")).is_none_or(Value::is_null))
            && layer
                .pointer("/config/dtype/class_name")
                .and_then(Value::as_str)
                .is_none_or(|class| class == "DTypePolicy");
        for (place, (variable, kernel)) in variables.into_iter().enumerate().filter(|_| is_plain) {
            let stored = format!("{stored}vars/{place}");
            let named = Variable { stored: Some(stored.clone()), kernel };
            self.variables.insert(stored, (format!("{name}{variable}"), named));
        }
    }
}

fn class_name(layer: &Value) -> &str {
    // a class of the user's own has a package before its name, and what it stores is not known
    let is_own = layer.get("module").and_then(Value::as_str).is_some_and(|module| !module.starts_with("keras"));
    let class = layer.get("class_name").and_then(Value::as_str).unwrap_or_default();
    if is_own { class.rsplit('>').next().unwrap_or(class) } else { class }
}

fn is_of_keras(layer: &Value) -> bool {
    layer.get("module").and_then(Value::as_str).is_none_or(|module| module.starts_with("keras"))
}

fn layer_name(layer: &Value) -> Option<&str> {
    layer.pointer("/config/name").or_else(|| layer.get("name")).and_then(Value::as_str)
}

/// A key of the layer that is true unless the config denies it.
fn has(layer: &Value, key: &str) -> bool {
    layer.pointer(&format!("/config/{key}")).and_then(Value::as_bool).unwrap_or(true)
}

type Variables = Vec<(&'static str, Option<Kernel>)>;

fn with_bias(layer: &Value, mut variables: Variables) -> Variables {
    variables.extend(has(layer, "use_bias").then_some(("bias", None)));
    variables
}

fn dense(layer: &Value, axes: &[Axis]) -> Variables {
    with_bias(layer, vec![("kernel", Some(Kernel::Axes(axes.to_vec())))])
}

/// The variables of a layer without layers of its own.
fn plain(layer: &Value) -> Variables {
    let spatial = |axes: usize, last: [Axis; 2]| {
        let axes: Vec<Axis> = std::iter::repeat_n(Axis::Space, axes).chain(last).collect();
        Some(Kernel::Axes(axes))
    };
    if !is_of_keras(layer) {
        return Vec::new();
    }
    let class = class_name(layer);
    let dimensions = class.chars().find_map(|letter| letter.to_digit(10)).unwrap_or(2) as usize;
    let norm = |names: [(&'static str, &str); 2]| {
        names.into_iter().filter(|(_, key)| has(layer, key)).map(|(name, _)| (name, None)).collect::<Variables>()
    };
    match class {
        "Dense" => dense(layer, &[Axis::In, Axis::Out]),
        "EinsumDense" => match einsum(layer) {
            Some(axes) => {
                let is_biased = layer.pointer("/config/bias_axes").is_some_and(|axes| !axes.is_null());
                let kernel = ("kernel", Some(Kernel::Axes(axes)));
                if is_biased { vec![kernel, ("bias", None)] } else { vec![kernel] }
            }
            None => Vec::new(),
        },
        "Conv1D" | "Conv2D" | "Conv3D" => {
            with_bias(layer, vec![("kernel", spatial(dimensions, [Axis::In, Axis::Out]))])
        }
        "Conv1DTranspose" | "Conv2DTranspose" | "Conv3DTranspose" => {
            with_bias(layer, vec![("kernel", spatial(dimensions, [Axis::Out, Axis::In]))])
        }
        "DepthwiseConv1D" | "DepthwiseConv2D" => {
            with_bias(layer, vec![("kernel", spatial(dimensions, [Axis::In, Axis::Multiplier]))])
        }
        "SeparableConv1D" | "SeparableConv2D" => {
            let depthwise = ("depthwise_kernel", spatial(dimensions, [Axis::In, Axis::Multiplier]));
            with_bias(layer, vec![depthwise, ("pointwise_kernel", spatial(dimensions, [Axis::In, Axis::Out]))])
        }
        "Embedding" => vec![("embeddings", None)],
        "LayerNormalization" | "GroupNormalization" => norm([("gamma", "scale"), ("beta", "center")]),
        "BatchNormalization" => {
            let mut variables = norm([("gamma", "scale"), ("beta", "center")]);
            variables.extend([("moving_mean", None), ("moving_variance", None)]);
            variables
        }
        "RMSNormalization" => vec![("scale", None)],
        "PReLU" => vec![("alpha", None)],
        _ => Vec::new(),
    }
}

/// What the axes of an `EinsumDense` are: those that only the kernel and the output have are outputs, those that are summed are inputs.
fn einsum(layer: &Value) -> Option<Vec<Axis>> {
    let equation = layer.pointer("/config/equation")?.as_str()?;
    let (left, output) = equation.split_once("->")?;
    let (input, kernel) = left.split_once(',')?;
    let axis = |letter: char| match (input.contains(letter), output.contains(letter)) {
        (true, false) => Some(Axis::In),
        (false, true) => Some(Axis::Out),
        // one kernel for each index of a shared axis
        (true, true) | (false, false) => None,
    };
    kernel.trim().chars().map(axis).collect()
}

fn recurrent(layer: &Value) -> Variables {
    let cell = match class_name(layer) {
        "LSTM" | "LSTMCell" => Cell::Lstm,
        "GRU" | "GRUCell" => Cell::Gru { reset_after: Some(has(layer, "reset_after")) },
        _ => Cell::Simple,
    };
    let variable = |part| Some(Kernel::Recurrent(Recurrent { form: Form::Keras, cell, part }));
    let mut variables = vec![("kernel", variable(Part::Input)), ("recurrent_kernel", variable(Part::Hidden))];
    variables.extend(has(layer, "use_bias").then(|| ("bias", variable(Part::Bias))));
    variables
}

/// A class as Keras spells it in paths: `Conv2DTranspose` is `conv2d_transpose`.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    let mut spelt = String::new();
    for (place, letter) in letters.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|before| letters.get(before));
        let is_lower = |letter: Option<&char>| letter.is_some_and(char::is_ascii_lowercase);
        let starts_word = letter.is_ascii_uppercase() && (is_lower(before) || is_lower(letters.get(place + 1)));
        if starts_word && before.is_some_and(|before| *before != '_') {
            spelt.push('_');
        }
        spelt.extend(letter.to_lowercase());
    }
    spelt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_spelt_as_keras_spells_them() {
        for (class, spelt) in [
            ("Dense", "dense"),
            ("Conv2D", "conv2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("GRU", "gru"),
            ("LSTM", "lstm"),
            ("SimpleRNN", "simple_rnn"),
            ("MultiHeadAttention", "multi_head_attention"),
            ("RMSNormalization", "rms_normalization"),
            ("DepthwiseConv1D", "depthwise_conv1d"),
            ("PReLU", "p_re_lu"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
        ] {
            assert_eq!(snake_case(class), spelt);
        }
    }
}
