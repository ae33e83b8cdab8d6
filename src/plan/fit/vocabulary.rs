//! Vocabulary rows: by exact token between two tokenizers where a `vocab` rule names the target's, special tokens by their
//! role first; otherwise appended or cut at the end. Heads over the same vocabulary follow with their bias.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::arch::{Architecture, NewRows, VocabRule};
use crate::checkpoint::vocabulary::Vocabulary;
use crate::error::Result;
use crate::graph::{Parameter, ParameterId};
use crate::hash::HashMap;
use crate::name::{last, parent};
use crate::plan::configs;
use crate::plan::fit::error::FitError;
use crate::plan::fit::rows::RowMap;
use crate::plan::fit::spelling::{self, Spelling};
use crate::plan::fit::subject::Subject;
use crate::plan::inputs::SourceView;
use crate::plan::matching::matches::Match;
use crate::tensor::Role;

/// Output layers over the vocabulary that are called so wherever they stand.
const HEADS: &[&str] = &["lm_head", "embed_out"];

/// How the rows of the vocabulary move, for every tensor that has them.
#[derive(Debug, Default)]
pub(crate) struct VocabularyRows {
    /// The map of each tensor that has such rows.
    maps: BTreeMap<ParameterId, Arc<RowMap>>,
    pub(crate) embeddings: Vec<ParameterId>,
    /// Whether rows were matched by token.
    pub(crate) by_token: bool,
    /// What rows without a source become unless an `adapt` rule says otherwise.
    pub(crate) new_tokens: Option<NewRows>,
    pub(crate) warnings: Vec<String>,
}

impl VocabularyRows {
    /// Finds the embeddings over the vocabulary and what follows them.
    pub(crate) fn new(sources: &[SourceView], target: &Architecture, matches: &[Match]) -> Result<VocabularyRows> {
        let rule = target.rules.vocab.as_ref();
        let embeddings = match rule {
            Some(rule) => said(target, matches, sources, rule)?,
            None => recognised(target),
        };
        let mut rows = VocabularyRows {
            by_token: rule.is_some(),
            new_tokens: rule.map(|rule| rule.new_tokens),
            ..VocabularyRows::default()
        };
        let mut pairs: BTreeMap<(u64, u64), Arc<RowMap>> = BTreeMap::new();
        for id in embeddings {
            rows.embeddings.push(id);
            let Some(subject) = Subject::of(target, matches, id) else { continue };
            let map = Arc::new(row_map(sources, target, rule, &subject)?);
            pairs.entry((subject.info.rows(), subject.parameter.shape[0])).or_insert_with(|| map.clone());
            rows.maps.insert(id, map);
        }
        if let Some(rule) = rule {
            rows.embeddings.iter().try_for_each(|id| check_size(target, rule, *id))?;
        }
        rows.add_followers(target, matches, &pairs);
        Ok(rows)
    }

    /// The map from a vocabulary of `found` rows to one of `rows`, where an embedding has it and they differ or are reordered.
    pub(crate) fn of_sizes(&self, found: u64, rows: u64) -> Option<Arc<RowMap>> {
        let map = self.maps.values().find(|map| map.sizes() == (found, rows))?;
        (!map.is_identity()).then(|| map.clone())
    }

    /// The map of a tensor's rows, or `None` where its rows are no tokens.
    pub(crate) fn map(&self, id: ParameterId) -> Option<&Arc<RowMap>> {
        self.maps.get(&id)
    }

    fn add_followers(&mut self, target: &Architecture, matches: &[Match], pairs: &BTreeMap<(u64, u64), Arc<RowMap>>) {
        let owners = tied_layers(target, &self.embeddings);
        for id in 0..matches.len() {
            let Some(subject) = Subject::of(target, matches, id).filter(|_| !self.maps.contains_key(&id)) else {
                continue;
            };
            let Some(map) = subject.sizes().and_then(|sizes| pairs.get(&sizes)) else { continue };
            if follows(&subject, &owners) {
                self.maps.insert(id, map.clone());
            } else if self.by_token && !map.is_identity() && is_output(subject.parameter.role) {
                self.warnings.push(format!(
                    "{}: has as many rows as the vocabulary, but is not a known head over it; its rows are not matched by token",
                    subject.parameter.name
                ));
            }
        }
    }
}

fn is_output(role: Role) -> bool {
    match role {
        Role::Linear | Role::Unknown => true,
        Role::Bias
        | Role::Embedding
        | Role::Position
        | Role::Norm
        | Role::Token
        | Role::Buffer
        | Role::Conv { .. }
        | Role::ConvTranspose { .. } => false,
    }
}

/// The paths whose layers share the embedding's rows: those of tensors tied to it.
fn tied_layers<'a>(target: &'a Architecture, embeddings: &[ParameterId]) -> BTreeSet<&'a str> {
    let embeddings: BTreeSet<&ParameterId> = embeddings.iter().collect();
    let tied = target.parameters.iter().filter(|p| p.tied_to.is_some_and(|owner| embeddings.contains(&owner)));
    tied.map(|parameter| parent(&parameter.name)).collect()
}

/// Whether a tensor with the vocabulary's sizes on both sides is a head over it: declared a head, a sibling of a tied tensor,
/// or called so.
fn follows(subject: &Subject, owners: &BTreeSet<&str>) -> bool {
    let parent = parent(&subject.parameter.name);
    let is_named = HEADS.contains(&last(parent)) || HEADS.contains(&last(&subject.parameter.name));
    subject.parameter.head || is_named || owners.contains(parent)
}

/// The embeddings over the vocabulary where no rule says them: those with as many rows as the config's `vocab_size`, those that
/// a head is tied to, or the only one there is.
fn recognised(target: &Architecture) -> Vec<ParameterId> {
    let all = tables(target);
    let untabled = target.parameters.iter().filter(|tied| tied.role != Role::Embedding);
    let shared: BTreeSet<ParameterId> = untabled.filter_map(|tied| tied.tied_to).collect();
    let is_stated = |id: &ParameterId| target.parameters.get(*id).is_some_and(|parameter| is_stated(target, parameter));
    let sure: Vec<ParameterId> = all.iter().copied().filter(|id| shared.contains(id) || is_stated(id)).collect();
    match (sure.is_empty(), all.as_slice()) {
        (true, [only]) => vec![*only],
        (true, _) => Vec::new(),
        (false, _) => sure,
    }
}

fn tables(target: &Architecture) -> Vec<ParameterId> {
    let is_table = |parameter: &Parameter| {
        parameter.role == Role::Embedding && parameter.tied_to.is_none() && parameter.shape.len() == 2
    };
    (0..target.parameters.len()).filter(|id| target.parameters.get(*id).is_some_and(is_table)).collect()
}

fn is_stated(target: &Architecture, parameter: &Parameter) -> bool {
    let config = configs::config_of(target, &parameter.name);
    let stated = config.and_then(|config| config.0.get("vocab_size")).and_then(serde_json::Value::as_u64);
    stated.is_some() && stated == parameter.shape.first().copied()
}

/// The embeddings that a `vocab` rule means.
fn said(
    target: &Architecture,
    matches: &[Match],
    sources: &[SourceView],
    rule: &VocabRule,
) -> Result<Vec<ParameterId>> {
    if let Some(selector) = &rule.target {
        let is_meant = |id: &ParameterId| {
            target
                .parameters
                .get(*id)
                .is_some_and(|p| p.tied_to.is_none() && selector.pattern.matches(&p.name).is_some())
        };
        return Ok((0..target.parameters.len()).filter(is_meant).collect());
    }
    let mut meant = recognised(target);
    if meant.len() != 1 {
        meant = tables(target).into_iter().filter(|id| holds_tokens(target, matches, sources, *id)).collect();
    }
    match meant.as_slice() {
        [_] => Ok(meant),
        _ => {
            let name = |id: ParameterId| target.parameters.get(id).map(|p| p.name.to_string());
            Err(FitError::WhichVocabulary { names: tables(target).into_iter().filter_map(name).collect() }.into())
        }
    }
}

/// Whether the source's rows are enough for the tokens of its tokenizer.
fn holds_tokens(target: &Architecture, matches: &[Match], sources: &[SourceView], id: ParameterId) -> bool {
    Subject::of(target, matches, id).is_some_and(|subject| {
        let vocabulary = subject.source().and_then(|source| sources.get(source)).and_then(|source| source.vocabulary);
        vocabulary.is_some_and(|vocabulary| subject.info.rows() >= vocabulary.tokens.len() as u64)
    })
}

fn check_size(target: &Architecture, rule: &VocabRule, id: ParameterId) -> Result<()> {
    let (Some(parameter), Some(vocabulary)) = (target.parameters.get(id), &target.vocabulary) else { return Ok(()) };
    let rows = parameter.shape.first().copied().unwrap_or(0);
    let tokens = vocabulary.vocabulary.tokens.len() as u64;
    if tokens <= rows {
        return Ok(());
    }
    Err(FitError::TooManyTokens { name: parameter.name.to_string(), tokenizer: rule.tokenizer.clone(), tokens, rows }
        .into())
}

fn row_map(
    sources: &[SourceView],
    target: &Architecture,
    rule: Option<&VocabRule>,
    subject: &Subject,
) -> Result<RowMap> {
    let rows = subject.parameter.shape.first().copied().unwrap_or(0);
    let (Some(_), Some(theirs)) = (rule, &target.vocabulary) else {
        return Ok(RowMap::in_place(subject.info.rows(), rows));
    };
    let source = subject.source().and_then(|source| sources.get(source));
    let ours = source.and_then(|source| source.vocabulary).ok_or_else(|| FitError::NoSourceVocabulary {
        name: subject.parameter.name.to_string(),
        reference: source.map_or_else(String::new, |source| source.reference.clone()),
    })?;
    let map = by_token(ours, &theirs.vocabulary, subject.info.rows(), rows);
    match rule.map(|rule| rule.new_tokens) {
        Some(NewRows::Subwords) => Ok(with_pieces(map, ours, &theirs.vocabulary)),
        _ => Ok(map),
    }
}

/// Rows without a source know the pieces that the source spells their tokens with.
fn with_pieces(map: RowMap, source: &Vocabulary, target: &Vocabulary) -> RowMap {
    let (ours, theirs) = (Spelling::of(source), Spelling::of(target));
    let tokens = target.tokens.iter().enumerate();
    let pieces = tokens.filter_map(|(row, token)| Some((row as u64, ours.pieces(token.as_deref()?, &theirs)?)));
    map.with_pieces(pieces.collect())
}

/// Row `j` of the target comes from the source's row of the same token, also of one that another kind of tokenizer spells
/// otherwise (`##ing`, `ing`); a special token first from that of the same role. Rows
/// that are padding on both sides (no token) keep their place; ids beyond the source's rows are none.
fn by_token(source: &Vocabulary, target: &Vocabulary, source_rows: u64, rows: u64) -> RowMap {
    let mut ids: HashMap<&str, u64> = HashMap::with_capacity_and_hasher(source.tokens.len(), Default::default());
    for (id, token) in source.tokens.iter().enumerate() {
        if let Some(token) = token {
            ids.entry(token).or_insert(id as u64);
        }
    }
    let roles: HashMap<&str, &str> =
        source.special.iter().map(|(role, token)| (role.as_str(), token.as_str())).collect();
    let mut specials: HashMap<&str, u64> = HashMap::default();
    for (role, token) in &target.special {
        if let Some(id) = roles.get(role.as_str()).and_then(|theirs| ids.get(theirs)) {
            specials.entry(token).or_insert(*id);
        }
    }
    let spellings = (!spelling::are_alike(source, target)).then(|| (Spelling::of(source), Spelling::of(target)));
    let otherwise = |token: &str| spellings.as_ref().and_then(|(ours, theirs)| ours.same(token, theirs));
    let token = |vocabulary: &'_ Vocabulary, row: u64| {
        usize::try_from(row).ok().and_then(|row| vocabulary.tokens.get(row).cloned().flatten())
    };
    let mut by_meaning = 0;
    let from = |row: u64| match token(target, row) {
        Some(token) => specials.get(token.as_str()).or_else(|| ids.get(token.as_str())).copied().or_else(|| {
            let id = otherwise(&token).filter(|id| *id < source_rows)?;
            by_meaning += 1;
            Some(id)
        }),
        None => token(source, row).is_none().then_some(row),
    };
    let map = RowMap::new((0..rows).map(from), source_rows);
    map.with_meanings(by_meaning)
}
