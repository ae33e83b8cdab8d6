//! `cargo bench --bench stack`: a llama of 1.1 B parameters in bf16, three shards, stacked to 1.4 B, against `cp` of the output
//! and against mergekit; then a pickle converted and a cast.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;

use support::{Pairs, mebibytes, remove, xfer};

const LLAMA: &str = r#"{ "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32000, "hidden_size": 2048,
  "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4, "intermediate_size": 5632,
  "max_position_embeddings": 2048, "dtype": "bfloat16" }"#;

/// The same stack for mergekit, whose ranges end before their second number.
const PASSTHROUGH: &str = "slices:
- sources: [{model: base, layer_range: [0, 15]}]
- sources: [{model: base, layer_range: [8, 22]}]
merge_method: passthrough
dtype: bfloat16
";

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    fs::write(at.join("base.json"), LLAMA).unwrap();
    fs::write(at.join("stacked.json"), LLAMA.replace("\"num_hidden_layers\": 22", "\"num_hidden_layers\": 29"))
        .unwrap();
    let shards = ["--max-shard-size", "800MB", "--no-sync"];
    xfer(at, &[&["init", "--from", "none", "--arch", "base.json", "--out", "base"][..], &shards].concat());
    let stack =
        ["init", "--from", "base", "--arch", "stacked.json", "--depth", "model.layers=0-14,8-21", "--out", "stacked"];
    let stack = [&stack[..], &shards].concat();
    let memory = xfer(at, &stack);
    fs::rename(at.join("stacked"), at.join("reference")).unwrap();
    println!("stacked llama, peak memory {:.1} MiB", mebibytes(memory));
    let other = "cp -r --reflink=never reference copy";
    Pairs { title: "without fsync, against cp", arguments: &stack, out: "stacked", other, count: 5 }.run(at);
    match std::env::var("XFER_PEER_PYTHON") {
        Ok(python) => {
            fs::write(at.join("stack.yml"), PASSTHROUGH).unwrap();
            let merge = "-m mergekit.scripts.run_yaml stack.yml copy --out-shard-size 800M --no-copy-tokenizer --no-write-model-card";
            let other = format!("HF_HUB_OFFLINE=1 {python} {merge} > mergekit.log 2>&1");
            Pairs {
                title: "without fsync, against mergekit",
                arguments: &stack,
                out: "stacked",
                other: &other,
                count: 3,
            }
            .run(at);
        }
        Err(_) => println!("mergekit was not measured: name a Python that has it in XFER_PEER_PYTHON"),
    }

    // a pickle of more than two gigabytes to safetensors
    remove(&at.join("reference"));
    xfer(at, &["convert", "base", "base.pt", "--no-sync"]);
    let convert = ["convert", "base.pt", "flat.safetensors", "--no-sync"];
    let memory = xfer(at, &convert);
    println!("pickle to safetensors, peak memory {:.1} MiB", mebibytes(memory));
    fs::rename(at.join("flat.safetensors"), at.join("reference")).unwrap();
    let other = "cp --reflink=never reference copy";
    let title = "pickle to safetensors, against cp";
    Pairs { title, arguments: &convert, out: "flat.safetensors", other, count: 5 }.run(at);

    // a cast, against `cp` of what it writes
    remove(&at.join("reference"));
    let cast = ["convert", "base.pt", "flat.safetensors", "--dtype", "f16", "--no-sync"];
    println!("bf16 to f16, peak memory {:.1} MiB", mebibytes(xfer(at, &cast)));
    fs::rename(at.join("flat.safetensors"), at.join("reference")).unwrap();
    Pairs { title: "bf16 to f16, against cp", arguments: &cast, out: "flat.safetensors", other, count: 5 }.run(at);
}
