//! The files of a crate as modules, and which of them use which: read from `use` declarations and paths, tests apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the crate.
struct Module {
    file: PathBuf,
    /// Names, `::` and punctuation, without comments, texts, tests and `use` declarations.
    tokens: Vec<String>,
    imports: Vec<Import>,
}

/// What a `use` declaration makes known.
struct Import {
    name: String,
    path: Vec<String>,
    is_public: bool,
}

/// The modules of one crate root by their paths; the root has an empty path.
pub struct Modules(BTreeMap<Vec<String>, Module>);

/// One file uses another; the files are relative to the source folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub from: PathBuf,
    pub to: PathBuf,
}

impl Modules {
    /// Reads a crate from the file of its root.
    pub fn read(source: &Path, root: &str) -> Modules {
        let mut modules = BTreeMap::new();
        let mut open = vec![(Vec::new(), PathBuf::from(root))];
        while let Some((path, file)) = open.pop() {
            let tokens = within_inline(without_tests(tokens(&fs::read_to_string(source.join(&file)).unwrap())));
            let folder = match file.file_stem().unwrap().to_str().unwrap() {
                "mod" | "lib" | "main" => file.parent().unwrap().to_path_buf(),
                _ => file.with_extension(""),
            };
            for pair in tokens.windows(3).filter(|window| window[0] == "mod" && window[2] == ";") {
                let child = &pair[1];
                let candidates = [folder.join(format!("{child}.rs")), folder.join(child).join("mod.rs")];
                let found = candidates.into_iter().find(|candidate| source.join(candidate).exists());
                open.push((
                    [&path[..], std::slice::from_ref(child)].concat(),
                    found.unwrap_or_else(|| panic!("no file of {child}")),
                ));
            }
            let (imports, tokens) = imports(&tokens);
            modules.insert(path, Module { file, tokens, imports });
        }
        Modules(modules)
    }

    /// Every use of one file by another.
    pub fn uses(&self) -> BTreeSet<Use> {
        let mut found = BTreeSet::new();
        for (path, module) in &self.0 {
            let paths: BTreeSet<Vec<String>> = self.paths_in(path, module).collect();
            let used = paths.iter().filter_map(|used| self.definition(path, used)).filter(|to| *to != &module.file);
            found.extend(used.map(|to| Use { from: module.file.clone(), to: to.clone() }));
        }
        found
    }

    /// The paths that the code of a module uses itself.
    fn paths_in<'a>(&'a self, at: &'a [String], module: &'a Module) -> impl Iterator<Item = Vec<String>> + 'a {
        let imported = module.imports.iter().filter(|import| {
            // an import that is a module is used where its name begins a path
            let is_module = self.module(at, &import.path).is_some();
            !is_module && (!import.is_public || module.tokens.contains(&import.name))
        });
        imported.map(|import| import.path.clone()).chain(paths(&module.tokens))
    }

    /// The module that a path names as a whole.
    fn module(&self, at: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut here = at.to_vec();
        for (place, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "crate" if place == 0 => here.clear(),
                "self" => {}
                "super" => drop(here.pop()?),
                name => here.push(name.into()),
            }
            self.0.get(&here)?;
        }
        Some(here)
    }

    /// The file in which the item lies that a path leads to; `None` outside the crate.
    fn definition(&self, at: &[String], path: &[String]) -> Option<&PathBuf> {
        let length = (1..=path.len()).rev().find(|length| self.module(at, &path[..*length]).is_some()).unwrap_or(0);
        let here = if length == 0 { at.to_vec() } else { self.module(at, &path[..length])? };
        let Some(name) = path.get(length) else { return Some(&self.0[&here].file) };
        match self.0[&here].imports.iter().find(|import| import.name == *name) {
            // another crate, whose name begins its own path
            Some(import) if import.path[0] == *name => None,
            Some(import) => self.definition(&here, &[&import.path[..], &path[length + 1..]].concat()),
            // a first name that is neither a module here nor imported is another crate or the prelude
            None => (length > 0).then(|| &self.0[&here].file),
        }
    }
}

/// The groups of files that use each other, directly or through others, each with its uses.
pub fn cycles(uses: &BTreeSet<Use>) -> Vec<Vec<&Use>> {
    let mut next: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
    uses.iter().for_each(|one| next.entry(&one.from).or_default().push(&one.to));
    let reached = |from: &Path| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from.to_path_buf()]);
        while let Some(file) = open.pop() {
            for to in next.get(file.as_path()).into_iter().flatten() {
                if reached.insert(to.to_path_buf()) {
                    open.push(to.to_path_buf());
                }
            }
        }
        reached
    };
    let reachable: BTreeMap<&Path, BTreeSet<PathBuf>> = next.keys().map(|file| (*file, reached(file))).collect();
    let mutual = |a: &Path, b: &Path| {
        let reaches = |a: &Path, b: &Path| reachable.get(a).is_some_and(|reached| reached.contains(b));
        reaches(a, b) && reaches(b, a)
    };
    let mut groups: Vec<Vec<&Use>> = Vec::new();
    for one in uses.iter().filter(|one| mutual(&one.from, &one.to)) {
        match groups.iter_mut().find(|group| mutual(&group[0].from, &one.from)) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The tokens of a file, without comments, texts and characters.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = text_length(rest) {
            length
        } else if is_name(first) {
            let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            found.push(rest[..length].to_string());
            length
        } else if rest.starts_with("::") {
            found.push("::".into());
            2
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// The length of the text or character at the beginning, where there is one.
fn text_length(rest: &str) -> Option<usize> {
    let plain = rest.strip_prefix('b').unwrap_or(rest);
    let prefix = rest.len() - plain.len();
    if let Some(raw) = plain.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let length = raw[hashes + 1..].find(&end).unwrap() + end.len();
            return Some(prefix + 1 + hashes + 1 + length);
        }
    }
    let quote = plain.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let inner = &plain[1..];
    // a lifetime has no second quote after one character
    if quote == '\'' && !inner.starts_with('\\') && inner.chars().nth(1) != Some('\'') {
        return None;
    }
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(prefix + 1 + at + 1),
            _ => {}
        }
    }
    panic!("a text does not end: {}", &rest[..rest.len().min(40)])
}

/// The tokens without the items under `#[cfg(test)]`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].iter().take(mark.len()).eq(mark.iter()) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        for token in &tokens[at + mark.len()..] {
            at += 1;
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && [";", "}"].contains(&token.as_str()) {
                break;
            }
        }
        at += mark.len();
    }
    kept
}

/// The tokens with `super` as `self` in a module that lies in braces: what is above it is the file.
fn within_inline(mut tokens: Vec<String>) -> Vec<String> {
    // of each brace that is open, whether it is a module's
    let mut braces = Vec::new();
    for at in 0..tokens.len() {
        match tokens[at].as_str() {
            "{" => braces.push(at > 1 && tokens[at - 2] == "mod"),
            "}" => drop(braces.pop()),
            "super" if tokens[at - 1] != "::" && braces.contains(&true) => tokens[at] = "self".into(),
            _ => {}
        }
    }
    tokens
}

/// What the `use` declarations make known, and the tokens without them and without `mod` declarations.
fn imports(tokens: &[String]) -> (Vec<Import>, Vec<String>) {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut rest = tokens.iter();
    while let Some(token) = rest.next() {
        let after = rest.as_slice();
        if token == "mod" && after.get(1).is_some_and(|end| end == ";") {
            // a declaration uses nothing
            rest.nth(1);
        } else if token == "use" && after[0] != "<" {
            // `use<'a>` is a part of a type
            let is_public = others.last().is_some_and(|before| ["pub", ")"].contains(&String::as_str(before)));
            others.push(tree(&mut rest, &[], is_public, &mut found).to_string());
        } else {
            others.push(token.clone());
        }
    }
    // in a module that lies in braces these are the names of the file around it
    found.retain(|import| import.path != ["self", import.name.as_str()]);
    (found, others)
}

/// Reads a tree of `use` up to its `;`, `}` or `,`, which it returns.
fn tree<'a>(
    rest: &mut impl Iterator<Item = &'a String>,
    before: &[String],
    is_public: bool,
    into: &mut Vec<Import>,
) -> &'a str {
    let mut path = before.to_vec();
    let mut alias = None;
    let end = loop {
        match rest.next().unwrap().as_str() {
            "::" => {}
            "as" => alias = rest.next().cloned(),
            "{" => {
                while tree(&mut *rest, &path, is_public, into) != "}" {}
                path.truncate(before.len());
            }
            end @ (";" | "}" | ",") => break end,
            name => path.push(name.into()),
        }
    };
    if path.len() > before.len() {
        if path.last().unwrap() == "self" {
            path.pop();
        }
        let name = alias.unwrap_or_else(|| path.last().unwrap().clone());
        into.push(Import { name, path, is_public });
    }
    end
}

/// The paths in code: names with `::` between them.
fn paths(tokens: &[String]) -> impl Iterator<Item = Vec<String>> {
    let is_path = |at: usize| tokens.get(at).is_some_and(|token| token.chars().all(is_name));
    let begins = move |at: &usize| {
        let before = &tokens[at.saturating_sub(2)..*at];
        // `pub(in super::super)` uses nothing
        is_path(*at)
            && tokens.get(at + 1).is_some_and(|after| after == "::")
            && before.last().is_none_or(|before| before != "::")
            && before != ["(", "in"]
    };
    (0..tokens.len()).filter(begins).map(move |start| {
        let mut end = start + 1;
        while tokens.get(end).is_some_and(|token| token == "::") && is_path(end + 1) {
            end += 2;
        }
        tokens[start..end].iter().step_by(2).cloned().collect()
    })
}
