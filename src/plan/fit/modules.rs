//! Modules: the tensors of one layer class under one path. A module moves as a whole: where the value of one of its tensors
//! cannot be produced, no other of them is copied beside it. A bare parameter of a container is a module of its own.

use crate::arch::Architecture;
use crate::graph::ParameterId;
use crate::hash::{HashMap, HashSet};
use crate::name::{last, parent, self_and_ancestors};
use crate::tensor::Name;

/// Last components that belong to the layer whose path stands before them.
const OF_LAYERS: &[&str] = &[
    "weight", "bias", "running_mean", "running_var", "num_batches_tracked",
    // nn.MultiheadAttention
    "in_proj_weight", "in_proj_bias", "q_proj_weight", "k_proj_weight", "v_proj_weight", "bias_k", "bias_v",
    // weight and spectral norm
    "weight_g", "weight_v", "weight_orig", "weight_u", // Keras and Flax
    "kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel", "gamma", "beta", "scale", "moving_mean",
    "moving_variance",
];

/// As above, for cells, with the number of the layer after them: `weight_ih_l0_reverse`.
const OF_CELLS: &[&str] = &["weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh"];

/// Endings after which two parameters of a container belong together: `gate_up_proj` and `gate_up_proj_bias`.
const PAIRED: &[&str] = &["_weight", "_bias"];

/// The modules of a target.
pub(crate) struct Modules<'a> {
    names: Vec<&'a Name>,
    members: HashMap<Key<'a>, Vec<ParameterId>>,
    keys: Vec<Key<'a>>,
}

/// A path, and for a parameter of a container its own name, without the ending.
type Key<'a> = (&'a str, &'a str);

impl<'a> Modules<'a> {
    /// Groups the parameters of a target. Names alone decide: the class that owns a class token owns the position table too.
    pub(crate) fn of(target: &'a Architecture) -> Modules<'a> {
        let names: Vec<&Name> = target.parameters.iter().map(|parameter| &parameter.name).collect();
        let paths = Paths::of(&names);
        let keys: Vec<Key> = names.iter().map(|name| key(name, &paths)).collect();
        let mut members: HashMap<Key, Vec<ParameterId>> = HashMap::default();
        for (id, key) in keys.iter().enumerate() {
            members.entry(*key).or_default().push(id);
        }
        Modules { names, members, keys }
    }

    /// The parameters of the module that a parameter belongs to, itself among them.
    pub(crate) fn members(&self, id: ParameterId) -> &[ParameterId] {
        self.keys.get(id).and_then(|key| self.members.get(key)).map_or(&[], Vec::as_slice)
    }

    /// What the module of a parameter is called: the path of a layer, or the name of a bare parameter.
    pub(crate) fn name(&self, id: ParameterId) -> String {
        let Some((path, own)) = self.keys.get(id) else { return String::new() };
        let first = self.members(id).first().and_then(|first| self.names.get(*first));
        match (*path, *own, self.members(id)) {
            ("", "", _) | (_, _, [_]) if path.is_empty() || !own.is_empty() => {
                first.map(|name| name.to_string()).unwrap_or_default()
            }
            (path, "", _) => path.to_string(),
            ("", own, _) => own.to_string(),
            (path, own, _) => format!("{path}.{own}"),
        }
    }
}

/// What the paths of a target are.
struct Paths<'a> {
    /// They hold the weight of a layer.
    layers: HashSet<&'a str>,
    containers: HashSet<&'a str>,
}

impl<'a> Paths<'a> {
    fn of(names: &[&'a Name]) -> Paths<'a> {
        let layer = |name: &&'a Name| match name.split_once(PARAMETRIZED) {
            Some((path, _)) => Some(path),
            None => is_weight(last(name)).then(|| parent(name)),
        };
        let above = names.iter().flat_map(|name| self_and_ancestors(parent(name)).skip(1));
        Paths { layers: names.iter().filter_map(layer).collect(), containers: above.collect() }
    }

    /// Whether a parameter belongs to the layer at its path. Where a path holds a weight and no path below it, every parameter does
    /// (`gate.weight` and `gate.e_score_correction_bias`); where it holds paths and no weight, none does (`block.gamma`).
    fn is_of_layer(&self, path: &str, last: &str) -> bool {
        match (self.layers.contains(path), self.containers.contains(path)) {
            (true, false) => is_of_layer(last) || !path.is_empty(),
            (false, true) => false,
            (true, true) | (false, false) => is_of_layer(last),
        }
    }
}

fn is_weight(last: &str) -> bool {
    let is_cell = OF_CELLS.iter().any(|start| last.starts_with(start));
    is_cell || matches!(last, "weight" | "kernel" | "in_proj_weight" | "q_proj_weight" | "weight_v" | "weight_orig")
}

fn is_of_layer(last: &str) -> bool {
    OF_LAYERS.contains(&last) || OF_CELLS.iter().any(|start| last.starts_with(start))
}

/// Where torch.nn.utils.parametrizations keeps the parts of a tensor, below its layer.
const PARAMETRIZED: &str = ".parametrizations.";

fn key<'a>(name: &'a str, paths: &Paths) -> Key<'a> {
    if let Some((path, _)) = name.split_once(PARAMETRIZED) {
        return (path, "");
    }
    let (path, last) = (parent(name), last(name));
    if paths.is_of_layer(path, last) {
        return (path, "");
    }
    let stem = PAIRED.iter().find_map(|end| last.strip_suffix(end)).filter(|stem| !stem.is_empty());
    (path, stem.unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{of_parameters, parameter};
    use crate::tensor::Role;

    /// The modules of these names, each as its name and its members.
    fn modules(names: &[&str]) -> Vec<(String, Vec<String>)> {
        let target = of_parameters(names.iter().map(|name| parameter(name, &[2], Role::Unknown)).collect());
        let modules = Modules::of(&target);
        let mut seen = Vec::new();
        for id in 0..names.len() {
            let members = modules.members(id).iter().map(|id| names[*id].to_string()).collect();
            let module = (modules.name(id), members);
            if !seen.contains(&module) {
                seen.push(module);
            }
        }
        seen
    }

    #[test]
    fn the_tensors_of_a_layer_are_one_module() {
        for layer in [
            &["weight", "bias"][..],
            &["weight", "bias", "running_mean", "running_var", "num_batches_tracked"],
            &["in_proj_weight", "in_proj_bias", "bias_k", "bias_v"],
            &["q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias"],
            &["weight_g", "weight_v", "bias"],
            &["parametrizations.weight.original0", "parametrizations.weight.original1", "bias"],
            &["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0_reverse", "weight_ih_l1"],
            &["weight", "e_score_correction_bias"],
            &["gamma", "beta", "moving_mean", "moving_variance"],
            &["kernel", "recurrent_kernel", "bias"],
        ] {
            let names: Vec<String> = layer.iter().map(|last| format!("a.3.b.{last}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let [(name, members)] = &modules(&names)[..] else { panic!("{layer:?}") };
            assert_eq!((name.as_str(), members.len()), ("a.3.b", layer.len()));
        }
    }

    #[test]
    fn a_bare_parameter_of_a_container_is_a_module_of_its_own() {
        let names =
            ["vit.cls_token", "vit.pos_embed", "vit.proj.weight", "vit.proj.bias", "vit.mask_token", "vit.weight"];
        let found = modules(&names);
        let called: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(called, ["vit.cls_token", "vit.pos_embed", "vit.proj", "vit.mask_token", "vit"]);
        let names = ["block.gamma", "block.conv.weight", "block.conv.bias", "head.bias", "head.dense.weight"];
        let found = modules(&names);
        let called: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(called, ["block.gamma", "block.conv", "head.bias", "head.dense"]);
    }

    #[test]
    fn a_parameter_and_its_bias_in_a_container_belong_together() {
        let found =
            modules(&["e.gate_up_proj", "e.gate_up_proj_bias", "e.down_proj", "e.down_proj_bias", "logit_scale"]);
        let sizes: Vec<(&str, usize)> = found.iter().map(|(name, members)| (name.as_str(), members.len())).collect();
        assert_eq!(sizes, [("e.gate_up_proj", 2), ("e.down_proj", 2), ("logit_scale", 1)]);
    }

    #[test]
    fn names_without_a_path_are_a_layer_too() {
        assert_eq!(modules(&["weight", "bias", "scale"]).len(), 1);
        assert_eq!(modules(&["weight", "mean"]).len(), 2);
    }
}
