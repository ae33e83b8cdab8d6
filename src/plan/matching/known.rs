//! What families say of the names in a model: which are tied, and how a matrix is stored.

use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::{Class, Config, FAMILIES, Family, Inputs};
use crate::graph::{Builder, Layout, Parameter};
use crate::hash::HashMap;
use crate::plan::matching::dialects::find_dialects;
use crate::plan::matching::naming::Kernels;
use crate::plan::matching::stored_layout::Stored;
use crate::plan::matching::templates::Templates;
use crate::plan::names::plain;
use crate::tensor::Name;

/// The parameters of a family's class under a path, with its ties made; empty where the config does not build.
pub(crate) fn parameters(family: &'static dyn Family, config: &Config, path: &str) -> Vec<Parameter> {
    let mut tied = config.clone();
    tied.0.insert("tie_word_embeddings".into(), true.into());
    built(family, &tied, path)
}

/// As above, with the ties of the config.
pub(crate) fn built(family: &'static dyn Family, config: &Config, path: &str) -> Vec<Parameter> {
    let mut at = Builder::new();
    let built = at.under(path, |at| family.build(config, &Inputs::default(), &Class::OfConfig, at));
    match built.and_then(|_| at.finish(Vec::new())) {
        Ok((parameters, _)) => parameters,
        Err(_) => Vec::new(),
    }
}

/// The parameters of the model that a config describes.
pub(crate) fn described(family: &'static dyn Family, config: &Config) -> Result<Vec<Parameter>> {
    let mut builder = Builder::new();
    family.build(config, &Inputs::default(), &Class::OfConfig, &mut builder)?;
    Ok(builder.parameters().to_vec())
}

/// The names of a source that are ties in the model that it was saved from, each with its owner: as its config says, and as its file
/// shows.
pub(crate) fn stored_ties(
    source: &Listing,
    own: Option<&(&'static dyn Family, Option<Config>)>,
) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        source.ties.iter().map(|(name, owner)| (name.clone(), owner.clone())).collect();
    if let Some((family, Some(config))) = own {
        all.extend(ties_of(*family, config));
    }
    all
}

/// The pairs of a tie, the other name and the owner's.
pub(crate) fn ties(parameters: &[Parameter]) -> Vec<(String, String)> {
    let pair = |alias: &Parameter| Some((alias.name.to_string(), parameters.get(alias.tied_to?)?.name.to_string()));
    parameters.iter().filter_map(pair).collect()
}

/// The pairs that a model of this config ties, the other name and the owner's.
pub(crate) fn ties_of(family: &'static dyn Family, config: &Config) -> Vec<(String, String)> {
    ties(&built(family, config, ""))
}

/// How a source stores the matrices that a family of its tensors stores as (in, out), and what Keras, Flax and ONNX store in an order
/// of axes of their own: names and often shapes say nothing of it.
#[derive(Default)]
pub(crate) struct Layouts {
    families: Vec<FamilyLayouts>,
    kernels: Kernels,
}

struct FamilyLayouts {
    templates: Templates,
    /// Whether the config says that the source is of this family, wherever its tensors stand.
    recognised: bool,
    /// The paths of bodies, without wrappers, and how each is laid out.
    bodies: HashMap<String, Layout>,
}

impl Layouts {
    /// What names and shapes of a source say; `own` is the family that it was recognised as. A body counts where all marker
    /// names of its family stand, so that another family of a few like names is not taken for it.
    pub(crate) fn of(source: &Listing, own: Option<&'static dyn Family>) -> Result<Layouts> {
        let mut families = Vec::new();
        for family in FAMILIES.iter().copied().filter(|family| !family.in_out().is_empty()) {
            let recognised = own.is_some_and(|own| own.name() == family.name());
            let templates = |texts: &[&'static str]| {
                Templates::parse(texts.iter().enumerate().map(|(rule, text)| (rule, 0, *text)).collect::<Vec<_>>())
            };
            let Some(marker) = family.markers().first() else { continue };
            let tail = format!(".{marker}");
            if !recognised && !source.tensors.iter().any(|one| one.name == *marker || one.name.ends_with(&tail)) {
                continue;
            }
            let names: HashMap<Name, &[u64]> =
                source.tensors.iter().map(|one| (plain(&one.name), one.shape.as_slice())).collect();
            let ends = names.keys().filter_map(|name| name.strip_suffix(marker));
            let paths = ends.filter(|path| path.is_empty() || path.ends_with('.')).filter(|path| {
                family.markers().iter().all(|marker| names.contains_key(format!("{path}{marker}").as_str()))
            });
            let mut bodies: HashMap<String, Layout> =
                paths.map(|path| (path.trim_end_matches('.').to_string(), Layout::InOut)).collect();
            let all = || names.iter().map(|(name, shape)| (name.as_str(), *shape));
            let dialects = find_dialects(family, all)?.into_iter();
            bodies.extend(dialects.filter_map(|(path, dialect)| Some((path, dialect.layout?))));
            families.push(FamilyLayouts { templates: templates(family.in_out())?, recognised, bodies });
        }
        Ok(Layouts { families, kernels: Kernels::of(source) })
    }

    /// How the source stores the tensor of this name, or `None` where it is as PyTorch has it, or nothing is known.
    pub(crate) fn layout(&self, name: &Name) -> Option<Stored> {
        if let Some(stored) = self.kernels.layout(name) {
            return Some(stored);
        }
        if self.families.is_empty() {
            return None;
        }
        let name = plain(name);
        self.families.iter().find_map(|family| {
            let known = family.bodies.get(family.templates.path(&name)?).copied();
            known.or(Some(Layout::InOut).filter(|_| family.recognised)).map(Stored::Family)
        })
    }
}

/// The names of the parameters of a family's class; empty where the config does not build.
pub(crate) fn parameter_names(family: &'static dyn Family, config: &Config) -> Vec<String> {
    let parameters = parameters(family, config, "");
    parameters.iter().filter(|parameter| parameter.tied_to.is_none()).map(|one| one.name.to_string()).collect()
}
