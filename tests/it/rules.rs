//! A rule does what it says, or the command fails and names the tensor: as a user sees it.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::command::{Folder, Run, fixture, safetensors_file, tensors};

/// A folder with a safetensors file `from.safetensors` and a listing `arch.json`.
fn folder(stored: &[(&str, &[usize])], arch: &str) -> Folder {
    let folder = Folder::new();
    let ramp = |shape: &[usize]| (0..shape.iter().product::<usize>()).map(|at| at as f32).collect::<Vec<f32>>();
    let stored: Vec<_> = stored.iter().map(|(name, shape)| (*name, *shape, ramp(shape))).collect();
    folder.write("from.safetensors", safetensors_file(&stored));
    folder.write("arch.json", format!("{{\"xfer\": 1, {arch}}}"));
    folder
}

fn init(folder: &Folder, flags: &[&str]) -> Run {
    let command = ["init", "--from", "from.safetensors", "--arch", "arch.json", "--out", "out"];
    folder.xfer(&[&command[..], flags].concat())
}

#[test]
fn a_later_rule_without_a_source_does_not_hide_an_earlier_one() {
    let arch = r#""tensors": {"bn.weight": {"shape": [4], "module": "BatchNorm2d"}, "out.weight": {"shape": [4, 8], "module": "Linear"}}"#;
    let folder = folder(&[("p.bn.scale", &[4]), ("p.out.w", &[4, 8])], arch);
    let flags = ["--map", "{p}.weight=p.{p}.scale", "--map", "{p}.weight=p.{p}.w"];
    init(&folder, &flags).exits(0).prints("(100 %)");
    let made = tensors(&folder.path("out"));
    assert_eq!(made["bn.weight"].2, tensors(&folder.path(""))["p.bn.scale"].2);
}

#[test]
fn a_rule_whose_source_does_not_fit_fails_with_both_shapes_and_its_hint_makes_the_tensor_new() {
    let arch = r#""tensors": {"a.weight": {"shape": [4, 8], "module": "Linear"}, "b.weight": {"shape": [4], "module": "LayerNorm"}}"#;
    let folder = folder(&[("old.a.weight", &[4, 9]), ("old.b.weight", &[4])], arch);
    let failed = init(&folder, &["--map", "**=old.**"]).exits(3);
    let failed = failed.complains("tensor a.weight").complains("expected [4, 8], found [4, 9] for old.a.weight");
    failed.complains("hint: a later rule makes it new: --map 'a.weight=null'");
    init(&folder, &["--map", "**=old.**", "--map", "a.weight=null", "--min-coverage", "0"]).exits(0);
}

#[test]
fn positions_on_a_table_with_an_axis_in_front_are_interpolated() {
    let adapt = r#""adapt": [{"match": "pos", "positions": "interpolate"}]"#;
    let arch = format!(r#""tensors": {{"pos": {{"shape": [1, 6, 1]}}, "n.weight": {{"shape": [30]}}}}, {adapt}"#);
    let folder = folder(&[("pos", &[1, 3, 1]), ("n.weight", &[30])], &arch);
    init(&folder, &[]).exits(0);
    let made = &tensors(&folder.path("out"))["pos"];
    let numbers: Vec<f32> = made.2.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    // torch.nn.functional.interpolate(mode="linear", align_corners=False) of 0, 1, 2
    assert_eq!((made.1.as_slice(), numbers), (&[1, 6, 1][..], vec![0.0, 0.25, 0.75, 1.25, 1.75, 2.0]));
}

#[test]
fn an_adapt_rule_that_cannot_act_names_tensor_and_key() {
    for (adapt, words) in [
        (r#"{"match": "pos", "positions": "interpolate"}"#, "17 and 37 positions are 4 × 4 and 6 × 6 cells"),
        (
            r#"{"match": "pos", "heads": "mean"}"#,
            "tensor pos: expected [1, 37, 8], found [1, 17, 8]: the adapt rule `heads`",
        ),
        (r#"{"match": "pos", "grid": [[4, 4], [6, 6]]}"#, "unknown key `grid`"),
        (r#"{"match": "pos", "positions": "interpolate", "prefix": [1, 2]}"#, "tensor pos: the adapt rule `prefix`"),
        (r#"{"match": "new", "rows": "zeros"}"#, "`new`: no tensor that it matches has a source to adapt"),
    ] {
        let arch =
            r#""tensors": {"pos": {"shape": [1, 37, 8]}, "n.weight": {"shape": [900]}, "new": {"shape": [3, 8]}}"#;
        let folder = folder(&[("pos", &[1, 17, 8]), ("n.weight", &[900])], &format!(r#"{arch}, "adapt": [{adapt}]"#));
        init(&folder, &["--min-coverage", "0"]).exits(3).complains(words);
    }
}

#[test]
fn rules_beside_the_keys_of_a_hugging_face_config_are_refused() {
    let config = std::fs::read_to_string(fixture("tiny-bert") + "/config.json").unwrap();
    for rule in ["map", "adapt", "vocab", "depth", "labels", "init", "new", "unused", "width", "experts"] {
        let folder = Folder::new();
        let mut wrong: serde_json::Value = serde_json::from_str(&config).unwrap();
        wrong[rule] = serde_json::json!([]);
        folder.write("c.json", wrong.to_string());
        let run = folder.xfer(&["init", "--from", &fixture("tiny-bert"), "--arch", "c.json", "--out", "o"]).exits(3);
        run.complains(&format!("`{rule}` is a rule of xfer")).complains("\"xfer\": {");
    }
}

#[test]
fn an_initialisation_that_reaches_no_head_says_which_flag_does() {
    let folder = Folder::new();
    let mut config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("tiny-bert") + "/config.json").unwrap()).unwrap();
    config["architectures"] = serde_json::json!(["BertForMaskedLM"]);
    config["vocab_size"] = serde_json::json!(50);
    folder.write("c.json", config.to_string());
    let arch = r#"{"xfer": 1, "inputs": {"x": {"shape": ["batch", 4]}}, "layers": [
        {"type": "linear", "name": "body", "out": 8}, {"type": "linear", "name": "top", "out": 3, "role": "head"}]}"#;
    folder.write("net.json", arch);
    folder.write(
        "w.safetensors",
        safetensors_file(&[("body.weight", &[8, 4], vec![0.5; 32]), ("body.bias", &[8], vec![0.5; 8])]),
    );
    let command = ["init", "--from", "w.safetensors", "--arch", "net.json", "--out", "out", "--init", "he_normal"];
    let run = folder.xfer(&command).exits(0);
    run.complains("top.weight is new and in a head").complains("`--init 'top.weight=he_normal'` reaches it");
    let flagged = [&command[..7], &["--force", "--init", "top.weight=he_normal"]].concat();
    let run = folder.xfer(&flagged).exits(0).prints("he_normal");
    assert!(!run.stderr.contains("nothing is drawn"), "{}", run.stderr);
}
