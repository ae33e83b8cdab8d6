//! From what was typed after `--arch` to an architecture: which file it means, which form that has, and what stands beside it.

use std::path::Path;

use super::beside::Beside;
use super::grammar::{self, HEAD, Key, LAYERS_FILE, LISTING_FILE, RULES};
use super::json::Document;
use super::node::{Node, Read, Wrong};
use super::{Architecture, Flags, Form, LabelRule, Rules, hugging_face, listing, missing, native, vocabulary};
use crate::arch::error::{ArchError, Problem};
use crate::checkpoint::{self, OpenOptions};
use crate::error::{Exit, Result};
use crate::progress::Progress;
use crate::source::{Access, Reference};

/// Opens `--arch ARCH`: a file, a directory, or `org/name[@rev]` for its config. `--set` and `--labels` change a Hugging Face
/// config; the flags' rules are appended to the file's, and are stronger. Reads a `vocab` rule's tokenizer.
pub fn open(reference: &str, flags: &Flags, access: &Access, progress: &dyn Progress) -> Result<Architecture> {
    open_reference(Reference::parse(reference)?, flags, access, progress)
}

/// As above, for a directory or file of this machine, without flags.
pub(crate) fn open_path(path: &Path, access: &Access, progress: &dyn Progress) -> Result<Architecture> {
    open_reference(Reference::Path(path.to_path_buf()), &Flags::default(), access, progress)
}

fn open_reference(
    reference: Reference,
    flags: &Flags,
    access: &Access,
    progress: &dyn Progress,
) -> Result<Architecture> {
    let rules = Rules::from_flags(flags)?;
    // `--revision` is about the weights
    let access = Access { revision: None, ..access.clone() };
    let beside = Beside::open(&reference, access, progress)?;
    let mut architecture = match beside.document()? {
        Some(document) if stands_for_weights(&document, &beside) => of_unbuilt(&document, &beside)?,
        Some(document) => {
            let architecture = from_document(&document, flags, rules.labels.first(), &beside)?;
            with_vocabulary(completed(architecture, &beside)?, &document, &beside)?
        }
        None => from_weights(&beside)?,
    };
    if let (Some(typed), Form::Layers | Form::Listing) = (flags.set.first(), architecture.form) {
        return Err(ArchError::SetWithoutConfig { typed: typed.clone(), form: architecture.form.name() }.into());
    }
    architecture.rules = architecture.rules.followed_by(rules);
    Ok(architecture)
}

/// Whether a directory's config is of a model that no family builds, and weights stand next to it.
fn stands_for_weights(document: &Document, beside: &Beside) -> bool {
    let is_config = matches!(form(&document.root), Some(Content::Config));
    let has_weights = || {
        let is_weights = |name: &String| WEIGHTS.iter().any(|end| name.ends_with(end));
        beside.source.names().iter().any(is_weights)
    };
    is_config && !beside.source.is_single_file() && hugging_face::unbuilt(&document.root).is_some() && has_weights()
}

/// What the files end in that hold weights next to a config.
const WEIGHTS: &[&str] = &[".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".msgpack", ".h5"];

/// The weights as a listing, with the config that stands next to them.
fn of_unbuilt(document: &Document, beside: &Beside) -> Result<Architecture> {
    let mut architecture = from_weights(beside)?;
    if let serde_json::Value::Object(config) = document.root.plain() {
        architecture.config = Some(crate::family::Config(config));
    }
    let model_type = hugging_face::unbuilt(&document.root).unwrap_or_default();
    architecture.notes.push(format!("no family answers to model_type `{model_type}`: its weights are the listing"));
    Ok(architecture)
}

/// The architecture of a config beside weights, with what it does not state and they decide. On the Hub their headers are read only
/// where the config lacks a size.
fn completed(architecture: Architecture, beside: &Beside) -> Result<Architecture> {
    let lacks_size = || {
        let mut blocks = architecture.blocks.iter().filter(|block| block.path.is_empty());
        blocks.any(|block| crate::family::lacks_size(block.family, &block.config))
    };
    if architecture.form != Form::HuggingFace || beside.source.is_single_file() || !(beside.is_local() || lacks_size())
    {
        return Ok(architecture);
    }
    let options = OpenOptions { headers: true, ..OpenOptions::default() };
    match checkpoint::open(&beside.source, &options, beside.progress) {
        Ok(checkpoint) => missing::by_own_weights(architecture, checkpoint.reader.listing()),
        Err(error) if matches!(error.exit(), Exit::Temporary | Exit::Interrupted | Exit::Terminated) => Err(error),
        // a config alone, or beside weights that are no architecture's concern
        Err(_) => Ok(architecture),
    }
}

fn from_weights(beside: &Beside) -> Result<Architecture> {
    let names = beside.source.names();
    if names.is_empty() {
        let problem = Problem::NoArchitecture;
        return Err(ArchError::File { file: beside.label().to_string(), problem }.into());
    }
    let checkpoint =
        checkpoint::open(&beside.source, &OpenOptions { headers: true, ..OpenOptions::default() }, beside.progress)?;
    let mut architecture = listing::from_checkpoint(beside.label(), checkpoint.reader.listing())?;
    architecture.notes.extend(checkpoint.notes);
    Ok(architecture)
}

/// Reads the tokenizer that a `vocab` rule of the file names.
fn with_vocabulary(mut architecture: Architecture, document: &Document, beside: &Beside) -> Result<Architecture> {
    let Some(rule) = &architecture.rules.vocab else { return Ok(architecture) };
    let rules = document.root.get("xfer").filter(|rules| rules.entries().is_some()).unwrap_or(&document.root);
    let place = rules.get("vocab").and_then(|vocab| vocab.get("tokenizer")).map_or(document.root.at, |node| node.at);
    let read = vocabulary::read(rule, beside).map_err(|error| document.locate(Wrong::new(place, error)))?;
    architecture.vocabulary = Some(read);
    Ok(architecture)
}

/// Tells the form by its content, checks the keys, and builds.
fn from_document(
    document: &Document,
    flags: &Flags,
    labels: Option<&LabelRule>,
    beside: &Beside,
) -> Result<Architecture> {
    let root = &document.root;
    let located = |checked: Read<()>| checked.map_err(|wrong| document.locate(wrong));
    let file = |own: &'static [Key]| HEAD.iter().chain(own).chain(RULES).collect::<Vec<_>>();
    match form(root) {
        Some(Content::Config) => hugging_face::from_document(document, flags, labels),
        Some(Content::Layers) => {
            located(grammar::check_keys(root, "a layers file", &file(LAYERS_FILE), false))?;
            head(document, native::from_document(document, beside)?)
        }
        Some(Content::Listing) => {
            located(grammar::check_keys(root, "a listing", &file(LISTING_FILE), false))?;
            head(document, listing::from_document(document)?)
        }
        Some(Content::Bare) => {
            located(check_bare(root))?;
            listing::from_bare(document)
        }
        None => {
            // a slip in the one key that tells the form is a slip, not another kind of file
            if is_own(root) {
                let keys = HEAD.iter().chain(LAYERS_FILE).chain(LISTING_FILE).chain(RULES).collect::<Vec<_>>();
                located(grammar::check_keys(root, "an architecture file", &keys, false))?;
            }
            Err(document.locate(Wrong { at: root.at, problem: Problem::NoForm }))
        }
    }
}

/// What a JSON file holds.
enum Content {
    Config,
    Layers,
    Listing,
    Bare,
}

/// A config keeps its rules under the key that is a number in xfer's own files.
fn is_own(root: &Node) -> bool {
    root.get("xfer").is_some_and(|version| version.entries().is_none())
}

fn form(root: &Node) -> Option<Content> {
    let has = |key: &str| root.get(key).is_some();
    match is_own(root) {
        true if has("tensors") && !has("layers") => Some(Content::Listing),
        true if has("layers") || has("inputs") => Some(Content::Layers),
        _ if has("model_type") => Some(Content::Config),
        _ if is_bare(root) => Some(Content::Bare),
        _ => None,
    }
}

/// What stands at the top of a file of xfer's own.
fn head(document: &Document, mut architecture: Architecture) -> Result<Architecture> {
    architecture.name = document.root.maybe("name").map_err(|wrong| document.locate(wrong))?;
    architecture.config = match document.root.get("config").map(Node::plain) {
        Some(serde_json::Value::Object(config)) => Some(crate::family::Config(config)),
        _ => None,
    };
    Ok(architecture)
}

/// Whether every value but the metadata is an object with a shape.
fn is_bare(root: &Node) -> bool {
    let Some(entries) = root.entries() else { return false };
    let mut tensors = entries.iter().filter(|entry| entry.key != listing::METADATA).peekable();
    tensors.peek().is_some() && tensors.all(|entry| entry.node.get("shape").is_some())
}

fn check_bare(root: &Node) -> Read<()> {
    let tensors = root.entries().unwrap_or_default().iter().filter(|entry| entry.key != listing::METADATA);
    let keys: Vec<&Key> = grammar::BARE_TENSOR.keys.iter().collect();
    let what = grammar::BARE_TENSOR.what;
    tensors.into_iter().try_for_each(|entry| grammar::check_keys(&entry.node, what, &keys, false))
}
