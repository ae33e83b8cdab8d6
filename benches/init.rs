//! `cargo bench --bench init`: BERT-base with two added layers against `cp` of the output, in one run.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;

use support::{PAIRS, Pairs, mebibytes, xfer};

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
    let unsynced = [&grow[..], &["--no-sync"]].concat();
    let memory = xfer(at, &unsynced);
    let bytes = fs::metadata(at.join("grown/model.safetensors")).unwrap().len();
    fs::rename(at.join("grown"), at.join("reference")).unwrap();
    println!("output {bytes} bytes, peak memory {:.1} MiB", mebibytes(memory));
    let copy = "cp --reflink=never reference/model.safetensors copy";
    let pairs = |title, arguments: &[&str], other: &str| {
        Pairs { title, arguments, out: "grown", other, count: PAIRS }.run(at);
    };
    pairs("without fsync, against cp", &unsynced, copy);
    pairs("with fsync, against cp and sync", &grow, &format!("{copy} && sync copy"));
    match std::env::var("XFER_PEER_PYTHON") {
        Ok(python) => {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/grow.py");
            let other = format!("{python} {script} base copy");
            Pairs {
                title: "without fsync, against transformers",
                arguments: &unsynced,
                out: "grown",
                other: &other,
                count: 3,
            }
            .run(at);
        }
        Err(_) => println!("transformers was not measured: name a Python that has it in XFER_PEER_PYTHON"),
    }
}
