//! Modules look only downwards.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. Modules of one rank do not know each other.
const RANKS: &[&[&str]] = &[
    &["handles", "hash", "instructions", "model_types", "name", "order", "shape", "text", "threads", "unfinished"],
    &["tensor", "error"],
    &["progress"],
    &["source"],
    &["checkpoint"],
    &["adapt", "init"],
    &["graph"],
    &["family"],
    &["arch"],
    &["plan"],
    &["save"],
    &["transfer"],
    &["batch"],
    &["lsuv", "loss"],
    &["model"],
    &["check", "compare"],
    &["report"],
    &["job"],
];

/// `error` words the facts of every layer, so it may name the vocabulary above it; `tensor` reports through `error`.
const MUTUAL: &[(&str, &str)] = &[("tensor", "error"), ("error", "tensor")];

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&module))
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The layer that a file belongs to: `error/graph.rs` words the facts of `graph`, in its words.
fn owner(relative: &Path, first: &str) -> String {
    let stem = relative.file_stem().unwrap().to_str().unwrap();
    match (first, stem) {
        ("error", "fit") => "plan".into(),
        ("error", layer) if rank(layer).is_some() => layer.into(),
        _ => first.into(),
    }
}

/// Every `crate::module` outside tests, with the module whose file it stands in.
fn uses() -> Vec<(PathBuf, String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    let mut found = Vec::new();
    for path in all {
        let relative = path.strip_prefix(&source).unwrap().to_path_buf();
        let first =
            relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_string();
        let is_test =
            relative.components().any(|c| c.as_os_str().to_str().unwrap().trim_end_matches(".rs").ends_with("tests"));
        if ["lib", "main", "cli"].contains(&first.as_str()) || is_test {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let owner = owner(&relative, &first);
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (_, rest) in line.match_indices("crate::").map(|(at, m)| line.split_at(at + m.len())) {
                let module: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if !module.is_empty() {
                    found.push((relative.clone(), owner.clone(), module));
                }
            }
        }
    }
    found
}

#[test]
fn every_module_of_the_library_has_a_rank() {
    let library = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules: Vec<&str> =
        library.lines().filter_map(|l| l.strip_prefix("pub mod ")).map(|l| l.trim_end_matches(';')).collect();
    assert!(modules.len() >= 13, "{modules:?}");
    for module in modules {
        assert!(rank(module).is_some(), "{module} has no place among the layers");
    }
}

#[test]
fn modules_look_only_downwards() {
    let uses = uses();
    assert!(uses.len() > 50, "only {} uses were found: is the reading broken?", uses.len());
    let upwards: Vec<String> = uses
        .iter()
        .filter(|(_, from, to)| {
            let (Some(here), Some(there)) = (rank(from), rank(to)) else { return false };
            from != to && there >= here && !MUTUAL.contains(&(from, to))
        })
        .map(|(file, from, to)| format!("{}: {from} uses {to}", file.display()))
        .collect();
    assert!(upwards.is_empty(), "{}", upwards.join("\n"));
}
