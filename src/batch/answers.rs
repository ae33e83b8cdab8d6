//! What a model is to say of each example, where the data file says it: classes or numbers.

use candle_core::Tensor;

use super::values::{self, array};
use crate::batch::error::BatchError;
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::tensor::{Dtype, TensorInfo};

/// Labels of this value are not counted, as in PyTorch's `cross_entropy`.
const IGNORED: i64 = -100;
const LABELS: &str = "labels";
const TARGETS: &str = "targets";

/// What the outputs of a model are compared with, examples first.
#[derive(Clone, Debug)]
pub enum Answers {
    /// Classes, i64: `(examples)`, or `(examples, positions)`; −100 is ignored.
    Labels(Tensor),
    /// Numbers, f32, in the shape of the output.
    Targets(Tensor),
}

impl Answers {
    /// The array itself.
    pub(crate) fn array(&self) -> &Tensor {
        match self {
            Answers::Labels(array) | Answers::Targets(array) => array,
        }
    }

    /// The answers of these examples, in this order.
    pub(crate) fn rows(&self, rows: &Tensor) -> candle_core::Result<Answers> {
        Ok(match self {
            Answers::Labels(array) => Answers::Labels(array.index_select(rows, 0)?),
            Answers::Targets(array) => Answers::Targets(array.index_select(rows, 0)?),
        })
    }

    /// Whether an output of this shape can be compared with them: `(examples, classes)` or `(examples, positions, classes)` with
    /// labels, the same shape with targets. Every label must be a class or −100.
    pub(crate) fn check(&self, output: &[usize]) -> Result<()> {
        let shape = |dims: &[usize]| dims.iter().map(|size| *size as u64).collect::<Vec<u64>>();
        let answers = self.array().dims();
        match self {
            Answers::Targets(_) if answers == output => Ok(()),
            Answers::Targets(_) => {
                let (expected, found) = (shape(output), shape(answers));
                Err(BatchError::AnswerShape { name: TARGETS, expected, found }.into())
            }
            Answers::Labels(labels) => {
                let Some((classes, before)) = output.split_last().filter(|(_, before)| *before == answers) else {
                    let expected = shape(output.split_last().map_or(output, |(_, before)| before));
                    return Err(BatchError::AnswerShape { name: LABELS, expected, found: shape(answers) }.into());
                };
                let _ = before;
                check_classes(labels, *classes as u64)
            }
        }
    }
}

fn check_classes(labels: &Tensor, classes: u64) -> Result<()> {
    let labels = values::whole_numbers(labels)?;
    let is_class = |label: &i64| *label == IGNORED || u64::try_from(*label).is_ok_and(|label| label < classes);
    match labels.iter().position(|label| !is_class(label)) {
        Some(index) => Err(BatchError::Label { index: index as u64, label: labels[index], classes }.into()),
        None if labels.iter().all(|label| *label == IGNORED) => Err(BatchError::NoLabels.into()),
        None => Ok(()),
    }
}

/// Whether an array of this name is an answer and no input.
pub(super) fn is_answer(name: &str) -> bool {
    name == LABELS || name == TARGETS
}

/// The answers of a file with this many examples.
pub(super) fn read(reader: &dyn Reader, rows: u64) -> Result<Option<Answers>> {
    let listed = &reader.listing().tensors;
    let find = |name: &str| listed.iter().enumerate().find(|(_, info)| info.name == name);
    match (find(LABELS), find(TARGETS)) {
        (Some(_), Some(_)) => Err(BatchError::TwoAnswers.into()),
        (Some((index, info)), None) => {
            check_rows(info, rows)?;
            Ok(Some(Answers::Labels(array(reader, index, info, Dtype::I64)?)))
        }
        (None, Some((index, info))) => {
            check_rows(info, rows)?;
            Ok(Some(Answers::Targets(array(reader, index, info, Dtype::F32)?)))
        }
        (None, None) => Ok(None),
    }
}

fn check_rows(info: &TensorInfo, rows: u64) -> Result<()> {
    let found = info.shape.first().copied().unwrap_or(0);
    if found == rows {
        return Ok(());
    }
    Err(BatchError::AnswerRows { array: info.clone(), found, rows }.into())
}
