//! The tokens of a tokenizer, by id.

/// The tokens of a tokenizer, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vocabulary {
    /// `tokens[id]`, or `None` where no token has this id.
    pub tokens: Vec<Option<String>>,
    /// Special tokens by role (`unk_token`, `cls_token`, …), where the tokenizer says them.
    pub special: Vec<(String, String)>,
}
