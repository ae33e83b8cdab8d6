//! Which dictionary of a checkpoint holds the weights, and the tensors in it by name.

use super::pickle::Id;
use super::tree::{Kind, Tree};
use crate::checkpoint::torch::error::{StoredProblem, TorchError};
use crate::error::{Result, nearest, shell_word};

/// Keys under which training loops keep the weights.
const CONTAINERS: &[&str] = &[
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "net_state_dict",
    "network_state_dict", "model_weights", "weights", "params",
];
/// Parts of keys that mean weights averaged over the training.
const AVERAGES: &[&str] = &["ema", "swa", "averaged", "shadow", "polyak"];
/// The key that means everything.
const ALL: &str = ".";
/// How deep dictionaries nest before weights begin.
const DEPTH: usize = 16;
/// How deep names nest, and how many of them there are, at most.
const NAME_DEPTH: usize = 256;
const TENSORS: usize = 1 << 20;
const NAME_BYTES: usize = 256 << 20;
/// Entries that are looked at on the way; a shared dictionary counts each time, which real checkpoints share a few times.
const ENTRIES: usize = 64 << 10;
const ENTRIES_OF_VALUE: usize = 8;

/// The dictionary that holds the weights.
#[derive(Debug)]
pub(super) struct Selection {
    id: Id,
    /// Its keys from the outside in, joined by dots; `None` for the outermost.
    pub(super) key: Option<String>,
    /// What was passed over, for the user.
    pub(super) notes: Vec<String>,
}

/// A tensor's name and value.
pub(super) type Named = (String, Id);

/// Finds the weights, or those that `key` names.
pub(super) fn select(tree: &Tree, file: &str, key: Option<&str>) -> Result<Selection> {
    let root = tree.inner(tree.values.root);
    let mut selection = Selection { id: root, key: None, notes: Vec::new() };
    match key {
        Some(ALL) => {
            selection.key = Some(ALL.into());
            require_names(tree, file, root)?;
            return Ok(selection);
        }
        Some(key) => {
            let found = resolve(tree, root, key);
            let keys = || tensors_below(tree, root).into_iter().map(|(key, _)| key).collect();
            let near = || nearest(key, paths(tree, root).iter().map(String::as_str)).map(str::to_string);
            selection.id = found.ok_or_else(|| TorchError::NoKey {
                file: file.into(),
                key: key.into(),
                keys: keys(),
                near: near(),
            })?;
            selection.key = Some(key.into());
        }
        None => {}
    }
    for _ in 0..DEPTH {
        match step(tree, file, selection.id, selection.key.as_deref())? {
            Step::Here => return Ok(selection),
            Step::Below { key, id, beside } => {
                let path = selection.key.map_or_else(|| key.clone(), |outer| format!("{outer}.{key}"));
                selection.notes.push(taken(file, &path, &beside));
                selection.key = Some(path);
                selection.id = id;
            }
        }
    }
    Err(TorchError::TooMany { file: file.into(), what: "dictionaries within dictionaries", limit: DEPTH as u64 }.into())
}

fn taken(file: &str, path: &str, beside: &[String]) -> String {
    let others = match beside {
        [] => String::new(),
        keys => format!("; tensors are also in {} (--key)", keys.join(", ")),
    };
    format!("{file}: the weights are those of `{path}`{others}")
}

/// A key below the dictionary that an outer key names.
fn below_key(outer: Option<&str>, key: &str) -> String {
    outer.map_or_else(|| key.to_string(), |outer| format!("{outer}.{key}"))
}

/// So many paths of dictionaries are named in a message.
const PATHS: usize = 64;

/// The paths of the dictionaries that hold tensors, the outer ones first.
fn paths(tree: &Tree, root: Id) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    let mut open = vec![(None, root)];
    while let Some((outer, id)) = open.pop() {
        for (key, id) in tensors_below(tree, id) {
            if paths.len() >= PATHS {
                return paths;
            }
            let path = below_key(outer.as_deref(), &key);
            let id = tree.inner(id);
            // a dictionary of tensors alone is what a key is meant to name
            if outer.is_none() && tree.kind(id) == Kind::Dictionary {
                open.push((Some(path.clone()), id));
            }
            paths.push(path);
        }
    }
    paths
}

/// The value that a path of keys leads to. Keys may hold dots themselves: the longest that fits counts.
fn resolve(tree: &Tree, root: Id, path: &str) -> Option<Id> {
    let (mut at, mut rest) = (root, path);
    for _ in 0..DEPTH {
        let entries = tensors_below(tree, at);
        let fits =
            |key: &&(String, Id)| rest.strip_prefix(key.0.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        let (key, id) = entries.iter().filter(fits).max_by_key(|(key, _)| key.len())?;
        let id = tree.inner(*id);
        match rest.get(key.len()..)?.strip_prefix('.') {
            Some(inner) => (at, rest) = (id, inner),
            None => return Some(id),
        }
    }
    None
}

/// The entries of a dictionary that are dictionaries with tensors below them.
fn tensors_below(tree: &Tree, id: Id) -> Vec<Named> {
    let is_group = |id: Id| matches!(tree.kind(id), Kind::Dictionary | Kind::Module);
    tree.entries(id).into_iter().filter(|(_, id)| is_group(*id)).collect()
}

enum Step {
    Here,
    Below { key: String, id: Id, beside: Vec<String> },
}

/// Whether the weights are here or in an entry, which must then be the only one that can be meant.
fn step(tree: &Tree, file: &str, id: Id, outer: Option<&str>) -> Result<Step> {
    require_names(tree, file, id)?;
    if tree.kind(id) == Kind::Module {
        return Ok(Step::Here);
    }
    if tree.is_optimizer(id) {
        return Err(TorchError::Optimizer { file: file.into(), key: "param_groups".into() }.into());
    }
    let groups = tensors_below(tree, id);
    let (optimizers, groups): (Vec<Named>, Vec<Named>) = groups.into_iter().partition(|(_, id)| tree.is_optimizer(*id));
    let (averages, groups): (Vec<Named>, Vec<Named>) = groups.into_iter().partition(|(key, _)| is_average(key));
    let known: Vec<&Named> = groups.iter().filter(|(key, _)| CONTAINERS.contains(&key.as_str())).collect();
    let path = |(key, _): &Named| below_key(outer, key);
    let keys = |groups: &[Named]| groups.iter().map(path).collect::<Vec<_>>();
    let below = |(key, id): &Named| {
        let beside = groups.iter().chain(&averages).filter(|(other, _)| other != key).map(path);
        Step::Below { key: key.clone(), id: tree.inner(*id), beside: beside.collect() }
    };
    let is_direct = || tree.entries(id).iter().any(|(_, id)| matches!(tree.kind(*id), Kind::Tensor | Kind::Unknown));
    match (known.as_slice(), groups.as_slice()) {
        ([one], _) => Ok(below(one)),
        ([_, _, ..], _) => {
            let keys = known.iter().map(|named| path(named)).collect();
            Err(TorchError::SeveralDictionaries { file: file.into(), keys }.into())
        }
        ([], _) if is_direct() => Ok(Step::Here),
        ([], [one]) => Ok(below(one)),
        ([], []) if !averages.is_empty() => {
            Err(TorchError::OnlyAverages { file: file.into(), keys: keys(&averages) }.into())
        }
        ([], []) => match optimizers.first() {
            Some((key, _)) => Err(TorchError::Optimizer { file: file.into(), key: key.clone() }.into()),
            None => Err(TorchError::NoTensors { file: file.into(), found: tree.describe(id) }.into()),
        },
        ([], several) => Err(TorchError::SeveralDictionaries { file: file.into(), keys: keys(several) }.into()),
    }
}

/// Tensors have names only in dictionaries and modules.
fn require_names(tree: &Tree, file: &str, id: Id) -> Result<()> {
    let found = match tree.kind(id) {
        Kind::Dictionary | Kind::Module => return Ok(()),
        Kind::Tensor => "a single tensor, which has no name".to_string(),
        Kind::Sequence => format!("{} of tensors, which have no names", tree.describe(id)),
        Kind::Unknown | Kind::Nothing => tree.describe(id),
    };
    Err(TorchError::NoTensors { file: file.into(), found }.into())
}

fn is_average(key: &str) -> bool {
    key.to_ascii_lowercase().split(['_', '.', '-']).any(|part| AVERAGES.contains(&part))
}

/// All tensors of the selection with their names, in the order of the file. Optimizers and averages beside them are noted.
pub(super) fn tensors(tree: &Tree, file: &str, selection: &mut Selection) -> Result<Vec<Named>> {
    let mut walk = Walk { tree, file, found: Vec::new(), bytes: 0, entries: 0 };
    let mut top = tree.entries(selection.id);
    if selection.key.as_deref() != Some(ALL) {
        let passes = |(key, id): &Named| is_average(key) || tree.is_optimizer(*id);
        let group = |id: Id| tree.kind(id) == Kind::Dictionary;
        let (passed, rest): (Vec<Named>, Vec<Named>) = top.into_iter().partition(|e| group(e.1) && passes(e));
        let note = |(key, _): &Named| {
            let key = below_key(selection.key.as_deref(), key);
            format!("{file}: `{key}` is passed over (--key {})", shell_word(&key))
        };
        let notes: Vec<String> = passed.iter().map(note).collect();
        selection.notes.extend(notes);
        top = rest;
    }
    if tree.kind(selection.id) == Kind::Dictionary {
        selection.notes.extend(stepped_over(tree, file, &top));
    }
    let mut open = vec![(String::new(), top.into_iter())];
    while let Some((prefix, entries)) = open.last_mut() {
        let Some((key, id)) = entries.next() else {
            open.pop();
            continue;
        };
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        let below = walk.visit(name, tree.inner(id))?;
        open.extend(below.map(|(name, entries)| (name, entries.into_iter())));
        if open.len() > NAME_DEPTH {
            return Err(walk.too_many("modules within modules", NAME_DEPTH));
        }
    }
    Ok(walk.found)
}

/// What stands among tensors and is none: only its names are of interest.
fn stepped_over(tree: &Tree, file: &str, entries: &[Named]) -> Option<String> {
    const SHOWN: usize = 4;
    let others: Vec<&str> =
        entries.iter().filter(|(_, id)| tree.kind(*id) == Kind::Nothing).map(|(key, _)| key.as_str()).collect();
    let shown = others.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match others.len() {
        0 => None,
        count if count > SHOWN => Some(format!("{file}: {count} entries are no tensors: {shown}, …")),
        _ => Some(format!("{file}: no tensors: {shown}")),
    }
}

struct Walk<'t, 'v> {
    tree: &'t Tree<'v>,
    file: &'t str,
    found: Vec<Named>,
    bytes: usize,
    entries: usize,
}

impl Walk<'_, '_> {
    /// Takes a tensor; gives back what is below anything else.
    fn visit(&mut self, name: String, id: Id) -> Result<Option<(String, Vec<Named>)>> {
        match self.tree.kind(id) {
            Kind::Nothing => return Ok(None),
            Kind::Dictionary | Kind::Module | Kind::Sequence => {
                let below = self.tree.entries(id);
                self.entries += below.len();
                let limit = ENTRIES.saturating_add(self.tree.values.len().saturating_mul(ENTRIES_OF_VALUE));
                if self.entries > limit {
                    return Err(self.too_many("entries of dictionaries", limit));
                }
                return Ok(Some((name, below)));
            }
            Kind::Unknown => {
                let class = match self.tree.values.object(id) {
                    Some((_, object)) => self.tree.class(object).to_string(),
                    None => self.tree.values.get(id).kind().to_string(),
                };
                return Err(TorchError::tensor(self.file, &name, StoredProblem::Builder(class)).into());
            }
            Kind::Tensor => {}
        }
        self.bytes += name.len();
        if self.found.len() >= TENSORS {
            return Err(self.too_many("tensors", TENSORS));
        }
        if self.bytes > NAME_BYTES {
            return Err(self.too_many("bytes of names", NAME_BYTES));
        }
        self.found.push((name, id));
        Ok(None)
    }

    fn too_many(&self, what: &'static str, limit: usize) -> crate::error::Error {
        TorchError::TooMany { file: self.file.into(), what, limit: limit as u64 }.into()
    }
}
