mod depth;
mod describe;
mod flags;
mod hugging_face;
mod listing;
mod missing;
mod native;
mod open;
mod pattern;
mod schema;
mod snippet;

use super::{Architecture, Flags};
use crate::arch::error::ArchError;
use crate::error::{Exit, Result};
use crate::graph::Parameter;
use crate::progress::Silent;
use crate::source::Access;

/// Opens a file of this name and content, with these flags.
pub fn open_with(name: &str, content: impl AsRef<[u8]>, flags: &Flags) -> Result<Architecture> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    open_path(path.to_str().unwrap(), flags)
}

/// Opens what stands at a path.
pub fn open_path(path: &str, flags: &Flags) -> Result<Architecture> {
    let cache = Some(std::env::temp_dir().join("no-cache"));
    super::open(path, flags, &Access::from_environment(cache, true, None).unwrap(), &Silent)
}

/// Opens a file of this content.
pub fn open(content: &str) -> Result<Architecture> {
    open_with("arch.json", content, &Flags::default())
}

/// The line, the column and the words of what is wrong with this content. The place stands at `^` in it.
#[track_caller]
pub fn assert_wrong(content: &str, words: &str) {
    let (before, after) = content.split_once('^').expect("a place");
    let error = open(&format!("{before}{after}")).err().unwrap_or_else(|| panic!("accepted: {content}"));
    assert_eq!(error.exit(), Exit::Input, "{error}");
    let lines: Vec<&str> = before.split('\n').collect();
    let place = (lines.len(), lines.last().unwrap().chars().count() + 1);
    match error.downcast_ref() {
        Some(ArchError::Place { file, line, column, problem }) => {
            assert_eq!((file.as_str(), (*line, *column)), ("arch.json", place), "{error}");
            assert!(problem.to_string().contains(words), "{problem}");
        }
        _ => panic!("no place: {error}"),
    }
}

/// The parameter of this name.
#[track_caller]
pub fn parameter<'a>(architecture: &'a Architecture, name: &str) -> &'a Parameter {
    architecture.parameters.iter().find(|parameter| parameter.name == name).unwrap_or_else(|| panic!("no {name}"))
}
