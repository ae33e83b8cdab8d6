//! What a `SRC` or an `ARCH` names. A path wins where it exists; nothing here asks the network.

use std::path::{Path, PathBuf};

use crate::error::{Result, nearest};
use crate::model_types::are_different;
use crate::source::error::SourceError;

/// What a `SRC` or an `ARCH` names, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `none`: a model from scratch.
    None,
    /// A repository of the Hub: `org/name[@rev]`, `hf://org/name[@rev][/path]`, or an alias.
    Hub {
        /// `org/name`.
        repository: String,
        /// Branch, tag or commit as typed; `None` is `main`.
        revision: Option<String>,
        /// One file or folder of it, where the reference names one.
        file: Option<String>,
    },
    /// A file or a directory.
    Path(PathBuf),
}

/// The endings by which a word that is not a path on this disk is still meant as one.
const FILE_ENDINGS: [&str; 14] = [
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".npy", ".npz", ".onnx", ".h5", ".keras", ".msgpack",
    ".json", ".jsonc",
];

/// What the Hub's web pages put between a repository and a revision.
const WEB_ROUTES: [&str; 5] = ["tree", "blob", "resolve", "raw", "blame"];

impl Reference {
    /// Parses what was typed. A bare word that is neither alias nor path is an error that names the nearest aliases.
    pub fn parse(text: &str) -> Result<Reference> {
        if text == "none" {
            return Ok(Reference::None);
        }
        if let Some(body) = text.strip_prefix("hf://") {
            return hub_uri(text, body);
        }
        if let Some(body) = web_page(text) {
            return hub_page(text, body);
        }
        let path = expand_home(text);
        if !text.is_empty() && path.symlink_metadata().is_ok() {
            return Ok(Reference::Path(path));
        }
        if looks_like_path(text) {
            return Err(SourceError::MissingPath { path }.into());
        }
        let (name, revision) = split_revision(text)?;
        if name.contains('/') { repository(text, name, revision, None) } else { alias(text, name, revision) }
    }
}

/// The short names and the repositories that they stand for, sorted by the short name.
pub fn aliases() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("aliases.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(alias, repository)| (alias, repository.trim()))
}

/// `org/name` or its alias that is most like `repository`, or `None` where none is near enough to be a slip.
pub(crate) fn nearest_repository(repository: &str) -> Option<&'static str> {
    let near = nearest(repository, aliases().map(|(_, repository)| repository));
    near.filter(|near| *near != repository && !are_different(repository, near))
}

fn alias(text: &str, name: &str, revision: Option<&str>) -> Result<Reference> {
    match aliases().find(|(alias, _)| *alias == name) {
        Some((_, repository_id)) => repository(text, repository_id, revision, None),
        None => Err(SourceError::UnknownName { name: text.to_string(), near: nearest_aliases(name) }.into()),
    }
}

fn nearest_aliases(name: &str) -> Vec<&'static str> {
    let mut near: Vec<&'static str> = Vec::new();
    while near.len() < 3 {
        let rest = aliases().map(|(alias, _)| alias);
        let rest = rest.filter(|alias| !near.contains(alias) && !are_different(name, alias));
        match nearest(&name.to_ascii_lowercase(), rest) {
            Some(alias) => near.push(alias),
            None => break,
        }
    }
    near
}

fn split_revision(text: &str) -> Result<(&str, Option<&str>)> {
    match text.split_once('@') {
        Some((name, revision)) => Ok((name, Some(revision))),
        None => Ok((text, None)),
    }
}

/// `[models/]org/name[@rev][/path]`, as huggingface_hub's `_hf_uris.py` reads it.
fn hub_uri(text: &str, body: &str) -> Result<Reference> {
    let body = body.strip_prefix("models/").unwrap_or(body);
    for kind in ["datasets/", "spaces/", "kernels/", "buckets/"] {
        if body.starts_with(kind) {
            return Err(malformed(text, "a repository of models"));
        }
    }
    let body = body.trim_end_matches('/');
    match body.split_once('@') {
        // an `@` further on belongs to a file's name
        Some((name, rest)) if name.matches('/').count() <= 1 => {
            let (revision, file) = revision_and_file(rest);
            repository(text, name, Some(revision), file)
        }
        _ => {
            let (name, file) = name_and_file(body);
            repository(text, name, None, file)
        }
    }
}

fn web_page(text: &str) -> Option<&str> {
    ["https://huggingface.co/", "https://hf.co/", "https://www.huggingface.co/"]
        .iter()
        .find_map(|site| text.strip_prefix(site))
}

/// `org/name[/tree/rev[/path]]`, as copied from a browser.
fn hub_page(text: &str, body: &str) -> Result<Reference> {
    let body = body.split(['?', '#']).next().unwrap_or(body).trim_end_matches('/');
    let (name, rest) = name_and_file(body);
    let Some(rest) = rest else { return repository(text, name, None, None) };
    match rest.split_once('/') {
        Some((route, rest)) if WEB_ROUTES.contains(&route) => {
            let (revision, file) = revision_and_file(rest);
            repository(text, name, Some(revision), file)
        }
        _ => Err(malformed(text, "the page of a repository or of one of its files")),
    }
}

/// Splits after `org/name`.
fn name_and_file(body: &str) -> (&str, Option<&str>) {
    match body.match_indices('/').nth(1) {
        Some((at, _)) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    }
}

/// Splits `rev[/path]`; of the revisions with a slash, only `refs/pr/7` and `refs/convert/…` are told from a path.
fn revision_and_file(rest: &str) -> (&str, Option<&str>) {
    let slashes = if rest.starts_with("refs/pr/") || rest.starts_with("refs/convert/") { 2 } else { 0 };
    match rest.match_indices('/').nth(slashes) {
        Some((at, _)) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    }
}

fn repository(text: &str, name: &str, revision: Option<&str>, file: Option<&str>) -> Result<Reference> {
    if !is_repository(name) {
        return Err(malformed(text, "org/name, of letters, digits, `-`, `_` and `.`"));
    }
    let revision = revision.map(|revision| revision.replace("%2F", "/").replace("%2f", "/"));
    if revision.as_deref().is_some_and(|revision| !is_revision(revision)) {
        return Err(malformed(text, "a branch, a tag or a commit after `@`"));
    }
    if file.is_some_and(|file| !super::name::stays_inside(file)) {
        return Err(malformed(text, "a file inside the repository"));
    }
    Ok(Reference::Hub { repository: name.to_string(), revision, file: file.map(str::to_string) })
}

/// The rules of huggingface_hub's `validate_repo_id`, with the organisation required.
fn is_repository(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let edge = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let part = |part: &&str| {
        part.len() <= 96
            && part.starts_with(edge)
            && part.ends_with(edge)
            && part.chars().all(|c| edge(c) || c == '-' || c == '.')
    };
    parts.len() == 2
        && parts.iter().all(part)
        && !text.contains("--")
        && !text.contains("..")
        && !text.ends_with(".git")
}

/// What git allows in a reference's name and a file system in a path.
pub(crate) fn is_revision(text: &str) -> bool {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\@%#".contains(c);
    super::name::stays_inside(text) && text.len() <= 255 && !text.contains(forbidden) && !text.contains("..")
}

fn looks_like_path(text: &str) -> bool {
    let starts = ["/", "./", "../", "~"].iter().any(|start| text.starts_with(start));
    let words = matches!(text, "" | "." | "..") || text.ends_with('/') || text.contains('\\');
    let lower = text.to_ascii_lowercase();
    let ends = FILE_ENDINGS.iter().any(|ending| lower.ends_with(ending));
    let before_revision = text.split('@').next().unwrap_or(text);
    starts || words || ends || before_revision.matches('/').count() > 1
}

/// `~` and `~/x` as a shell would write them; everything else as it is.
pub(crate) fn expand_home(text: &str) -> PathBuf {
    let rest = if text == "~" { Some("") } else { text.strip_prefix("~/") };
    match (rest, std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => Path::new(text).to_path_buf(),
    }
}

fn malformed(text: &str, expected: &'static str) -> crate::error::Error {
    SourceError::Malformed { text: text.to_string(), expected }.into()
}
