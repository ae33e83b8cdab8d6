//! Classifier rows by class name, the same for weight and bias. `LABEL_0…` are no names: with equal counts such rows are
//! copied by position and the user is told, otherwise the head is new.

use std::collections::BTreeMap;

use crate::arch::{Architecture, LabelRule};
use crate::error::Result;
use crate::graph::Parameter;
use crate::hash::HashMap;
use crate::name::{parent, self_and_ancestors};
use crate::plan::configs;
use crate::plan::fit::error::FitError;
use crate::plan::fit::rows::RowMap;
use crate::plan::fit::subject::Subject;
use crate::plan::inputs::SourceView;

/// What the class names say about the rows of a head.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing: its rows are no classes.
    Silent,
    Rows(RowMap),
    /// All rows where they are: there are no names to go by, but as many rows.
    Position,
    New(String),
    /// The head has another number of classes, and there are no names to match them by; both numbers in words.
    Unnamed(String),
}

/// Judges heads by their class names.
pub(crate) struct Labels<'a> {
    target: &'a Architecture,
    /// What the Hugging Face config says of its head.
    config: Option<Vec<String>>,
    sources: Vec<Option<Vec<String>>>,
    references: Vec<&'a str>,
    /// Heads whose rows were copied by position, with the source.
    by_position: BTreeMap<String, usize>,
}

impl<'a> Labels<'a> {
    /// Reads the class names of both sides.
    pub(crate) fn new(sources: &'a [SourceView<'a>], target: &'a Architecture) -> Labels<'a> {
        let of_source =
            |source: &SourceView| configs::source_config(source).and_then(|config| configs::labels(&config));
        Labels {
            target,
            config: configs::config_labels(target),
            sources: sources.iter().map(of_source).collect(),
            references: sources.iter().map(|source| source.reference.as_str()).collect(),
            by_position: BTreeMap::new(),
        }
    }

    /// What the names say about one matched tensor.
    pub(crate) fn judge(&mut self, subject: &Subject) -> Verdict {
        let Some((found, rows)) = subject.sizes().filter(|_| subject.rest_fits()) else { return Verdict::Silent };
        let source = subject.source().unwrap_or_default();
        let theirs = self.sources.get(source).and_then(Option::as_deref).filter(|names| names.len() as u64 == found);
        let verdict = match (self.target_labels(subject.parameter, rows), theirs) {
            (Some(ours), Some(theirs)) if are_names(ours) && are_names(theirs) => by_name(ours, theirs, found),
            (Some(_), _) if found == rows => Verdict::Position,
            (Some(_), _) => {
                Verdict::Unnamed(format!("{found} classes become {rows}, without names on both sides to match them by"))
            }
            (None, Some(_)) if subject.parameter.head && found == rows && self.is_silent_form() => Verdict::Position,
            (None, _) => Verdict::Silent,
        };
        if verdict == Verdict::Position {
            self.by_position.entry(parent(&subject.parameter.name).to_string()).or_insert(source);
        }
        verdict
    }

    /// A file that has no place for class names but its `labels` rule, and said none.
    fn is_silent_form(&self) -> bool {
        self.target.form != crate::arch::Form::HuggingFace
    }

    /// The class names of a tensor's rows, or `None` where its rows are no classes.
    fn target_labels(&self, parameter: &Parameter, rows: u64) -> Option<&[String]> {
        let mut rules = self.target.rules.labels.iter().rev();
        let rule = rules.find(|rule| rule.labels.len() as u64 == rows && applies(rule, parameter));
        let stated = || self.config.as_deref().filter(|names| parameter.head && names.len() as u64 == rows);
        rule.map(|rule| rule.labels.as_slice()).or_else(stated)
    }

    /// An error for a rule whose names are not as many as the rows of any tensor of its head.
    pub(crate) fn check_counts(&self) -> Result<()> {
        for rule in &self.target.rules.labels {
            let heads = self.target.parameters.iter().filter(|parameter| applies(rule, parameter));
            let mut sizes = heads.filter_map(|parameter| Some((parameter, *parameter.shape.first()?))).peekable();
            let Some((first, rows)) = sizes.peek().map(|(parameter, rows)| (parameter.name.clone(), *rows)) else {
                continue;
            };
            let labels = rule.labels.len() as u64;
            if !sizes.any(|(_, rows)| rows == labels) {
                return Err(FitError::LabelCount { head: first.to_string(), rows, labels }.into());
            }
        }
        Ok(())
    }

    /// One line for each head whose rows were copied by position.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let line = |(head, source): (&String, &usize)| {
            let reference = self.references.get(*source).copied().unwrap_or_default();
            format!(
                "{head}: its rows are copied from {reference} by position, for the classes have no names on both sides; \
                 `--reinit '{head}.*'` makes the head new"
            )
        };
        self.by_position.iter().map(line).collect()
    }
}

fn applies(rule: &LabelRule, parameter: &Parameter) -> bool {
    match &rule.head {
        Some(selector) => self_and_ancestors(&parameter.name).any(|path| selector.pattern.matches(path).is_some()),
        None => parameter.head,
    }
}

/// Whether these are names of classes rather than the numbers that a config invents.
fn are_names(labels: &[String]) -> bool {
    !labels.iter().enumerate().all(|(row, label)| {
        let normal = normal(label);
        normal == format!("label_{row}") || normal == row.to_string()
    })
}

/// Case and spaces do not tell classes apart.
fn normal(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn by_name(ours: &[String], theirs: &[String], source_rows: u64) -> Verdict {
    let mut exact: HashMap<&str, u64> = HashMap::default();
    let mut normalised: HashMap<String, u64> = HashMap::default();
    for (row, label) in theirs.iter().enumerate() {
        exact.entry(label).or_insert(row as u64);
        normalised.entry(normal(label)).or_insert(row as u64);
    }
    let from = |label: &String| exact.get(label.as_str()).or_else(|| normalised.get(&normal(label))).copied();
    let map = RowMap::new(ours.iter().map(from), source_rows);
    match map.kept() {
        0 => Verdict::New(format!("none of its {} classes is among those of the source", ours.len())),
        _ => Verdict::Rows(map),
    }
}
