//! The tokens of a tokenizer, by id.

use crate::error::Result;

/// The tokens of a tokenizer, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vocabulary {
    /// `tokens[id]`, or `None` where no token has this id.
    pub tokens: Vec<Option<String>>,
    /// Special tokens by role (`unk_token`, `cls_token`, …), where the tokenizer says them.
    pub special: Vec<(String, String)>,
}

impl Vocabulary {
    /// The file names that hold a vocabulary, preferred first: `tokenizer.json`, `vocab.txt`.
    pub const FILES: &'static [&'static str] = &["tokenizer.json", "vocab.txt"];

    /// Reads a `tokenizer.json` (WordPiece, BPE, Unigram or word-level, with `added_tokens`) or a `vocab.txt`, by the file's name.
    pub fn read(_name: &str, _bytes: &[u8]) -> Result<Vocabulary> {
        todo!()
    }

    /// Adds the roles that a `tokenizer_config.json` or `special_tokens_map.json` states.
    pub fn add_special_roles(&mut self, _config: &[u8]) -> Result<()> {
        todo!()
    }
}
