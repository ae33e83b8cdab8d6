//! What a pickle describes: values in one arena, which refer to each other by number. Shared values are shared, so that a
//! pickle that would unfold to 2^n values takes n; nothing is ever copied or dropped by recursion.

/// The number of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::checkpoint::torch) struct Id(pub(super) u32);

impl Id {
    /// The place of the value among all.
    pub(in crate::checkpoint::torch) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::checkpoint::torch) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number of more than 64 bits.
    Wide(Box<i128>),
    Float(f64),
    Text(Box<str>),
    /// Bytes, long texts and huge numbers: passed over.
    Opaque,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name such as `torch._utils._rebuild_tensor_v2`; nothing is behind it.
    Global(Box<str>),
    Object(Box<Object>),
    /// Something that is kept outside the pickle, by what identifies it.
    Persistent(Id),
}

/// What a callable made of arguments, and what was put into it afterwards.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::checkpoint::torch) struct Object {
    pub(in crate::checkpoint::torch) class: Id,
    pub(in crate::checkpoint::torch) arguments: Id,
    /// Keys and values, as of a dictionary.
    pub(in crate::checkpoint::torch) items: Vec<(Id, Id)>,
    pub(in crate::checkpoint::torch) elements: Vec<Id>,
    pub(in crate::checkpoint::torch) state: Option<Id>,
}

impl Node {
    /// What it is, in words.
    pub(in crate::checkpoint::torch) fn kind(&self) -> &'static str {
        match self {
            Node::None => "None",
            Node::Bool(_) => "a truth value",
            Node::Int(_) | Node::Wide(_) => "a whole number",
            Node::Float(_) => "a float",
            Node::Text(_) => "a text",
            Node::Opaque => "bytes",
            Node::Tuple(_) => "a tuple",
            Node::List(_) => "a list",
            Node::Set(_) => "a set",
            Node::Dict(_) => "a dictionary",
            Node::Global(_) => "a class or function",
            Node::Object(_) => "an object",
            Node::Persistent(_) => "a reference to a storage",
        }
    }
}

/// The values of one pickle.
#[derive(Debug)]
pub(in crate::checkpoint::torch) struct Values {
    pub(super) nodes: Vec<Node>,
    /// The value that the pickle is.
    pub(in crate::checkpoint::torch) root: Id,
}

impl Values {
    /// The value of a number.
    pub(in crate::checkpoint::torch) fn get(&self, id: Id) -> &Node {
        self.nodes.get(id.0 as usize).unwrap_or(&Node::None)
    }

    /// Every value.
    pub(in crate::checkpoint::torch) fn all(&self) -> impl Iterator<Item = (Id, &Node)> {
        self.nodes.iter().enumerate().map(|(number, node)| (Id(number as u32), node))
    }

    /// How many there are.
    pub(in crate::checkpoint::torch) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The elements of a tuple or a list.
    pub(in crate::checkpoint::torch) fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::Tuple(elements) | Node::List(elements) => Some(elements),
            _ => None,
        }
    }

    pub(in crate::checkpoint::torch) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The name of a class or function.
    pub(in crate::checkpoint::torch) fn global(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Node::Global(name) => Some(name),
            _ => None,
        }
    }

    /// An object, and the name of what made it (empty where that has none).
    pub(in crate::checkpoint::torch) fn object(&self, id: Id) -> Option<(&str, &Object)> {
        match self.get(id) {
            Node::Object(object) => Some((self.global(object.class).unwrap_or_default(), object)),
            _ => None,
        }
    }

    /// Everything that a value refers to.
    pub(in crate::checkpoint::torch) fn children(&self, id: Id) -> Vec<Id> {
        let pairs = |pairs: &[(Id, Id)]| pairs.iter().flat_map(|(key, value)| [*key, *value]).collect::<Vec<_>>();
        match self.get(id) {
            Node::Tuple(elements) | Node::List(elements) | Node::Set(elements) => elements.clone(),
            Node::Dict(items) => pairs(items),
            Node::Persistent(key) => vec![*key],
            Node::Object(object) => {
                let mut all = vec![object.class, object.arguments];
                all.extend(pairs(&object.items));
                all.extend(&object.elements);
                all.extend(object.state);
                all
            }
            _ => Vec::new(),
        }
    }
}
