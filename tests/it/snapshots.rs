//! Whole outputs as a user sees them: exit code, stdout and stderr of a command in one file each below `snapshots/`.
//!
//! After an intended change of a text, `INSTA_UPDATE=always cargo test --test it snapshots` rewrites the files; read the diff.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use crate::support::command::{Folder, Run, fixture};
use crate::support::hub::{Fault, Host, Hub};
use serde_json::json;

/// Compares with the stored text of this name. Of the text, only the durations differ from run to run.
#[track_caller]
fn assert_output(name: &str, arguments: &[&str], run: &Run) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let words =
        arguments.iter().map(|word| if word.contains(['*', '(']) { format!("'{word}'") } else { (*word).into() });
    let line = words.collect::<Vec<String>>().join(" ");
    let (stdout, stderr) = (without_durations(&run.stdout), without_durations(&run.stderr));
    let text =
        format!("$ xfer {line}\nexit code: {}\n----- stdout -----\n{stdout}\n----- stderr -----\n{stderr}", run.code);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The text with `(0.1 s)` as `([TIME])`.
fn without_durations(text: &str) -> String {
    let is_duration = |inner: &str| inner.strip_suffix(" s").is_some_and(|number| number.parse::<f64>().is_ok());
    let mut parts = text.split_inclusive('(');
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |before, part| match part.split_once(')') {
        Some((inner, after)) if is_duration(inner) => format!("{before}[TIME]){after}"),
        _ => before + part,
    })
}

/// Runs a command in the folder and compares what came out.
#[track_caller]
fn snapshot(name: &str, folder: &Folder, arguments: &[&str], code: i32) {
    // the width of help texts
    let run = folder.xfer_with(arguments, &[("COLUMNS", "120")]).exits(code);
    assert_output(name, arguments, &run);
}

/// A folder with the tiny BERT in it, so that no path of this machine is in the output.
fn folder() -> Folder {
    let folder = Folder::new();
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"] {
        let file = PathBuf::from(fixture("tiny-bert")).join(name);
        folder.write(&format!("tiny-bert/{name}"), std::fs::read(file).unwrap());
    }
    folder
}

/// Four ReLU layers and a head of three classes.
fn network(folder: &Folder) {
    let layers = json!([
        { "repeat": 4, "name": "hidden", "layers": [
            { "type": "linear", "name": "fc", "out": 16 }, { "type": "relu" } ] },
        { "type": "linear", "name": "out", "out": 3, "role": "head" } ]);
    let file = json!({ "xfer": 1, "inputs": { "x": { "shape": ["batch", 8] } }, "layers": layers });
    folder.write("net.json", file.to_string());
}

const DEEPER: [&str; 7] = ["init", "--from", "tiny-bert", "--arch", "tiny-bert", "--set", "num_hidden_layers=4"];

#[test]
fn every_command_has_a_help_text() {
    let folder = Folder::new();
    let help = folder.xfer(&["--help"]).exits(0).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // a line with a deeper indentation continues the one before
    let commands =
        commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    let commands: Vec<&str> = commands.collect();
    assert!(commands.contains(&"init") && commands.contains(&"completions"), "{commands:?}");
    snapshot("help", &folder, &["--help"], 0);
    for command in commands.into_iter().filter(|command| *command != "help") {
        snapshot(&format!("help-{command}"), &folder, &[command, "--help"], 0);
    }
}

#[test]
fn a_report_lists_what_was_not_copied() {
    let folder = folder();
    let rules = ["--depth", "bert.encoder.layer=0,1,2,new", "--new", "bert.encoder.layer.3.**", "--init", "he_normal"];
    snapshot("report", &folder, &[&DEEPER[..], &rules, &["--out", "deeper"]].concat(), 0);
}

#[test]
fn a_dry_run_prints_the_plan() {
    let folder = folder();
    let fewer = ["init", "--from", "tiny-bert", "--arch", "tiny-bert", "--set", "num_hidden_layers=1"];
    snapshot("dry-run", &folder, &[&fewer[..], &["--dry-run", "--threads", "2"]].concat(), 0);
}

#[test]
fn the_operations_of_map_rules_are_listed() {
    snapshot("ops", &Folder::new(), &["arch", "--ops"], 0);
}

#[test]
fn a_check_finds_a_vanishing_signal() {
    let folder = Folder::new();
    network(&folder);
    snapshot("check", &folder, &["check", "net.json", "--init", "**.weight=normal(std=0.01)"], 4);
}

#[test]
fn each_exit_code_of_an_error_has_a_message() {
    let folder = folder();
    let copy = ["init", "--from", "tiny-bert", "--arch", "tiny-bert"];
    // nobody may create a folder there, not even root
    snapshot("exit-1", &folder, &[&copy[..], &["--out", "/proc/out"]].concat(), 1);
    snapshot("exit-2", &folder, &copy, 2);
    folder.write("broken.json", "{\n  \"xfer\": 1,\n  \"layerz\": []\n}");
    snapshot("exit-3", &folder, &["init", "--from", "tiny-bert", "--arch", "broken.json"], 3);
    snapshot("exit-4", &folder, &[&DEEPER[..], &["--out", "deeper"]].concat(), 4);
    snapshot("exit-5", &folder, &["init", "--from", "bert-bose", "--arch", "tiny-bert", "--out", "o"], 5);
    let hub = Hub::start();
    hub.fail(Host::Endpoint, "GET", "/api/models", usize::MAX, Fault::Status(503, vec![("Retry-After", "0".into())]));
    let inspect = ["inspect", "acme/model"];
    let mut run = folder.xfer_with(&inspect, &[("HF_ENDPOINT", &hub.endpoint())]).exits(75);
    run.stderr = run.stderr.replace(&hub.endpoint(), "[HUB]");
    assert_output("exit-75", &inspect, &run);
}

#[test]
fn a_comparison_prints_a_line_for_each_strategy() {
    let folder = Folder::new();
    for name in ["mlp3.json", "digits.npz"] {
        folder.write(name, std::fs::read(fixture(&format!("digits/{name}"))).unwrap());
    }
    let schemes = ["--init", "he_normal", "--init", "zeros"];
    let short = ["--epochs", "2", "--seeds", "1", "--lr", "0.03"];
    let command = ["compare", "--arch", "mlp3.json", "--data", "digits.npz"];
    snapshot("compare", &folder, &[&command[..], &schemes, &short].concat(), 0);
}
