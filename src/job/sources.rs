//! `--from`: parsed, opened, and opened again when a saved plan is run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::completed;
use crate::checkpoint::vocabulary::Vocabulary;
use crate::checkpoint::{self, Checkpoint, Listing, OpenOptions, Reader};
use crate::error::Result;
use crate::job::error::JobError;
use crate::plan::{Content, Plan, PlannedSource, SourceView, is_companion};
use crate::progress::Progress;
use crate::source::{Access, Reference, Source, read_local};

/// What PEFT saves beside an adapter.
const ADAPTER: &str = "adapter_config.json";
/// Companion files are small; a tokenizer of a quarter of a million tokens has 30 MB.
pub(crate) const COMPANION_LIMIT: u64 = 256 << 20;

/// One `--from [NAME=]SRC`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceArgument {
    /// The name that rules use.
    pub name: String,
    /// `SRC` as typed.
    pub typed: String,
    /// What it names.
    pub reference: Reference,
}

impl SourceArgument {
    pub(crate) fn only(typed: &str) -> Result<SourceArgument> {
        Ok(SourceArgument { name: "source".into(), typed: typed.into(), reference: Reference::parse(typed)? })
    }

    /// Parses all `--from`; the empty list is `none`. Several need names, all different.
    pub(crate) fn parse_all(from: &[String]) -> Result<Vec<SourceArgument>> {
        if from.is_empty() {
            return Err(JobError::NoSource.into());
        }
        let mut arguments: Vec<SourceArgument> = Vec::new();
        for text in from {
            let (name, typed) = split_name(text);
            let reference = Reference::parse(typed)?;
            if reference == Reference::None {
                return if from.len() == 1 { Ok(Vec::new()) } else { Err(JobError::NoneAmongSources.into()) };
            }
            let name = match name {
                Some(name) if arguments.iter().all(|a| a.name != name) => name,
                None if from.len() == 1 => "source",
                Some(_) | None => return Err(JobError::SourceName { text: typed.to_string() }.into()),
            };
            arguments.push(SourceArgument { name: name.to_string(), typed: typed.to_string(), reference });
        }
        Ok(arguments)
    }
}

/// `body=org/name` is a name and a source; `./a=b` and `hf://…` are sources.
fn split_name(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, rest))
            if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') =>
        {
            (Some(name), rest)
        }
        _ => (None, text),
    }
}

/// An opened source and what planning may see of it.
pub struct Opened {
    /// How it was asked for.
    pub argument: SourceArgument,
    pub source: Source,
    pub checkpoint: Checkpoint,
    vocabulary: Option<Vocabulary>,
    companions: Vec<(String, String)>,
    /// The text of its `adapter_config.json`.
    adapter: Option<String>,
}

impl Opened {
    /// What planning sees.
    pub(crate) fn view(&self) -> SourceView<'_> {
        SourceView {
            name: self.argument.name.clone(),
            reference: self.source.label().to_string(),
            location: self.argument.typed.clone(),
            commit: self.source.commit().map(str::to_string),
            files: self.checkpoint.files.clone(),
            key: self.checkpoint.key.clone(),
            listing: self.checkpoint.reader.listing(),
            vocabulary: self.vocabulary.as_ref(),
            companions: self.companions.clone(),
            adapter: self.adapter.clone(),
        }
    }

    /// Its name in reports, and its tensors.
    pub(crate) fn listed(&self) -> (&str, &Listing) {
        (self.source.label(), self.checkpoint.reader.listing())
    }

    /// The bytes of one of its tensors, or `None` where it has no such tensor.
    pub(crate) fn tensor_bytes(&self, name: &str) -> Option<u64> {
        let listing = self.checkpoint.reader.listing();
        listing.tensors.get(listing.position(name)?)?.bytes().ok()
    }
}

/// The readers, in order.
pub(crate) fn readers(sources: &[Opened]) -> Vec<Arc<dyn Reader>> {
    sources.iter().map(|s| s.checkpoint.reader.clone()).collect()
}

/// Opens every source: headers, and the small files beside them; weights on the Hub stay there as far as that goes, until `fetch`. A
/// key that none of them has a use for is an error; `NAME=KEY` is the key of the source called so.
pub(crate) fn open_all(
    arguments: &[SourceArgument],
    keys: &[String],
    access: &Access,
    progress: &dyn Progress,
) -> Result<Vec<Opened>> {
    let keys: Vec<(Option<&str>, &str)> = keys.iter().map(|key| named_key(key, arguments)).collect();
    let open = |argument: &SourceArgument| {
        let of = |name: Option<&str>| keys.iter().rev().find(|(of, _)| *of == name).map(|(_, key)| *key);
        let key = of(Some(&argument.name)).or_else(|| of(None));
        open(
            argument.clone(),
            &OpenOptions { key, adapter: arguments.len() > 1, part: false, headers: true },
            access,
            progress,
        )
    };
    let opened: Vec<Opened> = arguments.iter().map(open).collect::<Result<_>>()?;
    for (name, key) in keys {
        let meant = opened.iter().filter(|source| name.is_none_or(|name| source.argument.name == name));
        check_key(Some(key), meant.map(|source| &source.checkpoint))?;
    }
    Ok(opened)
}

/// `NAME=KEY` where a source is called NAME; any other text is a key of all.
fn named_key<'a>(text: &'a str, arguments: &[SourceArgument]) -> (Option<&'a str>, &'a str) {
    match text.split_once('=') {
        Some((name, key)) if arguments.iter().any(|argument| argument.name == name) => (Some(name), key),
        Some(_) | None => (None, text),
    }
}

/// A key that no checkpoint has a use for is a mistake.
pub(crate) fn check_key<'a>(key: Option<&str>, mut checkpoints: impl Iterator<Item = &'a Checkpoint>) -> Result<()> {
    match key {
        Some(key) if checkpoints.all(|checkpoint| checkpoint.key.is_none()) => {
            Err(JobError::UnusedKey { key: key.to_string() }.into())
        }
        _ => Ok(()),
    }
}

fn open(argument: SourceArgument, options: &OpenOptions, access: &Access, progress: &dyn Progress) -> Result<Opened> {
    let source = Source::open(&argument.reference, access, progress)?;
    let checkpoint = completed::source(checkpoint::open(&source, options, progress)?, source.label())?;
    let adapter = match options.adapter && source.names().iter().any(|name| name == ADAPTER) {
        true => Some(String::from_utf8_lossy(&source.read(ADAPTER, COMPANION_LIMIT, progress)?).into_owned()),
        false => None,
    };
    let mut companions = Vec::new();
    let mut vocabulary = None;
    if !source.is_single_file() {
        for name in source.names().iter().filter(|name| is_companion(name)) {
            let bytes = source.read(name, COMPANION_LIMIT, progress)?;
            companions.push((name.clone(), digest(&bytes)));
        }
        vocabulary = read_vocabulary(&source, progress)?;
    }
    Ok(Opened { argument, source, checkpoint, vocabulary, companions, adapter })
}

fn read_vocabulary(source: &Source, progress: &dyn Progress) -> Result<Option<Vocabulary>> {
    let has = |name: &str| source.names().iter().any(|n| n == name);
    let Some(file) = Vocabulary::FILES.iter().find(|file| has(file)) else { return Ok(None) };
    let mut vocabulary = Vocabulary::read(file, &source.read(file, COMPANION_LIMIT, progress)?)?;
    for config in ["special_tokens_map.json", "tokenizer_config.json"] {
        if has(config) {
            vocabulary.add_special_roles(&source.read(config, COMPANION_LIMIT, progress)?)?;
        }
    }
    Ok(Some(vocabulary))
}

/// Opens the sources of a saved plan and proves that they are what they were: commits, lengths and pins.
pub(crate) fn reopen(plan: &Plan, access: &Access, progress: &dyn Progress) -> Result<Vec<Opened>> {
    plan.sources.iter().map(|planned| reopen_one(planned, access, progress)).collect()
}

fn reopen_one(planned: &PlannedSource, access: &Access, progress: &dyn Progress) -> Result<Opened> {
    let reference = match (Reference::parse(&planned.location)?, &planned.commit) {
        (Reference::Hub { repository, file, .. }, Some(commit)) => {
            Reference::Hub { repository, revision: Some(commit.clone()), file }
        }
        (reference, _) => reference,
    };
    let argument = SourceArgument { name: planned.name.clone(), typed: planned.location.clone(), reference };
    let access = Access { revision: None, ..access.clone() };
    let source = Source::open(&argument.reference, &access, progress)?;
    let options = OpenOptions {
        key: planned.key.as_deref(),
        adapter: planned.files.iter().any(|file| file.name.starts_with("adapter_model")),
        part: false,
        headers: true,
    };
    let checkpoint = checkpoint::open(&source, &options, progress)?;
    for expected in &planned.files {
        let found = checkpoint.files.iter().find(|file| file.name == expected.name);
        if found != Some(expected) {
            let describe = |file: &crate::source::PinnedFile| format!("{} bytes, {}", file.bytes, file.pin);
            return Err(JobError::SourceChanged {
                source_name: planned.name.clone(),
                file: expected.name.clone(),
                expected: describe(expected),
                found: found.map_or("no such file".into(), describe),
            }
            .into());
        }
    }
    Ok(Opened { argument, source, checkpoint, vocabulary: None, companions: Vec::new(), adapter: None })
}

/// Fetches the files that hold these tensors (which source, the name there), as far as they are on the Hub and not in the cache.
pub(crate) fn fetch<'a>(
    sources: &[Opened],
    tensors: impl IntoIterator<Item = (usize, &'a str)>,
    progress: &dyn Progress,
) -> Result<()> {
    let mut files: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (source, tensor) in tensors {
        let Some(opened) = sources.get(source).filter(|opened| opened.source.commit().is_some()) else { continue };
        let (reader, files) = (&opened.checkpoint.reader, files.entry(source).or_default());
        match reader.listing().position(tensor).and_then(|tensor| reader.extent(tensor)) {
            Some(extent) => drop(files.insert(extent.file.name().to_string())),
            None => files.extend(opened.checkpoint.files.iter().map(|file| file.name.clone())),
        }
    }
    for (source, files) in files {
        if let Some(opened) = sources.get(source) {
            opened.source.fetch(&Vec::from_iter(files), progress)?;
        }
    }
    Ok(())
}

/// The bytes of a companion, proven to be those that were planned with.
pub(crate) fn content(content: &Content, sources: &[Opened], progress: &dyn Progress) -> Result<Vec<u8>> {
    let (label, file, bytes, expected) = match content {
        Content::Text(text) => return Ok(text.as_bytes().to_vec()),
        Content::Source { source, name, digest } => {
            let opened = sources.get(*source).ok_or_else(|| changed("plan", name, digest, "no such source"))?;
            (opened.argument.name.as_str(), name, opened.source.read(name, COMPANION_LIMIT, progress)?, digest)
        }
        Content::File { location, digest } => {
            let bytes = read_local(Path::new(location), COMPANION_LIMIT)?;
            ("architecture", location, bytes, digest)
        }
    };
    let found = digest(&bytes);
    if found != *expected { Err(changed(label, file, expected, &found)) } else { Ok(bytes) }
}

fn changed(source_name: &str, file: &str, expected: &str, found: &str) -> crate::error::Error {
    JobError::SourceChanged {
        source_name: source_name.into(),
        file: file.into(),
        expected: expected.into(),
        found: found.into(),
    }
    .into()
}

/// `blake3:…`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    crate::digest::of(bytes)
}
