//! The `model_type`s of the field. One that is among them is not a typing error, whether xfer builds it or not.

/// Every known one, sorted.
const KNOWN: &str = include_str!("model_types.txt");

/// Whether a model of the field is called so in configs: `gemma2`, `gpt_oss`, `resnet`.
pub(crate) fn is_known(model_type: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let wanted = plain(model_type);
    KNOWN.lines().filter(|line| !line.starts_with('#')).any(|line| plain(line) == wanted)
}

/// Whether two names belong to different models: one of them has a word that is a model, and the other lacks it.
pub(crate) fn are_different(a: &str, b: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let lower = text.to_ascii_lowercase();
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 1).map(str::to_string).collect()
    };
    let (a, b) = (words(a), words(b));
    a.iter().any(|word| is_known(word) && !b.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_the_field_are_known_and_slips_are_not() {
        for known in ["gemma2", "gpt_oss", "gpt-oss", "mamba", "resnet", "mbart", "qwen2_vl", "bert"] {
            assert!(is_known(known), "{known}");
        }
        for slip in ["lama", "bret", "gema", "gpt_nox", ""] {
            assert!(!is_known(slip), "{slip}");
        }
    }

    #[test]
    fn names_of_different_models_are_different_and_a_slip_is_not() {
        assert!(are_different("deberta-base", "roberta-base"));
        assert!(!are_different("bert-bose", "bert-base"));
        assert!(!are_different("distilbret-base", "distilbert-base"));
    }
}
