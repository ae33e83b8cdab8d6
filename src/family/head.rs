//! The head of a class, by the end of the class's name.

use super::config::Reader;
use crate::error::{Error, Result};
use crate::family::error::FamilyError;

/// What a class adds to its body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    None,
    /// Nothing, and of a model with an encoder and a decoder the encoder alone.
    Encoder,
    /// The tasks that the model was pretrained on.
    PreTraining,
    /// Logits of each token of the vocabulary; of a model with an encoder and a decoder, the decoder alone.
    Language,
    /// Logits of the tokens that a decoder writes for what an encoder reads.
    Generation,
    /// Whether one sentence follows the other.
    NextSentence,
    /// The class of a text.
    Sequence,
    /// A score for each of several texts.
    Choice,
    Token,
    /// The first and the last token of an answer.
    Span,
    /// The class of a recording.
    Audio,
}

/// The ends of class names. The first that fits counts.
const HEADS: &[(&str, Head)] = &[
    ("ForPreTraining", Head::PreTraining),
    ("ForMaskedLM", Head::Language),
    ("ForCausalLM", Head::Language),
    // the second head is GPT-2's alone
    ("DoubleHeadsModel", Head::Language),
    ("LMHeadModel", Head::Language),
    ("ForConditionalGeneration", Head::Generation),
    ("ForNextSentencePrediction", Head::NextSentence),
    ("ForSequenceClassification", Head::Sequence),
    ("ForMultipleChoice", Head::Choice),
    ("ForTokenClassification", Head::Token),
    ("ForQuestionAnswering", Head::Span),
    ("ForAudioClassification", Head::Audio),
    ("EncoderModel", Head::Encoder),
    ("Model", Head::None),
];

/// The head of the class that the config names, one of `known`.
pub(super) fn of(config: Reader, known: &'static [&'static str]) -> Result<Head> {
    let Some(name) = config.architecture()? else { return Ok(Head::None) };
    let head = HEADS.iter().find(|(end, _)| name.ends_with(end)).filter(|_| known.contains(&name));
    head.map(|(_, head)| *head).ok_or_else(|| unknown(config, known))
}

/// The error that the class that the config names is not one of `known`.
pub(super) fn unknown(config: Reader, known: &'static [&'static str]) -> Error {
    let name = config.architecture().ok().flatten().unwrap_or_default().to_string();
    FamilyError::Architecture { family: config.family, name, known }.into()
}
