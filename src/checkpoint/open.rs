//! From a source to an open checkpoint: choose by names, verify by bytes, read headers.

use std::sync::Arc;

use super::alone::Alone;
use super::choose::{Choice, choose, choose_single, passed_over};
use super::format::Format;
use super::opening::{Opened, Opening, head, open_part, opener, unreadable};
use super::options::OpenOptions;
use super::part::Joined;
use super::pieces::{join_meta, refuse_splits, refuse_stated};
use super::{Checkpoint, Reader, claims};
use crate::checkpoint::error::CheckpointError;
use crate::error::Result;
use crate::progress::Progress;
use crate::source::{Bytes, PinnedFile, Source};

/// Components of the names of tensors that only an unmerged adapter has.
const ADAPTER_PARTS: &[&str] = &["lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"];

/// Opens the weights of a source, whatever their format; reads headers only. A directory with several formats prefers
/// safetensors and notes what it passed over. What cannot be read is called what it is (a git-lfs pointer, an HTML page, …).
/// Of a Hub repository only the chosen files are fetched, or their headers.
pub fn open(source: &Source, options: &OpenOptions, progress: &dyn Progress) -> Result<Checkpoint> {
    opened(source, options, progress).map_err(|error| match error.downcast::<CheckpointError>() {
        Ok(error) => error.at(&source.address()).into(),
        Err(other) => other,
    })
}

fn opened(source: &Source, options: &OpenOptions, progress: &dyn Progress) -> Result<Checkpoint> {
    let opening = Opening { source, options, progress };
    let Opened { parts, mut files, mut notes } = match source.names() {
        [name] if source.is_single_file() => opening.named(name)?,
        names if options.adapter && adapter_file(names).is_some() => {
            opening.parts(choose_single(adapter_file(names).unwrap_or_default()))?
        }
        names => opening.parts(choose(source.label(), names)?)?,
    };
    let folder = files.first().and_then(|file| file.name.rsplit_once('/')).map_or("", |(folder, _)| folder);
    let config = opening.config(folder)?;
    let reader = Joined::new(&parts, config)?.with_quantization(opening.quantization(folder)?);
    let beside = parts.iter().flat_map(|part| &part.beside).map(|(_, file)| file.len());
    let held = parts.iter().map(|part| part.bytes).chain(beside).fold(0, u64::saturating_add);
    let name = if let [one] = parts.as_slice() { one.name.as_str() } else { source.label() };
    claims::check(name, held, reader.listing())?;
    if !options.adapter {
        refuse_adapter(&reader, &files)?;
    }
    for part in &parts {
        notes.extend(part.notes.iter().cloned());
    }
    if !source.is_single_file() {
        let chosen: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        notes.extend(passed_over(source.names(), &chosen));
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let key = parts.into_iter().find_map(|part| part.key);
    Ok(Checkpoint { reader: Arc::new(reader), files, key, notes })
}

/// Opens one file that is at hand, whatever its format; there is no config beside it.
pub fn open_file(file: Arc<dyn Bytes>, options: &OpenOptions) -> Result<Arc<dyn Reader>> {
    let name = file.name().to_string();
    let nothing = |wanted: &str| {
        let (by, shard) = (name.clone(), wanted.to_string());
        Err(CheckpointError::MissingShard { by, shard, tensors: None }.into())
    };
    let part = open_part(&name, file, options, &nothing)?;
    claims::check(&name, part.bytes, part.reader.listing())?;
    Ok(part.reader)
}

impl Opening<'_> {
    fn parts(&self, choice: Choice) -> Result<Opened> {
        match choice {
            Choice::Single(name) => self.alone(name),
            Choice::Parts(names) => {
                let note = format!("{} and its fellows have no index: they are joined by their names", first(&names));
                let is_one = names.len() == 1;
                let mut opened = self.several(names)?;
                self.check(|| refuse_splits(&opened.parts), &mut opened.notes)?;
                self.check(|| opened.parts.iter().try_for_each(refuse_stated), &mut opened.notes)?;
                opened.notes.extend((!is_one).then_some(note));
                Ok(opened)
            }
            Choice::ModelParallel(names) => {
                let mut opened = self.several(names)?;
                let config = self.config("")?;
                opened.parts = join_meta(opened.parts, config.as_deref())?;
                Ok(opened)
            }
            Choice::Splits(names) => Alone { opening: self }.splits(names),
            Choice::Indexed(index) => self.indexed(&index),
            Choice::Unclear(names) => self.unclear(names),
        }
    }

    /// A file that was named by itself: with the other parts of its model where their names are known, or as it is.
    fn named(&self, name: &str) -> Result<Opened> {
        let alone = Alone { opening: self };
        match alone.followed(name) {
            Ok(Choice::Unclear(names)) => self.parts(Choice::Unclear(names)),
            Ok(Choice::Indexed(index)) if index == name => self.indexed(name),
            Ok(choice) if !self.options.part => {
                let mut opened = self.parts(choice)?;
                if opened.files.len() > 1 {
                    opened
                        .notes
                        .push(format!("{name} is a part of a model: all its {} parts are read", opened.files.len()));
                }
                Ok(opened)
            }
            Ok(_) => alone.shown(name, format!("{name} is a part of a model, of which only this part is shown")),
            // of a part that cannot be read by itself, that is the error
            Err(error) if self.options.part => alone.shown(name, error.to_string()).map_err(|_| error),
            Err(error) => Err(error),
        }
    }

    /// One file that should hold a whole model.
    fn alone(&self, name: String) -> Result<Opened> {
        Alone { opening: self }.whole(name)
    }

    /// Files of a local source are opened to see what they are; those of the Hub are judged by their names, as a file that
    /// cannot be read is not worth a fetch.
    fn unclear(&self, names: Vec<String>) -> Result<Opened> {
        let (label, first) = (self.source.label(), first(&names).to_string());
        let is_remote = self.source.commit().is_some() && !self.source.is_single_file();
        let mut readable = Vec::new();
        for name in &names {
            let format = match is_remote {
                true => Format::of_name(name),
                false => Format::of_bytes(&head(self.source.file(name, self.progress)?.as_ref())?),
            };
            if format.and_then(opener).is_some() {
                readable.push(name.clone());
            }
        }
        match readable.len() {
            0 if is_remote => Err(unreadable(&first, Format::of_name(&first).unwrap_or(Format::Zip))),
            0 => self.several(vec![first]),
            1 => self.alone(readable.remove(0)),
            _ => Err(CheckpointError::SeveralModels { label: label.into(), files: readable }.into()),
        }
    }
}

/// The first of some names, or nothing.
fn first(names: &[String]) -> &str {
    names.first().map(String::as_str).unwrap_or_default()
}

/// The weights of an adapter as PEFT saves it.
fn adapter_file(names: &[String]) -> Option<&str> {
    let has = |wanted: &&str| names.iter().any(|name| name == *wanted);
    ["adapter_model.safetensors", "adapter_model.bin"].into_iter().find(has)
}

/// Whether only an unmerged adapter has a tensor of this name. PEFT's `base_layer` wraps one layer of the model (`q_proj.base_layer.weight`);
/// timm's DLA has a sequence of that name (`base_layer.0.weight`).
fn is_of_adapter(name: &str) -> bool {
    let mut from_end = name.rsplit('.').skip(1);
    let wraps_layer = from_end.next() == Some("base_layer") && from_end.next().is_some();
    wraps_layer || name.split('.').any(|part| ADAPTER_PARTS.contains(&part))
}

fn refuse_adapter(reader: &Joined, files: &[PinnedFile]) -> Result<()> {
    let shows = reader.listing().tensors.iter().find(|tensor| is_of_adapter(&tensor.name));
    match shows {
        Some(tensor) => {
            let file = files.last().map(|file| file.name.clone()).unwrap_or_default();
            Err(CheckpointError::Adapter { file, tensor: Some(tensor.name.to_string()) }.into())
        }
        None => Ok(()),
    }
}
