use super::{assert_wrong, open, open_path, open_with, parameter};
use crate::arch::{Architecture, Flags, Form};
use crate::graph::Layer;
use crate::tensor::{Role, Shape};

pub const DIGITS: &str = r#"{ "xfer": 1,
  "name": "digits",
  "inputs": { "x": { "shape": ["batch", 64] } },
  "layers": [
    { "repeat": 3, "name": "hidden", "layers": [
        { "type": "linear", "name": "fc", "out": 128 },
        { "type": "relu" } ] },
    { "type": "linear", "name": "out", "out": 10, "init": "zeros" } ] }"#;

pub const ROUTER: &str = r#"{ "xfer": 1,
  "name": "ticket-router",
  "inputs": { "input_ids": { "shape": ["batch", 64], "dtype": "i64", "max": 30522 } },
  "layers": [
    { "type": "bert", "name": "bert", "config": "bert/config.json", "output": "pooled" },
    { "type": "linear", "name": "hidden", "out": 256 },
    { "type": "gelu" },
    { "type": "linear", "name": "classifier", "out": 7 } ],
  "init": [ { "match": "classifier.*", "scheme": "zeros" } ] }"#;

const TINY_BERT: &str = r#"{"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16,
  "num_hidden_layers": 3, "vocab_size": 30522, "max_position_embeddings": 64, "xfer": {"new": []}}"#;

fn names(architecture: &Architecture) -> Vec<&str> {
    architecture.parameters.iter().map(|parameter| parameter.name.as_str()).collect()
}

/// Layers over an input `x` of this shape.
fn layers(shape: &str, layers: &str) -> crate::error::Result<Architecture> {
    open(&format!(r#"{{"xfer": 1, "inputs": {{"x": {{"shape": {shape}}}}}, "layers": [{layers}]}}"#))
}

/// The shape of the last result.
fn result(shape: &str, text: &str) -> String {
    let architecture = layers(shape, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let graph = architecture.graph.unwrap();
    crate::graph::DimsText(&graph.nodes[graph.outputs[0].1].output).to_string()
}

#[test]
fn the_digits_example_expands_to_the_names_of_the_documentation() {
    let architecture = open(DIGITS).unwrap();
    assert_eq!((architecture.form, architecture.name.as_deref()), (Form::Layers, Some("digits")));
    assert_eq!(
        names(&architecture),
        [
            "hidden.0.fc.weight", "hidden.0.fc.bias", "hidden.1.fc.weight", "hidden.1.fc.bias", "hidden.2.fc.weight",
            "hidden.2.fc.bias", "out.weight", "out.bias"
        ]
    );
    assert_eq!(parameter(&architecture, "hidden.0.fc.weight").shape, [128, 64]);
    assert_eq!(parameter(&architecture, "out.bias").shape, [10]);
    assert_eq!(parameter(&architecture, "out.weight").layer_init, Some(Box::new("zeros".parse().unwrap())));
    assert_eq!(parameter(&architecture, "out.bias").layer_init, None);
    assert_eq!(parameter(&architecture, "hidden.0.fc.weight").followed_by, Some(crate::graph::Nonlinearity::Relu));
    assert!(architecture.config.is_none());
}

#[test]
fn the_router_example_holds_a_bert_and_its_file_is_self_contained() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bert")).unwrap();
    std::fs::write(folder.path().join("bert/config.json"), TINY_BERT).unwrap();
    let path = folder.path().join("router.json");
    std::fs::write(&path, ROUTER).unwrap();
    let architecture = open_path(path.to_str().unwrap(), &Flags::default()).unwrap();
    let names = names(&architecture);
    assert_eq!(names[0], "bert.embeddings.word_embeddings.weight");
    assert!(names.contains(&"bert.encoder.layer.2.attention.self.query.weight"));
    assert!(names.contains(&"bert.pooler.dense.weight"));
    assert_eq!(names[names.len() - 4..], ["hidden.weight", "hidden.bias", "classifier.weight", "classifier.bias"]);
    assert_eq!(architecture.blocks[0].path, "bert");
    assert!(!architecture.blocks[0].config.0.contains_key("xfer"));

    let again = open(architecture.arch_json.as_ref().unwrap()).unwrap();
    assert_eq!(again.parameters, architecture.parameters);
    assert_eq!(again.graph, architecture.graph);
    assert_eq!((architecture.rules.init.len(), again.rules), (1, crate::arch::Rules::default()));
}

#[test]
fn a_family_block_is_wired_by_in_and_gives_the_layers_that_are_asked_for() {
    let config = TINY_BERT.replace(", \"xfer\": {\"new\": []}", "");
    let architecture = open(&format!(
        r#"{{"xfer": 1, "inputs": {{"ids": {{"shape": ["batch", 6], "dtype": "i64", "max": 30522}}, "mask": {{"shape": ["batch", 6], "dtype": "i64", "max": 2}}}},
        "layers": [{{"type": "bert", "name": "b", "config": {config}, "output": {{"layers": [0, -1]}}, "in": {{"input_ids": "ids", "attention_mask": "mask"}}}},
                   {{"type": "concat"}}, {{"type": "linear", "name": "tags", "out": 5, "role": "head"}}]}}"#
    ))
    .unwrap();
    assert!(!names(&architecture).contains(&"b.pooler.dense.weight"));
    let tags = parameter(&architecture, "tags.weight");
    assert_eq!((tags.shape.as_slice(), tags.head), ([5, 16].as_slice(), true));
    let graph = architecture.graph.unwrap();
    assert!(graph.nodes.iter().any(|node| matches!(node.layer, Layer::Attention(_)) && node.inputs.len() == 2));
}

#[test]
fn a_family_at_the_front_of_a_file_without_inputs_brings_its_own() {
    let config = TINY_BERT.replace(", \"xfer\": {\"new\": []}", "");
    let text = format!(r#"{{"xfer": 1, "layers": [{{"type": "bert", "name": "bert", "config": {config}}}]}}"#);
    let graph = open(&text).unwrap().graph.unwrap();
    assert!(graph.nodes.iter().any(|node| node.name == "attention_mask"));
}

#[test]
fn every_kind_of_layer_gives_the_shape_and_the_parameters_that_pytorch_gives() {
    let image = "[\"batch\", 4, 8, 8]";
    for (text, expected) in [
        (
            r#"{"type": "conv2d", "name": "c", "out": 6, "kernel": 3, "padding": 1, "stride": [2, 1]}"#,
            "[batch, 6, 4, 8]",
        ),
        (
            r#"{"type": "conv2d", "name": "c", "out": 8, "kernel": [3, 1], "groups": 4, "dilation": 2, "bias": false}"#,
            "[batch, 8, 4, 8]",
        ),
        (r#"{"type": "conv_transpose2d", "name": "c", "out": 6, "kernel": 2, "stride": 2}"#, "[batch, 6, 16, 16]"),
        (r#"{"type": "batch_norm", "name": "n"}"#, "[batch, 4, 8, 8]"),
        (r#"{"type": "group_norm", "name": "n", "groups": 2, "eps": 1e-6}"#, "[batch, 4, 8, 8]"),
        (r#"{"type": "max_pool", "kernel": 2}"#, "[batch, 4, 4, 4]"),
        (r#"{"type": "avg_pool", "kernel": 3, "stride": 1, "padding": 1}"#, "[batch, 4, 8, 8]"),
        (r#"{"type": "global_avg_pool"}"#, "[batch, 4]"),
        (r#"{"type": "upsample", "scale": 2}"#, "[batch, 4, 16, 16]"),
        (r#"{"type": "flatten"}"#, "[batch, 256]"),
        (r#"{"type": "flatten", "start": 2}"#, "[batch, 4, 64]"),
        (r#"{"type": "reshape", "shape": [16, 16]}"#, "[batch, 16, 16]"),
        (r#"{"type": "permute", "order": [0, 2, 3, 1]}"#, "[batch, 8, 8, 4]"),
        (r#"{"type": "mean", "axis": -1}"#, "[batch, 4, 8]"),
        (r#"{"type": "select", "axis": 1, "index": -1}"#, "[batch, 8, 8]"),
        (r#"{"type": "dropout", "p": 0.1}"#, "[batch, 4, 8, 8]"),
        (r#"{"type": "leaky_relu", "slope": 0.2}, {"type": "softmax", "axis": 1}"#, "[batch, 4, 8, 8]"),
        (r#"{"type": "relu", "id": "a"}, {"type": "concat", "axis": 1, "from": ["a", "x"]}"#, "[batch, 8, 8, 8]"),
        (r#"{"type": "mul", "from": ["x", "x"]}"#, "[batch, 4, 8, 8]"),
    ] {
        assert_eq!(result(image, text), expected, "{text}");
    }
    let sequence = "[\"batch\", 5, 12]";
    for (text, expected) in [
        (r#"{"type": "layer_norm", "name": "n", "bias": false}"#, "[batch, 5, 12]"),
        (r#"{"type": "rms_norm", "name": "n"}"#, "[batch, 5, 12]"),
        (r#"{"type": "positions", "name": "p", "num": 9}"#, "[batch, 5, 12]"),
        (r#"{"type": "parameter", "name": "cls", "shape": [1, 1, 12], "use": "prepend"}"#, "[batch, 6, 12]"),
        (r#"{"type": "conv1d", "name": "c", "out": 3, "kernel": 2}"#, "[batch, 3, 11]"),
        (
            r#"{"type": "attention", "name": "a", "heads": 6, "kv_heads": 2, "causal": true, "rope": 500000.0}"#,
            "[batch, 5, 12]",
        ),
    ] {
        assert_eq!(result(sequence, text), expected, "{text}");
    }
}

#[test]
fn attention_names_its_projections_separate_or_fused() {
    let of = |names: &str| {
        let text = format!(r#"{{"type": "attention", "name": "a", "heads": 4, "kv_heads": 2, "bias": false{names}}}"#);
        let architecture = layers("[\"batch\", 5, 12]", &text).unwrap();
        architecture.parameters.iter().map(|p| (p.name.to_string(), p.shape.clone())).collect::<Vec<_>>()
    };
    let pairs =
        |pairs: &[(&str, [u64; 2])]| pairs.iter().map(|(n, s)| (n.to_string(), Shape::from(*s))).collect::<Vec<_>>();
    assert_eq!(
        of(""),
        pairs(&[
            ("a.q_proj.weight", [12, 12]),
            ("a.k_proj.weight", [6, 12]),
            ("a.v_proj.weight", [6, 12]),
            ("a.o_proj.weight", [12, 12])
        ])
    );
    assert_eq!(
        of(r#", "names": {"qkv": "qkv", "out": "proj"}"#),
        pairs(&[("a.qkv.weight", [24, 12]), ("a.proj.weight", [12, 12])])
    );
}

#[test]
fn a_residual_sums_its_branch_and_its_shortcut() {
    let architecture = layers(
        "[\"batch\", 4, 8, 8]",
        r#"{"type": "residual", "name": "block", "layers": [{"type": "conv2d", "name": "conv1", "out": 6, "kernel": 1}],
            "shortcut": [{"type": "conv2d", "name": "downsample", "out": 6, "kernel": 1, "bias": false}]}"#,
    )
    .unwrap();
    assert_eq!(names(&architecture), ["block.conv1.weight", "block.conv1.bias", "block.downsample.weight"]);
    let graph = architecture.graph.unwrap();
    let node = |name: &str| graph.nodes.iter().find(|node| node.name == name).unwrap();
    assert!(node("block.conv1").branch.is_some());
    assert!(node("block.downsample").branch.is_none());
}

#[test]
fn a_parameter_that_the_graph_does_not_touch_leaves_the_flow_as_it_is() {
    let architecture = layers(
        "[\"batch\", 5]",
        r#"{"type": "linear", "name": "tags", "out": 3}, {"type": "parameter", "name": "crf.transitions", "shape": [3, 3]}, {"type": "relu"}"#,
    )
    .unwrap();
    assert_eq!(names(&architecture), ["tags.weight", "tags.bias", "crf.transitions"]);
    assert_eq!(parameter(&architecture, "crf.transitions").role, Role::Token);
    let graph = architecture.graph.unwrap();
    assert_eq!(graph.nodes[graph.outputs[0].1].output.len(), 2);
}

#[test]
fn ids_name_results_for_from_and_outputs_and_are_local_to_a_copy() {
    let architecture = open(
        r#"{"xfer": 1, "inputs": {"x": {"shape": ["batch", 4]}, "y": {"shape": ["batch", 4]}},
            "layers": [{"type": "add", "from": ["x", "y"], "id": "sum"},
                       {"repeat": 2, "name": "l", "layers": [{"type": "linear", "name": "fc", "out": 4, "id": "inner"}, {"type": "relu"},
                                                               {"type": "add", "from": ["inner", "sum"]}]},
                       {"type": "linear", "name": "a", "out": 2, "id": "first"},
                       {"type": "linear", "name": "b", "out": 3, "id": "second", "from": "sum"}],
            "outputs": {"class": "first", "tags": "second"}}"#,
    )
    .unwrap();
    let graph = architecture.graph.unwrap();
    let outputs: Vec<_> =
        graph.outputs.iter().map(|(name, node)| (name.as_str(), graph.nodes[*node].name.as_str())).collect();
    assert_eq!(outputs, [("class", "a"), ("tags", "b")]);
}

#[test]
fn a_container_without_a_name_adds_nothing_to_the_path() {
    let architecture = layers(
        "[\"batch\", 4]",
        r#"{"layers": [{"type": "linear", "name": "0", "out": 4}]},
           {"repeat": 1, "layers": [{"name": "sub", "layers": [{"type": "linear", "name": "fc", "out": 4}]}]}"#,
    );
    assert_eq!(names(&architecture.unwrap()), ["0.weight", "0.bias", "0.sub.fc.weight", "0.sub.fc.bias"]);
}

#[test]
fn rules_config_and_dtype_stand_beside_the_layers() {
    let text = DIGITS.replace(
        "\"name\": \"digits\",",
        r#""$schema": "x", "config": {"model_type": "mine"}, "dtype": "f16", "unused": ["?cls.**"],
           "adapt": [{"match": "?**.p", "positions": "interpolate", "prefix": [1, 1]}],
           "labels": {"out": ["a", "b"]}, "depth": {"hidden": [0, "new", -1]},
           "init": [{"match": "out.*", "scheme": "he_normal", "mode": "fan_out"}],"#,
    );
    let architecture = open(&text).unwrap();
    assert_eq!(architecture.config.unwrap().0["model_type"], "mine");
    let rules = architecture.rules;
    assert_eq!(rules.adapt[0].positions, Some(crate::arch::Positions::Interpolate));
    assert_eq!(rules.adapt[0].prefix, Some([1, 1]));
    assert_eq!(rules.depth[0].list.to_string(), "0,new,-1");
    assert_eq!(rules.labels[0].head.as_ref().unwrap().text, "out");
    assert_eq!(rules.init[0].scheme, "he_normal(mode=fan_out)".parse().unwrap());
    assert_eq!(rules.init_from_file, 1);
}

#[test]
fn a_wrong_layers_file_says_where() {
    let over = |layers: &str| {
        format!(
            "{{\"xfer\": 1, \"inputs\": {{\"x\": {{\"shape\": [\"batch\", 64]}}}},\n  \"layers\": [\n    {layers}]}}"
        )
    };
    let fc = r#"{"type": "linear", "name": "fc", "out": 8"#;
    for (text, words) in [
        (r#"{"type": ^"liner", "name": "a", "out": 3}"#, "unknown layer type `liner`; did you mean `linear`?"),
        (r#"{"type": "linear", "name": "a", ^"outt": 3}"#, "unknown key `outt`; did you mean `out`?"),
        (r#"^{"type": "linear", "name": "a"}"#, "a layer of type linear lacks the key `out`"),
        (r#"^{"name": "a"}"#, "a layer lacks the key `type`"),
        (
            r#"{"type": "linear", "name": "a", "out": ^"3"}"#,
            "`out` must be a whole number from 1, found the string \"3\"",
        ),
        (r#"{"type": "linear", "name": "a", "out": ^0}"#, "`out` must be a whole number from 1, found 0"),
        (r#"{"type": "linear", "name": "a", "out": ^1.5}"#, "found 1.5"),
        (r#"^{"type": "linear", "out": 3}"#, "linear after input x has weights and no name"),
        (r#"^{"type": "conv2d", "name": "c", "out": 3, "kernel": 3}"#, "conv2d c takes"),
        (
            r#"^{"type": "linear", "name": "a", "out": 3, "in": 32}"#,
            "linear a takes 32 inputs as its `in` states, but input x gives [batch, 64]",
        ),
        (&format!("{fc}}}, ^{fc}}}"), "two parameters or inputs have the name `fc.weight`"),
        (
            &format!("{fc}, \"from\": ^\"y\"}}"),
            "`from` names `y`, which is not an id of an input or of a layer before it",
        ),
        (&format!("{fc}, \"id\": \"a\", \"from\": ^\"a\"}}"), "the layers form a loop"),
        (r#"{"type": "relu", "from": ["x", ^"b"]}, {"type": "relu", "id": "b"}"#, "the layers form a loop"),
        (r#"{"id": "g", "layers": [{"type": "relu", "from": ^"g"}]}"#, "the layers form a loop"),
        (r#"{"type": "relu", "id": "a"}, {"type": "relu", "id": ^"a"}"#, "the id `a` appears twice"),
        (r#"{"type": "relu", "id": ^"x"}"#, "the id `x` appears twice"),
        (r#"^{"type": "linear", "name": "a", "out": 18446744073709551615}"#, "larger than 64 bits can count"),
        (r#"{"repeat": ^1000001, "layers": [{"type": "relu"}]}"#, "layers: 2000002, at most 1000000"),
        (r#"{"repeat": ^1000, "layers": [{"repeat": 100000, "layers": [{"type": "relu"}]}]}"#, "at most 1000000"),
        (r#"{"repeat": ^0, "layers": []}"#, "`repeat` must be a whole number from 1"),
        (r#"{"type": "linear", "name": "a", "out": 3, "init": ^"he_norml"}"#, "he_norml"),
        (r#"{"type": "linear", "name": "a", "out": 3, "role": ^"tail"}"#, "unknown role `tail`"),
        (r#"{"type": "linear", "name": ^"a..b", "out": 3}"#, "components with dots between them"),
        (r#"{"type": "mean", "axis": ^2}"#, "`axis` must be an axis of 2, found 2"),
        (r#"{"type": "mean", "axis": ^-3}"#, "`axis` must be an axis of 2, found -3"),
        (r#"{"type": "attention", "name": "a", "heads": ^3}"#, "a divisor of the width 64"),
        (
            r#"{"type": "attention", "name": "a", "heads": 4, "names": {"qkv": "c", ^"q": "d"}}"#,
            "`qkv` and `q` exclude each other",
        ),
        (
            r#"{"type": "reshape", "shape": [4, 4, 4]}, {"type": "conv2d", "name": "c", "out": 3, "kernel": ^[3, 3, 3]}"#,
            "a number or a list of 2, found a list of 3",
        ),
        (r#"^{"type": "add", "from": []}"#, "the first layer"),
        (
            r#"{"type": "bert", "name": "b", "config": ^{"model_type": "vit"}}"#,
            "must be a config of model_type bert, found model_type vit",
        ),
        (r#"^{"type": "bert", "name": "b", "config": {"hidden_size": 7}}"#, "hidden_size is 7"),
        (r#"{"type": "bert", "name": "b", "config": {}, "in": {"input_ids": ^"ids"}}"#, "`in` names `ids`"),
        (r#"{"type": "bert", "name": "b", "config": ^"none.json"}"#, "no such file"),
    ] {
        assert_wrong(&over(text), words);
    }
}

#[test]
fn a_wrong_head_of_a_layers_file_says_where() {
    let file = |rest: &str| {
        format!(
            "{{\"xfer\": 1, \"inputs\": {{\"x\": {{\"shape\": [\"batch\", 4]}}}}, \"layers\": [{{\"type\": \"relu\"}}],\n {rest}}}"
        )
    };
    for (text, words) in [
        (r#"^"output": {}"#, "unknown key `output`; did you mean `outputs`?"),
        (r#""outputs": {"a": ^"b"}"#, "`outputs` names `b`"),
        (r#""map": [^{"to": "a.{i/2}", "from": "b.{i}"}]"#, "not supported arithmetic"),
        (r#""map": [{"to": "a", "from": "b", "ops": [^"transpos"]}]"#, "transpos"),
        (r#""map": [^{"to": "a"}]"#, "a map rule lacks the key `from`"),
        (r#""depth": {"a": ^"evry:2"}"#, "`evry:2` is not an item"),
        (r#""depth": {"a": [0, ^"first"]}"#, "an index, a range or \"new\""),
        (r#""depth": {^"a..b": "first"}"#, "an empty component"),
        (r#""adapt": [{"match": "a", "positions": ^"intrpolate"}]"#, "did you mean `interpolate`?"),
        (r#""adapt": [{"match": "a", "prefix": ^[1, 1, 1]}]"#, "a pair"),
        (r#""adapt": [{"match": "a", ^"grid": [[1, 1]]}]"#, "unknown key `grid`"),
        (r#""init": [{"match": ^"a.b*", "scheme": "zeros"}]"#, "one whole component"),
        (r#""init": [^{"match": "a", "scheme": "he_normal", "gian": 2}]"#, "gian"),
        (r#""init": [{"match": "a", "scheme": ^"he_nrmal"}]"#, "he_nrmal"),
        (r#""new": [^3]"#, "must be a string, found 3"),
        (r#""dtype": ^"float17""#, "unknown dtype `float17`"),
        (r#""labels": {"a": ^["x", "x"]}"#, "label `x` appears twice"),
    ] {
        assert_wrong(&file(text), words);
    }
    assert_wrong(r#"{"xfer": 1, "inputs": {"x": {"shape": ["batch", ^0]}}, "layers": []}"#, "whole number from 1");
    assert_wrong(r#"{"xfer": 1, "inputs": {"x": ^{"shape": [4, 4]}}, "layers": []}"#, "batch");
    assert_wrong(
        r#"{"xfer": 1, "inputs": {"x": {"shape": ["batch"], "dtype": ^"f64"}}, "layers": []}"#,
        "unknown dtype `f64`",
    );
    assert_wrong(
        r#"{"xfer": 1, "layers": [^{"type": "linear", "name": "a", "out": 2}]}"#,
        "the file lacks the key `inputs`",
    );
    assert_wrong(
        r#"{"xfer": 1, "inputs": {"x": {"shape": ["batch", 1]}, "y": {"shape": ["batch", 1]}}, "layers": [^{"type": "relu"}]}"#,
        "the first layer, of 2 inputs, lacks the key `from`",
    );
}

#[test]
fn shapes_that_do_not_fit_are_told_with_both_layers() {
    assert_wrong(
        "{\"xfer\": 1, \"inputs\": {\"x\": {\"shape\": [\"batch\", 64]}}, \"layers\": [{\"type\": \"linear\", \"name\": \"a\", \"out\": 3, \"id\": \"a\"},\n ^{\"type\": \"add\", \"from\": [\"a\", \"x\"]}]}",
        "linear a gives [batch, 3] and input x gives [batch, 64]",
    );
}

#[test]
fn a_deep_file_is_refused_and_not_a_crash() {
    let deep = format!("{}{}", "{\"layers\": [".repeat(2000), "]}".repeat(2000));
    let error =
        open_with("arch.json", format!("{{\"xfer\": 1, \"layers\": [{deep}]}}"), &Flags::default()).err().unwrap();
    assert!(error.to_string().contains("recursion limit"), "{error}");
}
