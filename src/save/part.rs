//! Directories that hold a part of an output: a workflow removed the files that it lists and runs the command again.

use std::fs::{File, symlink_metadata};
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::WeightFile;
use super::place::{OutputDirectory, entries};
use crate::error::{Error, Result};
use crate::save::error::SaveError;

/// Folders within folders that an output has at most.
const DEEPEST: usize = 8;
/// How much is compared at once.
const PIECE: usize = 1 << 20;

/// The files below a directory, with `/`; `None` where something else stands there, or they are nested too deep.
pub(crate) fn files_in(directory: &Path) -> Result<Option<Vec<String>>> {
    let mut names = Vec::new();
    let mut folders = vec![(directory.to_path_buf(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        for name in entries(&folder)? {
            let path = folder.join(&name);
            let metadata = symlink_metadata(&path).map_err(|error| Error::io("look at", &path, error))?;
            let Ok(name) = name.into_string() else { return Ok(None) };
            if depth == 0 && name == "lost+found" {
                // some file systems keep it in their root
                continue;
            }
            if metadata.is_dir() && depth < DEEPEST {
                folders.push((path, format!("{prefix}{name}/"), depth + 1));
            } else if metadata.is_file() {
                names.push(format!("{prefix}{name}"));
            } else {
                return Ok(None);
            }
        }
    }
    Ok(Some(names))
}

/// Whether a file has the length of a weight file and everything in it that is known before its tensors: names, shapes, types, offsets.
pub(crate) fn is_laid_out(weights: &WeightFile, path: &Path) -> bool {
    let is_long = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == weights.bytes);
    let Some(file) = is_long.then(|| File::open(path).ok()).flatten() else { return false };
    let mut places: Vec<u64> = weights.sums.iter().flat_map(|sum| sum.places).collect();
    places.sort_unstable();
    let known =
        std::iter::once((0, &weights.header)).chain(weights.rest.iter().map(|(offset, bytes)| (*offset, bytes)));
    let is_same = |(offset, bytes): (u64, &Vec<u8>)| {
        let mut found = vec![0; bytes.len()];
        file.read_exact_at(&mut found, offset).is_ok() && {
            // the checksums of tensors are not known beforehand
            let mut from = 0;
            let unknown = unknown(&places, offset..offset + bytes.len() as u64);
            unknown.chain(std::iter::once(bytes.len()..bytes.len())).all(|sum| {
                let is_same = found.get(from..sum.start) == bytes.get(from..sum.start);
                from = sum.end.max(from);
                is_same
            })
        }
    };
    known.into_iter().all(is_same)
}

/// The bytes of checksums within a part of a file, counted from its start.
fn unknown(places: &[u64], part: Range<u64>) -> impl Iterator<Item = Range<usize>> {
    let first = places.partition_point(|place| *place < part.start);
    let places = places.get(first..).unwrap_or_default().iter().take_while(move |place| **place < part.end);
    places.map(move |place| {
        let start = (place - part.start) as usize;
        start..start + size_of::<u32>()
    })
}

/// Refuses to replace a directory in which a file is not, byte for byte, that of the staging folder.
pub(super) fn check(place: &OutputDirectory, folder: &Path) -> Result<()> {
    let names = if place.is_mounted() { content(place)? } else { files_in(&place.out)? };
    let refuse = |name: &str| {
        let (out, name) = (place.typed.clone(), name.to_string());
        Err(SaveError::Altered { out, name }.into())
    };
    let Some(names) = names else { return refuse("a file that no output has") };
    for name in names {
        if !are_equal(&place.out.join(&name), &folder.join(&name))? {
            return refuse(&name);
        }
    }
    Ok(())
}

/// As above, for a directory that holds its staging folder.
fn content(place: &OutputDirectory) -> Result<Option<Vec<String>>> {
    let mut names = Vec::new();
    for name in place.content()? {
        let Ok(name) = name.into_string() else { return Ok(None) };
        let path = place.out.join(&name);
        match path.is_dir() {
            true => match files_in(&path)? {
                Some(below) => names.extend(below.into_iter().map(|below| format!("{name}/{below}"))),
                None => return Ok(None),
            },
            false => names.push(name),
        }
    }
    Ok(Some(names))
}

fn are_equal(a: &Path, b: &Path) -> Result<bool> {
    let open = |path: &Path| match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    };
    let (Some(mut left), Some(mut right)) = (open(a)?, open(b)?) else { return Ok(false) };
    let (mut one, mut other) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let count = fill(&mut left, &mut one, a)?;
        if count != fill(&mut right, &mut other, b)? || one.get(..count) != other.get(..count) {
            return Ok(false);
        }
        if count < PIECE {
            return Ok(true);
        }
    }
}

/// Reads until the piece is full or the file ends.
fn fill(file: &mut File, piece: &mut [u8], path: &Path) -> Result<usize> {
    let mut count = 0;
    while let Some(rest) = piece.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path, error)),
        }
    }
    Ok(count)
}
