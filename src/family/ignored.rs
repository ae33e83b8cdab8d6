//! What the classes of each family ignore in a checkpoint: `_keys_to_ignore_on_load_unexpected` of transformers 5.

use super::model::Family;

/// Tensors that a class ignores.
struct Ignored {
    family: &'static str,
    /// The class, or `None` for all of the family.
    class: Option<&'static str>,
    /// Last components of names, from a dot on.
    ends: &'static [&'static str],
    /// Components at any place.
    components: &'static [&'static str],
}

/// Every list of transformers that is not empty, of the families that are built.
const IGNORED: &[Ignored] = &[
    Ignored { family: "deberta-v2", class: None, ends: &[], components: &["position_embeddings"] },
    Ignored { family: "deberta-v2", class: Some("DebertaV2ForMaskedLM"), ends: &[], components: &["mask_predictions"] },
    Ignored { family: "gpt2", class: None, ends: &["attn.bias", "crossattention.bias"], components: &[] },
    Ignored { family: "gpt_neox", class: None, ends: &["attention.bias", "attention.masked_bias"], components: &[] },
    Ignored { family: "t5", class: None, ends: &["EncDecAttention.relative_attention_bias.weight"], components: &[] },
    Ignored { family: "t5", class: Some("T5EncoderModel"), ends: &[], components: &["decoder"] },
    Ignored { family: "mt5", class: None, ends: &["EncDecAttention.relative_attention_bias.weight"], components: &[] },
    Ignored { family: "bart", class: None, ends: &["encoder.version", "decoder.version"], components: &[] },
];

/// Whether a class of a family (`None`: any of them) ignores a stored tensor of this name.
pub(crate) fn is_ignored(family: &dyn Family, class: Option<&str>, name: &str) -> bool {
    let ends_in = |end: &str| name.strip_suffix(end).is_some_and(|path| path.is_empty() || path.ends_with('.'));
    let of_class = |list: &&Ignored| list.family == family.name() && (list.class.is_none() || list.class == class);
    IGNORED.iter().filter(of_class).any(|list| {
        list.ends.iter().any(|end| ends_in(end)) || name.split('.').any(|part| list.components.contains(&part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::by_name;

    #[test]
    fn classes_ignore_what_transformers_lists_for_them() {
        let ignores = |family: &str, class: Option<&str>, name: &str| is_ignored(by_name(family).unwrap(), class, name);
        assert!(ignores("gpt2", Some("GPT2LMHeadModel"), "transformer.h.3.attn.bias"));
        assert!(!ignores("gpt2", None, "transformer.h.3.attn.c_attn.bias"));
        assert!(ignores("gpt_neox", None, "gpt_neox.layers.0.attention.masked_bias"));
        assert!(ignores("deberta-v2", None, "deberta.embeddings.position_embeddings.weight"));
        assert!(ignores("t5", Some("T5EncoderModel"), "decoder.final_layer_norm.weight"));
        assert!(!ignores("t5", Some("T5Model"), "decoder.final_layer_norm.weight"));
        assert!(ignores("bart", None, "model.encoder.version"));
        assert!(!ignores("bert", None, "bert.encoder.layer.0.output.LayerNorm.weight"));
    }

    #[test]
    fn every_list_is_of_a_family_that_is_built() {
        for list in IGNORED {
            let family = by_name(list.family).unwrap();
            let known = |class: &&str| family.architectures().contains(class);
            assert!(list.class.as_ref().is_none_or(known), "{:?}", list.class);
        }
    }
}
