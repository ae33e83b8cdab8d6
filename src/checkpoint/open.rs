//! From a source to an open checkpoint: choose by names, verify by bytes, read headers.

use std::sync::Arc;

use super::alone::Alone;
use super::choose::{Choice, choose, choose_single, passed_over};
use super::format::{Format, HEAD};
use super::part::{Beside, Joined, Part};
use super::pieces::{join_meta, refuse_splits, refuse_stated};
use super::safetensors::{check_shards, parse_index};
use super::{Checkpoint, Reader, claims, gguf, hdf5, msgpack, numpy, onnx, safetensors, torch};
use crate::checkpoint::error::CheckpointError;
use crate::error::{Error, Exit, Result};
use crate::progress::Progress;
use crate::source::{Bytes, PinnedFile, Source};

/// The longest `config.json` that is read, in bytes.
const CONFIG_LIMIT: u64 = 16_000_000;
/// The longest index that is read, in bytes; a million tensors take about as much.
const INDEX_LIMIT: u64 = 100_000_000;
/// Files in which ModelOpt, AutoGPTQ, AutoAWQ and quanto state how they quantised the weights beside them.
const QUANTIZATION: &[&str] =
    &["hf_quant_config.json", "quantize_config.json", "quant_config.json", "quanto_qmap.json"];
/// Components of the names of tensors that only an unmerged adapter has.
const ADAPTER_PARTS: &[&str] = &["lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"];

/// How weights are opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions<'a> {
    /// Which dictionary of a file that nests them (`--key`): keys from the outside in, joined by dots; `.` for all of them.
    /// Unsaid, the usual containers. Formats without dictionaries take no notice.
    pub key: Option<&'a str>,
    /// Whether a low-rank adapter is opened as such (there is a base to put it on), or refused.
    pub adapter: bool,
    /// Whether a file that holds only a part of a model is opened as it is, with a note; otherwise the other parts are opened too, or it is
    /// refused.
    pub part: bool,
    /// Whether headers are enough: then of a large Hub file whose header stands in front no more is fetched than that.
    pub headers: bool,
}

/// Opens one file of a format.
type OpenPart = fn(Arc<dyn Bytes>, &OpenOptions, Beside) -> Result<Part>;

/// The formats that are read.
const READ: &[(Format, OpenPart)] = &[
    (Format::Safetensors, |file, _, _| safetensors::open(file)),
    (Format::Torch, |file, options, _| torch::open_archive(file, options)),
    (Format::Zip, |file, options, _| match hdf5::open_keras(&file)? {
        Some(part) => Ok(part),
        None => torch::open_archive(file, options),
    }),
    (Format::Hdf5, |file, _, _| hdf5::open(file)),
    (Format::Pickle, |file, options, _| torch::open_legacy(file, options)),
    (Format::Gguf, |file, _, _| gguf::open(file)),
    (Format::Npy, |file, _, _| numpy::open_array(file)),
    (Format::Npz, |file, _, _| numpy::open_archive(file)),
    (Format::Msgpack, |file, _, _| msgpack::open(file)),
    (Format::Onnx, |file, _, beside| onnx::open(file, beside)),
];

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

/// Opens a file by its bytes; what is called safetensors and is of no other kind is left to the header's errors.
fn open_part(name: &str, file: Arc<dyn Bytes>, options: &OpenOptions, beside: Beside) -> Result<Part> {
    let head = head(file.as_ref())?;
    let format = match Format::of_bytes(&head) {
        None if name.ends_with(".safetensors") => Format::Safetensors,
        Some(format) => format,
        None => {
            let start = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            return Err(CheckpointError::UnknownFormat { file: name.into(), bytes: file.len(), start }.into());
        }
    };
    match opener(format) {
        Some(open) => open(file, options, beside),
        None => Err(unreadable(name, format)),
    }
}

fn opener(format: Format) -> Option<OpenPart> {
    READ.iter().find(|(read, _)| *read == format).map(|(_, open)| *open)
}

/// Files as they were opened, what is pinned of them, and what the user should know.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) parts: Vec<Part>,
    pub(super) files: Vec<PinnedFile>,
    pub(super) notes: Vec<String>,
}

/// A source on the way to its parts.
pub(super) struct Opening<'a> {
    pub(super) source: &'a Source,
    pub(super) options: &'a OpenOptions<'a>,
    pub(super) progress: &'a dyn Progress,
}

impl Opening<'_> {
    pub(super) fn parts(&self, choice: Choice) -> Result<Opened> {
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

    /// A file that is named by itself: with the other parts of its model, or as it is.
    fn named(&self, name: &str) -> Result<Opened> {
        Alone { opening: self }.named(name)
    }

    /// One file that should hold a whole model.
    fn alone(&self, name: String) -> Result<Opened> {
        Alone { opening: self }.whole(name)
    }

    /// The error of a check; where a part is shown as it is, a note.
    pub(super) fn check(&self, check: impl Fn() -> Result<()>, notes: &mut Vec<String>) -> Result<()> {
        match check() {
            Err(error) if self.options.part => notes.push(format!("{error}")),
            other => other?,
        }
        Ok(())
    }

    pub(super) fn several(&self, names: Vec<String>) -> Result<Opened> {
        let mut opened = Opened::default();
        let is_front = |name: &String| Format::of_name(name).is_some_and(Format::has_header_in_front);
        let mut fronts = match self.options.headers && names.iter().all(is_front) {
            true => self.source.fronts(&names, self.progress)?.into_iter(),
            false => {
                self.source.fetch(&names, self.progress)?;
                Vec::new().into_iter()
            }
        };
        for name in names {
            let whole = || self.part(&name, self.source.file(&name, self.progress)?);
            let (part, files) = match fronts.next() {
                Some(front) => match self.part(&name, front) {
                    // nothing has checked the bytes of a front: whether they or the file are wrong, the file says
                    Err(error) if error.exit() == Exit::Input => {
                        let part = whole()?;
                        opened
                            .notes
                            .push(format!("{name}: fetched whole, for its header alone made no sense: {error}"));
                        part
                    }
                    other => other?,
                },
                None => whole()?,
            };
            opened.parts.push(part);
            opened.files.extend(files);
        }
        Ok(opened)
    }

    /// Opens a file; it is pinned, and after it the files beside it that hold its data.
    pub(super) fn part(&self, name: &str, file: Arc<dyn Bytes>) -> Result<(Part, Vec<PinnedFile>)> {
        self.progress.interrupted()?;
        let beside = |other: &str| self.source.file(&format!("{}{other}", folder(name)), self.progress);
        let part = open_part(name, file, self.options, &beside)?;
        let pin = self.source.etag(name).unwrap_or_else(|| part.digest.clone());
        let mut pinned = vec![PinnedFile { name: name.into(), bytes: part.bytes, pin }];
        for (other, file) in &part.beside {
            let name = format!("{}{other}", folder(name));
            let pin = self.source.etag(&name).map_or_else(|| pin_of_data(file.as_ref()), Ok)?;
            pinned.push(PinnedFile { name, bytes: file.len(), pin });
        }
        Ok((part, pinned))
    }

    pub(super) fn indexed(&self, index_name: &str) -> Result<Opened> {
        let bytes = self.source.read(index_name, INDEX_LIMIT, self.progress)?;
        match Format::of_bytes(bytes.get(..HEAD).unwrap_or(&bytes)) {
            Some(Format::Json) | None => {}
            Some(other) => return Err(unreadable(index_name, other)),
        }
        let index = parse_index(index_name, &bytes)?;
        let folder = index_name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        index.refuse_gaps()?;
        let written = index.shards();
        let beside = if self.source.is_single_file() { self.source.beside()? } else { Vec::new() };
        let known = if self.source.is_single_file() { &beside } else { self.source.names() };
        for shard in &written {
            let name = format!("{folder}{shard}");
            let is_out_of_sight = self.source.is_single_file() && shard.contains('/');
            if !is_out_of_sight && !known.contains(&name) {
                let tensors = Some(index.promised(shard));
                return Err(CheckpointError::MissingShard { by: index_name.into(), shard: name, tensors }.into());
            }
        }
        let mut opened = self.several(written.iter().map(|shard| format!("{folder}{shard}")).collect())?;
        let named: Vec<(&str, &Part)> = written.iter().copied().zip(&opened.parts).collect();
        opened.notes = check_shards(&index, &named)?;
        opened.parts.iter().try_for_each(refuse_stated)?;
        let digest = || format!("blake3:{}", blake3::hash(&bytes).to_hex());
        let pin = self.source.etag(index_name).unwrap_or_else(digest);
        opened.files.insert(0, PinnedFile { name: index_name.into(), bytes: bytes.len() as u64, pin });
        Ok(opened)
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

    /// The text of the `config.json` in `folder`, else of the `params.json` that Meta and Mistral AI write or of litgpt's
    /// `model_config.yaml`, or `None`.
    pub(super) fn config(&self, folder: &str) -> Result<Option<String>> {
        for name in ["config.json", "params.json", "model_config.yaml"] {
            if let Some(config) = self.config_called(name, folder)? {
                return Ok(Some(config));
            }
        }
        Ok(None)
    }

    /// The files in `folder` that state a quantisation, each with its text. Beside a file of the Hub that was named by itself none is
    /// asked for.
    fn quantization(&self, folder: &str) -> Result<Vec<(String, String)>> {
        if self.source.is_single_file() && self.source.commit().is_some() {
            return Ok(Vec::new());
        }
        let text = |name: &&str| Ok(self.config_called(name, folder)?.map(|text| (name.to_string(), text)));
        QUANTIZATION.iter().filter_map(|name| text(name).transpose()).collect()
    }

    fn config_called(&self, name: &str, folder: &str) -> Result<Option<String>> {
        let name = if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") };
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

/// The folder of a name, with its `/`.
fn folder(name: &str) -> &str {
    name.rfind('/').and_then(|slash| name.get(..=slash)).unwrap_or_default()
}

/// The pin of a local file that has no header of its own: `blake3:…` of its first mebibyte.
fn pin_of_data(file: &dyn Bytes) -> Result<String> {
    const START: u64 = 1 << 20;
    let mut start = vec![0; file.len().min(START) as usize];
    file.read_at(0, &mut start)?;
    Ok(format!("blake3:{}", blake3::hash(&start).to_hex()))
}

/// The first of some names, or nothing.
fn first(names: &[String]) -> &str {
    names.first().map(String::as_str).unwrap_or_default()
}

fn head(file: &dyn Bytes) -> Result<Vec<u8>> {
    let mut head = vec![0; HEAD.min(usize::try_from(file.len()).unwrap_or(HEAD))];
    file.read_at(0, &mut head)?;
    Ok(head)
}

fn unreadable(name: &str, format: Format) -> Error {
    CheckpointError::Unreadable { file: name.into(), called: format.called(), remedy: format.remedy() }.into()
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
