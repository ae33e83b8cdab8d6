//! The files beside converted weights: `config.json` that is true of what is written, and every file that can stand there.

use serde_json::{Map, Value as Json};

use crate::adapt::Op;
use crate::error::Result;
use crate::family::{self, Config, Family};
use crate::hash::HashMap;
use crate::plan::assignment::Assignment;
use crate::plan::convert::carriage::Carriage;
use crate::plan::document::{Companion, Content};
use crate::plan::dtype::dominant;
use crate::plan::error::PlanError;
use crate::plan::evidence::{Answer, Question};
use crate::plan::inputs::{Conversion, SourceView};
use crate::plan::matching::known::described;
use crate::plan::quantized::announced::Announcement;
use crate::plan::value::Value;
use crate::plan::{companions, compatibility, configs};
use crate::tensor::{Dtype, TensorInfo};

/// What is written.
pub(crate) struct Written<'a> {
    pub asked: &'a Conversion,
    pub assignments: &'a [Assignment],
    /// Whether the config must tie, or must not.
    pub tied: Option<bool>,
    pub evidence: &'a [(Question, Answer)],
}

impl Written<'_> {
    fn tables(&self) -> Vec<(String, Vec<f64>)> {
        let table = |entry: &(Question, Answer)| match entry {
            (Question::Values { tensor, .. }, Answer::Values(values)) => Some((tensor.clone(), values.clone())),
            _ => None,
        };
        self.evidence.iter().filter_map(table).collect()
    }
}

/// The config, every file that can stand beside the weights, and what the user should know of them.
pub(crate) fn files(
    source: &SourceView,
    written: &Written,
    carriage: &Carriage,
) -> Result<(Vec<Companion>, Vec<String>)> {
    let mut notes = Vec::new();
    let config = match (family::described(source.listing), &written.asked.to) {
        // its names stay, and so does what describes them
        (Some((_, _, file)), None) => source.listing.config.clone().zip(file),
        (Some((family, config, _)), Some(_)) => {
            Some((translated(source, family, config, written, &mut notes)?, "config.json"))
        }
        (None, _) => {
            let text = source.listing.config.as_ref();
            text.map(|text| (stated(text, source, written, &mut notes), "config.json"))
        }
    };
    let config = config.map(|(text, name)| Companion { name: name.into(), content: Content::Text(text.into()) });
    let carried = source.companions.iter().map(|(name, digest)| Companion {
        name: name.clone(),
        content: Content::Source { source: 0, name: name.clone(), digest: digest.clone() },
    });
    // codes that stay need what states how they were made
    let statements = match carriage.carries() {
        true => companions::quantization_files(source.listing),
        false => Vec::new(),
    };
    Ok((config.into_iter().chain(carried).chain(statements).collect(), notes))
}

/// A config of transformers that a description of other keys amounts to, proven against the tensors that are written.
fn translated(
    source: &SourceView,
    family: &'static dyn Family,
    config: Config,
    written: &Written,
    notes: &mut Vec<String>,
) -> Result<String> {
    if let Some(key) = family.unknown_keys(source.listing).into_iter().next() {
        return Err(PlanError::DescriptionKey { key, family: family.name() }.into());
    }
    let config = family.with_tables(config, &written.tables());
    let mut config = family.retied(config, source.listing, written.tied);
    if written.asked.to.as_deref() == Some(family::HUGGING_FACE) && written.asked.only.is_empty() {
        state_rows(&mut config, family, written, notes);
        fits(family, &config, written)?;
    }
    let mut config = config.0;
    if is_dequantized(written) {
        Announcement::remove(&mut config);
    }
    if let Some(dtype) = dominant(written.assignments.iter().map(|assignment| &assignment.target)) {
        companions::state_dtype(&mut config, dtype);
    }
    compatibility::state(&mut config);
    Ok(serde_json::to_string_pretty(&Json::Object(config)).unwrap_or_default() + "\n")
}

/// An error that names the first tensor which the model of the config lacks, has besides, or has in another shape.
fn fits(family: &'static dyn Family, config: &Config, written: &Written) -> Result<()> {
    let parameters = described(family, config)?;
    let mut stored: HashMap<&str, &TensorInfo> =
        written.assignments.iter().map(|one| (one.target.name.as_str(), &one.target)).collect();
    let unfit = |tensor: &str, expected: String, found: String| {
        Err(PlanError::ConfigDoesNotFit { tensor: tensor.into(), expected, found }.into())
    };
    for parameter in &parameters {
        match stored.remove(parameter.name.as_str()) {
            Some(found) if found.shape == parameter.shape => {}
            Some(found) => {
                return unfit(&parameter.name, format!("{:?}", parameter.shape), format!("{:?}", found.shape));
            }
            None if parameter.tied_to.is_some() => {}
            None => return unfit(&parameter.name, format!("{:?}", parameter.shape), "none".into()),
        }
    }
    match written.assignments.iter().find(|one| stored.contains_key(one.target.name.as_str())) {
        Some(one) => unfit(&one.target.name, "none".into(), format!("{:?}", one.target.shape)),
        None => Ok(()),
    }
}

/// The rows of the embedding as the vocabulary's size, where the config states another: trainers pad it.
fn state_rows(config: &mut Config, family: &'static dyn Family, written: &Written, notes: &mut Vec<String>) {
    let Some(size) = config.0.get("vocab_size").and_then(Json::as_u64) else { return };
    let Ok(parameters) = described(family, config) else { return };
    let stored: HashMap<&str, &TensorInfo> =
        written.assignments.iter().map(|one| (one.target.name.as_str(), &one.target)).collect();
    let rows = parameters.iter().filter(|parameter| parameter.shape.first() == Some(&size)).find_map(|parameter| {
        let found = stored.get(parameter.name.as_str())?;
        let is_longer = found.shape.get(1..) == parameter.shape.get(1..) && found.rows() != size;
        is_longer.then(|| (parameter.name.to_string(), found.rows()))
    });
    if let Some((name, rows)) = rows {
        notes.push(format!(
            "{name} has {rows} rows where the config states a vocabulary of {size}: all are written, and config.json says \
             vocab_size {rows}"
        ));
        config.0.insert("vocab_size".into(), rows.into());
    }
}

/// A config stays as it is, byte for byte, unless it says what is not true of what is written.
fn stated(text: &str, source: &SourceView, written: &Written, notes: &mut Vec<String>) -> String {
    let Ok(Json::Object(stated)) = serde_json::from_str::<Json>(text) else { return text.into() };
    let mut config = stated.clone();
    let is_dequantized = is_dequantized(written);
    if is_dequantized {
        Announcement::remove(&mut config);
    }
    let is_cast = written.assignments.iter().any(|assignment| {
        let is_cast = |value: &Value| matches!(value, Value::Apply { op: Op::Cast { .. }, .. });
        is_cast(&assignment.value)
    });
    if let Some(dtype) = dominant(written.assignments.iter().map(|assignment| &assignment.target)) {
        let is_other = stated_dtype(&config).map_or(is_cast, |stated| stated != dtype);
        if is_dequantized || is_other {
            companions::state_dtype(&mut config, dtype);
        }
    }
    if written.tied == Some(false) {
        config.insert("tie_word_embeddings".into(), false.into());
    }
    let is_whole = written.asked.to.as_deref() == Some(family::HUGGING_FACE) && written.asked.only.is_empty();
    if let Some((family, Some(read))) = family::recognise(source.listing).filter(|_| is_whole) {
        let mut read = Config(Map::from_iter(read.0.into_iter().chain(config.clone())));
        state_rows(&mut read, family, written, notes);
        if let Some(rows) = read.0.get("vocab_size").filter(|_| config.contains_key("vocab_size")) {
            config.insert("vocab_size".into(), rows.clone());
        }
    }
    if config == stated {
        return text.into();
    }
    compatibility::state(&mut config);
    serde_json::to_string_pretty(&Json::Object(config)).map_or_else(|_| text.into(), |text| text + "\n")
}

fn is_dequantized(written: &Written) -> bool {
    written.assignments.iter().any(|assignment| assignment.value.dequantizes())
}

fn stated_dtype(config: &Map<String, Json>) -> Option<Dtype> {
    configs::config_dtype(&Config(config.clone())).ok().flatten()
}
