//! The values of a pickle as a tree of named things: dictionaries, modules, scripted objects.

use super::pickle::{Id, Node, Object, Values};
use super::rebuild;
use crate::hash::{HashMap, HashSet};

/// A pickle, and what each of its values is on the way to tensors. Every value is judged once, however often it is shared.
pub(super) struct Tree<'v> {
    pub(super) values: &'v Values,
    reaches: Vec<bool>,
    /// What the keys of each dictionary tell, and of each list of pairs: objects share them.
    keys: Vec<Keys>,
    kinds: Vec<Kind>,
    optimizers: Vec<bool>,
}

/// The keys of a dictionary that tell what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Keys {
    /// Whether there is a key at all that is a name.
    any: bool,
    parameters: bool,
    modules: bool,
    groups: bool,
    state: bool,
}

impl Keys {
    fn of(keys: impl Iterator<Item = Id>, values: &Values) -> Keys {
        let mut found = Keys::default();
        for key in keys {
            match values.get(key) {
                Node::Text(text) => found.add(text),
                Node::Int(_) => found.any = true,
                _ => {}
            }
        }
        found
    }

    fn add(&mut self, key: &str) {
        self.any = true;
        match key {
            "_parameters" => self.parameters = true,
            "_modules" => self.modules = true,
            "param_groups" => self.groups = true,
            "state" => self.state = true,
            _ => {}
        }
    }

    fn or(self, other: Keys) -> Keys {
        Keys {
            any: self.any || other.any,
            parameters: self.parameters || other.parameters,
            modules: self.modules || other.modules,
            groups: self.groups || other.groups,
            state: self.state || other.state,
        }
    }

    fn is_module(self) -> bool {
        self.parameters && self.modules
    }

    fn is_optimizer(self) -> bool {
        self.groups && self.state
    }
}

/// What a value is on the way to tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A tensor, whether it can be read or not.
    Tensor,
    /// A dictionary, or an object by its attributes.
    Dictionary,
    /// A module that was pickled whole or scripted: its parameters, buffers and modules.
    Module,
    /// A list or a tuple.
    Sequence,
    /// Something that an unknown function made of tensors.
    Unknown,
    /// No tensor is below it.
    Nothing,
}

/// Functions that give back their first argument.
const TRANSPARENT: &[&str] = &[
    "torch.jit._pickle.restore_type_tag", "torch.jit._pickle.build_tensorlist", "types.MappingProxyType",
    "builtins.dict", "__builtin__.dict", "builtins.list", "builtins.tuple",
];

impl<'v> Tree<'v> {
    /// Judges every value, from the storages backwards.
    pub(super) fn new(values: &'v Values) -> Tree<'v> {
        let (kinds, optimizers) = (Vec::new(), Vec::new());
        let mut tree = Tree { values, reaches: reaches(values), keys: Vec::new(), kinds, optimizers };
        tree.keys = values.all().map(|(_, node)| tree.keys_of(node)).collect();
        tree.kinds = values.all().map(|(id, node)| tree.judge(id, node)).collect();
        tree.optimizers = values.all().map(|(id, node)| tree.has_state_of_optimizer(id, node)).collect();
        tree
    }

    /// What a value is.
    pub(super) fn kind(&self, id: Id) -> Kind {
        self.kinds.get(self.inner(id).index()).copied().unwrap_or(Kind::Nothing)
    }

    fn judge(&self, id: Id, node: &Node) -> Kind {
        match node {
            _ if !self.leads_to_storage(id) => Kind::Nothing,
            Node::Dict(_) => Kind::Dictionary,
            Node::List(_) | Node::Tuple(_) | Node::Set(_) => Kind::Sequence,
            Node::Object(_) if rebuild::is_tensor(self.values, id) => Kind::Tensor,
            Node::Object(object) => self.object_kind(object),
            _ => Kind::Unknown,
        }
    }

    fn leads_to_storage(&self, id: Id) -> bool {
        self.reaches.get(id.index()).copied().unwrap_or(false)
    }

    fn object_kind(&self, object: &Object) -> Kind {
        let reaches = |id: Id| self.leads_to_storage(id);
        if self.is_module(object) || (self.is_scripted(object) && object.state.is_some()) {
            return Kind::Module;
        }
        let below = |(key, value): &(Id, Id)| reaches(*key) || reaches(*value);
        let has_attributes = self.attribute_keys(object).any;
        match () {
            () if object.items.iter().any(below) => Kind::Dictionary,
            () if object.elements.iter().any(|element| reaches(*element)) => Kind::Sequence,
            () if self.class(object).starts_with("collections.") => Kind::Dictionary,
            () if object.state.is_some_and(reaches) && has_attributes => Kind::Dictionary,
            () => Kind::Unknown,
        }
    }

    /// The value behind functions that give back their argument.
    pub(super) fn inner(&self, mut id: Id) -> Id {
        // each step goes to an earlier value or ends; a loop cannot be longer than this
        for _ in 0..16 {
            let Some((class, object)) = self.values.object(id) else { break };
            match self.values.sequence(object.arguments) {
                Some([first, ..]) if TRANSPARENT.contains(&class) && object.items.is_empty() => id = *first,
                _ => break,
            }
        }
        id
    }

    /// The name of what made an object; of a class that was pickled with its source, the name of the class.
    pub(super) fn class(&self, object: &Object) -> &str {
        let global = match self.values.get(object.class) {
            Node::Persistent(reference) => self.values.sequence(*reference).and_then(|parts| parts.get(1).copied()),
            _ => Some(object.class),
        };
        global.and_then(|id| self.values.global(id)).unwrap_or_default()
    }

    fn is_scripted(&self, object: &Object) -> bool {
        self.class(object).starts_with("__torch__.")
    }

    fn is_module(&self, object: &Object) -> bool {
        self.attribute_keys(object).is_module()
    }

    /// The keys that a value has by itself: of a dictionary, or of the pairs that an old `OrderedDict` is made of.
    fn keys_of(&self, node: &Node) -> Keys {
        match node {
            Node::Dict(items) => Keys::of(items.iter().map(|(key, _)| *key), self.values),
            Node::List(pairs) => {
                let key = |id: &Id| match self.values.sequence(*id) {
                    Some([key, _]) => Some(*key),
                    _ => None,
                };
                Keys::of(pairs.iter().filter_map(key), self.values)
            }
            _ => Keys::default(),
        }
    }

    fn keys(&self, id: Id) -> Keys {
        self.keys.get(id.index()).copied().unwrap_or_default()
    }

    /// The keys of `attributes`.
    fn attribute_keys(&self, object: &Object) -> Keys {
        let dictionary =
            |id: Id| if matches!(self.values.get(id), Node::Dict(_)) { self.keys(id) } else { Keys::default() };
        match object.state.map(|state| (state, self.values.get(state))) {
            Some((_, Node::Tuple(both))) if both.len() == 2 => {
                both.iter().fold(Keys::default(), |keys, id| keys.or(dictionary(*id)))
            }
            Some((state, _)) => dictionary(state),
            None => Keys::default(),
        }
    }

    /// The keys of `pairs_of`.
    fn pair_keys(&self, object: &Object) -> Keys {
        let arguments = self.values.sequence(object.arguments).unwrap_or_default();
        let holds = |id: &&Id| matches!(self.values.get(**id), Node::Dict(_) | Node::List(_));
        arguments.iter().find(holds).map(|id| self.keys(*id)).unwrap_or_default()
    }

    /// The named things below a value, in order; empty where there are none.
    pub(super) fn entries(&self, id: Id) -> Vec<(String, Id)> {
        let id = self.inner(id);
        match self.values.get(id) {
            Node::Dict(items) => self.named(items),
            Node::List(elements) | Node::Tuple(elements) | Node::Set(elements) => numbered(elements),
            Node::Object(object) if self.is_module(object) => self.module_entries(object),
            Node::Object(object) if !object.items.is_empty() => self.named(&object.items),
            Node::Object(object) if !object.elements.is_empty() => numbered(&object.elements),
            Node::Object(object) if self.class(object).starts_with("collections.") => self.pairs_of(object),
            Node::Object(object) => self.attributes(object),
            _ => Vec::new(),
        }
    }

    /// Keys as texts; of two equal keys the last value counts, at the place of the first, as in Python.
    fn named(&self, items: &[(Id, Id)]) -> Vec<(String, Id)> {
        let mut places = HashMap::with_capacity_and_hasher(items.len(), Default::default());
        let mut named: Vec<(String, Id)> = Vec::with_capacity(items.len());
        for (key, value) in items {
            let key = match self.values.get(*key) {
                Node::Text(text) => text.to_string(),
                Node::Int(number) => number.to_string(),
                _ => continue,
            };
            match places.get(&key).and_then(|place: &usize| named.get_mut(*place)) {
                Some(entry) => entry.1 = *value,
                None => {
                    places.insert(key.clone(), named.len());
                    named.push((key, *value));
                }
            }
        }
        named
    }

    /// `OrderedDict([[key, value], …])`, as Python 2 pickles it, and `OrderedDict({…})`.
    fn pairs_of(&self, object: &Object) -> Vec<(String, Id)> {
        let arguments = self.values.sequence(object.arguments).unwrap_or_default();
        let dictionary = |id: &Id| match self.values.get(*id) {
            Node::Dict(items) => Some(self.named(items)),
            Node::List(pairs) => {
                let pair = |id: &Id| match self.values.sequence(*id) {
                    Some([key, value]) => Some((*key, *value)),
                    _ => None,
                };
                Some(self.named(&pairs.iter().filter_map(pair).collect::<Vec<_>>()))
            }
            _ => None,
        };
        arguments.iter().find_map(dictionary).unwrap_or_default()
    }

    /// The attributes of an object: its state, a dictionary or a pair of two (the second for slots).
    fn attributes(&self, object: &Object) -> Vec<(String, Id)> {
        let dictionary = |id: Id| match self.values.get(id) {
            Node::Dict(items) => self.named(items),
            _ => Vec::new(),
        };
        match object.state.map(|state| (state, self.values.get(state))) {
            Some((_, Node::Tuple(both))) if both.len() == 2 => both.iter().flat_map(|id| dictionary(*id)).collect(),
            Some((state, _)) => dictionary(state),
            None => Vec::new(),
        }
    }

    /// What `state_dict()` of a module lists: parameters, buffers but those that do not persist, and the modules below.
    fn module_entries(&self, object: &Object) -> Vec<(String, Id)> {
        let attributes: HashMap<String, Id> = self.attributes(object).into_iter().collect();
        let part = |name: &str| attributes.get(name).map(|id| self.entries_of_part(*id)).unwrap_or_default();
        let passing = attributes.get("_non_persistent_buffers_set").map(|id| match self.values.get(*id) {
            Node::Set(names) => names.clone(),
            // `set([…])` before protocol 4
            _ => match self.values.object(*id).and_then(|(_, set)| self.values.sequence(set.arguments)) {
                Some([list]) => self.values.sequence(*list).unwrap_or_default().to_vec(),
                _ => Vec::new(),
            },
        });
        let passing: HashSet<&str> = passing.iter().flatten().filter_map(|id| self.values.text(*id)).collect();
        let buffers = part("_buffers").into_iter().filter(|(name, _)| !passing.contains(name.as_str()));
        part("_parameters").into_iter().chain(buffers).chain(part("_modules")).collect()
    }

    /// A part of a module is a dictionary; a loop back to the module itself is not followed here.
    fn entries_of_part(&self, id: Id) -> Vec<(String, Id)> {
        match self.values.get(id) {
            Node::Dict(items) => self.named(items),
            Node::Object(object) if !object.items.is_empty() => self.named(&object.items),
            Node::Object(object) => self.pairs_of(object),
            _ => Vec::new(),
        }
    }

    /// Whether a value is the state of an optimizer.
    pub(super) fn is_optimizer(&self, id: Id) -> bool {
        self.optimizers.get(self.inner(id).index()).copied().unwrap_or(false)
    }

    fn has_state_of_optimizer(&self, id: Id, node: &Node) -> bool {
        if !self.leads_to_storage(id) || !matches!(node, Node::Dict(_) | Node::Object(_)) {
            return false;
        }
        let id = self.inner(id);
        let keys = match self.values.get(id) {
            Node::Dict(_) => self.keys(id),
            Node::Object(object) if self.is_module(object) => Keys::default(),
            Node::Object(object) if !object.items.is_empty() => {
                Keys::of(object.items.iter().map(|(key, _)| *key), self.values)
            }
            Node::Object(object) if !object.elements.is_empty() => Keys::default(),
            Node::Object(object) if self.class(object).starts_with("collections.") => self.pair_keys(object),
            Node::Object(object) => self.attribute_keys(object),
            _ => Keys::default(),
        };
        keys.is_optimizer()
    }

    /// What a value is, in words.
    pub(super) fn describe(&self, id: Id) -> String {
        match self.values.get(id) {
            Node::Object(object) if !self.class(object).is_empty() => format!("an object of {}", self.class(object)),
            node => node.kind().to_string(),
        }
    }
}

fn numbered(elements: &[Id]) -> Vec<(String, Id)> {
    elements.iter().enumerate().map(|(number, id)| (number.to_string(), *id)).collect()
}

/// Which values lead to a storage or are a tensor: one pass backwards over all references.
fn reaches(values: &Values) -> Vec<bool> {
    let mut users: Vec<Vec<Id>> = vec![Vec::new(); values.len()];
    let mut found = Vec::new();
    for (id, node) in values.all() {
        for child in values.children(id) {
            if let Some(users) = users.get_mut(child.index()) {
                users.push(id);
            }
        }
        let is_storage = matches!(node, Node::Persistent(_)) && rebuild::storage(values, id).is_some();
        // a tensor on the meta device has no storage, and is one all the same
        if is_storage || rebuild::is_tensor(values, id) {
            found.push(id);
        }
    }
    let mut reaches = vec![false; values.len()];
    while let Some(id) = found.pop() {
        match reaches.get_mut(id.index()) {
            Some(reached) if !*reached => *reached = true,
            _ => continue,
        }
        found.extend(users.get(id.index()).into_iter().flatten());
    }
    reaches
}
