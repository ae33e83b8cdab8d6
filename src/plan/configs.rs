//! What the configs of both sides say, read once: classes, sizes, types.

use serde_json::{Map, Value as Json};

use crate::arch::{Architecture, Form};
use crate::error::Result;
use crate::family::Config;
use crate::name::below;
use crate::plan::fit::error::FitError;
use crate::plan::inputs::SourceView;
use crate::tensor::Dtype;

/// The names of a head's classes in the order of its rows, `None` where a config does not say how many there are.
pub(crate) fn labels(config: &Map<String, Json>) -> Option<Vec<String>> {
    if let Some(Json::Object(names)) = config.get("id2label") {
        let mut rows: Vec<(u64, String)> = Vec::with_capacity(names.len());
        for (id, name) in names {
            rows.push((id.parse().ok()?, name.as_str().map_or_else(|| name.to_string(), str::to_string)));
        }
        rows.sort_unstable();
        let is_dense = rows.iter().enumerate().all(|(row, (id, _))| row as u64 == *id);
        return is_dense.then(|| rows.into_iter().map(|(_, name)| name).collect());
    }
    let count = config.get("num_labels").and_then(Json::as_u64)?;
    (count <= crate::arch::MOST_LABELS).then(|| (0..count).map(|row| format!("LABEL_{row}")).collect())
}

/// Whether the class that a config names has a head whose rows are its labels.
pub(crate) fn has_label_head(config: &Map<String, Json>) -> bool {
    let classes = config.get("architectures").and_then(Json::as_array);
    classes
        .and_then(|classes| classes.first())
        .and_then(Json::as_str)
        .is_some_and(|class| class.contains("Classification"))
}

/// The config of a source, or `None` where it has none that can be read.
pub(crate) fn source_config(source: &SourceView) -> Option<Map<String, Json>> {
    match serde_json::from_str(source.listing.config.as_deref()?) {
        Ok(Json::Object(config)) => Some(config),
        Ok(_) | Err(_) => None,
    }
}

/// The config that speaks for a parameter: that of the innermost family block around it, else the architecture's own.
pub(crate) fn config_of<'a>(target: &'a Architecture, name: &str) -> Option<&'a Config> {
    target
        .blocks
        .iter()
        .filter(|block| below(name, &block.path).is_some())
        .max_by_key(|block| block.path.len())
        .map(|block| &block.config)
        .or(target.config.as_ref())
}

/// The labels that a Hugging Face config itself gives to its head.
pub(crate) fn config_labels(target: &Architecture) -> Option<Vec<String>> {
    let config = target.config.as_ref().filter(|_| target.form == Form::HuggingFace)?;
    // transformers' configs have two labels where they say none
    let two = || vec!["LABEL_0".to_string(), "LABEL_1".to_string()];
    has_label_head(&config.0).then(|| labels(&config.0).unwrap_or_else(two))
}

/// The element type that a config states (`dtype`, else `torch_dtype`), `None` where it states none or `auto`.
pub(crate) fn config_dtype(config: &Config) -> Result<Option<Dtype>> {
    let stated = ["dtype", "torch_dtype"].iter().find_map(|key| config.0.get(*key).and_then(Json::as_str));
    match stated {
        None | Some("auto") => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|source| FitError::ConfigDtype { source: Box::new(source) }.into())
        }
    }
}
