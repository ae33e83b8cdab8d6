use super::*;
use crate::error::{Exit, Result};

fn builder_with(name: &str, shape: &[u64]) -> (Builder, NodeId) {
    let mut builder = Builder::new();
    let axes = std::iter::once(Dim::Batch).chain(shape.iter().map(|size| Dim::Known(*size))).collect();
    let node = builder.input(name, axes, Dtype::F32, None).unwrap();
    (builder, node)
}

fn linear(out: u64) -> Layer {
    Layer::Linear { out, bias: true }
}

fn relu() -> Layer {
    Layer::Activation(Nonlinearity::Relu)
}

fn conv2d(out: u64, kernel: u64, stride: u64, padding: u64, groups: u64) -> Convolution {
    let both = |value| vec![value, value];
    let dilation = both(1);
    Convolution {
        out,
        kernel: both(kernel),
        stride: both(stride),
        padding: both(padding),
        dilation,
        groups,
        bias: true,
    }
}

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
            Layer::Reshape { shape: vec![3, 3] },
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
            Layer::Positions { num: 7 },
            "positions m takes [batch, positions, width] with at most 7 positions, but input x gives [batch, 8, 6]",
        ),
        (
            vec![8, 6],
            Layer::Parameter { shape: vec![9, 6], usage: Use::Add },
            "parameter m takes what [9, 6] broadcasts to, but input x gives [batch, 8, 6]",
        ),
        (
            vec![8, 6],
            Layer::Parameter { shape: vec![1, 1, 5], usage: Use::Prepend },
            "parameter m takes [batch, positions, 5], but input x gives [batch, 8, 6]",
        ),
        (
            vec![8, 6],
            Layer::Parameter { shape: vec![0], usage: Use::None },
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
        (vec![8], Layer::Reshape { shape: vec![u64::MAX, 2] }),
        (vec![8, 6], Layer::Parameter { shape: vec![u64::MAX, 2], usage: Use::None }),
        (vec![8, 6], Layer::Parameter { shape: vec![u64::MAX, 6], usage: Use::Prepend }),
    ];
    for (shape, layer) in cases {
        let message = refused(&shape, layer);
        assert!(message.contains("64 bits"), "{message}");
    }
    let attention = |heads, head_dim| {
        let projections = Projections::Fused { qkv: "qkv".into(), out: "out".into() };
        let kind = AttentionKind::Plain;
        Layer::Attention(Attention { heads, kv_heads: heads, head_dim, causal: false, kind, bias: true, projections })
    };
    for layer in [attention(large, 16), attention(large, 2), attention(1 << 31, 1 << 31)] {
        let message = refused(&[8, 6], layer);
        assert!(message.contains("64 bits"), "{message}");
    }
}

#[test]
fn a_stated_input_size_is_checked_against_the_axis_that_weights_act_on() {
    let (mut builder, x) = builder_with("x", &[8, 5, 6]);
    let said = |size| Said { input_size: Some(size), ..Said::default() };
    builder.layer_as("a", linear(3), &[x], said(6)).unwrap();
    builder.layer_as("b", Layer::Conv(conv2d(4, 3, 1, 1, 1)), &[x], said(8)).unwrap();
    let error = builder.layer_as("c", Layer::Conv(conv2d(4, 3, 1, 1, 1)), &[x], said(6)).unwrap_err();
    assert_eq!(error.to_string(), "conv2d c takes 6 inputs as its `in` says, but input x gives [batch, 8, 5, 6]");
}

#[test]
fn a_layer_with_weights_needs_a_name_and_names_are_taken_once() {
    let (mut builder, x) = builder_with("x", &[8]);
    let error = builder.under("block", |at| at.layer("", linear(3), &[x])).unwrap_err();
    assert_eq!(error.to_string(), "linear after input x has weights and no name");
    assert_eq!(error.hints().len(), 1);
    builder.under("block", |at| at.layer("fc", linear(3), &[x])).unwrap();
    let error = builder.layer("block.fc", linear(3), &[x]).unwrap_err();
    assert_eq!(error.to_string(), "two parameters or inputs are called `block.fc.weight`");
    assert_eq!(
        builder.input("x", vec![Dim::Batch], Dtype::F32, None).unwrap_err().to_string(),
        "two parameters or inputs are called `x`"
    );
    assert_eq!(builder.path(), "");
}

#[test]
fn a_failure_inside_a_block_leaves_path_branch_and_head_as_they_were() {
    let (mut builder, x) = builder_with("x", &[8]);
    let failed: Result<()> =
        builder.under("a", |at| at.branch(|at| at.head(|at| at.layer("", linear(3), &[x]).map(|_| ()))));
    assert!(failed.is_err());
    builder.layer("fc", linear(3), &[x]).unwrap();
    let (parameters, graph) = builder.finish(Vec::new()).unwrap();
    assert_eq!(parameters[0].name, "fc.weight");
    assert!(!parameters[0].head);
    assert_eq!(graph.nodes.last().unwrap().branch, None);
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
    let token = Layer::Parameter { shape: vec![4], usage: Use::Prepend };
    let longer = builder.layer("cls", token, &[x]).unwrap();
    assert_eq!(builder.shape(longer), [Dim::Batch, Dim::UpTo(10), Dim::Known(4)]);
    assert!(builder.layer("p", Layer::Positions { num: 9 }, &[longer]).is_err());
    assert!(builder.layer("p", Layer::Positions { num: 10 }, &[longer]).is_ok());
    assert!(builder.layer("", Layer::Mean { axis: 1 }, &[longer]).is_ok());
    assert!(builder.layer("", Layer::Select { axis: 1, index: 0 }, &[longer]).is_ok());
    assert!(builder.layer("", Layer::Select { axis: 1, index: 1 }, &[longer]).is_err());
    assert!(builder.layer("", Layer::Flatten { start: 1 }, &[longer]).is_err());
    assert!(builder.layer("", Layer::Reshape { shape: vec![40] }, &[longer]).is_err());
    assert!(builder.layer("", Layer::Add, &[longer, x]).is_err());
}

fn parts(shape: &[u64], layer: Layer) -> Vec<(String, Vec<(u64, u64, u64)>)> {
    let (mut builder, x) = builder_with("x", shape);
    builder.layer("m", layer, &[x]).unwrap();
    let (parameters, _) = builder.finish(Vec::new()).unwrap();
    parameters
        .into_iter()
        .filter(|parameter| !parameter.parts.is_empty())
        .map(|parameter| {
            let rows: u64 = parameter.parts.iter().map(|part| part.rows).sum();
            assert_eq!(rows, parameter.shape[0], "{}", parameter.name);
            let parts = parameter.parts.iter().map(|part| (part.rows, part.fans.fan_in, part.fans.fan_out));
            (parameter.name.trim_start_matches("m.").to_string(), parts.collect())
        })
        .collect()
}

#[test]
fn fans_are_those_of_the_logical_layer() {
    let one = |rows, fan_in, fan_out| vec![("weight".to_string(), vec![(rows, fan_in, fan_out)])];
    assert_eq!(parts(&[256], linear(512)), one(512, 256, 512));
    assert_eq!(parts(&[3, 9, 9], Layer::Conv(conv2d(64, 7, 1, 0, 1))), one(64, 147, 3136));
    // depthwise: each output sees 9 numbers, each input reaches 9, whatever the number of channels
    assert_eq!(parts(&[64, 9, 9], Layer::Conv(conv2d(64, 3, 1, 1, 64))), one(64, 9, 9));
    // stored (in, out, …): 4 × 4 taps of which a stride of 2 meets a quarter
    assert_eq!(parts(&[256, 9, 9], Layer::ConvTranspose(conv2d(128, 4, 2, 1, 1))), one(256, 1024, 2048));
    assert_eq!(parts(&[8], Layer::LayerNorm { eps: 1e-5, bias: true }), vec![]);
    assert_eq!(parts(&[8], Layer::BatchNorm { eps: 1e-5 }), vec![]);
}

#[test]
fn a_fused_projection_has_the_fans_of_its_pieces() {
    let projections = Projections::Fused { qkv: "qkv".into(), out: "proj".into() };
    let kind = AttentionKind::Plain;
    let attention = Attention { heads: 4, kv_heads: 2, head_dim: 3, causal: false, kind, bias: true, projections };
    let expected = vec![
        ("qkv.weight".to_string(), vec![(12, 10, 12), (6, 10, 6), (6, 10, 6)]),
        ("proj.weight".to_string(), vec![(10, 12, 10)]),
    ];
    assert_eq!(parts(&[7, 10], Layer::Attention(attention)), expected);
}

#[test]
fn running_statistics_never_go_below_single_precision() {
    let (mut builder, x) = builder_with("x", &[8]);
    builder.layer("bn", Layer::BatchNorm { eps: 1e-5 }, &[x]).unwrap();
    let (parameters, _) = builder.finish(Vec::new()).unwrap();
    let floors: Vec<Option<Dtype>> = parameters.iter().map(|parameter| parameter.floor).collect();
    assert_eq!(floors, [None, None, Some(Dtype::F32), Some(Dtype::F32), None]);
    assert_eq!(parameters[4].dtype, Some(Dtype::I64));
    assert!(parameters[2..].iter().all(|parameter| parameter.role == Role::Buffer));
}

#[test]
fn a_weight_is_followed_by_the_one_activation_that_takes_all_of_its_result() {
    let (mut builder, x) = builder_with("x", &[8]);
    let named = ["direct", "through_dropout", "twice_alike", "shared", "normed", "none", "output"];
    let node: Vec<NodeId> = named.iter().map(|name| builder.layer(name, linear(8), &[x]).unwrap()).collect();
    let mut on = |layer, inputs: &[NodeId]| builder.layer("", layer, inputs).unwrap();
    let mut results = vec![on(relu(), &[node[0]])];
    let kept = on(Layer::Dropout, &[node[1]]);
    results.push(on(relu(), &[kept]));
    results.push(on(relu(), &[node[2]]));
    results.push(on(relu(), &[node[2]]));
    results.push(on(relu(), &[node[3]]));
    results.push(on(Layer::Add, &[node[3], node[5]]));
    let normed = builder.layer("norm", Layer::LayerNorm { eps: 1e-5, bias: true }, &[node[4]]).unwrap();
    results.push(builder.layer("", relu(), &[normed]).unwrap());
    results.push(builder.layer("", relu(), &[node[6]]).unwrap());
    results.push(node[6]);
    let outputs = results.into_iter().enumerate().map(|(i, node)| (i.to_string(), node)).collect();
    let (parameters, _) = builder.finish(outputs).unwrap();
    for name in named {
        let weight = parameters.iter().find(|parameter| parameter.name == format!("{name}.weight")).unwrap();
        let bias = parameters.iter().find(|parameter| parameter.name == format!("{name}.bias")).unwrap();
        let expected = matches!(name, "direct" | "through_dropout" | "twice_alike").then_some(Nonlinearity::Relu);
        assert_eq!(weight.followed_by, expected, "{name}");
        assert_eq!(bias.followed_by, None, "{name}");
    }
}

#[test]
fn what_a_file_says_of_a_layer_reaches_its_weights_only() {
    let (mut builder, x) = builder_with("x", &[8]);
    let said = Said { head: true, init: Some(SchemeSpec::Auto), input_size: None };
    builder.layer_as("fc", linear(3), &[x], said).unwrap();
    let (parameters, _) = builder.finish(Vec::new()).unwrap();
    assert!(parameters.iter().all(|parameter| parameter.head));
    assert_eq!(parameters[0].layer_init, Some(SchemeSpec::Auto));
    assert_eq!(parameters[1].layer_init, None);
}

#[test]
fn branches_are_numbered_and_the_innermost_counts() {
    let (mut builder, x) = builder_with("x", &[8]);
    let mut add = |at: &mut Builder| at.layer("", relu(), &[x]);
    builder
        .branch(|at| {
            add(at)?;
            at.branch(&mut add)?;
            add(at)
        })
        .unwrap();
    builder.branch(&mut add).unwrap();
    let (_, graph) = builder.finish(Vec::new()).unwrap();
    let branches: Vec<Option<usize>> = graph.nodes.iter().map(|node| node.branch).collect();
    assert_eq!(branches, [None, Some(0), Some(1), Some(0), Some(2)]);
}

fn tied(ties: &[(&str, &str)]) -> Result<Vec<Parameter>> {
    let (mut builder, x) = builder_with("x", &[8]);
    for name in ["a", "b", "c"] {
        builder.layer(name, linear(8), &[x])?;
    }
    builder.layer("d", linear(7), &[x])?;
    for (name, owner) in ties {
        builder.tie(name, owner)?;
    }
    Ok(builder.finish(Vec::new())?.0)
}

#[test]
fn ties_lead_to_one_owner_in_whichever_order_they_are_made() {
    for ties in
        [[("c.weight", "b.weight"), ("b.weight", "a.weight")], [("b.weight", "a.weight"), ("c.weight", "b.weight")]]
    {
        let parameters = tied(&ties).unwrap();
        let owners: Vec<Option<&str>> =
            parameters.iter().map(|parameter| parameter.tied_to.map(|id| parameters[id].name.as_str())).collect();
        assert_eq!(owners[..6], [None, None, Some("a.weight"), None, Some("a.weight"), None]);
    }
}

#[test]
fn a_tie_that_cannot_be_is_refused() {
    let message = |ties: &[(&str, &str)]| tied(ties).unwrap_err().to_string();
    assert_eq!(message(&[("a.weight", "a.weight")]), "the tie of `a.weight` to `a.weight` is a loop");
    assert_eq!(
        message(&[("a.weight", "b.weight"), ("b.weight", "a.weight")]),
        "the tie of `b.weight` to `a.weight` is a loop"
    );
    assert_eq!(
        message(&[("a.weight", "b.weight"), ("a.weight", "c.weight")]),
        "`a.weight` is tied to `b.weight` and to `c.weight`"
    );
    assert_eq!(message(&[("d.weight", "a.weight")]), "`d.weight` [7, 8] is tied to `a.weight` [8, 8]");
    assert_eq!(
        message(&[("a.wieght", "b.weight")]),
        "the tie of `a.wieght` to `b.weight` needs `a.wieght`, which is no parameter"
    );
    assert_eq!(tied(&[("a.wieght", "b.weight")]).unwrap_err().hints(), ["did you mean `a.weight`?"]);
}

#[test]
fn a_family_rule_takes_what_is_declared_since_and_has_none_yet() {
    let (mut builder, x) = builder_with("x", &[8]);
    builder.layer("before", linear(8), &[x]).unwrap();
    let since = builder.parameters().len();
    builder.layer("fc", linear(8), &[x]).unwrap();
    let constant = |value| Scheme::Constant { value };
    builder.init_rule(since, constant(1.0), "first", |parameter| parameter.role == Role::Linear);
    builder.init_rule(since, constant(2.0), "second", |_| true);
    let (parameters, _) = builder.finish(Vec::new()).unwrap();
    let by: Vec<Option<String>> = parameters.into_iter().map(|parameter| parameter.init.map(|init| init.by)).collect();
    assert_eq!(by, [None, None, Some("first".into()), Some("second".into())]);
}

#[test]
fn two_outputs_of_one_name_are_refused() {
    let (builder, x) = builder_with("x", &[8]);
    let error = builder.finish(vec![("y".into(), x), ("y".into(), x)]).unwrap_err();
    assert_eq!(error.to_string(), "two outputs are called `y`");
}

#[test]
fn a_repeat_without_end_is_stopped() {
    let (mut builder, x) = builder_with("x", &[8]);
    builder.most = 20;
    let error = (0..21).find_map(|_| builder.layer("", Layer::Dropout, &[x]).err()).unwrap();
    assert_eq!(error.to_string(), "more than 20 layers or parameters");
    assert_eq!(builder.layer("fc", linear(3), &[x]).unwrap_err().to_string(), error.to_string());
}
