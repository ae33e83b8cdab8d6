//! What the header of a file states of the pieces of a model.

use crate::checkpoint::Listing;
use crate::checkpoint::part::Part;
use crate::checkpoint::pieces::error::PartError;
use crate::error::Result;

/// Keys of the metadata under which PyTorch files state how many processes a model is split over, and what wrote them.
pub(in crate::checkpoint) const WORLDS: &[(&str, &str)] = &[
    ("mp_world_size", "a DeepSpeed checkpoint of several model-parallel ranks"),
    ("tensor_model_parallel_size", "a Megatron checkpoint of several tensor-parallel ranks"),
    ("pipeline_model_parallel_size", "a Megatron checkpoint of several pipeline-parallel ranks"),
    ("expert_model_parallel_size", "a Megatron checkpoint of several expert-parallel ranks"),
];

/// How a GGUF file was split, as `gguf-split` states it in each part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct Split {
    /// Which part it is, from 0.
    pub(in crate::checkpoint) number: u64,
    /// How many there are.
    pub(in crate::checkpoint) count: u64,
    /// How many tensors they have together, where that is stated.
    pub(in crate::checkpoint) tensors: Option<u64>,
}

impl Split {
    /// Of the metadata of a file; `None` where it is whole.
    pub(in crate::checkpoint) fn of(listing: &Listing) -> Option<Split> {
        let number = |key: &str| listing.metadata.iter().find(|(name, _)| name == key)?.1.parse::<u64>().ok();
        let count = number("split.count").filter(|count| *count > 1)?;
        Some(Split { number: number("split.no").unwrap_or(0), count, tensors: number("split.tensors.count") })
    }
}

/// An error where the header of a file states that it is a piece of something that is not joined.
pub(in crate::checkpoint) fn refuse_stated(part: &Part) -> Result<()> {
    let listing = part.reader.listing();
    let file = || part.name.clone();
    let value = |key: &str| listing.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    if value("DCP_SHARDING_INFO").is_some() {
        let remedy = "consolidate it first: python -c \"from torch.distributed.checkpoint import \
                      consolidate_hf_safetensors as c; c.consolidate_safetensors_files('DIR', 'OUT')\"";
        let of = "a distributed checkpoint (DCP) in safetensors form, as its DCP_SHARDING_INFO states";
        return Err(PartError::Rank { file: file(), of, count: None, remedy }.into());
    }
    for (key, of) in WORLDS {
        if let Some(count) = value(key).and_then(|text| text.parse::<u64>().ok()).filter(|count| *count > 1) {
            let remedy = "merge the ranks first, with the library that wrote them";
            return Err(PartError::Rank { file: file(), of, count: Some(count), remedy }.into());
        }
    }
    Ok(())
}

/// Holds what the headers of all parts of a split GGUF file state against the parts that were found.
pub(in crate::checkpoint) fn refuse_splits(parts: &[Part]) -> Result<()> {
    let splits: Vec<Option<Split>> = parts.iter().map(|part| Split::of(part.reader.listing())).collect();
    let Some(first) = splits.iter().flatten().next() else { return Ok(()) };
    for (place, (part, split)) in parts.iter().zip(&splits).enumerate() {
        let is_next = split.is_some_and(|split| split.number == place as u64 && split.count == first.count);
        if !is_next || first.count != parts.len() as u64 {
            let (number, count) = split.map_or((0, 0), |split| (split.number.saturating_add(1), split.count));
            let (file, place, parts) = (part.name.clone(), place as u64 + 1, parts.len() as u64);
            return Err(PartError::Place { file, number, count, place, parts }.into());
        }
    }
    let held: u64 = parts.iter().map(|part| part.reader.listing().tensors.len() as u64).sum();
    match first.tensors.filter(|stated| *stated != held) {
        Some(stated) => Err(PartError::Tensors { file: parts[0].name.clone(), stated, held }.into()),
        None => Ok(()),
    }
}
