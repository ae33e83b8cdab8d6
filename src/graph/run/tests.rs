use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};

use super::*;
use crate::graph::{
    Attention, AttentionKind, Builder, Convolution, Dim, Nonlinearity, PositionIds, Projections, Rope, RopeScaling,
};
use crate::tensor::{Dtype, Shape};

type Arrays = BTreeMap<String, Tensor>;

fn convolution(
    out: u64,
    kernel: &[u64],
    stride: &[u64],
    padding: &[u64],
    dilation: &[u64],
    groups: u64,
) -> Convolution {
    Convolution {
        out,
        kernel: kernel.to_vec(),
        stride: stride.to_vec(),
        padding: padding.to_vec(),
        dilation: dilation.to_vec(),
        groups,
        bias: true,
    }
}

fn without_bias(convolution: Convolution) -> Convolution {
    Convolution { bias: false, ..convolution }
}

fn attention(heads: u64, kv_heads: u64, head_dim: u64) -> Attention {
    let name = |name: &str| name.to_string();
    let projections = Projections::Separate { q: name("q"), k: name("k"), v: name("v"), out: name("out") };
    Attention { kv_heads, ..Attention::new(heads, head_dim, projections) }
}

fn fused(attention: Attention) -> Attention {
    Attention { projections: Projections::Fused { qkv: "qkv".into(), out: "out".into() }, ..attention }
}

fn pool(kernel: &[u64], stride: &[u64], padding: &[u64]) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
    (kernel.to_vec(), stride.to_vec(), padding.to_vec())
}

fn max_pool((kernel, stride, padding): (Vec<u64>, Vec<u64>, Vec<u64>)) -> Layer {
    Layer::MaxPool { kernel, stride, padding }
}

fn avg_pool((kernel, stride, padding): (Vec<u64>, Vec<u64>, Vec<u64>)) -> Layer {
    Layer::AvgPool { kernel, stride, padding }
}

fn weighted() -> Vec<(&'static str, Layer)> {
    let rope = AttentionKind::Rope(Rope { theta: 10000.0, rotary: 6, scaling: RopeScaling::Unscaled });
    vec![
        ("linear", Layer::Linear { out: 7, bias: true }),
        ("linear_of_positions", Layer::Linear { out: 7, bias: true }),
        ("linear_without_bias", Layer::Linear { out: 7, bias: false }),
        ("conv1d", Layer::Conv(convolution(6, &[3], &[2], &[2], &[2], 2))),
        ("conv2d", Layer::Conv(convolution(6, &[3, 5], &[2, 2], &[1, 1], &[1, 1], 1))),
        ("conv2d_of_groups", Layer::Conv(without_bias(convolution(8, &[3, 3], &[1, 1], &[0, 0], &[2, 2], 4)))),
        ("conv2d_uneven", Layer::Conv(convolution(6, &[1, 5], &[1, 2], &[0, 2], &[1, 1], 1))),
        ("conv3d", Layer::Conv(convolution(3, &[1, 2, 3], &[1, 1, 1], &[0, 0, 0], &[1, 1, 1], 1))),
        ("conv_transpose1d", Layer::ConvTranspose(convolution(6, &[3], &[2], &[1], &[1], 1))),
        ("conv_transpose2d", Layer::ConvTranspose(convolution(6, &[3, 4], &[2, 2], &[1, 1], &[1, 1], 1))),
        (
            "conv_transpose2d_of_groups",
            Layer::ConvTranspose(without_bias(convolution(6, &[3, 3], &[1, 1], &[0, 0], &[2, 2], 2))),
        ),
        ("embedding", Layer::Embedding { num: 7, dim: 5 }),
        ("positions", Layer::Positions { num: 6, ids: PositionIds::PLAIN }),
        ("parameter_prepend", Layer::Parameter { shape: [1, 1, 5].into(), usage: Use::Prepend }),
        ("parameter_add", Layer::Parameter { shape: [1, 3, 5].into(), usage: Use::Add }),
        ("parameter_multiply", Layer::Parameter { shape: [5].into(), usage: Use::Multiply }),
        ("attention", Layer::Attention(attention(2, 2, 4))),
        ("attention_with_mask", Layer::Attention(attention(2, 2, 4))),
        ("attention_fused_causal", Layer::Attention(fused(Attention { causal: true, ..attention(3, 3, 2) }))),
        (
            "attention_rotary_grouped",
            Layer::Attention(Attention {
                causal: true,
                bias: false,
                out_bias: false,
                kind: rope,
                ..attention(4, 2, 6)
            }),
        ),
        (
            "attention_fused_grouped",
            Layer::Attention(fused(Attention { bias: false, out_bias: false, ..attention(4, 2, 2) })),
        ),
        ("layer_norm", Layer::LayerNorm { eps: 1e-5, bias: true }),
        ("layer_norm_without_bias", Layer::LayerNorm { eps: 1e-3, bias: false }),
        ("rms_norm", Layer::RmsNorm { eps: 1e-6, centred: false }),
        ("batch_norm_of_vectors", Layer::BatchNorm { eps: 1e-5 }),
        ("batch_norm_of_sequences", Layer::BatchNorm { eps: 1e-5 }),
        ("batch_norm_of_images", Layer::BatchNorm { eps: 1e-3 }),
        ("batch_norm_of_volumes", Layer::BatchNorm { eps: 1e-5 }),
        ("group_norm", Layer::GroupNorm { groups: 3, eps: 1e-5 }),
    ]
}

fn weightless() -> Vec<(&'static str, Layer)> {
    vec![
        ("relu", Layer::Activation(Nonlinearity::Relu)),
        ("leaky_relu", Layer::Activation(Nonlinearity::LeakyRelu)),
        ("leaky_relu_of_slope", Layer::LeakyRelu { slope: 1.5 }),
        ("gelu", Layer::Activation(Nonlinearity::Gelu)),
        ("gelu_tanh", Layer::Activation(Nonlinearity::GeluTanh)),
        ("silu", Layer::Activation(Nonlinearity::Silu)),
        ("tanh", Layer::Activation(Nonlinearity::Tanh)),
        ("sigmoid", Layer::Activation(Nonlinearity::Sigmoid)),
        ("elu", Layer::Activation(Nonlinearity::Elu)),
        ("selu", Layer::Activation(Nonlinearity::Selu)),
        ("softmax", Layer::Activation(Nonlinearity::Softmax)),
        ("softmax_of_axis", Layer::Softmax { axis: 1 }),
        ("flatten", Layer::Flatten { start: 1 }),
        ("flatten_from", Layer::Flatten { start: 2 }),
        ("reshape", Layer::Reshape { shape: [5, 3, 2].into() }),
        ("permute", Layer::Permute { order: vec![0, 2, 3, 1] }),
        ("max_pool1d", max_pool(pool(&[3], &[2], &[1]))),
        ("max_pool2d", max_pool(pool(&[3, 2], &[2, 1], &[1, 1]))),
        ("max_pool3d", max_pool(pool(&[2, 2, 2], &[2, 2, 2], &[0, 0, 0]))),
        ("avg_pool1d", avg_pool(pool(&[2], &[2], &[0]))),
        ("avg_pool2d", avg_pool(pool(&[3, 3], &[2, 2], &[1, 1]))),
        ("global_avg_pool", Layer::GlobalAvgPool),
        ("upsample1d", Layer::Upsample { scale: 3 }),
        ("upsample2d", Layer::Upsample { scale: 2 }),
        ("mean", Layer::Mean { axis: 1 }),
        ("select", Layer::Select { axis: 2, index: 1 }),
        ("dropout", Layer::Dropout),
        ("add", Layer::Add),
        ("mul", Layer::Mul),
        ("concat", Layer::Concat { axis: 2 }),
    ]
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/layers")
}

fn arrays() -> Arrays {
    candle_core::safetensors::load(folder().join("arrays.safetensors"), &Device::Cpu).unwrap().into_iter().collect()
}

fn state_dicts() -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(&std::fs::read_to_string(folder().join("state_dict.json")).unwrap()).unwrap()
}

fn dims(array: &Tensor) -> Vec<Dim> {
    let inner = array.dims()[1..].iter().map(|size| Dim::Known(*size as u64));
    std::iter::once(Dim::Batch).chain(inner).collect()
}

/// The case's inputs, and the model of the one layer on them.
fn model(case: &str, layer: Layer, arrays: &Arrays) -> (Arrays, Vec<Parameter>, Graph) {
    let mut builder = Builder::new();
    let (mut batch, mut inputs) = (Arrays::new(), Vec::new());
    while let Some(array) = arrays.get(&format!("{case}/input.{}", inputs.len())) {
        let name = inputs.len().to_string();
        let dtype = if array.dtype() == DType::I64 { Dtype::I64 } else { Dtype::F32 };
        inputs.push(builder.input(&name, dims(array), dtype, None).unwrap());
        batch.insert(name, array.clone());
    }
    let node = builder.layer("m", layer, &inputs).unwrap();
    let (parameters, graph) = builder.finish(vec![("output".into(), node)]).unwrap();
    (batch, parameters, graph)
}

fn cases() -> Vec<(&'static str, Layer)> {
    weighted().into_iter().chain(weightless()).collect()
}

#[test]
fn every_case_of_the_reference_is_tested() {
    let mut tested: Vec<&str> = cases().into_iter().map(|(case, _)| case).collect();
    let reference = state_dicts();
    let mut referenced: Vec<&str> = reference.keys().map(String::as_str).collect();
    tested.sort_unstable();
    referenced.sort_unstable();
    assert_eq!(tested, referenced);
}

#[test]
fn every_layer_declares_the_state_dict_of_pytorch() {
    let (arrays, state_dicts) = (arrays(), state_dicts());
    for (case, layer) in cases() {
        let (_, parameters, _) = model(case, layer, &arrays);
        let found: Vec<(String, Shape)> = parameters.iter().map(|p| (p.name.to_string(), p.shape.clone())).collect();
        let shape = |value: &serde_json::Value| value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        let expected: Vec<(String, Shape)> =
            state_dicts[case].as_object().unwrap().iter().map(|(name, value)| (name.clone(), shape(value))).collect();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn every_layer_infers_the_shape_that_pytorch_gives() {
    let arrays = arrays();
    for (case, layer) in cases() {
        let (_, _, graph) = model(case, layer, &arrays);
        assert_eq!(graph.nodes.last().unwrap().output, dims(&arrays[&format!("{case}/output")]), "{case}");
    }
}

#[test]
fn every_layer_gives_the_numbers_that_pytorch_gives() {
    let arrays = arrays();
    for (case, layer) in cases() {
        let (batch, parameters, graph) = model(case, layer, &arrays);
        let weights = |parameter: &Parameter| Ok(arrays[&format!("{case}/{}", parameter.name)].clone());
        let outcome = run(&graph, &parameters, &weights, &batch, None);
        let (found, expected) = (&outcome.unwrap()["output"], &arrays[&format!("{case}/output")]);
        assert_eq!(found.dims(), expected.dims(), "{case}");
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-5, "{case}: {difference}");
    }
}

/// What is differentiated: the output times fixed weights, summed in f64.
struct Differentiated {
    graph: Graph,
    parameters: Vec<Parameter>,
    /// Inputs by their name and weights by theirs, below `w/`.
    variables: BTreeMap<String, Var>,
    /// Inputs and buffers that no gradient is asked of.
    fixed: Arrays,
}

impl Differentiated {
    fn of(case: &str, layer: Layer, arrays: &Arrays) -> Differentiated {
        let (batch, parameters, graph) = model(case, layer, arrays);
        let (mut variables, mut fixed) = (BTreeMap::new(), Arrays::new());
        let weights =
            parameters.iter().map(|p| (format!("w/{}", p.name), arrays[&format!("{case}/{}", p.name)].clone()));
        for (name, value) in batch.into_iter().chain(weights) {
            let is_buffer = ["running", "num_batches"].iter().any(|word| name.contains(word));
            if value.dtype() == DType::F32 && !is_buffer {
                variables.insert(name, Var::from_tensor(&value).unwrap());
            } else {
                fixed.insert(name, value);
            }
        }
        Differentiated { graph, parameters, variables, fixed }
    }

    fn value(&self, name: &str) -> Tensor {
        self.variables.get(name).map_or_else(|| self.fixed[name].clone(), |variable| variable.as_tensor().clone())
    }

    fn output(&self) -> Tensor {
        let names = self.variables.keys().chain(self.fixed.keys()).filter(|name| !name.starts_with("w/"));
        let batch: Arrays = names.map(|name| (name.clone(), self.value(name))).collect();
        let weights = |parameter: &Parameter| Ok(self.value(&format!("w/{}", parameter.name)));
        run(&self.graph, &self.parameters, &weights, &batch, None).unwrap().remove("output").unwrap()
    }

    /// Weights of the sum, which no symmetry of a layer cancels.
    fn scale(index: usize) -> f64 {
        ((index * 37 + 11) % 23) as f64 / 11.0 - 1.0
    }

    fn sum(&self) -> f64 {
        let values = self.output().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.iter().enumerate().map(|(index, value)| f64::from(*value) * Differentiated::scale(index)).sum()
    }

    fn gradients(&self) -> candle_core::backprop::GradStore {
        let output = self.output();
        let scales: Vec<f32> = (0..output.elem_count()).map(|index| Differentiated::scale(index) as f32).collect();
        let scales = Tensor::from_vec(scales, output.dims(), &Device::Cpu).unwrap();
        (output * scales).unwrap().sum_all().unwrap().backward().unwrap()
    }

    /// The central difference by one element of a variable.
    fn difference(&self, variable: &Var, element: usize, step: f32) -> f64 {
        let values = variable.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let at = |step: f32| {
            let mut moved = values.clone();
            moved[element] += step;
            variable.set(&Tensor::from_vec(moved, variable.dims(), &Device::Cpu).unwrap()).unwrap();
            self.sum()
        };
        let difference = (at(step) - at(-step)) / (2.0 * f64::from(step));
        variable.set(&Tensor::from_vec(values, variable.dims(), &Device::Cpu).unwrap()).unwrap();
        difference
    }
}

#[test]
fn every_gradient_is_that_of_central_differences() {
    let arrays = arrays();
    for (case, layer) in cases() {
        // a short step over linear pieces, so that few elements cross from one to the next
        let step = if case.starts_with("max_pool") || case.contains("elu") { 5e-4 } else { 4e-3 };
        let differentiated = Differentiated::of(case, layer, &arrays);
        let gradients = differentiated.gradients();
        for (name, variable) in &differentiated.variables {
            let gradient = gradients.get(variable).unwrap_or_else(|| panic!("{case}: no gradient reaches {name}"));
            let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (element, gradient) in gradient.iter().enumerate() {
                let expected = differentiated.difference(variable, element, step);
                let off = (f64::from(*gradient) - expected).abs();
                assert!(off < 4e-3 * (1.0 + expected.abs()), "{case}: {name}[{element}]: {gradient}, not {expected}");
            }
        }
    }
}

#[test]
fn gradients_add_up_where_an_enlarged_input_is_used_again() {
    let x = Var::from_tensor(&Tensor::new(&[[[1f32, 2.0]]], &Device::Cpu).unwrap()).unwrap();
    let Ok(enlarged) = window::upsample(3, x.as_tensor()) else { panic!("it runs") };
    let sum = (enlarged.sum_all().unwrap() + (x.as_tensor() * 10.0).unwrap().sum_all().unwrap()).unwrap();
    let gradient = sum.backward().unwrap().get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(gradient, [13.0, 13.0]);
}

#[test]
fn convolutions_have_one_result_on_any_number_of_threads() {
    let arrays = arrays();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let layer = Layer::Conv(convolution(6, &[3, 5], &[2, 2], &[1, 1], &[1, 1], 1));
            let differentiated = Differentiated::of("conv2d", layer, &arrays);
            let gradients = differentiated.gradients();
            let bits = |tensor: &Tensor| {
                let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                values.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
            };
            let gradients: Vec<Vec<u32>> =
                differentiated.variables.values().map(|variable| bits(gradients.get(variable).unwrap())).collect();
            (bits(&differentiated.output()), gradients)
        })
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn a_row_of_nothing_but_padding_is_finite() {
    let arrays = arrays();
    let (mut batch, parameters, graph) = model("attention_with_mask", Layer::Attention(attention(2, 2, 4)), &arrays);
    batch.insert("1".into(), Tensor::zeros((2, 5), DType::I64, &Device::Cpu).unwrap());
    let weights = |parameter: &Parameter| Ok(arrays[&format!("attention_with_mask/{}", parameter.name)].clone());
    let output = &run(&graph, &parameters, &weights, &batch, None).unwrap()["output"];
    assert!(output.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().all(|x| x.is_finite()));
}

#[test]
fn nodes_that_no_output_needs_are_not_run() {
    let mut builder = Builder::new();
    let x = builder.input("x", vec![Dim::Batch, Dim::Known(2)], Dtype::F32, None).unwrap();
    let used = builder.layer("used", Layer::Linear { out: 2, bias: false }, &[x]).unwrap();
    let unused = builder.layer("unused", Layer::Linear { out: 2, bias: false }, &[x]).unwrap();
    builder.input("never", vec![Dim::Batch], Dtype::F32, None).unwrap();
    assert_ne!(used, unused);
    let (parameters, graph) = builder.finish(vec![("y".into(), used)]).unwrap();
    let eye = Tensor::eye(2, DType::F32, &Device::Cpu).unwrap();
    let weights = |parameter: &Parameter| {
        assert_eq!(parameter.name, "used.weight");
        Ok(eye.clone())
    };
    let batch: Arrays = [("x".to_string(), Tensor::ones((3, 2), DType::F32, &Device::Cpu).unwrap())].into();
    assert_eq!(run(&graph, &parameters, &weights, &batch, None).unwrap()["y"].dims(), [3, 2]);
}

#[test]
fn an_output_that_is_an_input_and_one_that_is_used_again_are_kept() {
    let mut builder = Builder::new();
    let x = builder.input("x", vec![Dim::Batch, Dim::Known(2)], Dtype::F32, None).unwrap();
    let twice = builder.layer("", Layer::Add, &[x, x]).unwrap();
    let fourfold = builder.layer("", Layer::Add, &[twice, twice]).unwrap();
    let outputs = vec![("x".into(), x), ("twice".into(), twice), ("fourfold".into(), fourfold)];
    let (parameters, graph) = builder.finish(outputs).unwrap();
    let batch: Arrays = [("x".to_string(), Tensor::ones((1, 2), DType::F32, &Device::Cpu).unwrap())].into();
    let found = run(&graph, &parameters, &|_| unreachable!(), &batch, None).unwrap();
    let values: Vec<f32> = found.values().map(|value| value.max_all().unwrap().to_scalar::<f32>().unwrap()).collect();
    assert_eq!(values, [4.0, 2.0, 1.0]);
}
