//! Family blocks inside native layers: a known body, its config inline or in a file, its inputs wired, its result chosen.

use serde_json::Value;

use super::FamilyBlock;
use super::json::{Document, MOST_BYTES};
use super::native::Native;
use super::node::{Node, Wrong};
use crate::arch::error::Problem;
use crate::error::Result;
use crate::family::{self, Class, Config, Family, Inputs, Outputs};
use crate::graph::{Builder, NodeId};

impl Native<'_> {
    /// Builds a family under the current path and gives the results that the block asks for.
    pub(crate) fn family_block(
        &mut self,
        family: &'static dyn Family,
        node: &Node,
        current: Vec<NodeId>,
        at: &mut Builder,
    ) -> Result<Vec<NodeId>> {
        let config = self.config(family, node)?;
        let output = Output::of(node);
        let wired = self.wire(family, node, current)?;
        let class = match &output {
            Output::Named(name) if name != "hidden" && name != "pooled" => Class::OfConfig,
            Output::Named(_) | Output::Layers(_) => Class::Bare,
        };
        let outputs = family.build(&config, &Inputs { wired, wanted: output.wanted() }, &class, at)?;
        self.blocks.push(FamilyBlock { path: at.path().to_string(), family, config });
        let place = node.get("output").unwrap_or(node);
        let chosen = output.choose(family, &outputs);
        self.here(place, chosen)
    }

    /// The config of a block, from the file that it names or as it stands.
    fn config(&mut self, family: &'static dyn Family, node: &Node) -> Result<Config> {
        let written = node.get("config").unwrap_or(node);
        let config = match written.text() {
            None => object(written.plain()),
            Some(path) => match self.configs.get(path) {
                Some(config) => config.clone(),
                None => {
                    let bytes = self.beside.read(path, MOST_BYTES);
                    let document = Document::parse(path, self.here(written, bytes)?)?;
                    let mut config = object(document.root.plain());
                    config.0.shift_remove("xfer");
                    self.configs.insert(path.to_string(), config.clone());
                    config
                }
            },
        };
        match config.0.get("model_type").and_then(Value::as_str) {
            Some(other) if !family.model_types().contains(&other) => {
                let expected = format!("a config of model_type {}", family.model_types().join(" or "));
                let wrong = written.wrong_type("config", &expected).with_found(format!("model_type {other}"));
                self.read(Err(wrong))
            }
            _ => Ok(config),
        }
    }

    /// What feeds the family: `in`; without it the result before, and the file's inputs that are called as the family's.
    fn wire(&self, family: &'static dyn Family, node: &Node, current: Vec<NodeId>) -> Result<Vec<(String, NodeId)>> {
        let mut wired = Vec::new();
        if let Some(entries) = node.get("in").and_then(Node::entries) {
            for entry in entries {
                match self.results("in", &entry.node, node.at)?[..] {
                    [only] => wired.push((entry.key.clone(), only)),
                    _ => return self.read(Err(entry.node.wrong_type(&entry.key, "the id of one result"))),
                }
            }
            return Ok(wired);
        }
        let mut names = family.inputs().iter();
        let first = names.next().copied().unwrap_or_default();
        let named = |name: &str| self.inputs.iter().find(|(input, _)| input == name).map(|(_, node)| *node);
        match (&current[..], named(first)) {
            ([only], _) => wired.push((first.to_string(), *only)),
            ([], Some(input)) => wired.push((first.to_string(), input)),
            // a file without inputs takes the family's own
            ([], None) if self.inputs.is_empty() => return Ok(Vec::new()),
            ([], None) => {
                let problem =
                    Problem::MissingKey { what: format!("the block, as there is no input {first},"), key: "in" };
                return self.read(Err(Wrong { at: node.at, problem }));
            }
            (several, _) => {
                let wrong = node.wrong_type("from", "one result").with_found(format!("{} results", several.len()));
                return self.read(Err(wrong));
            }
        }
        wired.extend(names.filter_map(|name| named(name).map(|node| (name.to_string(), node))));
        Ok(wired)
    }
}

fn object(value: Value) -> Config {
    match value {
        Value::Object(map) => Config(map),
        _ => Config(serde_json::Map::new()),
    }
}

/// What a block asks for.
enum Output {
    Named(String),
    Layers(Vec<i64>),
}

impl Output {
    fn of(node: &Node) -> Output {
        let Some(output) = node.get("output") else { return Output::Named("hidden".into()) };
        match output.text() {
            Some(name) => Output::Named(name.into()),
            None => Output::Layers(output.maybe("layers").ok().flatten().unwrap_or_default()),
        }
    }

    fn wanted(&self) -> Vec<String> {
        match self {
            Output::Named(name) => vec![name.clone()],
            Output::Layers(layers) => layers.iter().map(|layer| format!("layer.{layer}")).collect(),
        }
    }

    fn choose(&self, family: &dyn Family, outputs: &Outputs) -> Result<Vec<NodeId>> {
        let count = outputs.iter().filter(|(name, _)| name.starts_with("layer.")).count() as i64;
        let from_start = |layer: i64| if layer < 0 { layer.saturating_add(count) } else { layer };
        match self {
            Output::Named(name) => Ok(vec![family::output(family, outputs, name)?]),
            Output::Layers(layers) => layers
                .iter()
                .map(|layer| family::output(family, outputs, &format!("layer.{}", from_start(*layer))))
                .collect(),
        }
    }
}
