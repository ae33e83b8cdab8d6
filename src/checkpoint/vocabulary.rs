//! The tokens of a tokenizer, by id.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::json::json_error;
use crate::checkpoint::error::CheckpointError;
use crate::error::Result;
use crate::hash::HashMap;

/// More ids than any tokenizer has; a larger id would only take memory.
const LIMIT: u64 = 16_777_216;

/// The roles of special tokens, as `transformers` names them.
const ROLES: &[&str] = &["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The tokens of a tokenizer, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vocabulary {
    /// `tokens[id]`, or `None` where no token has this id.
    pub tokens: Vec<Option<String>>,
    /// Special tokens by role (`unk_token`, `cls_token`, …), where the tokenizer says them; each role once, in alphabetic order.
    pub special: Vec<(String, String)>,
}

impl Vocabulary {
    /// The file names that hold a vocabulary, preferred first: `tokenizer.json`, `vocab.txt`.
    pub(crate) const FILES: &'static [&'static str] = &["tokenizer.json", "vocab.txt"];

    /// Reads a `tokenizer.json` (WordPiece, BPE, Unigram or word-level, with `added_tokens`) or a `vocab.txt`, by the file's name:
    /// `.json` is the former, everything else the latter.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Vocabulary> {
        let text = text(name, bytes)?;
        if name.ends_with(".json") { read_tokenizer(name, text) } else { read_lines(name, text) }
    }

    /// Adds the roles that a `tokenizer_config.json` or `special_tokens_map.json` states, over what was known of them.
    pub(crate) fn add_special_roles(&mut self, config: &[u8]) -> Result<()> {
        const NAME: &str = "tokenizer_config.json";
        let text = text(NAME, config)?;
        let config: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|error| json_error(NAME, text, 0, &error))?;
        for role in ROLES {
            if let Some(token) = config.get(*role).and_then(token_text) {
                self.put_role(role, token);
            }
        }
        Ok(())
    }

    fn put(&mut self, file: &str, token: String, id: u64) -> Result<()> {
        let place = usize::try_from(id).ok().filter(|_| id < LIMIT);
        let Some(place) = place else {
            return Err(CheckpointError::TokenId { file: file.into(), token, id, limit: LIMIT }.into());
        };
        if self.tokens.len() <= place {
            self.tokens.resize(place + 1, None);
        }
        if let Some(slot) = self.tokens.get_mut(place) {
            *slot = Some(token);
        }
        Ok(())
    }

    fn put_role(&mut self, role: &str, token: &str) {
        match self.special.iter_mut().find(|(known, _)| known == role) {
            Some((_, known)) => *known = token.into(),
            None => {
                self.special.push((role.into(), token.into()));
                self.special.sort_unstable();
            }
        }
    }
}

fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str> {
    let not_utf8 =
        |error: std::str::Utf8Error| CheckpointError::NotUtf8 { file: file.into(), offset: error.valid_up_to() as u64 };
    Ok(std::str::from_utf8(bytes).map_err(not_utf8)?)
}

/// `"[UNK]"`, or `{"content": "[UNK]", …}`.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// A token in each line, its number is the id. Lines end as Python's text files do; nothing else is stripped. A token
/// in several lines has the last number.
fn read_lines(file: &str, text: &str) -> Result<Vocabulary> {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = unified.strip_suffix('\n').unwrap_or(&unified).split('\n').collect();
    let lines = if unified.is_empty() { Vec::new() } else { lines };
    let last: HashMap<&str, usize> = lines.iter().enumerate().map(|(id, token)| (*token, id)).collect();
    let mut vocabulary = Vocabulary::default();
    for (id, token) in lines.iter().enumerate() {
        if last.get(token) == Some(&id) {
            vocabulary.put(file, token.to_string(), id as u64)?;
        }
    }
    Ok(vocabulary)
}

#[derive(Deserialize)]
struct Tokenizer {
    model: Model,
    added_tokens: Option<Vec<Added>>,
    post_processor: Option<Value>,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    vocab: Pairs,
    unk_token: Option<String>,
    unk_id: Option<u64>,
}

/// Tokens with their ids, in the order of the file: an object of ids, or an array of `[token, score]`.
struct Pairs(Vec<(String, u64)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Pairs, D::Error> {
        deserializer.deserialize_any(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object of token ids or an array of tokens with their scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some((token, _)) = seq.next_element::<(String, IgnoredAny)>()? {
            pairs.push((token, pairs.len() as u64));
        }
        Ok(Pairs(pairs))
    }
}

fn read_tokenizer(file: &str, text: &str) -> Result<Vocabulary> {
    let tokenizer: Tokenizer = serde_json::from_str(text).map_err(|error| json_error(file, text, 0, &error))?;
    let Model { vocab, unk_token, unk_id } = tokenizer.model;
    let mut vocabulary = Vocabulary::default();
    for (token, id) in vocab.0 {
        vocabulary.put(file, token, id)?;
    }
    for Added { id, content } in tokenizer.added_tokens.into_iter().flatten() {
        vocabulary.put(file, content, id)?;
    }
    let by_id = |id: u64| vocabulary.tokens.get(usize::try_from(id).ok()?)?.clone();
    if let Some(unknown) = unk_token.or_else(|| by_id(unk_id?)) {
        vocabulary.put_role("unk_token", &unknown);
    }
    // the processors of BERT and RoBERTa say which tokens these are: `"sep": ["[SEP]", 102]`
    for (role, key) in [("sep_token", "sep"), ("cls_token", "cls")] {
        let pair = tokenizer.post_processor.as_ref().and_then(|processor| processor.get(key));
        if let Some(token) = pair.and_then(|pair| pair.get(0)?.as_str()) {
            vocabulary.put_role(role, token);
        }
    }
    Ok(vocabulary)
}
