//! Files of a source, opened one by one: verified by their bytes, their headers read, and pinned.

use std::sync::Arc;

use super::format::{Format, HEAD};
use super::options::OpenOptions;
use super::part::{Beside, Part};
use super::pieces::refuse_stated;
use super::safetensors::{check_shards, parse_index};
use super::{gguf, hdf5, msgpack, numpy, onnx, safetensors, torch};
use crate::checkpoint::error::CheckpointError;
use crate::error::{Error, Exit, Result};
use crate::progress::Progress;
use crate::source::{Bytes, PinnedFile, Source};

/// The longest `config.json` that is read, in bytes.
const CONFIG_LIMIT: u64 = 16_000_000;

/// The longest index that is read, in bytes; a million tensors take about as much.
pub(super) const INDEX_LIMIT: u64 = 100_000_000;

/// Files in which ModelOpt, AutoGPTQ, AutoAWQ and quanto state how they quantised the weights beside them.
const QUANTIZATION: &[&str] =
    &["hf_quant_config.json", "quantize_config.json", "quant_config.json", "quanto_qmap.json"];

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

/// Opens a file by its bytes; what is called safetensors and is of no other kind is left to the header's errors.
pub(super) fn open_part(name: &str, file: Arc<dyn Bytes>, options: &OpenOptions, beside: Beside) -> Result<Part> {
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

pub(super) fn opener(format: Format) -> Option<OpenPart> {
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
        let digest = || crate::digest::of(&bytes);
        let pin = self.source.etag(index_name).unwrap_or_else(digest);
        opened.files.insert(0, PinnedFile { name: index_name.into(), bytes: bytes.len() as u64, pin });
        Ok(opened)
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
    pub(super) fn quantization(&self, folder: &str) -> Result<Vec<(String, String)>> {
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
    Ok(crate::digest::of(&start))
}

pub(super) fn head(file: &dyn Bytes) -> Result<Vec<u8>> {
    let mut head = vec![0; HEAD.min(usize::try_from(file.len()).unwrap_or(HEAD))];
    file.read_at(0, &mut head)?;
    Ok(head)
}

pub(super) fn unreadable(name: &str, format: Format) -> Error {
    CheckpointError::Unreadable { file: name.into(), called: format.called(), remedy: format.remedy() }.into()
}
