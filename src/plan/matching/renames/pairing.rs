//! Which tensors without a source are which tensors without a target, where names prove it. A shape alone proves nothing: gate
//! and up have one shape, the two norms of a layer, the query and the output of an attention. What remains open is named.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{last, parent};
use crate::plan::matching::renames::role::{Role, role, stand_apart};
use crate::tensor::Shape;

/// A tensor of a layer that lacks its other side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Single<'a> {
    pub name: &'a str,
    /// What of it stands below the layer, without wrappers.
    pub tail: &'a str,
    pub shape: &'a Shape,
}

/// Names that are proven to belong together: one to one, or one to the pieces that it is split into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    /// The targets: three for a fused source.
    pub to: Vec<String>,
    /// The sources: three for a fused target.
    pub from: Vec<String>,
}

/// What names prove about one layer, and what they leave open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairing {
    pub proven: Vec<Proven>,
    /// Modules that have one shape and of which names do not say which is which: targets and sources.
    pub open: Vec<(Vec<String>, Vec<String>)>,
    /// Queries and keys whose rows rotary positions order in one of two ways.
    pub rotary: Vec<String>,
    /// Whether anything of either side may be something of the other.
    pub is_likely: bool,
}

/// What is known of a layer beside names.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Circumstances {
    /// Whether positions are, or may be, rotary: then rows of queries and keys have one of two orders, and names do not say which.
    pub rotary: bool,
    /// Whether norms may be stored around 0 or around 1.
    pub centred: bool,
}

/// The tensors of one layer class.
struct Module<'a> {
    path: &'a str,
    role: Option<Role>,
    ends: BTreeMap<&'a str, Single<'a>>,
}

/// More pairs of modules than this in one layer are not weighed.
const MOST_PAIRS: usize = 1 << 16;

/// Components that say nothing about which of several modules one is.
const GENERIC: &[&str] = &[
    "bn", "conv", "dense", "fc", "in", "kernel", "layer", "layer_norm", "layernorm", "lin", "linear", "ln", "norm",
    "out", "output", "proj", "weight",
];

fn modules<'a>(singles: &[Single<'a>]) -> Vec<Module<'a>> {
    let mut found: Vec<Module> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for single in singles {
        let end = last(single.tail);
        // a parameter of a container is a module by itself
        let is_bare = !matches!(end, "weight" | "bias" | "gamma" | "beta" | "scale" | "kernel");
        let path = if is_bare { single.tail } else { parent(single.tail) };
        let at = *places.entry(path).or_insert_with(|| {
            found.push(Module { path, role: role(path), ends: BTreeMap::new() });
            found.len() - 1
        });
        found[at].ends.insert(plain_end(end, single.shape), *single);
    }
    found
}

/// A norm's parameters have several names.
fn plain_end<'a>(end: &'a str, shape: &[u64]) -> &'a str {
    match (end, shape.len()) {
        ("gamma" | "scale", 1) => "weight",
        ("beta", 1) => "bias",
        (end, _) => end,
    }
}

impl Module<'_> {
    /// Whether both have the same tensors of the same shapes.
    fn is_like(&self, other: &Module) -> bool {
        let alike = |(end, one): (&&str, &Single)| other.ends.get(*end).is_some_and(|two| one.shape == two.shape);
        self.ends.len() == other.ends.len() && self.ends.iter().all(|(end, one)| alike((end, one)))
    }

    fn weight(&self) -> Option<&Single<'_>> {
        self.ends.get("weight")
    }

    /// Whether the shape of the weight says which axis is which: the bias has the length of its rows.
    fn is_oriented(&self) -> bool {
        let rows = self.weight().and_then(|weight| weight.shape.first());
        self.ends.get("bias").is_some_and(|bias| bias.shape.first() == rows)
    }

    /// A matrix that is stored as (in, out): its bias has the length of its columns.
    fn is_turned(&self) -> bool {
        match (
            self.weight().map(|weight| weight.shape.as_slice()),
            self.ends.get("bias").map(|bias| bias.shape.as_slice()),
        ) {
            (Some([rows, columns]), Some([bias])) => rows != columns && bias == columns,
            _ => false,
        }
    }

    /// Whether both are the same matrix stored both ways.
    fn is_mirror(&self, other: &Module) -> bool {
        match (
            self.weight().map(|weight| weight.shape.as_slice()),
            other.weight().map(|weight| weight.shape.as_slice()),
        ) {
            (Some([a, b]), Some([c, d])) => a == d && b == c && a != b,
            _ => false,
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.ends.values().map(|single| single.name)
    }

    /// The name that stands for it in messages: its weight's, or its first tensor's.
    fn shown(&self) -> String {
        self.weight().map(|single| single.name).or(self.names().next()).unwrap_or_default().to_string()
    }
}

/// The modules of both sides that are still to be paired.
struct Layer<'a> {
    wanted: Vec<Module<'a>>,
    offered: Vec<Module<'a>>,
    circumstances: Circumstances,
    taken: BTreeSet<usize>,
    given: BTreeSet<usize>,
    pairing: Pairing,
}

/// What the names of one layer prove.
pub(crate) fn pair(wanted: &[Single], offered: &[Single], circumstances: Circumstances) -> Pairing {
    let (wanted, offered) = (modules(wanted), modules(offered));
    if wanted.len().saturating_mul(offered.len()) > MOST_PAIRS {
        return Pairing { is_likely: true, ..Pairing::default() };
    }
    let (taken, given, pairing) = (BTreeSet::new(), BTreeSet::new(), Pairing::default());
    let mut layer = Layer { wanted, offered, circumstances, taken, given, pairing };
    layer.pairing.is_likely = layer.is_likely();
    layer.fused();
    let groups = layer.groups();
    layer.by_names(&groups);
    layer.by_elimination(&groups);
    layer.name_open(&groups);
    layer.pairing
}

impl<'a> Layer<'a> {
    /// Whether some tensor of one side has the shape of one of the other, or of a part of it.
    fn is_likely(&self) -> bool {
        let shapes = |modules: &[Module<'a>]| -> BTreeSet<Vec<u64>> {
            modules.iter().flat_map(|module| module.ends.values()).map(|single| single.shape.to_vec()).collect()
        };
        let (wanted, offered) = (shapes(&self.wanted), shapes(&self.offered));
        let turned = |shape: &Vec<u64>| shape.iter().rev().copied().collect::<Vec<_>>();
        let direct = wanted.iter().any(|shape| offered.contains(shape) || offered.contains(&turned(shape)));
        direct || self.fusions().next().is_some()
    }

    /// A fused projection of one side, and the three of the other.
    fn fusions(&self) -> impl Iterator<Item = Fusion> + '_ {
        let of = |fused: &'_ [Module<'a>], single: &'_ [Module<'a>], is_split: bool| -> Vec<Fusion> {
            let parts = [Role::Query, Role::Key, Role::Value].map(|role| only(single, role));
            let [Some(query), Some(key), Some(value)] = parts else { return Vec::new() };
            let fits = |module: &Module| [query, key, value].into_iter().all(|part| is_third(&single[part], module));
            let found = fused.iter().enumerate().filter(|(_, module)| fits(module));
            found.map(|(fused, _)| Fusion { fused, parts: [query, key, value], is_split }).collect()
        };
        of(&self.offered, &self.wanted, true).into_iter().chain(of(&self.wanted, &self.offered, false))
    }

    /// Query, key and value of one matrix stand in this order where its name spells it.
    fn fused(&mut self) {
        let found: Vec<Fusion> = self.fusions().collect();
        for Fusion { fused, parts, is_split } in found {
            let (of_fused, of_parts) =
                if is_split { (&self.offered, &self.wanted) } else { (&self.wanted, &self.offered) };
            if of_fused[fused].role != Some(Role::Fused) {
                continue;
            }
            if self.circumstances.rotary {
                self.pairing.rotary.push(of_fused[fused].shown());
                continue;
            }
            for end in of_fused[fused].ends.keys() {
                let one = vec![of_fused[fused].ends[end].name.to_string()];
                let of_part =
                    |part: &usize| of_parts[*part].ends.get(part_end(end)).map(|single| single.name.to_string());
                let Some(three) = parts.iter().map(of_part).collect::<Option<Vec<_>>>() else { continue };
                let (to, from) = if is_split { (three, one) } else { (one, three) };
                self.pairing.proven.push(Proven { to, from });
            }
            let (whole, pieces) =
                if is_split { (&mut self.given, &mut self.taken) } else { (&mut self.taken, &mut self.given) };
            whole.insert(fused);
            pieces.extend(parts);
        }
    }

    /// Modules that have one shape: each a list of wanted and of offered ones.
    fn groups(&self) -> Vec<(Vec<usize>, Vec<usize>)> {
        let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        for (at, wanted) in self.wanted.iter().enumerate().filter(|(at, _)| !self.taken.contains(at)) {
            if let Some((members, _)) = groups.iter_mut().find(|(members, _)| self.wanted[members[0]].is_like(wanted)) {
                members.push(at);
                continue;
            }
            let free = (0..self.offered.len()).filter(|of| !self.given.contains(of));
            let offered: Vec<usize> = free.filter(|of| wanted.is_like(&self.offered[*of])).collect();
            groups.push((vec![at], offered));
        }
        groups.retain(|(_, offered)| !offered.is_empty());
        groups
    }

    fn by_names(&mut self, groups: &[(Vec<usize>, Vec<usize>)]) {
        for (wanted, offered) in groups {
            for at in wanted {
                let same_name = |of: &&usize| {
                    let name = last(self.wanted[*at].path);
                    !is_generic(name) && name == last(self.offered[**of].path)
                };
                let role = self.wanted[*at].role;
                let same_role =
                    |of: &&usize| role.is_some() && role != Some(Role::Fused) && self.offered[**of].role == role;
                let by_name: Vec<usize> = offered.iter().filter(same_name).copied().collect();
                let by_role: Vec<usize> = offered.iter().filter(same_role).copied().collect();
                let unique = |of: usize, is: &dyn Fn(&Module, &Module) -> bool| {
                    wanted.iter().filter(|other| is(&self.wanted[**other], &self.offered[of])).count() == 1
                };
                let found = match (by_name.as_slice(), by_role.as_slice()) {
                    ([of], _) if unique(*of, &|a, b| last(a.path) == last(b.path)) && !self.contradicts(*at, *of) => {
                        *of
                    }
                    ([], [of]) if unique(*of, &|a, b| a.role == b.role) => *of,
                    _ => continue,
                };
                self.take(*at, found);
            }
        }
    }

    fn contradicts(&self, at: usize, of: usize) -> bool {
        match (self.wanted[at].role, self.offered[of].role) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        }
    }

    /// The last pair of modules that have their shape to themselves.
    fn by_elimination(&mut self, groups: &[(Vec<usize>, Vec<usize>)]) {
        for (wanted, offered) in groups.iter().filter(|(wanted, offered)| wanted.len() == offered.len()) {
            let left: Vec<usize> = wanted.iter().filter(|at| !self.taken.contains(at)).copied().collect();
            let free: Vec<usize> = offered.iter().filter(|of| !self.given.contains(of)).copied().collect();
            if let ([at], [of]) = (left.as_slice(), free.as_slice())
                && !self.contradicts(*at, *of)
                && self.is_unmistakable(*at, *of)
            {
                self.take(*at, *of);
            }
        }
    }

    /// Whether a module of the same shape can be nothing else: a matrix could be stored the other way round, and a fused one in
    /// another order.
    fn is_unmistakable(&self, at: usize, of: usize) -> bool {
        let (wanted, offered) = (&self.wanted[at], &self.offered[of]);
        if [wanted.role, offered.role].iter().flatten().any(|role| role.is_fused()) {
            return false;
        }
        let is_of_tokens = |module: &Module| module.role == Some(Role::Tokens);
        if is_of_tokens(wanted) != is_of_tokens(offered) {
            return false;
        }
        match wanted.weight().map_or(1, |weight| weight.shape.len()) {
            1 => !self.circumstances.centred && !stand_apart(wanted.path, offered.path),
            // an attention of unknown names may have queries and keys anywhere
            2 if self.circumstances.rotary && wanted.role.is_none() => false,
            2 => {
                let has_mirror = self.offered.iter().any(|other| other.is_mirror(offered));
                let is_turned = self.offered.iter().any(Module::is_turned);
                !is_turned
                    && (!has_mirror || wanted.is_oriented() || wanted.role.is_some() && wanted.role == offered.role)
            }
            3 => false,
            _ => true,
        }
    }

    fn take(&mut self, at: usize, of: usize) {
        self.taken.insert(at);
        self.given.insert(of);
        let (wanted, offered) = (&self.wanted[at], &self.offered[of]);
        let is_rotated = [wanted.role, offered.role].into_iter().flatten().any(Role::is_rotated);
        if self.circumstances.rotary && is_rotated {
            self.pairing.rotary.push(wanted.shown());
            return;
        }
        for (end, to) in &wanted.ends {
            if let Some(from) = offered.ends.get(end) {
                self.pairing.proven.push(Proven { to: vec![to.name.into()], from: vec![from.name.into()] });
            }
        }
    }

    fn name_open(&mut self, groups: &[(Vec<usize>, Vec<usize>)]) {
        for (wanted, offered) in groups {
            let left = wanted.iter().filter(|at| !self.taken.contains(at)).map(|at| self.wanted[*at].shown());
            let free = offered.iter().filter(|of| !self.given.contains(of)).map(|of| self.offered[*of].shown());
            let (left, free): (Vec<String>, Vec<String>) = (left.collect(), free.collect());
            if !left.is_empty() && !free.is_empty() {
                self.pairing.open.push((left, free));
            }
        }
    }
}

struct Fusion {
    fused: usize,
    parts: [usize; 3],
    is_split: bool,
}

fn only(modules: &[Module], role: Role) -> Option<usize> {
    let mut found = modules.iter().enumerate().filter(|(_, module)| module.role == Some(role)).map(|(at, _)| at);
    found.next().filter(|_| found.next().is_none())
}

/// Whether every tensor of a module is a third of the fused one's rows.
fn is_third(part: &Module, fused: &Module) -> bool {
    let fits = |(end, whole): (&&str, &Single)| {
        let of_part = part.ends.get(part_end(end));
        of_part.is_some_and(|one| match (one.shape.as_slice(), whole.shape.as_slice()) {
            ([rows, rest @ ..], [all, others @ ..]) => rows.checked_mul(3) == Some(*all) && rest == others,
            _ => false,
        })
    };
    !fused.ends.is_empty() && fused.ends.iter().all(|(end, whole)| fits((end, whole)))
}

/// What the pieces of a fused tensor are called: `in_proj_weight` is the weights of three.
fn part_end(end: &str) -> &str {
    match end {
        "in_proj_weight" => "weight",
        "in_proj_bias" => "bias",
        end => end,
    }
}

fn is_generic(component: &str) -> bool {
    let component = component.to_ascii_lowercase();
    let plain = component.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    plain.is_empty() || GENERIC.contains(&plain)
}
