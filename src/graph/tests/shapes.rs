//! What fits and what does not.

use super::*;
use crate::error::Exit;

/// The message of the one layer on an input of this shape.
fn refused(shape: &[u64], layer: Layer) -> String {
    let (mut builder, x) = builder_with("x", shape);
    let error = builder.layer("m", layer, &[x]).expect_err("it was accepted");
    assert_eq!(error.exit(), Exit::Input);
    error.to_string()
}

#[test]
fn an_error_names_both_layers_and_both_shapes() {
    let (mut builder, x) = builder_with("x", &[8]);
    let hidden = builder.layer("hidden.fc", linear(6), &[x]).unwrap();
    let active = builder.layer("", relu(), &[hidden]).unwrap();
    let error =
        |builder: &mut Builder, layer, inputs: &[NodeId]| builder.layer("m", layer, inputs).unwrap_err().to_string();
    assert_eq!(
        error(&mut builder, Layer::Conv(conv2d(4, 3, 1, 1, 1)), &[active]),
        "conv2d m takes [batch, channels, height, width], but relu after linear hidden.fc gives [batch, 6]"
    );
    assert_eq!(
        error(&mut builder, Layer::Add, &[x, active]),
        "add m takes inputs of one shape, but input x gives [batch, 8] and relu after linear hidden.fc gives [batch, 6]"
    );
    assert_eq!(error(&mut builder, linear(3), &[x, active]), "linear m takes one input, found 2");
    assert_eq!(error(&mut builder, Layer::Add, &[]), "add m takes at least one input, found 0");
}

#[test]
fn sizes_that_cannot_be_are_refused_by_key() {
    let cases = [
        (vec![8], linear(0), "linear m: out is 0, it must be at least 1"),
        (vec![8, 5, 5], Layer::Conv(conv2d(4, 3, 0, 1, 1)), "conv2d m: stride is 0, it must be at least 1"),
        (vec![8, 5, 5], Layer::Conv(conv2d(4, 0, 1, 1, 1)), "conv2d m: kernel is 0, it must be at least 1"),
        (
            vec![8, 5, 5],
            Layer::Conv(conv2d(4, 3, 1, 1, 3)),
            "conv2d m: out is 4, it must be divisible by groups, which is 3",
        ),
        (
            vec![8, 5, 5],
            Layer::Conv(conv2d(6, 3, 1, 1, 3)),
            "conv2d m takes channels that 3 groups divide, but input x gives [batch, 8, 5, 5]",
        ),
        (
            vec![8, 5, 5],
            Layer::Conv(conv2d(4, 8, 1, 1, 1)),
            "conv2d m takes an axis of at least the window's 8 (padding 1), but input x gives [batch, 8, 5, 5]",
        ),
        (
            vec![8, 5, 5],
            Layer::Conv(Convolution { stride: vec![1], ..conv2d(4, 3, 1, 1, 1) }),
            "conv2d m: stride is [1], it must be one number for each of 2 axes",
        ),
        (
            vec![8, 1, 1],
            Layer::ConvTranspose(conv2d(4, 2, 1, 1, 1)),
            "conv_transpose2d m: padding is 1, it must be less than half of the result's 2",
        ),
        (
            vec![8, 5, 5],
            Layer::MaxPool { kernel: vec![2, 2], stride: vec![2, 2], padding: vec![2, 2] },
            "max_pool m: padding is 2, it must be at most half of the kernel's 2",
        ),
        (
            vec![8, 5],
            Layer::GroupNorm { groups: 3, eps: 1e-5 },
            "group_norm m takes channels that 3 groups divide, but input x gives [batch, 8, 5]",
        ),
        (
            vec![8],
            Layer::LayerNorm { eps: f64::NAN, bias: true },
            "layer_norm m: eps is NaN, it must be a finite number, 0 or more",
        ),
        (
            vec![8],
            Layer::Mean { axis: 0 },
            "mean m takes an input with an axis 0, the batch being 0 and out of reach, but input x gives [batch, 8]",
        ),
        (
            vec![8],
            Layer::Select { axis: 1, index: 8 },
            "select m takes an axis 1 that has an index 8, but input x gives [batch, 8]",
        ),
        (
            vec![8],
            Layer::Reshape { shape: [3, 3].into() },
            "reshape m takes 9 elements for [3, 3], but input x gives [batch, 8]",
        ),
        (
            vec![8],
            Layer::Permute { order: vec![1, 0] },
            "permute m takes an input whose axes [1, 0] are a permutation of, beginning with the batch, but input x gives [batch, 8]",
        ),
        (vec![8], Layer::Embedding { num: 3, dim: 2 }, "embedding m takes ids (i64), but input x gives [batch, 8]"),
        (
            vec![8, 6],
            Layer::Positions { num: 7, ids: PositionIds::PLAIN },
            "positions m takes [batch, positions, width] with at most 7 positions, but input x gives [batch, 8, 6]",
        ),
        (
            vec![8, 6],
            Layer::Parameter { shape: [9, 6].into(), usage: Use::Add },
            "parameter m takes what [9, 6] broadcasts to, but input x gives [batch, 8, 6]",
        ),
        (
            vec![8, 6],
            Layer::Parameter { shape: [1, 1, 5].into(), usage: Use::Prepend },
            "parameter m takes [batch, positions, 5], but input x gives [batch, 8, 6]",
        ),
        (
            vec![8, 6],
            Layer::Parameter { shape: [0].into(), usage: Use::None },
            "parameter m: shape is [0], it must be of sizes of at least 1",
        ),
    ];
    for (shape, layer, message) in cases {
        assert_eq!(refused(&shape, layer), message);
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    let large = 1 << 62;
    let cases = [
        (vec![8], linear(large)),
        (vec![large / 8], linear(16)),
        (vec![8, 5, 5], Layer::Conv(conv2d(large, 3, 1, 1, 1))),
        (vec![8, 5, 5], Layer::Conv(Convolution { padding: vec![u64::MAX, 1], ..conv2d(4, 3, 1, 1, 1) })),
        (vec![8, 5, 5], Layer::Conv(Convolution { dilation: vec![u64::MAX, 1], ..conv2d(4, 3, 1, 1, 1) })),
        (vec![8, 5, 5], Layer::ConvTranspose(Convolution { stride: vec![u64::MAX, 1], ..conv2d(4, 3, 1, 1, 1) })),
        (vec![8, 5, 5], Layer::Upsample { scale: u64::MAX }),
        (vec![8], Layer::Reshape { shape: [u64::MAX, 2].into() }),
        (vec![8, 6], Layer::Parameter { shape: [u64::MAX, 2].into(), usage: Use::None }),
        (vec![8, 6], Layer::Parameter { shape: [u64::MAX, 6].into(), usage: Use::Prepend }),
    ];
    for (shape, layer) in cases {
        let message = refused(&shape, layer);
        assert!(message.contains("64 bits"), "{message}");
    }
    let attention = |heads, head_dim| {
        let projections = Projections::Fused { qkv: "qkv".into(), out: "out".into() };
        Layer::Attention(Attention::new(heads, head_dim, projections))
    };
    for layer in [attention(large, 16), attention(large, 2), attention(1 << 31, 1 << 31)] {
        let message = refused(&[8, 6], layer);
        assert!(message.contains("64 bits"), "{message}");
    }
}

#[test]
fn a_stated_input_size_is_checked_against_the_axis_that_weights_act_on() {
    let (mut builder, x) = builder_with("x", &[8, 5, 6]);
    let options = |size| LayerOptions { input_size: Some(size), ..LayerOptions::default() };
    builder.layer_with("a", linear(3), &[x], options(6)).unwrap();
    builder.layer_with("b", Layer::Conv(conv2d(4, 3, 1, 1, 1)), &[x], options(8)).unwrap();
    let error = builder.layer_with("c", Layer::Conv(conv2d(4, 3, 1, 1, 1)), &[x], options(6)).unwrap_err();
    assert_eq!(error.to_string(), "conv2d c takes 6 inputs as its `in` states, but input x gives [batch, 8, 5, 6]");
}

#[test]
fn inputs_have_the_batch_first_and_only_there() {
    let input =
        |shape: Vec<Dim>, dtype, max| Builder::new().input("x", shape, dtype, max).map_err(|error| error.to_string());
    assert!(input(vec![Dim::Batch, Dim::UpTo(4)], Dtype::I64, Some(9)).is_ok());
    for shape in [vec![], vec![Dim::Known(2)], vec![Dim::Batch, Dim::Batch], vec![Dim::Known(2), Dim::Batch]] {
        assert!(input(shape, Dtype::F32, None).unwrap_err().contains("it must be \"batch\" and then numbers"));
    }
    let flat = || vec![Dim::Batch];
    assert_eq!(
        input(vec![Dim::Batch, Dim::Known(0)], Dtype::F32, None).unwrap_err(),
        "input x: shape is [batch, 0], it must be of sizes of at least 1"
    );
    assert_eq!(input(flat(), Dtype::F16, None).unwrap_err(), "input x: dtype is f16, it must be f32, or i64 for ids");
    assert_eq!(input(flat(), Dtype::F32, Some(3)).unwrap_err(), "input x: max is 3, it must be left out for numbers");
    assert_eq!(input(flat(), Dtype::I64, Some(0)).unwrap_err(), "input x: max is 0, it must be at least 1");
    assert!(input(vec![Dim::Batch, Dim::Known(u64::MAX)], Dtype::F32, None).unwrap_err().contains("64 bits"));
}

#[test]
fn ids_go_only_where_ids_are_taken() {
    let mut builder = Builder::new();
    let ids = builder.input("ids", vec![Dim::Batch, Dim::Known(4)], Dtype::I64, Some(9)).unwrap();
    let error = builder.layer("fc", linear(3), &[ids]).unwrap_err();
    assert_eq!(error.to_string(), "linear fc takes numbers (f32), but input ids gives [batch, 4] ids");
    let first = builder.layer("", Layer::Select { axis: 1, index: 0 }, &[ids]).unwrap();
    let rows = builder.layer("table", Layer::Embedding { num: 9, dim: 3 }, &[first]).unwrap();
    assert_eq!(builder.shape(rows), [Dim::Batch, Dim::Known(3)]);
    let error = builder.layer("", Layer::Concat { axis: 1 }, &[rows, ids]).unwrap_err();
    assert!(error.to_string().ends_with("but input ids gives [batch, 4] ids"), "{error}");
    let both = builder.layer("", Layer::Concat { axis: 1 }, &[ids, ids]).unwrap();
    let error = builder.layer("small", Layer::Embedding { num: 8, dim: 3 }, &[both]).unwrap_err();
    assert!(error.to_string().contains("ids below 8 (and the input's max is 9)"), "{error}");
}

#[test]
fn a_length_that_is_not_known_passes_only_where_nothing_depends_on_it() {
    let mut builder = Builder::new();
    let x = builder.input("x", vec![Dim::Batch, Dim::UpTo(9), Dim::Known(4)], Dtype::F32, None).unwrap();
    let token = Layer::Parameter { shape: [4].into(), usage: Use::Prepend };
    let longer = builder.layer("cls", token, &[x]).unwrap();
    assert_eq!(builder.shape(longer), [Dim::Batch, Dim::UpTo(10), Dim::Known(4)]);
    assert!(builder.layer("p", Layer::Positions { num: 9, ids: PositionIds::PLAIN }, &[longer]).is_err());
    assert!(builder.layer("p", Layer::Positions { num: 10, ids: PositionIds::PLAIN }, &[longer]).is_ok());
    assert!(builder.layer("", Layer::Mean { axis: 1 }, &[longer]).is_ok());
    assert!(builder.layer("", Layer::Select { axis: 1, index: 0 }, &[longer]).is_ok());
    assert!(builder.layer("", Layer::Select { axis: 1, index: 1 }, &[longer]).is_err());
    assert!(builder.layer("", Layer::Flatten { start: 1 }, &[longer]).is_err());
    assert!(builder.layer("", Layer::Reshape { shape: [40].into() }, &[longer]).is_err());
    assert!(builder.layer("", Layer::Add, &[longer, x]).is_err());
    let channels = builder.layer("", Layer::Permute { order: vec![0, 2, 1] }, &[longer]).unwrap();
    let mut convolved = |kernel, stride, padding| {
        let axis = |number| vec![number];
        let convolution = Convolution {
            out: 3,
            kernel: axis(kernel),
            stride: axis(stride),
            padding: axis(padding),
            dilation: axis(2),
            groups: 1,
            bias: false,
        };
        let node = builder.layer(&format!("c{kernel}{stride}{padding}"), Layer::Conv(convolution), &[channels]);
        node.map(|node| builder.shape(node).to_vec())
    };
    assert_eq!(convolved(3, 1, 2).unwrap(), [Dim::Batch, Dim::Known(3), Dim::UpTo(10)]);
    assert_eq!(convolved(1, 1, 0).unwrap(), [Dim::Batch, Dim::Known(3), Dim::UpTo(10)]);
    for changed in [convolved(3, 2, 2), convolved(3, 1, 1), convolved(2, 1, 2)] {
        assert!(changed.unwrap_err().to_string().contains("takes [batch, channels, length]"));
    }
}
