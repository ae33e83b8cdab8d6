//! Where every byte of the weights goes, known from the plan before the first is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use safetensors::tensor::{Metadata, TensorInfo as StoredInfo};
use serde_json::json;

use super::weights::{Item, Span, WeightFile};
use super::{npz, torch};
use crate::error::Result;
use crate::plan::{Action, Assignment, Plan, Value};
use crate::save::error::SaveError;
use crate::tensor::TensorInfo;

/// The longest header that `huggingface_hub` reads, in bytes.
const HEADER_LIMIT: u64 = 25_000_000;
/// The key that a header keeps for itself.
const RESERVED: &str = "__metadata__";

/// A file that is not safetensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archive {
    /// A `state_dict` as `torch.save` writes it.
    Torch,
    /// NumPy's archive of arrays.
    Npz,
}

/// All offsets of an output. The header's metadata is `{"format": "pt"}`; tied assignments take no space.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    /// The weight files; shards are filled greedily in the order of the plan, a tensor above the limit gets its own.
    /// Within a file the wider types come first, then the names ascend, so that every tensor is aligned to its elements.
    pub files: Vec<WeightFile>,
    /// The text of `model.safetensors.index.json`, where there are several files.
    pub index: Option<String>,
}

impl Layout {
    /// The name of the index.
    pub(crate) const INDEX: &str = "model.safetensors.index.json";

    /// Computes every offset; an error for a duplicate name, an overflow or a header over 25 MB. A plan without tensors is
    /// one valid file without tensors.
    pub(crate) fn of(plan: &Plan) -> Result<Layout> {
        let items = items(&plan.assignments)?;
        let shards = fill(&items, plan.max_shard_size)?;
        let count = shards.len();
        let files: Vec<WeightFile> = shards
            .into_iter()
            .enumerate()
            .map(|(number, shard)| weight_file(number, count, shard))
            .collect::<Result<_>>()?;
        let index = if count > 1 { Some(index(&items, &files, &plan.assignments)?) } else { None };
        Ok(Layout { files, index })
    }

    /// As above, for one archive, in the order of the plan; a type that its format lacks is an error.
    pub(crate) fn of_archive(plan: &Plan, archive: Archive) -> Result<Layout> {
        let items = items(&plan.assignments)?;
        let total = items.iter().try_fold(0u64, |sum, item| sum.checked_add(item.bytes));
        total.filter(|total| *total <= i64::MAX as u64).ok_or(SaveError::TooLarge)?;
        let file = match archive {
            Archive::Torch => {
                let ties: Vec<(&TensorInfo, &str)> = plan
                    .assignments
                    .iter()
                    .filter_map(|assignment| match &assignment.value {
                        Value::Tied { to } => Some((&assignment.target, to.as_str())),
                        _ => None,
                    })
                    .collect();
                torch::file("model.pt", &items, &ties)?
            }
            Archive::Npz => npz::file("model.npz", &items)?,
        };
        Ok(Layout { files: vec![file], index: None })
    }
}

fn items(assignments: &[Assignment]) -> Result<Vec<Item<'_>>> {
    let mut names = BTreeSet::new();
    let mut items = Vec::with_capacity(assignments.len());
    for (number, assignment) in assignments.iter().enumerate() {
        let info = &assignment.target;
        if info.name == RESERVED {
            return Err(SaveError::ReservedName { tensor: info.name.to_string() }.into());
        }
        if !names.insert(info.name.as_str()) {
            return Err(SaveError::DuplicateTensor { tensor: info.name.to_string() }.into());
        }
        if assignment.action != Action::Tied {
            items.push(Item { assignment: number, info, bytes: bytes_of(info)? });
        }
    }
    Ok(items)
}

fn bytes_of(info: &TensorInfo) -> Result<u64> {
    info.bytes().map_err(|_| {
        let (tensor, dtype, shape) = (info.name.clone(), info.dtype, info.shape.clone());
        SaveError::Uncountable { tensor: tensor.to_string(), dtype, shape }.into()
    })
}

/// Fills shards greedily in the order of the plan; always at least one.
fn fill<'a>(items: &[Item<'a>], limit: u64) -> Result<Vec<Vec<Item<'a>>>> {
    let mut shards = vec![Vec::new()];
    let (mut filled, mut total) = (0u64, 0u64);
    for item in items {
        total = total.checked_add(item.bytes).filter(|total| *total <= i64::MAX as u64).ok_or(SaveError::TooLarge)?;
        if filled.saturating_add(item.bytes) > limit && shards.last().is_some_and(|shard| !shard.is_empty()) {
            shards.push(Vec::new());
            filled = 0;
        }
        filled = filled.saturating_add(item.bytes);
        if let Some(shard) = shards.last_mut() {
            shard.push(*item);
        }
    }
    Ok(shards)
}

fn weight_file(number: usize, count: usize, mut items: Vec<Item>) -> Result<WeightFile> {
    let name = match count {
        1 => "model.safetensors".to_string(),
        _ => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
    };
    items.sort_by(|a, b| b.info.dtype.cmp(&a.info.dtype).then_with(|| a.info.name.cmp(&b.info.name)));
    let header = header(&name, &items)?;
    let mut offset = header.len() as u64;
    let mut spans = Vec::with_capacity(items.len());
    for item in &items {
        spans.push(Span { assignment: item.assignment, offset, len: item.bytes });
        offset += item.bytes;
    }
    Ok(WeightFile { name, header, rest: Vec::new(), spans, sums: Vec::new(), bytes: offset })
}

/// The length prefix and the JSON, padded with spaces to a multiple of 8. `Metadata` checks and writes it: the offsets in order and
/// without holes, the sizes those of the shapes. Of two equal names it would panic, but `items` has refused them; and its map has one
/// key, for it writes several in any order. Older readers refuse a file without `format`.
fn header(file: &str, items: &[Item]) -> Result<Vec<u8>> {
    let tensors = items.iter().scan(0, |begin, item| {
        let offsets = (*begin, *begin + item.bytes);
        *begin = offsets.1;
        Some(entry(item.info, offsets))
    });
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    let invalid = |source| SaveError::Header { file: file.to_string(), source };
    let metadata = Metadata::new(Some(format), tensors.collect::<Result<_>>()?).map_err(invalid)?;
    let json = serde_json::to_string(&metadata).map_err(|error| invalid(error.into()))?;
    let length = json.len().next_multiple_of(8);
    if length as u64 > HEADER_LIMIT {
        let (file, bytes, tensors) = (file.to_string(), length as u64, items.len());
        return Err(SaveError::HeaderTooLarge { file, bytes, limit: HEADER_LIMIT, tensors }.into());
    }
    let mut header = (length as u64).to_le_bytes().to_vec();
    header.extend_from_slice(json.as_bytes());
    header.resize(8 + length, b' ');
    Ok(header)
}

fn entry(info: &TensorInfo, (begin, end): (u64, u64)) -> Result<(String, StoredInfo)> {
    let size = |size: u64| usize::try_from(size).map_err(|_| SaveError::TooLarge);
    let shape = info.shape.iter().map(|axis| size(*axis)).collect::<std::result::Result<_, _>>()?;
    let data_offsets = (size(begin)?, size(end)?);
    Ok((info.name.to_string(), StoredInfo { dtype: info.dtype.stored(), shape, data_offsets }))
}

/// The index as `transformers` writes it: sorted keys, two spaces, a newline.
fn index(items: &[Item], files: &[WeightFile], assignments: &[Assignment]) -> Result<String> {
    let mut parameters = 0u64;
    for item in items {
        parameters = parameters.checked_add(item.info.elements()?).ok_or(SaveError::TooLarge)?;
    }
    let size: u64 = items.iter().map(|item| item.bytes).sum();
    let mut weight_map = BTreeMap::new();
    for file in files {
        for span in &file.spans {
            if let Some(assignment) = assignments.get(span.assignment) {
                weight_map.insert(assignment.target.name.as_str(), file.name.as_str());
            }
        }
    }
    let index = json!({ "metadata": { "total_parameters": parameters, "total_size": size }, "weight_map": weight_map });
    Ok(format!("{index:#}\n"))
}
