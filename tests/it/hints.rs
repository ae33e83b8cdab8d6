//! Hints are pasted: what a hint says gives the right values, or another refusal; and names flags that the command has.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::command::{Folder, Run, fixture, safetensors_file, tensors};

type Shapes = Vec<(String, Vec<usize>)>;

/// The tensors of one layer by module, canonical name first.
type Modules = &'static [(&'static str, &'static [usize])];

const LLAMA: Modules = &[
    ("self_attn.q_proj.weight", &[16, 16]),
    ("self_attn.k_proj.weight", &[8, 16]),
    ("self_attn.v_proj.weight", &[8, 16]),
    ("self_attn.o_proj.weight", &[16, 16]),
    ("mlp.gate_proj.weight", &[32, 16]),
    ("mlp.up_proj.weight", &[32, 16]),
    ("mlp.down_proj.weight", &[16, 32]),
    ("input_layernorm.weight", &[16]),
    ("post_attention_layernorm.weight", &[16]),
];
const BERT: Modules = &[
    ("attention.self.query", &[16, 16]),
    ("attention.self.key", &[16, 16]),
    ("attention.self.value", &[16, 16]),
    ("attention.output.dense", &[16, 16]),
    ("attention.output.LayerNorm", &[16]),
    ("intermediate.dense", &[32, 16]),
    ("output.dense", &[16, 32]),
    ("output.LayerNorm", &[16]),
];

/// Namings of a block, module for module; one that several modules share joins them, one after the other.
const NAMINGS: &[(Modules, &[&str])] = &[
    // torchtune's words, those of Meta, and inventions in which nothing is where its name would have it
    (
        LLAMA,
        &[
            "attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.output_proj", "mlp.w1", "mlp.w3", "mlp.w2", "sa_norm",
            "mlp_norm",
        ],
    ),
    (LLAMA, &["att.wq", "att.wk", "att.wv", "att.wo", "ff.w1", "ff.w3", "ff.w2", "att_norm", "ff_norm"]),
    (LLAMA, &["att.a", "att.b", "att.c", "att.d", "ff.w3", "ff.w1", "ff.w2", "norm2", "norm1"]),
    (LLAMA, &["mix.query", "mix.key", "mix.value", "mix.out", "ff.up_branch", "ff.gate_branch", "ff.down", "n1", "n0"]),
    (
        LLAMA,
        &[
            "self_attn.p0", "self_attn.p1", "self_attn.p2", "self_attn.p3", "mlp.fc1", "mlp.fc2", "mlp.fc3", "ln_2",
            "ln_1",
        ],
    ),
    (BERT, &["attn.query", "attn.key", "attn.value", "attn.out", "norm_a", "ff.one", "ff.two", "norm_b"]),
    (BERT, &["attn.qkv", "attn.qkv", "attn.qkv", "attn.proj", "norm1", "mlp.fc1", "mlp.fc2", "norm2"]),
    (
        BERT,
        &[
            "mha.query_key_value", "mha.query_key_value", "mha.query_key_value", "mha.dense", "ln2", "h.first",
            "h.second", "ln1",
        ],
    ),
    (BERT, &["att.to_q", "att.to_k", "att.to_v", "att.to_out", "post.1", "ff.0", "ff.2", "post.2"]),
    (BERT, &["x.w0", "x.w1", "x.w2", "x.w3", "y.n", "y.u", "y.d", "z.n"]),
    (BERT, &["a'b.q", "a'b.k", "a'b.v", "a'b.o", "a'b.n1", "a'b.f1", "a'b.f2", "a'b.n2"]),
];

/// The tensors of a block of two layers under these names, with values that say which module and row they are of.
struct Model {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

fn value(layer: usize, module: usize, is_bias: bool, at: usize) -> f32 {
    (layer * 100_000 + module * 10_000 + usize::from(is_bias) * 5_000 + at) as f32
}

impl Model {
    fn new(path: &str, modules: Modules, names: &[&str]) -> Model {
        let mut model = Model { tensors: BTreeMap::new() };
        for layer in 0..2 {
            for (module, (canonical, shape)) in modules.iter().enumerate() {
                let name = names.get(module).copied().unwrap_or(canonical.trim_end_matches(".weight"));
                let ends: &[&str] = if canonical.ends_with(".weight") { &["weight"] } else { &["weight", "bias"] };
                for end in ends {
                    let shape = if *end == "bias" { &shape[..1] } else { *shape };
                    let count: usize = shape.iter().product();
                    let values = (0..count).map(|at| value(layer, module, *end == "bias", at));
                    let entry = model.tensors.entry(format!("{path}.{layer}.{name}.{end}"));
                    let (known, all) = entry.or_insert_with(|| ([&[0], &shape[1..]].concat(), Vec::new()));
                    known[0] += shape[0];
                    all.extend(values);
                }
            }
        }
        model
    }

    fn checkpoint(&self) -> Vec<u8> {
        let tensors: Vec<(&str, &[usize], Vec<f32>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| (name.as_str(), shape.as_slice(), values.clone()))
            .collect();
        safetensors_file(&tensors)
    }

    fn listing(&self) -> String {
        let tensors: serde_json::Map<String, serde_json::Value> = self
            .tensors
            .iter()
            .map(|(name, (shape, _))| {
                (name.clone(), serde_json::json!({ "shape": shape, "module": module_class(name) }))
            })
            .collect();
        serde_json::json!({ "xfer": 1, "tensors": tensors }).to_string()
    }

    fn shapes(&self) -> Shapes {
        self.tensors.iter().map(|(name, (shape, _))| (name.clone(), shape.clone())).collect()
    }
}

fn module_class(name: &str) -> &'static str {
    if name.to_lowercase().contains("norm") { "LayerNorm" } else { "Linear" }
}

/// Runs a command line as a shell reads it.
fn shell(folder: &Folder, line: &str) -> Run {
    let mut command = Command::new("sh");
    command.current_dir(folder.path("")).arg("-c").arg(format!("exec \"$0\" {line}")).arg(env!("CARGO_BIN_EXE_xfer"));
    command.env("HF_HOME", folder.path("hf-home")).env("HF_ENDPOINT", "http://127.0.0.1:9");
    let output = command.output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn hints(run: &Run) -> Vec<String> {
    run.stderr.lines().filter_map(|line| line.strip_prefix("hint: ")).map(str::to_string).collect()
}

fn pasteable(run: &Run, flags: &[&str]) -> Vec<String> {
    hints(run).into_iter().filter(|hint| flags.iter().any(|flag| hint.starts_with(&format!("{flag} ")))).collect()
}

/// Every tensor of the output is the one that was meant.
#[track_caller]
fn assert_right(folder: &Folder, out: &str, right: &Model, context: &str) {
    let written = tensors(&folder.path(out));
    for (name, shape) in right.shapes() {
        let (_, found, bytes) = &written[&name];
        assert_eq!(*found, shape, "{context}: {name}");
        let values: Vec<f32> = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(values, right.tensors[&name].1, "{context}: {name}");
    }
}

/// Pastes every `--map` line that is offered, until the run is accepted or offers nothing more.
fn pasted(folder: &Folder, right: &Model, arch: &str, context: &str, each: bool) -> usize {
    let mut said: Vec<String> = Vec::new();
    for round in 0..6 {
        let line =
            format!("init --from source.safetensors --arch {arch} --out out{round} --no-sync {}", said.join(" "));
        let run = shell(folder, &line);
        if run.code == 0 {
            assert_right(folder, &format!("out{round}"), right, context);
            return said.len();
        }
        assert!(matches!(run.code, 3 | 4), "{context}: {line}\n{}", run.stderr);
        let new: Vec<String> =
            pasteable(&run, &["--map", "--unused"]).into_iter().filter(|hint| !said.contains(hint)).collect();
        // each by itself must parse and match too
        for hint in new.iter().filter(|_| each) {
            let alone = shell(
                folder,
                &format!("init --from source.safetensors --arch {arch} --out alone --no-sync --dry-run {hint}"),
            );
            assert!(matches!(alone.code, 0 | 4), "{context}: {hint}\n{}", alone.stderr);
        }
        if new.is_empty() {
            return said.len();
        }
        said.extend(new);
    }
    said.len()
}

#[test]
fn every_map_line_that_is_offered_gives_the_right_values_or_a_refusal() {
    let mut offered = 0;
    for (modules, names) in NAMINGS {
        for path in ["blocks", "net.layers", "module.enc.h"] {
            let right = Model::new("model.layers", modules, &[]);
            let folder = Folder::new();
            folder.write("source.safetensors", Model::new(path, modules, names).checkpoint());
            folder.write("arch.json", right.listing());
            offered += pasted(&folder, &right, "arch.json", &format!("{path} {names:?}"), true);
        }
    }
    assert!(offered > 20, "only {offered} lines were offered");
}

/// Words that say nothing of a projection, and words of the field for it.
const NOTHING: &[&str] = &[
    "a", "b", "c", "d", "w1", "w2", "w3", "w4", "fc1", "fc2", "n1", "n2", "norm1", "norm2", "ln_1", "ln_2", "mix.a",
    "mix.b", "ff.0", "ff.2", "att.0", "att.1", "att.2", "proj", "dense", "blk.x", "blk.y", "z",
];
const FIELD: &[(&str, &[&str])] = &[
    ("q", &["wq", "att.to_q", "query", "q_lin"]),
    ("k", &["wk", "att.to_k", "key", "k_lin"]),
    ("v", &["wv", "att.to_v", "value", "v_lin"]),
    ("gate", &["gate", "w_gate"]),
    ("up", &["up", "w_up"]),
    ("down", &["down", "w_down"]),
];

/// A name for every module: from the field or from nowhere, no two alike.
fn invented(modules: Modules, state: &mut u64) -> Vec<String> {
    let mut draw = |below: usize| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*state >> 33) as usize) % below
    };
    let mut names: Vec<String> = Vec::new();
    for (canonical, _) in modules {
        let last = canonical.trim_end_matches(".weight").rsplit('.').next().unwrap();
        let words = FIELD.iter().find(|(start, _)| last.starts_with(start)).filter(|_| draw(3) == 0);
        let words = words.map_or(NOTHING, |(_, words)| *words);
        let name = (0..).map(|_| words[draw(words.len())]).find(|word| !names.iter().any(|known| known == word));
        names.push(name.unwrap().to_string());
    }
    names
}

#[test]
fn invented_names_never_lead_to_wrong_values() {
    let mut state = 7;
    for round in 0..40 {
        let modules = if round % 2 == 0 { LLAMA } else { BERT };
        let names = invented(modules, &mut state);
        let right = Model::new("model.layers", modules, &[]);
        let folder = Folder::new();
        let source = Model::new("blocks", modules, &names.iter().map(String::as_str).collect::<Vec<_>>());
        folder.write("source.safetensors", source.checkpoint());
        folder.write("arch.json", right.listing());
        pasted(&folder, &right, "arch.json", &format!("{names:?}"), false);
    }
}

#[test]
fn a_fused_projection_next_to_its_three_parts_is_split_in_three() {
    let right = Model::new("layer", BERT, &[]);
    let folder = Folder::new();
    let names = ["attn.qkv", "attn.qkv", "attn.qkv", "attn.proj", "norm1", "mlp.fc1", "mlp.fc2", "norm2"];
    folder.write("source.safetensors", Model::new("blocks", BERT, &names).checkpoint());
    folder.write("arch.json", right.listing());
    let run = shell(&folder, "init --from source.safetensors --arch arch.json --out out").exits(4);
    assert!(run.stderr.contains("=blocks.{i}.attn.qkv.weight|split(0, 3)'"), "{}", run.stderr);
    assert!(!run.stderr.contains("norm1.weight'\n"), "two norms of one shape are not told apart: {}", run.stderr);
    assert!(run.stderr.contains("do not determine which is which"), "{}", run.stderr);
}

#[test]
fn queries_and_keys_of_a_rotary_model_are_never_guessed_from_names() {
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 10,
        "max_position_embeddings": 8, "tie_word_embeddings": true,
    });
    let folder = Folder::new();
    folder.write("arch.json", config.to_string());
    for (_, names) in NAMINGS.iter().filter(|(modules, _)| modules.len() == LLAMA.len()) {
        folder.write("source.safetensors", Model::new("blocks", LLAMA, names).checkpoint());
        let run = shell(&folder, "init --from source.safetensors --arch arch.json --out out --dry-run").exits(4);
        for hint in pasteable(&run, &["--map"]) {
            assert!(!hint.contains("q_proj") && !hint.contains("k_proj"), "{names:?}: {hint}");
        }
    }
}

/// A name of the repository that is a copy of what is used is not a rename of something new.
#[test]
fn a_momentum_encoder_is_no_rename_of_new_layers() {
    let used = Model::new("encoder_q.layers", BERT, &[]);
    let copy = Model::new("encoder_k.layers", BERT, &[]);
    let mut source = Model { tensors: used.tensors.clone() };
    source.tensors.extend(copy.tensors);
    let mut target = Model { tensors: used.tensors.clone() };
    for layer in 0..3 {
        target.tensors.insert(format!("fpn.{layer}.lateral.weight"), (vec![16, 16], Vec::new()));
        target.tensors.insert(format!("fpn.{layer}.output.dense.weight"), (vec![16, 32], Vec::new()));
    }
    let folder = Folder::new();
    folder.write("source.safetensors", source.checkpoint());
    folder.write("arch.json", target.listing());
    shell(&folder, "init --from source.safetensors --arch arch.json --out out --no-sync").exits(0);
}

/// Commands that fail, each with what a hint of theirs must hold.
const FAILING: &[(&str, &[&str])] = &[
    ("init --from 'my models' --arch arch.json --out out", &["'my models/a.safetensors'"]),
    ("inspect 'my models'", &["'my models/a.safetensors'"]),
    ("convert 'my models' out.safetensors", &["'my models/a.safetensors'"]),
    ("diff 'my models' short.safetensors", &["'my models/a.safetensors'"]),
    ("init --from short.safetensors --arch arch.json --out out", &["--map"]),
    ("init --from short.safetensors --arch gemma2.json --out out", &["listing"]),
    ("init --from short.safetensors --arch lama.json --out out", &["llama"]),
    ("init --from TINY --arch TINY --new 'clasifier.**' --out out", &["may match nothing"]),
    ("init --from TINY --arch TINY --set num_hidden_layers=9 --out out", &["--depth"]),
    ("init --from TINY --arch TINY --out here", &["out"]),
    ("init --from EMA --arch TINY --out out", &["--key"]),
    ("inspect EMA", &["--key"]),
    ("check EMA", &[]),
    ("diff EMA EMA", &[]),
    ("compare --arch arch.json --data none.npz", &[]),
    ("convert EMA out.safetensors", &["--key"]),
    ("init --from short.safetensors --arch EMA --out out", &[]),
    ("verify here", &[]),
    ("explain here x", &[]),
];

fn failing() -> Folder {
    let folder = Folder::new();
    let small = |name: &str| safetensors_file(&[(name, &[2, 2], vec![1.0; 4])]);
    folder.write("my models/a.safetensors", small("a.weight"));
    folder.write("my models/b.safetensors", small("b.weight"));
    folder
        .write("short.safetensors", Model::new("blocks", BERT, &["attn.q", "attn.k", "attn.v", "attn.o"]).checkpoint());
    folder.write("arch.json", Model::new("layers", BERT, &[]).listing());
    folder.write("gemma2.json", r#"{"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"]}"#);
    folder.write("lama.json", r#"{"model_type": "lama"}"#);
    folder.write("here/precious.txt", "mine");
    folder
}

#[test]
fn hints_name_flags_that_the_command_has() {
    let folder = failing();
    let ema = fixture("torch/only_ema.pt");
    let tiny = fixture("tiny-bert");
    for (line, wanted) in FAILING {
        let line = line.replace("EMA", &ema).replace("TINY", &tiny);
        let run = shell(&folder, &line);
        assert_ne!(run.code, 0, "{line}");
        let command = line.split(' ').next().unwrap();
        let help = shell(&folder, &format!("{command} --help")).stdout;
        let hints = hints(&run);
        for word in *wanted {
            assert!(
                hints.iter().chain([&run.stderr]).any(|hint| hint.contains(word)),
                "{line}: no {word}\n{}",
                run.stderr
            );
        }
        for hint in &hints {
            let own = ["xfer ", "python "].iter().filter_map(|program| hint.find(program)).min().unwrap_or(hint.len());
            for flag in hint[..own].split_whitespace().filter(|word| word.starts_with("--")) {
                let flag = flag.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                assert!(help.contains(flag), "{line}: hint `{hint}` names {flag}, which {command} has not");
            }
        }
    }
}

#[test]
fn a_hint_about_a_path_with_spaces_can_be_pasted() {
    let folder = failing();
    let run = shell(&folder, "inspect 'my models'").exits(3);
    let hint = hints(&run).into_iter().find(|hint| hint.contains("a.safetensors")).unwrap();
    let path = hint.split_once(", as ").unwrap().1;
    shell(&folder, &format!("inspect {path}")).exits(0).prints("a.weight");
}

/// A known architecture is never taken for a slip of another.
#[test]
fn a_known_model_type_never_leads_to_another() {
    let folder = Folder::new();
    folder.write("source.safetensors", safetensors_file(&[("a", &[2], vec![1.0; 2])]));
    for known in
        ["gemma2", "gpt_oss", "mamba", "resnet", "mbart", "qwen2_moe", "phi", "deberta", "opt", "falcon", "vit"]
    {
        folder.write("arch.json", format!(r#"{{"model_type": "{known}"}}"#));
        let run = shell(&folder, "init --from source.safetensors --arch arch.json --out out").exits(3);
        assert!(!run.stderr.contains("did you mean"), "{known}: {}", run.stderr);
        assert!(run.stderr.contains("listing"), "{known}: {}", run.stderr);
    }
    for (slip, meant) in [("lama", "llama"), ("bret", "bert"), ("mistal", "mistral"), ("whispr", "whisper")] {
        folder.write("arch.json", format!(r#"{{"model_type": "{slip}"}}"#));
        let run = shell(&folder, "init --from source.safetensors --arch arch.json --out out").exits(3);
        assert!(run.stderr.contains(&format!("did you mean `{meant}`?")), "{slip}: {}", run.stderr);
    }
}

#[test]
fn a_directory_of_an_unknown_model_stands_for_its_weights() {
    let folder = Folder::new();
    folder.write("model/config.json", r#"{"model_type": "gemma2", "hidden_size": 2}"#);
    folder.write("model/model.safetensors", safetensors_file(&[("a.weight", &[2, 2], vec![1.0; 4])]));
    shell(&folder, "init --from model --arch model --out out --no-sync").exits(0);
    assert!(folder.path("out/config.json").exists());
}
