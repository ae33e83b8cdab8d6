//! Modules look only downwards, and files do not use each other in circles.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::command::Folder;
use crate::support::modules::{Modules, Use, cycles};

/// From the bottom up. Modules of one rank do not know each other.
const RANKS: &[&[&str]] = &[
    &[
        "digest", "handles", "hash", "instructions", "model_types", "name", "ranges", "shape", "text", "threads",
        "unfinished",
    ],
    &["error"],
    &["tensor"],
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

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&module))
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn library() -> BTreeSet<Use> {
    let uses = Modules::read(&source(), "lib.rs").uses();
    assert!(uses.len() > 1000, "only {} uses were found: is the reading broken?", uses.len());
    uses
}

/// The module of the library that a file belongs to.
fn module(file: &Path) -> &str {
    file.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs")
}

#[test]
fn every_module_of_the_library_has_a_rank() {
    let library = fs::read_to_string(source().join("lib.rs")).unwrap();
    let declared = library.lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
    let modules: Vec<&str> = declared.collect();
    assert!(modules.len() >= 13, "{modules:?}");
    for module in modules {
        assert!(rank(module).is_some(), "{module} has no place among the layers");
    }
}

#[test]
fn modules_look_only_downwards() {
    let upwards: Vec<String> = library()
        .iter()
        .filter(|one| {
            let (from, to) = (module(&one.from), module(&one.to));
            let (Some(here), Some(there)) = (rank(from), rank(to)) else { return false };
            from != to && there >= here
        })
        .map(|one| format!("{} uses {}", one.from.display(), one.to.display()))
        .collect();
    assert!(upwards.is_empty(), "{}", upwards.join("\n"));
}

#[test]
fn no_file_uses_itself_through_others() {
    let binary = Modules::read(&source(), "main.rs").uses();
    assert!(binary.len() > 40, "only {} uses were found: is the reading broken?", binary.len());
    let uses: BTreeSet<Use> = library().into_iter().chain(binary).collect();
    let lines: Vec<String> = cycles(&uses)
        .iter()
        .map(|group| {
            let lines = group.iter().map(|one| format!("  {} uses {}", one.from.display(), one.to.display()));
            format!("a cycle:\n{}", lines.collect::<Vec<_>>().join("\n"))
        })
        .collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[test]
fn uses_are_read_through_braces_parents_and_names_that_are_handed_on() {
    let folder = Folder::new();
    folder.write("lib.rs", "mod a;\nmod b;\npub mod c;");
    folder.write("a/mod.rs", "mod inner;\npub(crate) use inner::Inner;\nuse crate::{b::{self, B}, c::C as D};");
    folder.write("a/inner.rs", "use super::super::c;\npub struct Inner<'a>(&'a c::C);");
    folder.write("b.rs", "use crate::a::Inner;\npub struct B(Inner);\nimpl B { pub(in crate::c) fn f(&self) {} }");
    let leaf = "pub struct C; mod d { use super::C; } // crate::b::B\n#[cfg(test)]\nmod tests { use crate::b::B; }\npub fn f() { \"crate::b::B\" }";
    folder.write("c.rs", leaf);
    let uses = || Modules::read(&folder.path("."), "lib.rs").uses();
    let text = |uses: &[&Use]| {
        let lines = uses.iter().map(|one| format!("{} {}", one.from.display(), one.to.display()));
        lines.collect::<Vec<_>>()
    };
    let found = uses();
    assert_eq!(
        text(&found.iter().collect::<Vec<_>>()),
        ["a/inner.rs c.rs", "a/mod.rs b.rs", "a/mod.rs c.rs", "b.rs a/inner.rs"]
    );
    assert!(cycles(&found).is_empty());
    folder.write("c.rs", "pub struct C;\npub fn f() { super::b::g() }");
    let found = uses();
    let cycles: Vec<_> = cycles(&found).iter().map(|group| text(group)).collect();
    assert_eq!(cycles, [["a/inner.rs c.rs", "b.rs a/inner.rs", "c.rs b.rs"]]);
}
