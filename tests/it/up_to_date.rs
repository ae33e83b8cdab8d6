//! What counts as already written: names, shapes, types and bytes, of the weights and of everything beside them.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use safetensors::tensor::{Dtype, TensorView};

use crate::support::command::{Folder, contents, fixture, tensors};

const TYPES: &[(Dtype, usize)] = &[(Dtype::F32, 4), (Dtype::I32, 4), (Dtype::F16, 2), (Dtype::I16, 2), (Dtype::U8, 1)];

fn file(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let views = [("w", TensorView::new(dtype, shape.to_vec(), bytes).unwrap())];
    safetensors::serialize(views, None).unwrap()
}

/// The same bytes in two shapes or two types.
fn two_readings() -> impl Strategy<Value = [(Dtype, Vec<usize>); 2]> {
    let reading = || {
        (prop::sample::select(TYPES), 0..4usize).prop_map(|((dtype, size), split)| {
            let elements = 48 / size;
            let shape =
                [vec![elements], vec![2, elements / 2], vec![elements / 2, 2], vec![1, elements]][split].clone();
            (dtype, shape)
        })
    };
    [reading(), reading()].prop_filter("two readings", |[a, b]| a != b)
}

#[test]
fn the_same_bytes_in_another_shape_or_type_are_written_anew() {
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let bytes: Vec<u8> = (0..48).collect();
    let run = runner.run(&two_readings(), |[(first, one), (second, other)]| {
        let folder = Folder::new();
        folder.write("a.safetensors", file(first, &one, &bytes));
        folder.write("b.safetensors", file(second, &other, &bytes));
        for out in ["x.pt", "x.npz", "x.safetensors", "x"] {
            folder.xfer(&["convert", "a.safetensors", out]).exits(0);
            folder.xfer(&["convert", "a.safetensors", out]).exits(0).prints("already up to date");
            folder.xfer(&["convert", "b.safetensors", out]).exits(3).complains("--force");
            let run = folder.xfer(&["convert", "b.safetensors", out, "--force"]).exits(0);
            assert!(!run.stdout.contains("up to date"), "{out}: {first:?} {one:?} for {second:?} {other:?}");
            folder.xfer(&["diff", "b.safetensors", out, "--values"]).exits(0);
        }
        Ok(())
    });
    run.unwrap();
}

#[test]
fn a_file_in_which_any_byte_differs_is_not_up_to_date() {
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..48).collect();
    folder.write("a.safetensors", file(Dtype::F32, &[3, 4], &bytes));
    for out in ["x.pt", "x.npz", "x.safetensors"] {
        folder.xfer(&["convert", "a.safetensors", out]).exits(0);
        let whole = std::fs::read(folder.path(out)).unwrap();
        for place in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            let mut altered = whole.clone();
            altered[place] ^= 0x10;
            std::fs::write(folder.path(out), &altered).unwrap();
            let run = folder.xfer(&["convert", "a.safetensors", out]);
            assert_eq!(run.code, 3, "{out}, byte {place} of {}: {}{}", whole.len(), run.stdout, run.stderr);
        }
        std::fs::write(folder.path(out), &whole).unwrap();
        folder.xfer(&["convert", "a.safetensors", out]).exits(0).prints("already up to date");
    }
}

const TINY: [&str; 4] = ["init", "--out", "out", "--max-shard-size=40KB"];

fn arguments(tiny: &str) -> Vec<&str> {
    TINY.iter().copied().chain(["--from", tiny, "--arch", tiny]).collect()
}

#[test]
fn an_output_in_which_one_byte_of_any_file_differs_is_not_up_to_date() {
    let tiny = fixture("tiny-bert");
    let arguments = arguments(&tiny);
    let folder = Folder::new();
    folder.xfer(&arguments).exits(0);
    folder.xfer(&arguments).exits(0).prints("already up to date");
    let files = contents(&folder.path("out"));
    assert!(files.len() > 4, "{:?}", files.keys());
    for (name, bytes) in files {
        let path = folder.path("out").join(&name);
        // a digit of a shape, a letter of a config, a byte of a tensor
        let places = [bytes.len() / 2, bytes.len() - 4];
        for place in places {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            std::fs::write(&path, &altered).unwrap();
            let run = folder.xfer(&arguments);
            assert!(run.code == 3, "{name} at {place}: {} {}", run.code, run.stdout);
            assert_eq!(std::fs::read(&path).unwrap(), altered, "{name} was replaced without --force");
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    folder.xfer(&arguments).exits(0).prints("already up to date");
}

#[test]
fn an_output_that_only_lacks_files_is_completed_whichever_they_are() {
    let tiny = fixture("tiny-bert");
    let arguments = arguments(&tiny);
    let folder = Folder::new();
    folder.xfer(&arguments).exits(0);
    let whole = contents(&folder.path("out"));
    let names: Vec<&String> = whole.keys().collect();
    let mut lacking: Vec<Vec<&str>> = names.iter().map(|name| vec![name.as_str()]).collect();
    let weights = names.iter().filter(|name| name.ends_with(".safetensors")).map(|name| name.as_str());
    lacking.push(weights.chain(["config.json"]).collect());
    lacking.push(vec!["xfer.json", "config.json"]);
    lacking.push(names.iter().skip(1).map(|name| name.as_str()).collect());
    for lacking in lacking {
        for name in &lacking {
            std::fs::remove_file(folder.path("out").join(name)).unwrap();
        }
        let run = folder.xfer(&arguments).exits(0);
        assert!(!run.stdout.contains("up to date"), "without {lacking:?}");
        assert_eq!(contents(&folder.path("out")), whole, "without {lacking:?}");
    }
    assert_eq!(folder.names(), ["hf-home", "out"].into_iter().filter(|n| folder.path(n).exists()).collect::<Vec<_>>());
}

#[test]
fn an_output_that_lacks_a_file_and_has_an_altered_one_is_refused() {
    let tiny = fixture("tiny-bert");
    let arguments = arguments(&tiny);
    for (removed, altered) in [
        ("config.json", "model-00001-of-"),
        ("config.json", "vocab.txt"),
        ("vocab.txt", "xfer.json"),
        ("xfer.json", "config.json"),
        ("xfer.json", "model-00001-of-"),
        ("model.safetensors.index.json", "config.json"),
    ] {
        let folder = Folder::new();
        folder.xfer(&arguments).exits(0);
        std::fs::remove_file(folder.path("out").join(removed)).unwrap();
        let names = contents(&folder.path("out"));
        let (name, bytes) = names.iter().find(|(name, _)| name.starts_with(altered)).unwrap();
        let mut bytes = bytes.clone();
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
        std::fs::write(folder.path("out").join(name), &bytes).unwrap();
        let before = contents(&folder.path("out"));
        folder.xfer(&arguments).exits(3);
        assert_eq!(contents(&folder.path("out")), before, "{removed}, {altered}");
    }
    let folder = Folder::new();
    folder.xfer(&arguments).exits(0);
    std::fs::remove_file(folder.path("out/config.json")).unwrap();
    folder.write("out/notes.txt", "mine");
    folder.xfer(&arguments).exits(3);
    assert!(folder.path("out/notes.txt").exists() && !folder.path("out/config.json").exists());
}

#[test]
fn a_converted_directory_and_one_made_by_run_are_completed_too() {
    let tiny = fixture("tiny-bert");
    let folder = Folder::new();
    folder.xfer(&["convert", &tiny, "out"]).exits(0);
    let whole = contents(&folder.path("out"));
    std::fs::remove_file(folder.path("out/model.safetensors")).unwrap();
    folder.xfer(&["convert", &tiny, "out"]).exits(0);
    assert_eq!(contents(&folder.path("out")), whole);
    folder.xfer(&["init", "--from", &tiny, "--arch", &tiny, "--plan", "plan.json", "--dry-run"]).exits(0);
    folder.xfer(&["run", "plan.json", "--out", "run"]).exits(0);
    let before = tensors(&folder.path("run"));
    std::fs::remove_file(folder.path("run/model.safetensors")).unwrap();
    std::fs::remove_file(folder.path("run/xfer.json")).unwrap();
    folder.xfer(&["run", "plan.json", "--out", "run"]).exits(0);
    assert_eq!(tensors(&folder.path("run")), before);
}
