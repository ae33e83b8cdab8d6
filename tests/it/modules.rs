//! Modules that move as a whole, sequences that are aligned, and sources that are damaged: as a user sees them.

use crate::support::command::{Folder, Run, safetensors_file, tensors};

/// Tensors whose values say where they are: the first is 0.5, and each further one 1 more.
fn source(folder: &Folder, named: &[(&str, &[usize])]) {
    let filled = named.iter().enumerate().map(|(at, (name, shape))| {
        let count = shape.iter().product();
        (*name, *shape, vec![at as f32 + 0.5; count])
    });
    folder.write("source/model.safetensors", safetensors_file(&filled.collect::<Vec<_>>()));
}

fn listing(folder: &Folder, named: &[(&str, &[usize])]) {
    let tensors: serde_json::Map<String, serde_json::Value> =
        named.iter().map(|(name, shape)| (name.to_string(), serde_json::json!({ "shape": shape }))).collect();
    folder.write("arch.json", serde_json::json!({ "xfer": 1, "tensors": tensors }).to_string());
}

fn init(folder: &Folder, more: &[&str]) -> Run {
    folder.xfer(&[&["init", "--from", "source", "--arch", "arch.json", "--out", "out"][..], more].concat())
}

/// The first value of a tensor of the output.
fn value(folder: &Folder, name: &str) -> f32 {
    let (_, _, bytes) = &tensors(&folder.path("out"))[name];
    f32::from_le_bytes(bytes[..4].try_into().unwrap())
}

const TRUNK: (&str, &[usize]) = ("trunk.weight", &[8, 8]);

#[test]
fn mismatched_modules_are_counted_in_the_first_lines_and_in_the_last() {
    let folder = Folder::new();
    source(&folder, &[TRUNK, ("fc.weight", &[3, 4]), ("fc.bias", &[3]), ("cls", &[1, 4])]);
    listing(&folder, &[TRUNK, ("fc.weight", &[3, 5]), ("fc.bias", &[3]), ("cls", &[1, 6]), ("more.weight", &[2, 2])]);
    let run = init(&folder, &["--html", "page.html"]).exits(0);
    let head: Vec<&str> = run.stdout.lines().take(8).map(str::trim).collect();
    assert_eq!(head[1].split_whitespace().take(2).collect::<Vec<_>>(), ["copied", "1"]);
    assert_eq!(head[2].split_whitespace().take(2).collect::<Vec<_>>(), ["new", "1"]);
    assert_eq!(head[3].split_whitespace().take(2).collect::<Vec<_>>(), ["mismatched", "3"]);
    assert_eq!(head[4], "fc  weight: expected [3, 5], found [3, 4]; bias with it");
    assert_eq!(head[5], "cls  expected [1, 6], found [1, 4]");
    let last = run.stdout.lines().last().unwrap();
    assert!(last.starts_with("out is written; 2 mismatched modules were newly initialised ("), "{last}");
    assert_ne!(value(&folder, "fc.bias"), 2.5, "the bias of another layer");
    let page = std::fs::read_to_string(folder.path("page.html")).unwrap();
    for words in
        ["<h2>Mismatched</h2>", "mismatched: 3 tensors", "fc  weight: expected [3, 5], found [3, 4]; bias with it"]
    {
        assert!(page.contains(words), "{words}");
    }
    init(&folder, &[]).exits(0).prints("is already up to date, in which 2 mismatched modules were newly initialised");
    folder.xfer(&["verify", "out"]).exits(0);
    folder.xfer(&["explain", "out", "fc.bias"]).exits(0).prints("the module fc is newly initialised");
}

#[test]
fn the_json_counts_mismatched_modules_beside_what_it_had() {
    let folder = Folder::new();
    source(&folder, &[TRUNK, ("h.0.fc.weight", &[3, 4]), ("h.1.fc.weight", &[3, 4])]);
    listing(&folder, &[TRUNK, ("h.0.fc.weight", &[3, 5]), ("h.1.fc.weight", &[3, 5])]);
    let report = init(&folder, &["--json", "--min-coverage", "0"]).exits(0).json();
    assert_eq!(report["coverage"]["tensors"]["new"], 2);
    assert_eq!(report["coverage"]["tensors"]["mismatched"], 2);
    assert_eq!(report["coverage"]["parameters"]["mismatched"], 30);
    assert_eq!(report["groups"]["mismatched"][0], "h.{0-1}.fc.weight");
    assert_eq!(report["mismatched"][1]["module"], "h.1.fc");
    assert_eq!(report["mismatched"][1]["tensors"][0]["found"], serde_json::json!([3, 4]));
    assert_eq!(report["tensors"][1]["mismatched"]["found"], serde_json::json!([3, 4]));
}

#[test]
fn a_report_written_before_modules_were_counted_is_read() {
    let folder = Folder::new();
    source(&folder, &[TRUNK]);
    listing(&folder, &[TRUNK]);
    init(&folder, &[]).exits(0).prints("is ready to fine-tune");
    let text = std::fs::read_to_string(folder.path("out/xfer.json")).unwrap();
    let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
    old.as_object_mut().unwrap().remove("mismatched");
    old["groups"].as_object_mut().unwrap().remove("mismatched");
    for axis in ["tensors", "parameters"] {
        old["coverage"][axis].as_object_mut().unwrap().remove("mismatched");
    }
    folder.write("out/xfer.json", old.to_string());
    folder.xfer(&["verify", "out"]).exits(0);
}

#[test]
fn a_plan_keeps_what_is_mismatched() {
    let folder = Folder::new();
    source(&folder, &[TRUNK, ("fc.weight", &[3, 4])]);
    listing(&folder, &[TRUNK, ("fc.weight", &[3, 5])]);
    init(&folder, &["--dry-run", "--plan", "plan.json"]).exits(0);
    folder.xfer(&["run", "plan.json", "--out", "out"]).exits(0).prints("1 mismatched module was newly initialised");
}

#[test]
fn a_convolution_follows_its_place_in_the_order_and_not_its_index() {
    let folder = Folder::new();
    source(
        &folder,
        &[("f.0.weight", &[8, 3, 3, 3]), ("f.0.bias", &[8]), ("f.2.weight", &[8, 8, 3, 3]), ("f.2.bias", &[8])],
    );
    let norm: Vec<String> = ["weight", "bias", "running_mean", "running_var"].map(|name| format!("f.1.{name}")).into();
    let mut target: Vec<(&str, &[usize])> = vec![("f.0.weight", &[8, 3, 3, 3]), ("f.0.bias", &[8])];
    target.extend(norm.iter().map(|name| (name.as_str(), &[8usize] as &[usize])));
    target.extend([("f.3.weight", &[8usize, 8, 3, 3] as &[usize]), ("f.3.bias", &[8])]);
    listing(&folder, &target);
    init(&folder, &[])
        .exits(0)
        .complains("the layers of `f` have other indices in the source and are matched by their order: 3 from 2");
    assert_eq!(
        [value(&folder, "f.0.weight"), value(&folder, "f.3.weight"), value(&folder, "f.3.bias")],
        [0.5, 2.5, 3.5]
    );
    folder.xfer(&["explain", "out", "f.3.weight"]).exits(0).prints("the place in the order of a sequence");
}

#[test]
fn a_layer_more_of_the_same_shape_is_refused_until_it_is_declared() {
    let folder = Folder::new();
    source(&folder, &[("n.0.weight", &[4, 4]), ("n.2.weight", &[4, 4])]);
    listing(&folder, &[("n.0.weight", &[4, 4]), ("n.2.weight", &[4, 4]), ("n.4.weight", &[4, 4])]);
    init(&folder, &[]).exits(4).complains("n.0.weight, n.2.weight, n.4.weight");
    init(&folder, &["--new", "n.0.*"]).exits(0);
    assert_eq!([value(&folder, "n.2.weight"), value(&folder, "n.4.weight")], [0.5, 1.5]);
}

#[test]
fn damage_is_an_error_that_names_the_tensor_and_both_shapes() {
    let layers = |odd: &'static [usize]| -> Vec<(&str, &[usize])> {
        vec![TRUNK, ("h.0.up.weight", &[6, 4]), ("h.1.up.weight", odd), ("h.2.up.weight", &[6, 4])]
    };
    let folder = Folder::new();
    listing(&folder, &layers(&[6, 4]));
    source(&folder, &layers(&[4, 4]));
    let run = init(&folder, &[]).exits(4);
    run.complains("tensor h.1.up.weight: expected [6, 4] as in layers {0, 2} of the source, found [4, 4]");
    source(&folder, &layers(&[0]));
    init(&folder, &[])
        .exits(4)
        .complains("tensor h.1.up.weight: expected [6, 4], found [0]")
        .complains("zero_to_fp32.py");
    init(&folder, &["--new", "h.1.up.weight"]).exits(0);
}
