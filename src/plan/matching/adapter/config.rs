//! `adapter_config.json`: what of it changes a merge, and what of it cannot be merged.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::error::Result;
use crate::plan::matching::adapter::error::AdapterError;
use crate::plan::matching::adapter::find;
use crate::plan::matching::adapter::pattern::Pattern;

/// Keys that a merge reads.
const READ: &[&str] = &[
    "peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "bias", "lora_bias",
    "use_rslora", "use_dora", "modules_to_save", "init_lora_weights", "trainable_token_indices", "target_modules",
    "ensure_weight_tying",
];

/// Keys that change nothing of a merge: they state where adapters were put (the tensors show that), or how they were trained.
const WITHOUT_EFFECT: &[&str] = &[
    "auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "exclude_modules", "inference_mode",
    "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_core",
    "peft_version", "qalora_group_size", "revision", "runtime_config", "task_type",
];

/// The values of `init_lora_weights` that leave the base as it is.
const INITIALISATIONS: &[&str] = &["gaussian", "eva", "orthogonal", "mica"];

/// What an `adapter_config.json` says.
pub(crate) struct Config {
    name: String,
    rank: f64,
    alpha: Option<f64>,
    ranks: Vec<Pattern>,
    alphas: Vec<Pattern>,
    use_rslora: bool,
    tokens: Tokens,
    targets: Option<Vec<String>>,
    /// Whether matrices of unknown classes are (in, out).
    pub fan_in_fan_out: bool,
    /// Whether columns have norms of their own.
    pub use_dora: bool,
    /// Whether `lora_B` has a bias.
    pub lora_bias: bool,
    pub ensure_weight_tying: bool,
    /// Whether biases of the base were trained.
    pub has_biases: bool,
    pub modules_to_save: Vec<String>,
}

/// `trainable_token_indices`.
enum Tokens {
    None,
    List(Vec<u64>),
    ByModule(BTreeMap<String, Vec<u64>>),
}

impl Config {
    /// Reads the text of a config; what cannot be merged is an error that names the key.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Config> {
        let wrong = |what: String| AdapterError::Config { name: name.into(), what };
        let written: Map<String, Json> = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        refuse(name, &written)?;
        let flag = |key: &str| match written.get(key) {
            None | Some(Json::Null) => Ok(false),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong(format!("{key} is {other}, which is neither true nor false"))),
        };
        let number = |key: &str| written.get(key).and_then(Json::as_f64);
        let patterns = |key: &str| Pattern::all(written.get(key)).map_err(|what| wrong(format!("{key}: {what}")));
        let is_unset = |key: &str| written.get(key).is_none_or(is_default);
        let names = |key: &str| texts(written.get(key));
        Ok(Config {
            name: name.into(),
            rank: number("r").ok_or_else(|| wrong("r is missing".into()))?,
            alpha: number("lora_alpha"),
            ranks: patterns("rank_pattern")?,
            alphas: patterns("alpha_pattern")?,
            use_rslora: flag("use_rslora")?,
            tokens: tokens(written.get("trainable_token_indices")).map_err(wrong)?,
            targets: written
                .get("target_modules")
                .filter(|targets| targets.is_array() && is_unset("layers_to_transform") && is_unset("exclude_modules"))
                .map(|_| names("target_modules")),
            fan_in_fan_out: flag("fan_in_fan_out")?,
            use_dora: flag("use_dora")?,
            lora_bias: flag("lora_bias")?,
            ensure_weight_tying: flag("ensure_weight_tying")?,
            has_biases: written.get("bias").and_then(Json::as_str).is_some_and(|bias| bias != "none"),
            modules_to_save: names("modules_to_save"),
        })
    }

    /// The rank of a module: that of the first pattern that matches it, or `r`.
    pub(crate) fn rank(&self, module: &str) -> Result<u64> {
        let rank =
            self.ranks.iter().find(|pattern| pattern.matches(module)).map_or(self.rank, |pattern| pattern.number);
        match rank >= 1.0 && rank.fract() == 0.0 && rank < 1e9 {
            true => Ok(rank as u64),
            false => {
                let what = format!("the rank of {module} is {rank}, which is not a positive whole number");
                Err(AdapterError::Config { name: self.name.clone(), what }.into())
            }
        }
    }

    /// `lora_alpha` over the rank, or over its root.
    pub(crate) fn scale(&self, module: &str, rank: u64) -> Result<f64> {
        let own = self.alphas.iter().find(|pattern| pattern.matches(module)).map(|pattern| pattern.number);
        let missing = || AdapterError::Config { name: self.name.clone(), what: "lora_alpha is missing".into() };
        let alpha = own.or(self.alpha).ok_or_else(missing)?;
        let rank = rank as f64;
        Ok(alpha / if self.use_rslora { rank.sqrt() } else { rank })
    }

    /// An error where a pattern matches none of the adapted modules.
    pub(crate) fn require_patterns_match(&self, modules: &[&str]) -> Result<()> {
        for (key, patterns) in [("rank_pattern", &self.ranks), ("alpha_pattern", &self.alphas)] {
            for pattern in patterns {
                // a whole name may be of another class than the adapter was saved from
                if !modules.iter().any(|module| pattern.matches(module)) {
                    let what = format!("{key}: `{}` matches none of the adapted modules", pattern.text);
                    return Err(AdapterError::Config { name: self.name.clone(), what }.into());
                }
            }
        }
        Ok(())
    }

    /// The rows of a module whose values the adapter has.
    pub(crate) fn tokens(&self, module: &str) -> Option<Vec<u64>> {
        match &self.tokens {
            Tokens::None => None,
            Tokens::List(rows) => Some(rows.clone()),
            Tokens::ByModule(all) => {
                all.iter().find(|(name, _)| find::is_same(name, module)).map(|(_, rows)| rows.clone())
            }
        }
    }

    /// Whether a tensor belongs to a module that was trained whole.
    pub(crate) fn is_saved_whole(&self, tensor: &str) -> bool {
        self.modules_to_save.iter().any(|module| names_module(module, tensor))
    }

    /// The last components of the modules that were adapted, where the config lists them as such and every layer has them.
    pub(crate) fn plain_targets(&self) -> Option<Vec<&str>> {
        let targets = self.targets.as_ref()?;
        let is_plain = |target: &&String| !target.contains('.');
        targets.iter().all(|target| is_plain(&target)).then(|| targets.iter().map(String::as_str).collect())
    }
}

/// Whether a name of `modules_to_save` means the module of a tensor, or one above it.
pub(crate) fn names_module(module: &str, tensor: &str) -> bool {
    let mut path = tensor;
    while let Some((above, _)) = path.rsplit_once('.') {
        if above == module || above.strip_suffix(module).is_some_and(|rest| rest.ends_with('.')) {
            return true;
        }
        path = above;
    }
    false
}

fn refuse(name: &str, written: &Map<String, Json>) -> Result<()> {
    let refused = |key: &str, value: &Json| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        AdapterError::Unsupported { name: name.into(), key: key.into(), value: crate::error::shortened(&value) }
    };
    for (key, value) in written {
        match (key.as_str(), value) {
            ("peft_type", Json::String(kind)) if kind == "LORA" => {}
            ("peft_type", Json::Null) => {}
            ("peft_type", _) => return Err(refused(key, value).into()),
            ("init_lora_weights", Json::Bool(_) | Json::Null) => {}
            ("init_lora_weights", Json::String(how)) if INITIALISATIONS.contains(&how.to_lowercase().as_str()) => {}
            ("init_lora_weights", _) => return Err(refused(key, value).into()),
            ("bias", Json::String(how)) if ["none", "all", "lora_only"].contains(&how.as_str()) => {}
            ("bias", Json::Null) => {}
            ("bias", _) => return Err(refused(key, value).into()),
            (known, _) if READ.contains(&known) || WITHOUT_EFFECT.contains(&known) => {}
            _ if is_default(value) => {}
            _ => return Err(refused(key, value).into()),
        }
    }
    Ok(())
}

/// Whether a value turns nothing on.
fn is_default(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Array(all) => all.is_empty(),
        Json::Object(all) => all.is_empty(),
        Json::String(text) => text.is_empty(),
        Json::Bool(true) | Json::Number(_) => false,
    }
}

fn texts(value: Option<&Json>) -> Vec<String> {
    match value {
        Some(Json::String(one)) => vec![one.clone()],
        Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).map(str::to_string).collect(),
        _ => Vec::new(),
    }
}

fn tokens(value: Option<&Json>) -> std::result::Result<Tokens, String> {
    let wrong = || "trainable_token_indices are no lists of whole numbers".to_string();
    let list = |value: &Json| -> std::result::Result<Vec<u64>, String> {
        let all = value.as_array().ok_or_else(wrong)?;
        all.iter().map(|one| one.as_u64().ok_or_else(wrong)).collect()
    };
    match value {
        None | Some(Json::Null) => Ok(Tokens::None),
        Some(Json::Object(all)) => {
            let lists = all.iter().map(|(module, rows)| Ok((module.clone(), list(rows)?)));
            Ok(Tokens::ByModule(lists.collect::<std::result::Result<_, String>>()?))
        }
        Some(other) => Ok(Tokens::List(list(other)?)),
    }
}
