//! `cargo bench --bench lsuv`: LSUV by depth, and on a ResNet-18, as whole processes; beside the bare call of the Python package `lsuv`
//! where a Python that has it (and torch, torchvision) is named by `XFER_PEER_PYTHON`. Ours and theirs in turn, medians.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

const ROUNDS: usize = 5;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    let resnet = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/resnet18/resnet18.json");
    for depth in [10, 40] {
        std::fs::write(at.join(format!("mlp{depth}.json")), mlp(depth)).unwrap();
    }
    let ten = ours(at, "mlp10.json", 256);
    let forty = ours(at, "mlp40.json", 256);
    println!("MLP of 512, 256 examples: 10 layers {ten:.3} s, 40 layers {forty:.3} s, ratio {:.2}", forty / ten);
    against(at, "40 layers", "mlp40.json", 256, &["mlp", "40", "512", "256"]);
    against(at, "ResNet-18", resnet, 16, &["resnet18", "16"]);
}

fn mlp(depth: usize) -> String {
    let hidden = json!({ "repeat": depth, "name": "hidden", "layers": [
        { "type": "linear", "name": "fc", "out": 512 }, { "type": "relu" } ] });
    json!({ "xfer": 1, "inputs": { "x": { "shape": ["batch", 512] } }, "layers": [hidden] }).to_string()
}

fn against(at: &Path, name: &str, arch: &str, examples: usize, peer: &[&str]) {
    let Some(python) = std::env::var_os("XFER_PEER_PYTHON") else {
        println!(
            "{name}, {examples} examples: {:.3} s; the package was not measured: name a Python in XFER_PEER_PYTHON",
            ours(at, arch, examples)
        );
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/lsuv.py");
    let (mut own, mut theirs, mut forward) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        own.push(ours(at, arch, examples));
        let output = Command::new(&python).arg(script).args(peer).output().expect("the peer's Python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().unwrap());
        theirs.push(numbers.next().unwrap());
        forward.push(numbers.next().unwrap());
    }
    let (own, theirs, forward) = (median(own), median(theirs), median(forward));
    println!(
        "{name}, {examples} examples: {own:.3} s; the package's call {theirs:.3} s, {:.1} times as long (one forward pass of torch {forward:.3} s)",
        theirs / own
    );
}

/// Seconds of a whole process, median.
fn ours(at: &Path, arch: &str, examples: usize) -> f64 {
    let data = format!("random:{examples}");
    let runs = (0..ROUNDS).map(|_| {
        let _ = std::fs::remove_dir_all(at.join("out"));
        let start = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_xfer"))
            .args([
                "init", "--from", "none", "--arch", arch, "--init", "lsuv", "--data", &data, "--out", "out",
                "--no-sync",
            ])
            .current_dir(at)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        start.elapsed().as_secs_f64()
    });
    median(runs.collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
