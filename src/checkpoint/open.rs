//! From a source to an open checkpoint: choose by names, verify by bytes, read headers.

use std::sync::Arc;

use super::choose::{Choice, choose, choose_single, passed_over};
use super::format::{Format, HEAD};
use super::safetensors::{Safetensors, Shard, check_shards, parse_index};
use super::{Checkpoint, Reader};
use crate::error::{CheckpointError, Error, Exit, Result};
use crate::progress::Progress;
use crate::source::{Bytes, PinnedFile, Source};

/// The longest `config.json` that is read, in bytes.
const CONFIG_LIMIT: u64 = 16_000_000;
/// The longest index that is read, in bytes; a million tensors take about as much.
const INDEX_LIMIT: u64 = 100_000_000;
/// Components of the names of tensors that only an unmerged adapter has.
const ADAPTER_PARTS: &[&str] = &["lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "base_layer"];

/// Opens the weights of a source, whatever their format; reads headers only. A directory with several formats prefers
/// safetensors and notes what it passed over. What cannot be read is called what it is (a git-lfs pointer, an HTML page, …).
/// Of a Hub repository only the chosen files are fetched.
pub fn open(source: &Source, progress: &dyn Progress) -> Result<Checkpoint> {
    let choice = match source.names() {
        [name] if source.is_single_file() => choose_single(name),
        names => choose(source.label(), names)?,
    };
    let opening = Opening { source, progress };
    let (shards, mut files, mut notes) = opening.shards(choice)?;
    let folder = files.first().and_then(|file| file.name.rsplit_once('/')).map_or("", |(folder, _)| folder);
    let config = opening.config(folder)?;
    let reader = Safetensors::join(shards, config)?;
    refuse_adapter(&reader, &files)?;
    if !source.is_single_file() {
        let chosen: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        notes.extend(passed_over(source.names(), &chosen));
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Checkpoint { reader: Arc::new(reader), files, notes })
}

/// Opens one file that is at hand, whatever its format; there is no config beside it.
pub fn open_file(file: Arc<dyn Bytes>) -> Result<Arc<dyn Reader>> {
    let name = file.name().to_string();
    refuse_other(&name, file.as_ref())?;
    Ok(Arc::new(Safetensors::join(vec![Shard::open(file)?], None)?))
}

type Opened = (Vec<Shard>, Vec<PinnedFile>, Vec<String>);

struct Opening<'a> {
    source: &'a Source,
    progress: &'a dyn Progress,
}

impl Opening<'_> {
    fn shards(&self, choice: Choice) -> Result<Opened> {
        match choice {
            Choice::Single(name) => self.several(vec![name]),
            Choice::Parts(names) => {
                let note = format!("{} and its fellows have no index: they are joined by their names", first(&names));
                let (shards, files, _) = self.several(names)?;
                Ok((shards, files, vec![note]))
            }
            Choice::Indexed(index) => self.indexed(&index),
            Choice::Unclear(names) => self.unclear(names),
        }
    }

    fn several(&self, names: Vec<String>) -> Result<Opened> {
        let (mut shards, mut files) = (Vec::new(), Vec::new());
        for name in names {
            let (shard, file) = self.shard(&name)?;
            shards.push(shard);
            files.push(file);
        }
        Ok((shards, files, Vec::new()))
    }

    fn shard(&self, name: &str) -> Result<(Shard, PinnedFile)> {
        self.progress.interrupted()?;
        let file = self.source.file(name, self.progress)?;
        refuse_other(name, file.as_ref())?;
        let shard = Shard::open(file)?;
        let pin = self.source.etag(name).unwrap_or_else(|| shard.digest().to_string());
        let pinned = PinnedFile { name: name.into(), bytes: shard.bytes(), pin };
        Ok((shard, pinned))
    }

    fn indexed(&self, index_name: &str) -> Result<Opened> {
        let bytes = self.source.read(index_name, INDEX_LIMIT, self.progress)?;
        match Format::of_bytes(bytes.get(..HEAD).unwrap_or(&bytes)) {
            Some(Format::Json) | None => {}
            Some(other) => return Err(unreadable(index_name, other)),
        }
        let index = parse_index(index_name, &bytes)?;
        let folder = index_name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let written = index.shards();
        for shard in &written {
            let name = format!("{folder}{shard}");
            if !self.source.is_single_file() && !self.source.names().contains(&name) {
                let tensors = Some(index.promised(shard));
                return Err(CheckpointError::MissingShard { by: index_name.into(), shard: name, tensors }.into());
            }
        }
        let (shards, mut files, _) = self.several(written.iter().map(|shard| format!("{folder}{shard}")).collect())?;
        let named: Vec<(&str, &Shard)> = written.iter().copied().zip(&shards).collect();
        let notes = check_shards(&index, &named)?;
        let digest = || format!("blake3:{}", blake3::hash(&bytes).to_hex());
        let pin = self.source.etag(index_name).unwrap_or_else(digest);
        files.insert(0, PinnedFile { name: index_name.into(), bytes: bytes.len() as u64, pin });
        Ok((shards, files, notes))
    }

    /// Files of a local source are opened to see what they are; a Hub file that its name calls unreadable is not worth a fetch.
    fn unclear(&self, names: Vec<String>) -> Result<Opened> {
        let (label, first) = (self.source.label(), first(&names).to_string());
        if self.source.commit().is_some() && !self.source.is_single_file() {
            let format = Format::of_name(&first).unwrap_or(Format::Torch);
            return Err(unreadable(&first, format));
        }
        let mut readable = Vec::new();
        for name in &names {
            let file = self.source.file(name, self.progress)?;
            if Format::of_bytes(&head(file.as_ref())?) == Some(Format::Safetensors) {
                readable.push(name.clone());
            }
        }
        match readable.len() {
            0 => self.several(vec![first]),
            1 => self.several(readable),
            _ => Err(CheckpointError::SeveralModels { label: label.into(), files: readable }.into()),
        }
    }

    /// The text of the `config.json` in `folder`, or `None` where there is none.
    fn config(&self, folder: &str) -> Result<Option<String>> {
        let name = if folder.is_empty() { "config.json".to_string() } else { format!("{folder}/config.json") };
        if !self.source.is_single_file() && !self.source.names().contains(&name) {
            return Ok(None);
        }
        let bytes = match self.source.read(&name, CONFIG_LIMIT, self.progress) {
            Ok(bytes) => bytes,
            // beside a file that was named by itself there need be none
            Err(error) if self.source.is_single_file() && error.exit() == Exit::Source => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to() as u64;
            Error::from(CheckpointError::NotUtf8 { file: name, offset })
        })?;
        Ok(Some(text))
    }
}

fn first(names: &[String]) -> &str {
    names.first().map(String::as_str).unwrap_or_default()
}

fn head(file: &dyn Bytes) -> Result<Vec<u8>> {
    let mut head = vec![0; HEAD.min(usize::try_from(file.len()).unwrap_or(HEAD))];
    file.read_at(0, &mut head)?;
    Ok(head)
}

/// Refuses what is certainly no safetensors file; what is called one and is of no other kind is left to the header's errors.
fn refuse_other(name: &str, file: &dyn Bytes) -> Result<()> {
    let head = head(file)?;
    match Format::of_bytes(&head) {
        Some(Format::Safetensors) => Ok(()),
        Some(other) => Err(unreadable(name, other)),
        None if name.ends_with(".safetensors") => Ok(()),
        None => {
            let start = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            Err(CheckpointError::UnknownFormat { file: name.into(), bytes: file.len(), start }.into())
        }
    }
}

fn unreadable(name: &str, format: Format) -> Error {
    CheckpointError::Unreadable { file: name.into(), called: format.called(), remedy: format.remedy(name) }.into()
}

fn refuse_adapter(reader: &Safetensors, files: &[PinnedFile]) -> Result<()> {
    let is_part = |part: &str| ADAPTER_PARTS.contains(&part);
    let shows = reader.listing().tensors.iter().find(|tensor| tensor.name.split('.').any(is_part));
    match shows {
        Some(tensor) => {
            let file = files.last().map(|file| file.name.clone()).unwrap_or_default();
            Err(CheckpointError::Adapter { file, tensor: Some(tensor.name.clone()) }.into())
        }
        None => Ok(()),
    }
}
