//! Structure is not a head: norms and biases of used layers are lost by declaration alone.

use std::collections::BTreeMap;

use crate::support::command::{Folder, Run, fixture, safetensors_file, tensors};

type Shapes = BTreeMap<String, Vec<usize>>;

/// Names with `{0-1}` and `{a,b}` written out, each with its shape.
fn shapes(text: &str) -> Shapes {
    let mut all = Shapes::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, shape) = line.split_once(' ').unwrap();
        let shape: Vec<usize> = match shape.trim() {
            "1" => vec![1],
            shape => shape.split('x').map(|size| size.parse().unwrap()).collect(),
        };
        all.extend(written_out(name).into_iter().map(|name| (name, shape.clone())));
    }
    all
}

fn written_out(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_string()] };
    let (choices, after) = rest.split_once('}').unwrap();
    let choices: Vec<String> = match choices.split_once('-') {
        Some((first, last)) => {
            (first.parse::<u64>().unwrap()..=last.parse().unwrap()).map(|index| index.to_string()).collect()
        }
        None => choices.split(',').map(str::to_string).collect(),
    };
    choices.iter().flat_map(|choice| written_out(&format!("{before}{choice}{after}"))).collect()
}

fn checkpoint(shapes: &Shapes) -> Vec<u8> {
    let tensors: Vec<(&str, &[usize], Vec<f32>)> = shapes
        .iter()
        .enumerate()
        .map(|(at, (name, shape))| {
            let count = shape.iter().product::<usize>();
            (name.as_str(), shape.as_slice(), (0..count).map(|i| (at * 1000 + i) as f32).collect())
        })
        .collect();
    safetensors_file(&tensors)
}

fn listing(shapes: &Shapes) -> String {
    let tensors: serde_json::Map<String, serde_json::Value> =
        shapes.iter().map(|(name, shape)| (name.clone(), serde_json::json!({ "shape": shape }))).collect();
    serde_json::json!({ "xfer": 1, "tensors": tensors }).to_string()
}

struct Case(Folder);

impl Case {
    fn new(source: &Shapes, target: &Shapes) -> Case {
        let folder = Folder::new();
        folder.write("source.safetensors", checkpoint(source));
        folder.write("arch.json", listing(target));
        Case(folder)
    }

    fn init(&self, more: &[&str]) -> Run {
        let command = ["init", "--from", "source.safetensors", "--arch", "arch.json", "--out", "out", "--no-sync"];
        self.0.xfer(&[&command[..], more].concat())
    }

    /// Refused, with the first name; and what the hints say is accepted.
    #[track_caller]
    fn is_refused_until_declared(&self, first: &str) {
        let refused = self.init(&[]).exits(4).complains(first);
        let hinted: Vec<&str> =
            refused.stderr.lines().filter_map(|line| line.strip_prefix("hint: --unused ")).collect();
        assert!(!hinted.is_empty(), "{}", refused.stderr);
        let patterns = hinted.iter().flat_map(|pattern| ["--unused", pattern.trim_matches('\'')]);
        self.init(&patterns.collect::<Vec<_>>()).exits(0);
    }

    /// Accepted, and these are listed as dropped.
    #[track_caller]
    fn drops(&self, names: &[&str]) {
        let run = self.init(&["--json"]).exits(0);
        let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let dropped: Vec<&str> =
            report["dropped"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        for name in names {
            assert!(dropped.contains(name), "{name} is not among {dropped:?}");
        }
    }
}

/// Target, what the source has besides, and the first name that an error must give.
const LOST: &[(&str, &str, &str)] = &[
    (LLAMA, "model.layers.{0-1}.self_attn.{q,k}_norm.weight 4", "model.layers.0.self_attn.k_norm.weight"),
    (LLAMA, "model.layers.{0-1}.self_attn.{q,k,v}_proj.bias 8", "model.layers.0.self_attn.k_proj.bias"),
    (LLAMA, "model.layers.{0-1}.{pre,post}_feedforward_layernorm.weight 8", "post_feedforward_layernorm"),
    (LLAMA, "model.layers.{0-1}.mlp.inner.deep.norm.scale 8", "model.layers.0.mlp.inner.deep.norm.scale"),
    (LLAMA, "model.layers.{0-1}.ffn_ln.gamma 8\nmodel.layers.{0-1}.ffn_ln.beta 8", "model.layers.0.ffn_ln.beta"),
    (LLAMA, "model.layers.{0-1}.norm1.{weight,bias,running_mean,running_var} 8", "model.layers.0.norm1.bias"),
    (LLAMA, "model.layers.1.self_attn.inner_norm.weight 8", "model.layers.1.self_attn.inner_norm.weight"),
    (LLAMA, "model.layers.{0-1}.ls1.gamma 8", "model.layers.0.ls1.gamma"),
    (LLAMA, "model.layers.{0-1}.self_attn.{q,v}_bias 8", "model.layers.0.self_attn.q_bias"),
    (LLAMA, "model.final_norm.weight 8", "model.final_norm.weight"),
    (LLAMA, "model.embed_norm.{weight,bias} 8", "model.embed_norm.bias"),
    (SEQ2SEQ, "model.{encoder,decoder}.layer_norm.{weight,bias} 8", "model.decoder.layer_norm.bias"),
    (SEQ2SEQ, "model.encoder.layernorm_embedding.{weight,bias} 8", "model.encoder.layernorm_embedding.bias"),
    (RESNET, "bn1.{weight,bias,running_mean,running_var} 8", "bn1.bias"),
    (RESNET, "layer1.{0-1}.bn2.{weight,bias,running_mean,running_var} 8", "layer1.0.bn2.bias"),
    (RESNET, "layer1.{0-1}.conv1.bias 8", "layer1.0.conv1.bias"),
    (SEQUENCE, "features.{1,3}.{weight,bias,running_mean,running_var} 8", "features.1.bias"),
    (FLAT, "bn2.{weight,bias,running_mean,running_var} 8", "bn2.bias"),
];

const LLAMA: &str = "model.embed_tokens.weight 16x8
    model.layers.{0-1}.self_attn.{q,k,v,o}_proj.weight 8x8
    model.layers.{0-1}.mlp.up_proj.weight 16x8
    model.layers.{0-1}.input_layernorm.weight 8
    model.norm.weight 8
    lm_head.weight 16x8";
const SEQ2SEQ: &str = "model.shared.weight 16x8
    model.{encoder,decoder}.layers.{0-1}.self_attn.q_proj.weight 8x8
    model.{encoder,decoder}.layers.{0-1}.norm.{weight,bias} 8";
const RESNET: &str = "conv1.weight 8x3x3x3
    layer{1,2}.{0-1}.conv1.weight 8x8x3x3
    layer{1,2}.{0-1}.bn1.{weight,bias} 8
    fc.weight 5x8";
const SEQUENCE: &str = "features.0.weight 8x3x3x3\nfeatures.2.weight 8x8x3x3\nclassifier.0.weight 5x8";
const FLAT: &str = "conv1.weight 8x3x3x3\nconv2.weight 8x8x3x3\nbn1.{weight,bias} 8";

#[test]
fn norms_and_biases_of_used_layers_are_lost_by_declaration_alone() {
    for (target, more, first) in LOST {
        let target = shapes(target);
        let mut source = target.clone();
        source.extend(shapes(more));
        Case::new(&source, &target).is_refused_until_declared(first);
    }
}

/// Target, what the source has besides, and what of it is listed as dropped.
const FINE: &[(&str, &str, &[&str])] = &[
    (LLAMA, "model.layers.{0-1}.self_attn.bias 1x1x4x4", &["model.layers.0.self_attn.bias"]),
    (LLAMA, "model.layers.{0-1}.self_attn.rotary_emb.inv_freq 4", &["model.layers.1.self_attn.rotary_emb.inv_freq"]),
    (LLAMA, "model.layers.{0-1}.self_attn.{k,v}_scale 1", &["model.layers.0.self_attn.k_scale"]),
    (LLAMA, "model.layers.{0-1}.mlp.up_proj.{input,weight}_scale 1", &["model.layers.0.mlp.up_proj.input_scale"]),
    (LLAMA, "model.layers.{0-1}.crossattention.norm.{weight,bias} 8", &["model.layers.0.crossattention.norm.bias"]),
    (
        LLAMA,
        "model.layers.{0-1}.encoder_attn_layer_norm.{weight,bias} 8",
        &["model.layers.0.encoder_attn_layer_norm.bias"],
    ),
    (LLAMA, "model.layers.{0-1}.adapter.norm.{weight,bias} 8", &["model.layers.1.adapter.norm.weight"]),
    (LLAMA, "model.mtp.norm.weight 8\nmodel.mtp.fc.weight 8x16", &["model.mtp.norm.weight"]),
    (LLAMA, "pooler.dense.{bias,norm} 8\npooler.dense.weight 8x8", &["pooler.dense.bias", "pooler.dense.weight"]),
    (
        LLAMA,
        "cls.transform.LayerNorm.{weight,bias} 8\ncls.transform.dense.weight 8x8",
        &["cls.transform.LayerNorm.bias"],
    ),
    (LLAMA, "lm_head.bias 16", &["lm_head.bias"]),
    (LLAMA, "model.layers.2.self_attn.q_proj.{weight,bias} 8\nmodel.layers.2.norm.weight 8", &[]),
    (LLAMA, "vision.layers.{0-1}.norm.weight 8\nvision.layers.{0-1}.fc.weight 8x8\nvision.norm.weight 8", &[]),
    (RESNET, "ema.layer1.{0-1}.bn9.weight 8\nema.layer1.{0-1}.conv.weight 8x8x1x1\nema.bn1.weight 8", &[]),
    (RESNET, "layer3.{0-1}.bn1.{weight,bias} 8\nlayer3.{0-1}.conv1.weight 8x8x3x3", &[]),
    (RESNET, "layer2.2.bn1.{weight,bias} 8\nlayer2.2.conv1.weight 8x8x3x3", &[]),
    (RESNET, "fpn.inner.0.0.weight 8x8x1x1\nfpn.inner.0.1.{weight,bias} 8", &[]),
    (SEQUENCE, "features.4.weight 8x8x3x3\nfeatures.5.{weight,bias,running_mean} 8", &[]),
    (FLAT, "teacher.conv1.weight 8x3x3x3\nteacher.bn1.{weight,bias} 8", &[]),
    (FLAT, "decoder_norm.{weight,bias} 8\ndecoder_embed.weight 8x8", &[]),
];

#[test]
fn what_stands_beside_used_layers_raises_no_alarm() {
    for (target, more, dropped) in FINE {
        let target = shapes(target);
        let mut source = target.clone();
        source.extend(shapes(more));
        Case::new(&source, &target).drops(dropped);
    }
}

#[test]
fn what_a_heterogeneous_block_lacks_at_the_chosen_layer_is_dropped() {
    // ModernBERT's first layer has no norm before its attention
    let source = shapes("layers.{0-3}.attn.weight 8x8\nlayers.{1-3}.attn_norm.weight 8");
    let target = shapes("layers.{0-1}.attn.weight 8x8\nlayers.1.attn_norm.weight 8");
    let case = Case::new(&source, &target);
    let run = case.init(&["--depth", "layers=2,3", "--json"]).exits(0);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["dropped"][0]["name"], "layers.2.attn_norm.weight");
}

#[test]
fn a_strict_run_asks_for_heads_and_never_for_scales_and_masks() {
    let target = shapes(LLAMA);
    let mut source = target.clone();
    source.extend(shapes(
        "cls.dense.weight 8x8\nmodel.layers.{0-1}.self_attn.bias 1x1x4x4\nmodel.layers.{0-1}.mlp.up_proj.weight_scale 1",
    ));
    let case = Case::new(&source, &target);
    let run = case.init(&["--strict"]).exits(4).complains("--unused 'cls.");
    assert!(!run.stderr.contains("weight_scale") && !run.stderr.contains("self_attn.bias"), "{}", run.stderr);
    case.init(&["--strict", "--unused", "cls.**"]).exits(0);
}

#[test]
fn a_decoder_without_its_encoder_takes_the_embeddings_that_the_source_ties_to_it() {
    let folder = Folder::new();
    let runs: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("families/runs.json")).unwrap()).unwrap();
    let run = runs.as_array().unwrap().iter().find(|run| run["weights"] == "bart.safetensors").unwrap();
    folder.write("bart/config.json", run["config"].to_string());
    folder.write("bart/model.safetensors", std::fs::read(fixture("families/bart.safetensors")).unwrap());
    let class = ["--set", "architectures=BartForCausalLM", "--out", "out", "--no-sync"];
    folder.xfer(&[&["init", "--from", "bart", "--arch", "bart"][..], &class].concat()).exits(0);
    let (before, after) = (tensors(&folder.path("bart")), tensors(&folder.path("out")));
    assert_eq!(before["model.shared.weight"].2, after["model.decoder.embed_tokens.weight"].2);
}

#[test]
fn what_may_be_a_renamed_norm_is_not_offered_as_unused() {
    // both norms of each layer have other names: declared unused, they would hide that the target's are new
    let target = shapes(
        "layer.{0-1}.fc.{weight} 8x8\nlayer.{0-1}.{before,after}.{weight,bias} 8\nemb.LayerNorm.{weight,bias} 8",
    );
    let source =
        shapes("layer.{0-1}.fc.{weight} 8x8\nlayer.{0-1}.{n1,n2}.{weight,bias} 8\nemb.LayerNorm.{scale,bias} 8");
    let refused = Case::new(&source, &target).init(&[]).exits(4);
    assert!(!refused.stderr.contains("hint: --unused"), "{}", refused.stderr);
    let strict = Case::new(&source, &target).init(&["--strict"]).exits(4);
    assert!(!strict.stderr.contains("hint: --unused") && !strict.stderr.contains("hint: --new"), "{}", strict.stderr);
    assert!(refused.stderr.contains("--map 'emb.LayerNorm.weight=emb.LayerNorm.scale'"), "{}", refused.stderr);
}

#[test]
fn a_norm_before_a_branch_is_no_norm_after_it() {
    // Olmo 2 norms the outputs of its branches, Llama their inputs
    let target = shapes("layers.{0-1}.{q,up}.weight 8x8\nlayers.{0-1}.{input,post_attention}_layernorm.weight 8");
    let source =
        shapes("layers.{0-1}.{q,up}.weight 8x8\nlayers.{0-1}.{post_feedforward,post_attention}_layernorm.weight 8");
    let refused = Case::new(&source, &target).init(&[]).exits(4).complains("post_feedforward_layernorm");
    assert!(!refused.stderr.contains("hint: --"), "{}", refused.stderr);
}
