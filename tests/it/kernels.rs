//! Weights of Keras, Flax and ONNX in PyTorch's layout, held to values with which PyTorch computes what the other library computes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::command::{Folder, Run, fixture, tensors};

type Tensors = BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>;

/// The rules of a fixture, and the values that they must give.
fn rules(name: &str) -> (Vec<serde_json::Value>, Tensors) {
    let rules = std::fs::read(fixture(name) + "/rules.json").unwrap();
    (serde_json::from_slice(&rules).unwrap(), tensors(Path::new(&fixture(name))))
}

fn text<'a>(rule: &'a serde_json::Value, key: &str) -> &'a str {
    rule[key].as_str().unwrap()
}

fn assert_same(made: &Tensors, expected: &Tensors) {
    let others = expected.iter().filter(|(name, value)| made.get(*name) != Some(value));
    assert_eq!(others.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(made.len(), expected.len());
}

/// Runs rules `to=from` on a file of a fixture, into a listing of these targets alone.
fn init(folder: &Folder, fixture_name: &str, file: &str, maps: &[(String, String)]) -> Run {
    let arch = std::fs::read(fixture(fixture_name) + "/arch.json").unwrap();
    let mut arch: serde_json::Value = serde_json::from_slice(&arch).unwrap();
    let wanted = arch["tensors"].as_object_mut().unwrap();
    wanted.retain(|name, _| maps.iter().any(|(to, _)| to == name));
    folder.write("arch.json", arch.to_string());
    let source = format!("{}/{file}", fixture(fixture_name));
    let mut command = vec!["init", "--from", &source, "--arch", "arch.json", "--out", "out", "--force"];
    // a rule for one layer leaves out the others
    command.extend(["--unused", "**"]);
    let rules: Vec<String> = maps.iter().map(|(to, from)| format!("{to}={from}")).collect();
    command.extend(rules.iter().flat_map(|rule| ["--map", rule]));
    folder.xfer(&command)
}

#[test]
fn every_layer_of_a_keras_archive_computes_in_pytorch_what_keras_computes() {
    let (rules, expected) = rules("keras");
    for key in ["name", "place"] {
        let folder = Folder::new();
        let maps: Vec<_> = rules.iter().map(|rule| (text(rule, "to").into(), text(rule, key).into())).collect();
        init(&folder, "keras", "model.keras", &maps).exits(0).prints("(100 %)");
        assert_same(&tensors(&folder.path("out")), &expected);
    }
}

#[test]
fn every_layer_of_an_old_keras_file_computes_in_pytorch_what_keras_computes() {
    let (rules, expected) = rules("keras");
    let folder = Folder::new();
    let maps: Vec<_> = rules.iter().map(|rule| (text(rule, "to").into(), text(rule, "old").into())).collect();
    init(&folder, "keras", "model.h5", &maps).exits(0).prints("(100 %)");
    assert_same(&tensors(&folder.path("out")), &expected);
}

/// A file of weights alone does not state the classes of layers: what one reading fits is right, a square matrix is refused, and of its
/// hints one is right.
#[test]
fn a_bare_file_of_keras_weights_gives_right_values_or_an_error() {
    let refused = right_or_hinted("keras", "model.weights.h5", "place");
    let square = ["square", "einsum", "attention.q", "attention.k", "attention.v", "attention.o"];
    assert_eq!(refused, square.map(|layer| format!("{layer}.weight")));
}

/// Operations of a rule never keep a kernel from the layout that its target has, and an explicit transposition is not followed by another.
#[test]
fn operations_of_a_rule_end_in_the_same_values() {
    let (_, expected) = rules("keras");
    for (to, from) in [
        ("square.weight", "square/kernel|reshape(4, 2, 2)|reshape(4, 4)"),
        ("square.weight", "square/kernel|transpose"),
        ("square.weight", "square/kernel|transpose|transpose"),
        ("square.weight", "square/kernel|reshape(2, 2, 4)|permute(2, 0, 1)|reshape(4, 4)"),
        ("square.weight", "square/kernel|narrow(0, 0, 4)"),
        ("wide.weight", "wide/kernel|affine(1, 0)"),
        ("einsum.weight", "einsum/kernel|reshape(4, 2, 2)|reshape(4, 4)"),
        ("conv2.weight", "conv2/kernel|reshape(9, 3, 3)|reshape(3, 3, 3, 3)"),
        ("conv2.weight", "conv2/kernel|permute(3, 2, 0, 1)"),
        ("up2.weight", "up2/kernel|permute(3, 2, 0, 1)"),
        ("depth.weight", "depth/kernel|permute(2, 3, 0, 1)|reshape(9, 1, 3, 3)"),
        ("attention.q.weight", "attention/query/kernel|reshape(6, 6)"),
        ("attention.q.weight", "attention/query/kernel|reshape(6, 6)|transpose"),
        ("attention.q.weight", "attention/query/kernel|permute(1, 2, 0)|reshape(6, 6)"),
        ("attention.o.weight", "attention/attention_output/kernel|reshape(6, 6)"),
        ("attention.q.bias", "attention/query/bias|reshape(6)"),
        ("lstm.weight_ih_l0", "lstm/lstm_cell/kernel|transpose"),
        ("gru.weight_ih_l0", "gru/gru_cell/kernel|transpose"),
        ("gru.weight_hh_l0", "gru/gru_cell/recurrent_kernel|reshape(4, 3, 4)|reshape(4, 12)"),
        ("gru.bias_hh_l0", "gru/gru_cell/bias|narrow(0, 1, 1)|reshape(12)"),
    ] {
        let folder = Folder::new();
        init(&folder, "keras", "model.keras", &[(to.into(), from.into())]).exits(0);
        assert!(tensors(&folder.path("out"))[to] == expected[to], "{to}={from}");
    }
}

#[test]
fn what_cannot_be_laid_out_is_refused_by_name() {
    for (to, from, words) in [
        ("square.weight", "square/kernel|reshape(2, 8)|transpose|reshape(4, 4)", "mixed in [4, 4]"),
        ("gru.weight_ih_l0", "gru/gru_cell/recurrent_kernel", "belongs to a GRU"),
        ("lstm.bias_ih_l0", "lstm/lstm_cell/kernel", "belongs to a LSTM"),
        ("wide.weight", "wide/kernel|reshape(5, 3)", "mixed in [5, 3]"),
        ("wide.weight", "square/kernel", "expected [5, 3], found [4, 4]"),
    ] {
        let folder = Folder::new();
        let run = init(&folder, "keras", "model.keras", &[(to.into(), from.into())]).exits(3);
        run.complains(words).complains(to);
    }
}

/// Every rule of a fixture alone: right values, or an error whose hints hold exactly one right rule. Which were refused.
fn right_or_hinted(fixture_name: &str, file: &str, key: &str) -> Vec<String> {
    let (rules, expected) = rules(fixture_name);
    let mut refused = Vec::new();
    for rule in &rules {
        let (to, name) = (text(rule, "to"), text(rule, key));
        let folder = Folder::new();
        let right = || tensors(&folder.path("out"))[to] == expected[to];
        let run = init(&folder, fixture_name, file, &[(to.into(), name.into())]);
        if run.code == 0 {
            assert!(right(), "{to}");
            continue;
        }
        let run = run.exits(3).complains(&format!("tensor {to}: "));
        refused.push(to.to_string());
        assert!(!run.stderr.contains("--map"), "a flag would choose for the user: {}", run.stderr);
        let hints = run.stderr.lines().filter_map(|line| line.strip_prefix("hint: the map rule `"));
        let hints: Vec<&str> = hints.filter_map(|hint| hint.split_once('`')).map(|(rule, _)| rule).collect();
        let pasted = hints.iter().filter(|hint| {
            let (to, from) = hint.split_once('=').unwrap();
            init(&folder, fixture_name, file, &[(to.into(), from.into())]).exits(0);
            right()
        });
        assert_eq!(pasted.count(), 1, "{to}: {hints:?}");
    }
    refused
}

/// Flax does not store `transpose_kernel`, which decides where inputs and outputs are equally many.
#[test]
fn every_layer_of_flax_computes_in_pytorch_what_flax_computes_or_is_refused() {
    assert_eq!(right_or_hinted("kernels/flax", "model.msgpack", "name"), ["up_square.weight", "turned_square.weight"]);
}

#[test]
fn products_and_recurrent_layers_of_onnx_compute_in_pytorch_what_they_compute_in_onnx() {
    let (rules, expected) = rules("kernels/onnx");
    let folder = Folder::new();
    let maps: Vec<_> = rules.iter().map(|rule| (text(rule, "to").into(), text(rule, "name").into())).collect();
    init(&folder, "kernels/onnx", "model.onnx", &maps).exits(0).prints("(100 %)");
    assert_same(&tensors(&folder.path("out")), &expected);
}

/// Flax's kernels in a file that does not state whose they are: a shape decides only where one layout fits.
#[test]
fn a_kernel_in_a_file_that_does_not_state_whose_it_is_is_laid_out_where_one_layout_fits() {
    let ramp = |count: usize| (0..count).map(|at| at as f32).collect::<Vec<f32>>();
    let file = crate::support::command::safetensors_file(&[
        ("a.kernel", &[2, 3], ramp(6)),
        ("b.kernel", &[3, 2], ramp(6)),
        ("c.kernel", &[2, 2], ramp(4)),
    ]);
    let init = |rule: &str, shape: &str| {
        let folder = Folder::new();
        folder.write("from.safetensors", &file);
        folder.write(
            "arch.json",
            format!(r#"{{"xfer": 1, "tensors": {{"w.weight": {{"shape": {shape}, "module": "Linear"}}}}}}"#),
        );
        let run =
            folder.xfer(&["init", "--from", "from.safetensors", "--arch", "arch.json", "--out", "out", "--map", rule]);
        let made = (run.code == 0).then(|| tensors(&folder.path("out"))["w.weight"].2.clone());
        let numbers =
            |bytes: Vec<u8>| bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        (run, made.map(numbers))
    };
    let made = |rule: &str, shape: &str| -> Vec<f32> { init(rule, shape).1.unwrap() };
    assert_eq!(made("w.weight=a.kernel", "[3, 2]"), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(made("w.weight=b.kernel", "[3, 2]"), ramp(6));
    let refused = init("w.weight=c.kernel", "[2, 2]").0.exits(3);
    refused
        .complains("the map rule `w.weight=c.kernel|transpose` is right")
        .complains("the map rule `w.weight=c.kernel|permute(0, 1)` is right");
    assert_eq!(made("w.weight=c.kernel|transpose", "[2, 2]"), [0.0, 2.0, 1.0, 3.0]);
    assert_eq!(made("w.weight=c.kernel|permute(0, 1)", "[2, 2]"), ramp(4));
}
