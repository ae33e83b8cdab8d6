use super::*;
use crate::error::Result;
use crate::init::{Scheme, SchemeSpec};
use crate::tensor::{Dtype, Role};

mod shapes;

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

#[test]
fn a_layer_with_weights_needs_a_name_and_names_are_taken_once() {
    let (mut builder, x) = builder_with("x", &[8]);
    let error = builder.under("block", |at| at.layer("", linear(3), &[x])).unwrap_err();
    assert_eq!(error.to_string(), "linear after input x has weights and no name");
    assert_eq!(error.hints().len(), 1);
    builder.under("block", |at| at.layer("fc", linear(3), &[x])).unwrap();
    let error = builder.layer("block.fc", linear(3), &[x]).unwrap_err();
    assert_eq!(error.to_string(), "two parameters or inputs have the name `block.fc.weight`");
    assert_eq!(
        builder.input("x", vec![Dim::Batch], Dtype::F32, None).unwrap_err().to_string(),
        "two parameters or inputs have the name `x`"
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

/// The rows, `fan_in` and `fan_out` of each part of a parameter.
type Fanned = (String, Vec<(u64, u64, u64)>);

fn parts(shape: &[u64], layer: Layer) -> Vec<Fanned> {
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
    let attention = Attention { kv_heads: 2, ..Attention::new(4, 3, projections) };
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
    let options = LayerOptions { head: true, init: Some(SchemeSpec::Auto), ..LayerOptions::default() };
    builder.layer_with("fc", linear(3), &[x], options).unwrap();
    let (parameters, _) = builder.finish(Vec::new()).unwrap();
    assert!(parameters.iter().all(|parameter| parameter.head));
    assert_eq!(parameters[0].layer_init, Some(Box::new(SchemeSpec::Auto)));
    assert_eq!(parameters[1].layer_init, None);
}

#[test]
fn branches_are_numbered_and_the_innermost_counts() {
    let (mut builder, x) = builder_with("x", &[8]);
    let add = |at: &mut Builder| at.layer("", relu(), &[x]);
    builder
        .branch(|at| {
            add(at)?;
            at.branch(add)?;
            add(at)
        })
        .unwrap();
    builder.branch(add).unwrap();
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
        "the tie of `a.wieght` to `b.weight` needs `a.wieght`, which is not a parameter"
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
    assert_eq!(error.to_string(), "two outputs have the name `y`");
}

#[test]
fn a_repeat_without_end_is_stopped() {
    let (mut builder, x) = builder_with("x", &[8]);
    builder.most = 20;
    let error = (0..21).find_map(|_| builder.layer("", Layer::Dropout, &[x]).err()).unwrap();
    assert_eq!(error.to_string(), "more than 20 layers or parameters");
    assert_eq!(builder.layer("fc", linear(3), &[x]).unwrap_err().to_string(), error.to_string());
}
