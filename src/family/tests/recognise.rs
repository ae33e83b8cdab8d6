//! Which family a source is of.

use super::*;
use crate::checkpoint::Listing;
use crate::tensor::{Dtype, TensorInfo};

fn source(config: Option<&str>, names: &[&str]) -> Listing {
    let tensors = names.iter().map(|name| TensorInfo::new(*name, Dtype::F32, [3, 24])).collect();
    Listing::new(crate::checkpoint::CheckpointFormat::Safetensors, tensors, Vec::new(), config.map(str::to_string))
}

#[test]
fn a_source_is_recognised_by_config_or_by_names() {
    let name = |source: Listing| recognise(&source).map(|(family, config)| (family.name(), config.is_some()));
    let body = ["embeddings.token_type_embeddings.weight", "encoder.layer.0.attention.self.query.weight"];
    let below = |path: &str| body.map(|name| format!("{path}{name}"));
    let by_names = |path: &str| name(source(None, &below(path).each_ref().map(String::as_str)));
    for path in ["", "bert.", "module.bert.", "model.", "state_dict._orig_mod.bert."] {
        assert_eq!(by_names(path), Some(("bert", false)), "{path}");
    }
    for path in ["roberta.", "text_encoder.", "xbert."] {
        assert_eq!(by_names(path), None, "{path}");
    }
    assert_eq!(name(source(Some(r#"{"model_type":"bert"}"#), &["x"])), Some(("bert", true)));
    assert_eq!(name(source(Some(r#"{"model_type":"mamba"}"#), &body)), None);
    assert_eq!(name(source(Some(r#"{"hidden_size":24}"#), &body)), Some(("bert", true)));
    assert_eq!(name(source(Some("not json"), &body)), Some(("bert", false)));
    assert_eq!(name(source(None, &body[..1])), None);
    assert_eq!(name(source(None, &[])), None);
}
