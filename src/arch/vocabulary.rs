//! The tokenizer that a `vocab` rule names: its tokens, and the files that stand beside the output's weights.

use std::sync::Arc;

use super::beside::Beside;
use super::{TargetVocabulary, VocabRule};
use crate::arch::error::{ArchError, Problem};
use crate::checkpoint::vocabulary::Vocabulary;
use crate::error::{Error, Result};
use crate::source::error::SourceError;

/// A tokenizer's files are at most some ten megabytes.
const MOST_BYTES: u64 = 256 << 20;

/// The files of a tokenizer as Hugging Face's libraries write them.
const FILES: &[&str] = &[
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja",
];

/// What belongs to a vocabulary whichever file holds it.
const BESIDE: &[&str] =
    &["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"];

/// The files that say which token has which role.
const ROLES: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];

/// Reads the tokenizer that the rule names: a file with what stands beside it, or a folder.
pub(crate) fn read(rule: &VocabRule, beside: &Beside) -> Result<TargetVocabulary> {
    let named = rule.tokenizer.trim_end_matches('/');
    let (folder, wanted) = match named.rsplit_once('/') {
        _ if beside.is_folder(named) => (named, None),
        Some((folder, file)) => (folder, Some(file)),
        None => ("", Some(named)),
    };
    let mut files: Vec<(String, Arc<Vec<u8>>)> = Vec::new();
    // beside a file that is named, another vocabulary would contradict it
    let others = if wanted.is_some() { BESIDE } else { FILES };
    for name in others.iter().copied().filter(|name| Some(*name) != wanted).chain(wanted) {
        match beside.read(&join(folder, name), MOST_BYTES) {
            Ok(bytes) => files.push((name.to_string(), Arc::new(bytes))),
            Err(error) if Some(name) != wanted && is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    files.sort_unstable();
    let chosen = match wanted {
        Some(wanted) => files.iter().find(|(name, _)| name == wanted),
        None => Vocabulary::FILES.iter().find_map(|preferred| files.iter().find(|(name, _)| name == preferred)),
    };
    let (name, bytes) =
        chosen.ok_or_else(|| ArchError::File { file: rule.tokenizer.clone(), problem: Problem::NoTokenizer })?;
    let mut vocabulary = Vocabulary::read(name, bytes)?;
    for role in ROLES {
        if let Some((_, bytes)) = files.iter().find(|(name, _)| name == role) {
            vocabulary.add_special_roles(bytes)?;
        }
    }
    Ok(TargetVocabulary { vocabulary: Arc::new(vocabulary), files, folder: beside.path_of(folder) })
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") }
}

fn is_missing(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(SourceError::MissingPath { .. } | SourceError::NoSuchFile { .. }))
}
