//! Names of tensors. A checkpoint of a hundred thousand has each in its listing, its plan, its matching and its report.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Components that trainers and compilers put around modules (`torch.compile`, DDP, FSDP, activation checkpointing), so that no module of a
/// model has such a name.
pub(crate) const WRAPPERS: &[&str] = &["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// A text that is stored once and held in many places: a copy costs no memory.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name(text.into())
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Name {
        Name(text.as_str().into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

macro_rules! equal {
    ($($text:ty)*) => {
        $(
            impl PartialEq<$text> for Name {
                fn eq(&self, other: &$text) -> bool {
                    let other: &str = other.as_ref();
                    &*self.0 == other
                }
            }

            impl PartialEq<Name> for $text {
                fn eq(&self, other: &Name) -> bool {
                    other == self
                }
            }
        )*
    };
}

equal!(str &str String);

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        Arc::deserialize(deserializer).map(Name)
    }
}

/// What stands before the last component, without its dot; empty for a name of one component.
pub(crate) fn parent(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// The last component.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

/// Two paths with a dot between them, where neither is empty.
pub(crate) fn join(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_string(),
        (path, "") => path.to_string(),
        (path, name) => format!("{path}.{name}"),
    }
}

/// The name below a path, or `None` where it does not lie there.
pub(crate) fn below<'a>(name: &'a str, path: &str) -> Option<&'a str> {
    if path.is_empty() {
        return Some(name);
    }
    name.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'))
}

/// Every way to cut a name at a dot, the longest suffix first: what stands before, what stands after. Beyond `MOST_COMPONENTS`
/// a name is not cut.
pub(crate) fn cuts(name: &str) -> impl Iterator<Item = (&str, &str)> {
    name.match_indices('.').take(MOST_COMPONENTS).map(|(at, _)| (&name[..at], &name[at + 1..]))
}

/// The longest path that all names share; empty for none.
pub(crate) fn common_path<'a>(names: impl IntoIterator<Item = &'a str>) -> &'a str {
    let mut names = names.into_iter();
    let Some(first) = names.next() else { return "" };
    let mut common = parent(first);
    for name in names {
        while below(name, common).is_none() {
            common = parent(common);
        }
    }
    common
}

/// How many trailing components two names share.
pub(crate) fn common_suffix(a: &str, b: &str) -> usize {
    a.rsplit('.').zip(b.rsplit('.')).take_while(|(a, b)| a == b).count()
}

/// Whether a component is an index of a repeated block.
pub(crate) fn is_index(component: &str) -> bool {
    !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit())
}

/// The name with every index replaced by `{i}`: what is alike in all layers of a repeated block.
pub(crate) fn template(name: &str) -> String {
    let components: Vec<&str> = name.split('.').map(|part| if is_index(part) { "{i}" } else { part }).collect();
    components.join(".")
}

/// The paths above a name, nearest first, and the name itself before them.
pub(crate) fn self_and_ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |path| path.rsplit_once('.').map(|(parent, _)| parent))
}

/// The integer that a component is, or `None`: digits alone, without a leading zero.
pub(crate) fn index_of(component: &str) -> Option<u64> {
    let digits = !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (component.len() > 1 && component.starts_with('0')) {
        return None;
    }
    component.parse().ok()
}

/// Names of real models have a tenth of this; what stands behind is looked at no closer, so that no name is slow.
pub(crate) const MOST_COMPONENTS: usize = 64;
