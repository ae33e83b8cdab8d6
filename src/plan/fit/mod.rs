//! What was matched is made to fit: rows by identity, positions, heads. A tensor that matches but neither fits nor can be
//! adapted is left to initialisation, and the reason says both shapes.

pub(super) mod adapt;
pub(crate) mod error;
pub(super) mod fitted;
mod heads;
mod labels;
pub(super) mod mismatches;
mod modules;
mod pieces;
mod positions;
pub(super) mod rows;
mod spelling;
mod subject;
#[cfg(test)]
mod tests;
pub(super) mod vocabulary;

use std::collections::BTreeMap;

use crate::adapt::Op;
use crate::arch::{Architecture, NewRows};
use crate::error::Result;
use crate::graph::{Layer, Parameter, ParameterId};
use crate::init::Scheme;
use crate::name::last;
use crate::plan::assignment::{Exact, Initialisation, Step};
use crate::plan::fit::adapt::{Adapt, Key};
use crate::plan::fit::fitted::Fitted;
use crate::plan::fit::labels::{Labels, Verdict};
use crate::plan::fit::pieces::OddPiece;
use crate::plan::fit::rows::{Fill, Resized, RowMap};
use crate::plan::fit::subject::Subject;
use crate::plan::fit::vocabulary::VocabularyRows;
use crate::plan::initialize::Initializer;
use crate::plan::initialize::buffer::is_known_buffer;
use crate::plan::inputs::SourceView;
use crate::plan::matching::matches::Match;
use crate::plan::value::{InitPart, Value};
use crate::tensor::{Dtype, Role, ShapeText, TensorInfo};

/// Fits one match after the other.
pub(crate) struct Fitter<'a> {
    target: &'a Architecture,
    sources: &'a [SourceView<'a>],
    matches: &'a [Match],
    initializer: &'a Initializer<'a>,
    vocabulary: &'a VocabularyRows,
    labels: Labels<'a>,
    head_widths: BTreeMap<ParameterId, u64>,
    /// Leading rows of a table of positions that are no positions (RoBERTa, BART).
    reserved: BTreeMap<ParameterId, u64>,
}

impl<'a> Fitter<'a> {
    /// Reads what is shared by all tensors.
    pub(crate) fn new(
        sources: &'a [SourceView<'a>],
        target: &'a Architecture,
        matches: &'a [Match],
        initializer: &'a Initializer<'a>,
        vocabulary: &'a VocabularyRows,
    ) -> Result<Fitter<'a>> {
        let labels = Labels::new(sources, target);
        labels.check_counts()?;
        let head_widths = heads::head_widths(target);
        let reserved = reserved(target);
        Ok(Fitter { target, sources, matches, initializer, vocabulary, labels, head_widths, reserved })
    }

    /// The value of target `id` in the target's shape, to be written as `dtype`; `None` where nothing was matched.
    pub(crate) fn fit(&mut self, id: ParameterId, dtype: Dtype) -> Result<Option<Fitted>> {
        let Some(subject) = Subject::of(self.target, self.matches, id) else { return Ok(None) };
        let adapt = Adapt::of(self.target, &subject.parameter.name);
        adapt.check_available(&subject)?;
        if let Some(fitted) = self.fit_row(&subject, &adapt, dtype)? {
            adapt.require(&subject, &[Key::Rows])?;
            return Ok(Some(fitted));
        }
        if let Some(map) = self.vocabulary.map(id).filter(|_| subject.rest_fits()) {
            // a rule that says how its rows are drawn is stronger than the default
            let default = if self.initializer.is_said(id) { NewRows::New } else { NewRows::Mean };
            let rows = adapt.rows.or(self.vocabulary.new_tokens).unwrap_or(default);
            let how = self.vocabulary_words(&subject, map);
            adapt.require(&subject, &[Key::Rows])?;
            return self.by_rows(&subject, map, rows, dtype, how).map(Some);
        }
        match self.labels.judge(&subject) {
            Verdict::Rows(map) => {
                let how = format!("{} of {} rows by class name", map.kept(), map.kept() + map.new_rows());
                adapt.require(&subject, &[Key::Rows])?;
                return self.by_rows(&subject, &map, adapt.rows.unwrap_or(NewRows::New), dtype, how).map(Some);
            }
            Verdict::New(reason) => {
                adapt.require(&subject, &[])?;
                return Ok(Some(Fitted::New { reason }));
            }
            Verdict::Unnamed(why) => return Ok(Some(self.mismatch(&subject).because(&why))),
            Verdict::Position | Verdict::Silent => {}
        }
        if let Some(piece) = pieces::odd(&subject).filter(|_| !self.is_ruled(id)) {
            return Ok(Some(self.mismatched_piece(&subject, &piece)));
        }
        if subject.info.shape == subject.parameter.shape {
            return Ok(Some(as_it_is(&subject)));
        }
        if let Some(fitted) = self.fit_below_one(&subject, &adapt, dtype)? {
            return Ok(Some(fitted));
        }
        self.resize(&subject, &adapt, dtype).map(Some)
    }

    /// Positions of a table with an axis of one in front, `[1, positions, width]`, where a rule says what becomes of them.
    fn fit_below_one(&self, subject: &Subject, adapt: &Adapt, dtype: Dtype) -> Result<Option<Fitted>> {
        let ([1, to @ ..], [1, from @ ..]) = (subject.parameter.shape.as_slice(), subject.info.shape.as_slice()) else {
            return Ok(None);
        };
        if adapt.positions.is_none() || to.len() < 2 {
            return Ok(None);
        }
        let parameter = Parameter { shape: to.into(), ..subject.parameter.clone() };
        let info = TensorInfo { shape: from.into(), ..subject.info.clone() };
        let value = rows::apply(Op::Reshape { shape: from.into() }, vec![subject.value.clone()]);
        let table = Subject { id: subject.id, parameter: &parameter, value: &value, info: &info };
        let fitted = self.resize(&table, adapt, dtype)?;
        Ok(Some(match fitted {
            Fitted::Value { value, dtype, how, new_rows, init } => {
                let value = rows::apply(Op::Reshape { shape: subject.parameter.shape.clone() }, vec![value]);
                // the one row of the tensor is what is partly new
                Fitted::Value { value, dtype, how, new_rows: new_rows.min(1), init }
            }
            Fitted::New { .. } | Fitted::Mismatched { .. } => fitted,
        }))
    }

    /// A bias over the vocabulary that is stored as one row (BART's `final_logits_bias`): as a vector, and back. New tokens get 0, as
    /// transformers gives them.
    fn fit_row(&self, subject: &Subject, adapt: &Adapt, dtype: Dtype) -> Result<Option<Fitted>> {
        let ([1, rows], [1, found], Role::Bias) =
            (subject.parameter.shape.as_slice(), subject.info.shape.as_slice(), subject.parameter.role)
        else {
            return Ok(None);
        };
        let Some(map) = self.vocabulary.of_sizes(*found, *rows) else { return Ok(None) };
        let parameter = Parameter { shape: [*rows].into(), ..subject.parameter.clone() };
        let info = TensorInfo { shape: [*found].into(), ..subject.info.clone() };
        let value = rows::apply(Op::Reshape { shape: [*found].into() }, vec![subject.value.clone()]);
        let row = Subject { id: subject.id, parameter: &parameter, value: &value, info: &info };
        let how = self.vocabulary_words(&row, &map);
        let fitted = self.by_rows(&row, &map, adapt.rows.unwrap_or(NewRows::Zeros), dtype, how)?;
        Ok(Some(match fitted {
            Fitted::Value { value, dtype, how, new_rows, init } => {
                let value = rows::apply(Op::Reshape { shape: [1, *rows].into() }, vec![value]);
                // the one row of the tensor is what is partly new
                Fitted::Value { value, dtype, how, new_rows: new_rows.min(1), init }
            }
            Fitted::New { .. } | Fitted::Mismatched { .. } => fitted,
        }))
    }

    /// What the user should know of all that was fitted.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.vocabulary.warnings.iter().cloned().chain(self.labels.warnings()).collect()
    }

    fn vocabulary_words(&self, subject: &Subject, map: &RowMap) -> String {
        let (found, rows) = subject.sizes().unwrap_or_default();
        match (self.vocabulary.by_token, map.is_identity()) {
            (_, true) => String::new(),
            (true, false) if map.by_meaning() > 0 => format!(
                "{} of {rows} rows by token, {} of them in the notation of the other kind of tokenizer",
                map.kept(),
                map.by_meaning()
            ),
            (true, false) => format!("{} of {rows} rows by token", map.kept()),
            (false, false) if rows > found => format!("{found} of {rows} rows at their place"),
            (false, false) => format!("the first {rows} of {found} rows"),
        }
    }

    /// Shapes differ, and rows have no names: what the role and the `adapt` rules allow.
    fn resize(&self, subject: &Subject, adapt: &Adapt, dtype: Dtype) -> Result<Fitted> {
        let (Some((found, rows)), true) = (subject.sizes(), subject.rest_fits()) else {
            adapt.require(subject, &[])?;
            return Ok(self.mismatch(subject));
        };
        let Subject { id, parameter, value, info } = *subject;
        let (resized, how) = match (adapt.heads, parameter.role) {
            (Some(rule), _) => {
                adapt.require(subject, &[Key::Heads])?;
                let of_listing = || heads::stated_width(self.target, self.sources, &parameter.name);
                let width = self.head_widths.get(&id).copied().or_else(of_listing);
                heads::regroup(value, info, &parameter.name, rows, width, rule)?
            }
            (None, Role::Position) => {
                adapt.require(subject, &[Key::Positions, Key::Prefix, Key::Rows])?;
                let prefix = adapt.prefix.or_else(|| self.reserved.get(&id).map(|rows| [*rows, *rows]));
                positions::check_line(subject, adapt)?;
                positions::resize(value, info, &parameter.name, rows, adapt.positions, prefix)?
            }
            (None, _) if adapt.positions.is_some() => {
                adapt.require(subject, &[Key::Positions, Key::Prefix, Key::Rows])?;
                positions::check_line(subject, adapt)?;
                positions::resize(value, info, &parameter.name, rows, adapt.positions, adapt.prefix)?
            }
            (None, Role::Embedding) => {
                adapt.require(subject, &[Key::Rows])?;
                let how = match rows < found {
                    true => format!("the first {rows} of {found} rows"),
                    false => format!("{found} of {rows} rows at their place"),
                };
                (Resized::Rows(RowMap::in_place(found, rows)), how)
            }
            (None, _) => {
                adapt.require(subject, &[])?;
                return Ok(self.mismatch(subject));
            }
        };
        match resized {
            Resized::Rows(map) => self.by_rows(subject, &map, adapt.rows.unwrap_or(NewRows::New), dtype, how),
            Resized::Computed(_) if !info.dtype.is_float() => Ok(self.mismatch(subject)),
            Resized::Computed(value) => Ok(Fitted::Value { value, dtype: info.dtype, how, new_rows: 0, init: None }),
        }
    }

    fn by_rows(&self, subject: &Subject, map: &RowMap, new: NewRows, dtype: Dtype, how: String) -> Result<Fitted> {
        let new_rows = map.new_rows();
        if new_rows > 0 && !subject.info.dtype.is_float() {
            return Ok(self.mismatch(subject));
        }
        if map.kept() == 0 {
            let reason = format!("none of its {} rows is in the source", map.new_rows());
            return Ok(Fitted::New { reason });
        }
        let (fill, init) = match (new_rows, new) {
            (0, _) | (_, NewRows::Mean) => (Fill::Mean, None),
            (_, NewRows::Subwords) => (Fill::Subwords, None),
            (_, NewRows::Zeros) => (Fill::Fresh(Value::constant(&subject.parameter.shape, 0.0)), Some(rows_of_zeros())),
            (_, NewRows::New) => {
                let initial = self.initializer.initial_rows(subject.id)?;
                let stored = self.target.parameters.get(subject.id).map(|parameter| &parameter.shape);
                let value = match stored.filter(|shape| **shape != subject.parameter.shape) {
                    Some(_) => rows::apply(Op::Reshape { shape: subject.parameter.shape.clone() }, vec![initial.value]),
                    None => initial.value,
                };
                (Fill::Fresh(value), Some(initial.init))
            }
            (_, NewRows::MeanCovariance) => (covariance(subject), Some(rows_of_covariance())),
        };
        let how = match (new_rows, new) {
            (0, _) => how,
            (1, _) => format!("{how}; 1 new row {}", fill_word(new)),
            (_, _) => format!("{how}; {new_rows} new rows {}", fill_word(new)),
        };
        let how = match new {
            NewRows::Subwords if new_rows > 0 => format!("{how} ({} of {new_rows} can be tokenised)", map.spelt()),
            _ => how,
        };
        let (value, dtype) = map.apply(subject.value.clone(), subject.info, dtype, fill);
        Ok(Fitted::Value { value, dtype, how, new_rows, init })
    }

    /// Whether a `map` rule made the value.
    fn is_ruled(&self, id: ParameterId) -> bool {
        self.matches.get(id).is_some_and(|found| found.step == Step::Map)
    }

    /// State that is computed anew is never missed.
    fn mismatch(&self, subject: &Subject) -> Fitted {
        let (expected, found) = (ShapeText(&subject.parameter.shape), ShapeText(&subject.info.shape));
        let tensor = subject.value.sources().next().map_or("", |first| first.tensor);
        let named = if tensor == subject.parameter.name { String::new() } else { format!(" for {tensor}") };
        let reason = format!("mismatched: expected {expected}, found {found}{named} in {}", self.reference(subject));
        let last = last(&subject.parameter.name);
        match subject.parameter.role == Role::Buffer && is_recomputed(last) {
            true => Fitted::New { reason },
            false => Fitted::Mismatched { reason, found: subject.info.shape.clone() },
        }
    }

    fn mismatched_piece(&self, subject: &Subject, piece: &OddPiece) -> Fitted {
        let (expected, found) = (piece.expected, ShapeText(&piece.found));
        let (tensor, reference) = (piece.tensor, self.reference(subject));
        let shape = ShapeText(&subject.parameter.shape);
        let reason =
            format!("mismatched: expected {shape} with {expected} of {tensor}, found {found} for it in {reference}");
        Fitted::Mismatched { reason, found: subject.info.shape.clone() }
    }

    fn reference(&self, subject: &Subject) -> &'a str {
        subject.source().and_then(|source| self.sources.get(source)).map_or("", |source| source.reference.as_str())
    }
}

/// Buffers that say nothing about the values of their module's parameters: counters and indices.
fn is_recomputed(last: &str) -> bool {
    !matches!(last, "running_mean" | "running_var") && is_known_buffer(last)
}

/// The rows of each table of positions that stand before the first.
fn reserved(target: &Architecture) -> BTreeMap<ParameterId, u64> {
    let nodes = target.graph.iter().flat_map(|graph| &graph.nodes);
    let rows = nodes.filter_map(|node| match node.layer {
        Layer::Positions { ids, .. } => Some((*node.parameters.first()?, ids.reserved())),
        _ => None,
    });
    rows.filter(|(_, rows)| *rows > 0).collect()
}

fn as_it_is(subject: &Subject) -> Fitted {
    Fitted::Value {
        value: subject.value.clone(),
        dtype: subject.info.dtype,
        how: String::new(),
        new_rows: 0,
        init: None,
    }
}

/// What transformers gives new rows: N(mean, 1e-9 · covariance) of the others; the mean itself where there are no more rows than columns,
/// for then the covariance is singular.
fn covariance(subject: &Subject) -> Fill {
    let (rows, width) = (subject.info.rows(), subject.info.row_elements().unwrap_or(0));
    if rows <= width {
        return Fill::Mean;
    }
    let target = subject.parameter.shape.first().copied().unwrap_or(0);
    let parts = vec![InitPart { rows: target, scheme: Scheme::Normal { mean: 0.0, std: 1.0 } }];
    let normals = Value::Init { shape: [target, rows].into(), first: 0, parts };
    Fill::Fresh(rows::apply(Op::MeanCovariance { scale: 1e-9 }, vec![subject.value.clone(), normals]))
}

fn rows_of_covariance() -> Initialisation {
    let by = "rows: mean_covariance, as transformers".to_string();
    Initialisation { scheme: "mean_covariance".into(), std: None, by, exact: Exact::Anywhere }
}

fn rows_of_zeros() -> Initialisation {
    Initialisation { scheme: "zeros".into(), std: None, by: "rows: zeros".into(), exact: Exact::Anywhere }
}

fn fill_word(new: NewRows) -> &'static str {
    match new {
        NewRows::Mean => "with the mean of the others",
        NewRows::MeanCovariance => "with the mean and covariance of the others",
        NewRows::Subwords => "with the mean of the pieces that spell them, or of the others",
        NewRows::New => "drawn by the tensor's scheme",
        NewRows::Zeros => "of zeros",
    }
}
