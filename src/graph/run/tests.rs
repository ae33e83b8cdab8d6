use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::graph::{Attention, AttentionKind, Builder, Convolution, Dim, Nonlinearity, Projections, Rope, RopeScaling};
use crate::tensor::Dtype;

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
        ("positions", Layer::Positions { num: 6 }),
        ("parameter_prepend", Layer::Parameter { shape: vec![1, 1, 5], usage: Use::Prepend }),
        ("parameter_add", Layer::Parameter { shape: vec![1, 3, 5], usage: Use::Add }),
        ("parameter_multiply", Layer::Parameter { shape: vec![5], usage: Use::Multiply }),
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
        ("reshape", Layer::Reshape { shape: vec![5, 3, 2] }),
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

/// Those that the executor does not know; the others must give what PyTorch gives.
const NOT_RUNNABLE: &[&str] = &["conv2d_uneven", "conv3d", "conv_transpose2d_of_groups", "max_pool3d"];

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
        let found: Vec<(String, Vec<u64>)> = parameters.iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
        let shape = |value: &serde_json::Value| value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        let expected: Vec<(String, Vec<u64>)> =
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
        if NOT_RUNNABLE.contains(&case) {
            assert!(outcome.unwrap_err().to_string().contains("cannot be run yet"), "{case}");
            continue;
        }
        let (found, expected) = (&outcome.unwrap()["output"], &arrays[&format!("{case}/output")]);
        assert_eq!(found.dims(), expected.dims(), "{case}");
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-5, "{case}: {difference}");
    }
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
