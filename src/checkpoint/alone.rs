//! One file that was named, or that stands alone: whether it holds a whole model, and what else belongs to it.

use std::collections::BTreeMap;

use super::choose::{Choice, choose_followed, choose_single};
use super::opening::{Opened, Opening};
use super::part::Part;
use super::pieces::{Rank, Split, refuse_incomplete_meta, refuse_splits, refuse_stated};
use super::safetensors::{Index, parse_index};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::pieces::error::PartError;
use crate::error::Result;

/// What the names of indices of shards end with.
const INDEX_ENDING: &str = ".index.json";

/// A file on the way to the model that it belongs to.
pub(super) struct Alone<'a, 'o> {
    pub(super) opening: &'a Opening<'o>,
}

impl Alone<'_, '_> {
    pub(super) fn shown(&self, name: &str, note: String) -> Result<Opened> {
        let mut opened = self.opening.several(vec![name.to_string()])?;
        opened.notes.push(note);
        Ok(opened)
    }

    /// What belongs to a file by its name and the names beside it.
    pub(super) fn followed(&self, name: &str) -> Result<Choice> {
        let source = self.opening.source;
        if let Choice::Indexed(index) = choose_single(name) {
            return Ok(Choice::Indexed(index));
        }
        let beside = source.beside()?;
        let (folder, folders) = source.folders()?;
        if let Some(rank) = Rank::of(&folder, name) {
            let files = beside.iter().filter(|other| *other != name).map(|other| (folder.clone(), other.clone()));
            let others: Vec<(String, String)> =
                files.chain(folders.into_iter().map(|folder| (folder, name.to_string()))).collect();
            rank.refuse(name, &others)?;
        }
        for index in self.indices(&beside)? {
            if index.shards().contains(name) && index.shards().len() > 1 {
                return Ok(Choice::Indexed(index.file));
            }
        }
        choose_followed(name, &beside)
    }

    /// The indices of shards among these names, as far as they can be read.
    fn indices(&self, beside: &[String]) -> Result<Vec<Index>> {
        let mut indices = Vec::new();
        for name in beside.iter().filter(|name| name.ends_with(INDEX_ENDING)) {
            let bytes = self.opening.source.read(name, super::opening::INDEX_LIMIT, self.opening.progress)?;
            // an index that nobody asked for may be anything
            indices.extend(parse_index(name, &bytes).ok());
        }
        Ok(indices)
    }

    /// One file that should hold a whole model; an error where its header or an index beside it states otherwise.
    pub(super) fn whole(&self, name: String) -> Result<Opened> {
        let opened = self.opening.several(vec![name.clone()])?;
        let Some(part) = opened.parts.first() else { return Ok(opened) };
        if let Some(split) = Split::of(part.reader.listing()).filter(|_| !self.opening.options.part) {
            return self.split(opened, split);
        }
        let mut notes = Vec::new();
        self.opening.check(|| self.refuse_piece(part), &mut notes)?;
        Ok(Opened { notes: opened.notes.into_iter().chain(notes).collect(), ..opened })
    }

    fn refuse_piece(&self, part: &Part) -> Result<()> {
        refuse_stated(part)?;
        let listing = part.reader.listing();
        if let Some(Split { number, count, .. }) = Split::of(listing) {
            let (file, number, missing) = (part.name.clone(), number.saturating_add(1), Vec::new());
            return Err(PartError::Split { file, number, count, missing }.into());
        }
        let beside = self.opening.source.beside()?;
        for index in self.indices(&beside)? {
            let held = part.names().filter(|name| index.maps(name)).count();
            // names that the index does not have make it another model
            if held > 0 && held == listing.tensors.len() && held < index.tensors() {
                let (file, all) = (part.name.clone(), index.tensors());
                return Err(PartError::Indexed { file, index: index.file, held, all }.into());
            }
        }
        let config = self.opening.config("")?;
        refuse_incomplete_meta(&part.name, listing, config.as_deref(), 1)
    }

    /// The other parts of a split GGUF file, whatever they are called: by what their headers state.
    fn split(&self, opened: Opened, split: Split) -> Result<Opened> {
        let own = opened.parts.first().map(|part| part.name.clone()).unwrap_or_default();
        let beside = self.opening.source.beside()?;
        let mut names: Vec<String> =
            beside.into_iter().filter(|name| name.ends_with(".gguf") && *name != own).collect();
        if self.opening.source.commit().is_some() {
            // of the Hub nothing is fetched to find out
            names.clear();
        }
        names.push(own.clone());
        let mut found: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for name in names {
            let file = self.opening.source.file(&name, self.opening.progress)?;
            let Ok((part, _)) = self.opening.part(&name, file) else { continue };
            let stated = Split::of(part.reader.listing());
            if let Some(stated) = stated.filter(|one| (one.count, one.tensors) == (split.count, split.tensors)) {
                found.entry(stated.number).or_default().push(name);
            }
        }
        let missing = |number: &u64| found.get(number).is_none_or(|names| names.len() != 1);
        let missing: Vec<String> =
            (0..split.count.min(1000)).filter(missing).map(|number| format!("part {}", number + 1)).collect();
        if !missing.is_empty() {
            let (number, count) = (split.number.saturating_add(1), split.count);
            return Err(PartError::Split { file: own, number, count, missing }.into());
        }
        let mut opened = self.opening.several(found.into_values().flatten().collect())?;
        refuse_splits(&opened.parts)?;
        let note = format!("{own} and {} other files are the parts of one split GGUF file", opened.parts.len() - 1);
        opened.notes.push(note);
        Ok(opened)
    }

    /// GGUF files of a directory: the parts of one model, or several models, which is an error.
    pub(super) fn splits(&self, names: Vec<String>) -> Result<Opened> {
        let label = self.opening.source.label().to_string();
        let several = |files: Vec<String>| Err(CheckpointError::SeveralModels { label, files }.into());
        let Some(first) = names.first().filter(|_| self.opening.source.commit().is_none()) else {
            return several(names);
        };
        let opened = self.opening.several(vec![first.clone()])?;
        let split = opened.parts.first().and_then(|part| Split::of(part.reader.listing()));
        match split {
            Some(split) if split.count == names.len() as u64 => self.split(opened, split),
            Some(_) | None => several(names),
        }
    }
}
