//! `cargo bench --bench init`: BERT-base with two added layers against `cp` of the output, in one run.
//!
//! Each figure is the ratio of a pair that ran one after the other; medians are what counts, single runs are noisy.
//! Peak memory is what the operating system counted (`VmHWM`, from `xfer init --json`).

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PAIRS: usize = 9;

const BERT_BASE: &str = r#"{ "model_type": "bert", "architectures": ["BertModel"], "vocab_size": 30522, "hidden_size": 768,
  "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512 }"#;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    fs::write(at.join("base.json"), BERT_BASE).unwrap();
    fs::write(at.join("grown.json"), BERT_BASE.replace("\"num_hidden_layers\": 12", "\"num_hidden_layers\": 14"))
        .unwrap();
    xfer(at, &["init", "--from", "none", "--arch", "base.json", "--out", "base", "--no-sync"]);
    let grow =
        ["init", "--from", "base", "--arch", "grown.json", "--depth", "encoder.layer=0-11,new,new", "--out", "grown"];

    let memory = xfer(at, &[&grow[..], &["--no-sync"]].concat());
    let bytes = fs::metadata(at.join("grown/model.safetensors")).unwrap().len();
    fs::rename(at.join("grown"), at.join("reference")).unwrap();
    println!("output {bytes} bytes, peak memory {:.1} MiB", memory as f64 / f64::from(1 << 20));

    pairs(
        at,
        "without fsync, against cp",
        &[&grow[..], &["--no-sync"]].concat(),
        "cp --reflink=never reference/model.safetensors copy",
    );
    pairs(
        at,
        "with fsync, against cp and sync",
        &grow,
        "cp --reflink=never reference/model.safetensors copy && sync copy",
    );
}

fn pairs(at: &Path, title: &str, arguments: &[&str], copy: &str) {
    let mut rows: Vec<(f64, Duration, Duration)> = (0..=PAIRS)
        .map(|_| {
            let ours = timed(|| {
                xfer(at, arguments);
            });
            let _ = fs::remove_dir_all(at.join("grown"));
            let theirs =
                timed(|| assert!(Command::new("sh").args(["-c", copy]).current_dir(at).status().unwrap().success()));
            let _ = fs::remove_file(at.join("copy"));
            (ours.as_secs_f64() / theirs.as_secs_f64(), ours, theirs)
        })
        .skip(1)
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, ours, theirs) = rows[PAIRS / 2];
    println!(
        "{title}: median {median:.2} (from {:.2} to {:.2}) over {PAIRS} pairs; that pair {} ms against {} ms",
        rows[0].0,
        rows[PAIRS - 1].0,
        ours.as_millis(),
        theirs.as_millis()
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Runs xfer and gives its peak memory in bytes.
fn xfer(at: &Path, arguments: &[&str]) -> u64 {
    let output = Command::new(env!("CARGO_BIN_EXE_xfer"))
        .args(arguments)
        .args(["--json", "-q"])
        .current_dir(at)
        .stderr(Stdio::inherit())
        .output()
        .expect("xfer starts");
    assert!(output.status.success(), "xfer {arguments:?} failed");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    report["peak_memory"].as_u64().unwrap_or(0)
}
