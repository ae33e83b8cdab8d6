//! Listings: a `state_dict` without values, written out or taken from a checkpoint's headers. No graph.

use super::file_rules;
use super::json::Document;
use super::modules::{self, Facts};
use super::node::{Entry, Node, Read, Wrong};
use super::{Architecture, Form, Rules, self_contained};
use crate::arch::error::{ArchError, Problem};
use crate::checkpoint::Listing;
use crate::error::{Result, nearest};
use crate::graph::{Parameter, ParameterId};
use crate::hash::HashMap;
use crate::tensor::{Dtype, Role, Shape, elements};
use crate::threads::side_by_side;

/// `{"xfer": 1, "tensors": …}`, checked against its table.
pub(crate) fn from_document(document: &Document) -> Result<Architecture> {
    let read = |root: &Node| -> Read<(Vec<Parameter>, Rules)> {
        let tensors = root.get("tensors").and_then(Node::entries).unwrap_or_default();
        Ok((parameters(&tensors.iter().collect::<Vec<_>>())?, file_rules::read(root)?))
    };
    let (parameters, rules) = read(&document.root).map_err(|wrong| document.locate(wrong))?;
    let mut architecture = finish(&document.name, parameters, self_contained::listing(&document.root))?;
    architecture.rules = rules;
    Ok(architecture)
}

/// `{name: {shape, dtype}}`, as the header of a safetensors file is.
pub(crate) fn from_bare(document: &Document) -> Result<Architecture> {
    let entries = document.root.entries().unwrap_or_default();
    let tensors: Vec<&Entry> = entries.iter().filter(|entry| entry.key != METADATA).collect();
    let text = || self_contained::bare(tensors.iter().copied());
    let (parameters, text) = side_by_side(|| parameters(&tensors), text);
    finish(&document.name, parameters.map_err(|wrong| document.locate(wrong))?, text)
}

/// The key of a safetensors header that is not a tensor.
pub(crate) const METADATA: &str = "__metadata__";

/// The tensors of a checkpoint, from its headers.
pub(crate) fn from_checkpoint(name: &str, listing: &Listing) -> Result<Architecture> {
    let parameters = listing.tensors.iter().map(|tensor| {
        let facts = modules::of_name(&tensor.name, &tensor.shape);
        let mut parameter = parameter(&tensor.name, tensor.shape.clone(), facts);
        parameter.dtype = Some(tensor.dtype);
        parameter
    });
    let parameters: Vec<Parameter> = parameters.collect();
    let text = self_contained::parameters(&parameters);
    finish(name, parameters, text)
}

fn finish(file: &str, parameters: Vec<Parameter>, arch_json: String) -> Result<Architecture> {
    if parameters.is_empty() {
        let problem = Problem::Empty { what: "the list of tensors".into() };
        return Err(ArchError::File { file: file.to_string(), problem }.into());
    }
    let mut architecture = Architecture::new(Form::Listing, parameters);
    architecture.notes = notes(&architecture.parameters);
    architecture.arch_json = Some(arch_json.into());
    Ok(architecture)
}

fn notes(parameters: &[Parameter]) -> Vec<String> {
    let mut notes = vec!["a listing has no graph: lsuv, check and compare need a config or native layers".to_string()];
    let silent = parameters.iter().filter(|p| p.module.is_none() && p.role != Role::Buffer).count();
    if silent > 0 {
        notes.push(format!(
            "{silent} tensors name no module: their roles follow from name and rank, their layout is unknown"
        ));
    }
    let unknown: Vec<&str> = parameters.iter().filter(|p| p.role == Role::Unknown).map(|p| p.name.as_str()).collect();
    if let Some(first) = unknown.first() {
        notes.push(format!("{} tensors have no known role, {first} among them", unknown.len()));
    }
    notes
}

fn parameters(tensors: &[&Entry]) -> Read<Vec<Parameter>> {
    let mut parameters = Vec::with_capacity(tensors.len());
    for entry in tensors {
        parameters.push(tensor(entry)?);
    }
    for (id, owner) in ties(tensors)? {
        if parameters[id].shape != parameters[owner].shape {
            let [shape, owner_shape] =
                [id, owner].map(|id| crate::tensor::ShapeText(&parameters[id].shape).to_string());
            return Err(tie_problem(tensors[id], &tensors[owner].key, format!("but {shape} is not {owner_shape}")));
        }
        parameters[id].tied_to = Some(owner);
    }
    Ok(parameters)
}

fn tensor(entry: &Entry) -> Read<Parameter> {
    let (name, node) = (&entry.key, &entry.node);
    if name.is_empty() {
        return Err(Wrong { at: entry.at, problem: Problem::Empty { what: "the name of a tensor".into() } });
    }
    let shape: Shape = node.need("shape", name)?;
    if elements(&shape).is_none_or(|elements| Dtype::F64.bytes_of(elements).is_err()) {
        let at = node.get("shape").map_or(node.at, |shape| shape.at);
        return Err(Wrong { at, problem: Problem::Overflow { name: name.clone(), shape } });
    }
    let module: Option<String> = node.maybe("module")?;
    let facts = match (node.maybe("buffer")?, &module) {
        (Some(true), _) => Facts { role: Role::Buffer, ..modules::of_name("", &shape) },
        (_, Some(module)) => modules::of_module(module, name, &shape),
        (_, None) => modules::of_name(name, &shape),
    };
    let mut parameter = parameter(name, shape, facts);
    parameter.dtype = node.get("dtype").map(file_rules::dtype).transpose()?;
    // without the arguments, which role and fans already hold
    parameter.module = module.as_deref().map(modules::class_name).map(str::to_string);
    Ok(parameter)
}

fn parameter(name: &str, shape: Shape, facts: Facts) -> Parameter {
    let mut parameter = Parameter::new(name, shape, facts.role);
    parameter.layout = facts.layout;
    parameter.parts = facts.parts;
    let statistic = name.ends_with("running_mean") || name.ends_with("running_var");
    parameter.floor = (facts.role == Role::Buffer && statistic).then_some(Dtype::F32);
    parameter
}

fn tie_problem(entry: &Entry, owner: &str, problem: String) -> Wrong {
    let at = entry.node.get("tied_to").map_or(entry.at, |tie| tie.at);
    Wrong { at, problem: Problem::Tie { name: entry.key.clone(), owner: owner.to_string(), problem } }
}

/// Each tied tensor and the one that owns its values at the end of the chain.
fn ties(tensors: &[&Entry]) -> Read<Vec<(ParameterId, ParameterId)>> {
    if tensors.iter().all(|entry| entry.node.get("tied_to").is_none()) {
        return Ok(Vec::new());
    }
    let places: HashMap<&str, ParameterId> =
        tensors.iter().enumerate().map(|(id, entry)| (entry.key.as_str(), id)).collect();
    let mut stated = vec![None; tensors.len()];
    for (id, entry) in tensors.iter().enumerate() {
        let Some(owner) = entry.node.maybe::<String>("tied_to")? else { continue };
        let place = places.get(owner.as_str()).copied().ok_or_else(|| {
            let near = nearest(&owner, tensors.iter().map(|entry| entry.key.as_str()));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            tie_problem(entry, &owner, format!("which is not listed{near}"))
        })?;
        stated[id] = Some(place);
    }
    let mut ties = Vec::new();
    for id in 0..tensors.len() {
        let Some(mut owner) = stated[id] else { continue };
        let mut steps = 0;
        while let Some(next) = stated[owner] {
            (owner, steps) = (next, steps + 1);
            if owner == id || steps > MOST_STEPS {
                return Err(tie_problem(tensors[id], &tensors[owner].key, "and the ties form a loop".into()));
            }
        }
        ties.push((id, owner));
    }
    Ok(ties)
}

/// A chain of ties longer than this is a loop that does not pass through its start.
const MOST_STEPS: usize = 64;
