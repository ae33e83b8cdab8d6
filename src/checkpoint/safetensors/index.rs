//! `model.safetensors.index.json`: which shard holds which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::json::json_error;
use crate::checkpoint::part::Part;
use crate::checkpoint::pieces::Shard;
use crate::checkpoint::pieces::error::PartError;
use crate::error::Result;
use crate::tensor::TensorInfo;

/// Tensor to shard, as the index says.
#[derive(Debug, Default, PartialEq)]
pub(in crate::checkpoint) struct Index {
    /// The name of the index below the source.
    pub(in crate::checkpoint) file: String,
    weight_map: BTreeMap<String, String>,
    /// The bytes that all tensors have together, where it states them.
    total_size: Option<u64>,
}

#[derive(Deserialize)]
struct Written {
    weight_map: WeightMap,
    #[serde(default)]
    metadata: Option<serde_json::Value>,
}

/// Pairs in the order of the text, duplicates kept.
struct WeightMap(Vec<(String, String)>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<WeightMap, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = WeightMap;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object of tensor names and file names")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<WeightMap, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(WeightMap(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Reads the bytes of an index called `file`. A tensor that it maps twice and a shard outside its directory are errors.
pub(in crate::checkpoint) fn parse_index(file: &str, bytes: &[u8]) -> Result<Index> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| CheckpointError::NotUtf8 { file: file.into(), offset: error.valid_up_to() as u64 })?;
    let written: Written = serde_json::from_str(text).map_err(|error| json_error(file, text, 0, &error))?;
    let mut weight_map = BTreeMap::new();
    // transformers joins the keys of Flax by slashes there, and every other name by dots
    let is_flax = file.ends_with(".msgpack.index.json");
    for (tensor, shard) in written.weight_map.0 {
        let tensor = if is_flax { tensor.replace('/', ".") } else { tensor };
        if !stays_inside(&shard) {
            return Err(CheckpointError::ShardOutside { index: file.into(), shard }.into());
        }
        if weight_map.insert(tensor.clone(), shard).is_some() {
            return Err(CheckpointError::DuplicateTensor { file: file.into(), tensor }.into());
        }
    }
    let stated = written.metadata.as_ref().and_then(|metadata| metadata.get("total_size"));
    let total_size = stated.and_then(|stated| stated.as_u64().or_else(|| whole(stated.as_f64()?)));
    Ok(Index { file: file.into(), weight_map, total_size })
}

/// A number that some writers write with a point.
fn whole(number: f64) -> Option<u64> {
    (number >= 0.0 && number < (1u64 << 53) as f64 && number.fract() == 0.0).then_some(number as u64)
}

/// Whether a name stays in the directory of the file that gives it.
pub(in crate::checkpoint) fn stays_inside(shard: &str) -> bool {
    !shard.is_empty()
        && !shard.contains(['\\', '\0'])
        && Path::new(shard).components().all(|part| matches!(part, Component::Normal(_)))
}

impl Index {
    /// The names of the shards as written, sorted, each once.
    pub(in crate::checkpoint) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// Whether it maps a tensor of this name.
    pub(in crate::checkpoint) fn maps(&self, tensor: &str) -> bool {
        self.weight_map.contains_key(tensor)
    }

    /// How many tensors it maps.
    pub(in crate::checkpoint) fn tensors(&self) -> usize {
        self.weight_map.len()
    }

    /// An error where its shards are numbered and a number between is missing.
    pub(in crate::checkpoint) fn refuse_gaps(&self) -> Result<()> {
        let names = self.shards();
        for shard in names.iter().filter_map(|name| Shard::of(name)) {
            let found = shard.set(names.iter().copied());
            if let Some(missing) = shard.missing(&found).into_iter().next() {
                let (index, named, count) = (self.file.clone(), found.len(), shard.count);
                return Err(PartError::Count { index, named, count, missing }.into());
            }
        }
        Ok(())
    }

    /// An error where it states more bytes than the shards hold, unless that is another count of the same tensors: at another width of
    /// the elements, with a tied tensor twice, or before weights were packed.
    fn refuse_lost_bytes(&self, shards: &[(&str, &Part)]) -> Result<()> {
        let Some(stated) = self.total_size else { return Ok(()) };
        let infos = || shards.iter().flat_map(|(_, part)| &part.reader.listing().tensors);
        let bytes = |info: &TensorInfo| info.bytes().unwrap_or(0);
        let held = infos().map(bytes).fold(0, u64::saturating_add);
        let elements = infos().map(|info| info.elements().unwrap_or(0)).fold(0, u64::saturating_add);
        let at_other_width = [1, 2, 4, 8].iter().any(|width| elements.saturating_mul(*width) == stated);
        let is_packed = infos().any(|info| info.dtype.bits() <= 8);
        if stated <= held || at_other_width || is_packed || infos().any(|info| bytes(info) == stated - held) {
            return Ok(());
        }
        Err(PartError::TotalSize { index: self.file.clone(), stated, held }.into())
    }

    /// How many tensors `shard` should hold.
    pub(in crate::checkpoint) fn promised(&self, shard: &str) -> usize {
        self.weight_map.values().filter(|holder| *holder == shard).count()
    }
}

/// Holds the index against the shards (each under its name as the index writes it). A promise that is not kept is an error; the
/// result are notes about tensors that the index does not name.
pub(in crate::checkpoint) fn check_shards(index: &Index, shards: &[(&str, &Part)]) -> Result<Vec<String>> {
    let held: BTreeSet<(&str, &str)> =
        shards.iter().flat_map(|(name, shard)| shard.names().map(|tensor| (tensor, *name))).collect();
    for (tensor, shard) in &index.weight_map {
        if !held.contains(&(tensor.as_str(), shard.as_str())) {
            let (index, tensor, shard) = (index.file.clone(), tensor.clone(), shard.clone());
            return Err(CheckpointError::BrokenPromise { index, tensor, shard }.into());
        }
    }
    index.refuse_lost_bytes(shards)?;
    let stray: Vec<_> = held.iter().filter(|(tensor, _)| !index.weight_map.contains_key(*tensor)).collect();
    let note = |(tensor, shard): &(&str, &str), more: usize| {
        let others = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        format!("tensor {tensor} of {shard} is not named by {}{others}", index.file)
    };
    Ok(stray.first().map(|first| note(first, stray.len() - 1)).into_iter().collect())
}
