//! The base's tensor that a name of an adapter means. The base may lack the prefix of a class, and a multimodal class has one more
//! (`model.language_model.layers.0` and `model.layers.0` are the same layer of the same text model).

use crate::hash::HashMap;
use crate::name::{WRAPPERS, is_index};
use crate::plan::matching::unit::Unit;
use crate::tensor::{Name, Shape};

/// Components of containers that do not tell the parts of a model apart.
const CONTAINERS: &[&str] = &["model", "language_model", "text_model", "base_model"];

/// How many of the last components narrow a search.
const TAIL: usize = 3;

/// The names of a base.
pub(crate) struct Names {
    by_name: HashMap<Name, usize>,
    /// Names, shapes, and names without wrappers.
    all: Vec<(Name, Shape, String)>,
    by_tail: HashMap<String, Vec<usize>>,
}

impl Names {
    pub(crate) fn of(units: &[Unit]) -> Names {
        let mut names = Names { by_name: HashMap::default(), all: Vec::new(), by_tail: HashMap::default() };
        for (id, unit) in units.iter().enumerate() {
            let core = core(&unit.name);
            names.by_name.entry(unit.name.clone()).or_insert(id);
            names.by_tail.entry(tail(&core)).or_default().push(id);
            names.all.push((unit.name.clone(), unit.info.shape.clone(), core));
        }
        names
    }

    /// The tensor that a name means: the same, or the only one of which one name ends the other, with or without wrappers. What takes the
    /// place of a tensor under another name must have its shape.
    pub(crate) fn find(&self, name: &str, whole: Option<&Shape>) -> Option<usize> {
        if let Some(id) = self.by_name.get(name) {
            return Some(*id);
        }
        let wanted = core(name);
        let fits = |id: &usize| whole.is_none_or(|shape| shape.as_slice() == self.all[*id].1.as_slice());
        let is_short = wanted.split('.').count() < TAIL;
        let alike: Vec<usize> = match self.by_tail.get(&tail(&wanted)) {
            _ if is_short => (0..self.all.len()).filter(fits).collect(),
            Some(ids) => ids.iter().copied().filter(fits).collect(),
            None => return None,
        };
        let by = |test: &dyn Fn(usize) -> bool| {
            let mut found = alike.iter().copied().filter(|id| test(*id));
            found.next().filter(|_| found.next().is_none())
        };
        by(&|id| ends(&self.all[id].0, name) || ends(name, &self.all[id].0))
            .or_else(|| by(&|id| self.all[id].2 == wanted))
            .or_else(|| by(&|id| ends(&self.all[id].2, &wanted) || ends(&wanted, &self.all[id].2)))
    }
}

/// Whether two names mean the same tensor or module.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    a == b || ends(a, b) || ends(b, a) || core(a) == core(b)
}

fn ends(long: &str, short: &str) -> bool {
    long.strip_suffix(short).is_some_and(|rest| rest.ends_with('.'))
}

fn core(name: &str) -> String {
    let parts: Vec<&str> =
        name.split('.').filter(|part| !WRAPPERS.contains(part) && !CONTAINERS.contains(part)).collect();
    parts.join(".")
}

fn tail(core: &str) -> String {
    let mut parts: Vec<&str> = core.rsplit('.').take(TAIL).collect();
    parts.reverse();
    parts.join(".")
}

/// A name with every number as `#`.
pub(crate) fn masked(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').map(|part| if is_index(part) { "#" } else { part }).collect();
    parts.join(".")
}
