//! Whatever stands in a file, a terminal sees letters, and only xfer begins a line with `error:`, `hint:` or `warning:`.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use safetensors::tensor::{Dtype, TensorView};

use crate::support::command::{Folder, Run};

/// Characters that move a cursor, end a line, change the direction, or cannot be seen.
const HOSTILE: &[&str] = &[
    "\n", "\r", "\u{1b}[31m", "\u{1b}]0;t\u{7}", "\0", "\u{7}", "\u{8}", "\t", "\u{b}", "\u{7f}", "\u{85}", "\u{9b}2J",
    "\u{202e}", "\u{2066}", "\u{200b}", "\u{feff}", "\u{2028}", "\u{2029}", "\u{e0041}", "\u{ad}", "\r\n",
];

/// What a forged line would say.
const FAKE: &[&str] = &["error: fake", "hint: fake", "warning: fake", "ready to fine-tune", "x"];

fn piece() -> impl Strategy<Value = String> {
    (prop::sample::select(HOSTILE), prop::sample::select(FAKE)).prop_map(|(control, fake)| format!("{control}{fake}"))
}

fn name() -> impl Strategy<Value = String> {
    ("[a-c]", prop::collection::vec(piece(), 1..3), "[a-c]?")
        .prop_map(|(a, pieces, b)| format!("{a}{}{b}", pieces.concat()))
}

/// A safetensors file with one matrix and one vector of this module, and with this metadata.
fn checkpoint(module: &str, rows: usize, key: &str, value: &str) -> Vec<u8> {
    let (weight, bias) = (vec![0; rows * 8], vec![0; rows * 4]);
    let views = [
        (format!("{module}.weight"), TensorView::new(Dtype::F32, vec![rows, 2], &weight).unwrap()),
        (format!("{module}.bias"), TensorView::new(Dtype::F32, vec![rows], &bias).unwrap()),
    ];
    let metadata = [(key.to_string(), value.to_string())].into_iter().collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

#[track_caller]
fn shows_letters_only(run: &Run, arguments: &[&str]) {
    for (stream, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        let is_hostile = |letter: char| {
            letter.is_control()
                || HOSTILE.iter().any(|hostile| hostile.chars().count() == 1 && hostile.contains(letter))
        };
        for line in text.split('\n') {
            assert!(!line.contains(is_hostile), "{arguments:?} {stream}: {line:?}");
            let fake = FAKE.iter().find(|fake| line.trim_start().starts_with(**fake) && fake.len() > 1);
            assert_eq!(fake, None, "{arguments:?} {stream}: {line:?}");
        }
    }
}

/// Every command over files whose names and values are these.
fn every_command(module: &str, other: &str, text: &str) {
    let folder = Folder::new();
    folder.write("a.safetensors", checkpoint(module, 3, text, other));
    folder.write("b.safetensors", checkpoint(module, 4, other, text));
    folder.write("c.safetensors", checkpoint(other, 4, other, text));
    let listing = serde_json::json!({ "xfer": 1, "tensors": {
        format!("{module}.weight"): { "shape": [3, 2], "module": "Linear" }, format!("{module}.bias"): { "shape": [3] },
        format!("{other}.weight"): { "shape": [5, 2], "module": "Linear" }, format!("{text}.bias"): { "shape": [5] } } });
    folder.write("listing.json", listing.to_string());
    let layers = serde_json::json!({ "xfer": 1, "name": text, "inputs": { text: { "shape": ["batch", 2] } },
        "layers": [{ "name": module, "type": "linear", "out": 3 }, { "name": other, "type": text }] });
    folder.write("layers.json", layers.to_string());
    folder.write("config.json", serde_json::json!({ "model_type": text, "architectures": [other] }).to_string());
    folder.write("bert.json", serde_json::json!({ "model_type": "bert", "hidden_act": text, other: 1 }).to_string());
    folder.write("not.json", format!("{{\"{}\": }}", text.replace(|c: char| c.is_control(), " ")));
    let explained = format!("{module}.weight");
    let commands: &[&[&str]] = &[
        &["convert", "a.safetensors", "a.pt"],
        &["convert", "a.safetensors", "a.npz"],
        &["convert", "a.safetensors", "dir"],
        &["convert", "a.safetensors", "a.pt", "--to", "timm"],
        &["inspect", "a.safetensors"],
        &["inspect", "a.safetensors", "--json"],
        &["inspect", "a.safetensors", "--stats"],
        &["inspect", "a.pt"],
        &["inspect", "a.npz", "--stats"],
        &["inspect", "dir"],
        &["inspect", "a.pt", "--key", "nothing"],
        &["diff", "a.safetensors", "b.safetensors"],
        &["diff", "a.safetensors", "c.safetensors", "--values"],
        &["diff", "a.pt", "c.safetensors", "--json"],
        &["arch", "listing.json"],
        &["arch", "layers.json"],
        &["arch", "config.json"],
        &["arch", "bert.json"],
        &["arch", "not.json"],
        &["arch", "a.safetensors"],
        &["init", "--from", "a.safetensors", "--arch", "listing.json", "--dry-run"],
        &["init", "--from", "a.pt", "--arch", "listing.json", "--min-coverage", "0", "--out", "o", "--strict"],
        &["init", "--from", "a.npz", "--arch", "listing.json", "--min-coverage", "0", "--out", "o", "-v"],
        &["init", "--from", "b.safetensors", "--arch", "listing.json", "--min-coverage", "0", "--out", "p", "--json"],
        &["init", "--from", "c.safetensors", "--arch", "a.safetensors", "--out", "q"],
        &["init", "--from", "a.safetensors", "--arch", "a.safetensors", "--out", "r", "--plan", "plan.json", "-v"],
        &["run", "plan.json", "--out", "s"],
        &["explain", "r", &explained],
        &["explain", "r", &explained, "--json"],
        &["explain", "plan.json", "nothing"],
        &["verify", "r"],
        &["verify", "r", "--json"],
        &["verify", "p"],
        &["check", "layers.json"],
    ];
    for arguments in commands {
        if arguments.iter().any(|argument| argument.contains('\0')) {
            continue; // no system passes it on
        }
        let run = folder.xfer(arguments);
        shows_letters_only(&run, arguments);
        assert!(run.code >= 0, "{arguments:?} ended by a signal or a panic");
        assert_ne!(run.code, 101, "{arguments:?}: {}", run.stderr);
        if arguments.contains(&"--json") && run.code == 0 {
            run.json();
        }
    }
    let html = ["init", "--from", "a.safetensors", "--arch", "a.safetensors", "--out", "t", "--html", "t.html"];
    folder.xfer(&html).exits(0);
    let page = std::fs::read_to_string(folder.path("t.html")).unwrap();
    assert!(!page.contains(|letter: char| letter.is_control() && letter != '\n'), "a page with control characters");
}

#[test]
fn no_command_shows_a_control_character_of_a_file_or_a_line_that_xfer_did_not_begin() {
    let mut runner = TestRunner::new(Config { cases: 4, failure_persistence: None, ..Config::default() });
    let names = (name(), name(), name()).prop_filter("different", |(a, b, c)| a != b && b != c && a != c);
    runner
        .run(&names, |(module, other, text)| {
            every_command(&module, &other, &text);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_tensor_called_like_an_error_prints_none() {
    let folder = Folder::new();
    folder.write("m.safetensors", checkpoint("a\nerror: fake\u{1b}[31m", 2, "k", "v"));
    let run = folder.xfer(&["inspect", "m.safetensors"]).exits(0);
    assert!(run.stdout.contains("a\\nerror: fake\\u{1b}[31m"), "{}", run.stdout);
    assert!(!run.stdout.lines().any(|line| line.starts_with("error:")));
    let json = folder.xfer(&["inspect", "m.safetensors", "--json"]).exits(0).json();
    assert_eq!(json["tensors"][0]["name"], "a\nerror: fake\u{1b}[31m.bias", "JSON keeps the name");
}
