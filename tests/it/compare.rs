//! `xfer compare` as a user sees it, on scikit-learn's digits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use crate::support::command::{Folder, fixture, safetensors_file};
use serde_json::{Value, json};

fn digits(depth: u32) -> [String; 2] {
    [fixture(&format!("digits/mlp{depth}.json")), fixture("digits/digits.npz")]
}

/// Accuracies by strategy.
fn accuracies(found: &Value) -> BTreeMap<String, Vec<f64>> {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in found["strategies"].as_array().unwrap() {
        let strategy = run["strategy"].as_str().unwrap().to_string();
        all.entry(strategy).or_default().push(run["accuracy"].as_f64().unwrap());
    }
    all
}

/// He, Zhang, Ren and Sun 2015, figure 3: thirty layers learn from He's initialisation and stall from Xavier's.
#[test]
fn thirty_relu_layers_learn_from_he_and_lsuv_and_not_from_xavier() {
    let [arch, data] = digits(30);
    let schemes = ["--init", "he_normal", "--init", "lsuv", "--init", "xavier_normal", "--init", "orthogonal"];
    let command = ["compare", "--arch", &arch, "--data", &data, "--seeds", "1", "--json"];
    let found = Folder::new().xfer(&[&command[..], &schemes].concat()).exits(0).json();
    let accuracy = accuracies(&found);
    assert!(accuracy["he_normal"][0] > 0.4, "{accuracy:?}");
    assert!(accuracy["lsuv"][0] > 0.4, "{accuracy:?}");
    assert!(accuracy["xavier_normal"][0] < 0.25, "{accuracy:?}");
    assert!(accuracy["orthogonal"][0] < 0.2, "{accuracy:?}");
}

#[test]
fn three_layers_learn_from_everything_but_zeros_and_constants() {
    let [arch, data] = digits(3);
    let schemes = ["zeros", "constant(0.1)", "xavier_normal", "he_normal", "lsuv", "orthogonal"];
    let schemes: Vec<&str> = schemes.iter().flat_map(|scheme| ["--init", *scheme]).collect();
    let command = ["compare", "--arch", &arch, "--data", &data, "--seeds", "1", "--json"];
    let found = Folder::new().xfer(&[&command[..], &schemes].concat()).exits(0).json();
    for (strategy, accuracy) in accuracies(&found) {
        let learns = !["zeros", "constant(0.1)"].contains(&strategy.as_str());
        assert_eq!(accuracy[0] > 0.9, learns, "{strategy}: {accuracy:?}");
    }
    let run = &found["strategies"][2];
    assert_eq!(run["curve"].as_array().unwrap().len(), 16);
    assert_eq!((&run["curve"][0], &run["curve"][15]), (&run["initial_loss"], &run["final_loss"]));
    assert_eq!(run["diverged"], false);
    assert!(run["steps"].as_u64().unwrap() < 345);
}

#[test]
fn the_same_trainings_give_the_same_numbers_on_any_number_of_threads() {
    let [arch, data] = digits(3);
    let run = |threads: &str| {
        let command = ["compare", "--arch", &arch, "--data", &data, "--epochs", "2", "--json", "--threads", threads];
        Folder::new().xfer(&command).exits(0).stdout
    };
    let one = run("1");
    assert_eq!(one, run("3"));
    let found: Value = serde_json::from_str(&one).unwrap();
    let names = ["zeros", "small normal", "xavier", "he", "lsuv"];
    let found: Vec<&str> =
        found["strategies"].as_array().unwrap().iter().map(|run| run["strategy"].as_str().unwrap()).collect();
    assert_eq!(found, names.map(|name| [name; 3]).concat());
}

#[test]
fn a_large_step_diverges_and_is_said_to() {
    let [arch, data] = digits(3);
    let command = ["compare", "--arch", &arch, "--data", &data, "--init", "he_normal", "--seeds", "1", "--lr", "50"];
    let found = Folder::new().xfer(&[&command[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(found["strategies"][0]["diverged"], true, "{found}");
    Folder::new().xfer(&command).exits(0).prints("1 of 1");
}

#[test]
fn what_was_trained_before_starts_better_than_anything_from_scratch() {
    let folder = Folder::new();
    regression(&folder, 40, &[40, 1]);
    folder.xfer(&["init", "--from", "none", "--arch", "net.json", "--out", "trained"]).exits(0);
    let command = ["compare", "--arch", "net.json", "--data", "data.safetensors", "--from", "trained", "--json"];
    let found = folder.xfer(&[&command[..], &["--init", "he_normal", "--seeds", "2"]].concat()).exits(0).json();
    let runs = found["strategies"].as_array().unwrap();
    assert_eq!(runs.iter().filter(|run| run["strategy"] == "pretrained").count(), 2);
    assert!(runs.iter().all(|run| run["accuracy"].is_null() && run["final_loss"].is_f64()), "{found}");
    assert!(runs.iter().all(|run| run["final_loss"].as_f64() < run["initial_loss"].as_f64()), "{found}");
    let initial = |seed: u64| {
        let of = |run: &&Value| run["strategy"] == "pretrained" && run["seed"] == seed;
        runs.iter().find(of).unwrap()["initial_loss"].clone()
    };
    assert_eq!(initial(0), initial(1), "a transferred model does not depend on the seed");
}

/// A small net with one output, and `examples` of its inputs with targets of this shape.
fn regression(folder: &Folder, examples: usize, targets: &[usize]) {
    let layers = json!([{ "type": "linear", "name": "fc", "out": 8 }, { "type": "tanh" },
                        { "type": "linear", "name": "out", "out": 1 }]);
    let file = json!({ "xfer": 1, "inputs": { "x": { "shape": ["batch", 3] } }, "layers": layers });
    folder.write("net.json", file.to_string());
    let x: Vec<f32> = (0..examples * 3).map(|i| ((i * 29 % 17) as f32 - 8.0) / 8.0).collect();
    let sums: Vec<f32> = x.chunks(3).map(|row| row.iter().sum()).collect();
    let answers = sums.iter().cycle().take(targets.iter().product()).copied().collect();
    folder.write("data.safetensors", safetensors_file(&[("x", &[examples, 3], x), ("targets", targets, answers)]));
}

#[test]
fn data_that_cannot_be_learnt_from_is_refused_by_name() {
    let folder = Folder::new();
    let run = || folder.xfer(&["compare", "--arch", "net.json", "--data", "data.safetensors", "--seeds", "1"]);
    regression(&folder, 40, &[39, 1]);
    run().exits(3).complains("array targets f32 [39, 1]: 39 answers for 40 examples");
    regression(&folder, 40, &[40, 2]);
    run().exits(3).complains("array targets: expected [40, 1], found [40, 2]");
    regression(&folder, 1, &[1, 1]);
    run().exits(3).complains("1 examples are too few");
    folder.write("data.safetensors", safetensors_file(&[("x", &[2, 3], vec![0.0; 6])]));
    run().exits(3).complains("neither `labels` (i64 classes) nor `targets` (f32)");
    folder.write("data.safetensors", safetensors_file(&[("x", &[2, 3], vec![0.0; 6]), ("label", &[2], vec![0.0; 2])]));
    run().exits(3).complains("array label is not an input of the model");
    let nan = safetensors_file(&[("x", &[2, 3], vec![0.0; 6]), ("targets", &[2, 1], vec![f32::NAN, 1.0])]);
    folder.write("data.safetensors", nan);
    run().exits(3).complains("array targets f32 [2, 1]: 1 elements are NaN or infinite");
    folder.xfer(&["compare", "--arch", "net.json", "--data", "random:8"]).exits(3).complains("neither `labels`");
    folder.xfer(&["compare", "--arch", "net.json"]).exits(2).complains("--data");
}

#[cfg(unix)]
#[test]
fn an_interrupted_comparison_prints_what_there_is() {
    let [arch, data] = digits(30);
    let folder = Folder::new();
    let mut command = folder.command(&["compare", "--arch", &arch, "--data", &data, "--epochs", "100000"], &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(printed.contains("zeros"), "{printed}");
}
