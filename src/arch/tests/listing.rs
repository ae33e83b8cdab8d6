use super::{assert_wrong, open, open_with, parameter};
use crate::arch::{Flags, Form};
use crate::graph::Layout;
use crate::tensor::{Dtype, Role};

pub const EXAMPLE: &str = r#"{ "xfer": 1,
  "tensors": {
    "encoder.0.weight": { "shape": [512, 784], "module": "Linear" },
    "encoder.0.bias":   { "shape": [512] },
    "encoder.1.running_mean": { "shape": [512], "buffer": true },
    "decoder.weight":   { "shape": [784, 512], "module": "Linear" },
    "output.weight":    { "shape": [784, 512], "module": "Linear", "tied_to": "decoder.weight" } } }"#;

#[test]
fn the_example_of_the_documentation_is_read_in_its_order() {
    let architecture = open(EXAMPLE).unwrap();
    assert_eq!(architecture.form, Form::Listing);
    assert!(architecture.graph.is_none());
    let names: Vec<_> = architecture.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(
        names,
        ["encoder.0.weight", "encoder.0.bias", "encoder.1.running_mean", "decoder.weight", "output.weight"]
    );
    let weight = parameter(&architecture, "encoder.0.weight");
    assert_eq!((weight.role, weight.layout, weight.dtype), (Role::Linear, Layout::OutIn, None));
    assert_eq!((weight.parts[0].fans.fan_in, weight.parts[0].fans.fan_out), (784, 512));
    assert_eq!(parameter(&architecture, "encoder.0.bias").role, Role::Bias);
    let mean = parameter(&architecture, "encoder.1.running_mean");
    assert_eq!((mean.role, mean.floor), (Role::Buffer, Some(Dtype::F32)));
    assert_eq!(parameter(&architecture, "output.weight").tied_to, Some(3));
}

#[test]
fn what_a_listing_becomes_beside_the_output_reads_back_equal() {
    let first = open(EXAMPLE).unwrap();
    let second = open(first.arch_json.as_ref().unwrap()).unwrap();
    assert_eq!(first.parameters, second.parameters);
}

#[test]
fn a_module_decides_role_layout_and_fans() {
    let listing = |module: &str, name: &str, shape: &str| {
        let text = format!(r#"{{"xfer": 1, "tensors": {{"{name}": {{"shape": {shape}, "module": "{module}"}}}}}}"#);
        open(&text).unwrap().parameters.remove(0)
    };
    let fans = |module: &str, name: &str, shape: &str| {
        let parameter = listing(module, name, shape);
        assert_eq!(parameter.parts.iter().map(|part| part.rows).sum::<u64>(), parameter.shape[0]);
        parameter.parts.iter().map(|part| (part.fans.fan_in, part.fans.fan_out)).collect::<Vec<_>>()
    };
    assert_eq!(fans("Linear", "a.weight", "[3, 5]"), [(5, 3)]);
    assert_eq!(fans("Conv1D", "a.weight", "[5, 3]"), [(5, 3)]);
    assert_eq!(listing("Conv1D", "a.weight", "[5, 3]").layout, Layout::InOut);
    assert_eq!(fans("Conv2d", "a.weight", "[8, 4, 3, 3]"), [(36, 72)]);
    assert_eq!(fans("Conv2d(groups=8)", "a.weight", "[8, 1, 3, 3]"), [(9, 9)]);
    assert_eq!(listing("Conv2d(groups=8)", "a.weight", "[8, 1, 3, 3]").role, Role::Conv { groups: 8 });
    assert_eq!(fans("ConvTranspose2d(stride=2x2)", "a.weight", "[8, 4, 2, 2]"), [(8, 16)]);
    assert_eq!(fans("MultiheadAttention", "a.in_proj_weight", "[12, 4]"), [(4, 4); 3]);
    assert_eq!(fans("LSTM", "a.weight_ih_l0", "[12, 5]"), [(5, 3); 4]);
    assert_eq!(listing("Embedding", "a.word_embeddings.weight", "[9, 4]").role, Role::Embedding);
    assert_eq!(listing("Embedding", "a.position_embeddings.weight", "[9, 4]").role, Role::Position);
    assert_eq!(listing("LlamaRMSNorm", "a.norm.weight", "[9]").role, Role::Norm);
    assert_eq!(listing("BatchNorm2d", "a.num_batches_tracked", "[]").role, Role::Buffer);
    let own = listing("MyLayer", "a.weight", "[9, 4]");
    assert_eq!((own.role, own.layout), (Role::Unknown, Layout::Unknown));
    assert_eq!(listing("MyModel", "cls_token", "[1, 1, 4]").role, Role::Token);
}

#[test]
fn without_a_module_the_role_follows_from_name_and_rank_and_the_notes_say_so() {
    let architecture = open(
        r#"{"fc.weight": {"dtype": "F32", "shape": [3, 5]}, "norm.weight": {"dtype": "F32", "shape": [5]},
            "wte.weight": {"dtype": "F32", "shape": [9, 5]}, "conv.weight": {"dtype": "F16", "shape": [8, 4, 3, 3]},
            "crf.transitions": {"dtype": "F32", "shape": [5, 5]}}"#,
    )
    .unwrap();
    let facts = |name: &str| {
        let parameter = parameter(&architecture, name);
        (parameter.role, parameter.layout)
    };
    assert_eq!(facts("fc.weight"), (Role::Linear, Layout::Unknown));
    assert_eq!(facts("norm.weight").0, Role::Norm);
    assert_eq!(facts("wte.weight").0, Role::Embedding);
    assert_eq!(facts("conv.weight"), (Role::Conv { groups: 1 }, Layout::Unknown));
    assert_eq!(facts("crf.transitions").0, Role::Unknown);
    let notes = architecture.notes.join("\n");
    assert!(notes.contains("5 tensors name no module") && notes.contains("crf.transitions"), "{notes}");
}

#[test]
fn the_header_of_a_safetensors_file_is_a_listing_with_its_dtypes() {
    let header = r#"{"__metadata__": {"format": "pt"}, "a.weight": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}"#;
    let architecture = open(header).unwrap();
    assert_eq!(parameter(&architecture, "a.weight").dtype, Some(Dtype::Bf16));
    assert_eq!(architecture.parameters.len(), 1);
}

#[test]
fn ties_lead_to_the_owner_at_the_end_of_the_chain() {
    let architecture = open(
        r#"{"xfer": 1, "tensors": {"a": {"shape": [2], "tied_to": "b"}, "b": {"shape": [2], "tied_to": "c"}, "c": {"shape": [2]}}}"#,
    )
    .unwrap();
    assert_eq!(parameter(&architecture, "a").tied_to, Some(2));
    assert_eq!(parameter(&architecture, "b").tied_to, Some(2));
}

#[test]
fn a_wrong_listing_says_where() {
    let one = |tensor: &str| format!("{{\"xfer\": 1,\n \"tensors\": {{\n  \"a\": {tensor} }} }}");
    assert_wrong(&one(r#"{"shape": [2], ^"tide_to": "b"}"#), "unknown key `tide_to`; did you mean `tied_to`?");
    assert_wrong(&one(r#"^{"module": "Linear"}"#), "a tensor lacks the key `shape`");
    assert_wrong(&one(r#"{"shape": [2, ^-1]}"#), "`shape` must be a whole number from 0, found -1");
    assert_wrong(&one(r#"{"shape": ^3}"#), "`shape` must be a list");
    assert_wrong(&one(r#"{"shape": [2], "dtype": ^"float17"}"#), "unknown dtype `float17`");
    assert_wrong(&one(r#"{"shape": ^[4294967296, 4294967296]}"#), "larger than 64 bits can count");
    assert_wrong(&one(r#"{"shape": [2], "tied_to": ^"b"}"#), "`a` is tied to `b`, which is not listed");
    assert_wrong(&one(r#"{"shape": [2], "tied_to": ^"a"}"#), "the ties form a loop");
    assert_wrong(&one(r#"{"shape": [2], "tied_to": ^"b"}, "b": {"shape": [3]}"#), "but [2] is not [3]");
    assert_wrong(&one(r#"{"shape": [2]}, ^"a": {"shape": [3]}"#), "the key `a` appears twice");
    assert_wrong(&one(r#"{"shape": [2]}, ^"": {"shape": [3]}"#), "the name of a tensor is empty");
    assert_wrong(r#"{"xfer": ^2, "tensors": {}}"#, "`xfer` is 2, this xfer reads version 1");
    assert_wrong(r#"{"xfer": 1, "tensors": {}, ^"unsued": []}"#, "unknown key `unsued`; did you mean `unused`?");
    assert_wrong(r#"^{"tensor": 3}"#, "no architecture");

    assert!(open(r#"{"xfer": 1, "tensors": {}}"#).is_err());
}

#[test]
fn text_that_is_no_json_is_an_error_with_its_place() {
    assert_wrong("{\"xfer\": 1,\n  \"tensors\": {^]}}", "invalid JSON");
    assert_wrong("{\"xfer\": 1, ^// no comments\n \"tensors\": {}}", "invalid JSON");
    assert_wrong(&format!("{{\"a\": {}^{}", "[".repeat(126), "[".repeat(100_000)), "recursion limit exceeded");
    let error = open_with("arch.json", b"{\"a\": \"\xff\"}", &Flags::default()).err().unwrap();
    assert_eq!(error.to_string(), "arch.json: not UTF-8 at byte 7");
}
