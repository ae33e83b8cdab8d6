//! The files beside the weights: `config.json` that says what was written, `arch.json`, and those of the source that apply.

use serde_json::{Map, Value as Json};

use super::fit::{VocabularyRows, dominant};
use super::matching::Matching;
use super::{Action, Assignment, Companion, Content, SourceView};
use crate::arch::{Architecture, Form, TargetVocabulary};
use crate::tensor::Role;

/// Files that belong to a tokenizer, by their last component.
const TOKENIZER: &[&str] = &[
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "source.spm",
    "target.spm",
    "chat_template.jinja",
    "chat_template.json",
];

/// Files of the pipeline that sentence-transformers puts behind a bare model; a head of one's own replaces it.
const SENTENCE: &[&str] = &["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"];

/// Names that the output uses itself.
const OWN: &[&str] = &["config.json", "arch.json", "xfer.json", "model.safetensors", "model.safetensors.index.json"];

/// The files, and what the user should know of them.
#[derive(Debug, Default)]
pub(super) struct Companions {
    /// The files.
    pub files: Vec<Companion>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Which files stand beside the weights.
pub(super) fn choose(
    sources: &[SourceView],
    target: &Architecture,
    matching: &Matching,
    vocabulary: &VocabularyRows,
    assignments: &[Assignment],
) -> Companions {
    let mut companions = Companions::default();
    match config(target, assignments) {
        Some(text) => companions.files.push(text_file("config.json", text)),
        None => companions
            .warnings
            .push(format!("no config.json is written: the architecture ({}) has no `config`", target.form.name())),
    }
    companions.files.extend(target.arch_json.clone().map(|text| text_file("arch.json", text)));
    if let Some(tokenizer) = &target.vocabulary {
        companions.files.extend(tokenizer_files(tokenizer));
    }
    companions.carry(sources, target, matching, vocabulary, assignments);
    companions
}

fn text_file(name: &str, text: String) -> Companion {
    Companion { name: name.into(), content: Content::Text(text) }
}

/// The architecture's config with what was written: the type of most elements, the vocabulary's rows, the labels. It names no
/// model that it is not.
fn config(target: &Architecture, assignments: &[Assignment]) -> Option<String> {
    let mut config: Map<String, Json> = target.config.as_ref()?.0.clone();
    config.shift_remove("xfer");
    config.shift_remove("_name_or_path");
    let written = assignments.iter().filter(|a| a.action != Action::Tied).map(|assignment| &assignment.target);
    if let Some(name) = dominant(written).and_then(|dtype| dtype.torch_name()) {
        // transformers 5 reads `dtype`, older ones `torch_dtype`: a config that has the old key keeps both alike
        if let Some(old) = config.get_mut("torch_dtype") {
            *old = name.into();
        }
        config.insert("dtype".into(), name.into());
    }
    if let Some(rows) = vocabulary_rows(target, assignments) {
        config.insert("vocab_size".into(), rows.into());
    }
    if let Some(labels) = ruled_labels(target) {
        let numbered = labels.iter().enumerate();
        let id2label: Map<String, Json> =
            numbered.clone().map(|(id, name)| (id.to_string(), name.as_str().into())).collect();
        let label2id: Map<String, Json> = numbered.map(|(id, name)| (name.clone(), id.into())).collect();
        config.insert("id2label".into(), id2label.into());
        config.insert("label2id".into(), label2id.into());
        if config.contains_key("num_labels") {
            config.insert("num_labels".into(), labels.len().into());
        }
    }
    serde_json::to_string_pretty(&Json::Object(config)).ok().map(|text| text + "\n")
}

/// The rows of the only embedding that a `vocab` rule fills, where the config states a vocabulary.
fn vocabulary_rows(target: &Architecture, assignments: &[Assignment]) -> Option<u64> {
    target.config.as_ref()?.0.get("vocab_size")?;
    let selector = target.rules.vocab.as_ref()?.target.as_ref()?;
    let mut meant = assignments.iter().filter(|a| selector.pattern.matches(&a.target.name).is_some());
    let first = meant.next()?.target.shape.first().copied();
    if meant.next().is_some() { None } else { first }
}

/// The labels of a rule that speaks for the only head of a Hugging Face config.
fn ruled_labels(target: &Architecture) -> Option<&[String]> {
    match (target.form, target.rules.labels.as_slice()) {
        (Form::HuggingFace, [.., rule]) => Some(&rule.labels),
        (Form::HuggingFace | Form::Layers | Form::Listing, _) => None,
    }
}

/// The files of the tokenizer that the architecture names: text stands in the plan itself, other bytes by their digest.
fn tokenizer_files(tokenizer: &TargetVocabulary) -> impl Iterator<Item = Companion> + '_ {
    tokenizer.files.iter().map(|(name, bytes)| {
        let content = match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text(text.to_string()),
            Err(_) => {
                let location = std::path::Path::new(&tokenizer.folder).join(name).display().to_string();
                Content::File { location, digest: format!("blake3:{}", blake3::hash(bytes).to_hex()) }
            }
        };
        Companion { name: name.clone(), content }
    })
}

impl Companions {
    /// Carries along what applies of the source that fills most of the target.
    fn carry(
        &mut self,
        sources: &[SourceView],
        target: &Architecture,
        matching: &Matching,
        vocabulary: &VocabularyRows,
        assignments: &[Assignment],
    ) {
        let Some(main) = main_source(sources.len(), assignments) else { return };
        let rows = VocabularyState::of(target, vocabulary, assignments);
        let has_same_family = matching.families.get(main).is_some_and(|family| {
            family.is_some() && target.blocks.iter().any(|block| Some(block.family.name()) == family.as_deref())
        });
        let is_bare = target.form == Form::HuggingFace && !target.parameters.iter().any(|parameter| parameter.head);
        let mut carried_tokenizer = false;
        for (source, view) in sources.iter().enumerate() {
            for (name, digest) in &view.companions {
                let applies = match kind(name) {
                    Kind::Own => false,
                    Kind::Tokenizer => rows.tokenizer_of(target).unwrap_or(usize::MAX) == source,
                    Kind::Sentence => source == main && has_same_family && is_bare,
                    Kind::Model => source == main && has_same_family,
                };
                if applies && !self.files.iter().any(|file| file.name == *name) {
                    carried_tokenizer |= kind(name) == Kind::Tokenizer;
                    let content = Content::Source { source, name: name.clone(), digest: digest.clone() };
                    self.files.push(Companion { name: name.clone(), content });
                }
            }
        }
        if carried_tokenizer && let Some((found, written, name)) = rows.changed {
            self.warnings.push(format!(
                "{name} has {written} rows where the source has {found}, and the source's tokenizer is carried along \
                 unchanged; a `vocab` rule names another"
            ));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Own,
    Tokenizer,
    Sentence,
    Model,
}

fn kind(name: &str) -> Kind {
    let last = name.rsplit('/').next().unwrap_or(name);
    let is_stage = name.contains('/') && name.starts_with(|c: char| c.is_ascii_digit());
    match () {
        () if OWN.contains(&name) || name.ends_with(".safetensors") && !name.contains('/') => Kind::Own,
        () if SENTENCE.contains(&name) || is_stage => Kind::Sentence,
        () if TOKENIZER.contains(&last) => Kind::Tokenizer,
        () => Kind::Model,
    }
}

/// The source that most elements come from; of equals the first. `None` where nothing does.
fn main_source(sources: usize, assignments: &[Assignment]) -> Option<usize> {
    let mut counts = vec![0u64; sources];
    for assignment in assignments {
        let (source, elements) = (assignment.value.first_source(), assignment.target.elements().unwrap_or(0));
        if let Some(count) = source.and_then(|(source, _)| counts.get_mut(source)) {
            *count = count.saturating_add(elements);
        }
    }
    let best = counts.iter().copied().max().filter(|best| *best > 0)?;
    counts.iter().position(|count| *count == best)
}

/// Where the embedding over the vocabulary came from.
struct VocabularyState {
    source: Option<usize>,
    /// Rows of the source, rows written, the embedding, where the numbers differ.
    changed: Option<(u64, u64, String)>,
}

impl VocabularyState {
    fn of(target: &Architecture, vocabulary: &VocabularyRows, assignments: &[Assignment]) -> VocabularyState {
        let first = vocabulary.embeddings.iter().find_map(|id| {
            let assignment = assignments.get(*id)?;
            Some((assignment, assignment.value.first_source()?.0, target.parameters.get(*id)?))
        });
        let Some((assignment, source, parameter)) = first.filter(|(_, _, p)| p.role != Role::Position) else {
            return VocabularyState { source: None, changed: None };
        };
        let mut found = None;
        assignment.value.leaves(&mut |leaf| {
            if let super::Value::Source { shape, .. } = leaf {
                found = found.or(shape.first().copied());
            }
        });
        let written = assignment.target.rows();
        let changed = found.filter(|found| *found != written).map(|found| (found, written, parameter.name.clone()));
        VocabularyState { source: Some(source), changed }
    }

    /// The source whose tokenizer still fits, unless the architecture names its own.
    fn tokenizer_of(&self, target: &Architecture) -> Option<usize> {
        self.source.filter(|_| target.vocabulary.is_none())
    }
}
