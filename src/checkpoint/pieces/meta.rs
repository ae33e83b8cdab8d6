//! `consolidated.00.pth`, `consolidated.01.pth`, …: the model-parallel parts that Meta publishes of Llama, each with a piece of every
//! matrix, concatenated along the axis that the layer was split over (fairscale's `ColumnParallelLinear`, `RowParallelLinear`,
//! `ParallelEmbedding` of Llama 1 and 2, `VocabParallelEmbedding` of Llama 3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::part::Part;
use crate::checkpoint::pieces::error::PartError;
use crate::checkpoint::{Extent, Listing, Reader};
use crate::error::Result;
use crate::tensor::{Rows, TensorInfo};

/// The bytes of each part that are read at once where rows are put together from pieces.
const WINDOW: u64 = 1 << 20;

/// What the names of the parts of a model have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct Set<'a> {
    stem: &'a str,
    ending: &'a str,
}

impl<'a> Set<'a> {
    /// By the name of one part, or `None` where it is not named so.
    pub(in crate::checkpoint) fn of(name: &'a str) -> Option<Set<'a>> {
        Set::parsed(name).map(|(set, _)| set)
    }

    fn parsed(name: &'a str) -> Option<(Set<'a>, u32)> {
        let (rest, ending) = name.rsplit_once('.')?;
        let (stem, number) = rest.rsplit_once('.')?;
        let is_known = stem.ends_with("consolidated") && ["pth", "pt", "bin", "safetensors"].contains(&ending);
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_known && is_number).then_some((Set { stem, ending }, number.parse().ok()?))
    }

    /// Those of these names that are parts of the same model, in order; an error where one between them is missing.
    pub(in crate::checkpoint) fn files(&self, names: &[&str]) -> Result<Vec<String>> {
        let mut found: BTreeMap<u32, &str> = BTreeMap::new();
        for name in names {
            let parsed = Set::parsed(name).filter(|(set, _)| (set.stem, set.ending) == (self.stem, self.ending));
            found.extend(parsed.map(|(_, number)| (number, *name)));
        }
        let files: Vec<String> = found.values().map(|name| name.to_string()).collect();
        match (0..files.len() as u32).find(|number| !found.contains_key(number)) {
            Some(number) => {
                let missing = vec![format!("{}.{number:02}.{}", self.stem, self.ending)];
                Err(PartError::Alone { file: files.first().cloned().unwrap_or_default(), of: None, missing }.into())
            }
            None => Ok(files),
        }
    }
}

/// Whether a file is named as one of Meta's parts.
pub(in crate::checkpoint) fn is_one(name: &str) -> bool {
    Set::of(name).is_some()
}

/// How a tensor was split.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Split {
    Replicated,
    /// Each part has some of its rows, or of its columns.
    Along(usize),
}

/// The width of a model and of all its query heads, as far as `params.json` or the tensors state them.
struct AttentionSizes {
    width: Option<u64>,
    queries: Option<u64>,
}

impl AttentionSizes {
    fn of(listing: &Listing, config: Option<&str>) -> AttentionSizes {
        let params: Map<String, Json> = config.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let number = |keys: [&str; 2]| keys.iter().find_map(|key| params.get(*key)?.as_u64());
        let norm = shape(listing, "norm.weight").and_then(|shape| shape.first().copied());
        let width = number(["dim", "hidden_size"]).or(norm);
        let heads = number(["n_heads", "num_attention_heads"]);
        let queries = match number(["head_dim", "head_dim"]) {
            Some(head) => heads.and_then(|heads| heads.checked_mul(head)),
            None => heads.and(width),
        };
        AttentionSizes { width, queries }
    }
}

fn shape<'l>(listing: &'l Listing, name: &str) -> Option<&'l [u64]> {
    Some(listing.tensors.get(listing.position(name)?)?.shape.as_slice())
}

/// An error where a file with Meta's names holds only a piece of each matrix; `parts` are those that are read together.
pub(in crate::checkpoint) fn refuse_incomplete(
    file: &str,
    listing: &Listing,
    config: Option<&str>,
    parts: u64,
) -> Result<()> {
    let sizes = AttentionSizes::of(listing, config);
    let whole = |expected: Option<u64>, found: Option<u64>| {
        let (expected, found) = (expected?, found?.checked_mul(parts)?);
        (found > 0 && expected > found && expected.is_multiple_of(found)).then(|| expected / found)
    };
    let rows = shape(listing, "layers.0.attention.wq.weight").and_then(|shape| shape.first().copied());
    let columns = shape(listing, "tok_embeddings.weight").and_then(|shape| shape.get(1).copied());
    // without `params.json` the heads may well be narrower than the model, in a file of any name
    let queries = sizes.queries.or(sizes.width.filter(|_| is_one(file)));
    let by_vocabulary = whole(sizes.width, columns).filter(|_| parts == 1);
    match whole(queries, rows).or(by_vocabulary) {
        Some(more) => {
            let count = more.saturating_mul(parts);
            let of = Some(("model-parallel parts", count));
            Err(PartError::Alone { file: file.into(), of, missing: Vec::new() }.into())
        }
        None => Ok(()),
    }
}

/// The parts of a model as one file, in whose listing every tensor is whole. Parts that share no tensor stay as they are.
pub(in crate::checkpoint) fn join(parts: Vec<Part>, config: Option<&str>) -> Result<Vec<Part>> {
    let names: Vec<&str> = parts.iter().flat_map(Part::names).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    if parts.len() < 2 || distinct.len() == names.len() {
        return Ok(parts);
    }
    let sizes = AttentionSizes::of(parts[0].reader.listing(), config);
    let (mut infos, mut pieces) = (Vec::new(), Vec::new());
    for name in distinct {
        let (info, piece) = piece(&parts, name, &sizes)?;
        infos.push(info);
        pieces.push((name.to_string(), piece));
    }
    let listing = Listing::new(parts[0].reader.listing().format, infos, Vec::new(), None);
    // the listing has its own order
    let mut by_name: BTreeMap<String, SplitTensor> = pieces.into_iter().collect();
    let pieces: Vec<SplitTensor> =
        listing.tensors.iter().filter_map(|info| by_name.remove(info.name.as_str())).collect();
    refuse_incomplete(&parts[0].name, parts[0].reader.listing(), config, parts.len() as u64)?;
    let readers = parts.iter().map(|part| part.reader.clone()).collect();
    let files: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    let reader = Arc::new(Parts { listing, pieces, readers, files: files.clone() });
    let note = format!(
        "{} to {} are {} model-parallel parts of one model: matrices are concatenated along the axis that each was split over",
        files.first().map_or("", String::as_str),
        files.last().map_or("", String::as_str),
        files.len()
    );
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return Ok(Vec::new()) };
    let mut notes = first.notes;
    notes.extend(parts.flat_map(|part| part.notes));
    notes.push(note);
    Ok(vec![Part { reader, notes, ..first }])
}

/// One tensor of all parts: what it is together, and where its pieces are.
fn piece(parts: &[Part], name: &str, sizes: &AttentionSizes) -> Result<(TensorInfo, SplitTensor)> {
    let (mut places, mut own): (Vec<usize>, Option<TensorInfo>) = (Vec::new(), None);
    for part in parts {
        let listing = part.reader.listing();
        let Some(info) = listing.position(name).and_then(|place| listing.tensors.get(place)) else {
            return Err(PartError::Lacks { file: part.name.clone(), tensor: name.into() }.into());
        };
        let first = own.get_or_insert_with(|| info.clone());
        if (first.dtype, &first.shape) != (info.dtype, &info.shape) {
            let (first, other) = (first.clone(), info.clone());
            return Err(PartError::Pieces { first, other, files: [parts[0].name.clone(), part.name.clone()] }.into());
        }
        places.extend(listing.position(name));
    }
    let info = own.ok_or_else(|| PartError::Lacks { file: parts[0].name.clone(), tensor: name.into() })?;
    let count = parts.len() as u64;
    let split = split(&info, count, sizes).ok_or_else(|| PartError::Axis { tensor: info.clone(), parts: count })?;
    let mut shape = info.shape.to_vec();
    if let Split::Along(axis) = split {
        let size = shape.get_mut(axis).ok_or_else(|| PartError::Axis { tensor: info.clone(), parts: count })?;
        *size = size.checked_mul(count).ok_or_else(|| PartError::Axis { tensor: info.clone(), parts: count })?;
    }
    let whole = TensorInfo::new(info.name.clone(), info.dtype, shape);
    whole.bytes()?;
    Ok((whole, SplitTensor { split, places, info }))
}

/// How a tensor was split, by its name, checked by the axis that stayed whole; `None` where that is not known.
fn split(info: &TensorInfo, parts: u64, sizes: &AttentionSizes) -> Option<Split> {
    let module = info.name.strip_suffix(".weight").unwrap_or(&info.name);
    let last = module.rsplit('.').next().unwrap_or(module);
    let (rows, columns) = match info.shape.as_slice() {
        [_] if ["norm", "attention_norm", "ffn_norm", "freqs"].contains(&last) => return Some(Split::Replicated),
        [rows, columns] => (*rows, *columns),
        _ => return None,
    };
    let width = sizes.width?;
    match last {
        "wq" | "wk" | "wv" | "w1" | "w3" | "output" => (columns == width).then_some(Split::Along(0)),
        "wo" | "w2" => (rows == width).then_some(Split::Along(1)),
        "tok_embeddings" if columns == width => Some(Split::Along(0)),
        "tok_embeddings" => (columns.checked_mul(parts)? == width).then_some(Split::Along(1)),
        _ => None,
    }
}

/// Where the pieces of a tensor are.
struct SplitTensor {
    split: Split,
    /// The place in the listing of each part.
    places: Vec<usize>,
    /// What each piece is.
    info: TensorInfo,
}

struct Parts {
    listing: Listing,
    /// One for each tensor of the listing.
    pieces: Vec<SplitTensor>,
    readers: Vec<Arc<dyn Reader>>,
    files: Vec<String>,
}

impl Parts {
    fn of(&self, piece: &SplitTensor) -> impl Iterator<Item = (usize, &Arc<dyn Reader>, usize)> {
        let places = piece.places.clone();
        self.readers.iter().zip(places).enumerate().map(|(part, (reader, place))| (part, reader, place))
    }

    /// Equal rows of every part, which must be equal.
    fn replicated(&self, piece: &SplitTensor, rows: &Rows, out: &mut [u8]) -> Result<()> {
        let mut other = vec![0; out.len()];
        for (part, reader, place) in self.of(piece) {
            if part == 0 {
                reader.read(place, rows.clone(), out)?;
                continue;
            }
            reader.read(place, rows.clone(), &mut other)?;
            if other != out {
                let name = |part: usize| self.files.get(part).cloned().unwrap_or_default();
                let (tensor, first, second) = (piece.info.name.to_string(), name(0), name(part));
                return Err(PartError::Differ { tensor, first, second }.into());
            }
        }
        Ok(())
    }

    /// Rows of one part after another.
    fn by_rows(&self, piece: &SplitTensor, rows: &Rows, mut out: &mut [u8]) -> Result<()> {
        let (each, row) = (piece.info.rows(), piece.info.row_bytes()?);
        for (part, reader, place) in self.of(piece) {
            let begin = each.saturating_mul(part as u64);
            let (from, to) = (rows.start.max(begin), rows.end.min(begin.saturating_add(each)));
            if from >= to {
                continue;
            }
            let len = out.len().min(usize::try_from((to - from).saturating_mul(row)).unwrap_or(usize::MAX));
            let (here, rest) = out.split_at_mut(len);
            reader.read(place, Rows { start: from - begin, end: to - begin }, here)?;
            out = rest;
        }
        Ok(())
    }

    /// Each row from a piece of every part.
    fn by_columns(&self, piece: &SplitTensor, rows: &Rows, out: &mut [u8]) -> Result<()> {
        let row = usize::try_from(piece.info.row_bytes()?).unwrap_or(usize::MAX);
        let whole = row.saturating_mul(self.readers.len());
        if row == 0 {
            return Ok(());
        }
        let at_once = (WINDOW / row as u64).max(1);
        let mut start = rows.start;
        for block in out.chunks_mut(whole.saturating_mul(usize::try_from(at_once).unwrap_or(1))) {
            let end = start.saturating_add(at_once).min(rows.end);
            let mut pieces = vec![0; block.len() / self.readers.len().max(1)];
            for (part, reader, place) in self.of(piece) {
                reader.read(place, Rows { start, end }, &mut pieces)?;
                for (into, from) in block.chunks_mut(whole).zip(pieces.chunks(row)) {
                    if let Some(into) = into.get_mut(part * row..(part + 1) * row) {
                        into.copy_from_slice(from);
                    }
                }
            }
            start = end;
        }
        Ok(())
    }
}

impl Reader for Parts {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn extent(&self, _tensor: usize) -> Option<Extent> {
        None
    }

    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()> {
        let (Some(piece), Some(info)) = (self.pieces.get(tensor), self.listing.tensors.get(tensor)) else {
            return Err(CheckpointError::Index { index: tensor, tensors: self.pieces.len() }.into());
        };
        let (_, expected) = crate::checkpoint::row_bytes(info, info.bytes()?, rows.clone())?;
        if out.len() as u64 != expected {
            let (tensor, found) = (info.name.to_string(), out.len() as u64);
            return Err(CheckpointError::Buffer { tensor, expected, found }.into());
        }
        match piece.split {
            _ if out.is_empty() => Ok(()),
            Split::Replicated => self.replicated(piece, &rows, out),
            Split::Along(0) => self.by_rows(piece, &rows, out),
            Split::Along(_) => self.by_columns(piece, &rows, out),
        }
    }

    fn scratch(&self, tensor: usize) -> u64 {
        let Some(piece) = self.pieces.get(tensor) else { return 0 };
        let own = match piece.split {
            Split::Replicated => piece.info.bytes().unwrap_or(0),
            Split::Along(0) => 0,
            Split::Along(_) => WINDOW.max(piece.info.row_bytes().unwrap_or(0)),
        };
        let parts = self.of(piece).map(|(_, reader, place)| reader.scratch(place)).max();
        own.saturating_add(parts.unwrap_or(0))
    }
}
