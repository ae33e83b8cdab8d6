//! The limits of a machine and of files: what never ends is not read, what is not there is said before the work, and a full disk leaves
//! nothing behind.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::command::{Folder, Run, contents, fixture, safetensors_file};
use crate::support::hub::Hub;

/// Runs a line of the shell in which `$X` is xfer.
#[track_caller]
fn shell(folder: &Folder, line: &str) -> Run {
    let mut command = Command::new("sh");
    command.current_dir(folder.path("")).args(["-c", line]).env("X", env!("CARGO_BIN_EXE_xfer"));
    command.env("HF_HOME", folder.path("hf-home")).env("HF_ENDPOINT", "http://127.0.0.1:9").stdin(Stdio::null());
    let output = command.output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

const NET: &str = r#"{ "xfer": 1, "inputs": { "x": { "shape": ["batch", 4] } },
    "layers": [{ "name": "a", "type": "linear", "out": 3 }] }"#;

/// Every argument that names a file, with `?` in its place.
const READERS: &[&str] = &[
    "init --from ? --arch net.json --out o",
    "init --from m.safetensors --arch ? --out o",
    "init --from none --arch net.json --init lsuv --data ? --out o",
    "init --from none --arch tokenizer.json --out o",
    "run ? --out o",
    "explain ? a.weight",
    "inspect ?",
    "diff ? m.safetensors",
    "diff m.safetensors ?",
    "convert ? o",
    "check net.json --data ?",
    "check ?",
    "compare --arch net.json --data ?",
    "compare --arch ? --data m.safetensors",
    "arch ?",
    "verify ?",
];

#[test]
fn what_never_ends_is_refused_at_once_wherever_a_file_is_named() {
    let folder = Folder::new();
    folder.write(
        "m.safetensors",
        safetensors_file(&[("a.weight", &[3, 4], vec![0.0; 12]), ("a.bias", &[3], vec![0.0; 3])]),
    );
    folder.write("net.json", NET);
    std::fs::create_dir(folder.path("empty")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path("fifo")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", folder.path("link")).unwrap();
    let tokenizer = |file: &str| {
        format!(
            r#"{{ "xfer": 1, "vocab": {{ "tokenizer": "{file}" }}, "tensors": {{ "e": {{ "shape": [3, 4], "module": "Embedding" }} }} }}"#
        )
    };
    for file in ["/dev/zero", "fifo", "empty", "link"] {
        folder.write("tokenizer.json", tokenizer(file));
        for line in READERS {
            let arguments: Vec<&str> = line.split(' ').map(|word| if word == "?" { file } else { word }).collect();
            let start = Instant::now();
            let run = folder.xfer(&arguments);
            assert!(start.elapsed() < Duration::from_secs(5), "{arguments:?} took {:?}", start.elapsed());
            assert!([2, 3, 4, 5].contains(&run.code), "{arguments:?}: {} {}{}", run.code, run.stdout, run.stderr);
            assert!(!folder.path("o").exists(), "{arguments:?}");
        }
    }
}

#[test]
fn what_is_not_there_is_a_missing_source_wherever_a_file_is_named() {
    let folder = Folder::new();
    folder.write(
        "m.safetensors",
        safetensors_file(&[("a.weight", &[3, 4], vec![0.0; 12]), ("a.bias", &[3], vec![0.0; 3])]),
    );
    folder.write("net.json", NET);
    for line in READERS.iter().filter(|line| line.contains('?')) {
        let line = line.replace('?', "./none/such.json");
        let arguments: Vec<&str> = line.split(' ').collect();
        folder.xfer(&arguments).exits(5).complains("none/such.json");
    }
}

#[test]
fn a_link_to_a_file_is_a_file() {
    let folder = Folder::new();
    folder.write("m.safetensors", safetensors_file(&[("x", &[8, 4], (0..32).map(|i| i as f32).collect())]));
    folder.write("net.json", NET);
    std::os::unix::fs::symlink("m.safetensors", folder.path("link.safetensors")).unwrap();
    std::os::unix::fs::symlink("net.json", folder.path("arch.json")).unwrap();
    let lsuv = ["--from", "none", "--init", "lsuv", "--data", "link.safetensors", "--arch", "arch.json", "--out", "o"];
    folder.xfer(&[&["init"], &lsuv[..]].concat()).exits(0);
}

#[test]
fn a_report_without_a_folder_is_refused_before_the_work() {
    let tiny = fixture("tiny-bert");
    let folder = Folder::new();
    folder.write("net.json", NET);
    folder.write(
        "d.safetensors",
        safetensors_file(&[("x", &[8, 4], vec![1.0; 32]), ("targets", &[8, 3], vec![1.0; 24])]),
    );
    let init = ["init", "--from", &tiny, "--arch", &tiny, "--out", "o"];
    folder.xfer(&[&init[..], &["--dry-run", "--plan", "plan.json"]].concat()).exits(0);
    let commands: [(&[&str], &[&str]); 5] = [
        (&init, &["--report", "--html", "--plan"]),
        (&["run", "plan.json", "--out", "o"], &["--report", "--html"]),
        (&["convert", &tiny, "o"], &["--report", "--html"]),
        (&["check", "net.json"], &["--html"]),
        (&["compare", "--arch", "net.json", "--data", "d.safetensors", "--epochs", "1", "--seeds", "1"], &["--html"]),
    ];
    for (command, flags) in commands {
        for flag in flags {
            for file in ["none/such/file", "."] {
                let run = folder.xfer(&[command, &[flag, file]].concat()).exits(3).complains(&format!("{flag} {file}"));
                assert!(run.stdout.is_empty() && !folder.path("o").exists(), "{command:?} {flag}");
            }
            let run = folder.xfer(&[command, &[flag, "none/such/file"]].concat()).exits(3).complains("hint: mkdir -p");
            let hint = run.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap();
            shell(&folder, hint).exits(0);
            folder.xfer(&[command, &[flag, "none/such/file"]].concat()).exits(0);
            for made in ["none", "o"] {
                let _ = std::fs::remove_dir_all(folder.path(made));
            }
        }
    }
}

#[test]
fn a_report_goes_to_a_device_and_replaces_a_file_whole() {
    let tiny = fixture("tiny-bert");
    let folder = Folder::new();
    folder.write("r.json", "old");
    std::os::unix::fs::symlink("r.json", folder.path("link.json")).unwrap();
    let init = ["init", "--from", &tiny, "--arch", &tiny, "--out", "o", "--html", "/dev/null", "--report", "link.json"];
    folder.xfer(&init).exits(0);
    assert_eq!(std::fs::read(folder.path("r.json")).unwrap(), std::fs::read(folder.path("o/xfer.json")).unwrap());
    assert!(folder.path("link.json").is_symlink());
    assert_eq!(folder.names(), ["link.json", "o", "r.json"]);
}

/// Tensors of 40 kB, one in each of so many shards.
fn shards(folder: &Folder, count: usize) {
    let names: Vec<String> = (0..count).map(|i| format!("layer.{i}.weight")).collect();
    let tensors: Vec<(&str, &[usize], Vec<f32>)> = names
        .iter()
        .enumerate()
        .map(|(i, name)| (name.as_str(), &[100, 100][..], (0..10_000).map(|k| (k * (i + 1)) as f32).collect()))
        .collect();
    folder.write("one/model.safetensors", safetensors_file(&tensors));
    folder.xfer(&["convert", "one", "many", "--max-shard-size", "40KB"]).exits(0);
    std::fs::remove_file(folder.path("many/xfer.json")).unwrap();
}

#[test]
fn more_shards_than_files_may_be_open_are_read_and_written() {
    let folder = Folder::new();
    shards(&folder, 40);
    let plain = "$X convert many again --max-shard-size 40KB";
    shell(&folder, plain).exits(0);
    let expected = contents(&folder.path("again"));
    assert!(expected.len() > 40);
    for (limit, threads) in [(16, 1), (16, 4), (16, 64), (12, 2)] {
        let line = format!("ulimit -n {limit}; $X convert many few --max-shard-size 40KB --threads {threads}");
        shell(&folder, &line).exits(0);
        assert_eq!(contents(&folder.path("few")), expected, "ulimit -n {limit}");
        shell(&folder, &format!("ulimit -n {limit}; $X verify few --threads {threads}")).exits(0);
        shell(&folder, &format!("ulimit -n {limit}; $X diff many few --values")).exits(0);
        std::fs::remove_dir_all(folder.path("few")).unwrap();
    }
    let init = "ulimit -n 16; $X init --from many --arch many --max-shard-size 40KB --out few --threads 4";
    shell(&folder, init).exits(0);
}

#[test]
fn a_limit_on_the_length_of_files_is_an_error_that_leaves_nothing() {
    let folder = Folder::new();
    shards(&folder, 8);
    let before = folder.names();
    for line in [
        "$X convert many out --no-sync", "$X convert many out.pt", "$X convert many out.npz",
        "$X convert many out.safetensors", "$X init --from many --arch many --out out",
    ] {
        let run = shell(&folder, &format!("ulimit -f 100; {line}")).exits(1);
        run.complains("error: ").complains("ulimit -f");
        assert_eq!(folder.names(), before, "{line}");
    }
    // a file of the Hub, of which nothing stays in the cache either
    let hub = Hub::start();
    hub.commit(
        "acme/large",
        "main",
        &[("model.safetensors", &safetensors_file(&[("w", &[100, 1000], vec![1.0; 100_000])]))],
    );
    let line = format!("ulimit -f 100; HF_ENDPOINT={} $X convert acme/large out", hub.endpoint());
    shell(&folder, &line).exits(1).complains("error: ");
    let blobs = folder.path("hf-home/hub/models--acme--large/blobs");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0);
    std::fs::remove_dir_all(folder.path("hf-home")).unwrap();
    // a report that does not fit while the output does
    let tiny = fixture("tiny-bert");
    folder.xfer(&["init", "--from", &tiny, "--arch", &tiny, "--dry-run", "--plan", "whole.json"]).exits(0);
    std::fs::remove_file(folder.path("whole.json")).unwrap();
    let line = format!("ulimit -f 1; $X init --from {tiny} --arch {tiny} --dry-run --plan plan.json");
    shell(&folder, &line).exits(1);
    assert_eq!(folder.names(), before);
}

#[test]
fn a_hint_for_a_type_that_a_format_lacks_works_as_it_stands() {
    use safetensors::tensor::{Dtype, TensorView};
    let folder = Folder::new();
    for (dtype, name) in [(Dtype::F8_E4M3, "f8"), (Dtype::BF16, "bf16"), (Dtype::U16, "u16")] {
        let bytes = vec![0; 8];
        let shape = vec![8 / if name == "f8" { 1 } else { 2 }];
        let views = [("w", TensorView::new(dtype, shape, &bytes).unwrap())];
        folder.write("m.safetensors", safetensors::serialize(views, None).unwrap());
        for out in ["x.pt", "x.npz"] {
            let run = folder.xfer(&["convert", "m.safetensors", out]);
            if run.code == 0 {
                std::fs::remove_file(folder.path(out)).unwrap();
                continue;
            }
            let run = run.exits(3);
            if run.stderr.contains("--dtype f32") {
                folder.xfer(&["convert", "m.safetensors", out, "--dtype", "f32"]).exits(0);
                std::fs::remove_file(folder.path(out)).unwrap();
            }
            assert!(run.stderr.contains("a .safetensors file"), "{name} {out}: {}", run.stderr);
            folder.xfer(&["convert", "m.safetensors", "copy.safetensors", "--force"]).exits(0);
        }
    }
}

#[test]
fn a_listing_of_any_number_of_elements_is_planned_or_refused_at_once() {
    let folder = Folder::new();
    for shape in ["[1000000000, 1000000000]", "[1000000000000000000]", "[3, 1000000000000]", "[1, 1, 4000000000, 4000]"]
    {
        let listing = format!(r#"{{ "xfer": 1, "tensors": {{ "w": {{ "shape": {shape}, "module": "Linear" }} }} }}"#);
        folder.write("big.json", listing);
        for flags in
            [&["--dry-run"][..], &["--dry-run", "--init", "orthogonal"], &["--out", "o"], &["--dry-run", "--json"]]
        {
            let start = Instant::now();
            let run = folder.xfer(&[&["init", "--from", "none", "--arch", "big.json"], flags].concat());
            assert!(start.elapsed() < Duration::from_secs(5), "{shape} {flags:?} took {:?}", start.elapsed());
            assert!(run.code == 0 && flags.contains(&"--dry-run") || [1, 3, 4].contains(&run.code), "{}", run.stderr);
            assert!(!folder.path("o").exists());
        }
    }
}

#[test]
fn a_config_of_any_number_of_layers_or_experts_is_refused_at_once() {
    let folder = Folder::new();
    for (family, key) in [
        ("bert", "num_hidden_layers"),
        ("roberta", "num_hidden_layers"),
        ("albert", "num_hidden_layers"),
        ("electra", "num_hidden_layers"),
        ("deberta-v2", "num_hidden_layers"),
        ("distilbert", "n_layers"),
        ("modernbert", "num_hidden_layers"),
        ("gpt2", "n_layer"),
        ("gpt_neox", "num_hidden_layers"),
        ("llama", "num_hidden_layers"),
        ("mistral", "num_hidden_layers"),
        ("qwen2", "num_hidden_layers"),
        ("gemma", "num_hidden_layers"),
        ("gemma3_text", "num_hidden_layers"),
        ("qwen3_moe", "num_hidden_layers"),
        ("phi3", "num_hidden_layers"),
        ("mixtral", "num_hidden_layers"),
        ("mixtral", "num_local_experts"),
        ("t5", "num_layers"),
        ("t5", "num_decoder_layers"),
        ("bart", "encoder_layers"),
        ("bart", "decoder_layers"),
        ("whisper", "encoder_layers"),
        ("whisper", "decoder_layers"),
    ] {
        for number in [1_000_000u64, 1_000_000_000, 1 << 40, u64::MAX] {
            folder.write("c.json", format!(r#"{{ "model_type": "{family}", "{key}": {number} }}"#));
            let start = Instant::now();
            let run = folder.xfer(&["init", "--from", "none", "--arch", "c.json", "--dry-run"]).exits(3);
            assert!(start.elapsed() < Duration::from_secs(5), "{family} {key} {number}: {:?}", start.elapsed());
            run.complains(key.trim_start_matches("num_local_"));
        }
    }
}

/// A zip archive whose directory names its only entry so many times.
fn overlapping(entry: &[u8], names: usize) -> Vec<u8> {
    let header = |signature: u32, name: &str, local: bool| {
        let mut bytes = signature.to_le_bytes().to_vec();
        let versions: &[u16] = if local { &[20] } else { &[20, 20] };
        bytes.extend(versions.iter().chain(&[0, 0, 0, 33]).flat_map(|number| number.to_le_bytes()));
        bytes.extend(0u32.to_le_bytes());
        bytes.extend([(entry.len() as u32).to_le_bytes(), (entry.len() as u32).to_le_bytes()].concat());
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend(vec![0; if local { 2 } else { 16 }]);
        bytes.extend(name.bytes());
        bytes
    };
    let mut file = header(0x0403_4B50, "a0000.npy", true);
    file.extend(entry);
    let start = file.len() as u32;
    (0..names).for_each(|number| file.extend(header(0x0201_4B50, &format!("a{number:04}.npy"), false)));
    let length = file.len() as u32 - start;
    file.extend([0x50, 0x4B, 5, 6, 0, 0, 0, 0]);
    file.extend([(names as u16).to_le_bytes(), (names as u16).to_le_bytes()].concat());
    file.extend([length.to_le_bytes(), start.to_le_bytes()].concat());
    file.extend([0, 0]);
    file
}

#[test]
fn entries_that_share_bytes_are_refused_and_single_ones_are_read() {
    let folder = Folder::new();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2500000,), }";
    let mut array = b"\x93NUMPY\x01\x00v\x00".to_vec();
    array.extend(format!("{header:<117}\n").bytes());
    array.extend(vec![0; 10_000_000]);
    folder.write("one.npz", overlapping(&array, 1));
    folder.xfer(&["inspect", "one.npz"]).exits(0).prints("2500000");
    folder.write("many.npz", overlapping(&array, 2000));
    for command in [&["inspect", "many.npz"][..], &["convert", "many.npz", "o"], &["diff", "one.npz", "many.npz"]] {
        folder.xfer(command).exits(3).complains("overlap");
    }
    assert!(!folder.path("o").exists());
}
