//! The files beside the weights: `config.json` that says what was written, `arch.json`, and those of the source that apply.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::arch::{Architecture, Form, TargetVocabulary};
use crate::checkpoint::Listing;
use crate::name::is_index;
use crate::plan::assignment::Assignment;
use crate::plan::compatibility;
use crate::plan::document::{Companion, Content};
use crate::plan::dtype::dominant;
use crate::plan::fit::vocabulary::VocabularyRows;
use crate::plan::inputs::SourceView;
use crate::plan::matching::Matching;
use crate::plan::quantized::announced::Announcement;
use crate::plan::value::Action;
use crate::tensor::{Dtype, Name, Role};

/// The names that Hugging Face and sentence-transformers use at the top of a repository, and what each belongs to.
const COMPANIONS: &[(&str, Kind)] = &[
    ("added_tokens.json", Kind::Tokenizer),
    ("chat_template.jinja", Kind::Tokenizer),
    ("chat_template.json", Kind::Tokenizer),
    ("bpe.codes", Kind::Tokenizer),
    ("dict.txt", Kind::Tokenizer),
    ("emoji.json", Kind::Tokenizer),
    ("encoder.json", Kind::Tokenizer),
    ("merges.txt", Kind::Tokenizer),
    ("normalizer.json", Kind::Tokenizer),
    ("sentencepiece.bpe.model", Kind::Tokenizer),
    ("sentencepiece.model", Kind::Tokenizer),
    ("source.spm", Kind::Tokenizer),
    ("special_tokens_map.json", Kind::Tokenizer),
    ("spiece.model", Kind::Tokenizer),
    ("spm.model", Kind::Tokenizer),
    ("target.spm", Kind::Tokenizer),
    ("tiktoken.model", Kind::Tokenizer),
    ("tokenizer.json", Kind::Tokenizer),
    ("tokenizer.model", Kind::Tokenizer),
    ("tokenizer_config.json", Kind::Tokenizer),
    ("vocab.bpe", Kind::Tokenizer),
    ("vocab.json", Kind::Tokenizer),
    ("vocab.txt", Kind::Tokenizer),
    ("config_sentence_transformers.json", Kind::Sentence),
    ("modules.json", Kind::Sentence),
    ("sentence_bert_config.json", Kind::Sentence),
    ("generation_config.json", Kind::Model),
    ("preprocessor_config.json", Kind::Model),
    ("processor_config.json", Kind::Model),
    ("video_preprocessor_config.json", Kind::Model),
];

/// What a file beside the weights belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tokenizer,
    /// The pipeline that sentence-transformers puts behind a bare model; a head of one's own replaces it.
    Sentence,
    Model,
    /// Code that a config names under `auto_map`.
    Code,
}

/// Whether a file of this name, below its source, can stand beside the output's weights. `1_Pooling/config.json` and its
/// like are the configs of the modules that a `modules.json` lists.
pub(crate) fn is_companion(name: &str) -> bool {
    kind(name).is_some()
}

fn kind(name: &str) -> Option<Kind> {
    let listed = COMPANIONS.iter().find(|(companion, _)| *companion == name).map(|(_, kind)| *kind);
    listed.or_else(|| is_module_config(name).then_some(Kind::Sentence)).or_else(|| kind_by_pattern(name))
}

/// Files whose names differ from model to model: `qwen.tiktoken`, `tekken.json`, `tokenizer.model.v3`, and the modules of remote code, which
/// import each other.
fn kind_by_pattern(name: &str) -> Option<Kind> {
    if let Some(template) = name.strip_prefix("additional_chat_templates/") {
        return template.ends_with(".jinja").then_some(Kind::Tokenizer);
    }
    if name.contains('/') {
        return None;
    }
    let is_tekken = name.starts_with("tekken") && name.ends_with(".json");
    match name {
        _ if name.ends_with(".tiktoken") || is_tekken || name.starts_with("tokenizer.model.") => Some(Kind::Tokenizer),
        _ if name.ends_with(".py") => Some(Kind::Code),
        _ => None,
    }
}

fn is_module_config(name: &str) -> bool {
    let Some((folder, "config.json")) = name.split_once('/') else { return false };
    folder.split_once('_').is_some_and(|(number, kind)| is_index(number) && !kind.is_empty())
}

/// The files, and what the user should know of them.
#[derive(Debug, Default)]
pub(crate) struct Companions {
    pub files: Vec<Companion>,
    pub warnings: Vec<String>,
}

/// Which files stand beside the weights.
pub(crate) fn choose(
    sources: &[SourceView],
    target: &Architecture,
    matching: &Matching,
    vocabulary: &VocabularyRows,
    assignments: &[Assignment],
) -> Companions {
    let mut companions = Companions::default();
    let carrying = matching.carrying(assignments);
    match config(target, assignments, carrying.is_empty()) {
        Some((text, notes)) => {
            companions.files.push(text_file("config.json", text));
            companions.warnings.extend(notes);
        }
        None => companions
            .warnings
            .push(format!("no config.json is written: the architecture ({}) has no `config`", target.form.name())),
    }
    companions.files.extend(target.arch_json.clone().map(|text| text_file("arch.json", text)));
    if let Some(tokenizer) = &target.vocabulary {
        companions.files.extend(tokenizer_files(tokenizer));
    }
    companions.carry(sources, target, matching, vocabulary, assignments);
    let stated = carrying.iter().filter_map(|source| sources.get(*source)).map(|view| quantization_files(view.listing));
    companions.files.extend(stated.take(1).flatten());
    companions
}

fn text_file(name: &str, text: impl Into<Arc<str>>) -> Companion {
    Companion { name: name.into(), content: Content::Text(text.into()) }
}

/// The files in which a source states how it was quantised, where its codes go along.
pub(crate) fn quantization_files(listing: &Listing) -> Vec<Companion> {
    listing.quantization.iter().map(|(name, text)| text_file(name, text.as_str())).collect()
}

/// The architecture's config with what was written: the type of most elements, the vocabulary's rows, the labels. It names no
/// model that it is not. Beside it what was changed that nobody stated.
fn config(target: &Architecture, assignments: &[Assignment], in_floats: bool) -> Option<(String, Vec<String>)> {
    let mut config: Map<String, Json> = target.config.as_ref()?.0.clone();
    config.shift_remove("xfer");
    config.shift_remove("_name_or_path");
    let written = assignments.iter().filter(|a| a.action != Action::Tied).map(|assignment| &assignment.target);
    if let Some(dtype) = dominant(written) {
        state_dtype(&mut config, dtype);
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
    let mut notes = special_ids(target, &mut config);
    if in_floats && Announcement::remove(&mut config) {
        notes.push(
            "config.json: the weights are written as floats, so what it stated of a quantisation is left out".into(),
        );
    }
    compatibility::state(&mut config);
    serde_json::to_string_pretty(&Json::Object(config)).ok().map(|text| (text + "\n", notes))
}

/// The ids of special tokens as the tokenizer of a `vocab` rule has them, where the config states others.
fn special_ids(target: &Architecture, config: &mut Map<String, Json>) -> Vec<String> {
    let Some(tokenizer) = &target.vocabulary else { return Vec::new() };
    let mut notes = Vec::new();
    for (role, token) in &tokenizer.vocabulary.special {
        let tokens = &tokenizer.vocabulary.tokens;
        let Some(id) = tokens.iter().position(|known| known.as_deref() == Some(token)) else { continue };
        let key = format!("{role}_id");
        let Some(stated) = config.get_mut(&key).filter(|stated| stated.as_u64().is_some_and(|old| old != id as u64))
        else {
            continue;
        };
        notes.push(format!("config.json: {key} is {id}, the tokenizer's `{token}`, where the config has {stated}"));
        *stated = id.into();
    }
    notes
}

/// States the type that was written. transformers 5 reads `dtype`, older ones `torch_dtype`: a config that has the old key
/// keeps both alike.
pub(crate) fn state_dtype(config: &mut Map<String, Json>, written: Dtype) {
    let Some(name) = written.torch_name() else { return };
    if let Some(old) = config.get_mut("torch_dtype") {
        *old = name.into();
    }
    config.insert("dtype".into(), name.into());
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
            Ok(text) => Content::Text(text.into()),
            Err(_) => {
                let location = std::path::Path::new(&tokenizer.folder).join(name).display().to_string();
                Content::File { location, digest: crate::digest::of(bytes) }
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
        let has_code = target.config.as_ref().is_some_and(|config| config.0.contains_key("auto_map"));
        let (mut carried_tokenizer, mut left) = (false, Vec::new());
        for (source, view) in sources.iter().enumerate() {
            for (name, digest) in &view.companions {
                let Some(kind) = kind(name) else { continue };
                let applies = match kind {
                    Kind::Tokenizer => rows.tokenizer_of(target).unwrap_or(usize::MAX) == source,
                    Kind::Sentence => source == main && has_same_family && is_bare,
                    Kind::Model => source == main && has_same_family,
                    Kind::Code => source == main && has_code,
                };
                let replaced = kind == Kind::Tokenizer && target.vocabulary.is_some();
                if !applies && !replaced && matches!(kind, Kind::Tokenizer | Kind::Code) {
                    left.push(name.as_str());
                }
                if applies && !self.files.iter().any(|file| file.name == *name) {
                    carried_tokenizer |= kind == Kind::Tokenizer;
                    let content = Content::Source { source, name: name.clone(), digest: digest.clone() };
                    self.files.push(Companion { name: name.clone(), content });
                }
            }
        }
        left.retain(|name| !self.files.iter().any(|file| file.name == *name));
        if !left.is_empty() {
            self.warnings.push(format!("left behind next to the source's weights: {}", left.join(", ")));
        }
        if carried_tokenizer && let Some((found, written, name)) = rows.changed {
            self.warnings.push(format!(
                "{name} has {written} rows where the source has {found}, and the source's tokenizer is carried along \
                 unchanged; a `vocab` rule names another"
            ));
        }
    }
}

/// The source that most elements come from; of equals the first. `None` where nothing does.
fn main_source(sources: usize, assignments: &[Assignment]) -> Option<usize> {
    let mut counts = vec![0u64; sources];
    for assignment in assignments {
        let (source, elements) = (assignment.value.sources().next(), assignment.target.elements().unwrap_or(0));
        if let Some(count) = source.and_then(|first| counts.get_mut(first.source)) {
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
    changed: Option<(u64, u64, Name)>,
}

impl VocabularyState {
    fn of(target: &Architecture, vocabulary: &VocabularyRows, assignments: &[Assignment]) -> VocabularyState {
        let first = vocabulary.embeddings.iter().find_map(|id| {
            let assignment = assignments.get(*id)?;
            Some((assignment, assignment.value.sources().next()?, target.parameters.get(*id)?))
        });
        let Some((assignment, first, parameter)) = first.filter(|(_, _, p)| p.role != Role::Position) else {
            return VocabularyState { source: None, changed: None };
        };
        let written = assignment.target.rows();
        let found = first.shape.first().copied();
        let changed = found.filter(|found| *found != written).map(|found| (found, written, parameter.name.clone()));
        VocabularyState { source: Some(first.source), changed }
    }

    /// The source whose tokenizer still fits, unless the architecture names its own.
    fn tokenizer_of(&self, target: &Architecture) -> Option<usize> {
        self.source.filter(|_| target.vocabulary.is_none())
    }
}
